"""Look at one procedural solid from all around: no task, no reward, pictures and geometry for learners.

    python -m learners.train gqn --env objects

Description: one solid of the family `scenes.objects`, a superquadric or, with `solids="csg"`, three parts united, cut and
cut away, hovers above a ground, turned as on a turntable. An eye goes around it on a sphere of radius 3 m and always looks
at its middle, 1.2 m up. The stream `Geometry` has points with exact signed distances beside posed pictures.

Actions: discrete: 0 goes left by `turn`, 1 right; 2 goes up by `tilt`, 3 down, between -0.3 and 1.2 radians above the
level of the object's middle.

Observations (choose with `sensors`):
    image, depth, ids  what the eye sees; depth is in metres and ends at 18
    pose               of the eye: x, y, z, yaw, pitch
    goal               without numbers: nothing is wanted
    action             the action before, one-hot
    state              sine and cosine of the eye's azimuth, and its elevation in radians

Reward: none, ever.

Start: an eye anywhere on the sphere between those elevations.

End: `max_steps` have passed (truncated).

Splits: those of `scenes.objects`: train, test, new-colours, new-shapes, new-sizes, recombination.
"""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from gymnasium import spaces
from jaxtyping import Float32, Int

import envs
import scenes
from envs import orbits
from scenes import factors as fa
from scenes import objects as family
from scenes.kit import errors, seeds
from scenes.solids import stages

STREAMS = ("Images", "Views", "Episodes", "Geometry")
FOV = stages.FOV


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(orbits.Options):
    """Options of the environment and of its streams."""

    solids: Literal["superquadrics", "csg"] = "superquadrics"
    """What an object is: a superquadric, or a union, intersection or difference of boxes, spheres and cylinders."""

    @property
    def scenery(self) -> family.Config:
        """The options of the family of scenes."""
        return family.Config(solids=self.solids)


def extent(config: Config) -> float:
    """Side in metres of the square that holds everything: the ground's."""
    return stages.SIDE


def splits(config: Config) -> Mapping[str, fa.Split]:
    """The factor distributions by name."""
    return family.splits(config.scenery)


def views(
    config: Config, split: str, seed: int, index: Int[np.ndarray, " b"], n_views: int
) -> tuple[scenes.Scenes, Float32[np.ndarray, "b {n_views} 5"]]:
    """Objects `index` of (split, seed) and `n_views` poses around each: a pure function."""
    batch = scenes.sample(family, config.scenery, split, seed, index)
    return batch, family.ring_poses(config.scenery, seeds.derive(seed, "views", split), index, n_views)


def tour(config: Config, n: int) -> Float32[np.ndarray, "{n} 5"]:
    """Poses once around the object, at even steps."""
    return orbits.tour(n)


class World(envs.World):
    """`n` objects with one eye each."""

    STATE: ClassVar[tuple[str, ...]] = orbits.Orbit.STATE
    PLAYERS: ClassVar[tuple[str, ...]] = ("random",)
    TASK = False

    def __init__(
        self, config: Config, n: int, split: str, seed: int, sensors: tuple[str, ...], size: tuple[int, int] | None
    ):
        known, size = envs.settle("objects", splits(config), split, size, config.image_size)
        sensed = orbits.sensor_spaces(size, known.objects.width)
        actions = spaces.Discrete(len(orbits.MOVES))
        super().__init__(config, n, split, seed, sensors, size, config.max_steps, actions, sensed)
        self._orbit = orbits.Orbit(self, family, known, family.check)
        self.azimuth, self.elevation, self.action = (getattr(self._orbit, name) for name in self.STATE)

    def begin(self, rows, index, factors):
        """Draw the objects, and put the eyes somewhere around them."""
        self._orbit.begin(rows, index, factors)

    def change(self, rows, factors):
        """Put factors in the place of those of running worlds."""
        self._orbit.change(rows, factors)

    def advance(self, actions):
        """Go around."""
        self._orbit.move(actions)
        return np.zeros(self.n, np.float32), np.zeros(self.n, bool)

    def read(self, rows):
        """The sensors asked for, of some worlds."""
        return self._orbit.read(rows)

    def facts(self):
        """`factors`; `success` is never."""
        return self._orbit.facts()

    def scripted(self):
        """Refused: there is nothing to be done well."""
        raise errors.CaveError("objects has no scripted player: there is no task; its players are random", errors.USAGE)
