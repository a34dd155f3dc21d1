"""Where one object is shown: it hovers above a ground, under a sun, and cameras stand on a sphere around its middle."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32

import scenes
from scenes import factors as fa
from scenes import viewpoints
from scenes.solids import rgb

GROUND_TEXTURES = ("plain", "checker", "noise")
MIDDLE = 1.2
"""Height of the object's middle, in metres."""
SIDE = 9.0
"""Of the ground, in metres."""
FOV = math.radians(42)
"""Field of view of every camera, edge to edge, in radians: what lies within 1.07 m of the middle is always seen."""
RADIUS = 3.0
"""Of the sphere on which cameras stand, in metres."""
LOWEST, HIGHEST = -0.3, 1.2
"""Elevations between which they stand, in radians."""
FIRST_OBJECT = 1
LIMITS = {
    "ground_texture": (0, len(GROUND_TEXTURES) - 1),
    "ground_hue": (0.0, 1.0),
    "light_elevation": (0.0, math.pi / 2),
    "hue": (0.0, 1.0),
}
"""Least and largest values of factors that a stage and the colour of its object can be built of."""
NUISANCE = ("ground_texture", "ground_hue", "light_azimuth", "light_elevation")
"""Factors that are not of the object."""


def scenery() -> fa.Distribution:
    """What varies besides the object: texture and hue of the ground, and the sun's direction."""
    return fa.box(
        ground_texture=fa.Finite(range(len(GROUND_TEXTURES))),
        ground_hue=fa.Interval(0.0, 1.0),
        light_azimuth=fa.Interval(0.0, 2 * math.pi),
        light_elevation=fa.Interval(0.5, 1.2),
    )


def ring_poses(key: int, index, n_views: int) -> Float32[np.ndarray, "b {n_views} 5"]:
    """Cameras on the sphere, looking at its middle. See `scenes.viewpoints.sphere`."""
    return viewpoints.sphere(key, np.asarray(index), n_views, RADIUS, MIDDLE, LOWEST, HIGHEST)


def build(factors: Mapping[str, np.ndarray], solids: Mapping[str, Any], **rest: Any) -> scenes.Scenes:
    """Scenes of a ground, a sun and the solids of objects.

    Args:
        factors: Those of `scenery`, `n_objects` and any others.
        solids: Arrays of one row for each solid of all scenes, in order, or one value for all: `kind`, `size`, `position`
            and `colour` (rgb); `rotation` and `mesh` where there are such.
        rest: Further fields of `Scenes`.
    """
    n = np.asarray(factors["n_objects"])
    b = len(n)
    offsets = np.concatenate([[0], np.cumsum(n + FIRST_OBJECT)]).astype(np.int32)
    ground, total = offsets[:-1], int(offsets[-1])
    objects = np.delete(np.arange(total), ground)
    ground_hue = factors["ground_hue"]
    fixed = {
        "kind": (np.int32, scenes.KINDS.index("plane")),
        "size": (np.float32, (SIDE / 2, SIDE / 2, 0)),
        "position": (np.float32, (0, 0, 0)),
        "rotation": (np.float32, (1, 0, 0, 0)),
        "mesh": (np.int32, -1),
        "colour": (np.float32, np.stack([rgb(ground_hue, 0.25, 0.85), rgb(ground_hue, 0.35, 0.6)], 1)),
    }
    arrays = {}
    for name, (dtype, value) in fixed.items():
        made = np.zeros((total, *np.shape(value)[1 if name == "colour" else 0 :]), dtype)
        made[ground] = value
        made[objects] = solids.get(name, [1, 0, 0, 0] if name == "rotation" else -1)
        arrays[name] = made
    texture = np.zeros(total, np.int32)
    texture[ground] = np.array([scenes.TEXTURES.index(name) for name in GROUND_TEXTURES])[factors["ground_texture"]]
    azimuth, elevation = factors["light_azimuth"], factors["light_elevation"]
    flat = np.cos(elevation)
    sun = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], 1).astype(np.float32)
    return scenes.Scenes(
        offsets=offsets,
        **arrays,
        texture=texture,
        texture_scale=np.full(total, 1.5, np.float32),
        light_position=sun[:, None],
        light_colour=np.full((b, 1, 3), 0.55, np.float32),
        light_is_sun=np.ones((b, 1), bool),
        ambient=np.full((b, 3), 0.45, np.float32),
        sky=np.tile(np.array([0.62, 0.78, 0.92], np.float32), (b, 1)),
        factors={name: np.asarray(value) for name, value in factors.items()},
        first_object=FIRST_OBJECT,
        **rest,
    )
