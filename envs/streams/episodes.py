"""Sequences: what was seen, done and got, of a random or a scripted player."""

import threading
from typing import Any

import numpy as np
from gymnasium import spaces

import envs
from envs import streams
from scenes.kit import errors, seeds


class Episodes:
    """Batches of `b` sequences of `t` steps, each from the start of an episode; where it ends, the next one follows.

    Row i of `actions`, `rewards` and `done` is what followed row i of `images`, `poses` and `states`; after a `done` the next
    picture is the first of another episode.
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
    ):
        streams.check_batch_size(min(batch_size, length))
        if player not in ("random", "scripted"):
            raise errors.unknown("player", player, ("random", "scripted"))
        self._player, self._key = player, seeds.derive(seed, "episodes", env)
        # The world moves while a batch is drawn: two threads must not draw from it at once.
        self._lock = threading.Lock()
        self._world = envs.make(env, config, batch_size, split, 0, ("image", "pose", "state"), size)
        space = self._world.action_space
        self.spec = streams.Spec(
            kind="Episodes", env=env, split=split, batch_size=batch_size, length=length,
            height=size[0], width=size[1], fov=envs.module(env).FOV, extent=envs.module(env).extent(config),
            n_actions=int(space.n) if isinstance(space, spaces.Discrete) else space.shape[0],
        )  # fmt: skip

    def draw(self, step: int) -> dict[str, np.ndarray]:
        """Batch `step`: `images` b t h w 3 uint8, `poses` b t 5 float32, `states` b t d float32 (the sensor `state`),
        `actions` b t a float32 (one-hot where they are discrete), `rewards` b t float32, `done` b t bool."""
        with self._lock:
            return self._draw(step)

    def _draw(self, step: int) -> dict[str, np.ndarray]:
        spec, world = self.spec, self._world
        index = streams.scene_indices(step, spec.batch_size)
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
            action = world.random() if self._player == "random" else world.scripted()
            discrete = action.ndim == 1
            actions[t] = np.eye(spec.n_actions, dtype=np.float32)[action] if discrete else action
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
