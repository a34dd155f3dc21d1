"""Balls and rods on paper, for many worlds: one renderer handle, an orthographic camera before each world."""

from typing import Any

import numpy as np
from gymnasium import spaces
from jaxtyping import Float, Int

import envs
import scenes
from scenes import balls
from scenes.kit import plugins


class Stage:
    """The pictures of `n` worlds.

    Args:
        n: Worlds.
        n_balls: Balls of each.
        n_rods: Rods of each, none or one a ball: from the middle of the picture to the first ball, and on to the next.
        side: Metres that a camera sees, each way.
        size: Height and width of pictures.
        sensors: Those of the world; nothing is drawn unless there are pictures among them.
        ground: Colour of what is seen beside balls and rods.
        renderer: Which of `scenes.renderers` draws.
        look: The options it is loaded with.

    Attributes:
        drawn: Whether pictures are among the sensors.
    """

    def __init__(
        self,
        n: int,
        n_balls: int,
        n_rods: int,
        side: float,
        size: tuple[int, int],
        sensors: tuple[str, ...],
        ground: tuple[float, float, float],
        renderer: str,
        look: dict[str, Any],
    ):
        self._n, self._k, self._r, self._side, self._size, self._look = n, n_balls, n_rods, side, size, look
        self._wanted = envs.pictured(sensors)
        self.drawn = bool(self._wanted)
        self._renderer = plugins.load("scenes.renderers", renderer, "renderer") if self.drawn else None
        self._handle: Any = None
        self._pose = balls.pose(side)
        self._far = 2 * side + n_balls + n_rods
        self._ground = ground
        self._position = np.zeros((n, n_rods + n_balls, 3), np.float32)
        self._rotation = np.zeros((n, n_rods + n_balls, 4), np.float32)
        self._rotation[..., 0] = 1

    def spaces(self) -> dict[str, spaces.Box]:
        """Of the sensors that it reads."""
        return {
            "image": spaces.Box(0, 255, (*self._size, 3), np.uint8),
            "depth": spaces.Box(0.0, self._far, self._size),
            "ids": spaces.Box(-1, self._r + self._k - 1, self._size, np.int32),
            "pose": spaces.Box(-self._far, self._far, (5,)),
        }

    def show(
        self,
        rows: Int[np.ndarray, " r"],
        radius: Float[np.ndarray, "r k"],
        hue: Float[np.ndarray, "r k"],
        saturation: Float[np.ndarray, "r k"],
        lengths: Float[np.ndarray, "r k"] | None,
    ) -> None:
        """Give worlds `rows` balls of that look, and rods of those lengths."""
        if not self.drawn:
            return
        rods = np.zeros((len(rows), 0)) if not self._r else lengths
        built = balls.build(radius, hue, saturation, self._ground, rods)
        if self._handle is not None:
            self._handle.update(built, rows)
            return
        # Worlds that have not begun look like one that has, until their turn comes.
        whose = np.zeros(self._n, np.int64)
        whose[rows] = np.arange(len(rows))
        self._handle = self._renderer.load(built[whose], **self._look, sensors=self._wanted)

    def look(self, rows: Int[np.ndarray, " r"], at: Float[np.ndarray, "r k 2"]) -> dict[str, np.ndarray]:
        """What is seen of worlds `rows` with their balls at these x and z."""
        pose = np.tile(self._pose, (len(rows), 1))
        if not self.drawn:
            return {"pose": pose}
        ends = np.stack([np.concatenate([np.zeros_like(at[:, :1]), at[:, :-1]], 1), at], 2)[:, : self._r]
        self._position[rows], self._rotation[rows] = balls.place(at, ends)
        cameras = scenes.cameras_from_poses(pose, 1.0, *self._size, rows, self._side)
        poses = self._position.reshape(-1, 3), self._rotation.reshape(-1, 4)
        frames = self._handle.render(cameras, poses)
        depth = None if "depth" not in self._wanted else np.minimum(frames.depth, np.float32(self._far))
        return {"pose": pose, "image": frames.rgb, "ids": frames.ids, "depth": depth}
