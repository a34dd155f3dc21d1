"""The arm of `scenes.robots` in MuJoCo and in PyBullet: one description, written as MJCF and as URDF, and moved by either.

What is the same in both: links, hinges, masses, inertias, gravity, time steps, viscous damping of the hinges, the most that
motors can do and the speeds that they are asked for, which never lead past the ends of a joint. Nothing touches anything:
links pass through one another, so that all that decides the future is angles and speeds. What is each simulator's own,
and what training in one and testing in the other is about: MuJoCo's motors push in proportion to the speed that is missing,
and hinges have dry friction; PyBullet's push as hard as is needed, and friction takes from the most that they can do.
`difference` measures what comes of it.

MuJoCo moves all worlds by one call (`mujoco.rollout`), each with a model of its own; PyBullet's live in `workers`.
"""

import copy
import functools
import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable
from xml.etree import ElementTree

import mujoco
import numpy as np
from jaxtyping import Bool, Float64, Int

from envs.physics import rollouts, simulators, workers
from scenes import robots
from scenes.kit import errors

TIMESTEP, SUBSTEPS = 0.0025, 20
"""Of the simulators, in seconds; and how many make a step of the environment."""
DT = TIMESTEP * SUBSTEPS
"""Seconds of a step."""
GRAVITY = 9.81
DYNAMICS = ("mass", "damping", "friction")
"""What each world has of its own, in this order."""


def _numbers(*values: float) -> str:
    return " ".join(repr(float(value)) for value in values)


def mjcf() -> str:
    """The arm as MuJoCo's XML."""
    root = ElementTree.Element("mujoco", model="arm")
    ElementTree.SubElement(root, "compiler", angle="radian", autolimits="true")
    option = {"timestep": repr(TIMESTEP), "integrator": "implicitfast", "gravity": _numbers(0, 0, -GRAVITY)}
    ElementTree.SubElement(ElementTree.SubElement(root, "option", option), "flag", contact="disable")
    world = ElementTree.SubElement(root, "worldbody")
    _geoms(world, robots.STAND)
    bodies: list[ElementTree.Element] = []
    actuator = ElementTree.Element("actuator")
    for link in robots.LINKS:
        parent, before = (world, (0, 0, 0)) if link.parent < 0 else (bodies[link.parent], robots.LINKS[link.parent].at)
        body = ElementTree.SubElement(parent, "body", name=link.name, pos=_numbers(*np.subtract(link.at, before)))
        inertia = {"mass": repr(link.mass), "pos": _numbers(*link.centre), "diaginertia": _numbers(*link.inertia)}
        ElementTree.SubElement(body, "inertial", inertia)
        hinge = {"name": link.name, "type": "hinge", "axis": _numbers(*link.axis)}
        hinge |= {"damping": repr(link.damping), "frictionloss": repr(link.friction)}
        ElementTree.SubElement(body, "joint", hinge)
        _geoms(body, link.solids)
        motor = {"joint": link.name, "kv": repr(link.gain)}
        ElementTree.SubElement(actuator, "velocity", motor | {"forcerange": _numbers(-link.torque, link.torque)})
        bodies.append(body)
    ElementTree.SubElement(bodies[robots.HAND], "site", name="palm", pos=_numbers(*robots.PALM))
    root.append(actuator)
    return ElementTree.tostring(root, "unicode")


def _geoms(body: ElementTree.Element, solids: Sequence[robots.Solid]) -> None:
    for solid in solids:
        turn = {"quat": "0.5 0.5 0 0"} if solid.along_y else {}
        parts = {"type": solid.kind, "size": _numbers(*solid.size), "pos": _numbers(*solid.at), "mass": "0"}
        ElementTree.SubElement(body, "geom", parts | turn)


def urdf() -> str:
    """The arm as URDF: seen, and not touched."""
    root = ElementTree.Element("robot", name="arm")
    stand = ElementTree.SubElement(root, "link", name="stand")
    inertial = ElementTree.SubElement(stand, "inertial")  # it does not move; PyBullet complains of a link without
    ElementTree.SubElement(inertial, "mass", value="0")
    ElementTree.SubElement(inertial, "inertia", dict.fromkeys(("ixx", "iyy", "izz", "ixy", "ixz", "iyz"), "0"))
    _visuals(stand, robots.STAND)
    for link in robots.LINKS:
        body = ElementTree.SubElement(root, "link", name=link.name)
        inertial = ElementTree.SubElement(body, "inertial")
        ElementTree.SubElement(inertial, "origin", xyz=_numbers(*link.centre), rpy="0 0 0")
        ElementTree.SubElement(inertial, "mass", value=repr(link.mass))
        moments = dict(zip(("ixx", "iyy", "izz"), map(repr, link.inertia), strict=True))
        ElementTree.SubElement(inertial, "inertia", moments | dict.fromkeys(("ixy", "ixz", "iyz"), "0"))
        _visuals(body, link.solids)
        parent, before = ("stand", (0, 0, 0))
        if link.parent >= 0:
            parent, before = robots.LINKS[link.parent].name, robots.LINKS[link.parent].at
        joint = ElementTree.SubElement(root, "joint", name=f"{link.name}_hinge", type="continuous")
        ElementTree.SubElement(joint, "parent", link=parent)
        ElementTree.SubElement(joint, "child", link=link.name)
        ElementTree.SubElement(joint, "origin", xyz=_numbers(*np.subtract(link.at, before)), rpy="0 0 0")
        ElementTree.SubElement(joint, "axis", xyz=_numbers(*link.axis))
        ElementTree.SubElement(joint, "dynamics", damping=repr(link.damping), friction="0")
    return ElementTree.tostring(root, "unicode")


def _visuals(body: ElementTree.Element, solids: Sequence[robots.Solid]) -> None:
    for solid in solids:
        visual = ElementTree.SubElement(body, "visual")
        rpy = _numbers(np.pi / 2 if solid.along_y else 0, 0, 0)
        ElementTree.SubElement(visual, "origin", xyz=_numbers(*solid.at), rpy=rpy)
        size = np.array(solid.size) * 2
        shape = {
            "box": {"size": _numbers(*size)}, "sphere": {"radius": repr(solid.size[0])},
        }.get(solid.kind, {"radius": repr(solid.size[0]), "length": repr(float(size[1]))})  # fmt: skip
        ElementTree.SubElement(ElementTree.SubElement(visual, "geometry"), solid.kind, shape)


@runtime_checkable
class Arms(Protocol):
    """`n` arms in a simulator."""

    joints: Float64[np.ndarray, "n 9"]
    """Radians, as they are now."""
    speeds: Float64[np.ndarray, "n 9"]
    """Radians a second."""

    def dress(self, rows: Int[np.ndarray, " r"], dynamics: Float64[np.ndarray, "r 3"]) -> None:
        """Give arms `rows` their `DYNAMICS`, as multiples of what `scenes.robots` says."""

    def put(self, rows: Int[np.ndarray, " r"], joints: Float64[np.ndarray, "r 9"], speeds: Float64[np.ndarray, "r 9"]):
        """Put arms `rows` into a posture, moving so fast."""

    def step(self, wanted: Float64[np.ndarray, "n 9"]) -> Bool[np.ndarray, " n"]:
        """Move all arms by `DT` with motors that are asked for speeds; returns which of them could not be moved."""

    def close(self) -> None:
        """Let go of processes, if there are any."""


def make(simulator: str, n: int, refusal: Callable[[int, str], Exception], **options: Any) -> Arms:
    """`n` arms in one of `simulators.SIMULATORS`; arguments as for `workers.Pool`.

    Raises:
        errors.CaveError: there is no such simulator here.
    """
    if simulator not in simulators.SIMULATORS:
        raise errors.unknown("simulator", simulator, simulators.SIMULATORS)
    if simulator == "mujoco":
        return Mujoco(n)
    if not simulators.have_pybullet():
        raise errors.CaveError(
            "the simulator 'pybullet' needs PyBullet: pip install pybullet, which has wheels for Python 3.11 and older; the "
            "simulator 'mujoco' needs none"
        )
    return Bullet(n, refusal, **options)


def toward(joints: Float64[np.ndarray, "n 9"], wanted: Float64[np.ndarray, "n 9"]) -> Float64[np.ndarray, "n 9"]:
    """The speeds nearest to those wanted that lead no joint past its ends within a step, and back those that sank past."""
    return np.clip(wanted, (robots.LOW - joints) / DT, (robots.HIGH - joints) / DT)


@functools.cache
def model() -> mujoco.MjModel:
    """MuJoCo's model of the arm, which must not be changed."""
    return mujoco.MjModel.from_xml_string(mjcf())


class Mujoco:
    """Arms in MuJoCo."""

    def __init__(self, n: int):
        self.joints, self.speeds = np.zeros((2, n, robots.N))
        self._models = [copy.copy(model()) for _ in range(n)]
        self._threads = min(workers.cores(), n)
        self._data = [mujoco.MjData(model()) for _ in range(self._threads)]
        self._kind = mujoco.mjtState.mjSTATE_FULLPHYSICS
        self._out = np.zeros((n, SUBSTEPS, mujoco.mj_stateSize(model(), self._kind)))
        self._sensors = np.zeros((n, SUBSTEPS, 0))
        self._rollout = rollouts.Rollout(self._threads)

    def dress(self, rows, dynamics):
        """Give arms `rows` their `DYNAMICS`."""
        plain = model()
        for row, (mass, damping, friction) in zip(rows.tolist(), dynamics, strict=True):
            own = self._models[row]
            own.body_mass[:], own.body_inertia[:] = plain.body_mass * mass, plain.body_inertia * mass
            own.dof_damping[:], own.dof_frictionloss[:] = plain.dof_damping * damping, plain.dof_frictionloss * friction
            mujoco.mj_setConst(own, self._data[0])

    def put(self, rows, joints, speeds):
        """Put arms `rows` into a posture, moving so fast."""
        self.joints[rows], self.speeds[rows] = joints, speeds

    def step(self, wanted):
        """Move all arms by `DT`; there are none that cannot be."""
        n = len(self.joints)
        # The time of every simulation is 0: nothing depends on it.
        state = np.concatenate([np.zeros((n, 1)), self.joints, self.speeds], 1)
        control = np.repeat(toward(self.joints, wanted)[:, None], SUBSTEPS, 1)
        self._rollout.rollout(self._models, self._data, state, control, state=self._out, sensordata=self._sensors)
        self.joints[:], self.speeds[:] = self._out[:, -1, 1 : 1 + robots.N], self._out[:, -1, 1 + robots.N :]
        return np.zeros(n, bool)

    def close(self):
        """End the threads."""
        self._rollout.close()


class Bullet:
    """Arms in PyBullet, in worker processes."""

    def __init__(self, n: int, refusal: Callable[[int, str], Exception], **options: Any):
        given = {"joints": robots.N, "speeds": robots.N, "dynamics": len(DYNAMICS), "wanted": robots.N}
        told = {"joints": robots.N, "speeds": robots.N}
        self._pool = workers.Pool(f"{__name__}:Simulation", {}, n, given, told, refusal, room=0, **options)
        self._pool.given["dynamics"][:] = 1
        self.joints, self.speeds = np.zeros((2, n, robots.N))

    def dress(self, rows, dynamics):
        """Give arms `rows` their `DYNAMICS`, with which `put` begins."""
        self._pool.given["dynamics"][rows] = dynamics
        self.put(rows, self.joints[rows], self.speeds[rows])

    def put(self, rows, joints, speeds):
        """Put arms `rows` into a posture, moving so fast."""
        self.joints[rows], self.speeds[rows] = joints, speeds
        self._pool.given["joints"][rows], self._pool.given["speeds"][rows] = joints, speeds
        self._pool.reset(rows)

    def step(self, wanted):
        """Move all arms by `DT`. Those whose worker is lost are put where they were in another, and asked once more."""
        pool = self._pool
        pool.given["wanted"][:] = toward(self.joints, wanted)
        pool.step()
        if pool.lost.any():
            rows = np.flatnonzero(pool.lost)
            self.put(rows, self.joints[rows], self.speeds[rows])
            pool.step(rows)
        moved = ~pool.lost
        self.joints[moved], self.speeds[moved] = pool.told["joints"][moved], pool.told["speeds"][moved]
        return pool.lost.copy()

    def close(self):
        """End the processes."""
        self._pool.close()


class Simulation:
    """One arm in PyBullet; what `workers` host."""

    def __init__(self, given: dict[str, np.ndarray], told: dict[str, np.ndarray]):
        import pybullet

        self._given, self._told, self._bullet = given, told, pybullet
        self._client = pybullet.connect(pybullet.DIRECT)
        if self._client < 0:
            raise errors.CaveError("pybullet takes no more worlds in one process: ask for more workers")
        self._on = {"physicsClientId": self._client}
        pybullet.setGravity(0, 0, -GRAVITY, **self._on)
        pybullet.setPhysicsEngineParameter(fixedTimeStep=TIMESTEP, numSubSteps=0, **self._on)
        with tempfile.NamedTemporaryFile("w", suffix=".urdf") as file:
            file.write(urdf())
            file.flush()
            flags = pybullet.URDF_USE_INERTIA_FROM_FILE
            self._arm = pybullet.loadURDF(os.path.abspath(file.name), useFixedBase=True, flags=flags, **self._on)
        pybullet.changeDynamics(self._arm, -1, linearDamping=0, angularDamping=0, **self._on)
        self._links = list(range(robots.N))
        self._most = np.array([link.torque for link in robots.LINKS])

    def reset(self) -> None:
        """Put the arm where it is told to be, as heavy as it is told to be."""
        mass, damping, friction = self._given["dynamics"].tolist()
        for i, link in enumerate(robots.LINKS):
            self._bullet.changeDynamics(
                self._arm, i, mass=link.mass * mass, localInertiaDiagonal=[one * mass for one in link.inertia],
                jointDamping=link.damping * damping, **self._on,
            )  # fmt: skip
            place, speed = float(self._given["joints"][i]), float(self._given["speeds"][i])
            self._bullet.resetJointState(self._arm, i, place, speed, **self._on)
        rubs = np.array([link.friction for link in robots.LINKS]) * friction
        self._forces = np.maximum(self._most - rubs, 0).tolist()
        self._tell()

    def step(self) -> None:
        """Move it by `DT`."""
        self._bullet.setJointMotorControlArray(
            self._arm, self._links, self._bullet.VELOCITY_CONTROL,
            targetVelocities=self._given["wanted"].tolist(), forces=self._forces, **self._on,
        )  # fmt: skip
        for _ in range(SUBSTEPS):
            self._bullet.stepSimulation(**self._on)
        self._tell()

    def _tell(self) -> None:
        states = self._bullet.getJointStates(self._arm, self._links, **self._on)
        self._told["joints"][:] = [state[0] for state in states]
        self._told["speeds"][:] = [state[1] for state in states]

    def palm(self) -> np.ndarray:
        """Where PyBullet has the palm."""
        state = self._bullet.getLinkState(self._arm, robots.HAND, computeForwardKinematics=True, **self._on)
        matrix = np.reshape(self._bullet.getMatrixFromQuaternion(state[5]), (3, 3))
        return np.array(state[4]) + matrix @ robots.PALM


def difference(
    horizons: Sequence[int] = (1, 10, 50), n: int = 64, seed: int = 0
) -> tuple[Float64[np.ndarray, "n h"], Float64[np.ndarray, "n h"]]:
    """How far the simulators' hands are apart after so many steps with the same actions, from the same starts.

    Args:
        horizons: After how many steps.
        n: Arms; starts are as in training, actions uniform and kept for 10 steps each.
        seed: Of both.

    Returns:
        Metres between the hands; and, to judge them by, metres that MuJoCo's have come.
    """
    rng = np.random.default_rng(seed)
    low, high = np.array([link.start for link in robots.LINKS]).T
    start = rng.uniform(low, high, (n, robots.N))
    every, still = np.arange(n), np.zeros((n, robots.N))
    both = [
        make(simulator, n, lambda row, why: errors.CaveError(f"arm {row}: {why}"))
        for simulator in simulators.SIMULATORS
    ]
    for arms in both:
        arms.dress(every, np.ones((n, len(DYNAMICS))))
        arms.put(every, start, still)
    begun, apart, come = robots.posture(start).palm, [], []
    for t in range(max(horizons)):
        if t % 10 == 0:
            wanted = rng.uniform(-robots.SPEED, robots.SPEED, (n, robots.N))
        for arms in both:
            arms.step(wanted)
        if t + 1 in horizons:
            ours, theirs = (robots.posture(arms.joints).palm for arms in both)
            apart.append(np.linalg.norm(ours - theirs, axis=1))
            come.append(np.linalg.norm(ours - begun, axis=1))
    for arms in both:
        arms.close()
    return np.stack(apart, 1), np.stack(come, 1)
