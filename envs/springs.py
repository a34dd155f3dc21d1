"""A mass on a spring goes up and down, and the rest is watching.

    python -m learners.train beta_vae --env springs

Description: a ball of mass m hangs on a spring of stiffness k, without weight: H = p^2 / 2m + k q^2 / 2. Only the ball
is drawn, an even disc whose area is its mass, at height q in the middle of the picture. The system is that of Toth et
al., "Hamiltonian Generative Networks" (ICLR 2020; m = 0.5, k = 2, radius 0.1 to 1, 30 frames of 32 x 32, 0.125 s apart,
numbers as in the code of its replication, Balsells Rodas et al., "[Re] Hamiltonian Generative Networks" (ReScience C,
2021)) and, with `parameters="drawn"`, `coloured` and `friction`, that of Botev et al., "Which priors matter?
Benchmarking models for learning latent dynamics" (NeurIPS 2021; MASS_SPRING_COLORS_FRICTION of their published suite: m
0.2 to 1, friction 0.05). Differs: stiffness is drawn too (theirs stays 2), the anchor is never moved, hues are drawn
from all that training allows instead of from six, and the picture is as wide as its splits need.

Actions: one, 0, which does nothing.

Observations (choose with `sensors`):
    image       the ball, seen by an orthographic camera: x to the right, z up; with `noise`, where it was mismeasured
    depth, ids  metres along the camera's axis, to its far plane; number of the solid, -1 beside it
    pose        of the camera, which stands still: x, y, z, yaw, pitch
    goal        nothing: it has no numbers
    action      1, and 0 at a start
    state       the truth: q in m, p in kg m/s, energy H in J

Reward: always 0; there is no goal.

Start: on an ellipse in phase space: q = r cos a, p = r sin a sqrt(k m), with the radius r and the phase a uniform.

End: never, but `max_steps` (truncated).

Splits: train; test, fresh starts; and, outside what training can draw: new-energies (radius 1 to 1.25), new-masses (1.1
to 1.5 kg), new-stiffness (0.5 to 0.9 and 3.2 to 4 N/m), new-friction (0.1 to 0.3 kg/s), new-colours (hues that training
lacks).
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

    radius: tuple[float, float] = (0.1, 1.0)
    """Ends of the factor `radius`: the largest distance from rest, in metres."""


def start(factors: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Position and momentum at a start, b 1 each."""
    r, a = factors["radius"], factors["phase"]
    q, p = r * np.cos(a), r * np.sin(a) * np.sqrt(factors["stiffness"] * factors["mass"][:, 0])
    return q[:, None], p[:, None]


def places(q: np.ndarray, factors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Where the ball is: x, z, b 1 2."""
    return np.stack([np.zeros_like(q), q], -1)


SYSTEM = motion.System(
    law=hamiltonian.SPRING,
    n=1,
    d=1,
    friction=motion.FRICTION,
    constant="stiffness",
    ranges={
        "stiffness": motion.Range(fixed=2.0, drawn=(1.0, 3.0), new=((0.5, 0.9), (3.2, 4.0))),
        "mass": motion.Range(fixed=0.5, drawn=(0.2, 1.0), new=((1.1, 1.5),)),
    },
    scene=fa.box(phase=fa.Interval(0.0, 2 * math.pi)),
    start=start,
    places=places,
    reach=lambda radius, light, heavy: radius,
)


def splits(config: Config) -> Mapping[str, fa.Split]:
    """The factor distributions by name."""
    return motion.splits(SYSTEM, config)


def extent(config: Config) -> float:
    """Side in metres of the square that the camera sees, which holds everything."""
    return motion.extent(SYSTEM, config)


World = motion.world(SYSTEM, __name__)
