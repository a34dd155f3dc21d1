"""Shepard-Metzler objects: chains of five or seven cubes, one object to a scene, looked at from all around.

A chain is a self-avoiding walk on a lattice, uniform over all of them (`scenes.solids.chains`), and stands still above a
plain or textured ground, its middle on the z axis. Cameras stand on a sphere around it.

Source of the setting: Shepard and Metzler, "Mental rotation of three-dimensional objects", Science 1971; Eslami et al.,
"Neural scene representation and rendering", Science 2018. There every part has a colour of its own (`colours="parts"`).
By default an object has one hue and its parts differ in brightness, so that a colour can be a held-out property of an
object, and be paired with its shape.

The shape of an object is the box that just holds it, which does not change when it is turned: see `chains.shapes`.

Splits (all but `test` lie outside the training support, as `factors.check_splits` proves whenever they are made):

    train           objects of `n_parts`; no `new_hues`, no `new_shapes`, some pairs held out
    test            fresh seeds of the same
    new-colours     hues kept from training: the object's, or those of all parts
    new-shapes      shapes kept from training
    new-count       7 parts where training had 5, or 5 where it had 7
    recombination   held-out pairs of shape and hue, each of them common in training; only if an object has one hue

Solids of a scene, in order: 0 the ground, then the parts along the chain.
"""

import dataclasses
import functools
import types
from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64

import scenes
from scenes import factors as fa
from scenes.kit import errors
from scenes.solids import chains, rgb, stages
from scenes.solids.stages import FIRST_OBJECT, FOV, NUISANCE

__all__ = ["FIRST_OBJECT", "FOV", "NUISANCE", "Config", "build", "check", "places", "ring_poses", "splits"]

COUNTS = (5, 7)
"""How many parts an object may have."""
EDGE = 0.3
"""Of a cube, in metres; seven in a row are just seen whole."""
LIMITS = stages.LIMITS | {"n_objects": COUNTS, "walk": (0, 6 ** (chains.MOST - 1) - 1), "value": (0.0, 1.0)}
"""Least and largest values of factors that an object can be built of, whatever splits draw; see also `check`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the objects."""

    n_parts: Literal[5, 7] = 5
    """Cubes of a training object."""
    colours: Literal["object", "parts"] = "object"
    """Who has a hue of its own: the object, whose parts then differ in brightness alone; or, as published, every part."""
    new_shapes: tuple[str, ...] = ("2x2x2", "3x3x1")
    """Shapes kept for the split `new-shapes`, as `chains.shapes` names them."""
    new_hues: tuple[tuple[float, float], ...] = ((0.2, 0.35), (0.7, 0.85))
    """Intervals of hue, within [0, 1), kept for the split `new-colours`."""


def _check(config: Config) -> None:
    if config.n_parts not in COUNTS:
        raise errors.CaveError(f"blocks: n_parts is {config.n_parts}, wanted 5 or 7", errors.USAGE)
    if config.colours not in ("object", "parts"):
        raise errors.unknown("colours of blocks", config.colours, ("object", "parts"))
    for shape in config.new_shapes:
        if shape not in chains.shapes(config.n_parts):
            raise errors.unknown(f"shape of {config.n_parts} parts", shape, chains.shapes(config.n_parts))


@functools.lru_cache(maxsize=64)
def splits(config: Config) -> Mapping[str, fa.Split]:
    """The splits by name, proved disjoint from training (or within it) from their distributions.

    Raises:
        errors.CaveError: the options leave a split empty, or make one leak; factor and witness are named.
    """
    _check(config)
    known = chains.shapes(config.n_parts)
    every = fa.box(walk=fa.Finite(chains.walks(config.n_parts).tolist()))
    old = [fa.box(walk=fa.Finite(found)) for shape, found in known.items() if shape not in config.new_shapes]
    walks = fa.union(every - every, *old)
    hues, new_hues = fa.hues("blocks", config.new_hues)
    other = next(n for n in COUNTS if n != config.n_parts)
    larger = fa.box(walk=fa.Finite(chains.walks(other).tolist()))
    rest = stages.scenery()
    value = fa.box(value=fa.Interval(0.5, 1.0))
    by_parts = config.colours == "parts"

    def split(name, novel=(), looks=None, walks=walks, hues=hues, count=config.n_parts, of=None):
        scene, part = (walks, hues * value) if by_parts else (looks or walks * hues, value)
        return fa.Split(name, scene * rest, fa.Repeat(fa.Finite((count,)), part, width=chains.MOST), of, novel)

    # Each training shape is denied one band of hues, another one each: the pairs of `recombination`.
    looks = walks * hues
    pairs = [shape * band for shape, band in zip(old, fa.cut(hues, max(len(old), 2)))]
    held_out = fa.union(looks - looks, *pairs)
    seen = looks - held_out
    made = [
        split("train", looks=seen),
        split("test", looks=seen, of="train"),
        split("new-colours", ("hue",), hues=new_hues),
        split("new-shapes", ("walk",), walks=every - walks),
        split("new-count", ("n_objects",), walks=larger, count=other),
    ]
    made += [] if by_parts else [split("recombination", ("walk", "hue"), looks=held_out)]
    made = {one.name: one for one in made}
    fa.check_splits(made)
    return types.MappingProxyType(made)


def places(factors: Mapping[str, np.ndarray]) -> Float64[np.ndarray, "b 7 3"]:
    """Middles of parts in metres: the chain's box has its middle on the z axis, `stages.MIDDLE` up. Zeros behind the last."""
    cells = chains.cells(np.asarray(factors["walk"]))
    real = (np.arange(chains.MOST) < np.asarray(factors["n_objects"])[:, None])[..., None]
    # The first cell is the origin, which every box holds: those that are not there may count as lying in it.
    inside = np.where(real, cells, 0)
    middle = (inside.min(1) + inside.max(1)) / 2
    return np.where(real, (cells - middle[:, None]) * EDGE + [0, 0, stages.MIDDLE], 0)


def check(factors: Mapping[str, np.ndarray]) -> None:
    """Refuse chains of other lengths, and those that run into themselves.

    Raises:
        errors.CaveError: names the factor and what was wanted.
    """
    count = np.asarray(factors["n_objects"])
    if not np.isin(count, COUNTS).all():
        raise errors.CaveError(f"blocks: factor n_objects must be 5 or 7, not {count.tolist()}")
    for walk, n in zip(np.asarray(factors["walk"]).tolist(), count.tolist()):
        if walk not in chains.walks(n):
            raise errors.CaveError(f"blocks: factor walk is {walk}, which is no self-avoiding walk of {n} parts")


def build(config: Config, factors: Mapping[str, np.ndarray]) -> scenes.Scenes:
    """Objects from factors: those of the scene of shape (b,), of parts (b, k) padded, `n_objects` the real ones.

    Factors, in radians: walk (see `chains`), hue, ground_texture (index into `stages.GROUND_TEXTURES`), ground_hue,
    light_azimuth, light_elevation (of the sun), n_objects (parts); value (brightness of each part's colour). With
    `colours="parts"` hue is one of each part.
    """
    real = np.arange(factors["value"].shape[1]) < np.asarray(factors["n_objects"])[:, None]
    hue = np.asarray(factors["hue"])
    hue = np.broadcast_to(hue[:, None] if hue.ndim == 1 else hue, real.shape)[real]
    colour = rgb(hue, value=1.0) * factors["value"][real].astype(np.float32)[:, None]
    parts = {"kind": scenes.KINDS.index("box"), "size": [EDGE / 2] * 3, "position": places(factors)[real]}
    return stages.build(factors, parts | {"colour": colour[:, None]})


def ring_poses(config: Config, key: int, index, n_views: int) -> Float32[np.ndarray, "b {n_views} 5"]:
    """Cameras on a sphere around the object, looking at its middle. See `stages`."""
    return stages.ring_poses(key, index, n_views)
