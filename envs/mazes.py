"""Find the landmark that was named, in a maze, seen through one's own eye.

    python -m agents.train ppo --env mazes --encoder state --env.shaping 0.1

Description: a disc of radius 0.25 m stands in a maze of the family `scenes.mazes`, of 5 to 7 cells of 2.5 m a side. Walls
and landmarks block: it slides along them. Landmarks stand in upright cylinders that just hold them, in corners of cells,
and do not move. The goal names one of them by a factor: its colour, or its shape. Every goal is unambiguous (no other
landmark shares the factor; mazes without such a goal are passed over for another), and every cell can be reached.

Actions: discrete: 0 turns left by `turn`, 1 turns right, 2 goes forward by `stride`. Continuous: two numbers in
[-1, 1]: the turn as a fraction of `turn` (left is positive), then the walk, from -1 (stay) to 1 (a whole `stride`).

Observations (choose with `sensors`):
    image, depth, ids  what the eye sees, 0.7 m up, inclined downwards by 0.1 rad; walls are 1.4 m high; depth is in metres
                       and ends where twice the largest maze does
    pose               of the eye: x, y, z in metres from the maze's middle, yaw, pitch in radians
    goal               the target's colour (3 numbers in [0, 1]), or its shape, one-hot
    action             the action before
    state              in the body's frame: of the target, sine and cosine of its bearing, metres to the body's rim (as the
                       crow flies), its radius; of every other landmark, nearest first: presence, sine, cosine, metres; of
                       the shortest way to the target: its metres, sine and cosine of the bearing in which it begins;
                       metres to the middle of the body's cell, ahead and to the left; of that cell's sides to the east,
                       north, west and south: whether it is a wall, sine and cosine of its bearing
`info` tells `position`, `yaw` and `map`, too: of the maze seen from above, 2 n + 1 squares each way, cell (i, j) being
square [2 i + 1, 2 j + 1] (i eastwards, j northwards) and those between them walls; True where something stands, and beyond
the maze. Cell (0, 0) has its middle (1 - cells) * 1.25 m east and north of the origin.

Reward: 1 for coming within 0.05 m of the target; minus `touch_cost` whenever another landmark comes to be within 0.05 m;
minus `step_cost` every step; with `shaping`, the potential-based term of Ng, Harada and Russell (1999), the potential being
minus the metres of the shortest way, which leaves the best policies as they are if `discount` is the agent's.

Start: near the middle of a cell without landmarks that is not the target's nor beside it, with any heading.

End: the target is reached (terminated); or `max_steps` have passed or, where that is 0, `cells` squared times the actions
that a cell takes, a quarter turn among them (truncated): 238 steps at 5 x 5, 468 at 7 x 7.

Splits: those of `scenes.mazes`: train, test, new-colours, new-shapes, more-objects, new-layout, larger, open, recombination,
and nuisance-easy and nuisance-hard, in which the eye sways around the pose that is told (and never leaves the body),
colours drift, the light turns and flickers, and sky and patterns change (`envs.nuisance`).
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from gymnasium import spaces
from jaxtyping import Float32, Int

import envs
import scenes
from envs import interventions, nuisance, walking
from envs.physics import corridors, discs
from envs.walking import errands
from scenes import factors as fa
from scenes import grids, viewpoints
from scenes import mazes as family
from scenes.kit import errors, seeds

STREAMS = ("Images", "Views", "Episodes")
FOV = family.FOV
EYE_HEIGHT, EYE_PITCH = 0.7, -0.1
"""Of the agent's eye and, so that a learner's pictures are of the same kind, of the learner's cameras within mazes."""
RADIUS = 0.25
"""Of the body, in metres."""
TOUCH = 0.05
"""A landmark nearer than this to the body, in metres, is touched; through a wall none ever is."""
_STARTS = seeds.derive(envs.ROOT, "mazes", "starts")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the environment and of its streams."""

    cells: tuple[int, int] = (5, 7)
    """Fewest and most cells along a side of a training maze; those of the split `larger` have up to two more."""
    n_objects: int = 3
    """Most landmarks in a training maze; the fewest is two, and the split `more-objects` has up to two more."""
    goal: Literal["colour", "shape"] = "colour"
    """The factor that names the target."""
    actions: Literal["discrete", "continuous"] = "discrete"
    """Which action set."""
    turn: float = math.pi / 8
    """Radians of a whole turn action."""
    stride: float = 0.45
    """Metres of a whole step forward."""
    max_steps: int = 0
    """Time limit of an episode; 0: one that grows with the maze."""
    touch_cost: float = 0.5
    """Paid for each touch of a landmark that is not the target; staying in touch costs no more."""
    step_cost: float = 0.0
    """Paid every step."""
    shaping: float = 0.0
    """Reward per metre by which the way to the target becomes shorter; 0: only reaching it pays."""
    discount: float = 0.99
    """Of the shaping term: the agent's own."""
    cameras: Literal["free", "ring"] = "free"
    """Where learners look from: from where the agent's eye may be, or into the maze from a ring above it."""
    image_size: int = 64
    """Height and width of the environment's pictures, unless another size is asked for."""
    shadows: bool = False
    """Whether the sun casts hard shadows."""
    supersample: int = 1
    """Rays per pixel, along each edge of it: 2 averages four, which smooths edges."""
    renderer: str = "raycast"
    """Which of `scenes.renderers` draws."""

    def __post_init__(self):
        limits = {"max_steps": (0, 10**9), "stride": (0.05, 1.0), "turn": (0.05, math.pi), "supersample": (1, 8)}
        limits["image_size"] = (1, 4096)
        errors.within("mazes", self, limits)
        choices = {"goal": errands.FACTORS, "actions": walking.ACTIONS, "cameras": ("free", "ring")}
        for name, accepted in choices.items():
            if getattr(self, name) not in accepted:
                raise errors.unknown(f"{name} of mazes", getattr(self, name), accepted)

    @classmethod
    def tiny(cls) -> "Config":
        """Small mazes and pictures, for tests."""
        return cls(cells=(3, 4), n_objects=2, image_size=16)

    @property
    def look(self) -> dict[str, bool | int]:
        """The options of the renderer."""
        return {"shadows": self.shadows, "supersample": self.supersample}

    @property
    def scenery(self) -> family.Config:
        """The options of the family of scenes."""
        return family.Config(cells=self.cells, n_objects=self.n_objects)


def extent(config: Config) -> float:
    """Side in metres of the square that holds everything: the largest maze's."""
    return family.most_cells(config.scenery) * family.CELL


def splits(config: Config) -> Mapping[str, fa.Split]:
    """The factor distributions by name."""
    return family.splits(config.scenery)


def views(
    config: Config, split: str, seed: int, index: Int[np.ndarray, " b"], n_views: int
) -> tuple[scenes.Scenes, Float32[np.ndarray, "b {n_views} 5"]]:
    """Mazes `index` of (split, seed) and `n_views` poses in each from which learners see them: a pure function."""
    batch = scenes.sample(family, config.scenery, split, seed, index)
    key = seeds.derive(seed, "views", split)
    if config.cameras == "ring":
        poses = family.ring_poses(config.scenery, key, index, n_views)
    else:
        poses = family.free_poses(config.scenery, batch.factors, key, index, n_views, EYE_HEIGHT)
        poses[..., 4] = EYE_PITCH
    return nuisance.seen(batch, poses, key, index, RADIUS)


def tour(config: Config, n: int) -> Float32[np.ndarray, "{n} 5"]:
    """Poses once around the ring above the mazes, at even steps."""
    ring = family.ring_poses(config.scenery, 0, np.zeros(1, np.int64), 1)[0, 0]
    return viewpoints.circle(n, math.hypot(ring[0], ring[1]), ring[2], ring[4])


def _limits(config: Config, cells: np.ndarray) -> np.ndarray:
    """Time limits of mazes of `cells` a side: unless told, steps to go through every cell with a quarter turn in each."""
    each = family.CELL / config.stride + math.pi / 2 / config.turn
    return np.full(len(cells), config.max_steps) if config.max_steps else (cells**2 * each).astype(np.int64)


class World(envs.World):
    """`n` mazes with one agent each.

    Attributes:
        position: Float64 n 2, metres.
        yaw: Float64 n, radians.
        target: Int64 n, which landmark is the target.
    """

    STATE: ClassVar[tuple[str, ...]] = ("position", "yaw", "target", "touching", "success", "action")

    def __init__(
        self, config: Config, n: int, split: str, seed: int, sensors: tuple[str, ...], size: tuple[int, int] | None
    ):
        self._split, size = envs.settle("mazes", splits(config), split, size, config.image_size)
        self._k, self._room = k, room = self._split.objects.width, family.most_cells(config.scenery)
        action_space, n_action = walking.action_space(config.actions)
        far = 2 * extent(config)
        ends = np.array([far / 4, far / 4, EYE_HEIGHT, 3.2, 1.6], np.float32)
        # No way is longer than through every cell; no maze has more walls within than ways between its cells.
        way, most = room**2 * far, family.FIRST_OBJECT + k + 2 * room * (room - 1)
        sensor_spaces = {
            "image": spaces.Box(0, 255, (*size, 3), np.uint8),
            "depth": spaces.Box(0.0, far, size),
            "ids": spaces.Box(-1, most - 1, size, np.int32),
            "pose": spaces.Box(-ends, ends),
            "goal": spaces.Box(0.0, 1.0, (errands.goal_width(config.goal),)),
            "action": spaces.Box(-1.0, 1.0, (n_action,)),
            "state": spaces.Box(-way, way, (4 * k + 17,)),
        }
        cells = np.array(self._split.scene.marginal("cells").boxes[0][0].values)
        limit = int(_limits(config, cells).max())
        super().__init__(config, n, split, seed, sensors, size, limit, action_space, sensor_spaces)
        self._eyes = walking.Eyes(family, config, n, self.sensors, size, far, RADIUS)
        self.position, self.yaw = np.zeros((n, 2)), np.zeros(n)
        self.target, self.success = np.zeros(n, np.int64), np.zeros(n, bool)
        self.touching, self.action = np.zeros((n, k), bool), np.zeros((n, n_action), np.float32)
        self._centre, self._rim = np.zeros((n, k, 2)), np.full((n, k), -1.0)
        self._around, self._map = np.zeros((n, room, room), np.uint8), np.ones((n, 2 * room + 1, 2 * room + 1), bool)
        self._steps, self._measured = np.zeros((n, room, room), np.int64), np.zeros(n, bool)
        self._limit = np.full(n, self.max_steps)

    def begin(self, rows, index, factors):
        """Draw the mazes, name a target in each and put the bodies somewhere else."""

        def attempt(some, number):
            at = rows[some]
            drawn = self._sample(at, number)
            if factors:
                drawn = self._mixed(drawn, {name: value[some] for name, value in factors.items()})
            self._keep(at, drawn)
            self._centre[at], self._rim[at] = self._cylinders(drawn)
            good = self._stand(at, drawn, seeds.uniform(_STARTS, number, 5))
            faults = self._faults(drawn) if factors else {}
            return good & ~np.any([np.zeros(len(at), bool), *faults.values()], 0), faults

        none = f"no target that its {self.config.goal} tells apart, or no cell to begin in"
        self._settle(rows, index, attempt, none)
        self.touching[rows], self.success[rows], self.action[rows] = False, False, 0
        self._wall(rows)
        self._eyes.show(rows, self._factors)

    def change(self, rows, factors):
        """Change the mazes around the bodies; the target stays the target, and must stay one."""
        drawn = self._mixed({name: value[rows] for name, value in self._factors.items()}, factors)
        (centre, rim), target = self._cylinders(drawn), self.target[rows]
        gone = target >= drawn["n_objects"]
        twins = errands.twins(self.config.goal, drawn[errands.FACTORS[self.config.goal]], rim >= 0)
        faults = self._faults(drawn) | {"the target would be gone": gone}
        faults["the target would not be told apart"] = ~gone & twins[np.arange(len(rows)), target]
        around = corridors.bytes_of(family.carved(drawn, self._room))
        within = corridors.inside_walls(self.position[rows], drawn["cells"], around, RADIUS)
        moved = (centre != self._centre[rows]).any((1, 2)) | (rim != self._rim[rows]).any(1)
        gaps = discs.gaps(self.position[rows], centre, rim)
        faults["a wall would stand where the body is"] = within
        faults["an object would stand where the body is"] = moved & (gaps < 0).any(1)
        self._refuse(rows, faults)
        self._keep(rows, drawn)
        self._centre[rows], self._rim[rows] = centre, rim
        # Whatever comes to the body by itself costs it nothing.
        self.touching[rows] = gaps <= TOUCH
        self._wall(rows)
        self._eyes.show(rows, self._factors)

    def _wall(self, rows: np.ndarray) -> None:
        """Take the walls of worlds `rows` from their factors."""
        maze = family.carved({name: self._factors[name][rows] for name in ("layout", "cells", "openness")}, self._room)
        self._around[rows], self._map[rows] = corridors.bytes_of(maze), grids.occupancy(maze)
        self._measured[rows] = False
        self._limit[rows] = _limits(self.config, self._factors["cells"][rows])

    def _mixed(self, drawn: dict, factors: dict) -> dict[str, np.ndarray]:
        """Factors of some worlds with those that were asked for in their place, padded with zeros."""
        limits = family.LIMITS | {"n_objects": (1, self._k), "cells": (3, self._room)}
        return interventions.padded(drawn | interventions.checked("mazes", factors, drawn, limits), self._k)

    def _cylinders(self, drawn: dict) -> tuple[np.ndarray, np.ndarray]:
        """Where a body's middle may not be: centres and radii of upright cylinders, -1 for those that are not there."""
        present = np.arange(self._k) < drawn["n_objects"][:, None]
        rim = np.where(present, family.footprint(drawn["shape"], drawn["size"]) + RADIUS, -1.0)
        return family.landmarks(drawn)[1], rim

    def _faults(self, drawn: dict) -> dict[str, np.ndarray]:
        """What keeps some mazes from being: reason -> which of them."""
        present = np.arange(self._k) < drawn["n_objects"][:, None]
        cell = family.landmarks(drawn)[0]
        shared = (cell[:, :, None] == cell[:, None]).all(-1) & present[:, :, None] & present[:, None]
        return {
            "an object would be of no size": (present & (drawn["size"] <= 0)).any(1),
            "two objects would share a cell": (shared & ~np.eye(self._k, dtype=bool)).any((1, 2)),
        }

    def _stand(self, at: np.ndarray, drawn: dict, u: np.ndarray) -> np.ndarray:
        """Name targets and place bodies in worlds `at` from uniform numbers; returns which of them it could."""
        present = np.arange(self._k) < drawn["n_objects"][:, None]
        named = present & ~errands.twins(self.config.goal, drawn[errands.FACTORS[self.config.goal]], present)
        order = np.cumsum(named, 1)
        self.target[at] = target = (order > u[:, :1] * order[:, -1:]).argmax(1)

        every, (cell, _) = np.arange(len(at)), family.landmarks(drawn)
        free = np.arange(self._room) < drawn["cells"][:, None]
        free = free[:, :, None] & free[:, None]
        free[np.nonzero(present)[0], *cell[present].T] = False
        for side in corridors.SIDES:
            beside = cell[every, target] + side
            real = ((beside >= 0) & (beside < self._room)).all(1)
            free[every[real], *beside[real].T] = False
        ranks = np.cumsum(free.reshape(len(at), -1), 1)
        column, row = np.divmod((ranks > u[:, 1:2] * ranks[:, -1:]).argmax(1), self._room)
        middle = corridors.middle_of(np.stack([column, row], 1), drawn["cells"])
        self.position[at] = middle + (u[:, 2:4] - 0.5) * 0.4
        self.yaw[at] = (u[:, 4] * 2 - 1) * math.pi
        return (order[:, -1] > 0) & (ranks[:, -1] > 0)

    def advance(self, actions):
        """Turn, walk, slide, and see what was touched."""
        moves, self.action[...] = walking.moves(self.config.actions, actions)
        worlds, shaped = np.arange(self.n), self.config.shaping
        before = self._way(worlds)[0] if shaped else 0.0
        self.yaw, heading = walking.turned(self.yaw, moves[:, 0] * self.config.turn)
        cells, parts = self._factors["cells"], math.ceil(self.config.stride / (0.95 * RADIUS))
        step = heading * (moves[:, 1:] * (self.config.stride / parts))
        for _ in range(parts):
            self.position = corridors.slide(
                self.position, self.position + step, cells, self._around, self._centre, self._rim, RADIUS
            )
        touching = discs.gaps(self.position, self._centre, self._rim) <= TOUCH
        self.success = touching[worlds, self.target]
        fresh = touching & ~self.touching
        fresh[worlds, self.target] = False
        self.touching = touching
        self.cut = self.steps + 1 >= self._limit
        reward = self.success - self.config.touch_cost * fresh.sum(1) - self.config.step_cost
        if shaped:
            # The potential, minus the way, is zero in the state after the last.
            after = np.where(self.success, 0.0, self._way(worlds)[0])
            reward = reward + shaped * (before - self.config.discount * after)
        return reward.astype(np.float32), self.success.copy()

    def read(self, rows):
        """The sensors asked for, of some worlds."""
        pose = walking.look_from(self.position[rows], self.yaw[rows], EYE_HEIGHT, EYE_PITCH)
        out = {"pose": pose, "action": self.action[rows]}
        if self._eyes.drawn:
            out |= self._eyes.see(pose, rows, self._factors, self.scene_index(), self.steps)
        if "goal" in self.sensors:
            named = self._factors[errands.FACTORS[self.config.goal]][rows, self.target[rows]]
            out["goal"] = errands.goal(self.config.goal, named)
        if "state" in self.sensors:
            out["state"] = self._state(rows)
        return {sensor: out[sensor] for sensor in self.sensors}

    def _state(self, rows: np.ndarray) -> np.ndarray:
        position, yaw, cells = self.position[rows], self.yaw[rows], self._factors["cells"][rows]
        things = errands.seen(position, yaw, self._centre[rows], self._rim[rows], self.target[rows], RADIUS)
        metres, aim = self._way(rows)
        ahead = np.arctan2(*(aim - position).T[::-1]) - yaw
        cell = corridors.cell_of(position, cells)
        away, c, s = corridors.middle_of(cell, cells) - position, np.cos(yaw), np.sin(yaw)
        own = [c * away[:, 0] + s * away[:, 1], c * away[:, 1] - s * away[:, 0]]
        wall = self._around[rows, cell[:, 0], cell[:, 1]][:, None] >> np.arange(4) & 1
        bearing = np.arange(4) * math.pi / 2 - yaw[:, None]
        sides = np.stack([wall, np.sin(bearing), np.cos(bearing)], -1).reshape(len(rows), 12)
        return np.concatenate([things, np.stack([metres, np.sin(ahead), np.cos(ahead), *own], 1), sides], 1)

    def _way(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of worlds `rows`, the metres of the shortest way to the target, and the point to walk to now."""
        new = rows[~self._measured[rows]]
        if len(new):
            drawn = {name: value[new] for name, value in self._factors.items()}
            goal = family.landmarks(drawn)[0][np.arange(len(new)), self.target[new]]
            self._steps[new] = grids.steps_to(family.carved(drawn, self._room), *goal.T)
            self._measured[new] = True
        every, cells, position = np.arange(len(rows)), self._factors["cells"][rows], self.position[rows]
        cell = corridors.cell_of(position, cells)
        beside = np.clip(cell[:, None] + corridors.SIDES, 0, self._room - 1)
        walls = self._around[rows, cell[:, 0], cell[:, 1]][:, None] >> np.arange(4) & 1
        steps = np.where(walls == 1, np.iinfo(np.int64).max, self._steps[rows[:, None], beside[..., 0], beside[..., 1]])
        side = steps.argmin(1)
        ahead, middle = corridors.SIDES[side], corridors.middle_of(cell, cells)
        local = position - middle
        along = (local * ahead).sum(1)
        # On the line from middle to middle, a little ahead; who is far from the line goes to the middle first.
        beyond = np.where(
            np.abs(local - along[:, None] * ahead).max(1) > 0.35, 0.0, np.minimum(along + 0.8, family.CELL)
        )
        aim = middle + ahead * beyond[:, None]
        metres = steps[every, side] * family.CELL + np.linalg.norm(middle + ahead * family.CELL - position, axis=1)
        there = self._steps[rows, cell[:, 0], cell[:, 1]] == 0
        goal, rim = self._centre[rows, self.target[rows]], self._rim[rows, self.target[rows]]
        gap = np.maximum(np.linalg.norm(goal - position, axis=1) - rim, 0)
        return np.where(there, gap, metres), np.where(there[:, None], goal, aim)

    def facts(self):
        """`factors`; `target`, which landmark is wanted; `success`, whether it was reached; `position`, `yaw` and `map`."""
        factors = {name: value.copy() for name, value in self._factors.items()}
        told = {name: getattr(self, name).copy() for name in ("target", "success", "position", "yaw")}
        return {"factors": factors, "map": self._map.copy()} | told

    def scripted(self):
        """Follows the shortest way along the middles of cells."""
        _, aim = self._way(np.arange(self.n))
        away = aim - self.position
        return walking.head(
            self.config.actions, discs.wrap(np.arctan2(away[:, 1], away[:, 0]) - self.yaw), self.config.turn
        )
