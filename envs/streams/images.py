"""Single pictures, each of its own scene, with the truth beside them."""

import threading
from typing import Any

import numpy as np

import envs
from envs import streams
from scenes.kit import seeds


class Images:
    """Batches of `b` pictures of `b` scenes: from where learners look or, of an environment without a family of scenes, of
    `b` worlds after up to `streams.LAPSE` random actions."""

    def __init__(
        self, env: str, config: Any, split: str, seed: int, batch_size: int, size: tuple[int, int], device: str
    ):
        self._env, self._config, self._seed = envs.module(env), config, seed
        self._world = self._camera = None
        self.spec = streams.Spec(
            kind="Images", env=env, split=split, batch_size=batch_size,
            height=size[0], width=size[1], fov=self._env.FOV, extent=self._env.extent(config),
        )  # fmt: skip
        if hasattr(self._env, "family"):
            self._camera = streams.Camera(self._env, config, size, device)
            self._env.views(
                config, split, seed, np.zeros(1, np.int64), 1
            )  # an unknown split is refused here, not later
        else:
            self._key = seeds.derive(seed, "images", env)
            self._world = envs.make(env, config, batch_size, split, 0, ("image", "pose"), size)
            # The world moves while a batch is drawn: two threads must not draw from it at once.
            self._lock = threading.Lock()

    def draw(self, step: int) -> dict[str, Any]:
        """Batch `step`: `images` b h w 3 uint8, `poses` b 5 float32, `factors` name -> array of b rows."""
        index = streams.scene_indices(step, self.spec.batch_size)
        if self._world is not None:
            with self._lock:
                return self._played(self._world, index)
        batch, poses = self._env.views(self._config, self.spec.split, self._seed, index, 1)
        return {"images": self._camera.shoot(batch, poses)[:, 0], "poses": poses[:, 0], "factors": batch.factors}

    def _played(self, world: envs.World, index: np.ndarray) -> dict[str, Any]:
        """Pictures of one world each, which has the seed and moves as often as its index says."""
        seen, factors = None, {}
        for now in streams.moments(world, self._key, index):
            seen = world.observe(now, out=seen)
            for name, value in world.factors().items():
                factors.setdefault(name, np.zeros_like(value))[now] = value[now]
        return {"images": seen["image"], "poses": seen["pose"], "factors": factors}
