"""A pendulum swings, or goes over the top, and the rest is watching.

    python -m learners.train beta_vae --env pendulum

Description: a ball of mass m on a rod of length l without weight, which hangs from the middle of the picture: H = p^2 /
2 m l^2 + m g l (1 - cos q). Only the ball is drawn, an even disc whose area is its mass; with `rods`, the rod behind
it, too. The system is that of Toth et al., "Hamiltonian Generative Networks" (ICLR 2020; m = 0.5, l = 1, g = 3, radius
1.3 to 2.3, 30 frames of 32 x 32, 0.125 s apart, numbers as in the code of its replication, Balsells Rodas et al., "[Re]
Hamiltonian Generative Networks" (ReScience C, 2021)) and, with `parameters="drawn"`, `coloured` and `friction`, that of
Botev et al., "Which priors matter? Benchmarking models for learning latent dynamics" (NeurIPS 2021;
PENDULUM_COLORS_FRICTION of their published suite: m 0.5 to 1.5, l 0.5 to 1, g 3 to 4, friction 0.05). Differs: the
anchor is never moved, hues are drawn from all that training allows instead of from six, and the picture is as wide as
its splits need.

Actions: one, 0, which does nothing.

Observations (choose with `sensors`):
    image       the ball, seen by an orthographic camera: x to the right, z up; with `noise`, where
                it was mismeasured
    depth, ids  metres along the camera's axis, to its far plane; number of the solid, -1 beside it
    pose        of the camera, which stands still: x, y, z, yaw, pitch
    goal        nothing: it has no numbers
    action      1, and 0 at a start
    state       the truth: angle q in rad, counter-clockwise from hanging and not wrapped, p in kg m^2/s, energy H in J

Reward: always 0; there is no goal.

Start: on a circle in phase space: q = r cos a, p = r sin a, with the radius r and the phase a uniform.

End: never, but `max_steps` (truncated).

Splits: train; test, fresh starts; and, outside what training can draw: new-energies (radius 2.3 to 2.875), new-gravity
(1.5 to 2.5 and 4.5 to 6 m/s^2), new-masses (0.25 to 0.45 and 1.6 to 2 kg), new-lengths (0.3 to 0.45 m), new-friction
(0.1 to 0.3 kg m^2/s), new-colours (hues that training lacks).
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
    """Whether the rod is drawn, too."""


def start(factors: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Position and momentum at a start, b 1 each."""
    r, a = factors["radius"], factors["phase"]
    return (r * np.cos(a))[:, None], (r * np.sin(a))[:, None]


def places(q: np.ndarray, factors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Where the ball is: x, z, b 1 2."""
    return np.stack([np.sin(q), -np.cos(q)], -1) * factors["length"][..., None]


SYSTEM = motion.System(
    law=hamiltonian.PENDULUM,
    n=1,
    d=1,
    friction=motion.FRICTION,
    constant="gravity",
    ranges={
        "gravity": motion.Range(fixed=3.0, drawn=(3.0, 4.0), new=((1.5, 2.5), (4.5, 6.0))),
        "mass": motion.Range(fixed=0.5, drawn=(0.5, 1.5), new=((0.25, 0.45), (1.6, 2.0))),
        "length": motion.Range(fixed=1.0, drawn=(0.5, 1.0), new=((0.3, 0.45),)),
    },
    scene=fa.box(phase=fa.Interval(0.0, 2 * math.pi)),
    start=start,
    places=places,
    reach=lambda radius, light, heavy: 1.0,
)


def splits(config: Config) -> Mapping[str, fa.Split]:
    """The factor distributions by name."""
    return motion.splits(SYSTEM, config)


def extent(config: Config) -> float:
    """Side in metres of the square that the camera sees, which holds everything."""
    return motion.extent(SYSTEM, config)


World = motion.world(SYSTEM, __name__)
