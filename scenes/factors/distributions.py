"""Distributions over named factors: unions of products of intervals and finite sets, with exact set algebra.

Because a distribution is a list of boxes, "does the test split overlap training?" is computed, not sampled:
intersections, differences and witnesses are exact, with no tolerance at all. The idea of factor distributions as
first-class objects is Spriteworld's (Watters et al., 2019); theirs answers by sampling.
"""

import dataclasses
import functools
import itertools
import math
import operator
from collections.abc import Iterable, Mapping

import numpy as np

from scenes.kit import errors


@dataclasses.dataclass(frozen=True)
class Interval:
    """Real numbers in [lo, hi); empty if hi <= lo."""

    lo: float
    hi: float

    def __post_init__(self):
        if not (math.isfinite(self.lo) and math.isfinite(self.hi)):
            raise errors.CaveError(f"an interval needs finite ends, not [{self.lo}, {self.hi})", errors.USAGE)

    @property
    def volume(self) -> float:
        """Its length; 0 if empty."""
        return max(0.0, self.hi - self.lo)

    def is_empty(self) -> bool:
        """Whether it holds no number."""
        return self.hi <= self.lo

    def contains(self, values) -> np.ndarray:
        """Which of `values` it holds, as a bool array of their shape."""
        return (values >= self.lo) & (values < self.hi)

    def intersect(self, other: "Interval") -> "Interval":
        """Numbers in both."""
        return Interval(max(self.lo, other.lo), min(self.hi, other.hi))

    def minus(self, other: "Interval") -> "list[Interval]":
        """Numbers in this one but not in the other, in at most two pieces."""
        if self.intersect(other).is_empty():
            return [self]
        pieces = [Interval(self.lo, other.lo), Interval(other.hi, self.hi)]
        return [piece for piece in pieces if not piece.is_empty()]

    def middle(self) -> float:
        """A number in it."""
        return min(self.lo + (self.hi - self.lo) / 2, math.nextafter(self.hi, -math.inf))


@dataclasses.dataclass(frozen=True)
class Finite:
    """A finite set of integers, kept sorted; `Finite(range(3))` and `Finite((2, 0, 1))` are the same set."""

    values: Iterable[int]

    def __post_init__(self):
        object.__setattr__(self, "values", tuple(sorted({int(value) for value in self.values})))

    @property
    def volume(self) -> float:
        """How many values it holds."""
        return float(len(self.values))

    def is_empty(self) -> bool:
        """Whether it holds no value."""
        return not self.values

    def contains(self, values) -> np.ndarray:
        """Which of `values` it holds, as a bool array of their shape."""
        return np.isin(values, self.values)

    def intersect(self, other: "Finite") -> "Finite":
        """Values in both."""
        return Finite(set(self.values) & set(other.values))

    def minus(self, other: "Finite") -> "list[Finite]":
        """Values in this one but not in the other, in at most one piece."""
        left = Finite(set(self.values) - set(other.values))
        return [] if left.is_empty() else [left]

    def middle(self) -> int:
        """A value in it."""
        return self.values[len(self.values) // 2]


Side = Interval | Finite


@dataclasses.dataclass(frozen=True)
class Distribution:
    """A union of boxes over the factors `names`, each box a product of one `Interval` or `Finite` a factor. Immutable.

    Make one with `box`, and combine: `a * b` product of different factors, `a | b` union, `a - b` difference, `a & b`
    intersection, `mixture`. In `-` and `&` the right side may name fewer factors than the left and is then
    unconstrained in the rest: `rooms - box(hue=Interval(0.2, 0.35))`.

    Why masses: `box` is uniform, with its volume as mass (lengths times counts); a union keeps the masses of its first
    part and adds what the second has beyond it, so a union of plain boxes is uniform over the set; `-` and `&` keep the
    fraction of a box's mass that is left: they condition. Only `mixture` gives masses by hand.
    """

    names: tuple[str, ...]
    boxes: tuple[tuple[Side, ...], ...]
    masses: tuple[float, ...]

    def is_empty(self) -> bool:
        """Whether no value is possible. Exact."""
        return not self.boxes

    @functools.cached_property
    def constants(self) -> tuple[str, ...]:
        """Factors of finite sets that have but one value."""
        values = {name: {getattr(box_[i], "values", None) for box_ in self.boxes} for i, name in enumerate(self.names)}
        return tuple(name for name, sets in values.items() if len(sets) == 1 and len(next(iter(sets)) or ()) == 1)

    def contains(self, factors: Mapping[str, np.ndarray]) -> np.ndarray:
        """Which rows lie in the support, as a bool array of the factors' common shape; other factors are ignored."""
        arrays = [np.asarray(factors[name]) for name in self.names]
        inside = np.zeros(np.broadcast_shapes(*(array.shape for array in arrays)), bool)
        for box_ in self.boxes:
            within = np.ones(inside.shape, bool)
            for side, array in zip(box_, arrays):
                within &= side.contains(array)
            inside |= within
        return inside

    def witness(self) -> dict[str, float | int] | None:
        """Some value of the support, or None if it is empty."""
        return {name: side.middle() for name, side in zip(self.names, self.boxes[0])} if self.boxes else None

    def sample_uniforms(self, u: np.ndarray) -> dict[str, np.ndarray]:
        """Factors from uniform numbers, by inverse distribution functions: a pure map.

        Args:
            u: In [0, 1), shape (b, len(names) + 1): one number to choose the box, one a factor.

        Returns:
            Arrays of shape (b,): float64 for intervals, int64 for finite sets. All lie in the support.

        Raises:
            errors.CaveError: the distribution is empty.
        """
        if self.is_empty():
            raise errors.CaveError(f"nothing can be drawn: the distribution of {', '.join(self.names)} is empty")
        ends, tables = self._tables
        chosen = np.searchsorted(ends, u[:, 0], side="right")
        return {name: _quantile(table, chosen, u[:, i + 1]) for i, (name, table) in enumerate(tables.items())}

    @functools.cached_property
    def _tables(self) -> tuple[np.ndarray, dict[str, tuple[np.ndarray, np.ndarray]]]:
        """Upper ends of the boxes on [0, 1) without the last, and for each factor its sides as arrays over boxes."""
        masses = np.asarray(self.masses)
        # Volumes of absurdly small or large boxes can underflow or overflow; the support is still what counts.
        usable = np.all(np.isfinite(masses)) and 0 < masses.sum() < np.inf
        masses = masses if usable else np.ones(len(masses))
        ends = np.cumsum(masses / masses.sum())[:-1]
        tables = {}
        for i, name in enumerate(self.names):
            sides = [box_[i] for box_ in self.boxes]
            if isinstance(sides[0], Interval):
                tables[name] = np.array([side.lo for side in sides]), np.array([side.hi for side in sides])
            else:
                counts = np.array([len(side.values) for side in sides])
                values = np.zeros((len(sides), counts.max()), np.int64)
                for row, side in zip(values, sides):
                    row[: len(side.values)] = side.values
                tables[name] = counts, values
        return ends, tables

    def onto(self, *names: str) -> "Distribution":
        """The set of values that some of the factors can take (a projection of the support, uniform)."""
        columns = [self.names.index(name) for name in names]
        result = Distribution(tuple(names), (), ())
        for sides in dict.fromkeys(tuple(box_[i] for i in columns) for box_ in self.boxes):
            result = result | _of_boxes(tuple(names), [sides])
        return result

    def marginal(self, name: str) -> "Distribution":
        """The set of values that one factor can take.

        Raises:
            errors.CaveError: there is no such factor.
        """
        if name not in self.names:
            raise errors.CaveError(f"there is no factor {name!r} among {', '.join(self.names)}")
        return self.onto(name)

    def without(self, names: Iterable[str]) -> "Distribution":
        """The set of values that all factors but some can take."""
        return self.onto(*(name for name in self.names if name not in names))

    def within(self, other: "Distribution") -> bool:
        """Whether whatever is possible here is possible there, in the factors that the other names. Exact."""
        return (self - other).is_empty()

    def __mul__(self, other: "Distribution") -> "Distribution":
        both = set(self.names) & set(other.names)
        if both:
            raise errors.CaveError(f"a product needs different factors; both sides name {', '.join(sorted(both))}")
        boxes = tuple(a + b for a in self.boxes for b in other.boxes)
        masses = tuple(a * b for a in self.masses for b in other.masses)
        return Distribution(self.names + other.names, boxes, masses)

    def __or__(self, other: "Distribution") -> "Distribution":
        if set(self.names) != set(other.names):
            raise errors.CaveError(
                f"a union needs the same factors on both sides, not {', '.join(self.names)} | {', '.join(other.names)}"
            )
        order = [other.names.index(name) for name in self.names]
        aligned = Distribution(self.names, tuple(tuple(box_[i] for i in order) for box_ in other.boxes), other.masses)
        rest = aligned - self
        return Distribution(self.names, self.boxes + rest.boxes, self.masses + rest.masses)

    def __and__(self, other: "Distribution") -> "Distribution":
        pieces = []
        for cut in self._aligned(other._as_set):
            for box_, mass in zip(self.boxes, self.masses):
                shared = _meet(box_, cut)
                if shared is not None:
                    pieces.append((shared, mass * _fraction(shared, box_)))
        return _collect(self.names, pieces)

    def __sub__(self, other: "Distribution") -> "Distribution":
        pieces = list(zip(self.boxes, self.masses))
        for cut in self._aligned(other):
            pieces = [piece for box_, mass in pieces for piece in _cut(box_, mass, cut)]
        return _collect(self.names, pieces)

    @functools.cached_property
    def _as_set(self) -> "Distribution":
        """The same support in boxes that do not overlap (those of a mixture may)."""
        whole = [dict(enumerate(box_)) for box_ in self.boxes]
        if any(_meet(self.boxes[i], whole[j]) is not None for i in range(len(whole)) for j in range(i)):
            return self.onto(*self.names)
        return self

    def _aligned(self, other: "Distribution") -> list[dict[int, Side]]:
        """The other's boxes as constraints by column of this distribution."""
        strange = [name for name in other.names if name not in self.names]
        if strange:
            raise errors.CaveError(f"there is no factor {strange[0]!r} among {', '.join(self.names)}")
        columns = [self.names.index(name) for name in other.names]
        for column, sides in zip(columns, zip(*other.boxes)):
            kinds = {type(box_[column]) for box_ in self.boxes} | {type(side) for side in sides}
            if len(kinds) > 1:
                raise errors.CaveError(f"factor {self.names[column]!r} is an interval here and a finite set there")
        return [dict(zip(columns, box_)) for box_ in other.boxes]


def box(**factors: Side) -> Distribution:
    """The uniform distribution on a product: `box(shape=Finite(range(3)), hue=Interval(0, 0.5))`."""
    return _of_boxes(tuple(factors), [tuple(factors.values())])


def mixture(parts: Iterable[tuple[float, Distribution]]) -> Distribution:
    """Draw from one of several distributions over the same factors, with the given weights (positive)."""
    parts = list(parts)
    names = parts[0][1].names
    boxes, masses = [], []
    for weight, part in parts:
        if part.names != names or part.is_empty() or not weight > 0:
            raise errors.CaveError(
                "a mixture needs positive weights and parts that are not empty, over the same factors"
            )
        total = sum(part.masses)
        boxes += part.boxes
        masses += [weight * mass / total for mass in part.masses]
    return Distribution(names, tuple(boxes), tuple(masses))


def union(*parts: Distribution) -> Distribution:
    """What any of one or more distributions over the same factors contains, each point once."""
    return functools.reduce(operator.or_, parts)


def cut(distribution: Distribution, n: int) -> list[Distribution]:
    """The support of one real factor in `n` consecutive parts of equal length."""
    (name,) = distribution.names
    if distribution.is_empty():
        return [distribution] * n
    lows, highs = np.array(sorted((side.lo, side.hi) for (side,) in distribution._as_set.boxes)).T
    lengths = np.concatenate([[0.0], np.cumsum(highs - lows)])
    wanted = lengths[-1] * np.arange(1, n) / n
    piece = np.searchsorted(lengths[1:-1], wanted)
    cuts = lows[piece] + (wanted - lengths[piece])
    marks = [float(lows[0]), *cuts.tolist(), float(highs[-1])]
    return [distribution & box(**{name: Interval(*ends)}) for ends in itertools.pairwise(marks)]


def _of_boxes(names, boxes) -> Distribution:
    return _collect(names, [(box_, math.prod(side.volume for side in box_)) for box_ in boxes])


def _collect(names, pieces) -> Distribution:
    pieces = [(box_, mass) for box_, mass in pieces if not any(side.is_empty() for side in box_)]
    return Distribution(names, tuple(box_ for box_, _ in pieces), tuple(mass for _, mass in pieces))


def _meet(box_: tuple[Side, ...], cut: dict[int, Side]) -> tuple[Side, ...] | None:
    """What a box shares with constraints on some of its columns; None if nothing."""
    shared = list(box_)
    for column, side in cut.items():
        shared[column] = shared[column].intersect(side)
        if shared[column].is_empty():
            return None
    return tuple(shared)


def _cut(box_: tuple[Side, ...], mass: float, cut: dict[int, Side]):
    """What is left of a box outside the constraints, as disjoint boxes with their share of the mass."""
    if _meet(box_, cut) is None:
        return [(box_, mass)]
    pieces, inside = [], list(box_)
    for column, side in cut.items():
        for outside in inside[column].minus(side):
            piece = (*inside[:column], outside, *inside[column + 1 :])
            pieces.append((piece, mass * _fraction(piece, box_)))
        inside[column] = inside[column].intersect(side)
    return pieces


def _fraction(part: tuple[Side, ...], whole: tuple[Side, ...]) -> float:
    """Volume of a part of a box relative to the box."""
    return math.prod(a.volume / b.volume for a, b in zip(part, whole) if a is not b)


def _quantile(table: tuple[np.ndarray, np.ndarray], chosen: np.ndarray, u: np.ndarray) -> np.ndarray:
    first, second = table
    if second.ndim == 1:
        lo, hi = first[chosen], second[chosen]
        return np.minimum(lo + u * (hi - lo), np.nextafter(hi, -np.inf))
    return second[chosen, (u * first[chosen]).astype(np.int64)]
