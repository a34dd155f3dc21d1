"""Two bodies go around one another, and the rest is watching.

    python -m learners.train beta_vae --env two_body

Description: two bodies in a plane that attract one another: H = |p1|^2 / 2 m1 + |p2|^2 / 2 m2 - g m1 m2 / |q1 - q2|.
Only the bodies are drawn, even discs whose areas are their masses. The system is that of Toth et al., "Hamiltonian
Generative Networks" (ICLR 2020; m = 1, g = 1, radius 0.5 to 1.5, 30 frames of 32 x 32, 0.125 s apart, numbers as in the
code of its replication, Balsells Rodas et al., "[Re] Hamiltonian Generative Networks" (ReScience C, 2021)), after
Greydanus et al., "Hamiltonian Neural Networks" (NeurIPS 2019; the kick of 0.05, in their published code), and, with
`parameters="drawn"`, `coloured` and `friction`, that of Botev et al., "Which priors matter? Benchmarking models for
learning latent dynamics" (NeurIPS 2021; TWO_BODY_COLORS of their published suite: m and g 0.5 to 1.5). Differs: orbits
are nearly circular for any masses and g (theirs for equal ones), in either sense; friction is less (0.05 would soon
draw bodies into one another); `kick` is uniform, of the normal one's standard deviation; hues are drawn from all that
training allows instead of from six; and the picture is as wide as its splits need.

Actions: one, 0, which does nothing.

Observations (choose with `sensors`):
    image       the bodies, seen by an orthographic camera: x to the right, z up; with `noise`, where
                they were mismeasured
    depth, ids  metres along the camera's axis, to its far plane; number of the solid, -1 beside them
    pose        of the camera, which stands still: x, y, z, yaw, pitch
    goal        nothing: it has no numbers
    action      1, and 0 at a start
    state       the truth: q1, q2 in m, x before z, then p1, p2 in kg m/s, energy H in J

Reward: always 0; there is no goal.

Start: opposite one another, 2 r apart, around their centre of mass in the middle of the picture, at the speed of a
circular orbit times 1 + `kick`; the radius r, the phase and the kick are uniform, the sense of turning is either.

End: never, but `max_steps` (truncated).

Splits: train; test, fresh starts; and, outside what training can draw: new-energies (radius 1.5 to 1.875), new-gravity
(0.2 to 0.4 and 1.6 to 2.5 m^3/kg s^2), new-masses (both 1.6 to 2 kg), new-friction (0.02 to 0.03 kg/s), new-colours (hues
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

KICK = 0.05 * math.sqrt(3)
"""Largest change of the circular orbit's speed, as a part of it: uniform, of the standard deviation in Greydanus et al."""
_APOAPSIS = (1 + KICK) ** 2 / (2 - (1 + KICK) ** 2)
"""Largest distance of an orbit that begins so fast, as a multiple of where it began."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(motion.Options):
    """Options of the environment and of its streams."""

    radius: tuple[float, float] = (0.5, 1.5)
    """Ends of the factor `radius`: half the distance of the bodies at a start, in metres."""


def start(factors: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Positions and momenta at a start, b 4 each."""
    q, v = orbits.circular(factors["mass"], factors["gravity"], factors["radius"], factors["phase"], factors["sense"])
    v *= 1 + factors["kick"][:, None, None]
    return orbits.rows(q), orbits.rows(v * factors["mass"][..., None])


def places(q: np.ndarray, factors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Where the bodies are: x, z, b 2 2."""
    return q.reshape(-1, 2, 2)


SYSTEM = motion.System(
    law=hamiltonian.BODIES,
    n=2,
    d=4,
    friction=motion.LITTLE,
    constant="gravity",
    ranges={
        "gravity": motion.Range(fixed=1.0, drawn=(0.5, 1.5), new=((0.2, 0.4), (1.6, 2.5))),
        "mass": motion.Range(fixed=1.0, drawn=(0.5, 1.5), new=((1.6, 2.0),)),
    },
    scene=fa.box(phase=fa.Interval(0.0, 2 * math.pi), kick=fa.Interval(-KICK, KICK), sense=fa.Finite((-1, 1))),
    start=start,
    places=places,
    reach=lambda radius, light, heavy: 2 * radius * _APOAPSIS * heavy / (light + heavy),
)


def splits(config: Config) -> Mapping[str, fa.Split]:
    """The factor distributions by name."""
    return motion.splits(SYSTEM, config)


def extent(config: Config) -> float:
    """Side in metres of the square that the camera sees, which holds everything."""
    return motion.extent(SYSTEM, config)


World = motion.world(SYSTEM, __name__)
