"""Furnished rooms with good and bad things lying about: the scenes of DARLA's transfer, made from numbers.

A room is of one of five styles (`scenes.solids.furniture`): its walls, floor, light and four pieces of furniture, of which
two stand free and two against walls. The things in it are of one set, a bad kind and a good one that look different
(`scenes.solids.things`): hat and can, cake and balloon, gift and ring. Which of a set is good is the same in every room.

Source of the setting: Higgins et al., "DARLA: improving zero-shot transfer in reinforcement learning", ICML 2017
(arXiv:1707.08475), whose task is DeepMind Lab's `rooms_collect_good_objects`: there, hats and cakes are bad, cans and
balloons are good, and training has both sets in one of two rooms but only cakes and balloons in the other; hats and cans in
that one are the test. The options in `LAB` give these very pairings.

Nothing stands in anything else. Free ways are at least `gap` wide between any two things, between things and walls or what
stands at them, and between pieces of furniture; a thing may lie nearer to a free piece, but never so that it closes the way
from there to something else. So a body up to that wide comes to every thing without touching another one.

Splits (all but `test` and `everything` lie outside the training support, as `factors.check_splits` proves whenever they are
made):

    train           rooms of `styles` with sets of `things`, without the pairs in `held_out`
    test            fresh seeds of the same
    everything      with all pairs: to train encoders on, as DARLA's are
    new-pairings    the pairs in `held_out`: new to a policy that trained on `train` but not to an encoder that saw `everything`
    new-room        rooms of `new_styles`, which neither ever saw
    new-colours     every thing of another hue than its kind has in training
    more-things     one or two more good ones, and as many more bad ones
    nuisance-easy   as training, but what is seen of an episode is disturbed a little (`scenes.factors.nuisance`)
    nuisance-hard   as training, but it is disturbed much

Solids of a scene, in order: those of `scenes.solids.furniture` (floor, walls, furniture), then the things.
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
from scenes.solids import furniture, rgb, things

STYLES = furniture.STYLES
"""What a factor `style` is an index into."""
SETS = tuple("-".join(things.KINDS[i : i + 2]) for i in range(0, len(things.KINDS), 2))
"""What a factor `things` is an index into: bad kind, good kind."""
WALL_HEIGHT = furniture.WALL_HEIGHT
FIRST_OBJECT = furniture.N_SOLIDS
FOV = math.pi / 3
"""Field of view of every camera in a room, edge to edge, in radians."""
SIZES = (0.22, 0.28)
"""Range of the factor `size`, in metres: no thing reaches further from its middle."""
CLEAR = 0.05
"""Least distance in metres between a thing and a free piece of furniture."""
SHIFT = 0.2
"""Most metres by which the free pieces are shifted, both alike, along x and y."""
NEW_TINTS = ((-0.35, -0.15), (0.15, 0.35))
"""Turns of hue that are kept for the split `new-colours`."""
LAYOUT = ("swapped", "shift_x", "shift_y", "tall_wall", "tall_place", "low_turn", "low_place")
"""Factors that say where furniture stands: whether the first free piece is in the south-west, by how much of `SHIFT` both are
shifted; the tall piece's wall, its place along it as a fraction of what there is; by how many quarter turns the low piece's
wall lies further on, its place."""
TINTS = ("wall_tint", "floor_tint", "furniture_tint")
NUISANCE = (*TINTS, "light_azimuth", "light_elevation", *nuisance.NAMES)
"""Factors that are none of the business of whoever collects things."""
LIMITS = {
    "style": (0, len(STYLES) - 1),
    "things": (0, len(SETS) - 1),
    "swapped": (0, 1),
    "tall_wall": (0, 3),
    "low_turn": (1, 3),
    "light_elevation": (0.0, math.pi / 2),
    "good": (0, 1),
    "size": (0.0, 1.0),
    "tint": (-0.5, 0.5),
} | nuisance.LIMITS
LIMITS |= dict.fromkeys(("shift_x", "shift_y", "tall_place", "low_place"), (-1.0, 1.0)) | dict.fromkeys(
    TINTS, (-0.5, 0.5)
)
"""Least and largest values of factors that a room can be built of, whatever splits draw."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the rooms."""

    n_good: int = 3
    """Good things in a training room."""
    n_bad: int = 3
    """Bad things in a training room."""
    side: float = 9.0
    """Length of the room's walls, in metres; places of things and furniture scale with it."""
    gap: float = 0.7
    """Width in metres of the ways that are always free."""
    styles: tuple[str, ...] = ("lounge", "gallery", "cellar", "arcade")
    """Styles of training rooms."""
    new_styles: tuple[str, ...] = ("garden",)
    """Styles kept for the split `new-room`."""
    things: tuple[str, ...] = SETS
    """Sets of things."""
    held_out: tuple[tuple[str, str], ...] = (
        ("gallery", "hat-can"),
        ("cellar", "cake-balloon"),
        ("arcade", "gift-ring"),
    )
    """Pairs of style and set kept for the split `new-pairings`."""


LAB = types.MappingProxyType(
    {
        "styles": ("lounge", "arcade"),
        "new_styles": ("gallery", "cellar", "garden"),
        "things": ("hat-can", "cake-balloon"),
        "held_out": (("arcade", "hat-can"),),
    }
)
"""Options with which `train` and `new-pairings` are DeepMind Lab's training and test."""


def _check(config: Config) -> None:
    pairs = [*zip(*config.held_out)] or [(), ()]
    known = {"style": (STYLES, config.styles + config.new_styles + pairs[0])}
    known |= {"set of things": (SETS, config.things + pairs[1])}
    for what, (accepted, given) in known.items():
        for name in given:
            if name not in accepted:
                raise errors.unknown(what, name, accepted)
    for style, kinds in config.held_out:
        if style not in config.styles or kinds not in config.things:
            raise errors.CaveError(
                f"collect: held_out has {style} with {kinds}, wanted a style of {', '.join(config.styles)} and a set of "
                f"{', '.join(config.things)}",
                errors.USAGE,
            )
    limits = {"n_good": (1, 8), "n_bad": (0, 8), "side": (9.0, 100.0), "gap": (0.7, 1.0)}
    errors.within("collect", config, limits)


def _inner(config: Config) -> float:
    """Half edge of the square in which things lie."""
    return config.side / 2 - furniture.DEPTH - config.gap - SIZES[1]


def _middle(config: Config) -> float:
    """How far north and east of the room's middle one free piece stands, and how far south and west the other."""
    return 0.3 * config.side / 2


@functools.lru_cache(maxsize=64)
def splits(config: Config) -> Mapping[str, fa.Split]:
    """The splits by name, proved disjoint from training (or within it) from their distributions.

    Raises:
        errors.CaveError: the options leave a split empty, or make one leak; factor and witness are named.
    """
    _check(config)
    pair = lambda styles, sets: fa.box(
        style=fa.Finite(map(STYLES.index, styles)), things=fa.Finite(map(SETS.index, sets))
    )
    pairs = pair(config.styles, config.things)
    held_out = fa.union(pairs - pairs, *(pair((style,), (kinds,)) for style, kinds in config.held_out))
    new_rooms = pair(config.new_styles, config.things)

    whole, half_turn, tint = fa.Interval(-1.0, 1.0), fa.Finite(range(2)), fa.Interval(-0.04, 0.04)
    layout = fa.box(swapped=half_turn, shift_x=whole, shift_y=whole, tall_wall=fa.Finite(range(4)), tall_place=whole)
    layout = layout * fa.box(low_turn=fa.Finite((1, 2, 3)), low_place=whole) * fa.box(**dict.fromkeys(TINTS, tint))
    light = fa.box(light_azimuth=fa.Interval(0.0, 2 * math.pi), light_elevation=fa.Interval(0.6, 1.2))
    rest = layout * light

    inner, middle = _inner(config), _middle(config)
    reach = furniture.FREE_REACH + SHIFT + SIZES[1] + CLEAR
    square = lambda low, high: fa.box(x=fa.Interval(low, high), y=fa.Interval(low, high))
    place = square(-inner, inner) - square(middle - reach, middle + reach) - square(-middle - reach, reach - middle)
    body = place * fa.box(size=fa.Interval(*SIZES), yaw=fa.Interval(0.0, 2 * math.pi))
    old_tints = fa.box(tint=fa.Interval(-0.03, 0.03))
    new_tints = fa.union(*(fa.box(tint=fa.Interval(*ends)) for ends in NEW_TINTS))
    width = config.n_good + config.n_bad + 4

    def split(name, novel=(), rooms=pairs - held_out, tints=old_tints, more=(0,), of=None, disturbed=nuisance.CALM):
        kind = [fa.box(good=fa.Finite((good,))) * tints * body for good in (1, 0)]
        numbers = [((config.n_good + n, kind[0]), (config.n_bad + n, kind[1])) for n in more]
        casts = tuple(tuple(sort for sort in cast if sort[0]) for cast in numbers)
        fits = functools.partial(_fit, config.gap)
        return fa.Split(name, rooms * rest * disturbed, fa.Casts(casts, width, fits), of, novel)

    made = [
        split("train"),
        split("test", of="train"),
        split("everything", rooms=pairs, of="everything"),
        split("new-pairings", ("style", "things"), rooms=held_out),
        split("new-room", ("style",), rooms=new_rooms),
        split("new-colours", ("tint",), tints=new_tints),
        split("more-things", ("n_objects",), more=(1, 2)),
        split("nuisance-easy", nuisance.NAMES, disturbed=nuisance.EASY),
        split("nuisance-hard", nuisance.NAMES, disturbed=nuisance.HARD),
    ]
    made = {one.name: one for one in made}
    fa.check_splits(made)
    return types.MappingProxyType(made)


def _fit(gap: float, a: Mapping, b: Mapping) -> np.ndarray:
    """Whether a body can pass between two things."""
    # Of whatever kind: a set is told of the room, not of the thing.
    apart = a["size"] + b["size"] + gap
    return (a["x"] - b["x"]) ** 2 + (a["y"] - b["y"]) ** 2 >= apart**2


def kinds(factors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Of all things, shape (b, k), which of `scenes.solids.things.KINDS` they are."""
    return 2 * np.asarray(factors["things"])[:, None] + factors["good"]


def spots(config: Config, factors: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the furniture in each room: places and turns of its pieces, as `furniture.spots` gives them, and walls of two."""
    half = config.side / 2
    shift = SHIFT * np.stack([factors["shift_x"], factors["shift_y"]], -1)
    sign = 1 - 2.0 * factors["swapped"][:, None, None]
    middles = sign * np.array([[1.0, 1.0], [-1.0, -1.0]]) * _middle(config) + shift[:, None]
    tall = factors["tall_wall"]
    walls = np.stack([tall, (tall + factors["low_turn"]) % 4], -1)
    # The corners belong to nobody, so that pieces at two walls do not meet there.
    most = half - furniture.DEPTH - furniture.WIDTH - 0.1
    along = most * np.stack([factors["tall_place"], factors["low_place"]], -1)
    return *furniture.spots(half, middles, walls, along), walls


def outlines(config: Config, factors: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The four pieces of furniture of each room, seen from above; see `furniture.outlines`."""
    place, _, walls = spots(config, factors)
    return furniture.outlines(factors["style"], config.side / 2, place, walls)


def build(config: Config, factors: Mapping[str, np.ndarray]) -> scenes.Scenes:
    """Rooms from factors: those of the scene of shape (b,), of things (b, k) padded, `n_objects` the real ones.

    Factors, in metres and radians: style and things (indices into `STYLES` and `SETS`); those of `LAYOUT`; `TINTS`, by
    which the style's hues are turned; light_azimuth, light_elevation (of the sun), n_objects; good (0 or 1), tint (the
    same of a thing's hue), size, x, y, yaw. Those of `nuisance` are told with the others and leave the room as it is.
    """
    n, style = np.asarray(factors["n_objects"]), np.asarray(factors["style"])
    b = len(n)
    real = np.arange(factors["good"].shape[1]) < n[:, None]
    offsets = np.concatenate([[0], np.cumsum(n + FIRST_OBJECT)]).astype(np.int32)
    scenery = (offsets[:-1, None] + np.arange(FIRST_OBJECT)).ravel()
    objects = (offsets[:-1, None] + FIRST_OBJECT + np.arange(real.shape[1]))[real]

    table = furniture.TABLE
    fixed = {name: table[name][style] for name in ("kind", "size", "texture", "texture_scale")}
    stage = _stage(config)
    fixed["size"][:, : furniture.N_STAGE] = stage["size"]
    spot, yaw, _ = spots(config, factors)
    piece = np.array([0, 0, 1, 1, 2, 3])
    spot, yaw, own = spot[:, piece], yaw[:, piece], table["place"][style][:, furniture.N_STAGE :]
    c, s = np.cos(yaw), np.sin(yaw)
    turned = np.stack([c * own[..., 0] - s * own[..., 1], s * own[..., 0] + c * own[..., 1], own[..., 2]], -1)
    turned[..., :2] += spot
    fixed["position"] = np.concatenate([np.broadcast_to(stage["position"], (b, furniture.N_STAGE, 3)), turned], 1)
    zero = np.zeros_like(yaw)
    turns = np.stack([np.cos(yaw / 2), zero, zero, np.sin(yaw / 2)], -1)
    fixed["rotation"] = np.concatenate([np.broadcast_to(stage["rotation"], (b, furniture.N_STAGE, 4)), turns], 1)
    tint = np.stack([factors[name] for name in ("floor_tint", "wall_tint", "furniture_tint")], 1)[:, furniture.GROUP]
    hsv = table["hsv"][style]
    fixed["colour"] = rgb((hsv[..., 0] + tint[..., None]) % 1, hsv[..., 1], hsv[..., 2])

    told = (kinds(factors)[real], *(factors[name][real] for name in ("tint", "size", "x", "y", "yaw")))
    arrays = {}
    for name, value in things.lie(*told).items():
        arrays[name] = np.empty((offsets[-1], *value.shape[1:]), value.dtype)
        arrays[name][objects] = value
        arrays[name][scenery] = fixed[name].reshape(-1, *value.shape[1:])

    azimuth, elevation = factors["light_azimuth"], factors["light_elevation"]
    flat = np.cos(elevation)
    sun = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], 1).astype(np.float32)
    return scenes.Scenes(
        offsets=offsets,
        **arrays,
        light_position=sun[:, None],
        light_colour=np.full((b, 1, 3), 0.5, np.float32),
        light_is_sun=np.ones((b, 1), bool),
        ambient=table["ambient"][style],
        sky=table["sky"][style],
        factors={name: np.asarray(value) for name, value in factors.items()},
        first_object=FIRST_OBJECT,
    )


@functools.lru_cache(maxsize=8)
def _stage(config: Config) -> dict[str, np.ndarray]:
    """The floor and the walls of one room, all but their looks."""
    half, high = config.side / 2, WALL_HEIGHT / 2
    position = [(0, 0, 0), (half, 0, high), (-half, 0, high), (0, half, high), (0, -half, high)]
    # A plane is seen from its +z side; a camera looking along a heading has its +z axis the other way, y up.
    walls = scenes.look(np.array([0, math.pi, math.pi / 2, -math.pi / 2]), np.zeros(4))
    return {
        "size": np.array([(half, half, 0)] + [(half, high, 0)] * 4, np.float32),
        "position": np.array(position, np.float32),
        "rotation": np.concatenate([np.array([[1, 0, 0, 0]], np.float32), walls]),
    }


def ring_poses(config: Config, key: int, index, n_views: int) -> Float32[np.ndarray, "b {n_views} 5"]:
    """Cameras on a ring, 1.1 m up, above things and between furniture, looking at the middle. See `scenes.viewpoints.ring`."""
    return viewpoints.ring(key, np.asarray(index), n_views, radius=ring(config), height=1.1, aim=0.35)


def ring(config: Config) -> float:
    """Radius in metres of that ring."""
    return config.side / 2 - furniture.DEPTH - 0.15


def free_poses(
    config: Config,
    factors: Mapping[str, np.ndarray],
    key: int,
    index,
    n_views: int,
    height: float = 1.1,
    clearance: float = 0.3,
) -> Float32[np.ndarray, "b {n_views} 5"]:
    """Level cameras anywhere in the rooms of `factors`, `clearance` metres from walls, furniture and things, with any yaw.

    See `scenes.viewpoints.free`, also for its error.
    """
    middle, box, radius = outlines(config, factors)
    half = config.side / 2 - furniture.DEPTH - clearance
    lying: Float64[np.ndarray, "b k 2"] = np.stack([factors["x"], factors["y"]], -1)
    real = np.arange(lying.shape[1]) < np.asarray(factors["n_objects"])[:, None]
    free = slice(len(furniture.FREE))
    reach = np.linalg.norm(box, axis=-1) + radius
    middles = np.concatenate([lying, middle[:, free]], 1)
    radii = np.concatenate([things.footprint(kinds(factors), factors["size"]), reach[:, free]], 1) + clearance
    there = np.concatenate([real, np.ones_like(reach[:, free], bool)], 1)
    return viewpoints.free(key, np.asarray(index), n_views, half, height, middles, radii, there)
