"""Objects of several sorts in one scene, each sort in its number: two targets among three distractors."""

import dataclasses
import functools
import itertools
import operator
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from scenes.factors import placing
from scenes.factors.distributions import Distribution, Finite
from scenes.kit import errors, seeds


@dataclasses.dataclass(frozen=True)
class Casts:
    """Who may share a scene: one of several casts, each of them numbers of objects and what those lie in.

        Casts((((1, targets), (2, distractors)), ((2, targets),)))

    is one target beside two distractors, or two targets alone. All casts are equally likely, and the objects come in any
    order, so that it tells nothing. Nothing but `fits` keeps objects apart.

    Why not `Repeat`: there every object lies in the same set, so that it cannot say "exactly one target". Disjointness
    stays exact: a group of objects belongs to a cast if the two can be paired (Hall's marriage theorem), and two casts
    share a group if their places can.
    """

    casts: tuple[tuple[tuple[int, Distribution], ...], ...]
    """Of each cast: (how many, what they lie in), over the same factors everywhere."""
    width: int = 0
    """Length to which the objects' factors are padded with zeros; at least that of the largest cast."""
    fits: placing.Fits | None = None
    """Whether two objects may share a scene; proofs leave it aside, as they do that of `Repeat`. None: any may."""

    def __post_init__(self):
        if any(n < 1 for cast in self.casts for n, _ in cast):
            raise errors.CaveError("a cast has at least one object of every sort that it names", errors.USAGE)
        if len({frozenset(sort.names) for cast in self.casts for _, sort in cast}) > 1:
            raise errors.CaveError("all objects of casts need the same factors", errors.USAGE)

    @functools.cached_property
    def count(self) -> Finite:
        """How many objects there may be."""
        return Finite(map(_size, self.casts))

    @functools.cached_property
    def each(self) -> Distribution:
        """What every object lies in: in one or another of the sorts."""
        return functools.reduce(operator.or_, dict.fromkeys(sort for cast in self.casts for _, sort in cast))

    @property
    def some(self) -> None:
        """What one object at least lies in: nothing more than all do."""
        return None

    @property
    def names(self) -> tuple[str, ...]:
        """The objects' factors."""
        return next((sort.names for cast in self.casts for _, sort in cast), ())

    @property
    def support(self) -> tuple:
        """What proofs speak of."""
        return (self.casts,)

    def sample(self, key: int, index: np.ndarray, u: np.ndarray) -> dict[str, np.ndarray]:
        """`n_objects`, shape (b,), and factors of the objects, shape (b, width); `u` (b, 2) chooses each row's cast.

        Row i depends on `key`, `index[i]` and `u[i]` alone.
        """
        casts = [cast for cast in self.casts if not any(sort.is_empty() for _, sort in cast)]
        width = max(self.width, *self.count.values)
        some = casts[0][0][1].sample_uniforms(np.empty((0, len(self.names) + 1)))
        placed = {name: np.zeros((len(index), width), values.dtype) for name, values in some.items()}
        chosen = (u[:, 0] * len(casts)).astype(np.int64)
        n = np.array([_size(cast) for cast in casts])[chosen]
        if self.fits is not None:
            self._fit(placed, casts, chosen, n, key, index)
            return {"n_objects": n} | placed
        for number in np.unique(chosen):
            rows, begin = np.flatnonzero(chosen == number), 0
            order = seeds.uniform(key, index[rows], _size(casts[number]), 1).argsort(1)
            for i, (many, sort) in enumerate(casts[number]):
                d = len(sort.names) + 1
                drawn = sort.sample_uniforms(seeds.uniform(key, index[rows], many * d, 2 + i).reshape(-1, d))
                places = order[:, begin : begin + many]
                for name, values in drawn.items():
                    placed[name][rows[:, None], places] = values.reshape(-1, many)
                begin += many
        return {"n_objects": n} | placed

    def _fit(self, placed: dict, casts: list, chosen: np.ndarray, n: np.ndarray, key: int, index: np.ndarray) -> None:
        """Place objects one after another, each row's cast in an order of its own."""
        sorts = list(dict.fromkeys(sort for cast in casts for _, sort in cast))
        table = np.full((len(casts), max(map(_size, casts))), -1)
        for row, cast in zip(table, casts):
            row[: _size(cast)] = [sorts.index(sort) for many, sort in cast for _ in range(many)]
        # Places that a cast does not have sort behind all others.
        order = np.where(table[chosen] < 0, 2.0, seeds.uniform(key, index, table.shape[1], 1)).argsort(1)
        of = np.take_along_axis(table[chosen], order, 1)

        def offer(rows, j, count, stream):
            d = len(self.names) + 1
            u = seeds.uniform(key, index[rows], count * d, 1 + stream).reshape(len(rows), count, d)
            offered = {name: np.zeros((len(rows), count), values.dtype) for name, values in placed.items()}
            for number in np.unique(of[rows, j]):
                own = of[rows, j] == number
                for name, values in sorts[number].sample_uniforms(u[own].reshape(-1, d)).items():
                    offered[name][own] = values.reshape(-1, count)
            return offered

        placing.place(placed, n, offer, self.fits)

    def contains(self, factors: Mapping[str, np.ndarray]) -> np.ndarray:
        """Which scenes have such objects, shape (b,); `factors` holds `n_objects` (b,) and padded arrays (b, k)."""
        n = np.asarray(factors["n_objects"])
        objects = {name: np.asarray(factors[name]) for name in self.names}
        width = next(iter(objects.values())).shape[1]
        real = np.arange(width) < n[:, None]
        held = {id(sort): sort.contains(objects) & real for cast in self.casts for _, sort in cast}
        inside = np.zeros(len(n), bool)
        for cast in self.casts:
            fits = (n == _size(cast)) & (n <= width)
            # Hall: objects find places if, of any sorts, no more objects can be of those alone than those have places.
            for few in itertools.product((False, True), repeat=len(cast)):
                beyond = [held[id(sort)] for (_, sort), one in zip(cast, few) if not one]
                alone = real & ~functools.reduce(np.logical_or, beyond, np.zeros_like(real))
                fits &= alone.sum(1) <= sum(many for (many, _), one in zip(cast, few) if one)
            inside |= fits
        return inside & placing.fitting(objects, real, self.fits)

    def is_empty(self) -> bool:
        """Whether there is no such group of objects."""
        return all(any(sort.is_empty() for _, sort in cast) for cast in self.casts)

    def common(self, other: "Casts") -> list[dict] | None:
        """A group of objects that both allow, or None."""
        shared = lambda a, b: (a & b).witness()
        return next((group for cast in self.casts if (group := other._pair(cast, shared)) is not None), None)

    def excess(self, other: "Casts") -> dict | None:
        """A group of objects, as `n_objects` and lists, of a cast that lies in none of the other's; None if each does.

        It may be one that several of the other's casts hold only together.
        """
        for cast in self.casts:
            if not any(sort.is_empty() for _, sort in cast) and other._pair(cast, _held) is None:
                group = [sort.witness() for many, sort in cast for _ in range(many)]
                return {"n_objects": len(group)} | {name: [one[name] for one in group] for name in self.names}
        return None

    def grown_from(self, other: "Casts") -> bool:
        """Whether each of these casts is one of the other's and some more."""
        return all(other._pair(cast, _held, grown=True) is not None for cast in self.casts)

    def without(self, names: Sequence[str]) -> "Casts":
        """The same, of all factors but some."""
        casts = tuple(tuple((many, sort.without(names)) for many, sort in cast) for cast in self.casts)
        return dataclasses.replace(self, casts=casts, fits=None)

    def _pair(
        self, cast: tuple, match: Callable[[Distribution, Distribution], dict | None], grown: bool = False
    ) -> list[dict] | None:
        """What `match` finds for an object of its own, of a cast, in every place of one of these casts; None if nothing.

        Objects may be left over if it is `grown`.
        """
        for own in self.casts:
            if _size(own) > _size(cast) or (_size(own) < _size(cast) and not grown):
                continue
            table = [[match(a, b) for _, a in cast] for _, b in own]
            places = [i for i, (many, _) in enumerate(own) for _ in range(many)]
            objects = [i for i, (many, _) in enumerate(cast) for _ in range(many)]
            edges = [[one for one, j in enumerate(objects) if table[i][j] is not None] for i in places]
            taken: dict[int, int] = {}
            if all(_seat(place, edges, taken, set()) for place in range(len(places))):
                return [table[places[place]][objects[one]] for one, place in sorted(taken.items())]
        return None


def _held(a: Distribution, b: Distribution) -> dict | None:
    return a.witness() if a.within(b) else None


def _size(cast: tuple) -> int:
    return sum(many for many, _ in cast)


def _seat(place: int, edges: list[list[int]], taken: dict[int, int], tried: set[int]) -> bool:
    """Find somebody for one more place, moving others on where need be (augmenting paths)."""
    for one in edges[place]:
        if one not in tried:
            tried.add(one)
            if one not in taken or _seat(taken[one], edges, taken, tried):
                taken[one] = place
                return True
    return False
