"""Things that stand on a floor: seven shapes with one size, a colour by its hue."""

import math

import numpy as np
from jaxtyping import Float32

import scenes

SHAPES = ("box", "sphere", "capsule", "cylinder", "cone", "ellipsoid", "torus")
"""What a factor `shape` is an index into."""

# Rows as SHAPES: the solid's `size`, its half height and the radius of its footprint, all as multiples of the factor
# `size`, so that the shapes look about equally large. The torus stands upright, so that its hole is seen.
_EXTENTS = np.array(
    [
        (0.72, 0.72, 0.72, 0.72, 0.72 * math.sqrt(2)),
        (0.90, 0.00, 0.00, 0.90, 0.90),
        (0.55, 0.60, 0.00, 1.15, 0.55),
        (0.75, 0.80, 0.00, 0.80, 0.75),
        (0.95, 1.05, 0.00, 1.05, 0.95),
        (1.05, 0.70, 0.60, 0.60, 1.05),
        (0.72, 0.28, 0.00, 1.00, 1.00),
    ]
)
_KINDS = np.array([scenes.KINDS.index(shape) for shape in SHAPES], np.int32)
_TILTS = np.array([shape == "torus" for shape in SHAPES]) * math.pi / 2


def footprint(shape, size) -> np.ndarray | np.floating:
    """Radius in metres of the upright cylinder that just holds a solid of that factor `shape` and `size` (arrays)."""
    return _EXTENTS[shape, 4] * size


def stand(shape, size, x, y, yaw) -> dict[str, np.ndarray]:
    """Solids on the floor, all arguments of shape (n,): their `kind`, `size`, `position` and `rotation` in a scene."""
    # A turn about z after a tilt about x, as quaternions.
    ct, st, cy, sy = np.cos(_TILTS[shape] / 2), np.sin(_TILTS[shape] / 2), np.cos(yaw / 2), np.sin(yaw / 2)
    return {
        "kind": _KINDS[shape],
        "size": (_EXTENTS[shape, :3] * size[:, None]).astype(np.float32),
        "position": np.stack([x, y, _EXTENTS[shape, 3] * size], 1).astype(np.float32),
        "rotation": np.stack([cy * ct, cy * st, sy * st, sy * ct], 1).astype(np.float32),
    }


def rgb(hue, saturation=0.85, value=0.95) -> Float32[np.ndarray, "*s 3"]:
    """Colours in [0, 1] of hues in [0, 1), from HSV; by default vivid ones, for objects."""
    hue, saturation, value = (np.asarray(one)[..., None] for one in (hue, saturation, value))
    turn = (hue * 6 + np.array([5.0, 3.0, 1.0])) % 6
    return (value * (1 - saturation * np.clip(np.minimum(turn, 4 - turn), 0, 1))).astype(np.float32)
