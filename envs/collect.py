"""Collect the good things in a furnished room and leave the bad ones, seen through one's own eye: DARLA's task.

    python -m learners.train beta_vae --env collect --split everything
    python -m agents.train ppo --env collect --encoder runs/beta_vae-collect-0

Description: a disc of radius 0.25 m stands in a room of the family `scenes.collect` among furniture and things. Walls and
furniture block: it slides along them. Things do not: whatever it comes within 0.05 m of is collected and gone. Which kinds
are good is the same in every room, of any style; what style goes with what things in training is an accident.

Source: Higgins et al., "DARLA: improving zero-shot transfer in reinforcement learning", ICML 2017 (arXiv:1707.08475), on
DeepMind Lab's level `rooms_collect_good_objects`, in which a room holds ten good and ten bad things for 60 s, and ends when
ten of them are collected. Here it holds fewer (`n_good`, `n_bad`), its furniture blocks, and the episode ends with the
last good one. `scenes.collect.LAB` are options for Lab's own pairings.

Actions: discrete, those that agents in DeepMind Lab usually have (Espeholt et al., 2018, without firing): 0 forward, 1
backward, 2 sidestep to the left, 3 to the right, each by `stride`; 4 turns left, 5 turns right, each by `turn`; 6 turns left
and goes forward, 7 turns right and goes forward.

Observations (choose with `sensors`):
    image, depth, ids  what the eye sees, 1.1 m up and inclined downwards; depth is in metres and ends at twice the room's
                       side
    pose               of the eye: x, y, z, yaw, pitch
    goal               without numbers: what is wanted is always the same
    action             the action before, one-hot
    state              in the body's frame: of every thing that is left, nearest first: presence, 1 for a good one and -1 for
                       a bad one, sine and cosine of its bearing, metres to the body's rim; then metres from the body's
                       middle to the furniture or wall ahead and in seven more directions, counter-clockwise

Reward: 1 for every good thing that is collected, -1 for every bad one.

Start: anywhere at least 0.5 m from every thing and clear of the furniture, with any heading.

End: the last good thing is collected (terminated) or `max_steps` have passed (truncated). It is a success if all good
things were collected and no bad one.

Splits: those of `scenes.collect`: train, test, everything (to train encoders on), new-pairings, new-room, new-colours,
more-things, and nuisance-easy and nuisance-hard, in which the eye sways around the pose that is told (and never leaves the
body), colours drift, the light turns and flickers, and sky and patterns change (`envs.nuisance`).
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
from envs.physics import discs, rounded
from scenes import collect as family
from scenes import factors as fa
from scenes import viewpoints
from scenes.kit import errors, seeds
from scenes.solids import things

STREAMS = ("Images", "Views", "Episodes")
FOV = family.FOV
EYE_HEIGHT, EYE_PITCH = 1.1, -0.245
"""Of the agent's eye and, so that a learner's pictures are of the same kind, of the learner's cameras."""
RADIUS = 0.25
"""Of the body, in metres."""
TOUCH = 0.05
"""A thing nearer than this to the body, in metres, is collected."""
ACTIONS = ("forward", "backward", "left", "right", "turn left", "turn right", "forward left", "forward right")
_MOVES = np.array(
    [(0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1), (1, 0, 0), (-1, 0, 0), (1, 1, 0), (-1, 1, 0)], np.float64
)
"""Of each action: the turn as a fraction of `turn`; steps forward and to the left as fractions of `stride`."""
_TOLD = np.eye(len(ACTIONS), dtype=np.float32)
_CLEAR = (0.05, 0.5)
"""Least metres from a body that starts to furniture and to things."""
_PLACES, _RAYS = 32, 8
_STARTS = seeds.derive(envs.ROOT, "collect", "starts")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the environment and of its streams."""

    n_good: int = family.Config.n_good
    """Good things in a training room; the split `more-things` has one or two more, and as many more bad ones."""
    n_bad: int = family.Config.n_bad
    """Bad things in a training room."""
    side: float = family.Config.side
    """Length of the room's walls, in metres."""
    styles: tuple[str, ...] = family.Config.styles
    """Styles of training rooms."""
    new_styles: tuple[str, ...] = family.Config.new_styles
    """Styles kept for the split `new-room`."""
    things: tuple[str, ...] = family.Config.things
    """Sets of things."""
    held_out: tuple[tuple[str, str], ...] = family.Config.held_out
    """Pairs of style and set kept for the split `new-pairings`."""
    turn: float = math.pi / 12
    """Radians of a turn."""
    stride: float = 0.25
    """Metres of a step; no more than the body is wide from its middle, so that it passes through nothing."""
    max_steps: int = 200
    """Time limit of an episode."""
    cameras: Literal["free", "ring"] = "free"
    """Where learners look from: wherever the agent's eye may be; or from a ring around the middle, looking at it."""
    image_size: int = 64
    """Height and width of the environment's pictures, unless another size is asked for."""
    shadows: bool = False
    """Whether the sun casts hard shadows."""
    supersample: int = 2
    """Rays per pixel, along each edge of it: 2 averages four, which calms the patterns of walls and floor."""
    renderer: str = "raycast"
    """Which of `scenes.renderers` draws."""

    def __post_init__(self):
        limits = {"max_steps": (1, 10**9), "stride": (0.0, RADIUS), "turn": (1e-3, math.pi), "supersample": (1, 8)}
        limits["image_size"] = (1, 4096)
        errors.within("collect", self, limits)
        if self.cameras not in ("free", "ring"):
            raise errors.unknown("cameras of collect", self.cameras, ("free", "ring"))

    @classmethod
    def tiny(cls) -> "Config":
        """Small pictures and one good thing, for tests."""
        return cls(image_size=16, n_good=1, n_bad=2)

    @property
    def look(self) -> dict[str, bool | int]:
        """The options of the renderer."""
        return {"shadows": self.shadows, "supersample": self.supersample}

    @property
    def scenery(self) -> family.Config:
        """The options of the family of scenes."""
        told = {one.name: getattr(self, one.name) for one in dataclasses.fields(family.Config) if one.name != "gap"}
        return family.Config(**told)


def extent(config: Config) -> float:
    """Side in metres of the square that holds everything: the room's."""
    return config.side


def splits(config: Config) -> Mapping[str, fa.Split]:
    """The factor distributions by name."""
    return family.splits(config.scenery)


def views(
    config: Config, split: str, seed: int, index: Int[np.ndarray, " b"], n_views: int
) -> tuple[scenes.Scenes, Float32[np.ndarray, "b {n_views} 5"]]:
    """Rooms `index` of (split, seed) and `n_views` poses in each from which learners see them: a pure function."""
    batch = scenes.sample(family, config.scenery, split, seed, index)
    key = seeds.derive(seed, "views", split)
    if config.cameras == "ring":
        poses = family.ring_poses(config.scenery, key, index, n_views)
    else:
        poses = family.free_poses(config.scenery, batch.factors, key, index, n_views, EYE_HEIGHT, RADIUS + 0.05)
        poses[..., 4] = EYE_PITCH
    return nuisance.seen(batch, poses, key, index, RADIUS)


def tour(config: Config, n: int) -> Float32[np.ndarray, "{n} 5"]:
    """Poses once around the family's ring of cameras, at even steps."""
    return viewpoints.circle(n, family.ring(config.scenery), EYE_HEIGHT, EYE_PITCH)


class World(envs.World):
    """`n` rooms with one agent each.

    Attributes:
        position: Float64 n 2, metres.
        yaw: Float64 n, radians.
        taken: Bool n k, which things have been collected.
        spoilt: Bool n, whether a bad one was among them.
        success: Bool n, whether all good things were collected and no bad one.
    """

    STATE: ClassVar[tuple[str, ...]] = ("position", "yaw", "taken", "spoilt", "success", "action")

    def __init__(
        self, config: Config, n: int, split: str, seed: int, sensors: tuple[str, ...], size: tuple[int, int] | None
    ):
        self._split, size = envs.settle("collect", splits(config), split, size, config.image_size)
        self._k = k = self._split.objects.width
        self._far = 2 * config.side
        ends = np.array([config.side / 2, config.side / 2, EYE_HEIGHT, 3.2, 1.6], np.float32)
        sensor_spaces = {
            "image": spaces.Box(0, 255, (*size, 3), np.uint8),
            "depth": spaces.Box(0.0, self._far, size),
            "ids": spaces.Box(-1, family.FIRST_OBJECT + k - 1, size, np.int32),
            "pose": spaces.Box(-ends, ends),
            "goal": spaces.Box(0.0, 1.0, (0,)),
            "action": spaces.Box(0.0, 1.0, (len(ACTIONS),)),
            "state": spaces.Box(-self._far, self._far, (5 * k + _RAYS,)),
        }
        action_space = spaces.Discrete(len(ACTIONS))
        super().__init__(config, n, split, seed, sensors, size, config.max_steps, action_space, sensor_spaces)
        self._eyes = walking.Eyes(family, config, n, self.sensors, size, self._far, RADIUS)
        self.position, self.yaw = np.zeros((n, 2)), np.zeros(n)
        self.taken = np.zeros((n, k), bool)
        self.spoilt, self.success = np.zeros((2, n), bool)
        self.action = np.zeros((n, len(ACTIONS)), np.float32)
        self._half = config.side / 2 - RADIUS
        # Furniture, and where a body's middle may not be because of it; things, and where it collects them.
        self._furniture = np.zeros((n, 4, 2)), np.zeros((n, 4, 2)), np.zeros((n, 4))
        # Solids of the rooms that are drawn: which there are, and their poses.
        k_solids = family.FIRST_OBJECT + k
        self._solid = np.zeros((n, k_solids), bool)
        self._place, self._attitude = (np.zeros((n, k_solids, d), np.float32) for d in (3, 4))
        self._lying, self._rim, self._good = np.zeros((n, k, 2)), np.full((n, k), -1.0), np.zeros((n, k), bool)

    def begin(self, rows, index, factors):
        """Draw the rooms, and stand the bodies somewhere free."""

        def attempt(some, number):
            at, faults = rows[some], {}
            drawn = self._sample(at, number)
            if factors:
                drawn = self._mixed(drawn, {name: value[some] for name, value in factors.items()})
                faults = self._faults(drawn)
            self._take(at, drawn)
            good = self._stand(at, seeds.uniform(_STARTS, number, 3 * _PLACES))
            good &= ~np.any([np.zeros(len(at), bool), *faults.values()], 0)
            if factors:
                good[good] = ~self._closed(at[good])
            return good, faults

        self._settle(rows, index, attempt, "no start from which a body can reach every good thing")
        self.taken[rows], self.spoilt[rows], self.success[rows], self.action[rows] = False, False, False, 0
        self._show(rows)

    def change(self, rows, factors):
        """Change the rooms around the bodies; what was collected stays so, and what comes to lie near a body is collected
        at its next step."""
        before = {name: value[rows] for name, value in self._factors.items()}
        drawn = self._mixed(before, factors)
        faults = self._faults(drawn)
        lying, rim, good = self._things(drawn)
        furniture, left = self._pieces(drawn), (rim >= 0) & ~self.taken[rows]
        moved = (lying != self._lying[rows]).any(-1) | (rim != self._rim[rows])
        near = discs.gaps(self.position[rows], lying, rim) < 0
        faults["no good thing would be left"] = ~(left & good).any(1)
        faults["a thing would lie where the body is"] = (moved & left & near).any(1)
        faults["furniture would stand where the body is"] = (rounded.gaps(self.position[rows], *furniture) < -1e-6).any(
            1
        )
        known = np.any(list(faults.values()), 0)
        closed = np.zeros(len(rows), bool)
        closed[~known] = self._shut(
            self.position[rows][~known], lying[~known], np.where(left & good, rim, -1)[~known],
            tuple(part[~known] for part in furniture),
        )  # fmt: skip
        faults["a good thing could not be reached"] = closed
        self._refuse(rows, faults)
        self._take(rows, drawn)
        self._show(rows)

    def _mixed(self, drawn: dict, factors: dict) -> dict[str, np.ndarray]:
        """Factors of some worlds with those that were asked for in their place, padded with zeros."""
        half = self.config.side / 2
        limits = family.LIMITS | {"n_objects": (1, self._k), "x": (-half, half), "y": (-half, half)}
        return interventions.padded(drawn | interventions.checked("collect", factors, drawn, limits), self._k)

    def _take(self, rows: np.ndarray, drawn: dict) -> None:
        """Let worlds `rows` have these factors."""
        self._keep(rows, drawn)
        self._lying[rows], self._rim[rows], self._good[rows] = self._things(drawn)
        for array, part in zip(self._furniture, self._pieces(drawn)):
            array[rows] = part

    def _things(self, drawn: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where things lie, how near a body's middle may come to each, -1 for those that are not there; which are good."""
        present = np.arange(self._k) < drawn["n_objects"][:, None]
        rim = np.where(present, things.footprint(family.kinds(drawn), drawn["size"]) + RADIUS, -1.0)
        return np.stack([drawn["x"], drawn["y"]], -1), rim, present & (drawn["good"] == 1)

    def _pieces(self, drawn: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Middles, half extents and rims of the furniture."""
        middle, box, radius = family.outlines(self.config.scenery, drawn)
        return middle, box, radius + RADIUS

    def _faults(self, drawn: dict) -> dict[str, np.ndarray]:
        """What keeps some rooms from being: reason -> which of them."""
        lying, rim, good = self._things(drawn)
        present, radius = rim >= 0, rim - RADIUS
        apart = np.linalg.norm(lying[:, :, None] - lying[:, None], axis=-1) - radius[:, :, None] - radius[:, None]
        pairs = present[:, :, None] & present[:, None] & ~np.eye(self._k, dtype=bool)
        middle, box, wide = self._pieces(drawn)
        gaps = [rounded.gaps(lying[:, i], middle, box, wide - RADIUS).min(1) for i in range(self._k)]
        inside = present & (np.stack(gaps, 1) < radius)
        return {
            "a thing would be of no size": (present & (radius <= 0)).any(1),
            "a thing would stick in a wall": (present & (np.abs(lying).max(-1) + radius > self.config.side / 2)).any(1),
            "a thing would stick in furniture": inside.any(1),
            "two things would overlap": (pairs & (apart < 0)).any((1, 2)),
            "there would be no good thing": ~good.any(1),
        }

    def _stand(self, at: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Place bodies in worlds `at` from uniform numbers; returns which of them it could."""
        clear = np.full((len(at), self._k), _CLEAR[1])
        places = (u[:, : 2 * _PLACES].reshape(-1, _PLACES, 2) * 2 - 1) * self._half
        away = np.linalg.norm(places[:, :, None] - self._lying[at, None], axis=-1)
        free = ((away >= (self._rim[at] + clear)[:, None]) | (self._rim[at] < 0)[:, None]).all(-1)
        spread = [np.repeat(part[at], _PLACES, 0) for part in self._furniture]
        free &= rounded.gaps(places.reshape(-1, 2), *spread).min(1).reshape(free.shape) >= _CLEAR[0]
        every, first = np.arange(len(at)), free.argmax(1)
        self.position[at] = places[every, first]
        self.yaw[at] = (u[every, 2 * _PLACES + first] * 2 - 1) * math.pi
        return free.any(1)

    def _closed(self, at: np.ndarray) -> np.ndarray:
        """Whether bodies `at` find no way to some good thing."""
        rim = np.where(self._good[at], self._rim[at], -1)
        return self._shut(self.position[at], self._lying[at], rim, tuple(part[at] for part in self._furniture))

    def _shut(self, position: np.ndarray, lying: np.ndarray, rim: np.ndarray, furniture: tuple) -> np.ndarray:
        """Whether bodies find no way among furniture to some thing, of those whose rim is not negative."""
        there = rounded.reachable(position, lying, np.maximum(rim + TOUCH, 0), *furniture, self._half)
        return ((rim >= 0) & ~there).any(1)

    def _show(self, rows: np.ndarray) -> None:
        """Hand the rooms of worlds `rows` to the renderer."""
        if self._eyes.drawn:
            shown, built = self._eyes.show(rows, self._factors)
            self._solid[shown] = there = np.arange(self._solid.shape[1]) < built.n_solids[:, None]
            at, number = np.nonzero(there)
            self._place[shown[at], number], self._attitude[shown[at], number] = built.position, built.rotation

    def _poses(self) -> tuple[np.ndarray, np.ndarray]:
        """Poses of all solids: things that were collected lie far outside the room."""
        place = self._place.copy()
        place[:, family.FIRST_OBJECT :, 0][self.taken] = 100 * self.config.side
        return place[self._solid], self._attitude[self._solid]

    def advance(self, actions):
        """Turn, step, slide, and collect what is touched."""
        move = _MOVES[actions]
        self.action[...] = _TOLD[actions]
        self.yaw, heading = walking.turned(self.yaw, move[:, 0] * self.config.turn)
        left = np.stack([-heading[:, 1], heading[:, 0]], -1)
        wanted = self.position + self.config.stride * (heading * move[:, 1:2] + left * move[:, 2:])
        self.position = rounded.slide(self.position, wanted, *self._furniture, self._half)

        touched = (discs.gaps(self.position, self._lying, self._rim) <= TOUCH) & ~self.taken
        self.taken |= touched
        good = (touched & self._good).sum(1)
        bad = touched.sum(1) - good
        self.spoilt |= bad > 0
        ended = ~(self._good & ~self.taken).any(1)
        self.success = ended & ~self.spoilt
        return (good - bad).astype(np.float32), ended

    def read(self, rows):
        """The sensors asked for, of some worlds."""
        pose = walking.look_from(self.position[rows], self.yaw[rows], EYE_HEIGHT, EYE_PITCH)
        out = {"pose": pose, "action": self.action[rows], "goal": np.zeros((len(rows), 0), np.float32)}
        if self._eyes.drawn:
            out |= self._eyes.see(pose, rows, self._factors, self.scene_index(), self.steps, self._poses())
        if "state" in self.sensors:
            out["state"] = self._state(rows)
        return {sensor: out[sensor] for sensor in self.sensors}

    def _state(self, rows: np.ndarray) -> np.ndarray:
        away = self._lying[rows] - self.position[rows, None]
        bearing = np.arctan2(away[..., 1], away[..., 0]) - self.yaw[rows, None]
        gap = discs.gaps(self.position[rows], self._lying[rows], self._rim[rows])
        left = (self._rim[rows] >= 0) & ~self.taken[rows]
        near = np.where(left, np.maximum(gap, 0), 0)
        seen = np.stack([left, np.where(self._good[rows], 1, -1), np.sin(bearing), np.cos(bearing), near], -1)
        seen *= left[..., None]
        order = np.where(left, gap, np.inf).argsort(1, kind="stable")
        seen = np.take_along_axis(seen, order[..., None], 1).reshape(len(rows), -1)
        turned = self.yaw[rows, None] + np.arange(_RAYS) * (2 * math.pi / _RAYS)
        heading = np.stack([np.cos(turned), np.sin(turned)], -1)
        middle, box, rim = (part[rows] for part in self._furniture)
        ways = rounded.free_way(self.position[rows], heading, middle, box, rim - RADIUS, self.config.side / 2)
        return np.concatenate([seen, np.minimum(ways, self._far)], 1)

    def facts(self):
        """`factors`, those of the whole room; `taken`, which things were collected; `success`."""
        factors = {name: value.copy() for name, value in self._factors.items()}
        return {"factors": factors, "taken": self.taken.copy(), "success": self.success.copy()}

    def scripted(self):
        """Walks to the nearest good thing, where the way is free of furniture and bad things."""
        gap = discs.gaps(self.position, self._lying, self._rim)
        left = (self._rim >= 0) & ~self.taken
        every, nearest = np.arange(self.n), np.where(left & self._good, gap, np.inf).argmin(1)
        avoided = np.where(left & ~self._good, self._rim + TOUCH + 0.04, -1.0)
        middle, box, rim = self._furniture
        away = self._lying[every, nearest] - self.position
        # A way keeps 1 cm clear of furniture, or of what touches the body less, so that it may lead away.
        clear = np.minimum(0.01, rounded.gaps(self.position, middle, box, rim) - 1e-6)

        def free(heading):
            way = rounded.free_way(self.position, heading, middle, box, rim + clear, self._half)
            return np.minimum(way, discs.free_way(self.position, heading, self._lying, avoided, self._half))

        towards = np.arctan2(away[:, 1], away[:, 0])
        error = discs.turn_to(self.yaw, towards, np.maximum(gap[every, nearest], 0), free, n_headings=24)
        turn = np.where(error > 0, ACTIONS.index("turn left"), ACTIONS.index("turn right"))
        return np.where(np.abs(error) <= self.config.turn / 2 + 1e-9, ACTIONS.index("forward"), turn)
