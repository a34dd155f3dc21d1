"""Three bodies go around one another, for a while, and the rest is watching.

    python -m learners.train beta_vae --env three_body

Description: three bodies in a plane that attract one another: H is the sum of |p|^2 / 2 m, less g m m' / |q - q'| for
every pair. Only the bodies are drawn, even discs whose areas are their masses. The system is that of Toth et al.,
"Hamiltonian Generative Networks" (ICLR 2020; m = 1, g = 1, radius 0.9 to 1.2, 30 frames of 32 x 32, 0.125 s apart,
numbers as in the code of its replication, Balsells Rodas et al., "[Re] Hamiltonian Generative Networks" (ReScience C,
2021)), after Greydanus et al., "Hamiltonian Neural Networks" (NeurIPS 2019; the kicks of 0.2, in their published code).
`parameters="drawn"`, `coloured` and `friction` are as Botev et al., "Which priors matter? Benchmarking models for
learning latent dynamics" (NeurIPS 2021) have them for two bodies. Differs: orbits are nearly those of Lagrange's
triangle for any masses and g, in either sense; friction is less (0.05 would soon draw bodies into one another); the
centre of mass stays in the middle; and the picture is as wide as 30 steps need.

Actions: one, 0, which does nothing.

Observations (choose with `sensors`):
    image       the bodies, seen by an orthographic camera: x to the right, z up; with `noise`, where
                they were mismeasured
    depth, ids  metres along the camera's axis, to its far plane; number of the solid, -1 beside them
    pose        of the camera, which stands still: x, y, z, yaw, pitch
    goal        nothing: it has no numbers
    action      1, and 0 at a start
    state       the truth: q1, q2, q3 in m, x before z, then p1, p2, p3 in kg m/s, energy H in J

Reward: always 0; there is no goal.

Start: at the corners of an even triangle, r from its middle, at the speeds at which it would turn as a whole, each
component times 1 + `kick_x` or `kick_z`, less the motion of the whole; radius r, phase and kicks are uniform, the sense
is either.

End: never, but `max_steps` (truncated).

Splits: train; test, fresh starts; and, outside what training can draw: new-energies (radius 1.2 to 1.5), new-gravity
(0.2 to 0.4 m^3/kg s^2), new-masses (all 0.25 to 0.45 kg), new-friction (0.02 to 0.03 kg/s), new-colours (hues
that training lacks).
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from envs import motion
from envs.physics import hamiltonian, orbits
from scenes import factors as fa

STREAMS, FOV, DYNAMICS = motion.STREAMS, motion.FOV, motion.DYNAMICS

KICK = 0.2
"""Largest change of a component of a body's speed, as a part of it (Greydanus et al.)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(motion.Options):
    """Options of the environment and of its streams."""

    radius: tuple[float, float] = (0.9, 1.2)
    """Ends of the factor `radius`: the distance of the bodies from their middle at a start, in metres."""
    max_steps: int = 48
    """Time limit of an episode; Toth et al. show 30 steps, in which no body leaves the picture. Later some do."""


def start(factors: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Positions and momenta at a start, b 6 each."""
    mass = factors["mass"][..., None]
    q, v = orbits.circular(factors["mass"], factors["gravity"], factors["radius"], factors["phase"], factors["sense"])
    v *= 1 + np.stack([factors["kick_x"], factors["kick_z"]], -1)
    v -= (mass * v).sum(1, keepdims=True) / mass.sum(1, keepdims=True)
    return orbits.rows(q), orbits.rows(v * mass)


def places(q: np.ndarray, factors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Where the bodies are: x, z, b 3 2."""
    return q.reshape(-1, 3, 2)


SYSTEM = motion.System(
    law=hamiltonian.BODIES,
    n=3,
    d=6,
    friction=motion.LITTLE,
    constant="gravity",
    ranges={
        "gravity": motion.Range(fixed=1.0, drawn=(0.5, 1.5), new=((0.2, 0.4),)),
        "mass": motion.Range(fixed=1.0, drawn=(0.5, 1.5), new=((0.25, 0.45),)),
    },
    scene=fa.box(phase=fa.Interval(0.0, 2 * math.pi), sense=fa.Finite((-1, 1))),
    each=fa.box(kick_x=fa.Interval(-KICK, KICK), kick_z=fa.Interval(-KICK, KICK)),
    start=start,
    places=places,
    reach=lambda radius, light, heavy: 2.0 * radius,
)


def splits(config: Config) -> Mapping[str, fa.Split]:
    """The factor distributions by name."""
    return motion.splits(SYSTEM, config)


def extent(config: Config) -> float:
    """Side in metres of the square that the camera sees, which holds everything."""
    return motion.extent(SYSTEM, config)


World = motion.world(SYSTEM, __name__)
