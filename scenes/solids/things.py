"""Things to collect: six kinds of one solid each, every kind with a shape, a colour and a pattern of its own."""

import math

import numpy as np

import scenes
from scenes.solids import rgb

KINDS = ("hat", "can", "cake", "balloon", "gift", "ring")
"""Blue cone, yellow cylinder with stripes, flat green cylinder with checks, pink ellipsoid, violet box with stripes, upright
orange torus. The first four have the colours of DeepMind Lab's."""

# Rows as KINDS: the solid's `size`, its half height and the radius of its footprint, as multiples of the factor `size`.
_EXTENTS = np.array(
    [
        (0.90, 0.85, 0.00, 0.85, 0.90),
        (0.62, 0.90, 0.00, 0.90, 0.62),
        (1.00, 0.50, 0.00, 0.50, 1.00),
        (0.78, 0.78, 1.10, 1.10, 0.78),
        (0.68, 0.68, 0.62, 0.62, 0.68 * math.sqrt(2)),
        (0.70, 0.27, 0.00, 0.97, 0.97),
    ]
)
_KINDS = np.array([scenes.KINDS.index(k) for k in ("cone", "cylinder", "cylinder", "ellipsoid", "box", "torus")])
_TEXTURES = np.array([scenes.TEXTURES.index(t) for t in ("plain", "stripes", "checker", "plain", "stripes", "plain")])
_TILTS = np.array([kind == "ring" for kind in KINDS]) * math.pi / 2
# Hue, saturation and value of both colours of each pattern.
_FIRST = np.array(
    [(0.687, 0.88, 1), (0.177, 0.88, 1), (0.44, 0.86, 1), (0.903, 0.95, 1), (0.78, 0.75, 0.9), (0.07, 0.9, 1)]
)
_SECOND = np.array([(0, 1, 1), (0.177, 0.9, 0.55), (0.44, 0.35, 1), (0, 1, 1), (0.78, 0.3, 1), (0, 1, 1)])
_SECOND[_TEXTURES == 0] = _FIRST[_TEXTURES == 0]


def footprint(kind, size) -> np.ndarray | np.floating:
    """Radius in metres of the upright cylinder that just holds a thing of that kind (an index) and size (arrays)."""
    return _EXTENTS[kind, 4] * size


def lie(kind, tint, size, x, y, yaw) -> dict[str, np.ndarray]:
    """Things on the floor, all arguments of shape (n,): arrays of `scenes.SOLID_FIELDS`.

    `tint` turns the hue of the kind's own colours, 1 being once around the circle.
    """
    # A turn about z after a tilt about x, as quaternions.
    ct, st, cy, sy = np.cos(_TILTS[kind] / 2), np.sin(_TILTS[kind] / 2), np.cos(yaw / 2), np.sin(yaw / 2)
    hsv = np.stack([_FIRST, _SECOND], 1)[kind]
    return {
        "kind": _KINDS[kind].astype(np.int32),
        "size": (_EXTENTS[kind, :3] * size[:, None]).astype(np.float32),
        "position": np.stack([x, y, _EXTENTS[kind, 3] * size], 1).astype(np.float32),
        "rotation": np.stack([cy * ct, cy * st, sy * st, sy * ct], 1).astype(np.float32),
        "texture": _TEXTURES[kind].astype(np.int32),
        "texture_scale": (0.8 * size).astype(np.float32),
        "colour": rgb((hsv[..., 0] + tint[:, None]) % 1, hsv[..., 1], hsv[..., 2]),
    }
