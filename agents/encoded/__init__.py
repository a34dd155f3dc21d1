"""`EncodedVecEnv`: a batch of worlds, seen through a frozen encoder, as Stable-Baselines3 wants it.

Why here and not in the policy: handed a pretrained features extractor, Stable-Baselines3 initialises its weights afresh
by default and keeps its batch statistics moving, encodes every observation once more in every epoch, and stores pixels
instead of codes. Here each observation is encoded once, when it is made, and the policy never holds the encoder.

Why a `VecEnv` directly over the worlds and not over the Gymnasium face: the worlds are a batch already. Nothing is
unpacked into single environments and packed again; Python runs per world only for those that have just finished.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv

from agents.encoded.sights import Blind, Codes, Pixels, State, digest, join, make, take
from scenes.kit import errors

__all__ = ["Blind", "Codes", "EncodedVecEnv", "Pixels", "State", "digest", "join", "make", "take"]


class EncodedVecEnv(VecEnv):
    """Stable-Baselines3's face of `n` worlds, autoreset in the same step.

    At an episode's end the last observation is seen with the old memory (it becomes `terminal_observation`), the memory
    is reset by mask, and the first observation of the next episode is seen with the new one. The infos of worlds that
    have not finished are empty dicts; finished ones hold `terminal_observation`, `TimeLimit.truncated`, `episode`
    (return `r`, length `l`), `is_success` and `factors`.

    Args:
        world: An `envs.World`; it owns its seeds and its time limit.
        sight: What of its sensors is seen (`agents.encoded.make`).
    """

    def __init__(self, world: Any, sight: State | Pixels | Codes):
        self.world = world
        self.sight = sight
        self.reward_scale = 1.0
        """What the rewards that are given out are multiplied by; `finished` and infos tell them as they were."""
        self.finished: list[tuple[float, int, bool]] = []
        """Return, length and success of the episodes that ended since somebody emptied this list."""
        self.render_mode = None
        self._memory = {}
        self._returns = np.zeros(world.n)
        self._lengths = np.zeros(world.n, np.int64)
        self._actions = None
        super().__init__(world.n, sight.space(world.observation_space), world.action_space)

    def reset(self) -> Any:
        """Begin a new episode in every world and return the observations; seeds given by `seed` are used up."""
        seeds = None if self._seeds[0] is None else np.array(self._seeds, np.int64)
        self.world.reset(None, seeds)
        self._returns[:] = 0
        self._lengths[:] = 0
        observation, self._memory = self.sight.see(self.world.observe(), self.sight.initial(self.num_envs))
        factors = _rows(self.world.factors(), np.arange(self.num_envs))
        self.reset_infos = [{"factors": _row(factors, i)} for i in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        """Remember the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Step all worlds: observations, rewards float32 (n,), dones bool (n,), infos."""
        rewards, terminated, truncated = self.world.step(self._actions)
        # A copy, since Stable-Baselines3 adds the value of cut-off episodes to it in place.
        rewards = np.array(rewards, np.float32)
        self._returns += rewards
        self._lengths += 1
        dones = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        sensors, memory = self.world.observe(), self._memory
        if not dones.any():
            observation, self._memory = self.sight.see(sensors, memory)
            self._check(observation, rewards, np.arange(self.num_envs))
            return observation, rewards * np.float32(self.reward_scale), dones, infos
        # Last observations, seen with the old memory, are rows behind those of the worlds as they go on: one call for
        # an encoder, to which a few rows cost nearly as much as all.
        rows = np.flatnonzero(dones)
        last, remembered = _rows(sensors, rows), take(memory, rows)
        facts = self.world.facts()
        # Copies, since the worlds are about to begin anew in the same arrays.
        success, factors = facts["success"][rows], _rows(facts["factors"], rows)
        self.world.reset(dones)
        self.world.observe(dones, out=sensors)
        sensors = {name: np.concatenate([value, last[name]]) for name, value in sensors.items()}
        observation, memory = self.sight.see(sensors, join(self.sight.reset(memory, dones), remembered))
        self._check(observation, rewards, np.concatenate([np.arange(self.num_envs), rows]))
        self._memory = {name: value[: self.num_envs] for name, value in memory.items()}
        for k, i in enumerate(rows):
            episode = (float(self._returns[i]), int(self._lengths[i]), bool(success[k]))
            self.finished.append(episode)
            infos[i] = {
                "terminal_observation": _row(observation, self.num_envs + k),
                "TimeLimit.truncated": not terminated[i],
                "episode": {"r": episode[0], "l": episode[1]},
                "is_success": episode[2],
                "factors": _row(factors, k),
            }
        self._returns[rows] = 0
        self._lengths[rows] = 0
        return _rows(observation, slice(self.num_envs)), rewards * np.float32(self.reward_scale), dones, infos

    def _check(self, observation, rewards, worlds) -> None:
        """Stop at the boundary, where world and field are known, rather than in a distribution's constructor."""
        vectors = observation["vector"] if isinstance(observation, dict) else observation
        # A sum is not finite if a term is not: one pass without a temporary array.
        if np.isfinite(vectors.sum()) and np.isfinite(rewards.sum()):
            return
        for what, rows in (("observation", vectors), ("reward", rewards[:, None])):
            bad = np.flatnonzero(~np.isfinite(rows).all(1))
            if len(bad):
                world = worlds[bad[0]]
                raise errors.CaveError(
                    f"{what} of world {world} is not finite at step {self._lengths[world]} of its episode "
                    f"(seen through {self.sight.name}); the last checkpoint is good: mend the cause and --resume"
                )

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """Everything that the next step depends on: groups of named arrays and tensors."""
        counters = {"returns": self._returns.copy(), "lengths": self._lengths.copy()}
        return {"world": self.world.state_dict(), "memory": dict(self._memory), "episodes": counters}

    def load_state_dict(self, groups: dict[str, dict[str, Any]]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.world.load_state_dict({name: np.array(value) for name, value in groups["world"].items()})
        fresh = self.sight.initial(self.num_envs)
        self._memory = {name: torch.as_tensor(groups["memory"][name]).to(fresh[name].device) for name in fresh}
        self._returns = np.array(groups["episodes"]["returns"], np.float64)
        self._lengths = np.array(groups["episodes"]["lengths"], np.int64)
        self.finished.clear()

    def close(self) -> None:
        """Let go of what the worlds hold."""
        self.world.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of this environment, once per world asked for."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute; the worlds are one object, so it is set for all."""
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *method_args, indices: Any = None, **method_kwargs) -> list[Any]:
        """Call a method of the batch once, and return its answer once per world asked for."""
        answer = getattr(self.world, method_name)(*method_args, **method_kwargs)
        return [answer for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Nothing is wrapped."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """What each world's camera sees, uint8 (h, w, 3), if it has one."""
        image = self.world.observe().get("image")
        return [None] * self.num_envs if image is None else list(image)


def _rows(tree: Any, rows: Any) -> Any:
    """Some rows of an array, or of every array of a dict; copies if `rows` are numbers."""
    return {name: value[rows] for name, value in tree.items()} if isinstance(tree, dict) else tree[rows]


def _row(tree: Any, i: int) -> Any:
    return {name: value[i] for name, value in tree.items()} if isinstance(tree, dict) else tree[i]
