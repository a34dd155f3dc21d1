"""Any environment registered with Gymnasium, by its id, with this suite's sensors, faces and seeds.

    python -m learners.train gqn --env gymnasium --env.id Ant-v5
    python -m agents.train ppo --env gymnasium --env.id Hopper-v5 --encoder state

Description: the environment of that id. Where it is a MuJoCo model the ray caster draws it, without OpenGL; elsewhere it
draws itself (`rgb_array`), its pictures are brought to the size asked for, and there are no `Views`. The eleven MuJoCo
environments of version 5 (`envs.registered.tasks`) are moved together on all cores, with Gymnasium's rewards, ends and
observations; any other (`World.together` is then False) is Gymnasium's own object, one for each world, stepped one after
the other. An id with a colon, which would import a module, is refused.

Actions: the environment's own: discrete ones counted from 0, continuous ones as a vector.

Observations (choose with `sensors`):
    image       what the camera sees
    depth, ids  of MuJoCo models: metres, to the model's far plane; number of the solid, -1 where nothing is met
    pose        of the camera: x, y, z, yaw, pitch; zeros where there is no model
    goal        what a goal-conditioned environment wants (its `desired_goal`), else without numbers
    action      the action before
    state       the environment's observation, as a vector

Reward: the environment's.

Start: that of `reset(seed=floor(start * 2**53))` of Gymnasium's environment, where `start`, in [0, 1), is the only factor.

End: the environment ends (terminated), or it cuts itself short, or its time limit has passed (both truncated).
`success` is what its `info` says, and False where it says nothing.

Splits: train and test, which are fresh starts of one distribution.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import ClassVar

import gymnasium
import mujoco
import numpy as np
from gymnasium import spaces
from jaxtyping import Float32, Int

import envs
import scenes
from envs import interventions, registered
from envs.physics import mujoco as models
from envs.physics import screen
from envs.registered import bodies, moments, objects, tasks
from scenes import factors as fa
from scenes.kit import errors, seeds

STREAMS = ("Images", "Views", "Episodes")
FOV = math.radians(45)
"""MuJoCo's default, which Gymnasium's models keep."""
_LONG = 1000
"""Time limit of an environment that has none."""
_ENDS = 1e30
"""Beyond any number that is observed: Gymnasium frowns on spaces without ends."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the environment and of its streams."""

    id: str = "Ant-v5"
    """Which of the environments registered with Gymnasium."""
    camera: str = ""
    """Of a MuJoCo model: the name or number of one of its cameras; "free" for the one that Gymnasium's viewer begins with;
    by default the model's camera "track", or "free" if it has none."""
    max_steps: int = 0
    """Time limit of an episode; 0: the environment's own, or 1000 if it has none."""
    image_size: int = 64
    """Height and width of the environment's pictures, unless another size is asked for."""
    shadows: bool = False
    """Whether lights cast hard shadows, where the ray caster draws."""
    supersample: int = 2
    """Rays per pixel, along each edge of it, where the ray caster draws."""
    renderer: str = "raycast"
    """Which of `scenes.renderers` draws MuJoCo models."""

    def __post_init__(self):
        errors.within("gymnasium", self, {"max_steps": (0, 10**9), "image_size": (1, 4096), "supersample": (1, 8)})

    @classmethod
    def tiny(cls) -> "Config":
        """A light model and small pictures, for tests."""
        return cls(id="HalfCheetah-v5", image_size=16, max_steps=100)

    @property
    def look(self) -> dict[str, bool | int]:
        """The options of the renderer."""
        return {"shadows": self.shadows, "supersample": self.supersample}


def extent(config: Config) -> float:
    """Side in metres of the square that bodies are expected in: they may run out of it. Of MuJoCo models it holds the ring
    on which learners' cameras stand twice over."""
    ring = _ring(config.id)
    return ring.extent if ring else 20.0


@functools.lru_cache(maxsize=64)
def _ring(env_id: str) -> moments.Ring | None:
    """Where learners' cameras stand around a MuJoCo model; None where there is none."""
    env = registered.make(env_id)
    if not isinstance(getattr(env.unwrapped, "model", None), mujoco.MjModel):
        return None
    return moments.Ring.of(camera_of(env.unwrapped, "free"))


def _around(config: Config) -> moments.Ring:
    ring = _ring(config.id)
    if ring is None:
        raise errors.CaveError(
            f"gymnasium: {config.id} draws itself, from one side: Views are of MuJoCo models alone, such as Ant-v5",
            errors.USAGE,
        )
    return ring


@functools.lru_cache(maxsize=8)
def _moments(config: Config, split: str, n: int) -> moments.Moments:
    """Moments of `n` worlds; kept, since simulators are slow to make."""
    return moments.Moments(World(config, n, split, 0, ("state",), None), _around(config))


def views(
    config: Config, split: str, seed: int, index: Int[np.ndarray, " b"], n_views: int
) -> tuple[scenes.Scenes, Float32[np.ndarray, "b {n_views} 5"]]:
    """Moments `index` of (split, seed), each after up to `streams.LAPSE` random actions, and `n_views` poses on a ring
    around the model: a pure function.

    Raises:
        errors.CaveError: the environment is no MuJoCo model, or there is no such split.
    """
    ring = _around(config)
    batch = _moments(config, split, len(index)).scenes(seeds.derive(seed, "images", "gymnasium"), index)
    return batch, ring.poses(seeds.derive(seed, "views", split), index, n_views)


def tour(config: Config, n: int) -> Float32[np.ndarray, "{n} 5"]:
    """Poses once around that ring, at even steps."""
    return _around(config).tour(n)


def splits(config: Config) -> Mapping[str, fa.Split]:
    """The factor distributions by name."""
    nothing = fa.Repeat(fa.Finite((0,)), fa.box())
    start = fa.box(start=fa.Interval(0.0, 1.0))
    return {
        "train": fa.Split("train", start, nothing),
        "test": fa.Split("test", start, nothing, in_distribution_of="train"),
    }


class World(envs.World):
    """`n` worlds of one registered environment.

    Attributes:
        together: Whether they are moved together, without Python for each.
        model: Of their simulators, where it is MuJoCo's; None elsewhere.
    """

    PLAYERS: ClassVar[tuple[str, ...]] = ("random",)

    def __init__(
        self, config: Config, n: int, split: str, seed: int, sensors: tuple[str, ...], size: tuple[int, int] | None
    ):
        self._split, size = envs.settle("gymnasium", splits(config), split, size, config.image_size)
        spec = registered.find(config.id)
        env = registered.make(config.id)
        model = getattr(env.unwrapped, "model", None)
        self.model = model if isinstance(model, mujoco.MjModel) else None
        if self.model is None and "image" in sensors:
            env = registered.make(config.id, pictures=True)
        max_steps = config.max_steps or spec.max_episode_steps or _LONG
        self._drawn = self.model is not None and bool({"image", "depth", "ids", "pose"} & set(sensors))
        action_space = registered.action_space(config.id, env.action_space)
        sensor_spaces = self._spaces(env.observation_space, action_space, size)
        super().__init__(config, n, split, seed, sensors, size, max_steps, action_space, sensor_spaces)

        self._goal = _goal(env.observation_space)
        self.together = config.id in tasks.TASKS
        self._worlds = bodies.Bodies(env, n) if self.together else objects.Objects(env, n, max_steps)
        for name in ("cut", *self._worlds.STATE):
            setattr(self, name, getattr(self._worlds, name))
        self.action = np.zeros((n, *sensor_spaces["action"].shape), np.float32)
        self.STATE = ("action", *self._worlds.STATE)
        self._factors = {"start": np.zeros(n), "n_objects": np.zeros(n, np.int64)}
        if self._drawn:
            wanted = envs.pictured(sensors)
            camera = camera_of(env.unwrapped, config.camera)
            stage = models.Stage(self.model)
            self._screen = screen.Screen(stage, n, size, camera, config.renderer, wanted, **config.look)

    def _spaces(self, seen: spaces.Space, actions: spaces.Space, size: tuple[int, int]) -> dict[str, spaces.Box]:
        """Of every sensor that there is."""
        n_action = int(actions.n) if isinstance(actions, spaces.Discrete) else actions.shape[0]
        low, high = (0.0, 1.0) if isinstance(actions, spaces.Discrete) else (actions.low, actions.high)
        made = {
            "image": spaces.Box(0, 255, (*size, 3), np.uint8),
            "pose": spaces.Box(-_ENDS, _ENDS, (5,)),
            "goal": spaces.Box(-_ENDS, _ENDS, (len(_goal(seen)),)),
            "action": spaces.Box(np.minimum(low, 0), np.maximum(high, 0), (n_action,), np.float32),
            "state": spaces.Box(-_ENDS, _ENDS, (spaces.flatdim(seen),)),
        }
        if self.model is not None:
            self._far = float(self.model.stat.extent * self.model.vis.map.zfar)
            made["depth"] = spaces.Box(0.0, self._far, size)
            made["ids"] = spaces.Box(-1, self.model.ngeom - 1, size, np.int32)
        return made

    def begin(self, rows, index, factors):
        """Put worlds where Gymnasium's environment begins with the seed that `start` says."""
        drawn = self._split.sample(envs.ROOT, index)
        limits = {"start": (0.0, 1.0), "n_objects": (0, 0)}
        drawn |= interventions.checked("gymnasium", factors or {}, drawn, limits)
        for name, value in drawn.items():
            self._factors[name][rows] = value
        self._worlds.begin(rows, np.floor(drawn["start"] * 2.0**53).astype(np.int64))
        self.action[rows] = 0

    def advance(self, actions):
        """Let the environment do it."""
        actions = actions.astype(self.action_space.dtype, copy=False)
        if isinstance(self.action_space, spaces.Discrete):
            self.action[...] = np.eye(self.action.shape[1], dtype=np.float32)[actions]
        else:
            self.action[...] = actions
        reward, ended = self._worlds.step(actions)
        return reward.astype(np.float32), ended

    def read(self, rows):
        """The sensors asked for, of some worlds."""
        state = np.clip(self._worlds.observation[rows], -_ENDS, _ENDS)
        pose = np.zeros((len(rows), 5), np.float32)
        out = {"pose": pose, "action": self.action[rows], "state": state, "goal": state[:, self._goal]}
        if self._drawn:
            out |= self._draw(rows)
        elif "image" in self.sensors:
            out["image"] = self._worlds.pictures(rows, self.size)
        return {sensor: out[sensor] for sensor in self.sensors}

    def _draw(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """What cameras of MuJoCo's models see, and where they are."""
        cameras, frames = self._screen.draw(rows, *self.positions(rows))
        ahead = -scenes.rotation_matrices(cameras.rotation.astype(np.float64))[..., 2]
        angles = np.arctan2(ahead[:, 1], ahead[:, 0]), np.arcsin(np.clip(ahead[:, 2], -1, 1))
        out = {"pose": np.concatenate([cameras.position, np.stack(angles, 1)], 1)}
        if frames is not None:
            out |= {"image": frames.rgb, "ids": frames.ids}
        if "depth" in self.sensors:
            out["depth"] = np.minimum(frames.depth, self._far)
        return out

    def positions(self, rows: Int[np.ndarray, " r"]) -> tuple[np.ndarray | None, ...]:
        """Of MuJoCo models: positions of the joints, and positions and rotations of mocap bodies, where there are any."""
        return self._worlds.positions(rows)

    def facts(self):
        """`factors`: `start` (there are no objects); `success`, where the environment's `info` tells of one."""
        factors = {name: value.copy() for name, value in self._factors.items()}
        return {"factors": factors, "success": self._worlds.success.copy()}

    def scripted(self):
        """Refused: nobody wrote a player for every environment."""
        raise errors.CaveError(
            "gymnasium has no scripted player: its players are random and trained ones", errors.USAGE
        )

    def state_dict(self):
        """All that these worlds are, as arrays."""
        self._worlds.remember()
        return super().state_dict()

    def load_state_dict(self, state):
        """Put back what `state_dict` gave."""
        super().load_state_dict(state)
        self._worlds.restore()


def _goal(seen: spaces.Space) -> np.ndarray:
    """Which entries of a flat observation are the goal."""
    at, found = 0, np.zeros(0, np.int64)
    for name, part in seen.spaces.items() if isinstance(seen, spaces.Dict) else ():
        width = spaces.flatdim(part)
        found = np.arange(at, at + width) if name == "desired_goal" else found
        at += width
    return found


def named_camera(model: mujoco.MjModel, choice: str) -> int | str | None:
    """Which of a model's own cameras `Config.camera` names, None for a free one."""
    if choice.isdigit():
        return int(choice)
    if choice not in ("", "free"):
        return choice
    has = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, "track") >= 0
    return "track" if has and not choice else None


def camera_of(env: gymnasium.Env, choice: str) -> int | str | mujoco.MjvCamera:
    """The camera of a MuJoCo environment that `Config.camera` names, as `Stage.cameras` takes it."""
    model = env.model
    named = named_camera(model, choice)
    if named is not None:
        return named
    # As Gymnasium's viewer begins: over the middle of the geoms, and then as the environment wishes.
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    free = mujoco.MjvCamera()
    free.type, free.lookat, free.distance = (
        mujoco.mjtCamera.mjCAMERA_FREE,
        np.median(data.geom_xpos, 0),
        model.stat.extent,
    )
    viewer = getattr(env, "mujoco_renderer", None)
    for name, value in (getattr(viewer, "default_cam_config", None) or {}).items():
        setattr(free, name, value)
    return free
