"""Worlds of a MuJoCo task that is known here, moved together."""

from typing import ClassVar

import gymnasium
import mujoco
import numpy as np
from jaxtyping import Bool, Float, Int

from envs.physics import batch
from envs.registered import tasks


class Bodies:
    """`n` worlds of one of `tasks.TASKS`.

    Args:
        env: Gymnasium's own, of which episodes' starts are asked; only its resets are used.
        n: How many.
    """

    STATE: ClassVar[tuple[str, ...]] = ("rows", "place", "observation")

    def __init__(self, env: gymnasium.Env, n: int):
        self._env = env.unwrapped
        self._task = tasks.TASKS[env.spec.id]
        self._model = self._env.model
        self._batch = batch.Batch(self._model, n, self._task.fields)
        self._first = batch.Batch(self._model, 1, self._task.fields, data=[self._env.data])
        self.rows = self._batch.rows()
        self.place = np.zeros(n)
        self.observation = np.zeros((n, *env.observation_space.shape))
        self.success, self.cut = np.zeros((2, n), bool)

    def begin(self, rows: Int[np.ndarray, " r"], seeds: Int[np.ndarray, " r"]) -> None:
        """Put worlds `rows` where `env.reset(seed=...)` puts Gymnasium's."""
        for row, seed in zip(rows.tolist(), seeds.tolist(), strict=True):
            self.observation[row] = self._env.reset(seed=seed)[0]
            mujoco.mj_getState(self._model, self._env.data, self.rows[row], batch.INTEGRATION)
            mujoco.mj_setState(self._model, self._batch.data[row], self.rows[row], batch.INTEGRATION)
            self._first.run()
            self.place[row] = self._task.place(self._first)[0]
            self._batch.qpos[row] = self._first.qpos[0]

    def step(self, actions: np.ndarray) -> tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """Rewards, and which tasks have ended."""
        seen = self._batch
        seen.ctrl[:] = actions
        seen.step(self._env.frame_skip)
        place = self._task.place(seen)
        reward, ended = self._task.judge(seen, (place - self.place) / self._env.dt, actions)
        self.place[:], self.observation[:] = place, self._task.observe(seen)
        return reward, ended

    def positions(self, rows: Int[np.ndarray, " r"]) -> tuple[np.ndarray, None, None]:
        """Of the joints, and of mocap bodies: there are none."""
        return self._batch.qpos[rows], None, None

    def remember(self) -> None:
        """Bring `rows` up to date."""
        self.rows[:] = self._batch.rows()

    def restore(self) -> None:
        """Continue from `rows`."""
        self._batch.put_back(self.rows)
        self._batch.run()
