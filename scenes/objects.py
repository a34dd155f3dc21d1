"""One procedural solid to a scene, with its exact signed distance: superquadrics or CSG, looked at from all around.

A superquadric (`scenes.geometry.superquadrics`) or, with `solids="csg"`, a union, intersection or difference of boxes,
spheres and cylinders (`scenes.geometry.csg`) hovers above a plain or textured ground, turned about the z axis, its
middle above the origin; cameras stand on a sphere around it. It is drawn as a mesh whose vertices lie on it, and
`distance`, `occupied` and `surface` say exactly where it is, in the axes of the scene and in metres.

Splits (all but `test` lie outside the training support, as `factors.check_splits` proves whenever they are made); of
superquadrics and, where they differ, of CSG:

    train           boxes with round edges, cylinders, ellipsoids and between; no `new_hues`, some pairs held out
                    CSG: three parts of any kinds; the second united, cutting or cut away, the third united or cut away
    test            fresh seeds of the same
    new-colours     a hue kept from training
    new-shapes      an exponent beyond training's: pinched along one or both ways, as an octahedron is
                    CSG: two parts cut away, one after the other
    new-sizes       longer along z than any in training; CSG: the first part is
    recombination   held-out pairs of roundness and hue, each of them common in training
                    CSG: of the second part's operation and hue

Solids of a scene, in order: 0 the ground, then the object.
"""

import dataclasses
import functools
import math
import types
from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

import scenes
from scenes import factors as fa
from scenes.geometry import csg, superquadrics
from scenes.kit import errors, seeds
from scenes.solids import composites, rgb, stages
from scenes.solids.stages import FIRST_OBJECT, FOV, NUISANCE

__all__ = [
    "FIRST_OBJECT",
    "FOV",
    "NUISANCE",
    "Config",
    "build",
    "check",
    "distance",
    "occupied",
    "ring_poses",
    "splits",
    "surface",
]

SIZES, LONG = (0.25, 0.5), 0.8
"""Range of half axes in metres, and the largest of the split `new-sizes`."""
EXPONENTS, PINCHED = (0.25, 1.15), (1.3, 1.75)
"""Ranges of exponents in training, and of one or both in the split `new-shapes`."""
REACH = 1.0
"""Half extent in metres, about the object's middle, of a cube that holds any object."""
_SIZE = ("size_x", "size_y", "size_z")
LIMITS = {"n_objects": (1, 1), "north": (0.2, 1.8), "east": (0.2, 1.8)} | dict.fromkeys(_SIZE, (0.05, LONG))
LIMITS |= stages.LIMITS | composites.LIMITS
"""Least and largest values of factors that an object can be built of, whatever splits draw."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the solids."""

    solids: Literal["superquadrics", "csg"] = "superquadrics"
    """What an object is; their factors differ."""
    new_hues: tuple[tuple[float, float], ...] = ((0.2, 0.35), (0.7, 0.85))
    """Intervals of hue, within [0, 1), kept for the split `new-colours`."""


@functools.lru_cache(maxsize=64)
def splits(config: Config) -> Mapping[str, fa.Split]:
    """The splits by name, proved disjoint from training (or within it) from their distributions.

    Raises:
        errors.CaveError: the options leave a split empty, or make one leak; factor and witness are named.
    """
    if config.solids not in ("superquadrics", "csg"):
        raise errors.unknown("solids of objects", config.solids, ("superquadrics", "csg"))
    hues, new_hues = fa.hues("objects", config.new_hues)
    made = _composites(hues, new_hues) if config.solids == "csg" else _superquadrics(hues, new_hues)
    made = {one.name: one for one in made}
    fa.check_splits(made)
    return types.MappingProxyType(made)


def _superquadrics(hues: fa.Distribution, new_hues: fa.Distribution) -> list[fa.Split]:
    middle = sum(EXPONENTS) / 2
    halves = [fa.Interval(EXPONENTS[0], middle), fa.Interval(middle, EXPONENTS[1])]
    kinds = [fa.box(north=north, east=east) for north in halves for east in halves]
    known = fa.union(*kinds)
    old, new = fa.Interval(*EXPONENTS), fa.Interval(*PINCHED)
    pinched = fa.union(*(fa.box(north=north, east=east) for north, east in ((new, old), (old, new), (new, new))))
    # Boxes, cylinders, cushions and ellipsoids are denied one band of hues each: the pairs of `recombination`.
    looks = known * hues
    pairs = [kind * band for kind, band in zip(kinds, fa.cut(hues, len(kinds)))]
    held_out = fa.union(looks - looks, *pairs)
    seen = looks - held_out
    side, long = fa.Interval(*SIZES), fa.Interval(SIZES[1], LONG)
    across = fa.box(size_x=side, size_y=side, yaw=fa.Interval(0.0, 2 * math.pi))

    def split(name, novel=(), looks=seen, height=side, of=None):
        each = looks * across * fa.box(size_z=height)
        return fa.Split(name, stages.scenery(), fa.Repeat(fa.Finite((1,)), each, width=1), of, novel)

    return [
        split("train"),
        split("test", of="train"),
        split("new-colours", ("hue",), looks=known * new_hues),
        split("new-shapes", ("north", "east"), looks=pinched * hues),
        split("new-sizes", ("size_z",), height=long),
        split("recombination", ("north", "east", "hue"), looks=held_out),
    ]


def _composites(hues: fa.Distribution, new_hues: fa.Distribution) -> list[fa.Split]:
    cut = fa.Finite((csg.OPERATIONS.index("difference"),))
    twice = composites.operations() & fa.box(operation_b=cut, operation_c=cut)
    known = composites.operations() - twice
    # Each operation of the second part is denied one band of hues: the pairs of `recombination`.
    bands = fa.cut(hues, len(csg.OPERATIONS))
    held_out = fa.union(*((known & fa.box(operation_b=fa.Finite((i,)))) * band for i, band in enumerate(bands)))
    seen = known * hues - held_out
    first, yaw = composites.first(), fa.box(yaw=fa.Interval(0.0, 2 * math.pi))

    def split(name, novel=(), looks=seen, first=first, of=None):
        each = first * composites.rest(looks) * yaw
        return fa.Split(name, stages.scenery(), fa.Repeat(fa.Finite((1,)), each, width=1), of, novel)

    return [
        split("train"),
        split("test", of="train"),
        split("new-colours", ("hue",), looks=known * new_hues),
        split("new-shapes", ("operation_b", "operation_c"), looks=twice * hues),
        split("new-sizes", ("length_a",), first=composites.longer()),
        split("recombination", ("operation_b", "hue"), looks=held_out),
    ]


def build(config: Config, factors: Mapping[str, np.ndarray]) -> scenes.Scenes:
    """Solids from factors: those of the scene of shape (b,), of the object (b, 1).

    Factors, in metres and radians: ground_texture (index into `stages.GROUND_TEXTURES`), ground_hue, light_azimuth,
    light_elevation (of the sun), n_objects (1), hue, yaw. Of a superquadric: north, east (exponents), size_x, size_y,
    size_z (half axes). Of a CSG solid, of each part a, b, c: kind (index into `csg.PARTS`), width, length (half, across
    and along its own axis; of a sphere the length means nothing); of b and c: operation (index into `csg.OPERATIONS`), x,
    y, z, tilt (of its axis, about y), turn (about z, after that).

    Raises:
        errors.CaveError: the parts of a CSG solid leave nothing, which only factors that no split draws can do.
    """
    yaw = _yaw(factors)
    b = len(yaw)
    solids = {
        "kind": scenes.KINDS.index("mesh"),
        "size": (1, 1, 1),
        "position": (0, 0, stages.MIDDLE),
        "rotation": np.stack([np.cos(yaw / 2), np.zeros(b), np.zeros(b), np.sin(yaw / 2)], 1),
        "mesh": np.arange(b),
        "colour": rgb(factors["hue"][:, 0])[:, None],
    }
    return stages.build(factors, solids, meshes=tuple(_meshes(factors)))


def check(factors: Mapping[str, np.ndarray]) -> None:
    """Refuse parts that leave nothing.

    Raises:
        errors.CaveError: in one line.
    """
    if _is_csg(factors):
        _meshes(factors)


def _is_csg(factors: Mapping[str, np.ndarray]) -> bool:
    return "operation_b" in factors


def _meshes(factors: Mapping[str, np.ndarray]) -> list[scenes.Mesh]:
    if not _is_csg(factors):
        return superquadrics.meshes(*_shape(factors))
    try:
        return csg.meshes(composites.solids(factors))
    except ValueError as error:
        raise errors.CaveError(f"objects: {error}: its parts cut away everything; give others") from None


def _yaw(factors: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.asarray(factors["yaw"], np.float64)[:, 0]


def _shape(factors: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    columns = lambda *names: np.stack([np.asarray(factors[name], np.float64)[:, 0] for name in names], 1)
    return columns(*_SIZE), columns("north", "east")


def _turned(points: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """Points (b, n, 3), turned about the z axis by angles (b,)."""
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    x, y, z = np.moveaxis(np.asarray(points, np.float64), -1, 0)
    return np.stack([cos * x - sin * y, sin * x + cos * y, z], -1)


def _own(factors: Mapping[str, np.ndarray], points: np.ndarray) -> np.ndarray:
    """Points in the object's own axes."""
    return _turned(points - np.array([0, 0, stages.MIDDLE]), -_yaw(factors))


def distance(factors: Mapping[str, np.ndarray], points: Float[np.ndarray, "b n 3"]) -> Float64[np.ndarray, "b n"]:
    """Distance in metres from points of each scene to its object's surface, negative within: to 1e-7."""
    if _is_csg(factors):
        return csg.distance(composites.solids(factors), _own(factors, points))
    return superquadrics.distance(*_shape(factors), _own(factors, points))


def occupied(factors: Mapping[str, np.ndarray], points: Float[np.ndarray, "b n 3"]) -> Bool[np.ndarray, "b n"]:
    """Which points lie within the object: where `distance` is negative, but at a fraction of its cost."""
    if _is_csg(factors):
        return csg.inside(composites.solids(factors), _own(factors, points))
    return superquadrics.inside(*_shape(factors), _own(factors, points))


def surface(
    factors: Mapping[str, np.ndarray], n: int, key: int, index
) -> tuple[Float64[np.ndarray, "b {n} 3"], Float64[np.ndarray, "b {n} 3"]]:
    """`n` points on the surface of each scene's object, even by area (of superquadrics to some per cent), and unit normals
    there.

    Row i depends on its factors, `key` and `index[i]` alone.
    """
    index = np.asarray(index, np.int64)
    if _is_csg(factors):
        points, normals = csg.surface(composites.solids(factors), n, key, index)
    else:
        points, normals = superquadrics.surface(*_shape(factors), seeds.uniform(key, index, 3 * n).reshape(-1, n, 3))
    yaw = _yaw(factors)
    return _turned(points, yaw) + np.array([0, 0, stages.MIDDLE]), _turned(normals, yaw)


def ring_poses(config: Config, key: int, index, n_views: int) -> Float32[np.ndarray, "b {n_views} 5"]:
    """Cameras on a sphere around the object, looking at its middle. See `stages`."""
    return stages.ring_poses(key, index, n_views)
