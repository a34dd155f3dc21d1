"""Bring the hand of a robot arm to a ball in the air; the same in two simulators.

    python -m agents.train ppo --env reach --encoder state
    python -m agents.train ppo --env reach --env.simulator pybullet

Description: an arm with six joints and a hand of three fingers, about a Kinova Jaco (`scenes.robots`), stands before a
camera, and a ball hangs in the air where the arm can reach it: the task of Jaco in "DARLA" (Higgins et al., 2017,
https://arxiv.org/abs/1707.08475), with an arm of our own. MuJoCo or PyBullet moves it, both from one description with
the same kinematics; `python -m envs.benchmark simulators` prints how far they are apart. To train in one and test in
the other stands in for leaving simulation. A step is 0.05 s. Nothing touches anything: links pass through one another.

Actions: nine numbers in [-1, 1], the speed that the motor of each joint is asked for, as a fraction of 1.5 rad/s: column,
shoulder, elbow, forearm, wrist, hand and three fingers. Motors are as strong as they are, and stop at the joints' ends.

Observations (choose with `sensors`):
    image, depth, ids  what a camera before the arm sees, which stands still; depth is in metres and ends at 16
    pose               of the camera: x, y, z, yaw, pitch
    goal               where the ball is: x, y, z in metres, from the arm's foot; nothing with `goal="seen"`
    action             the action before
    state              angles (rad) and speeds (rad/s) of the nine joints, palm and ball (x, y, z, m)

Reward: 1 for having the palm, a point between the fingers, within `tolerance` of the ball's middle; minus `step_cost`
every step; with `shaping`, the potential-based term of Ng, Harada and Russell (1999), which leaves the best policies as
they are if `discount` is the agent's.

Start: the arm at rest in any posture of a wide range, its palm at least 0.25 m from the ball.

End: the ball is reached (terminated) or `max_steps` have passed (truncated).

Splits: those of `scenes.arms`: train, test, new-colours, new-targets, new-camera, new-light, new-masses, new-friction,
recombination, and nuisance-easy and nuisance-hard, in which the camera sways around the pose that is told, colours drift,
the light turns and flickers, and sky and patterns change (`envs.nuisance`); and other-simulator, what training has but
moved by the simulator that `simulator` does not name (where PyBullet is installed).
"""

import dataclasses
import weakref
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from gymnasium import spaces
from jaxtyping import Float32, Int

import envs
import scenes
from envs import interventions, nuisance
from envs.physics import arms, simulators
from scenes import arms as family
from scenes import factors as fa
from scenes import robots, viewpoints
from scenes.kit import errors, plugins, seeds

STREAMS = ("Images", "Views", "Episodes")
FOV = family.FOV
REACH = (0.2, 0.88)
"""Metres from the shoulder between which a ball can be reached."""
_APART = 0.25
"""Metres between palm and ball at a start, at least."""
_SWAY = 0.5
"""Most metres by which a camera that is disturbed leaves its place."""
_ATTEMPTS = 64
_PLAYER_GAIN, _PLAYER_DAMPING = 4.0, 0.1
"""Of the scripted player: how much of the way it wants to go in a second, and what keeps it calm where the arm is straight."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the environment and of its streams."""

    simulator: Literal["mujoco", "pybullet"] = "mujoco"
    """What moves the arm; the split `other-simulator` has the other one."""
    goal: Literal["position", "seen"] = "position"
    """Whether the sensor `goal` tells where the ball is, or it must be seen."""
    tolerance: float = 0.1
    """Metres between palm and the ball's middle at which it is reached."""
    max_steps: int = 100
    """Time limit of an episode: 5 s."""
    step_cost: float = 0.0
    """Paid every step."""
    shaping: float = 0.0
    """Reward per metre by which the palm comes nearer; 0: only reaching pays."""
    discount: float = 0.99
    """Of the shaping term: the agent's own."""
    cameras: Literal["ring", "free"] = "ring"
    """Where learners look from: a ring all around the arm; or wherever the environment's camera may stand in training."""
    image_size: int = 64
    """Height and width of the environment's pictures, unless another size is asked for."""
    shadows: bool = False
    """Whether the sun casts hard shadows."""
    supersample: int = 2
    """Rays per pixel, along each edge of it."""
    renderer: str = "raycast"
    """Which of `scenes.renderers` draws."""

    def __post_init__(self):
        limits = {"tolerance": (0.01, 0.5), "max_steps": (1, 10**9), "image_size": (1, 4096), "supersample": (1, 8)}
        errors.within("reach", self, limits)
        choices = {"simulator": simulators.SIMULATORS, "goal": ("position", "seen"), "cameras": ("ring", "free")}
        for name, accepted in choices.items():
            if getattr(self, name) not in accepted:
                raise errors.unknown(f"{name} of reach", getattr(self, name), accepted)

    @classmethod
    def tiny(cls) -> "Config":
        """Small pictures and short episodes, for tests."""
        return cls(image_size=16, max_steps=50, tolerance=0.15)

    @property
    def look(self) -> dict[str, bool | int]:
        """The options of the renderer."""
        return {"shadows": self.shadows, "supersample": self.supersample}

    @property
    def scenery(self) -> family.Config:
        """The options of the family of scenes."""
        return family.Config()


def extent(config: Config) -> float:
    """Side in metres of the square that holds everything: the floor's."""
    return family.SIDE


def splits(config: Config) -> Mapping[str, fa.Split]:
    """The factor distributions by name, and in which simulator they are played."""
    return simulators.played(family.splits(config.scenery), config.simulator)


def views(
    config: Config, split: str, seed: int, index: Int[np.ndarray, " b"], n_views: int
) -> tuple[scenes.Scenes, Float32[np.ndarray, "b {n_views} 5"]]:
    """Arms `index` of (split, seed) as episodes begin, and `n_views` poses from which learners see them: a pure function."""
    simulators.check(split)
    known = splits(config)
    if split not in known:
        raise errors.unknown("split", split, known)
    batch = family.build(config.scenery, known[split].sample(seed, index))
    poses = family.ring_poses if config.cameras == "ring" else family.free_poses
    key = seeds.derive(seed, "views", split)
    return nuisance.seen(batch, poses(config.scenery, key, index, n_views), key, index, _SWAY)


def tour(config: Config, n: int) -> Float32[np.ndarray, "{n} 5"]:
    """Poses once around the ring on which learners' cameras stand, at even steps."""
    radius, height = family.RING
    away = float(np.hypot(radius, height - family.AIM))
    up = np.full(n, np.arctan2(height - family.AIM, radius))
    return viewpoints.on_sphere(np.arange(n) * 2 * np.pi / n, up, away, family.AIM)


class World(envs.World):
    """`n` arms.

    Attributes:
        simulator: What moves them.
        joints: Float64 n 9, radians.
        speeds: Float64 n 9, radians a second.
    """

    STATE: ClassVar[tuple[str, ...]] = ("joints", "speeds", "action", "success")

    def __init__(
        self, config: Config, n: int, split: str, seed: int, sensors: tuple[str, ...], size: tuple[int, int] | None
    ):
        simulators.check(split)
        self._split, size = envs.settle("reach", splits(config), split, size, config.image_size)
        self._far = 2 * family.SIDE
        ends = np.array([4.0, 4.0, 5.0, 3.2, 1.6], np.float32)
        limits = [np.full(robots.N, 4.0), np.full(robots.N, 20.0), np.full(6, 4.0)]
        self._ends = np.concatenate(limits).astype(np.float32)
        sensor_spaces = {
            "image": spaces.Box(0, 255, (*size, 3), np.uint8),
            "depth": spaces.Box(0.0, self._far, size),
            "ids": spaces.Box(-1, family.FIRST_OBJECT, size, np.int32),
            "pose": spaces.Box(-ends, ends),
            "goal": spaces.Box(-4.0, 4.0, (3 if config.goal == "position" else 0,)),
            "action": spaces.Box(-1.0, 1.0, (robots.N,)),
            "state": spaces.Box(-self._ends, self._ends),
        }
        actions = spaces.Box(-1.0, 1.0, (robots.N,))
        super().__init__(config, n, split, seed, sensors, size, config.max_steps, actions, sensor_spaces)
        self._wanted = envs.pictured(sensors)
        self._renderer = plugins.load("scenes.renderers", config.renderer, "renderer") if self._wanted else None
        self._handle = None
        self.simulator = self._split.simulator
        whose = weakref.proxy(self)  # so that the simulator's processes end with this world, and not at some later time
        self._arms = arms.make(self.simulator, n, lambda row, why: whose._refusal(row, why))
        self.joints, self.speeds = self._arms.joints, self._arms.speeds
        self.action, self.success = np.zeros((n, robots.N), np.float32), np.zeros(n, bool)
        self._target, self._posture = np.zeros((n, 3)), robots.posture(self.joints)
        shape = n, family.FIRST_OBJECT + 1
        self._solids = np.zeros((*shape, 3), np.float32), np.tile(np.float32([1, 0, 0, 0]), (*shape, 1))

    def begin(self, rows, index, factors):
        """Draw the scenes, and put the arms into their postures, at rest."""
        drawn = self._drawn(index)
        if factors:
            drawn = self._mixed(rows, drawn, factors)
        self._take(rows, drawn)
        self._put(rows, family.joints(drawn), np.zeros((len(rows), robots.N)))
        self.action[rows], self.success[rows] = 0, False

    def _put(self, rows: np.ndarray, joints: np.ndarray, speeds: np.ndarray) -> None:
        """Put the arms of worlds `rows` into a posture, moving so fast."""
        self._arms.put(rows, joints, speeds)
        self._posture = robots.posture(self.joints)

    def _drawn(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """Factors in which palm and ball are apart."""
        drawn = self._split.sample(envs.ROOT, index)
        for attempt in range(1, _ATTEMPTS):
            palm = robots.posture(family.joints(drawn)).palm
            near = np.flatnonzero(np.linalg.norm(palm - family.target(drawn), axis=1) < _APART)
            if not len(near):
                break
            # Episodes' indices are hashes of 53 bits, so those of later attempts are nobody else's.
            for name, value in self._split.sample(envs.ROOT, index[near] + (attempt << 53)).items():
                drawn[name][near] = value
        return drawn

    def change(self, rows, factors):
        """Change what is around the arms, or what they are like; they stay in the posture that they are in."""
        before = {name: value[rows] for name, value in self._factors.items()}
        drawn = self._mixed(rows, before, factors)
        for name in family.JOINTS:
            moved = drawn[name] != before[name]
            if moved.any():
                row = int(rows[np.argmax(moved)])
                raise self._refusal(row, f"{name} says where the arm begins, which it has done; give it to reset")
        self._take(rows, drawn)

    def _mixed(self, rows: np.ndarray, drawn: dict, factors: dict) -> dict[str, np.ndarray]:
        """Factors of some worlds with those that were asked for in their place."""
        drawn = drawn | interventions.checked("reach", factors, drawn, family.LIMITS)
        at = family.target(drawn)
        away = np.linalg.norm(at - [0, 0, robots.SHOULDER], axis=1)
        stuck = (drawn["distance"][:, 0] < 0.15 + family.BALL) & (at[:, 2] < robots.SHOULDER - 0.2 + family.BALL)
        faults = {
            f"the ball would be out of reach, {REACH[0]} to {REACH[1]} m from the shoulder": (away < REACH[0])
            | (away > REACH[1]),
            "the ball would stick in the stand": stuck,
        }
        self._refuse(rows, faults)
        return drawn

    def _take(self, rows: np.ndarray, drawn: dict) -> None:
        """Let worlds `rows` have these factors."""
        self._keep(rows, drawn)
        self._target[rows] = family.target(drawn)
        self._arms.dress(rows, np.stack([drawn[name] for name in arms.DYNAMICS], 1))
        if self._wanted:
            self._show(rows)

    def _show(self, rows: np.ndarray) -> None:
        """Hand the scenes of worlds `rows` to the renderer."""
        # Worlds that have not begun show the scene of one that has, until their turn comes.
        shown = np.where(np.isin(np.arange(self.n), rows), np.arange(self.n), rows[0]) if self._handle is None else rows
        built = family.build(self.config.scenery, {name: value[shown] for name, value in self._factors.items()})
        if self._handle is None:
            self._handle = self._renderer.load(built, **self.config.look, sensors=self._wanted)
        else:
            self._handle.update(built, rows)

    def advance(self, actions):
        """Ask the motors for speeds."""
        self.action[...] = actions
        before = self._away()
        self.cut[...] = self._arms.step(actions.astype(np.float64) * robots.SPEED)
        self._posture = robots.posture(self.joints)
        after = self._away()
        self.success = (after <= self.config.tolerance) & ~self.cut
        # The potential, minus the distance, is zero in the state after the last.
        gain = before - self.config.discount * np.where(self.success, 0.0, after)
        reward = self.success - self.config.step_cost + self.config.shaping * gain
        return reward.astype(np.float32), self.success.copy()

    def _away(self) -> np.ndarray:
        """Metres between palms and balls."""
        return np.linalg.norm(self._posture.palm - self._target, axis=1)

    def read(self, rows):
        """The sensors asked for, of some worlds."""
        target = self._target[rows]
        pose = family.eyes({name: value[rows] for name, value in self._factors.items()})
        out = {"pose": pose, "action": self.action[rows]}
        out["goal"] = target if self.config.goal == "position" else np.zeros((len(rows), 0))
        posture = self._posture[rows]
        state = [self.joints[rows], self.speeds[rows], posture.palm, target]
        out["state"] = np.clip(np.concatenate(state, 1), -self._ends, self._ends)
        if self._wanted:
            position, rotation = self._solids
            position[rows], rotation[rows] = family.place(posture, target)
            cameras = self._eyes(pose, rows)
            frames = self._handle.render(cameras, (position.reshape(-1, 3), rotation.reshape(-1, 4)))
            out |= {"image": frames.rgb, "depth": frames.depth, "ids": frames.ids}
        if "depth" in self.sensors:
            out["depth"] = np.minimum(out["depth"], np.float32(self._far))
        return {sensor: out[sensor] for sensor in self.sensors}

    def _eyes(self, pose: np.ndarray, rows: np.ndarray) -> scenes.Cameras:
        """Cameras of worlds `rows`, which sway where they are disturbed."""
        told = {name: self._factors[name][rows] for name in family.nuisance.NAMES}
        build = lambda at: family.build(self.config.scenery, {name: v[at] for name, v in self._factors.items()})
        index, steps = self.scene_index()[rows], self.steps[rows]
        return nuisance.watched(self._handle, pose, FOV, self.size, rows, told, index, steps, _SWAY, build)

    def scenes(self) -> scenes.Scenes:
        """The scenes as they are now."""
        return family.build(self.config.scenery, self._factors, self._posture)

    def close(self):
        """End the simulator's processes or threads."""
        super().close()
        self._arms.close()

    def facts(self):
        """`factors`, the joints among them where the episode began; `success`, whether the ball was reached."""
        factors = {name: value.copy() for name, value in self._factors.items()}
        return {"factors": factors, "success": self.success.copy()}

    def scripted(self):
        """Moves the palm straight towards the ball (damped least squares: Wampler, 1986)."""
        posture = self._posture
        jacobian = posture.jacobian()
        square = jacobian @ jacobian.transpose(0, 2, 1) + _PLAYER_DAMPING**2 * np.eye(3)
        wanted = _PLAYER_GAIN * (self._target - posture.palm)
        speeds = np.einsum("bij,bi->bj", jacobian, np.linalg.solve(square, wanted[..., None])[..., 0]) / robots.SPEED
        return (speeds / np.maximum(np.abs(speeds).max(1, keepdims=True), 1)).astype(np.float32)

    def load_state_dict(self, state):
        """Put back what `state_dict` gave."""
        super().load_state_dict(state)
        self._put(np.arange(self.n), self.joints.copy(), self.speeds.copy())
