"""Bodies that turn and walk, and the eyes that they see through: what environments in first person share.

Where a body may be is none of its business: that says the environment (`envs.physics.discs`).
"""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
from gymnasium import spaces
from jaxtyping import Float32, Float64, Int

import envs
import scenes
from envs import nuisance
from envs.physics import discs
from scenes.factors import nuisance as strengths
from scenes.kit import plugins

ACTIONS = ("discrete", "continuous")
"""Action sets. Discrete: 0 turns left, 1 turns right, 2 walks. Continuous: two numbers in [-1, 1]: the turn as a fraction
of a whole one (left is positive), then the walk, from -1 (stay) to 1 (a whole stride)."""
_MOVES = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])


def action_space(kind: str) -> tuple[spaces.Space, int]:
    """The space of one body's actions, and how many numbers the sensor `action` tells of one."""
    discrete = kind == "discrete"
    return (spaces.Discrete(len(_MOVES)), len(_MOVES)) if discrete else (spaces.Box(-1.0, 1.0, (2,)), 2)


def moves(kind: str, actions: np.ndarray) -> tuple[Float64[np.ndarray, "b 2"], np.ndarray]:
    """Turn in [-1, 1] and walk in [0, 1] of checked actions, and the actions as the sensor `action` tells them."""
    if kind == "discrete":
        return _MOVES[actions], np.eye(len(_MOVES), dtype=np.float32)[actions]
    turn_and_walk = actions.astype(np.float64)
    turn_and_walk[:, 1] = (turn_and_walk[:, 1] + 1) / 2
    return turn_and_walk, actions


def head(kind: str, error: Float64[np.ndarray, " b"], turn: float) -> np.ndarray:
    """Actions that turn bodies by `error` radians, where a whole turn is `turn`, and walk on when it is small."""
    if kind == "discrete":
        return np.where(np.abs(error) <= turn / 2 + 1e-9, 2, np.where(error > 0, 0, 1))
    walk = np.where(np.abs(error) <= turn, 1, -1)
    return np.stack([np.clip(error / turn, -1, 1), walk], -1).astype(np.float32)


class Eyes:
    """One eye in each of `n` worlds of a family, and the renderer that shows what they see.

    Attributes:
        drawn: Whether there is anything to draw: some sensor is a picture.
    """

    def __init__(
        self,
        family: ModuleType,
        config: Any,
        n: int,
        sensors: tuple[str, ...],
        size: tuple[int, int],
        far: float,
        sway: float,
    ):
        """
        Args:
            family: Of the scenes.
            config: The environment's, with `scenery`, `renderer` and `look`.
            n: Number of worlds.
            sensors: Those of the worlds.
            size: Height and width of pictures.
            far: Where depth ends, in metres.
            sway: Most metres by which an eye that is disturbed leaves its place.
        """
        self._family, self._config, self._n, self._size, self._far, self._sway = family, config, n, size, far, sway
        self._pictured, self._sensors = envs.pictured(sensors), sensors
        self.drawn = bool(self._pictured)
        self._renderer = plugins.load("scenes.renderers", config.renderer, "renderer") if self.drawn else None
        self._handle = None

    def show(
        self, rows: Int[np.ndarray, " r"], factors: Mapping[str, np.ndarray]
    ) -> tuple[Int[np.ndarray, " s"], scenes.Scenes] | None:
        """Hand the scenes of worlds `rows`, of the `factors` of all, to the renderer; returns which worlds show new ones,
        and those. A call for nothing where nothing is drawn."""
        if not self.drawn:
            return None
        if self._handle is not None:
            built = self._build(rows, factors)
            self._handle.update(built, rows)
            return rows, built
        # Worlds that have not begun show the scene of one that has, until their turn comes.
        every = np.arange(self._n)
        built = self._build(np.where(np.isin(every, rows), every, rows[0]), factors)
        self._handle = self._renderer.load(built, **self._config.look, sensors=self._pictured)
        return every, built

    def see(
        self,
        pose: Float32[np.ndarray, "r 5"],
        rows: Int[np.ndarray, " r"],
        factors: Mapping[str, np.ndarray],
        index: Int[np.ndarray, " b"],
        step: Int[np.ndarray, " b"],
        poses: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> dict[str, np.ndarray]:
        """The sensors that are pictures, of worlds `rows` from `pose`; `factors`, scene `index`, `step` and the `poses` of
        solids (None: as they were built) are of all."""
        told = {name: factors[name][rows] for name in strengths.NAMES}
        build = lambda there: self._build(there, factors)
        seen_by = self._family.FOV, self._size, rows, told, index[rows], step[rows], self._sway, build
        frames = self._handle.render(nuisance.watched(self._handle, pose, *seen_by), poses)
        seen = {"image": frames.rgb, "depth": frames.depth, "ids": frames.ids}
        if "depth" in self._sensors:
            seen["depth"] = np.minimum(seen["depth"], np.float32(self._far))
        return seen

    def _build(self, rows: np.ndarray, factors: Mapping[str, np.ndarray]) -> scenes.Scenes:
        return self._family.build(self._config.scenery, {name: value[rows] for name, value in factors.items()})


def look_from(
    position: Float64[np.ndarray, "b 2"], yaw: Float64[np.ndarray, " b"], height: float, pitch: float
) -> Float32[np.ndarray, "b 5"]:
    """Poses of eyes so many metres above the bodies' middles."""
    eye = np.broadcast_to([height, 0, pitch], (len(position), 3))
    pose = np.concatenate([position, eye], 1).astype(np.float32)
    pose[:, 3] = yaw
    return pose


def turned(yaw: Float64[np.ndarray, " b"], by: np.ndarray) -> tuple[np.ndarray, Float64[np.ndarray, "b 2"]]:
    """Headings turned by so many radians, in [-pi, pi), and the unit vectors along them."""
    yaw = discs.wrap(yaw + by)
    return yaw, np.stack([np.cos(yaw), np.sin(yaw)], -1)
