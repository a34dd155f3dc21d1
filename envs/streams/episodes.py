"""Sequences: what was seen, done and got, by players that need no training or by a trained agent that was recorded."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

import envs
from envs import recordings, streams
from scenes.kit import errors, seeds

PLAYERS = ("random", "scripted", "mixed")
_MIXED = seeds.derive(envs.ROOT, "mixed player")


class Episodes:
    """Batches of `b` sequences of `t` steps, each from the start of an episode; where it ends, the next one follows.

    Row i of `actions`, `rewards` and `done` is what followed row i of `images`, `poses` and `states`; after a `done` the next
    picture is the first of another episode.

    Args:
        player: Of `PLAYERS`, or a folder that `python -m agents.record` wrote, whose episodes are then drawn at random.
        scripted_share: How likely an episode of the mixed player is a scripted one, and not a random one.

    Attributes:
        hash: SHA-256 of a recording; empty where episodes are played on the fly.
    """

    def __init__(
        self,
        env: str,
        config: Any,
        split: str,
        seed: int,
        batch_size: int,
        size: tuple[int, int],
        length: int,
        player: str,
        scripted_share: float,
    ):
        player = str(player)
        if player not in PLAYERS and "/" not in player and not Path(player).is_dir():
            known = errors.unknown("player", player, PLAYERS)
            raise errors.CaveError(f"{known}; or give a folder that agents.record wrote", errors.USAGE)
        if not isinstance(scripted_share, (int, float)) or not 0 <= scripted_share <= 1:
            raise errors.CaveError(f"a stream's scripted share must be 0 to 1, not {scripted_share!r}", errors.USAGE)
        self._player, self._key, self._share = player, seeds.derive(seed, "episodes", env), scripted_share
        # The world moves while a batch is drawn: two threads must not draw from it at once.
        self._lock = threading.Lock()
        recorded = player not in PLAYERS
        sensors = ("pose", "state") if recorded else ("image", "pose", "state")
        self._world = envs.make(env, config, 1 if recorded else batch_size, split, 0, sensors, size)
        if player in ("scripted", "mixed") and "scripted" not in self._world.PLAYERS:
            told = f"{env} has no scripted player: its players are {', '.join(self._world.PLAYERS)}, or a recording"
            raise errors.CaveError(told, errors.USAGE)
        self._recording = recordings.read(player, self._world, split) if recorded else None
        self.hash = self._recording.hash if self._recording else ""
        space = self._world.action_space
        self.spec = streams.Spec(
            kind="Episodes", env=env, split=split, batch_size=batch_size, length=length,
            height=size[0], width=size[1], fov=envs.module(env).FOV, extent=envs.module(env).extent(config),
            n_actions=int(space.n) if isinstance(space, spaces.Discrete) else space.shape[0],
        )  # fmt: skip

    def draw(self, step: int) -> dict[str, np.ndarray]:
        """Batch `step`: `images` b t h w 3 uint8, `poses` b t 5 float32, `states` b t d float32 (the sensor `state`),
        `actions` b t a float32 (one-hot where they are discrete), `rewards` b t float32, `done` b t bool."""
        index = streams.scene_indices(step, self.spec.batch_size)
        if self._recording is not None:
            return self._read(index)
        with self._lock:
            return self._play(index)

    def _read(self, index: np.ndarray) -> dict[str, np.ndarray]:
        n = len(self._recording)
        told = self._recording.rows((seeds.uniform(self._key, index, 1)[:, 0] * n).astype(np.int64), self.spec.length)
        numbers = {f"{name}s": told[name].astype(np.float32) for name in ("pose", "state", "reward")}
        done = told["terminated"] | told["truncated"]
        return {"images": told["image"], "actions": self._numbers(told["action"]), "done": done} | numbers

    def _numbers(self, actions: np.ndarray) -> np.ndarray:
        discrete = isinstance(self._world.action_space, spaces.Discrete)
        return np.eye(self.spec.n_actions, dtype=np.float32)[actions] if discrete else actions.astype(np.float32)

    def _actions(self) -> np.ndarray:
        """What the player does now."""
        if self._player != "mixed":
            return self._world.random() if self._player == "random" else self._world.scripted()
        # Drawn by each world's seed and episode, so that it does not matter in which company it is played.
        scripted = seeds.uniform(_MIXED, self._world.scene_index(), 1)[:, 0] < self._share
        actions = self._world.random()
        if scripted.any():
            actions[scripted] = self._world.scripted()[scripted]
        return actions

    def _play(self, index: np.ndarray) -> dict[str, np.ndarray]:
        spec, world = self.spec, self._world
        world.reset(seeds=(seeds.uniform(self._key, index, 1)[:, 0] * 2.0**53).astype(np.int64))
        images = np.zeros((spec.length, spec.batch_size, spec.height, spec.width, 3), np.uint8)
        poses = np.zeros((spec.length, spec.batch_size, 5), np.float32)
        width = world.observation_space["state"].shape[0]
        states = np.zeros((spec.length, spec.batch_size, width), np.float32)
        actions = np.zeros((spec.length, spec.batch_size, spec.n_actions), np.float32)
        rewards = np.zeros((spec.length, spec.batch_size), np.float32)
        done = np.zeros((spec.length, spec.batch_size), bool)
        for t in range(spec.length):
            world.observe(out={"image": images[t], "pose": poses[t], "state": states[t]})
            action = self._actions()
            actions[t] = self._numbers(action)
            rewards[t], terminated, truncated = world.step(action)
            done[t] = terminated | truncated
            if done[t].any():
                world.reset(done[t])
        batch = {
            "images": images,
            "poses": poses,
            "states": states,
            "actions": actions,
            "rewards": rewards,
            "done": done,
        }
        return {name: np.ascontiguousarray(np.moveaxis(value, 0, 1)) for name, value in batch.items()}
