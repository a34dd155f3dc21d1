"""Flat shapes: outlines of unit area about the origin, as meshes, and which points they hold."""

import functools
import math

import numpy as np
from jaxtyping import Bool

import scenes

SHAPES = (
    "triangle", "square", "pentagon", "hexagon", "octagon", "circle",
    "star_4", "star_5", "star_6", "spoke_4", "spoke_5", "spoke_6",
)  # fmt: skip
"""Spriteworld's twelve (Watters et al., 2019), upright as there. A circle has 30 corners."""

_SIDES = (3, 4, 5, 6, 8, 30, 4, 5, 6, 4, 5, 6)


def _outline(shape: str, sides: int) -> np.ndarray:
    """Corners of a shape, counter-clockwise, n 2.

    Stars have points twice as far out as their notches. Spokes are a regular polygon with a bar on each side, as wide as
    the side is and as long as the polygon's radius.
    """
    step = 2 * math.pi / sides
    # One corner of a polygon, point of a star or bar of a spoke shape is at the top, but for these.
    first = {"square": math.pi / 4, "hexagon": 0.0, "octagon": 0.0, "circle": 0.0}.get(shape, math.pi / 2)
    ring = lambda start: np.stack([np.cos(start + step * np.arange(sides)), np.sin(start + step * np.arange(sides))], 1)
    if shape.startswith("star"):
        corners = np.stack([2 * ring(first), ring(first + step / 2)], 1)
    elif shape.startswith("spoke"):
        bar, left = ring(first), ring(first + step / 2)
        right = np.roll(left, 1, 0)
        corners = np.stack([right, right + bar, left + bar], 1)
    else:
        corners = ring(first)
    corners = corners.reshape(-1, 2)
    x, y = corners.T
    return corners / math.sqrt((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


OUTLINES = tuple(_outline(shape, sides) for shape, sides in zip(SHAPES, _SIDES))
"""Corners of each of `SHAPES`, n 2. Every outline can be seen whole from the origin."""
REACH = np.array([np.linalg.norm(outline, axis=1).max() for outline in OUTLINES])
"""How far each of `SHAPES` reaches from the origin."""
_MOST = max(map(len, OUTLINES))
# Padded with the last corner: an edge without length is crossed by nothing.
_CORNERS = np.stack([np.concatenate([one, np.repeat(one[-1:], _MOST - len(one), 0)]) for one in OUTLINES])


@functools.cache
def meshes() -> tuple[scenes.Mesh, ...]:
    """The shapes in the plane z = 0, seen from +z; shared by all scenes."""
    made = []
    for outline in OUTLINES:
        n = np.arange(len(outline), dtype=np.int32)
        vertices = np.concatenate([np.zeros((1, 2)), outline])
        faces = np.stack([np.zeros_like(n), n + 1, (n + 1) % len(n) + 1], 1)
        made.append(scenes.Mesh(np.pad(vertices, ((0, 0), (0, 1))).astype(np.float32), faces.astype(np.int32)))
    return tuple(made)


def corners(shape, size, yaw) -> np.ndarray:
    """Corners of shapes (all arguments of one shape `s`) about their middles: float64 s n 2, the last one repeated."""
    c, s = np.cos(yaw)[..., None], np.sin(yaw)[..., None]
    x, y = np.moveaxis(_CORNERS[shape] * np.asarray(size)[..., None, None], -1, 0)
    return np.stack([c * x - s * y, s * x + c * y], -1)


def holds(shape, size, yaw, point) -> Bool[np.ndarray, "*s"]:
    """Whether shapes about the origin hold a point each.

    Args:
        shape: Indices into `SHAPES`.
        size: Square root of the area.
        yaw: How far they are turned, in radians, counter-clockwise.
        point: Of the same shape with a last axis x, y.
    """
    # From the point rightwards, an odd number of edges is crossed.
    ahead = corners(shape, size, yaw) - np.asarray(point)[..., None, :]
    x, y = ahead[..., 0], ahead[..., 1]
    x2, y2 = np.roll(x, -1, -1), np.roll(y, -1, -1)
    # x - y (x2 - x) / (y2 - y) > 0, without the division.
    side = (x * (y2 - y) - y * (x2 - x)) * np.sign(y2 - y) > 0
    return (((y > 0) != (y2 > 0)) & side).sum(-1) % 2 == 1
