"""Posed pictures: several views of each scene."""

from typing import Any

import numpy as np
from jaxtyping import Float32, Int, UInt8

import envs
from envs import streams


class Views:
    """Batches of `b` scenes, each seen from `v` poses; one scene's poses are all different, so that a view asked for
    is never among those shown."""

    def __init__(
        self,
        env: str,
        config: Any,
        split: str,
        seed: int,
        batch_size: int,
        size: tuple[int, int],
        views: int,
        device: str,
    ):
        self._env, self._config, self._seed = envs.module(env), config, seed
        self._camera = streams.Camera(self._env, config, size, device)
        self.spec = streams.Spec(
            kind="Views", env=env, split=split, batch_size=batch_size, views=views,
            height=size[0], width=size[1], fov=self._env.FOV, extent=self._env.extent(config),
        )  # fmt: skip
        self._env.views(config, split, seed, np.zeros(1, np.int64), 1)  # an unknown split is refused here, not later

    def draw(self, step: int) -> dict[str, UInt8[Any, "b v h w 3"] | Float32[np.ndarray, "b v 5"]]:
        """Batch `step`: `images` b v h w 3 uint8, `poses` b v 5 float32 (x, y, z in metres, yaw, pitch in radians)."""
        index = streams.scene_indices(step, self.spec.batch_size)
        batch, poses = self._env.views(self._config, self.spec.split, self._seed, index, self.spec.views)
        return {"images": self._camera.shoot(batch, poses), "poses": poses}

    def film(
        self, index: Int[np.ndarray, " b"], n_frames: int
    ) -> dict[str, UInt8[Any, "b t h w 3"] | Float32[np.ndarray, "b t 5"]]:
        """Scenes `index` along a smooth path of cameras, once around: `film_images` and `film_poses`.

        Scene i here is scene i of `draw`, whose batch 0 so holds views of the first of them.
        """
        batch, _ = self._env.views(self._config, self.spec.split, self._seed, index, 1)
        path = self._env.tour(self._config, n_frames)
        poses = np.broadcast_to(path, (len(index), *path.shape)).copy()
        return {"film_images": self._camera.shoot(batch, poses), "film_poses": poses}
