"""Three parts made one, by union, intersection or difference: what the factors of such an object are, and mean.

The first part, `a`, stands upright in the middle; `b` and then `c` are united with it, cut it or are cut from it. Sizes are
such that something is always left: what is cut out of a convex body is convex and thinner, and bodies whose widths (the
least distance of two parallel planes that hold one) sum to less than another's cannot cover it (Bang, "A solution of the
'plank problem'", 1951).
"""

import math
from collections.abc import Mapping

import numpy as np

from scenes import factors as fa
from scenes.geometry import csg

NAMES = "abc"
LONG = (0.46, 0.62)
"""Range of the first part's half length in the split `new-sizes`, in metres."""
_KINDS = fa.Finite(range(len(csg.PARTS)))
_CUTS = {name: csg.OPERATIONS.index(name) for name in csg.OPERATIONS}
OPERATIONS = {"b": ("union", "intersection", "difference"), "c": ("union", "difference")}
"""What each further part may do; an intersection with both might leave nothing."""
# Of each operation and part: ranges of half width, half length, and where its middle lies. Further out than the middle, so
# that what is added or cut can be seen: `b` along x, whatever way that is in the end, `c` upwards.
_AWAY, _BESIDE, _WITHIN = (0.3, 0.42), (-0.2, 0.2), (-0.17, 0.17)
_RANGES = {
    ("b", "union"): ((0.18, 0.25), (0.18, 0.35), (_AWAY, _BESIDE, _BESIDE)),
    ("b", "intersection"): ((0.3, 0.4), (0.3, 0.4), (_WITHIN, _WITHIN, _WITHIN)),
    ("b", "difference"): ((0.17, 0.25), (0.2, 0.5), (_AWAY, _BESIDE, _BESIDE)),
    ("c", "union"): ((0.1, 0.14), (0.2, 0.4), (_BESIDE, _BESIDE, _AWAY)),
    ("c", "difference"): ((0.1, 0.14), (0.2, 0.6), (_BESIDE, _BESIDE, _AWAY)),
}
LIMITS = (
    {f"kind_{k}": (0, len(csg.PARTS) - 1) for k in NAMES}
    | {f"operation_{k}": (0, len(csg.OPERATIONS) - 1) for k in "bc"}
    | {f"{name}_{k}": (0.05, 0.7) for name in ("width", "length") for k in NAMES}
    | {f"{axis}_{k}": (-0.45, 0.45) for axis in "xyz" for k in "bc"}
)
"""Least and largest values of factors that an object can be built of, whatever splits draw."""


def first() -> fa.Distribution:
    """What the first part can be, and how large."""
    return fa.box(kind_a=_KINDS, width_a=fa.Interval(0.4, 0.45), length_a=fa.Interval(0.4, 0.45))


def longer() -> fa.Distribution:
    """The same, but longer; a ball has no length."""
    kinds = fa.Finite(csg.PARTS.index(name) for name in ("box", "cylinder"))
    return fa.box(kind_a=kinds, width_a=fa.Interval(0.4, 0.45), length_a=fa.Interval(*LONG))


def operations() -> fa.Distribution:
    """What the second and third part may do: factors `operation_b` and `operation_c`."""
    return fa.box(**{f"operation_{k}": fa.Finite(_CUTS[name] for name in names) for k, names in OPERATIONS.items()})


def rest(looks: fa.Distribution) -> fa.Distribution:
    """What the second and third part and the hue can be, with the operations and hues of `looks`, such that every pair of
    operations is as likely as its share of those."""
    parts = [[_part(k, name) for name in names] for k, names in OPERATIONS.items()]
    every = fa.mixture((1.0, b * c) for b in parts[0] for c in parts[1])
    return every * fa.box(hue=fa.Interval(0.0, 1.0)) & looks


def _part(k: str, name: str) -> fa.Distribution:
    width, length, place = _RANGES[k, name]
    sides = {"operation": fa.Finite((_CUTS[name],)), "kind": _KINDS}
    sides |= {"width": fa.Interval(*width), "length": fa.Interval(*length)}
    sides |= {axis: fa.Interval(*ends) for axis, ends in zip("xyz", place)}
    sides |= {"turn": fa.Interval(0.0, 2 * math.pi), "tilt": fa.Interval(0.0, math.pi)}
    return fa.box(**{f"{factor}_{k}": side for factor, side in sides.items()})


def solids(factors: Mapping[str, np.ndarray]) -> csg.Solids:
    """The solids of factors of shape (b, 1), in their own axes."""
    value = lambda name: np.asarray(factors[name], np.float64)[:, 0]
    part = np.stack([factors[f"kind_{k}"][:, 0] for k in NAMES], 1)
    width, length = (np.stack([value(f"{name}_{k}") for k in NAMES], 1) for name in ("width", "length"))
    # A box is as wide as it is deep; of a cylinder the length comes second, and a sphere has none.
    size = np.stack([width, np.where(part == csg.PARTS.index("box"), width, length), length], -1)
    size[part == csg.PARTS.index("sphere"), 1:] = 0
    size[part == csg.PARTS.index("cylinder"), 2] = 0
    position, rotation = np.zeros((len(part), 3, 3)), np.tile([1.0, 0, 0, 0], (len(part), 3, 1))
    operation = np.zeros(part.shape, np.int64)
    for i, k in enumerate("bc", 1):
        position[:, i] = np.stack([value(f"{axis}_{k}") for axis in "xyz"], 1)
        # A tilt about y, then a turn about z.
        cy, sy, cz, sz = (f(value(f"{name}_{k}") / 2) for name in ("tilt", "turn") for f in (np.cos, np.sin))
        rotation[:, i] = np.stack([cz * cy, -sz * sy, cz * sy, sz * cy], 1)
        operation[:, i] = factors[f"operation_{k}"][:, 0]
    return csg.Solids(part, size, position, rotation, operation)
