"""A robot arm on a stand, and a ball before it: the scenes of the environment `reach`.

    python -m scenes.preview arms

The arm (`scenes.robots`: six joints and three fingers, about a Jaco) stands on a floor in the posture that nine factors
say. The target is a ball in the air before it, never further than the arm can reach. Cameras for learners stand on a ring
around the arm; the environment's own stands before it, where three factors say. How heavy the arm is and what its joints
are like are told with the other factors and leave the picture as it is.

Splits: train; test, fresh draws of it; and, outside training: new-colours (of the target), new-targets (to the left),
new-camera (further round), new-light (low, and high), new-masses (a heavier arm), new-friction (smooth joints),
recombination (a third of the targets' hues is never seen in one third of the places: another one for each). Nuisance-easy
and nuisance-hard are as training, but what is seen of an episode is disturbed, a little or much (`scenes.factors.nuisance`).
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
from scenes import robots, viewpoints
from scenes.factors import nuisance
from scenes.kit import seeds
from scenes.solids import rgb

FLOOR_TEXTURES = ("plain", "checker", "stripes", "noise")
ARM_TEXTURES = ("plain", "stripes", "checker", "noise")
SIDE = 8.0
"""Of the floor, in metres."""
FOV = math.radians(42)
"""Field of view of every camera, edge to edge, in radians."""
AIM = 1.1
"""Height that cameras look at, in metres."""
RING = (2.4, 1.5)
"""Radius and height of the ring on which learners' cameras stand, in metres."""
BALL = 0.07
"""Radius of the target, in metres."""
FIRST_OBJECT = 1 + len(robots.SOLIDS)
JOINTS = tuple(f"joint_{i + 1}" for i in range(robots.N))
DYNAMICS = ("mass", "damping", "friction")
"""Factors that say how the arm moves: each multiplies what `scenes.robots` says."""
INTANGIBLE = True
"""The ball is a place to reach and no body: links, too, pass through one another."""
NUISANCE = (
    "floor_hue", "floor_texture", "arm_hue", "arm_texture", "light_azimuth", "light_elevation",
    "camera_azimuth", "camera_elevation", "camera_distance", *nuisance.NAMES,
)  # fmt: skip
"""Factors that are none of the business of whoever reaches for something."""
LIMITS = {
    "floor_hue": (0.0, 1.0), "floor_texture": (0, len(FLOOR_TEXTURES) - 1),
    "arm_hue": (0.0, 1.0), "arm_texture": (0, len(ARM_TEXTURES) - 1), "light_elevation": (0.0, math.pi / 2),
    "camera_elevation": (-0.2, 1.5), "camera_distance": (1.5, 3.9),
    "mass": (0.5, 3.0), "damping": (0.0, 3.0), "friction": (0.0, 3.0),
    "n_objects": (1, 1), "hue": (0.0, 1.0), "distance": (0.0, 2.0), "height": (0.0, 2.5),
} | nuisance.LIMITS | dict(zip(JOINTS, (link.limits for link in robots.LINKS), strict=True))  # fmt: skip
"""Least and largest values of factors that a scene can be built of, whatever splits draw."""
_FRONT = {
    "camera_azimuth": fa.Interval(-0.35, 0.35),
    "camera_elevation": fa.Interval(0.05, 0.35),
    "camera_distance": fa.Interval(2.2, 2.6),
}
"""Where the environment's camera stands in training."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the arms."""

    new_hues: tuple[tuple[float, float], ...] = ((0.2, 0.35), (0.7, 0.85))
    """Intervals of the target's hue, within [0, 1), kept for the split `new-colours`."""


@functools.lru_cache(maxsize=4)
def splits(config: Config) -> Mapping[str, fa.Split]:
    """The splits by name, proved disjoint from training (or within it) from their distributions.

    Raises:
        errors.CaveError: the options leave a split empty.
    """
    hues, new_hues = fa.hues("arms", config.new_hues)
    right, left = fa.box(azimuth=fa.Interval(-1.2, 0.4)), fa.box(azimuth=fa.Interval(0.4, 1.2))
    away = fa.box(distance=fa.Interval(0.4, 0.7), height=fa.Interval(0.65, 1.35))
    pairs = [hue * place for hue, place in zip(fa.cut(hues, 3), fa.cut(right, 3), strict=True)]
    held_out = fa.union(*pairs)
    seen = hues * right - held_out
    whole = {
        "floor_hue": fa.Interval(0.0, 1.0),
        "floor_texture": fa.Finite(range(len(FLOOR_TEXTURES))),
        "arm_hue": fa.Interval(0.0, 1.0),
        "arm_texture": fa.Finite(range(len(ARM_TEXTURES))),
        "light_azimuth": fa.Interval(0.0, 2 * math.pi),
        "light_elevation": fa.Interval(0.6, 1.1),
        **_FRONT,
        "mass": fa.Interval(0.8, 1.2),
        "damping": fa.Interval(0.6, 1.4),
        "friction": fa.Interval(0.6, 1.4),
        **dict(zip(JOINTS, (fa.Interval(*link.start) for link in robots.LINKS), strict=True)),
    }

    def split(name, novel=(), looks=seen, some=None, of=None, disturbed=nuisance.CALM, **other):
        scene = [fa.box(**(whole | {key: side})) for key, sides in other.items() for side in sides]
        scene = fa.union(*scene) if scene else fa.box(**whole)
        ball = fa.Repeat(fa.Finite((1,)), looks * away, some and some * away, 1)
        return fa.Split(name, scene * disturbed, ball, of, novel)

    made = [
        split("train"),
        split("test", of="train"),
        split("new-colours", ("hue",), new_hues * right),
        split("new-targets", ("azimuth",), hues * left),
        split("new-camera", ("camera_azimuth",), camera_azimuth=(fa.Interval(-0.9, -0.5), fa.Interval(0.5, 0.9))),
        split("new-light", ("light_elevation",), light_elevation=(fa.Interval(0.25, 0.5), fa.Interval(1.2, 1.5))),
        split("new-masses", ("mass",), mass=(fa.Interval(1.4, 1.7),)),
        split("new-friction", ("friction",), friction=(fa.Interval(0.0, 0.3),)),
        split("recombination", ("hue", "azimuth"), hues * right, held_out),
        split("nuisance-easy", nuisance.NAMES, disturbed=nuisance.EASY),
        split("nuisance-hard", nuisance.NAMES, disturbed=nuisance.HARD),
    ]
    made = {one.name: one for one in made}
    fa.check_splits(made)
    return types.MappingProxyType(made)


def joints(factors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Angles of the joints, b 9, in radians."""
    return np.stack([factors[name] for name in JOINTS], -1).astype(np.float64)


def target(factors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Where the middle of the ball is, b 3, in metres."""
    azimuth, distance, height = (factors[name][:, 0] for name in ("azimuth", "distance", "height"))
    return np.stack([distance * np.cos(azimuth), distance * np.sin(azimuth), height], -1)


def place(posture: robots.Posture, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions b k 3 and rotations b k 4 of all solids, of arms in a posture and targets `at` b 3."""
    b = len(at)
    position, rotation = posture.solids()
    floor, still = np.zeros((b, 1, 3), np.float32), np.tile(np.float32([1, 0, 0, 0]), (b, 1, 1))
    return (
        np.concatenate([floor, position, at[:, None].astype(np.float32)], 1),
        np.concatenate([still, rotation, still], 1),
    )


def build(config: Config, factors: Mapping[str, np.ndarray], posture: robots.Posture | None = None) -> scenes.Scenes:
    """Arms from factors.

    Factors of shape (b,), in radians and metres: floor_hue, floor_texture, arm_hue, arm_texture (indices into
    `FLOOR_TEXTURES` and `ARM_TEXTURES`), light_azimuth, light_elevation (of the sun), joint_1 to joint_9; of shape (b, 1):
    hue, azimuth, distance, height of the target, seen from the arm's foot. Those of the camera, of `nuisance` and `DYNAMICS`
    are told with them.

    Args:
        config: Of the family.
        factors: Of `b` scenes.
        posture: The arms', if it is no longer the one that the factors say.
    """
    b, k = len(factors["mass"]), FIRST_OBJECT + 1
    position, rotation = place(robots.posture(joints(factors)) if posture is None else posture, target(factors))
    size = [(SIDE / 2, SIDE / 2, 0.0), *(solid.size for solid in robots.SOLIDS), (BALL, 0.0, 0.0)]
    kind = [scenes.KINDS.index("plane"), *robots.kinds(), scenes.KINDS.index("sphere")]
    shell = np.array([False, *(solid.paint == "shell" for solid in robots.SOLIDS), False])
    floor, arm = (
        np.array([scenes.TEXTURES.index(name) for name in names])[factors[factor]]
        for names, factor in ((FLOOR_TEXTURES, "floor_texture"), (ARM_TEXTURES, "arm_texture"))
    )
    texture = np.where(shell, arm[:, None], 0)
    texture[:, 0] = floor
    paints = {"dark": (0.2, 0.2, 0.22), "light": (0.75, 0.75, 0.72), "shell": (0.0, 0.0, 0.0)}
    colour = np.zeros((b, k, 2, 3), np.float32)
    colour[:, 1:-1] = np.array([paints[solid.paint] for solid in robots.SOLIDS])[:, None]
    hue = factors["arm_hue"]
    colour[:, shell] = np.stack([rgb(hue, 0.45, 0.95), rgb(hue, 0.7, 0.6)], 1)[:, None]
    hue = factors["floor_hue"]
    colour[:, 0] = np.stack([rgb(hue, 0.25, 0.85), rgb(hue, 0.35, 0.6)], 1)
    colour[:, -1] = rgb(factors["hue"])
    azimuth, elevation = factors["light_azimuth"], factors["light_elevation"]
    flat = np.cos(elevation)
    sun = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], 1).astype(np.float32)
    return scenes.Scenes(
        offsets=np.arange(b + 1, dtype=np.int32) * k,
        kind=np.tile(np.array(kind, np.int32), b),
        size=np.tile(np.array(size, np.float32), (b, 1)),
        position=position.reshape(-1, 3),
        rotation=rotation.reshape(-1, 4),
        texture=texture.astype(np.int32).ravel(),
        texture_scale=np.tile(np.array([1.2] + [0.12] * (k - 1), np.float32), b),
        colour=colour.reshape(-1, 2, 3),
        light_position=sun[:, None],
        light_colour=np.full((b, 1, 3), 0.55, np.float32),
        light_is_sun=np.ones((b, 1), bool),
        ambient=np.full((b, 3), 0.48, np.float32),
        sky=np.tile(np.array([0.62, 0.78, 0.92], np.float32), (b, 1)),
        factors={name: np.asarray(value) for name, value in factors.items()},
        first_object=FIRST_OBJECT,
    )


def ring_poses(config: Config, key: int, index, n_views: int) -> Float32[np.ndarray, "b {n_views} 5"]:
    """Cameras on a ring around the arm, looking at it. See `scenes.viewpoints.ring`."""
    return viewpoints.ring(key, np.asarray(index), n_views, *RING, AIM)


def eyes(factors: Mapping[str, np.ndarray]) -> Float32[np.ndarray, "*b 5"]:
    """Poses of the cameras that factors say: they look at the arm from before it."""
    azimuth, elevation, distance = (factors[f"camera_{name}"] for name in ("azimuth", "elevation", "distance"))
    return viewpoints.on_sphere(azimuth, elevation, distance, AIM)


def free_poses(config: Config, key: int, index, n_views: int) -> Float32[np.ndarray, "b {n_views} 5"]:
    """Cameras where the environment's may stand in training.

    Row i depends on `key`, `index[i]` and the view's number alone.
    """
    u = seeds.uniform(key, np.asarray(index), 3 * n_views).reshape(-1, n_views, 3)
    sides = zip(_FRONT.items(), np.moveaxis(u, -1, 0), strict=True)
    return eyes({name: side.lo + value * (side.hi - side.lo) for (name, side), value in sides})
