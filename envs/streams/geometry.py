"""Pictures of solids beside where exactly their surfaces are."""

from typing import Any

import numpy as np

import envs
from envs import streams
from scenes.kit import errors, seeds
from scenes.solids import stages

NEAR = (0.01, 0.05)
"""Standard deviations, in metres, of the distances from the surface of the two halves of the points near it."""


class Geometry:
    """Batches of `b` scenes of one solid, each seen from `v` poses, with points whose signed distance is known.

    Half of the `points` are uniform in a cube about the solid's middle, half lie near its surface, shifted from points
    even over it by normal numbers. All is in the axes of the scene, as the poses are, and in metres.
    """

    def __init__(
        self,
        env: str,
        config: Any,
        split: str,
        seed: int,
        batch_size: int,
        size: tuple[int, int],
        views: int,
        points: int,
        device: str,
    ):
        self._env, self._config, self._seed = envs.module(env), config, seed
        if points < 2:
            raise errors.CaveError(f"a stream's points must be at least 2, not {points}", errors.USAGE)
        self._points, self._key = points, seeds.derive(seed, "geometry", env, split)
        self._camera = streams.Camera(self._env, config, size, device)
        self.spec = streams.Spec(
            kind="Geometry", env=env, split=split, batch_size=batch_size, views=views, points=points,
            height=size[0], width=size[1], fov=self._env.FOV, extent=self._env.extent(config),
        )  # fmt: skip
        self._env.views(config, split, seed, np.zeros(1, np.int64), 1)  # an unknown split is refused here, not later

    def draw(self, step: int) -> dict[str, Any]:
        """Batch `step`: `images` b v h w 3 uint8, `poses` b v 5; `points` b n 3, `distances` b n (positive outside),
        `occupied` b n bool; `surface` and `normals` b n 3, points even over the surface and unit normals there;
        `factors` name -> array of b rows. Numbers are float32."""
        index = streams.scene_indices(step, self.spec.batch_size)
        batch, poses = self._env.views(self._config, self.spec.split, self._seed, index, self.spec.views)
        images = self._camera.shoot(batch, poses)
        return {"images": images, "poses": poses, "factors": batch.factors} | self._shapes(batch.factors, index)

    def _shapes(self, factors: dict[str, np.ndarray], index: np.ndarray) -> dict[str, np.ndarray]:
        family, n = self._env.family, self._points
        half = n // 2
        u = seeds.uniform(self._key, index, 3 * (n - half)).reshape(len(index), -1, 3)
        free = (2 * u - 1) * family.REACH + np.array([0, 0, stages.MIDDLE])
        near, out = family.surface(factors, half, seeds.derive(self._key, "near"), index)
        # Normal numbers by Box and Muller's method; logarithms of 1 - u, which is never 0.
        u = seeds.uniform(self._key, index, 2 * half, stream=1).reshape(len(index), -1, 2)
        normal = np.sqrt(-2 * np.log1p(-u[..., 0])) * np.cos(2 * np.pi * u[..., 1])
        away = normal * np.where(np.arange(half) % 2 == 0, *NEAR)
        # Distances are those of the points as they are handed out.
        points = np.concatenate([free, near + out * away[..., None]], 1).astype(np.float32)
        distance = family.distance(factors, points.astype(np.float64))
        surface, normals = family.surface(factors, n, seeds.derive(self._key, "surface"), index)
        shapes = {"points": points, "distances": distance, "surface": surface, "normals": normals}
        return {name: value.astype(np.float32) for name, value in shapes.items()} | {"occupied": distance < 0}
