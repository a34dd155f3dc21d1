"""Single pictures, each of its own scene, with the truth beside them."""

from typing import Any

import numpy as np

import envs
from envs import streams


class Images:
    """Batches of `b` pictures of `b` scenes."""

    def __init__(self, env: str, config: Any, split: str, seed: int, batch_size: int, size: tuple[int, int]):
        self._env, self._config, self._seed = envs.module(env), config, seed
        streams.check_batch_size(batch_size)
        self._camera = streams.Camera(config.renderer, self._env.FOV, size, config.look)
        self.spec = streams.Spec(
            kind="Images", env=env, split=split, batch_size=batch_size,
            height=size[0], width=size[1], fov=self._env.FOV, extent=self._env.extent(config),
        )  # fmt: skip
        self._env.views(config, split, seed, np.zeros(1, np.int64), 1)  # an unknown split is refused here, not later

    def draw(self, step: int) -> dict[str, Any]:
        """Batch `step`: `images` b h w 3 uint8, `poses` b 5 float32, `factors` name -> array of b rows."""
        index = streams.scene_indices(step, self.spec.batch_size)
        batch, poses = self._env.views(self._config, self.spec.split, self._seed, index, 1)
        return {"images": self._camera.shoot(batch, poses)[:, 0], "poses": poses[:, 0], "factors": batch.factors}
