"""Push the body that was named to a place on the table, with a rod, in MuJoCo or in PyBullet.

    python -m agents.train ppo --env tabletop --encoder state
    python -m agents.train ppo --env tabletop --env.simulator pybullet --encoder state

Description: bodies of the family `scenes.tabletop` lie on a table, 0.76 m wide. With `start="dropped"` they fell on it,
one above another, and came to rest, so that some lean on others; with `placed` each stands by itself, as in the family's
scenes. A thin upright rod goes over the table at a velocity, and nothing stops it. The goal names a body by a factor, its
colour or its shape, which no other body shares, and a place: a dark disc, which is painted on the table.

Actions: two numbers in [-1, 1]: the rod's way along x and along y in this step of 0.05 s, as fractions of `stride`. It
stays over the table.

Observations (choose with `sensors`):
    image, depth, ids  what a camera sees that stays where it is, on the ring of the family's cameras, in the south;
                       depth is in metres and ends at 10
    pose               of the camera: x, y, z, yaw, pitch
    goal               the target's colour (3 numbers in [0, 1]), or its shape, one-hot; then x and y of the goal
    action             the action before
    state              the rod's x, y, velocity along x and y; x and y of the goal; the ways from the rod to the target and
                       from that to the goal, along x and y, in multiples of `within`; then of the target, and of every
                       other body in order: presence; x, y, z above the table; the first two columns of its rotation matrix;
                       velocity along x, y, z; its turning, rad/s, about its own axes; size; its shape, one-hot. Zeros for
                       bodies that there are not

Reward: 1 when the target's middle comes within `within` of the goal, seen from above; minus `step_cost` every step; with
`shaping`, the potential-based term of Ng, Harada and Russell (1999), whose `discount` is the agent's or 1. With the
agent's the best policies stay as they are, and a critic that has learned the potential leaves an actor nothing to gain by
coming nearer (Wiewiora 2003); with 1 to come nearer soon is a gain for good, and returns without discount stay in order.
A body that falls keeps its potential, or to be rid of it by a fall would be the quickest gain of all.

Start: bodies at rest, no deeper than 1 mm in each other, 0.1 m from the table's edge; the goal at least `nearest` from
the target, and free; the rod anywhere over the table where nothing is near. Scenes that do not come to rest so are passed over
for others.

End: the target is there (terminated); a body has fallen off the table (terminated, without reward); or `max_steps` have
passed (truncated).

Splits: those of `scenes.tabletop`: train, test, new-colours, new-shapes, more-objects, dynamics, recombination, and
nuisance-easy and nuisance-hard, in which the camera sways, colours drift, the light turns and flickers, and patterns
change (`envs.nuisance`); new-goal, whose goals lie in the east of the table, where training has none; and
other-simulator, what training has but moved by the simulator that `simulator` does not name (where PyBullet is
installed).

Simulators: sizes, masses, inertias and friction are the same in both (`envs.physics.tables`), the same actions are not
quite the same motions: `python -m envs.benchmark tables` measures by how much. MuJoCo moves all
worlds by one call; PyBullet's live in worker processes, and one that dies is replaced and ends the episodes that it had
(truncated). A simulation whose numbers are no longer finite is refused, and does not begin anew by itself.
"""

import dataclasses
import functools
import math
import types
import weakref
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from gymnasium import spaces
from jaxtyping import Float32, Int

import envs
import scenes
from envs import interventions, nuisance, pushing
from envs.physics import simulators, tables
from scenes import factors as fa
from scenes import tabletop as family
from scenes import viewpoints
from scenes.kit import errors, plugins, seeds

STREAMS = ("Images", "Views", "Episodes")
FOV = family.FOV
SUBSTEPS = 10
"""Timesteps of the simulators in a step."""
FALLEN = 0.03
"""A body whose middle is so far below the table's top, in metres, has fallen off."""
_FAR, _SWAY = 10.0, 0.25
_EYE = viewpoints.on_sphere(
    np.array(-math.pi / 2),
    np.array(math.atan2(family.ABOVE, family.RING)),
    math.hypot(family.RING, family.ABOVE),
    family.HIGH,
)
_WIDE = 1e6
"""Numbers of a state beyond this are no motion."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the environment and of its streams."""

    n_objects: int = 3
    """Most bodies of a training scene; the split `more-objects` has up to three more."""
    simulator: Literal["mujoco", "pybullet"] = "mujoco"
    """What moves the bodies; the split `other-simulator` has the other one."""
    start: Literal["dropped", "placed"] = "dropped"
    """Whether bodies fall on the table, and perhaps on each other, or stand on it, each by itself."""
    spread: float = 0.5
    """How far from the middle dropped bodies are let go, as a fraction of how far they would stand."""
    goal: Literal["colour", "shape"] = "colour"
    """The factor that names the target."""
    within: float = 0.05
    """Metres from the goal at which the target is there: the radius of the disc."""
    nearest: float = 0.15
    """Least distance of a target from its goal at the start, in metres."""
    farthest: float = 1.0
    """Largest such distance; with less than 0.3 or so the task is easier."""
    stride: float = 0.015
    """Metres of a whole step of the rod, along x and along y."""
    max_steps: int = 150
    """Time limit of an episode."""
    step_cost: float = 0.0
    """Paid every step."""
    shaping: float = 0.0
    """Reward per metre by which the target comes nearer to its goal and, half as much, the rod to behind the target, whence
    it is pushed; 0: only bringing it there pays."""
    discount: float = 1.0
    """Of the shaping term: 1, to be paid for every metre, or the agent's own."""
    image_size: int = 64
    """Height and width of the environment's pictures, unless another size is asked for."""
    shadows: bool = False
    """Whether the sun casts hard shadows."""
    supersample: int = 2
    """Rays per pixel, along each edge of it."""
    renderer: str = "raycast"
    """Which of `scenes.renderers` draws."""

    def __post_init__(self):
        limits = {"max_steps": (1, 10**9), "spread": (0.1, 1.0), "within": (0.01, 0.1), "stride": (1e-3, 0.03)}
        limits |= {"nearest": (self.within, 0.3), "farthest": (self.nearest + 0.03, 2.0)}
        limits |= {"image_size": (1, 4096), "supersample": (1, 8)}
        errors.within("tabletop", self, limits)
        choices = {"simulator": simulators.SIMULATORS, "start": ("dropped", "placed"), "goal": pushing.NAMES}
        for name, accepted in choices.items():
            if getattr(self, name) not in accepted:
                raise errors.unknown(f"{name} of tabletop", getattr(self, name), accepted)

    @classmethod
    def tiny(cls) -> "Config":
        """Small pictures, few bodies that need not fall, and an easy goal, for tests."""
        easy = {"within": 0.1, "nearest": 0.1, "farthest": 0.17, "stride": 0.03, "max_steps": 60}
        return cls(image_size=16, n_objects=2, start="placed", **easy)

    @property
    def look(self) -> dict[str, bool | int]:
        """The options of the renderer."""
        return {"shadows": self.shadows, "supersample": self.supersample}

    @property
    def scenery(self) -> family.Config:
        """The options of the family of scenes."""
        return family.Config(n_objects=self.n_objects)


def extent(config: Config) -> float:
    """Side in metres of the square that holds everything: the ground's."""
    return family.GROUND


@functools.lru_cache(maxsize=64)
def splits(config: Config) -> Mapping[str, fa.Split]:
    """The factor distributions by name, proved disjoint from training (or within it), and in which simulator they are
    played."""
    known = pushing.with_goals(family.splits(config.scenery))
    return types.MappingProxyType(simulators.played(known, config.simulator))


def views(
    config: Config, split: str, seed: int, index: Int[np.ndarray, " b"], n_views: int
) -> tuple[scenes.Scenes, Float32[np.ndarray, "b {n_views} 5"]]:
    """Tables `index` of (split, seed) as episodes begin on them, and `n_views` poses on the ring around each: a pure
    function. Bodies fall in MuJoCo, whichever simulator moves them later."""
    simulators.check(split)
    known, _ = envs.settle("tabletop", splits(config), split, None, config.image_size)
    refusal = lambda row, why: errors.CaveError(f"tabletop: scene {index[row]} of split {split!r} has {why}")
    batch = pushing.still(config, known, seed, np.asarray(index, np.int64), refusal)
    key = seeds.derive(seed, "views", split)
    return nuisance.seen(batch, family.ring_poses(config.scenery, key, index, n_views), key, index, _SWAY)


def tour(config: Config, n: int) -> Float32[np.ndarray, "{n} 5"]:
    """Poses once around the ring on which learners' cameras stand, at even steps."""
    up, away = math.atan2(family.ABOVE, family.RING), math.hypot(family.RING, family.ABOVE)
    return viewpoints.on_sphere(np.arange(n) * 2 * math.pi / n, np.full(n, up), away, family.HIGH)


class World(envs.World):
    """`n` tables with one rod each.

    Attributes:
        qpos: Float64 n q, positions as `envs.physics.tables` has them.
        qvel: Float64 n v, velocities.
        target: Int64 n, which body is the target.
        simulator: What moves them.
        table: The simulator itself, as `envs.physics.tables` has it.
    """

    STATE: ClassVar[tuple[str, ...]] = ("qpos", "qvel", "target", "success", "fallen", "action")

    def __init__(
        self, config: Config, n: int, split: str, seed: int, sensors: tuple[str, ...], size: tuple[int, int] | None
    ):
        simulators.check(split)
        self._split, size = envs.settle("tabletop", splits(config), split, size, config.image_size)
        self._k = k = self._split.objects.width
        n_name = 3 if config.goal == "colour" else len(family.SHAPES)
        bounds = np.r_[np.zeros(n_name), -1.0, -1.0].astype(np.float32), np.ones(n_name + 2, np.float32)
        sensor_spaces = {
            "image": spaces.Box(0, 255, (*size, 3), np.uint8),
            "depth": spaces.Box(0.0, _FAR, size),
            "ids": spaces.Box(-1, family.FIRST_OBJECT + k + 1, size, np.int32),
            "pose": spaces.Box(-4.0, 4.0, (5,)),
            "goal": spaces.Box(*bounds),
            "action": spaces.Box(-1.0, 1.0, (2,)),
            "state": spaces.Box(-100.0, 100.0, (10 + k * (17 + len(family.SHAPES)),)),
        }
        actions = spaces.Box(-1.0, 1.0, (2,))
        super().__init__(config, n, split, seed, sensors, size, config.max_steps, actions, sensor_spaces)
        self.simulator = self._split.simulator
        whose = weakref.proxy(self)  # so that the simulator's processes end with this world, and not at some later time
        self.table = pushing.table(self.simulator, n, k, lambda row, why: whose._refusal(row, why))
        self._drawn = bool({"image", "depth", "ids"} & set(sensors))
        self._renderer = plugins.load("scenes.renderers", config.renderer, "renderer") if self._drawn else None
        self._handle: Any = None
        self._layout = np.zeros((n, family.FIRST_OBJECT + k + 2), bool)
        self.qpos, self.qvel = np.zeros((n, 2 + 7 * k)), np.zeros((n, 2 + 6 * k))
        tables.poses(self.qpos)[:] = tables.parked(k)
        self.target, self.action = np.zeros(n, np.int64), np.zeros((n, 2), np.float32)
        self.success, self.fallen = np.zeros((2, n), bool)

    def begin(self, rows, index, factors):
        """Draw the tables, let bodies fall, name a target on each and put the rod somewhere free."""
        if self._restoring:
            drawn = factors
            self.table.furnish(rows, pushing.bodies(factors))
        else:
            mix = factors and (lambda drawn, i: self._mixed(drawn, {name: v[i] for name, v in factors.items()}))
            refusal = lambda i, why: self._refusal(int(rows[i]), why)
            drawn, self.qpos[rows], self.target[rows] = pushing.starts(
                self.config, self._split, envs.ROOT, index, self.table, rows, mix, refusal
            )
            self.qvel[rows], self.success[rows], self.fallen[rows], self.action[rows] = 0, False, False, 0
        self.cut[rows] = False
        self._take(rows, drawn)

    def change(self, rows, factors):
        """Change factors of running worlds. Bodies whose place, size or shape changes, or that were not there, come to rest
        where their factors say; the target stays the target, and must stay one."""
        before = {name: value[rows] for name, value in self._factors.items()}
        drawn, target, every = self._mixed(before, factors), self.target[rows], np.arange(len(rows))
        real, was = pushing.there(drawn), pushing.there(before)
        differs = lambda *names: np.any([drawn[name] != before[name] for name in names], 0)
        placed = real & (~was | differs("x", "y", "yaw"))
        anew = placed | (real & differs("shape", "size"))
        # A body that only grows or changes its shape stays where it has got to.
        now = tables.poses(self.qpos[rows])
        spot = {axis: np.where(placed, drawn[axis], now[..., i]) for i, axis in enumerate("xy")}
        poses = np.where(anew[..., None], pushing.laid(drawn | spot), now)
        poses = np.where(real[..., None], poses, tables.parked(self._k))
        gone = target >= drawn["n_objects"]
        faults = {why: fault for why, fault in pushing.faults(self.config, drawn).items() if "overlap" not in why}
        faults["the target would be gone"] = gone
        faults["the target would not be told apart"] = (
            ~gone & pushing.twins(self.config.goal, drawn)[every, np.minimum(target, self._k - 1)]
        )
        faults["a body would stand where another or the rod is"] = pushing.crowded(
            drawn, anew, poses, self.qpos[rows, :2]
        )
        self._refuse(rows, faults)
        new = anew | (was & ~real)
        speeds = np.where(new[..., None], 0.0, tables.velocities(self.qvel[rows]))
        self.qpos[rows, 2:], self.qvel[rows, 2:] = poses.reshape(len(rows), -1), speeds.reshape(len(rows), -1)
        self.table.furnish(rows, pushing.bodies(drawn))
        self._take(rows, drawn)

    def _mixed(self, drawn: dict, factors: dict) -> dict[str, np.ndarray]:
        """Factors of some worlds with those that were asked for in their place, padded with zeros."""
        half = family.SIDE / 2
        limits = family.LIMITS | {"n_objects": (1, self._k)} | dict.fromkeys(("x", "y", *pushing.GOAL), (-half, half))
        mixed = drawn | interventions.checked("tabletop", factors, drawn, limits)
        return interventions.padded(mixed, self._k)

    def _take(self, rows: np.ndarray, drawn: dict) -> None:
        """Let worlds `rows` have factors that are known to be sound."""
        self._keep(rows, drawn)
        if self._drawn:
            self._show(rows)

    def _show(self, rows: np.ndarray) -> None:
        """Hand the tables of worlds `rows` to the renderer."""
        # Worlds that have not begun show the table of one that has, until their turn comes.
        every = np.arange(self.n)
        places = every if self._handle is None else rows
        source = np.where(np.isin(every, rows), every, rows[0])[places]
        told = {name: value[source] for name, value in self._factors.items()}
        built = pushing.shown(self.config, told)
        self._layout[places] = pushing.moved(told, self.qpos[source])[2]
        if self._handle is None:
            self._handle = self._renderer.load(built, **self.config.look, sensors=envs.pictured(self.sensors))
        else:
            self._handle.update(built, rows)

    def advance(self, actions):
        """Drive the rod, and see where things have got to."""
        rod, before = self.qpos[:, :2], self._potential()
        wanted = np.clip(rod + actions.astype(np.float64) * self.config.stride, -pushing.LIMIT, pushing.LIMIT)
        speed = (wanted - rod) / (SUBSTEPS * tables.TIMESTEP)
        qvel = np.concatenate([speed, self.qvel[:, 2:]], 1)
        self._check(self.qpos, qvel)
        qpos, qvel = self.table.run(np.arange(self.n), self.qpos, qvel, SUBSTEPS)
        self._check(qpos, qvel)
        self.qpos[:], self.qvel[:], self.action[:] = qpos, qvel, actions
        self.cut[:] = self.table.lost()

        after, real = self._away(), pushing.there(self._factors)
        self.fallen[:] = (real & (tables.poses(self.qpos)[..., 2] < family.HIGH - FALLEN)).any(1)
        self.success[:] = (after <= self.config.within) & ~self.fallen
        ended = self.success | self.fallen
        # The potential of a target that is there is zero.
        gain = self.config.discount * np.where(self.success, 0.0, self._potential()) - before
        reward = self.success - self.config.step_cost + self.config.shaping * gain
        return reward.astype(np.float32), ended

    def _check(self, *numbers: np.ndarray) -> None:
        """Refuse what no simulator can go on from."""
        for array in numbers:
            bad = ~(np.abs(array) < _WIDE).all(1)
            if bad.any():
                row = int(np.argmax(bad))
                raise self._refusal(
                    row, f"{self.simulator} has positions or velocities that are not finite; reset this world"
                )

    def _away(self) -> np.ndarray:
        """Metres from each target to its goal, seen from above."""
        return np.linalg.norm(self._targets()[:, :2] - self._goals(), axis=1)

    def _potential(self) -> np.ndarray:
        goal, target = self._goals(), self._targets()[:, :2]
        rim = pushing.rims(self._factors)[np.arange(self.n), self.target]
        behind = pushing.behind(target, goal, rim + tables.ROD_RADIUS)
        return -self._away() - np.linalg.norm(behind - self.qpos[:, :2], axis=1) / 2

    def _targets(self) -> np.ndarray:
        return tables.poses(self.qpos)[np.arange(self.n), self.target]

    def _goals(self) -> np.ndarray:
        return np.stack([self._factors[name] for name in pushing.GOAL], 1)

    def read(self, rows):
        """The sensors asked for, of some worlds."""
        pose = np.tile(_EYE, (len(rows), 1))
        out = {"pose": pose, "action": self.action[rows]}
        if self._drawn:
            cameras = self._eyes(pose, rows)
            position, rotation, _ = pushing.moved(self._factors, self.qpos)
            frames = self._handle.render(cameras, (position[self._layout], rotation[self._layout]))
            out |= {"image": frames.rgb, "depth": frames.depth, "ids": frames.ids}
        if "depth" in self.sensors:
            out["depth"] = np.minimum(out["depth"], np.float32(_FAR))
        if "goal" in self.sensors:
            named = self._factors[pushing.NAMES[self.config.goal]][rows, self.target[rows]]
            by_colour = self.config.goal == "colour"
            name = family.rgb(named) if by_colour else np.eye(len(family.SHAPES))[named]
            out["goal"] = np.concatenate([name, self._goals()[rows]], 1)
        if "state" in self.sensors:
            out["state"] = self._state(rows)
        return {sensor: out[sensor] for sensor in self.sensors}

    def _eyes(self, pose: np.ndarray, rows: np.ndarray) -> scenes.Cameras:
        """Cameras of worlds `rows`, which sway where they are disturbed."""
        told = {name: self._factors[name][rows] for name in family.nuisance.NAMES}
        build = lambda at: pushing.shown(self.config, {name: value[at] for name, value in self._factors.items()})
        index, steps = self.scene_index()[rows], self.steps[rows]
        return nuisance.watched(self._handle, pose, FOV, self.size, rows, told, index, steps, _SWAY, build)

    def _state(self, rows: np.ndarray) -> np.ndarray:
        poses, speeds = tables.poses(self.qpos[rows]), tables.velocities(self.qvel[rows])
        told = {name: self._factors[name][rows] for name in ("shape", "size", "n_objects")}
        turn = scenes.rotation_matrices(poses[..., 3:])[..., :2]
        numbers = [
            np.ones((*poses.shape[:2], 1)), poses[..., :3] - [0, 0, family.HIGH], turn.reshape(*turn.shape[:2], 6), speeds,
            told["size"][..., None], np.eye(len(family.SHAPES))[told["shape"]],
        ]  # fmt: skip
        seen = np.concatenate(numbers, -1) * pushing.there(told)[..., None]
        order = np.argsort(np.arange(self._k) != self.target[rows, None], 1, kind="stable")
        seen = np.take_along_axis(seen, order[..., None], 1).reshape(len(rows), -1)
        rod, target, goal = self.qpos[rows, :2], self._targets()[rows, :2], self._goals()[rows]
        ways = np.concatenate([target - rod, goal - target], 1) / self.config.within
        return np.clip(np.concatenate([rod, self.qvel[rows, :2], goal, ways, seen], 1), -100, 100)

    def scenes(self) -> scenes.Scenes:
        """The scenes as they are now."""
        return pushing.shown(self.config, self._factors, self.qpos)

    def close(self):
        """End the simulator's processes, if there are any."""
        super().close()
        self.table.close()

    def facts(self):
        """`factors`, of which x, y and yaw are those from which bodies began; `target`, which body is wanted; `success`;
        `fallen`, whether a body fell off the table."""
        factors = {name: value.copy() for name, value in self._factors.items()}
        told = {name: getattr(self, name).copy() for name in ("target", "success", "fallen")}
        return {"factors": factors, **told}

    def scripted(self):
        """Goes behind the target and pushes it."""
        rims = pushing.rims(self._factors)
        bodies = tables.poses(self.qpos)[..., :2]
        step = pushing.play(self.qpos[:, :2], bodies, rims, self.target, self._goals(), self.config.stride)
        return (step / self.config.stride).astype(np.float32)
