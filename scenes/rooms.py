"""Square rooms with a few objects on the floor: the scenes of Generative Query Networks, made from numbers.

A room has four textured walls, a textured floor, a sun, and objects of one colour each: box, sphere, capsule, cylinder,
cone, ellipsoid or torus. Objects stand on the floor, `gap` apart, and their hues differ, so a colour names one of them.

Source of the setting: Eslami et al., "Neural scene representation and rendering", Science 2018 (rooms, ring and free).

Splits (all but `test` lie outside the training support, as `factors.check_splits` proves whenever they are made):

    train           up to `n_objects` objects; no `new_hues`, no `new_shapes`, nobody in the east, some pairs held out
    test            fresh seeds of the same
    new-colours     every object of a held-out hue
    new-shapes      every object of a held-out shape
    more-objects    one to three more than training ever had
    new-layout      every object in the east of the room, where training had none
    recombination   at least one held-out pair of shape and hue, each of them common in training
    nuisance-easy   as training, but what is seen of an episode is disturbed a little (`scenes.factors.nuisance`)
    nuisance-hard   as training, but it is disturbed much

Solids of a scene, in order: 0 the floor, 1 to 4 the walls at +x, -x, +y, -y, then the objects.
"""

import dataclasses
import functools
import math
import types
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32

import scenes
from scenes import factors as fa
from scenes import viewpoints
from scenes.factors import nuisance
from scenes.kit import errors
from scenes.solids import SHAPES, footprint, rgb, stand

WALL_TEXTURES = ("plain", "checker", "stripes", "bricks", "noise")
FLOOR_TEXTURES = ("checker", "stripes", "noise")
_WALL_SCALES = np.array([0.9 if name == "bricks" else 1.6 for name in WALL_TEXTURES], np.float32)
_SHADES = np.array([[0.3, 0.45], *[[0.35, 0.6]] * 4]), np.array([[0.88, 0.5], *[[0.92, 0.6]] * 4])
"""Saturation and value of the two colours of the floor and of each wall."""
WALL_HEIGHT = 2.2
FIRST_OBJECT = 5
FOV = math.pi / 3
"""Field of view of every camera in a room, edge to edge, in radians."""
SIZES = (0.3, 0.5)
"""Range of the factor `size`, in metres."""
LIMITS = {
    "wall_texture": (0, len(WALL_TEXTURES) - 1),
    "floor_texture": (0, len(FLOOR_TEXTURES) - 1),
    "wall_hue": (0.0, 1.0),
    "floor_hue": (0.0, 1.0),
    "light_elevation": (0.0, math.pi / 2),
    "shape": (0, len(SHAPES) - 1),
    "hue": (0.0, 1.0),
    "size": (0.0, 1.0),
} | nuisance.LIMITS
"""Least and largest values of factors that a room can be built of, whatever splits draw."""
NUISANCE = (
    "wall_texture",
    "floor_texture",
    "wall_hue",
    "floor_hue",
    "light_azimuth",
    "light_elevation",
    *nuisance.NAMES,
)
"""Factors that are none of the business of whoever looks for an object."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the rooms."""

    n_objects: int = 3
    """Most objects in a training room; the fewest is one."""
    side: float = 7.0
    """Length of the room's walls, in metres; object places and camera rings scale with it."""
    gap: float = 0.1
    """Least distance between the footprints of two objects, in metres."""
    hue_gap: float = 0.08
    """Least difference between the hues of two objects of a room, on a circle of length 1."""
    new_shapes: tuple[str, ...] = ("ellipsoid", "torus")
    """Shapes kept for the split `new-shapes`."""
    new_hues: tuple[tuple[float, float], ...] = ((0.2, 0.35), (0.7, 0.85))
    """Intervals of hue, within [0, 1), kept for the split `new-colours`."""


@functools.lru_cache(maxsize=64)
def splits(config: Config) -> Mapping[str, fa.Split]:
    """The splits by name, proved disjoint from training (or within it) from their distributions.

    Raises:
        errors.CaveError: the options leave a split empty, or make one leak; factor and witness are named.
    """
    limits = {"n_objects": (1, 12), "side": (4.0, 100.0), "gap": (0.0, 2.0), "hue_gap": (0.0, 0.5)}
    errors.within("rooms", config, limits)
    known = fa.looks("rooms", SHAPES, config.new_shapes, config.new_hues)
    unit = config.side / 7
    arms = [(2.0, 0.9), (0.9, 2.0), (1.5, 1.5)]
    places = [fa.box(x=fa.Interval(-x * unit, x * unit), y=fa.Interval(-y * unit, y * unit)) for x, y in arms]
    place = fa.union(*places)
    east = place & fa.box(x=fa.Interval(0.5 * unit, 2.0 * unit))
    west = place - east
    rest = fa.box(size=fa.Interval(*SIZES), yaw=fa.Interval(0.0, 2 * math.pi))
    scene = fa.box(
        wall_texture=fa.Finite(range(len(WALL_TEXTURES))),
        floor_texture=fa.Finite(range(len(FLOOR_TEXTURES))),
        wall_hue=fa.Interval(0.0, 1.0),
        floor_hue=fa.Interval(0.0, 1.0),
        light_azimuth=fa.Interval(0.0, 2 * math.pi),
        light_elevation=fa.Interval(0.5, 1.2),
    )
    most = config.n_objects
    few, many = fa.Finite(range(1, most + 1)), fa.Finite(range(most + 1, most + 4))

    def split(name, novel=(), looks=known.train, place=west, count=few, some=None, of=None, disturbed=nuisance.CALM):
        some = some and some * place * rest
        fits = functools.partial(_fit, config.gap, config.hue_gap)
        return fa.Split(
            name, scene * disturbed, fa.Repeat(count, looks * place * rest, some, most + 3, fits), of, novel
        )

    made = [
        split("train"),
        split("test", of="train"),
        split("new-colours", ("hue",), looks=known.new_hues),
        split("new-shapes", ("shape",), looks=known.new_shapes),
        split("more-objects", ("n_objects",), count=many),
        split("new-layout", ("x", "y"), place=east),
        split("recombination", ("shape", "hue"), looks=known.either, some=known.held_out),
        split("nuisance-easy", nuisance.NAMES, disturbed=nuisance.EASY),
        split("nuisance-hard", nuisance.NAMES, disturbed=nuisance.HARD),
    ]
    made = {one.name: one for one in made}
    fa.check_splits(made)
    return types.MappingProxyType(made)


def _fit(gap: float, hue_gap: float, a: Mapping, b: Mapping) -> np.ndarray:
    """Whether two objects are apart, in the room and in hue."""
    apart = footprint(a["shape"], a["size"]) + footprint(b["shape"], b["size"]) + gap
    far = (a["x"] - b["x"]) ** 2 + (a["y"] - b["y"]) ** 2 >= apart**2
    turn = np.abs(a["hue"] - b["hue"])
    return far & (np.minimum(turn, 1 - turn) >= hue_gap)


def build(config: Config, factors: Mapping[str, np.ndarray]) -> scenes.Scenes:
    """Rooms from factors: those of the scene of shape (b,), of objects (b, k) padded, `n_objects` the real ones.

    Factors, in metres and radians: wall_texture, floor_texture (indices into `WALL_TEXTURES`, `FLOOR_TEXTURES`),
    wall_hue, floor_hue, light_azimuth, light_elevation (of the sun), n_objects; shape (index into `SHAPES`), hue, size,
    x, y, yaw. Those of `nuisance` are told with the others and leave the room as it is.
    """
    n = np.asarray(factors["n_objects"])
    b = len(n)
    real = np.arange(factors["shape"].shape[1]) < n[:, None]
    offsets = np.concatenate([[0], np.cumsum(n + FIRST_OBJECT)]).astype(np.int32)
    first = offsets[:-1, None]
    scenery = (first + np.arange(FIRST_OBJECT)).ravel()
    objects = (first + FIRST_OBJECT + np.arange(real.shape[1]))[real]
    shape, hue, size, x, y, yaw = (factors[name][real] for name in ("shape", "hue", "size", "x", "y", "yaw"))

    fixed = _scenery(config)
    floor_texture = np.array([scenes.TEXTURES.index(name) for name in FLOOR_TEXTURES])[factors["floor_texture"]]
    texture = np.repeat(np.stack([floor_texture, factors["wall_texture"]], 1), (1, 4), axis=1)
    hues = np.stack([factors["floor_hue"], factors["wall_hue"]], 1)[:, [0, 1, 1, 1, 1], None]

    arrays = {name: np.empty((offsets[-1], *value.shape[1:]), value.dtype) for name, value in fixed.items()}
    for name, value in fixed.items():
        arrays[name][scenery] = np.broadcast_to(value, (b, *value.shape)).reshape(-1, *value.shape[1:])
    arrays["texture"][scenery] = texture.ravel()
    scale = np.repeat(_WALL_SCALES[factors["wall_texture"], None], 4, axis=1)
    arrays["texture_scale"][(first + np.arange(1, FIRST_OBJECT)).ravel()] = scale.ravel()
    arrays["colour"][scenery] = rgb(hues, *_SHADES).reshape(-1, 2, 3)
    for name, value in stand(shape, size, x, y, yaw).items():
        arrays[name][objects] = value
    arrays["texture"][objects] = 0
    arrays["texture_scale"][objects] = 1
    arrays["colour"][objects] = rgb(hue)[:, None]

    azimuth, elevation = factors["light_azimuth"], factors["light_elevation"]
    flat = np.cos(elevation)
    sun = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], 1).astype(np.float32)
    return scenes.Scenes(
        offsets=offsets,
        **arrays,
        light_position=sun[:, None],
        light_colour=np.full((b, 1, 3), 0.5, np.float32),
        light_is_sun=np.ones((b, 1), bool),
        ambient=np.full((b, 3), 0.54, np.float32),
        sky=np.tile(np.array([0.62, 0.78, 0.92], np.float32), (b, 1)),
        factors={name: np.asarray(value) for name, value in factors.items()},
        first_object=FIRST_OBJECT,
    )


@functools.lru_cache(maxsize=8)
def _scenery(config: Config) -> dict[str, np.ndarray]:
    """The floor and the walls of one room, all but their looks."""
    half, high = config.side / 2, WALL_HEIGHT / 2
    position = [(0, 0, 0), (half, 0, high), (-half, 0, high), (0, half, high), (0, -half, high)]
    # A plane is seen from its +z side; a camera looking along a heading has its +z axis the other way, y up.
    walls = scenes.look(np.array([0, math.pi, math.pi / 2, -math.pi / 2]), np.zeros(4))
    return {
        "kind": np.full(FIRST_OBJECT, scenes.KINDS.index("plane"), np.int32),
        "size": np.array([(half, half, 0)] + [(half, high, 0)] * 4, np.float32),
        "position": np.array(position, np.float32),
        "rotation": np.concatenate([np.array([[1, 0, 0, 0]], np.float32), walls]),
        "texture": np.zeros(FIRST_OBJECT, np.int32),
        "texture_scale": np.full(FIRST_OBJECT, 2.0, np.float32),
        "colour": np.zeros((FIRST_OBJECT, 2, 3), np.float32),
    }


def ring_poses(config: Config, key: int, index, n_views: int) -> Float32[np.ndarray, "b {n_views} 5"]:
    """Cameras on a ring of radius 3 m (in a room of 7 m), 1.1 m up, between objects and walls, looking at the middle.

    See `scenes.viewpoints.ring`.
    """
    return viewpoints.ring(key, np.asarray(index), n_views, radius=3 * config.side / 7, height=1.1, aim=0.35)


def free_poses(
    config: Config,
    factors: Mapping[str, np.ndarray],
    key: int,
    index,
    n_views: int,
    height: float = 0.6,
    clearance: float = 0.3,
) -> Float32[np.ndarray, "b {n_views} 5"]:
    """Level cameras anywhere in the rooms of `factors`, `clearance` metres from walls and objects, with any yaw.

    See `scenes.viewpoints.free`, also for its error.
    """
    real = np.arange(factors["shape"].shape[1]) < np.asarray(factors["n_objects"])[:, None]
    radii = footprint(factors["shape"], factors["size"]) + clearance
    middles = np.stack([factors["x"], factors["y"]], -1)
    half = config.side / 2 - clearance
    return viewpoints.free(key, np.asarray(index), n_views, half, height, middles, radii, real)
