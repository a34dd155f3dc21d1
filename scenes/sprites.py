"""Sprites: flat shapes of one colour each in the unit square, seen straight from above, later ones on top.

The scenes of COBRA's tasks (Watters et al., 2019, arXiv:1905.09275), with the ranges of Spriteworld's configurations
(github.com/google-deepmind/spriteworld): x and y in [0.1, 0.9), x rightwards and y upwards; the square root of a sprite's
area 0.13; saturation in [0.3, 1), value in [0.9, 1). `Config.task` says what sprites there are; what is to be done with
them is no matter of scenes:

    goal-finding  targets, hue in [0, 0.4), among distractors, hue in [0.5, 0.9)
    clustering    sprites of two of the `COLOURS`, as many of each: blue and green
    sorting       two sprites of different `COLOURS`
    exploration   one to six sprites of any hue

Splits (all but `test` lie outside the training support, as `factors.check_splits` proves whenever they are made):

    train             see above; without what `held_out` names, new shapes and new sizes
    test              fresh seeds of the same
    new-position      all sprites (of goal-finding: all targets) begin with x and y in [0.5, 0.9), where none did in training
    new-shapes        every sprite is of one of `new_shapes`
    new-colours       goal-finding and exploration: every hue from bands held out; clustering: red and yellow
    new-sizes         every sprite is larger than any in training
    recombination     at least one held-out pair of shape and hue, each of them common in training
    more-targets, more-distractors      goal-finding: one more of these
    more-sprites      clustering: one more of each colour; sorting: three colours; exploration: seven or eight sprites
    new-pair          sorting: red and blue, each of them common in training, but never together

COBRA's six pairs of training and test are among these, exactly, with the options in `PAIRS`.

There is no light but what comes from everywhere, so that colours are drawn as they are; nothing is drawn behind.
"""

import dataclasses
import functools
import itertools
import math
import types
from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float32

import scenes
from scenes import factors as fa
from scenes.kit import errors
from scenes.solids import flat, rgb

SHAPES = flat.SHAPES
"""What a factor `shape` is an index into."""
TASKS = ("goal-finding", "clustering", "sorting", "exploration")
TARGETS, DISTRACTORS = (0.0, 0.4), (0.5, 0.9)
"""Hues of goal-finding's sprites."""
COLOURS = {"red": (0.9, 1.0), "blue": (0.55, 0.65), "green": (0.27, 0.37), "purple": (0.73, 0.83), "yellow": (0.1, 0.2)}
"""Hues of the sprites of clustering and sorting."""
NEW_HUES = ((0.15, 0.25), (0.65, 0.75))
"""Held out for `new-colours`: of targets and of distractors; of exploration, both."""
LIMITS = {"shape": (0, len(SHAPES) - 1), "size": (0.0, 0.5)}
LIMITS |= dict.fromkeys(("x", "y", "hue", "saturation", "value"), (0.0, 1.0))
"""Least and largest values of factors that sprites can be drawn of, whatever splits draw."""
EYE = 1.0
"""Height of the camera, in metres."""
EXTENT = 1.0
"""Metres that the camera sees each way: it is orthographic."""
FOV = 2 * math.atan(EXTENT / 2 / EYE)
"""Of a pinhole in the camera's place that sees as much of the plane z = 0."""
_LAYER = 0.01
"""Metres between sprites, so that the later ones hide the earlier."""
_POSE = (0.5, 0.5, EYE, math.pi / 2, -math.pi / 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the sprites."""

    task: Literal["goal-finding", "clustering", "sorting", "exploration"] = "goal-finding"
    """Whose scenes they are."""
    n_targets: int = 1
    """Targets of goal-finding."""
    n_distractors: int = 1
    """Distractors of goal-finding."""
    n_per_colour: int = 2
    """Sprites of each of clustering's two colours."""
    n_sprites: int = 6
    """Most sprites of exploration; the fewest is one."""
    shapes: tuple[str, ...] = ("square", "triangle", "circle")
    """Shapes of training."""
    new_shapes: tuple[str, ...] = ("pentagon", "star_5", "spoke_4")
    """Shapes kept for the split `new-shapes`."""
    size: tuple[float, float] = (0.13, 0.13)
    """Range of the square root of a sprite's area, in metres."""
    new_size: tuple[float, float] = (0.16, 0.2)
    """The same, kept for the split `new-sizes`."""
    turned: bool = False
    """Whether sprites are turned by any angle; else they are upright."""
    held_out: tuple[str, ...] = ("position", "colours", "pairs")
    """What training lacks, so that new-position, new-colours and recombination have it for themselves; those that are not
    named here are no splits (clustering has new-colours in any case)."""


PAIRS: Mapping[str, tuple[dict, str]] = types.MappingProxyType(
    {
        "goal-finding-new-position": ({"held_out": ("position",)}, "new-position"),
        "goal-finding-new-shape": (
            {"n_distractors": 0, "shapes": ("square",), "new_shapes": ("triangle", "circle"), "held_out": ()},
            "new-shapes",
        ),
        "goal-finding-more-distractors": ({"n_targets": 2, "held_out": ()}, "more-distractors"),
        "goal-finding-more-targets": ({"n_distractors": 2, "held_out": ()}, "more-targets"),
        "clustering": ({"task": "clustering", "held_out": ()}, "new-colours"),
        "sorting": ({"task": "sorting", "held_out": ()}, "new-pair"),
    }
)
"""COBRA's pairs: the options with which the splits `train` and the one named are those of Spriteworld's configuration.
(What the configuration calls the lower right quadrant is x and y in [0.5, 0.9), which its pictures show at the upper
right.)"""


def _check(config: Config) -> None:
    if config.task not in TASKS:
        raise errors.unknown("task of sprites", config.task, TASKS)
    for shape in (*config.shapes, *config.new_shapes):
        if shape not in SHAPES:
            raise errors.unknown("shape", shape, SHAPES)
    for name in config.held_out:
        if name not in ("position", "colours", "pairs"):
            raise errors.unknown("thing to hold out", name, ("position", "colours", "pairs"))
    limits = {"n_targets": (1, 4), "n_distractors": (0, 8), "n_per_colour": (1, 4), "n_sprites": (1, 12)}
    errors.within("sprites", config, limits)
    for name in ("size", "new_size"):
        low, high = getattr(config, name)
        if not 0.02 <= low <= high <= 0.5:
            raise errors.CaveError(
                f"sprites: {name} is ({low}, {high}), wanted 0.02 <= low <= high <= 0.5", errors.USAGE
            )


def span(low: float, high: float) -> fa.Interval:
    """The numbers from `low` to `high`; if they are the same, that one alone."""
    # Next to zero, floats lie so close that products of such lengths would vanish.
    return fa.Interval(low, max(high, math.nextafter(low, math.inf), low + 1e-100))


@functools.lru_cache(maxsize=64)
def splits(config: Config) -> Mapping[str, fa.Split]:
    """The splits by name, proved disjoint from training (or within it) from their distributions.

    Raises:
        errors.CaveError: the options leave a split empty, or make one leak; factor and witness are named.
    """
    _check(config)
    held = set(config.held_out)
    task = config.task
    shapes, new_shapes = (
        fa.box(shape=fa.Finite(map(SHAPES.index, names))) for names in (config.shapes, config.new_shapes)
    )
    bands = [fa.box(hue=fa.Interval(*ends)) for ends in NEW_HUES]
    named = {"goal-finding": {"target": TARGETS, "distractor": DISTRACTORS}, "exploration": {"any": (0.0, 1.0)}}
    hues = {role: fa.box(hue=fa.Interval(*ends)) for role, ends in named.get(task, COLOURS).items()}
    banded = "colours" in held and task in named
    old_hues = {role: hue - (bands[0] | bands[1]) if banded else hue for role, hue in hues.items()}
    new_hues = {role: hue & (bands[0] | bands[1]) for role, hue in hues.items()}

    # Each training shape is denied one band of a role's hues, or each colour one shape: the pairs of `recombination`.
    nothing = shapes * hues[next(iter(hues))] - shapes
    pairs = dict.fromkeys(hues, nothing)
    kinds = [fa.box(shape=fa.Finite((SHAPES.index(name),))) for name in config.shapes]
    if "pairs" in held:
        for i, (role, hue) in enumerate(old_hues.items()):
            if task not in named:
                pairs[role] = kinds[i % len(kinds)] * hue
            elif role != "distractor":
                parts = [kind * part for kind, part in zip(kinds, fa.cut(hue, len(kinds)))]
                pairs[role] = fa.union(*parts)

    everywhere = fa.box(x=fa.Interval(0.1, 0.9), y=fa.Interval(0.1, 0.9))
    corner = fa.box(x=fa.Interval(0.5, 0.9), y=fa.Interval(0.5, 0.9))
    shade = fa.box(saturation=fa.Interval(0.3, 1.0), value=fa.Interval(0.9, 1.0))
    old_size, new_size = (fa.box(size=span(*ends)) for ends in (config.size, config.new_size))
    rest = shade * fa.box(yaw=fa.Interval(0.0, 2 * math.pi) if config.turned else span(0.0, 0.0))

    def place(role: str, new: bool = False) -> fa.Distribution:
        if role == "distractor":
            return everywhere
        return corner if new else everywhere - corner if "position" in held else everywhere

    def sprite(role, looks=None, new_place=False, size=old_size) -> fa.Distribution:
        looks = shapes * old_hues[role] - pairs[role] if looks is None else looks
        return looks * place(role, new_place) * size * rest

    if task == "goal-finding":
        t, d = config.n_targets, config.n_distractors
        groups = (((t, "target"), (d, "distractor")),)
        more = {"more-targets": (((t + 1, "target"), (d, "distractor")),)}
        more["more-distractors"] = (((t, "target"), (d + 1, "distractor")),)
    elif task == "clustering":
        n = config.n_per_colour
        groups = (((n, "blue"), (n, "green")),)
        more = {"more-sprites": (((n + 1, "blue"), (n + 1, "green")),), "new-colours": (((n, "red"), (n, "yellow")),)}
    elif task == "sorting":
        new_pair, *groups = (tuple((1, colour) for colour in two) for two in itertools.combinations(COLOURS, 2))
        three = tuple(tuple((1, colour) for colour in some) for some in itertools.combinations(COLOURS, 3))
        more = {"new-pair": (new_pair,), "more-sprites": three}
    else:
        groups = tuple(((n, "any"),) for n in range(1, config.n_sprites + 1))
        more = {"more-sprites": tuple(((config.n_sprites + n, "any"),) for n in (1, 2))}

    def casts(groups, make=sprite) -> tuple:
        return tuple(tuple((n, make(role)) for n, role in group if n) for group in groups)

    made = {"train": casts(groups), "test": casts(groups)}
    novel = {"more-targets": ("n_objects",), "more-distractors": ("n_objects",), "more-sprites": ("n_objects",)}
    novel |= {"new-pair": ("hue",), "new-colours": ("hue",), "new-shapes": ("shape",), "new-sizes": ("size",)}
    novel |= {"new-position": ("x", "y"), "recombination": ("shape", "hue")}
    if "position" in held:
        made["new-position"] = casts(groups, lambda role: sprite(role, new_place=True))
    made["new-shapes"] = casts(groups, lambda role: sprite(role, new_shapes * old_hues[role]))
    if banded:
        made["new-colours"] = casts(groups, lambda role: sprite(role, shapes * new_hues[role]))
    made |= {name: casts(other) for name, other in more.items()}
    made["new-sizes"] = casts(groups, lambda role: sprite(role, size=new_size))
    if "pairs" in held:
        whole = lambda role: sprite(role, shapes * old_hues[role])
        mixed = []
        for group in groups:
            # Each sort in turn has the one that must be of a held-out pair.
            for i, (n, role) in enumerate(group):
                if not pairs[role].is_empty():
                    others = [(m, whole(other)) for j, (m, other) in enumerate(group) if j != i]
                    mixed.append(((1, sprite(role, pairs[role])), (n - 1, whole(role)), *others))
        made["recombination"] = tuple(tuple(sort for sort in cast if sort[0]) for cast in mixed)
    width = max(sum(n for n, _ in cast) for some in made.values() for cast in some)
    known = {
        name: fa.Split(name, fa.box(), fa.Casts(some, width), "train" if name == "test" else None, novel.get(name, ()))
        for name, some in made.items()
    }
    fa.check_splits(known)
    return types.MappingProxyType(known)


def build(config: Config, factors: Mapping[str, np.ndarray]) -> scenes.Scenes:
    """Sprites from factors of shape (b, k), padded, of which `n_objects` (b,) are real.

    Factors: shape (index into `SHAPES`), hue, saturation, value, size (square root of the area) and x, y in metres, yaw in
    radians.
    """
    n = np.asarray(factors["n_objects"])
    b = len(n)
    real = np.arange(factors["shape"].shape[1]) < n[:, None]
    names = ("shape", "hue", "saturation", "value", "size", "x", "y", "yaw")
    shape, hue, saturation, value, size, x, y, yaw = (factors[name][real] for name in names)
    return scenes.Scenes(
        offsets=np.concatenate([[0], np.cumsum(n)]).astype(np.int32),
        kind=np.full(len(shape), scenes.KINDS.index("mesh"), np.int32),
        mesh=shape.astype(np.int32),
        meshes=flat.meshes(),
        size=np.stack([size, size, np.ones_like(size)], 1).astype(np.float32),
        position=lay(np.stack([x, y], 1), np.nonzero(real)[1]),
        rotation=turn(yaw),
        texture=np.zeros(len(shape), np.int32),
        texture_scale=np.ones(len(shape), np.float32),
        colour=np.repeat(rgb(hue, saturation, value)[:, None], 2, 1),
        light_position=np.zeros((b, 0, 3), np.float32),
        light_colour=np.zeros((b, 0, 3), np.float32),
        light_is_sun=np.zeros((b, 0), bool),
        ambient=np.ones((b, 3), np.float32),
        sky=np.zeros((b, 3), np.float32),
        factors={name: np.asarray(value) for name, value in factors.items()},
    )


def lay(place, layer) -> Float32[np.ndarray, "n 3"]:
    """Positions of sprites in a scene: their places, n 2, and how many lie below each, n."""
    return np.concatenate([place, (np.asarray(layer)[:, None] + 1) * _LAYER], 1).astype(np.float32)


def turn(yaw) -> Float32[np.ndarray, "n 4"]:
    """Rotations of sprites in a scene."""
    zero = np.zeros_like(yaw)
    return np.stack([np.cos(yaw / 2), zero, zero, np.sin(yaw / 2)], 1).astype(np.float32)


def ring_poses(config: Config, key: int, index, n_views: int) -> Float32[np.ndarray, "b {n_views} 5"]:
    """The only place to look from: above the middle, straight down, x to the right and y up."""
    return np.tile(np.array(_POSE, np.float32), (len(np.asarray(index)), n_views, 1))
