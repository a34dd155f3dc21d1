"""Find the thing that was named, in a square room with a few others, seen through one's own eye.

Description: a disc of radius 0.25 m stands in a room of the family `scenes.rooms` among solids on the floor. Walls and
objects block: it slides along them. Objects stand in upright cylinders that just hold them, and do not move. The goal
names one of them by a factor: its colour, or its shape. Every goal is unambiguous (no other object shares the factor)
and the way to it is wide enough for the body; rooms without such a goal are passed over for another.

Actions: discrete: 0 turns left by `turn`, 1 turns right, 2 goes forward by `stride`. Continuous: two numbers in
[-1, 1]: the turn as a fraction of `turn` (left is positive), then the walk, from -1 (stay) to 1 (a whole `stride`).

Observations (choose with `sensors`):
    image, depth, ids  what the eye sees, 1.1 m up and inclined downwards, as the family's cameras on a ring are; depth
                       is in metres and ends at twice the room's side
    pose               of the eye: x, y, z, yaw, pitch
    goal               the target's colour (3 numbers in [0, 1]), or its shape, one-hot
    action             the action before
    state              in the body's frame: of the target, sine and cosine of its bearing, metres to the body's rim, its
                       radius; of every other object, nearest first: presence, sine, cosine, metres; metres from the
                       body's middle to the wall ahead, to the left, behind and to the right

Reward: 1 for coming within 0.1 m of the target; minus `touch_cost` whenever another object comes to be within 0.1 m;
minus `step_cost` every step; with `shaping`, the potential-based term of Ng, Harada and Russell (1999), which leaves
the best policies as they are if `discount` is the agent's.

Start: anywhere at least 0.3 m from every object and 1 m from the target, with any heading.

End: the target is reached (terminated) or `max_steps` have passed (truncated).

Splits: those of `scenes.rooms`: train, test, new-colours, new-shapes, more-objects, new-layout, recombination, and
nuisance-easy and nuisance-hard, in which the eye sways around the pose that is told (and never leaves the body), colours
drift, the light turns and flickers, and sky and patterns change (`envs.nuisance`).
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
from envs.physics import discs
from envs.walking import errands
from scenes import factors as fa
from scenes import rooms as family
from scenes import viewpoints
from scenes.kit import errors, seeds

STREAMS = ("Images", "Views", "Episodes")
FOV = family.FOV
EYE_HEIGHT, EYE_PITCH = 1.1, -0.245
"""Of the agent's eye and, so that a learner's pictures are of the same kind, of the learner's cameras."""
RADIUS = 0.25
"""Of the body, in metres."""
TOUCH = 0.1
"""An object nearer than this to the body, in metres, is touched."""
_CLEAR, _FAR = 0.3, 1.0
_PLACES = 32
_STARTS = seeds.derive(envs.ROOT, "rooms", "starts")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the environment and of its streams."""

    n_objects: int = 3
    """Most objects in a training room; the split `more-objects` has up to three more."""
    side: float = 7.0
    """Length of the room's walls, in metres."""
    goal: Literal["colour", "shape"] = "colour"
    """The factor that names the target."""
    actions: Literal["discrete", "continuous"] = "discrete"
    """Which action set."""
    turn: float = math.pi / 12
    """Radians of a whole turn action."""
    stride: float = 0.25
    """Metres of a whole step forward."""
    max_steps: int = 100
    """Time limit of an episode."""
    touch_cost: float = 0.5
    """Paid for each touch of an object that is not the target; staying in touch costs no more."""
    step_cost: float = 0.0
    """Paid every step."""
    shaping: float = 0.0
    """Reward per metre by which the target comes nearer; 0: only reaching it pays."""
    discount: float = 0.99
    """Of the shaping term: the agent's own."""
    cameras: Literal["ring", "free"] = "ring"
    """Where learners look from: on a ring around the middle, looking at it; or from wherever the agent's eye may be."""
    image_size: int = 64
    """Height and width of the environment's pictures, unless another size is asked for."""
    shadows: bool = False
    """Whether the sun casts hard shadows."""
    supersample: int = 2
    """Rays per pixel, along each edge of it: 2 averages four, which calms the patterns of walls and floor."""
    renderer: str = "raycast"
    """Which of `scenes.renderers` draws."""

    def __post_init__(self):
        limits = {"max_steps": (1, 10**9), "stride": (0.0, 0.5), "turn": (1e-3, math.pi), "supersample": (1, 8)}
        limits["image_size"] = (1, 4096)
        errors.within("rooms", self, limits)
        choices = {"goal": errands.FACTORS, "actions": walking.ACTIONS, "cameras": ("ring", "free")}
        for name, accepted in choices.items():
            if getattr(self, name) not in accepted:
                raise errors.unknown(f"{name} of rooms", getattr(self, name), accepted)

    @classmethod
    def tiny(cls) -> "Config":
        """Small pictures, for tests."""
        return cls(image_size=16)

    @property
    def look(self) -> dict[str, bool | int]:
        """The options of the renderer."""
        return {"shadows": self.shadows, "supersample": self.supersample}

    @property
    def scenery(self) -> family.Config:
        """The options of the family of scenes."""
        return family.Config(n_objects=self.n_objects, side=self.side)


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
    """Poses once around the ring on which learners' cameras stand, at even steps."""
    return viewpoints.circle(n, 3 * config.side / 7, EYE_HEIGHT, EYE_PITCH)


class World(envs.World):
    """`n` rooms with one agent each.

    Attributes:
        position: Float64 n 2, metres.
        yaw: Float64 n, radians.
        target: Int64 n, which object is the target.
    """

    STATE: ClassVar[tuple[str, ...]] = ("position", "yaw", "target", "touching", "success", "action")

    def __init__(
        self, config: Config, n: int, split: str, seed: int, sensors: tuple[str, ...], size: tuple[int, int] | None
    ):
        self._split, size = envs.settle("rooms", splits(config), split, size, config.image_size)
        self._k = k = self._split.objects.width
        self._far = 2 * config.side
        action_space, n_action = walking.action_space(config.actions)
        ends = np.array([config.side / 2, config.side / 2, EYE_HEIGHT, 3.2, 1.6], np.float32)
        sensor_spaces = {
            "image": spaces.Box(0, 255, (*size, 3), np.uint8),
            "depth": spaces.Box(0.0, self._far, size),
            "ids": spaces.Box(-1, family.FIRST_OBJECT + k - 1, size, np.int32),
            "pose": spaces.Box(-ends, ends),
            "goal": spaces.Box(0.0, 1.0, (errands.goal_width(config.goal),)),
            "action": spaces.Box(-1.0, 1.0, (n_action,)),
            "state": spaces.Box(-self._far, self._far, (4 + 4 * (k - 1) + 4,)),
        }
        super().__init__(config, n, split, seed, sensors, size, config.max_steps, action_space, sensor_spaces)
        self._eyes = walking.Eyes(family, config, n, self.sensors, size, self._far, RADIUS)
        self.position, self.yaw = np.zeros((n, 2)), np.zeros(n)
        self.target, self.success = np.zeros(n, np.int64), np.zeros(n, bool)
        self.touching, self.action = np.zeros((n, k), bool), np.zeros((n, n_action), np.float32)
        self._centre, self._rim = np.zeros((n, k, 2)), np.full((n, k), -1.0)
        self._half = config.side / 2 - RADIUS

    def begin(self, rows, index, factors):
        """Draw the rooms, name a target in each and stand the bodies somewhere free."""

        def attempt(some, number):
            at = rows[some]
            drawn = self._sample(at, number)
            if factors:
                drawn = self._mixed(drawn, {name: value[some] for name, value in factors.items()})
            self._keep(at, drawn)
            self._centre[at], self._rim[at] = self._cylinders(drawn)
            good = self._stand(at, seeds.uniform(_STARTS, number, 1 + 3 * _PLACES))
            faults = self._faults(drawn) if factors else {}
            return good & ~np.any([np.zeros(len(at), bool), *faults.values()], 0), faults

        none = f"no target that its {self.config.goal} tells apart and a body can reach"
        self._settle(rows, index, attempt, none)
        self.touching[rows], self.success[rows], self.action[rows] = False, False, 0
        self._eyes.show(rows, self._factors)

    def change(self, rows, factors):
        """Change the rooms around the bodies; the target stays the target, and must stay one."""
        drawn = self._mixed({name: value[rows] for name, value in self._factors.items()}, factors)
        (centre, rim), target, every = self._cylinders(drawn), self.target[rows], np.arange(len(rows))
        gone = target >= drawn["n_objects"]
        faults = self._faults(drawn) | {"the target would be gone": gone}
        faults["the target would not be told apart"] = ~gone & self._twins(drawn, rim)[every, target]
        moved = (centre != self._centre[rows]).any((1, 2)) | (rim != self._rim[rows]).any(1)
        gaps = discs.gaps(self.position[rows], centre, rim)
        faults["an object would stand where the body is"] = moved & (gaps < 0).any(1)
        known = np.any(list(faults.values()), 0)
        faults["the way to the target would be closed"] = closed = np.zeros(len(rows), bool)
        closed[moved & ~known] = self._closed(rows, target, centre, rim)[moved & ~known]
        self._refuse(rows, faults)
        self._keep(rows, drawn)
        self._centre[rows], self._rim[rows] = centre, rim
        # Whatever comes to the body by itself costs it nothing.
        self.touching[rows] = gaps <= TOUCH
        self._eyes.show(rows, self._factors)

    def _mixed(self, drawn: dict, factors: dict) -> dict[str, np.ndarray]:
        """Factors of some worlds with those that were asked for in their place, padded with zeros."""
        half = self.config.side / 2
        limits = family.LIMITS | {"n_objects": (1, self._k), "x": (-half, half), "y": (-half, half)}
        mixed = drawn | interventions.checked("rooms", factors, drawn, limits)
        return interventions.padded(mixed, self._k)

    def _cylinders(self, drawn: dict) -> tuple[np.ndarray, np.ndarray]:
        """Where a body's middle may not be: centres and radii of upright cylinders, -1 for those that are not there."""
        present = np.arange(self._k) < drawn["n_objects"][:, None]
        rim = np.where(present, family.footprint(drawn["shape"], drawn["size"]) + RADIUS, -1.0)
        return np.stack([drawn["x"], drawn["y"]], -1), rim

    def _faults(self, drawn: dict) -> dict[str, np.ndarray]:
        """What keeps some rooms from being: reason -> which of them."""
        centre, rim = self._cylinders(drawn)
        present, radius = rim >= 0, rim - RADIUS
        apart = np.linalg.norm(centre[:, :, None] - centre[:, None], axis=-1) - radius[:, :, None] - radius[:, None]
        pairs = present[:, :, None] & present[:, None] & ~np.eye(self._k, dtype=bool)
        beyond = np.abs(centre).max(-1) + radius > self.config.side / 2
        return {
            "an object would be of no size": (present & (radius <= 0)).any(1),
            "an object would stick in a wall": (present & beyond).any(1),
            "two objects would overlap": (pairs & (apart < 0)).any((1, 2)),
        }

    def _twins(self, drawn: dict, rim: np.ndarray) -> np.ndarray:
        """Which objects share the factor that names the target with another one."""
        return errands.twins(self.config.goal, drawn[errands.FACTORS[self.config.goal]], rim >= 0)

    def _stand(self, at: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Name targets and place bodies in worlds `at` from uniform numbers; returns which of them it could."""
        centre, rim = self._centre[at], self._rim[at]
        drawn = {name: value[at] for name, value in self._factors.items()}
        order = np.cumsum((rim >= 0) & ~self._twins(drawn, rim), 1)
        self.target[at] = target = (order > u[:, :1] * order[:, -1:]).argmax(1)

        clear = np.where(np.arange(self._k) == target[:, None], _FAR, _CLEAR)
        start, yaw, good = discs.stand(u[:, 1:], centre, rim, self._half - 0.05, clear)
        self.position[at], self.yaw[at] = start, yaw
        good &= order[:, -1] > 0
        good[good] = ~self._closed(at[good], target[good], centre[good], rim[good])
        return good

    def _closed(self, at: np.ndarray, target: np.ndarray, centre: np.ndarray, rim: np.ndarray) -> np.ndarray:
        """Whether bodies `at` find no way to their targets among cylinders."""
        every = np.arange(len(at))
        goal, within = centre[every, target], rim[every, target] + TOUCH
        others = rim.copy()
        others[every, target] = -1
        # Objects of the family are clear of the walls; those of interventions may not be.
        walled = ((others >= 0) & (np.abs(centre).max(-1) + others > self._half)).any(1)
        closed = np.zeros(len(at), bool)
        for i in np.flatnonzero(walled | discs.ringed(centre, others)):
            start = self.position[at[i]]
            closed[i] = not discs.reachable(start, goal[i], within[i], centre[i], others[i], self._half)
        return closed

    def advance(self, actions):
        """Turn, walk, slide, and see what was touched."""
        moves, self.action[...] = walking.moves(self.config.actions, actions)
        worlds = np.arange(self.n)
        before = discs.gaps(self.position, self._centre, self._rim)[worlds, self.target]
        self.yaw, heading = walking.turned(self.yaw, moves[:, 0] * self.config.turn)
        wanted = self.position + heading * (moves[:, 1:] * self.config.stride)
        self.position = discs.slide(self.position, wanted, self._centre, self._rim, self._half)

        gaps = discs.gaps(self.position, self._centre, self._rim)
        touching = gaps <= TOUCH
        self.success = touching[worlds, self.target]
        fresh = touching & ~self.touching
        fresh[worlds, self.target] = False
        self.touching = touching
        reward = self.success - self.config.touch_cost * fresh.sum(1) - self.config.step_cost
        # The potential, minus the distance, is zero in the state after the last.
        after = np.where(self.success, 0.0, gaps[worlds, self.target])
        reward = reward + self.config.shaping * (before - self.config.discount * after)
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
        body = self.position[rows], self.yaw[rows]
        seen = errands.seen(*body, self._centre[rows], self._rim[rows], self.target[rows], RADIUS)
        turned = self.yaw[rows, None] + np.arange(4) * (math.pi / 2)
        heading = np.stack([np.cos(turned), np.sin(turned)], -1)
        walls = discs.to_wall(self.position[rows, None], heading, self.config.side / 2)
        return np.concatenate([seen, np.minimum(walls, self._far)], 1)

    def facts(self):
        """`factors`; `target`, which object is wanted; `success`, whether it was reached."""
        factors = {name: value.copy() for name, value in self._factors.items()}
        return {"factors": factors, "target": self.target.copy(), "success": self.success.copy()}

    def scripted(self):
        """Walks where the way is free, as near to the target's direction as can be."""
        worlds = np.arange(self.n)
        to_target = discs.gaps(self.position, self._centre, self._rim)[worlds, self.target]
        wide = np.where(self._rim < 0, -1.0, self._rim + TOUCH + 0.03)
        wide[worlds, self.target] = -1
        goal = self._centre[worlds, self.target]
        error = discs.steer(self.position, self.yaw, goal, to_target, self._centre, wide, self._half)
        return walking.head(self.config.actions, error, self.config.turn)
