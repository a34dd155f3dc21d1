"""A pendulum on a pendulum: chaos, and the rest is watching.

    python -m learners.train beta_vae --env double_pendulum

Description: a ball on a rod that hangs from the middle of the picture, and a second one on a rod that hangs from the
first ball. With masses m1, m2, lengths l1, l2 and both angles from the vertical, H = (m2 l2^2 p1^2 + (m1 + m2) l1^2
p2^2 - 2 m2 l1 l2 p1 p2 cos(q1 - q2)) / (2 m2 l1^2 l2^2 (m1 + m2 sin^2(q1 - q2))) + (m1 + m2) g l1 (1 - cos q1) + m2 g
l2 (1 - cos q2). Only the balls are drawn, even discs whose areas are their masses; with `rods`, the rods behind them,
too. The system is that of Botev et al., "Which priors matter? Benchmarking models for learning latent dynamics"
(NeurIPS 2021; DOUBLE_PENDULUM and its _COLORS_FRICTION, of their published suite: m = 0.5, l = 1, g = 3, radius 1.3 to
2.3; with `parameters="drawn"` m 0.4 to 0.6, l 0.75 to 1, g 2.5 to 4; friction 0.05). Differs: time steps are HGN's
0.125 s unless told otherwise, the drawn radius stays that of the fixed (theirs is 1 to 2.5), the anchor is never moved,
hues are drawn from all that training allows instead of from six, and the picture is as wide as its splits need.

Actions: one, 0, which does nothing.

Observations (choose with `sensors`):
    image       the balls, seen by an orthographic camera: x to the right, z up; with `noise`, where
                they were mismeasured
    depth, ids  metres along the camera's axis, to its far plane; number of the solid, -1 beside them
    pose        of the camera, which stands still: x, y, z, yaw, pitch
    goal        nothing: it has no numbers
    action      1, and 0 at a start
    state       the truth: angles q1, q2 in rad, counter-clockwise from hanging and not wrapped, p1, p2 in kg m^2/s, energy H in J

Reward: always 0; there is no goal.

Start: each ball on a circle in phase space of its own: q = r cos a, p = r sin a, with radius r and phase a uniform.

End: never, but `max_steps` (truncated).

Splits: train; test, fresh starts; and, outside what training can draw: new-energies (both radii 2.3 to 2.875),
new-gravity (1.5 to 2.3 and 4.5 to 6 m/s^2), new-masses (both 0.2 to 0.35 or 0.65 to 0.9 kg), new-lengths (both 0.5 to
0.7 m), new-friction (0.1 to 0.3 kg m^2/s), new-colours (hues that training lacks).
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from envs import motion
from envs.physics import hamiltonian
from scenes import factors as fa

STREAMS, FOV, DYNAMICS = motion.STREAMS, motion.FOV, motion.DYNAMICS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(motion.Options):
    """Options of the environment and of its streams."""

    radius: tuple[float, float] = (1.3, 2.3)
    """Ends of the factor `radius`, in radians and in kg m^2/s."""
    rods: bool = False
    """Whether the rods are drawn, too."""


def start(factors: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Positions and momenta at a start, b 2 each."""
    r, a = factors["radius"], factors["phase"]
    return r * np.cos(a), r * np.sin(a)


def places(q: np.ndarray, factors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Where the balls are: x, z, b 2 2."""
    return np.cumsum(np.stack([np.sin(q), -np.cos(q)], -1) * factors["length"][..., None], 1)


SYSTEM = motion.System(
    law=hamiltonian.DOUBLE,
    n=2,
    d=2,
    friction=motion.FRICTION,
    constant="gravity",
    ranges={
        "gravity": motion.Range(fixed=3.0, drawn=(2.5, 4.0), new=((1.5, 2.3), (4.5, 6.0))),
        "mass": motion.Range(fixed=0.5, drawn=(0.4, 0.6), new=((0.2, 0.35), (0.65, 0.9))),
        "length": motion.Range(fixed=1.0, drawn=(0.75, 1.0), new=((0.5, 0.7),)),
    },
    each=fa.box(phase=fa.Interval(0.0, 2 * math.pi)),
    own_radius=True,
    start=start,
    places=places,
    reach=lambda radius, light, heavy: 2.0,
)


def splits(config: Config) -> Mapping[str, fa.Split]:
    """The factor distributions by name."""
    return motion.splits(SYSTEM, config)


def extent(config: Config) -> float:
    """Side in metres of the square that the camera sees, which holds everything."""
    return motion.extent(SYSTEM, config)


World = motion.world(SYSTEM, __name__)
