"""Worlds that are Gymnasium's own environments, one object each."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image

from envs import registered


class Objects:
    """`n` environments, stepped one after the other.

    What they are inside is theirs alone, so a state is the seed of an episode and the actions since: to put it back
    they are played again.

    Args:
        env: The first of them.
        n: How many.
        max_steps: Most actions of an episode.
    """

    STATE: ClassVar[tuple[str, ...]] = ("seed", "count", "log")

    def __init__(self, env: gymnasium.Env, n: int, max_steps: int):
        self._id, self._space = env.spec.id, env.action_space
        self._envs = [env, *(registered.make(self._id, env.render_mode is not None) for _ in range(n - 1))]
        self.seed, self.count = np.zeros((2, n), np.int64)
        self.log = np.zeros((n, max_steps, int(np.prod(self._space.shape))), self._space.dtype)
        self.observation = np.zeros((n, spaces.flatdim(env.observation_space)))
        self.success, self.cut = np.zeros((2, n), bool)

    def begin(self, rows: Int[np.ndarray, " r"], seeds: Int[np.ndarray, " r"]) -> None:
        """Put worlds `rows` where `env.reset(seed=...)` puts them."""
        for row, seed in zip(rows.tolist(), seeds.tolist(), strict=True):
            self._see(row, self._envs[row].reset(seed=seed)[0])
        self.seed[rows], self.count[rows], self.success[rows], self.cut[rows] = seeds, 0, False, False

    def step(self, actions: np.ndarray) -> tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """Rewards, and which tasks have ended; `cut` says which episodes a limit inside cut short."""
        self.log[np.arange(len(self._envs)), self.count] = actions.reshape(len(actions), -1)
        self.count += 1
        reward, ended = np.zeros(len(self._envs)), np.zeros(len(self._envs), bool)
        for row in range(len(self._envs)):
            reward[row], ended[row] = self._play(row, int(self.count[row]) - 1)
        return reward, ended

    def _play(self, row: int, step: int) -> tuple[float, bool]:
        action = self.log[row, step]
        if isinstance(self._space, spaces.Discrete):
            action = self._space.start + action[0]
        else:
            action = action.reshape(self._space.shape)
        seen, reward, terminated, truncated, info = self._envs[row].step(action)
        self._see(row, seen)
        self.success[row] = bool(info.get("is_success", info.get("success", False)))
        self.cut[row] = bool(truncated)
        return float(reward), bool(terminated)

    def _see(self, row: int, seen: Any) -> None:
        self.observation[row] = spaces.flatten(self._envs[row].observation_space, seen)

    def positions(self, rows: Int[np.ndarray, " r"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the joints, and of mocap bodies, where they are MuJoCo's."""
        datas = [self._envs[row].unwrapped.data for row in rows.tolist()]
        return tuple(np.array([getattr(data, name) for data in datas]) for name in ("qpos", "mocap_pos", "mocap_quat"))

    def pictures(self, rows: Int[np.ndarray, " r"], size: tuple[int, int]) -> UInt8[np.ndarray, "r h w 3"]:
        """As they draw themselves, brought to a size.

        Raises:
            errors.CaveError: what they draw with is missing.
        """
        out = np.zeros((len(rows), *size, 3), np.uint8)
        for i, row in enumerate(rows.tolist()):
            try:
                drawn = self._envs[row].render()
            except (gymnasium.error.Error, ImportError) as error:
                raise registered.missing(self._id, error) from error
            picture = Image.fromarray(np.ascontiguousarray(drawn)).convert("RGB")
            out[i] = np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BOX))
        return out

    def remember(self) -> None:
        """Seeds and actions are always up to date."""

    def restore(self) -> None:
        """Play the actions of the log again."""
        for row, env in enumerate(self._envs):
            self._see(row, env.reset(seed=int(self.seed[row]))[0])
            self.success[row], self.cut[row] = False, False
            for step in range(self.count[row]):
                self._play(row, step)
