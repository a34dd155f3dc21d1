"""Tables in PyBullet, in worker processes: `envs.physics.workers` says what becomes of one that dies."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64, Int

import scenes
from envs.physics import tables, workers
from envs.physics.pybullet import pybullet

_SHAPES = {
    "box": pybullet.GEOM_BOX, "sphere": pybullet.GEOM_SPHERE,
    "capsule": pybullet.GEOM_CAPSULE, "cylinder": pybullet.GEOM_CYLINDER,
}  # fmt: skip
_WIDTH = 9
"""Numbers of a body: whether it is there, its kind, size, mass and moments of inertia."""
_FORCE = 1e6
"""That holds the rod at its velocity."""


class Simulation:
    """One table, as a worker has it.

    Args:
        given: `bodies`, friction and then `_WIDTH` numbers of each body; `qpos`, `qvel`, and how many `times` to step.
        told: `qpos` and `qvel` after that.
        half: Half the edge of the table's square top, metres.
        high: How high that lies.
        thick: How thick it is.
    """

    def __init__(self, given: dict, told: dict, half: float, high: float, thick: float):
        self._given, self._told, self._table = given, told, (half, high, thick)
        self._client = pybullet.connect(pybullet.DIRECT)
        self._bodies: dict[int, int] = {}
        self._rod = -1

    def reset(self) -> None:
        """Lay the bodies that are given on the table."""
        client, (half, high, thick) = self._client, self._table
        pybullet.resetSimulation(physicsClientId=client)
        pybullet.setGravity(0, 0, -tables.GRAVITY, physicsClientId=client)
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=tables.TIMESTEP, numSubSteps=0, deterministicOverlappingPairs=1, enableConeFriction=1,
            physicsClientId=client,
        )  # fmt: skip
        friction, bodies = self._given["bodies"][0], self._given["bodies"][1:].reshape(-1, _WIDTH)
        top = pybullet.createCollisionShape(
            pybullet.GEOM_BOX, halfExtents=[half, half, thick / 2], physicsClientId=client
        )
        self._rub(
            pybullet.createMultiBody(0, top, basePosition=[0, 0, high - thick / 2], physicsClientId=client), friction
        )
        self._rod = self._make_rod(high)
        self._rub(self._rod, friction, 1)
        self._bodies = {}
        for j, (there, kind, a, b, c, mass, *inertia) in enumerate(bodies.tolist()):
            if not there:
                continue
            shape = pybullet.createCollisionShape(
                _SHAPES[scenes.KINDS[int(kind)]], radius=a, height=2 * b, halfExtents=[a, b, c], physicsClientId=client
            )
            self._bodies[j] = body = pybullet.createMultiBody(mass, shape, physicsClientId=client)
            # Bullet's own inertia of a capsule is that of a box around it.
            pybullet.changeDynamics(
                body, -1, localInertiaDiagonal=inertia, linearDamping=0, angularDamping=0, physicsClientId=client
            )
            self._rub(body, friction)

    def _make_rod(self, high: float) -> int:
        """A capsule on two rails, and no force to hold them back."""
        client, rest = self._client, {"linkPositions": [[0, 0, 0]] * 2, "linkOrientations": [[0, 0, 0, 1]] * 2}
        capsule = pybullet.createCollisionShape(
            pybullet.GEOM_CAPSULE, radius=tables.ROD_RADIUS, height=2 * tables.ROD_HALF, physicsClientId=client
        )
        rod = pybullet.createMultiBody(
            0, -1, basePosition=[0, 0, high + tables.ROD_CLEAR + tables.ROD_RADIUS + tables.ROD_HALF],
            linkMasses=[tables.ROD_MASS] * 2, linkCollisionShapeIndices=[-1, capsule], linkVisualShapeIndices=[-1, -1],
            linkInertialFramePositions=[[0, 0, 0]] * 2, linkInertialFrameOrientations=[[0, 0, 0, 1]] * 2,
            linkParentIndices=[0, 1], linkJointTypes=[pybullet.JOINT_PRISMATIC] * 2,
            linkJointAxis=[[1, 0, 0], [0, 1, 0]], physicsClientId=client, **rest,
        )  # fmt: skip
        for link in (0, 1):
            pybullet.changeDynamics(
                rod, link, linearDamping=0, angularDamping=0, jointDamping=0, physicsClientId=client
            )
        return rod

    def _rub(self, body: int, friction: float, link: int = -1) -> None:
        """Give a body friction: Bullet takes the product of two bodies' own, and for rolling a + b of those times it."""
        own = float(np.sqrt(friction))
        pybullet.changeDynamics(
            body, link, lateralFriction=own, restitution=0, rollingFriction=own * tables.ROLLING / 2,
            spinningFriction=own * tables.SPINNING / 2, physicsClientId=self._client,
        )  # fmt: skip

    def step(self) -> None:
        """Put everything where it is said to be, and let it go on."""
        times, client = int(self._given["times"][0]), self._client
        if not times:
            return
        qpos, qvel = self._given["qpos"], self._given["qvel"]
        places, speeds = tables.poses(qpos[None])[0], tables.velocities(qvel[None])[0]
        # What touched before leaves no trace: contacts are forgotten where nothing is near.
        for number, body in enumerate(self._bodies.values()):
            pybullet.resetBasePositionAndOrientation(
                body, [0, 0, 100.0 + 2 * number], [0, 0, 0, 1], physicsClientId=client
            )
        pybullet.performCollisionDetection(physicsClientId=client)
        for j, body in self._bodies.items():
            w, x, y, z = places[j, 3:]
            pybullet.resetBasePositionAndOrientation(body, places[j, :3], [x, y, z, w], physicsClientId=client)
            spin = _turn(places[j, 3:]) @ speeds[j, 3:]
            pybullet.resetBaseVelocity(body, speeds[j, :3], spin, physicsClientId=client)
        for link in (0, 1):
            pybullet.resetJointState(self._rod, link, qpos[link], qvel[link], physicsClientId=client)
            pybullet.setJointMotorControl2(
                self._rod, link, pybullet.VELOCITY_CONTROL, targetVelocity=qvel[link], force=_FORCE,
                physicsClientId=client,
            )  # fmt: skip
        for _ in range(times):
            pybullet.stepSimulation(physicsClientId=client)
        self._tell()

    def _tell(self) -> None:
        client, qpos, qvel = self._client, self._told["qpos"], self._told["qvel"]
        qpos[:], qvel[:] = self._given["qpos"], self._given["qvel"]
        for link, state in enumerate(pybullet.getJointStates(self._rod, (0, 1), physicsClientId=client)):
            qpos[link], qvel[link] = state[:2]
        places, speeds = tables.poses(qpos[None])[0], tables.velocities(qvel[None])[0]
        for j, body in self._bodies.items():
            place, (x, y, z, w) = pybullet.getBasePositionAndOrientation(body, physicsClientId=client)
            speed, spin = pybullet.getBaseVelocity(body, physicsClientId=client)
            places[j] = *place, w, x, y, z
            speeds[j] = *speed, *(_turn(places[j, 3:]).T @ spin)


def _turn(quaternion: np.ndarray) -> np.ndarray:
    return scenes.rotation_matrices(quaternion)


class Table:
    """`n` tables of up to `k` bodies.

    Args:
        n: How many tables.
        k: Most bodies on one.
        half: Half the edge of a table's square top, metres.
        high: How high that lies.
        thick: How thick it is.
        refusal: The error that names a table by its row, and says why.
    """

    def __init__(
        self, n: int, k: int, half: float, high: float, thick: float, refusal: Callable[[int, str], Exception]
    ):
        given = {"bodies": 1 + _WIDTH * k, "qpos": 2 + 7 * k, "qvel": 2 + 6 * k, "times": 1}
        told = {"qpos": 2 + 7 * k, "qvel": 2 + 6 * k}
        arguments = {"half": half, "high": high, "thick": thick}
        name = f"{__name__}:{Simulation.__name__}"
        self._pool = workers.Pool(name, arguments, n, given, told, refusal, room=64)

    def furnish(self, rows: Int[np.ndarray, " b"], bodies: tables.Bodies) -> None:
        """Lay bodies on tables `rows`."""
        mass, inertia = bodies.inertia()
        numbers = [bodies.there[..., None], bodies.kind[..., None], bodies.size, mass[..., None], inertia]
        numbers = np.concatenate(numbers, -1).reshape(len(bodies), -1)
        self._pool.given["bodies"][rows] = np.concatenate([bodies.friction[:, None], numbers], 1)
        self._pool.reset(rows)

    def run(
        self,
        rows: Int[np.ndarray, " b"],
        qpos: Float64[np.ndarray, "b q"],
        qvel: Float64[np.ndarray, "b v"],
        times: int,
    ) -> tuple[Float64[np.ndarray, "b q"], Float64[np.ndarray, "b v"]]:
        """Where everything of tables `rows` is `times` timesteps later, and how fast it goes; where it was on those that
        are lost."""
        given, told = self._pool.given, self._pool.told
        given["qpos"][rows], given["qvel"][rows] = qpos, qvel
        given["times"][:] = 0
        given["times"][rows] = times
        self._pool.step()
        gone = self._pool.lost[rows, None]
        return np.where(gone, qpos, told["qpos"][rows]), np.where(gone, qvel, told["qvel"][rows])

    def lost(self) -> Bool[np.ndarray, " n"]:
        """Which tables are lost, until they are furnished anew."""
        return self._pool.lost.copy()

    def close(self) -> None:
        """End the processes."""
        self._pool.close()
