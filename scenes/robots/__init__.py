"""An arm of six joints with a hand of three fingers, as numbers: what it is made of, and where its parts are.

It is about as large, as heavy and as jointed as Kinova's Jaco, but of our own drawing. When all joints are at 0 it stands
straight up, and the frames of all links are parallel to the world's: so a joint is a point and an axis, and nothing else
has to be agreed on by the simulators that are given it.
"""

import dataclasses
import functools
import math

import numpy as np
from jaxtyping import Float64

import scenes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Solid:
    """A part that is seen, in the frame of its link."""

    kind: str
    """Of `scenes.KINDS`, as is `size`."""
    size: tuple[float, float, float]
    at: tuple[float, float, float]
    along_y: bool = False
    """Whether its z axis lies along the link's y axis."""
    paint: str = "shell"
    """shell: of the arm's own colours; or dark, or light."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Link:
    """A rigid body and the hinge that it hangs on."""

    name: str
    parent: int
    """Which link its hinge is on; -1: the stand."""
    at: tuple[float, float, float]
    """Where the hinge is when all joints are at 0: the origin of its frame, metres in the world."""
    axis: tuple[float, float, float]
    limits: tuple[float, float]
    """Radians."""
    start: tuple[float, float]
    """Radians between which episodes begin."""
    mass: float
    """Kilograms."""
    centre: tuple[float, float, float]
    """Of mass, in its frame."""
    inertia: tuple[float, float, float]
    """About the centre, along the axes of its frame; there are no products. Much of it is the motor's, through its gears."""
    torque: float
    """Most of the hinge's motor, in newton metres."""
    gain: float
    """Of a motor that pushes in proportion to the speed that is missing: newton metres by radian a second."""
    damping: float
    """Of the hinge, in newton metres by radians a second."""
    friction: float
    """Of the hinge, in newton metres."""
    solids: tuple[Solid, ...]


SHOULDER = 0.92
"""Height of the shoulder, in metres: the middle of what can be reached."""
PALM = (0.0, 0.0, 0.14)
"""The point that is to reach, between the fingers, in the frame of the hand."""
HAND = 5
"""Number of the hand among `LINKS`."""
SPEED = 1.5
"""Fastest turn of a joint, in radians a second."""


def _rod(mass: float, radius: float, length: float, gears: float) -> tuple[float, float, float]:
    """Moments of inertia of a cylinder along z, each with that of a geared motor."""
    across = mass * (3 * radius**2 + length**2) / 12 + gears
    return across, across, mass * radius**2 / 2 + gears


def _fingers() -> tuple[Link, ...]:
    made = []
    for number, angle in enumerate(np.arange(3) * 2 * math.pi / 3):
        c, s = float(np.cos(angle)), float(np.sin(angle))
        made.append(
            Link(
                name=f"finger_{number + 1}", parent=HAND, at=(0.045 * c, 0.045 * s, 1.79), axis=(s, -c, 0.0),
                limits=(0.0, 1.2), start=(0.0, 0.6), mass=0.06, centre=(0.0, 0.0, 0.05), inertia=_rod(0.06, 0.015, 0.1, 0.002),
                torque=0.6, gain=0.6, damping=0.005, friction=0.01,
                solids=(
                    Solid(kind="capsule", size=(0.014, 0.035, 0.0), at=(0.0, 0.0, 0.035), paint="dark"),
                    Solid(kind="sphere", size=(0.019, 0.0, 0.0), at=(0.0, 0.0, 0.085), paint="light"),
                ),
            )
        )  # fmt: skip
    return tuple(made)


_Z, _Y = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)
_BIG = {"torque": 30.0, "damping": 2.0, "friction": 1.0}
_SMALL = {"torque": 8.0, "damping": 0.5, "friction": 0.3}

LINKS = (
    Link(
        name="column", parent=-1, at=(0.0, 0.0, 0.72), axis=_Z, limits=(-math.pi, math.pi), start=(-1.2, 1.2),
        mass=1.0, centre=(0.0, 0.0, 0.08), inertia=_rod(1.0, 0.06, 0.2, 0.1), gain=60.0, **_BIG,
        solids=(Solid(kind="cylinder", size=(0.058, 0.08, 0.0), at=(0.0, 0.0, 0.08)),),
    ),
    Link(
        name="upper_arm", parent=0, at=(0.0, 0.0, SHOULDER), axis=_Y, limits=(-2.0, 2.0), start=(0.2, 1.0),
        mass=1.2, centre=(0.0, 0.0, 0.2), inertia=_rod(1.2, 0.045, 0.4, 0.1), gain=160.0, **_BIG,
        solids=(
            Solid(kind="cylinder", size=(0.066, 0.075, 0.0), at=(0.0, 0.0, 0.0), along_y=True, paint="dark"),
            Solid(kind="capsule", size=(0.046, 0.17, 0.0), at=(0.0, 0.0, 0.2)),
        ),
    ),
    Link(
        name="elbow", parent=1, at=(0.0, 0.0, 1.32), axis=_Y, limits=(-2.5, 2.5), start=(0.4, 1.6),
        mass=0.8, centre=(0.0, 0.0, 0.08), inertia=_rod(0.8, 0.04, 0.16, 0.1), gain=80.0, **_BIG,
        solids=(
            Solid(kind="cylinder", size=(0.056, 0.065, 0.0), at=(0.0, 0.0, 0.0), along_y=True, paint="dark"),
            Solid(kind="capsule", size=(0.04, 0.06, 0.0), at=(0.0, 0.0, 0.08)),
        ),
    ),
    Link(
        name="forearm", parent=2, at=(0.0, 0.0, 1.48), axis=_Z, limits=(-math.pi, math.pi), start=(-0.8, 0.8),
        mass=0.5, centre=(0.0, 0.0, 0.07), inertia=_rod(0.5, 0.036, 0.16, 0.05), gain=16.0, **_SMALL,
        solids=(Solid(kind="cylinder", size=(0.036, 0.07, 0.0), at=(0.0, 0.0, 0.07)),),
    ),
    Link(
        name="wrist", parent=3, at=(0.0, 0.0, 1.64), axis=_Y, limits=(-2.0, 2.0), start=(-0.8, 0.8),
        mass=0.4, centre=(0.0, 0.0, 0.02), inertia=_rod(0.4, 0.04, 0.08, 0.05), gain=16.0, **_SMALL,
        solids=(Solid(kind="cylinder", size=(0.043, 0.05, 0.0), at=(0.0, 0.0, 0.0), along_y=True, paint="dark"),),
    ),
    Link(
        name="hand", parent=4, at=(0.0, 0.0, 1.7), axis=_Z, limits=(-math.pi, math.pi), start=(-1.0, 1.0),
        mass=0.5, centre=(0.0, 0.0, 0.04), inertia=_rod(0.5, 0.045, 0.1, 0.05), gain=16.0, **_SMALL,
        solids=(
            Solid(kind="cylinder", size=(0.038, 0.03, 0.0), at=(0.0, 0.0, 0.03)),
            Solid(kind="cylinder", size=(0.062, 0.015, 0.0), at=(0.0, 0.0, 0.075), paint="dark"),
        ),
    ),
    *_fingers(),
)  # fmt: skip
"""Every link after the one that it hangs on; link `i` is moved by joint `i`."""
STAND = (
    Solid(kind="box", size=(0.14, 0.14, 0.33), at=(0.0, 0.0, 0.33), paint="dark"),
    Solid(kind="cylinder", size=(0.08, 0.03, 0.0), at=(0.0, 0.0, 0.69), paint="light"),
)
"""What does not move, in the world's frame."""
SOLIDS = (*STAND, *(solid for link in LINKS for solid in link.solids))
N = len(LINKS)
"""Joints."""
LOW, HIGH = np.array([link.limits for link in LINKS]).T
"""Ends of the joints, in radians."""

_AT = np.array([link.at for link in LINKS])
_AXIS = np.array([link.axis for link in LINKS])
_PARENT = np.array([link.parent for link in LINKS])
_ORDER = np.array([(0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0)])
_SIGN = np.array([(1.0, -1, -1, -1), (1, 1, -1, 1), (1, 1, 1, -1), (1, -1, 1, 1)])
_OF = np.array([-1] * len(STAND) + [i for i, link in enumerate(LINKS) for _ in link.solids])
_PLACE = np.array([solid.at for solid in SOLIDS])
# A quarter turn about x lays z along -y: round solids do not show which way.
_TURN = np.array([(math.sqrt(0.5), math.sqrt(0.5), 0, 0) if s.along_y else (1, 0, 0, 0) for s in SOLIDS], np.float64)


@dataclasses.dataclass(frozen=True, eq=False)
class Posture:
    """Where the links of `b` arms are."""

    origin: Float64[np.ndarray, "b n 3"]
    """Of each link's frame, which is where its hinge is; metres."""
    rotation: Float64[np.ndarray, "b n 4"]
    """Of each link's frame; unit quaternions (w, x, y, z)."""

    def __getitem__(self, rows: np.ndarray) -> "Posture":
        return Posture(self.origin[rows], self.rotation[rows])

    @functools.cached_property
    def axes(self) -> Float64[np.ndarray, "b n 3 3"]:
        """Of each link's frame, as the columns of matrices."""
        return scenes.rotation_matrices(self.rotation)

    @property
    def palm(self) -> Float64[np.ndarray, "b 3"]:
        """Where the point is that reaches."""
        return self.origin[:, HAND] + self.axes[:, HAND] @ PALM

    def jacobian(self) -> Float64[np.ndarray, "b 3 n"]:
        """How the palm moves, in metres by radian of each joint."""
        hinges = np.einsum("bnij,nj->bni", self.axes, _AXIS)
        columns = np.cross(hinges, self.palm[:, None] - self.origin)
        columns[:, HAND + 1 :] = 0  # fingers do not carry it
        return columns.transpose(0, 2, 1)

    def solids(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions b k 3 and rotations b k 4 of `SOLIDS`, float32."""
        still, b = len(STAND), len(self.origin)
        position, rotation = np.empty((b, len(SOLIDS), 3), np.float32), np.empty((b, len(SOLIDS), 4), np.float32)
        position[:, :still], rotation[:, :still] = _PLACE[:still], _TURN[:still]
        of, place = _OF[still:], _PLACE[still:]
        position[:, still:] = self.origin[:, of] + (self.axes[:, of] @ place[..., None])[..., 0]
        rotation[:, still:] = (_left(self.rotation[:, of]) @ _TURN[still:, :, None])[..., 0]
        return position, rotation


def posture(joints: Float64[np.ndarray, "b n"]) -> Posture:
    """Forward kinematics.

    Args:
        joints: Angles of the nine joints, in radians.
    """
    half = joints[..., None] / 2
    own = np.concatenate([np.cos(half), np.sin(half) * _AXIS], -1)
    rotation = own.copy()
    for i, link in enumerate(LINKS[1:], 1):
        rotation[:, i] = (_left(rotation[:, link.parent]) @ own[:, i, :, None])[..., 0]
    axes = scenes.rotation_matrices(rotation)
    origin = np.empty((len(joints), N, 3))
    origin[:, 0] = _AT[0]
    origin[:, 1:] = (axes[:, _PARENT[1:]] @ (_AT[1:] - _AT[_PARENT[1:]])[..., None])[..., 0]
    for i, link in enumerate(LINKS[1:], 1):
        origin[:, i] += origin[:, link.parent]
    return Posture(origin, rotation)


def _left(rotation: np.ndarray) -> np.ndarray:
    """Matrices ... 4 4 of turning by unit quaternions ... 4 after something else."""
    return rotation[..., _ORDER] * _SIGN


def kinds() -> np.ndarray:
    """Of `SOLIDS`, as `scenes.Scenes` has them."""
    return np.array([scenes.KINDS.index(solid.kind) for solid in SOLIDS], np.int32)
