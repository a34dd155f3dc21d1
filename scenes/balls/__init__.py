"""Balls, and rods behind them, without light or shade before an even ground: flat discs, seen from the side.

They move in the plane of x, to the right, and z, up; a camera that sees along +y shows it as it is on paper (`pose`). Each
ball has a y of its own, the first one nearest, so that one hides another whole and they never cut into each other.
"""

import math

import numpy as np
from jaxtyping import Float, Float32

import scenes
from scenes import solids

BLACK, SLATE = (0.0, 0.0, 0.0), (0.321, 0.349, 0.368)
"""Grounds: the plain one, and that of coloured pictures (Botev et al., 2021: on black some learners fail)."""
ROD = 0.04
"""Radius of a rod, in metres."""
_GREY = 0.7


def build(
    radius: Float[np.ndarray, "b k"],
    hue: Float[np.ndarray, "b k"],
    saturation: Float[np.ndarray, "b k"],
    ground: tuple[float, float, float],
    rods: Float[np.ndarray, "b r"],
) -> scenes.Scenes:
    """Scenes of `k` balls and, before them in the order of solids, `r` rods; `place` says where they are.

    Args:
        radius: Of the balls, in metres.
        hue: Of the balls, in [0, 1).
        saturation: 0 for white balls.
        ground: What is seen beside them.
        rods: Their lengths, in metres; without columns there are none.
    """
    (b, k), r = radius.shape, rods.shape[1]
    n = b * (r + k)
    size = np.zeros((b, r + k, 3), np.float32)
    size[:, :r, 0], size[:, :r, 1], size[:, r:, 0] = ROD, rods / 2, radius
    colour = np.full((b, r + k, 3), _GREY, np.float32)
    for ball in range(k):
        for level in np.unique(saturation[:, ball]):
            rows = saturation[:, ball] == level
            colour[rows, r + ball] = solids.rgb(hue[rows, ball], float(level), 1.0)
    kinds = [scenes.KINDS.index("capsule")] * r + [scenes.KINDS.index("sphere")] * k
    return scenes.Scenes(
        offsets=np.arange(b + 1) * (r + k),
        kind=np.tile(np.array(kinds, np.int32), b),
        size=size.reshape(n, 3),
        position=np.zeros((n, 3), np.float32),
        rotation=np.tile(np.float32([1, 0, 0, 0]), (n, 1)),
        texture=np.zeros(n, np.int32),
        texture_scale=np.ones(n, np.float32),
        colour=np.repeat(colour.reshape(n, 1, 3), 2, 1),
        light_position=np.tile(np.float32([0, 0, 1]), (b, 1, 1)),
        light_colour=np.zeros((b, 1, 3), np.float32),
        light_is_sun=np.ones((b, 1), bool),
        ambient=np.ones((b, 3), np.float32),
        sky=np.tile(np.float32(ground), (b, 1)),
        first_object=r,
    )


def place(
    at: Float[np.ndarray, "b k 2"], ends: Float[np.ndarray, "b r 2 2"]
) -> tuple[Float32[np.ndarray, "b n 3"], Float32[np.ndarray, "b n 4"]]:
    """Positions and rotations of the solids of scenes that `build` made.

    Args:
        at: x and z of the balls.
        ends: x and z of both ends of the rods.
    """
    b, k, r = len(at), at.shape[1], ends.shape[1]
    position, rotation = np.zeros((b, r + k, 3), np.float32), np.zeros((b, r + k, 4), np.float32)
    position[:, r:, 0], position[:, r:, 2] = at[..., 0], at[..., 1]
    position[:, r:, 1] = np.arange(k)
    middle, along = ends.mean(2), ends[:, :, 1] - ends[:, :, 0]
    position[:, :r, 0], position[:, :r, 2] = middle[..., 0], middle[..., 1]
    position[:, :r, 1] = k + np.arange(r)
    # A capsule lies along z: it turns about y until it lies along the rod.
    half = np.arctan2(along[..., 0], along[..., 1]) / 2
    rotation[:, :r, 0], rotation[:, :r, 2], rotation[:, r:, 0] = np.cos(half), np.sin(half), 1
    return position, rotation


def pose(distance: float) -> Float32[np.ndarray, " 5"]:
    """Of a camera `distance` metres before the plane: it sees along +y, with x to its right and z up."""
    return np.array([0, -distance, 0, math.pi / 2, 0], np.float32)
