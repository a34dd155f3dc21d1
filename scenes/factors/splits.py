"""Splits: named conditions under which scenes are drawn, and the proof that a test condition was never trained on."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from scenes.factors import placing
from scenes.factors.casts import Casts
from scenes.factors.distributions import Distribution, Finite
from scenes.kit import errors, seeds


@dataclasses.dataclass(frozen=True)
class Repeat:
    """A number of objects, each with factors of its own.

    Why `some`: "at least one object is of a held-out kind" is not a product of boxes, yet its overlaps are still
    computed exactly (`overlap`).
    """

    count: Finite
    """How many objects; all counts are equally likely."""
    each: Distribution
    """What every object lies in."""
    some: Distribution | None = None
    """What at least one object lies in, a part of `each`; None: no such demand."""
    width: int = 0
    """Length to which the objects' factors are padded with zeros; at least the largest count."""
    fits: placing.Fits | None = None
    """Whether two objects may share a scene. Proofs leave it aside, so they speak of a larger set: a reported overlap may be
    one that does not fit, disjointness always holds."""

    def __post_init__(self):
        if self.some is not None and 0 in self.count.values:
            raise errors.CaveError(
                "a group of no objects has none of the demanded kind: start the count at 1", errors.USAGE
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The objects' factors."""
        return self.each.names

    @property
    def support(self) -> tuple:
        """What proofs speak of: how objects are made to fit is no part of it."""
        return (self.count, self.each, self.some)

    def sample(self, key: int, index: np.ndarray, u: np.ndarray) -> dict[str, np.ndarray]:
        """`n_objects`, shape (b,), and factors of the objects, shape (b, width).

        Objects are placed one after another, each at the first of its candidates that fits those before; a scene in
        which one found no place starts again. `u` (b, 2) chooses how many objects a scene has and which of them lies in
        `some`. Row i depends on `key`, `index[i]` and `u[i]` alone.
        """
        counts = np.asarray(self.count.values)
        n = counts[(u[:, 0] * len(counts)).astype(np.int64)]
        special = (u[:, 1] * n).astype(np.int64)
        width = max(self.width, *self.count.values)
        nothing = self.each.sample_uniforms(np.empty((0, len(self.each.names) + 1)))
        placed = {name: np.zeros((len(index), width), values.dtype) for name, values in nothing.items()}

        def offer(rows, j, many, stream):
            return self._offer(key, index[rows], special[rows] == j, many, stream)

        placing.place(placed, n, offer, self.fits)
        return {"n_objects": n} | placed

    def _offer(self, key, index, special, count, stream) -> dict[str, np.ndarray]:
        """Candidates for one object of each row, shape (rows, count)."""
        d = len(self.each.names) + 1
        u = seeds.uniform(key, index, count * d, stream).reshape(len(index), count, d)
        offered = self.each.sample_uniforms(u.reshape(-1, d))
        offered = {name: values.reshape(-1, count) for name, values in offered.items()}
        if self.some is not None and special.any():
            chosen = self.some.sample_uniforms(u[special].reshape(-1, d))
            for name, values in chosen.items():
                offered[name][special] = values.reshape(-1, count)
        return offered

    def contains(self, factors: Mapping[str, np.ndarray]) -> np.ndarray:
        """Which scenes have such objects, shape (b,); `factors` holds `n_objects` (b,) and padded arrays (b, k)."""
        n = np.asarray(factors["n_objects"])
        objects = {name: np.asarray(factors[name]) for name in self.each.names}
        if not objects:
            return self.count.contains(n)
        width = next(iter(objects.values())).shape[1]
        real = np.arange(width) < n[:, None]
        inside = self.count.contains(n) & (n <= width)
        inside &= (self.each.contains(objects) | ~real).all(1)
        if self.some is not None:
            inside &= (self.some.contains(objects) & real).any(1)
        return inside & placing.fitting(objects, real, self.fits)

    def is_empty(self) -> bool:
        """Whether there is no such group of objects (leaving `fits` aside)."""
        wanted = self.each if self.some is None else self.each & self.some
        return not self.count.values or (wanted.is_empty() and 0 not in self.count.values)

    def common(self, other: "Repeat") -> list[dict] | None:
        """A group of objects that both allow, or None.

        Both allow a group if it has a count of both, every object lies in both `each`, and one at least in each `some`.
        So: none if the counts are disjoint; an empty group if both allow one; else one object for each demand, a single
        one if it can serve both, filled up with any that both allow.
        """
        each = self.each & other.each
        demands = [each & some for some in (self.some, other.some) if some is not None]
        if any(demand.is_empty() for demand in demands):
            demands = None
        else:
            together = demands[0] & demands[-1] if demands else each
            demands = [together] if demands and not together.is_empty() else demands
        for n in self.count.intersect(other.count).values:
            if n == 0 and self.some is None and other.some is None:
                return []
            if n and demands is not None and n >= len(demands) and not each.is_empty():
                group = [demand.witness() for demand in demands]
                return group + [each.witness()] * (n - len(group))
        return None

    def excess(self, other: "Repeat") -> dict | None:
        """Something that these objects, which are not none, can be and the other's cannot; None if there is no such."""
        some = self.each if self.some is None else self.each & self.some
        counts = self.count.intersect(Finite((0,))) if some.is_empty() else self.count
        more = counts.minus(other.count)
        if more:
            return {"n_objects": more[0].middle()}
        parts = []
        if counts.values[-1]:
            # A single object has to be the one that is demanded; of several, the others are free.
            parts.append((some if counts.values[-1] == 1 else self.each) - other.each)
            # The demanded one may serve the other's demand; if it need not, a group without any such is possible.
            parts += [] if other.some is None else [some - other.some]
        return next((part.witness() for part in parts if not part.is_empty()), None)

    def grown_from(self, other: "Repeat") -> bool:
        """Whether these are the other's objects but for their number."""
        few = dataclasses.replace(self, count=Finite((max(other.count.values),)))
        return few.excess(other) is None

    def without(self, names: Sequence[str]) -> "Repeat":
        """The same, of all factors but some."""
        some = self.some and self.some.without(names)
        return dataclasses.replace(self, each=self.each.without(names), some=some, fits=None)


@dataclasses.dataclass(frozen=True)
class Split:
    """A named condition: factors of the scene, and of its objects."""

    name: str
    scene: Distribution
    objects: Repeat | Casts
    in_distribution_of: str | None = None
    """The split whose fresh samples these are; its own name: scenes to learn from, of which nothing is claimed; None: a
    condition of its own, which must not overlap training."""
    novel: tuple[str, ...] = ()
    """Factors that set it apart from training, named in errors and reports."""
    simulator: str = ""
    """What moves its scenes, where there is a choice."""

    def sample(self, seed: int, index) -> dict[str, np.ndarray]:
        """Factors of scenes `index` (integers, shape (b,)): arrays of shape (b,), those of objects (b, width), padded.

        Scene `i` is a pure function of (split, seed, i): the same in any order, batch and process. A constant factor of the
        scene takes no random number, so that to name one more changes no draw.

        Raises:
            errors.CaveError: the split is empty, or its objects cannot be made to fit.
        """
        index = np.asarray(index, np.int64)
        key = seeds.derive(seed, "scenes", self.name)
        drawn = [i for i, name in enumerate(self.scene.names) if name not in self.scene.constants]
        d = len(drawn)
        u = seeds.uniform(key, index, d + 3)
        own = np.zeros((len(index), len(self.scene.names) + 1))
        own[:, [0, *(i + 1 for i in drawn)]] = u[:, : d + 1]
        factors = self.scene.sample_uniforms(own)
        try:
            return factors | self.objects.sample(key, index, u[:, d + 1 :])
        except errors.CaveError as error:
            raise errors.CaveError(f"split {self.name!r}: {error}", error.code) from None

    def contains(self, factors: Mapping[str, np.ndarray]) -> np.ndarray:
        """Which scenes are possible under this split, as a bool array of shape (b,)."""
        return self.scene.contains(factors) & self.objects.contains(factors)

    def is_empty(self) -> bool:
        """Whether it has no scene at all (leaving `fits` aside)."""
        return self.scene.is_empty() or self.objects.is_empty()


def overlap(a: Split, b: Split) -> dict | None:
    """A scene's factors possible under both splits, or None if there is none; computed from the distributions.

    The witness has plain numbers for the scene and `n_objects`, and lists, one entry an object, for the objects.
    """
    scene = (a.scene & b.scene).witness()
    objects = a.objects.common(b.objects)
    if scene is None or objects is None:
        return None
    columns = {name: [one[name] for one in objects] for name in a.objects.names}
    return scene | {"n_objects": len(objects)} | columns


def excess(a: Split, b: Split) -> dict | None:
    """Factors of something that `a`, which is not empty, can draw and `b` cannot; None if `a` lies within `b` (but for
    `fits`)."""
    return (a.scene - b.scene).witness() or a.objects.excess(b.objects)


def check_splits(splits: Mapping[str, Split], train: str = "train") -> None:
    """Prove, from the distributions themselves, that every split is what it says.

    Raises:
        errors.CaveError: a split is empty; or one lies outside training by its word and can draw a training scene; or
            one says it is in distribution and can draw what that split cannot. Factor and witness are named.
    """
    for split in splits.values():
        if split.is_empty():
            what = ", ".join(split.novel) or "its factors"
            raise errors.CaveError(f"split {split.name!r} is empty: no value of {what} is left", errors.USAGE)
    for split in splits.values():
        if split.name == train:
            continue
        if split.in_distribution_of is not None:
            witness = excess(split, splits[split.in_distribution_of])
            if witness is not None:
                told = split.in_distribution_of
                raise errors.CaveError(
                    f"split {split.name!r} says it is in distribution of {told!r}, which cannot draw "
                    f"{spell(witness, split.novel)}",
                    errors.USAGE,
                )
        else:
            witness = overlap(split, splits[train])
            if witness is not None:
                raise errors.CaveError(
                    f"split {split.name!r} leaks: {train!r} can draw its {spell(witness, split.novel)} too",
                    errors.USAGE,
                )


def spell(witness: dict, first: tuple[str, ...]) -> str:
    """A witness in words, the factors that matter first."""
    names = [name for name in first if name in witness] or list(witness)
    return ", ".join(f"{name} = {_round(witness[name])}" for name in names)


def _round(value):
    return [_round(v) for v in value] if isinstance(value, list) else float(f"{value:.4g}")
