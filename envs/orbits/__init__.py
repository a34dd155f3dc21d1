"""Eyes that go around one object on a sphere: what the worlds of `blocks` and `objects` share."""

import dataclasses
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from gymnasium import spaces
from jaxtyping import Float32, Float64, Int

import envs
import scenes
from envs import interventions
from scenes import viewpoints
from scenes.kit import errors, plugins, seeds
from scenes.solids import stages

MOVES = np.array([[-1, 0], [1, 0], [0, 1], [0, -1]])
"""Steps of azimuth and of elevation of each action: left, right (as seen by the eye, so left is clockwise from above), up
and down."""
_STARTS = seeds.derive(envs.ROOT, "orbits", "starts")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options that both environments have."""

    turn: float = math.pi / 12
    """Radians around the object of a step to the left or right."""
    tilt: float = 0.15
    """Radians of a step up or down."""
    max_steps: int = 50
    """Time limit of an episode."""
    image_size: int = 64
    """Height and width of the environment's pictures, unless another size is asked for."""
    shadows: bool = False
    """Whether the sun casts hard shadows."""
    supersample: int = 2
    """Rays per pixel, along each edge of it."""
    renderer: str = "raycast"
    """Which of `scenes.renderers` draws."""

    def __post_init__(self):
        limits = {"max_steps": (1, 10**9), "turn": (1e-3, math.pi), "tilt": (1e-3, math.pi), "supersample": (1, 8)}
        errors.within(type(self).__module__.rpartition(".")[2], self, limits | {"image_size": (1, 4096)})

    @classmethod
    def tiny(cls):
        """Small pictures, for tests."""
        return cls(image_size=16)

    @property
    def look(self) -> dict[str, bool | int]:
        """The options of the renderer."""
        return {"shadows": self.shadows, "supersample": self.supersample}


def sensor_spaces(size: tuple[int, int], k: int) -> dict[str, spaces.Space]:
    """Of every sensor, for scenes with at most `k` objects."""
    far = 2 * stages.SIDE
    ends = np.array([stages.RADIUS, stages.RADIUS, stages.MIDDLE + stages.RADIUS, 3.2, 1.6], np.float32)
    return {
        "image": spaces.Box(0, 255, (*size, 3), np.uint8),
        "depth": spaces.Box(0.0, far, size),
        "ids": spaces.Box(-1, stages.FIRST_OBJECT + k - 1, size, np.int32),
        "pose": spaces.Box(-ends, ends),
        "goal": spaces.Box(0.0, 1.0, (0,)),
        "action": spaces.Box(0.0, 1.0, (len(MOVES),)),
        "state": spaces.Box(-1.6, 1.6, (3,)),
    }


def tour(n: int) -> Float32[np.ndarray, "{n} 5"]:
    """Poses once around, at even steps, half a radian up."""
    return viewpoints.on_sphere(np.arange(n) * 2 * math.pi / n, np.full(n, 0.5), stages.RADIUS, stages.MIDDLE)


class Orbit:
    """The eyes of `n` worlds, and the scenes they see.

    Attributes:
        azimuth: Float64 n, radians around the z axis, in [-pi, pi).
        elevation: Float64 n, radians above the level of the object's middle.
        action: Float32 n 4, the action before, one-hot.
        factors: Name -> array of `n` rows.

    Args:
        world: Whose eyes they are; its `config` has `turn`, `tilt`, `renderer`, `look` and `scenery`.
        family: Its scenes.
        split: Where factors are drawn.
        check: Refuses factors within the family's `LIMITS` that make no scene after all.
    """

    STATE = ("azimuth", "elevation", "action")

    def __init__(self, world: envs.World, family: ModuleType, split: Any, check: Callable[[dict], None] | None = None):
        self._world, self._family, self._split, self._check = world, family, split, check
        self.azimuth, self.elevation = np.zeros(world.n), np.zeros(world.n)
        self.action = np.zeros((world.n, len(MOVES)), np.float32)
        self.factors: dict[str, np.ndarray] = {}
        self._wanted = envs.pictured(world.sensors)
        self._renderer = plugins.load("scenes.renderers", world.config.renderer, "renderer") if self._wanted else None
        self._handle: Any = None

    def begin(self, rows: Int[np.ndarray, " r"], index: Int[np.ndarray, " r"], factors: dict | None) -> None:
        """Draw the scenes of worlds `rows`, and put their eyes anywhere on the sphere."""
        drawn = self._split.sample(envs.ROOT, index)
        drawn = self._mixed(drawn, factors) if factors else drawn
        for name, value in drawn.items():
            if name not in self.factors:
                self.factors[name] = np.zeros((self._world.n, *value.shape[1:]), value.dtype)
            self.factors[name][rows] = value
        low, high = stages.LOWEST, stages.HIGHEST
        azimuth, self.elevation[rows] = viewpoints.zone(seeds.uniform(_STARTS, index, 2), low, high)
        self.azimuth[rows] = azimuth - math.pi
        self.action[rows] = 0
        if self._wanted:
            self._show(rows)

    def _mixed(self, factors: dict[str, np.ndarray], asked: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Factors of some worlds, with those asked for in their places."""
        mixed = factors | interventions.checked(self._world.name, asked, factors, self._family.LIMITS)
        if self._check is not None:
            self._check(mixed)
        return mixed

    def change(self, rows: Int[np.ndarray, " r"], factors: dict[str, np.ndarray]) -> None:
        """Put factors in the place of those of worlds `rows`; the eyes stay where they are."""
        mixed = self._mixed({name: value[rows] for name, value in self.factors.items()}, factors)
        for name, value in mixed.items():
            self.factors[name][rows] = value
        if self._wanted:
            self._show(rows)

    def _show(self, rows: np.ndarray) -> None:
        """Hand the scenes of worlds `rows` to the renderer."""
        config, every = self._world.config, np.arange(self._world.n)
        # Worlds that have not begun show the scene of one that has, until their turn comes.
        shown = np.where(np.isin(every, rows), every, rows[0]) if self._handle is None else rows
        built = self._family.build(config.scenery, {name: value[shown] for name, value in self.factors.items()})
        if self._handle is None:
            self._handle = self._renderer.load(built, **config.look, sensors=self._wanted)
        else:
            self._handle.update(built, rows)

    def move(self, actions: Int[np.ndarray, " n"]) -> None:
        """Go around by `turn` and up by `tilt`, not beyond the zone in which cameras stand."""
        config, moves = self._world.config, MOVES[actions]
        self.action[...] = np.eye(len(MOVES), dtype=np.float32)[actions]
        turned = self.azimuth + moves[:, 0] * config.turn
        self.azimuth[...] = (turned + math.pi) % (2 * math.pi) - math.pi
        risen = self.elevation + moves[:, 1] * config.tilt
        self.elevation[...] = np.clip(risen, stages.LOWEST, stages.HIGHEST)

    def read(self, rows: Int[np.ndarray, " r"]) -> dict[str, np.ndarray]:
        """What the world's sensors read, of some worlds."""
        azimuth, elevation = self.azimuth[rows], self.elevation[rows]
        pose = viewpoints.on_sphere(azimuth, elevation, stages.RADIUS, stages.MIDDLE)
        out: dict[str, np.ndarray] = {"pose": pose, "action": self.action[rows]}
        out |= {"goal": np.zeros((len(rows), 0), np.float32), "state": _state(azimuth, elevation)}
        if self._wanted:
            frames = self._handle.render(scenes.cameras_from_poses(pose, stages.FOV, *self._world.size, rows))
            out |= {"image": frames.rgb, "depth": frames.depth, "ids": frames.ids}
        if "depth" in self._world.sensors:
            out["depth"] = np.minimum(out["depth"], np.float32(2 * stages.SIDE))
        return {sensor: out[sensor] for sensor in self._world.sensors}

    def facts(self) -> dict[str, Any]:
        """The factors of every world's scene; there is no task, and no `success`."""
        factors = {name: value.copy() for name, value in self.factors.items()}
        return {"factors": factors, "success": np.zeros(self._world.n, bool)}


def _state(azimuth: Float64[np.ndarray, " r"], elevation: Float64[np.ndarray, " r"]) -> Float32[np.ndarray, "r 3"]:
    return np.stack([np.sin(azimuth), np.cos(azimuth), elevation], 1).astype(np.float32)
