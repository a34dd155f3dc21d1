"""A few bodies on a table, made from numbers: boxes, bricks, cylinders, spheres and capsules of one colour each.

A table stands on the ground, under a sun. Bodies rest on it, `gap` apart, each on a face or along a line as it would lie
by itself; their hues differ, so that a colour names one of them. Cameras stand on a ring around the table and look at it.

Why they rest apart: a scene is an exact function of its factors, made without a simulator. Where bodies come to lie that
are dropped on one another is a question to physics, and `envs.tabletop` asks it: from the same factors it lets every body
go above its place, turned by `tilt`, and takes what comes to rest. Here `tilt`, `friction` and `density` are told with the
others, and leave the scene as it is.

Splits (all but `test` lie outside the training support, as `factors.check_splits` proves whenever they are made):

    train           up to `n_objects` bodies; no `new_hues`, no `new_shapes`, some pairs held out
    test            fresh seeds of the same
    new-colours     every body of a held-out hue
    new-shapes      every body of a held-out shape
    more-objects    one to three more than training ever had
    dynamics        everything more slippery or rougher, and every body lighter or heavier, than in training
    recombination   at least one held-out pair of shape and hue, each of them common in training
    nuisance-easy   as training, but what is seen of an episode is disturbed a little (`scenes.factors.nuisance`)
    nuisance-hard   as training, but it is disturbed much

Solids of a scene, in order: 0 the ground, 1 the table's leg, 2 its top, then the bodies.
"""

import dataclasses
import functools
import math
import types
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32, Float64

import scenes
from scenes import factors as fa
from scenes import viewpoints
from scenes.factors import nuisance
from scenes.kit import errors
from scenes.solids import rgb

SHAPES = ("box", "brick", "cylinder", "sphere", "capsule")
"""What a factor `shape` is an index into."""
TEXTURES = ("plain", "checker", "stripes", "noise")
"""What a factor `table_texture` is an index into."""
FIRST_OBJECT = 3
FOV = math.radians(50)
"""Field of view of every camera, edge to edge, in radians."""
SIDE, HIGH, THICK = 0.76, 0.4, 0.04
"""Of the table in metres: the edge of its square top, how high that lies, and how thick it is."""
GROUND = 12.0
"""Edge of the ground, in metres: it fills the pictures."""
REACH = 0.26
"""Bodies stand within this of the middle, in metres along x and along y."""
SIZES = (0.038, 0.05)
"""Range of the factor `size`, in metres."""
FRICTIONS, SLIPPERY, ROUGH = (0.35, 0.6), (0.12, 0.2), (0.85, 1.1)
"""Ranges of the factor `friction`: of training, and of the split `dynamics`, which has either."""
DENSITIES, LIGHT, HEAVY = (400.0, 800.0), (120.0, 200.0), (2000.0, 3000.0)
"""The same of `density`, in kg per cubic metre."""
RING, ABOVE = 0.95, 0.72
"""Radius of the ring of cameras, and its height above the table, in metres."""

# Rows as SHAPES, in multiples of the factor `size`: the solid's `size`, its half height at rest, the radius of its
# footprint and that of a ball that holds it. A capsule lies along x, others stand along z.
_EXTENTS = np.array(
    [
        (0.95, 0.95, 0.95, 0.95, 0.95 * math.sqrt(2), 0.95 * math.sqrt(3)),
        (1.30, 0.75, 0.75, 0.75, math.hypot(1.3, 0.75), math.hypot(1.3, 0.75, 0.75)),
        (0.85, 1.10, 0.00, 1.10, 0.85, math.hypot(0.85, 1.1)),
        (1.05, 0.00, 0.00, 1.05, 1.05, 1.05),
        (0.75, 0.70, 0.00, 0.75, 1.45, 1.45),
    ]
)
_KINDS = np.array([scenes.KINDS.index("box" if shape == "brick" else shape) for shape in SHAPES], np.int32)
_LIES = np.array([shape == "capsule" for shape in SHAPES])
LIMITS = {
    "table_texture": (0, len(TEXTURES) - 1),
    "table_hue": (0.0, 1.0),
    "ground_hue": (0.0, 1.0),
    "light_elevation": (0.0, math.pi / 2),
    "friction": (0.05, 2.0),
    "shape": (0, len(SHAPES) - 1),
    "hue": (0.0, 1.0),
    "size": (0.0, 0.08),
    "density": (0.0, 20000.0),
    "tilt": (-math.pi, math.pi),
} | nuisance.LIMITS
"""Least and largest values of factors that a scene can be built of, whatever splits draw."""
NUISANCE = ("table_texture", "table_hue", "ground_hue", "light_azimuth", "light_elevation", *nuisance.NAMES)
"""Factors that are none of the business of whoever moves a body."""
DYNAMICS = ("friction", "density")
"""Factors of how bodies move."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the tables."""

    n_objects: int = 3
    """Most bodies of a training scene; the fewest is one."""
    gap: float = 0.03
    """Least distance between the footprints of two bodies, in metres."""
    hue_gap: float = 0.08
    """Least difference between the hues of two bodies of a scene, on a circle of length 1."""
    new_shapes: tuple[str, ...] = ("capsule",)
    """Shapes kept for the split `new-shapes`."""
    new_hues: tuple[tuple[float, float], ...] = ((0.2, 0.35), (0.7, 0.85))
    """Intervals of hue, within [0, 1), kept for the split `new-colours`."""


@functools.lru_cache(maxsize=64)
def splits(config: Config) -> Mapping[str, fa.Split]:
    """The splits by name, proved disjoint from training (or within it) from their distributions.

    Raises:
        errors.CaveError: the options leave a split empty, or make one leak; factor and witness are named.
    """
    errors.within("tabletop", config, {"n_objects": (1, 4), "gap": (0.0, 0.1), "hue_gap": (0.0, 0.5)})
    known = fa.looks("tabletop", SHAPES, config.new_shapes, config.new_hues)
    square = fa.Interval(-REACH, REACH)
    turn = fa.Interval(0.0, 2 * math.pi)
    place = fa.box(x=square, y=square, yaw=turn, tilt=fa.Interval(-1.5, 1.5), size=fa.Interval(*SIZES))
    scene = fa.box(
        table_texture=fa.Finite(range(len(TEXTURES))),
        table_hue=fa.Interval(0.0, 1.0),
        ground_hue=fa.Interval(0.0, 1.0),
        light_azimuth=fa.Interval(0.0, 2 * math.pi),
        light_elevation=fa.Interval(0.5, 1.2),
    )
    either = lambda name, *ranges: fa.union(*(fa.box(**{name: fa.Interval(*ends)}) for ends in ranges))
    most = config.n_objects
    few, many = fa.Finite(range(1, most + 1)), fa.Finite(range(most + 1, most + 4))

    usual = either("friction", FRICTIONS), either("density", DENSITIES)
    other = either("friction", SLIPPERY, ROUGH), either("density", LIGHT, HEAVY)

    def split(name, novel=(), looks=known.train, count=few, some=None, of=None, disturbed=nuisance.CALM, moves=usual):
        friction, own = moves[0], place * moves[1]
        fits = functools.partial(_fit, config.gap, config.hue_gap)
        bodies = fa.Repeat(count, looks * own, some and some * own, most + 3, fits)
        return fa.Split(name, scene * friction * disturbed, bodies, of, novel)

    made = [
        split("train"),
        split("test", of="train"),
        split("new-colours", ("hue",), looks=known.new_hues),
        split("new-shapes", ("shape",), looks=known.new_shapes),
        split("more-objects", ("n_objects",), count=many),
        split("dynamics", DYNAMICS, moves=other),
        split("recombination", ("shape", "hue"), looks=known.either, some=known.held_out),
        split("nuisance-easy", nuisance.NAMES, disturbed=nuisance.EASY),
        split("nuisance-hard", nuisance.NAMES, disturbed=nuisance.HARD),
    ]
    made = {one.name: one for one in made}
    fa.check_splits(made)
    return types.MappingProxyType(made)


def _fit(gap: float, hue_gap: float, a: Mapping, b: Mapping) -> np.ndarray:
    """Whether two bodies are apart, on the table and in hue."""
    apart = footprint(a["shape"], a["size"]) + footprint(b["shape"], b["size"]) + gap
    far = (a["x"] - b["x"]) ** 2 + (a["y"] - b["y"]) ** 2 >= apart**2
    turn = np.abs(a["hue"] - b["hue"])
    return far & (np.minimum(turn, 1 - turn) >= hue_gap)


def solid(shape, size) -> tuple[np.ndarray, Float64[np.ndarray, "*s 3"]]:
    """Kind (index into `scenes.KINDS`) and `size` of the solids that bodies of factors `shape` and `size` are."""
    return _KINDS[shape], _EXTENTS[shape, :3] * np.asarray(size)[..., None]


def footprint(shape, size) -> np.ndarray | np.floating:
    """Radius in metres of the upright cylinder that just holds a body that rests by itself."""
    return _EXTENTS[shape, 4] * size


def ball(shape, size) -> np.ndarray | np.floating:
    """Radius in metres of the ball that just holds a body."""
    return _EXTENTS[shape, 5] * size


def rest(shape, size, x, y, yaw) -> tuple[Float64[np.ndarray, "*s 3"], Float64[np.ndarray, "*s 4"]]:
    """Positions and rotations of bodies that rest on the table by themselves."""
    lies = _LIES[shape] * (math.pi / 4)
    c, s, cy, sy = np.cos(lies), np.sin(lies), np.cos(yaw / 2), np.sin(yaw / 2)
    # A turn about z after one about y, which lays a capsule down.
    rotation = np.stack([cy * c, -sy * s, cy * s, sy * c], -1)
    return np.stack(np.broadcast_arrays(x, y, HIGH + _EXTENTS[shape, 3] * size), -1), rotation


def build(config: Config, factors: Mapping[str, np.ndarray]) -> scenes.Scenes:
    """Tables from factors: those of the scene of shape (b,), of bodies (b, k) padded, `n_objects` the real ones.

    Factors, in metres, radians and kg per cubic metre: table_texture (index into `TEXTURES`), table_hue, ground_hue,
    light_azimuth, light_elevation (of the sun), n_objects; shape (index into `SHAPES`), hue, size, x, y, yaw. `friction`,
    `density`, `tilt` and those of `nuisance` are told with the others and leave the scene as it is.
    """
    n = np.asarray(factors["n_objects"])
    b = len(n)
    real = np.arange(factors["shape"].shape[1]) < n[:, None]
    offsets = np.concatenate([[0], np.cumsum(n + FIRST_OBJECT)]).astype(np.int32)
    first = offsets[:-1]
    objects = (first[:, None] + FIRST_OBJECT + np.arange(real.shape[1]))[real]
    shape, hue, size, x, y, yaw = (factors[name][real] for name in ("shape", "hue", "size", "x", "y", "yaw"))
    kind, extent = solid(shape, size)
    position, rotation = rest(shape, size, x, y, yaw)

    table, ground = factors["table_hue"], factors["ground_hue"]
    texture = np.array([scenes.TEXTURES.index(name) for name in TEXTURES])[factors["table_texture"]]
    wood = np.stack([rgb(table, 0.3, 0.9), rgb(table, 0.4, 0.6)], 1)
    plain = rgb(ground, 0.25, 0.6)[:, None]
    scenery = (
        ("plane", (GROUND / 2, GROUND / 2, 0.0), 0.0, 0, plain),
        ("cylinder", (0.06, (HIGH - THICK) / 2, 0.0), (HIGH - THICK) / 2, 0, 0.7 * wood),
        ("box", (SIDE / 2, SIDE / 2, THICK / 2), HIGH - THICK / 2, texture, wood),
    )
    arrays = {
        "kind": np.zeros(offsets[-1], np.int32), "size": np.zeros((offsets[-1], 3), np.float32),
        "position": np.zeros((offsets[-1], 3), np.float32), "rotation": np.zeros((offsets[-1], 4), np.float32),
        "texture": np.zeros(offsets[-1], np.int32), "texture_scale": np.full(offsets[-1], 0.3, np.float32),
        "colour": np.zeros((offsets[-1], 2, 3), np.float32),
    }  # fmt: skip
    arrays["rotation"][:, 0] = 1
    for i, (name, large, high, pattern, colour) in enumerate(scenery):
        arrays["kind"][first + i], arrays["size"][first + i] = scenes.KINDS.index(name), large
        arrays["position"][first + i, 2], arrays["texture"][first + i] = high, pattern
        arrays["colour"][first + i] = colour
    arrays["kind"][objects], arrays["size"][objects], arrays["colour"][objects] = kind, extent, rgb(hue)[:, None]
    arrays["position"][objects], arrays["rotation"][objects] = position, rotation

    azimuth, elevation = factors["light_azimuth"], factors["light_elevation"]
    flat = np.cos(elevation)
    sun = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], 1).astype(np.float32)
    return scenes.Scenes(
        offsets=offsets,
        **arrays,
        light_position=sun[:, None],
        light_colour=np.full((b, 1, 3), 0.55, np.float32),
        light_is_sun=np.ones((b, 1), bool),
        ambient=np.full((b, 3), 0.48, np.float32),
        sky=np.tile(np.array([0.62, 0.78, 0.92], np.float32), (b, 1)),
        factors={name: np.asarray(value) for name, value in factors.items()},
        first_object=FIRST_OBJECT,
    )


def ring_poses(config: Config, key: int, index, n_views: int) -> Float32[np.ndarray, "b {n_views} 5"]:
    """Cameras on a ring of radius 0.95 m, 0.72 m above the table, looking at its middle. See `scenes.viewpoints.ring`."""
    return viewpoints.ring(key, np.asarray(index), n_views, radius=RING, height=HIGH + ABOVE, aim=HIGH)
