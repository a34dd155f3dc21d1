"""Which colours and shapes of objects training has, and which it lacks: what families begin their splits with."""

import dataclasses
from collections.abc import Sequence

from scenes.factors.distributions import Distribution, Finite, Interval, box, cut, union
from scenes.kit import errors


@dataclasses.dataclass(frozen=True, eq=False)
class Looks:
    """Distributions over `shape` and `hue`."""

    train: Distribution
    """Shapes and hues of training, less the pairs that are held out."""
    held_out: Distribution
    """Those pairs: each training shape is denied one band of hues, another one each."""
    either: Distribution
    """Both."""
    new_hues: Distribution
    """Training's shapes, in hues that it lacks."""
    new_shapes: Distribution
    """Shapes that training lacks, in its hues."""


def hues(family: str, new: Sequence[tuple[float, float]]) -> tuple[Distribution, Distribution]:
    """Hues that training has, and those that it lacks.

    Args:
        family: Its name.
        new: Intervals, within [0, 1), of those that it lacks.

    Raises:
        errors.CaveError: an interval lies elsewhere, or is none.
    """
    for low, high in new:
        if not 0 <= low < high <= 1:
            raise errors.CaveError(f"{family}: new_hues has ({low}, {high}), wanted 0 <= low < high <= 1", errors.USAGE)
    circle = box(hue=Interval(0.0, 1.0))
    lacking = union(circle - circle, *(box(hue=Interval(*ends)) for ends in new))
    return circle - lacking, lacking


def looks(
    family: str, known: Sequence[str], new_shapes: Sequence[str], new_hues: Sequence[tuple[float, float]]
) -> Looks:
    """How the objects of a family look.

    Args:
        family: Its name.
        known: Its shapes; the factor `shape` is an index into them.
        new_shapes: Those that training lacks.
        new_hues: Intervals of hue that it lacks.

    Raises:
        errors.CaveError: a shape is unknown, or an interval lies outside [0, 1).
    """
    for shape in new_shapes:
        if shape not in known:
            raise errors.unknown("shape", shape, known)
    old = [i for i, shape in enumerate(known) if shape not in new_shapes]
    shapes = box(shape=Finite(old))
    other_shapes = box(shape=Finite(range(len(known)))) - shapes
    old_hues, other_hues = hues(family, new_hues)
    either = shapes * old_hues
    pairs = [box(shape=Finite((i,))) * band for i, band in zip(old, cut(old_hues, len(old)))]
    held_out = union(either - either, *pairs)
    return Looks(either - held_out, held_out, either, shapes * other_hues, other_shapes * old_hues)
