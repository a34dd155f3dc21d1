"""Moments of random play of one MuJoCo environment as scenes, and the ring of cameras from which learners see them."""

import dataclasses
import math
import threading
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float32, Int

import scenes
from envs import streams
from envs.physics import kinematics
from envs.physics import mujoco as models
from scenes import viewpoints


@dataclasses.dataclass(frozen=True)
class Ring:
    """Where cameras stand around a model: as far, and from as high, as the free camera that a viewer begins with."""

    middle: tuple[float, float]
    """On the ground, metres."""
    radius: float
    height: float
    aim: float
    """Height of what they look at."""

    @classmethod
    def of(cls, free: mujoco.MjvCamera) -> "Ring":
        """The ring on which a free camera stands."""
        x, y, aim = map(float, free.lookat)
        down = -math.radians(free.elevation)
        return cls((x, y), free.distance * math.cos(down), aim + free.distance * math.sin(down), aim)

    @property
    def extent(self) -> float:
        """Side in metres of the square about the z axis that holds this ring twice over."""
        return 2 * (math.hypot(*self.middle) + 2 * self.radius)

    def poses(self, key: int, index: Int[np.ndarray, " b"], n_views: int) -> Float32[np.ndarray, "b {n_views} 5"]:
        """Cameras anywhere on it: see `viewpoints.ring`."""
        poses = viewpoints.ring(key, np.asarray(index), n_views, self.radius, self.height, self.aim)
        poses[..., :2] += np.float32(self.middle)
        return poses

    def tour(self, n: int) -> Float32[np.ndarray, "{n} 5"]:
        """Cameras once around it, at even steps."""
        angle = np.arange(n) * 2 * math.pi / n
        ahead, pitch = np.arctan2(-np.sin(angle), -np.cos(angle)), math.atan2(self.aim - self.height, self.radius)
        x, y = self.middle
        rows = [x + self.radius * np.cos(angle), y + self.radius * np.sin(angle), self.height, ahead, pitch]
        return np.stack(np.broadcast_arrays(*rows), -1).astype(np.float32)


class Moments:
    """Moments of worlds of one MuJoCo environment, as scenes.

    Args:
        world: Of `envs.gymnasium`, with a model; it is played with.
        ring: Around it; the head light shines from its first camera, so that all see one scene.
    """

    def __init__(self, world: Any, ring: Ring):
        self._world, self._stage = world, models.Stage(world.model)
        self._poser = kinematics.Poser(self._stage, world.n)
        self._lamp = scenes.cameras_from_poses(np.repeat(ring.tour(1), world.n, 0), 1.0, 1, 1)
        # Worlds move while a batch is made: two threads must not make one at once.
        self._lock = threading.Lock()

    def scenes(self, key: int, index: Int[np.ndarray, " b"]) -> scenes.Scenes:
        """Moments `index` of those that `key` names, of as many worlds: a pure function."""
        with self._lock:
            kept: list[np.ndarray | None] = [None, None, None]
            factors: dict[str, np.ndarray] = {}
            for now in streams.moments(self._world, key, index):
                rows = np.flatnonzero(now)
                for i, part in enumerate(self._world.positions(rows)):
                    if part is not None:
                        kept[i] = np.zeros((self._world.n, *part.shape[1:])) if kept[i] is None else kept[i]
                        kept[i][rows] = part
                for name, value in self._world.factors().items():
                    factors.setdefault(name, np.zeros_like(value))[rows] = value[rows]
            made = self._stage.to_scenes(self._poser.states(*kept), self._lamp)
        return dataclasses.replace(made, factors=factors)
