"""Bodies on a table and a rod that pushes them, in either of two simulators: `mujoco`, `bullet`.

A module has one class, `Table`, which holds `n` tables of up to `k` bodies and has the same names in both:

    furnish(rows, bodies)                     what lies on tables `rows`
    run(rows, qpos, qvel, times) -> both      where everything is `times` timesteps later, b d
    lost(), close()                           which of them are lost, with the process that they were in; the end

Positions and velocities are MuJoCo's: of the rod x, y; then of each body x, y, z and a unit quaternion (w, x, y, z), and
velocities along the world's axes, turning about the body's own. Bodies that are not there are `PARKED`.

Why `run` is given everything: a simulator that keeps something to itself (forces to start its solver from, points of
contact) makes a state that is read and put back go on otherwise than it would have. Here both begin every run without, so
what follows is a function of bodies, positions and velocities, in any company, order and process.

The rod goes at a velocity, whatever stands in its way: it has no motor of its own to differ between simulators. Sizes,
masses, inertias, friction and timestep are the same in both. What is not, is how they solve contacts: MuJoCo's are soft and
hold by a cone of friction, Bullet's are hard and solved one after another.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float64, Int

import scenes

TIMESTEP = 0.005
"""Seconds."""
GRAVITY = 9.81
ROD_RADIUS, ROD_HALF, ROD_CLEAR = 0.012, 0.05, 0.006
"""Of the rod, a capsule that stands: radius, half length of its straight part, and how far above the table it hovers."""
ROD_MASS = 50.0
"""In kg: so much more than any body that nothing stops it."""
ROLLING, SPINNING = 0.005, 0.005
"""Friction against rolling and spinning, in metres, as multiples of that against sliding."""
PARKED = (0.0, 0.0, -9.0)
"""Where bodies are that are not there, each two metres from the one before along x."""
_KINDS = ("box", "sphere", "capsule", "cylinder")


@dataclasses.dataclass(frozen=True, eq=False)
class Bodies:
    """What lies on `b` tables."""

    there: Bool[np.ndarray, "b k"]
    kind: Int[np.ndarray, "b k"]
    """Index into `scenes.KINDS`: box, sphere, capsule or cylinder."""
    size: Float64[np.ndarray, "b k 3"]
    density: Float64[np.ndarray, "b k"]
    """In kg per cubic metre."""
    friction: Float64[np.ndarray, " b"]
    """Against sliding, of everything on everything."""

    def __post_init__(self):
        for index in np.unique(self.kind[self.there]):
            assert scenes.KINDS[index] in _KINDS

    def __len__(self) -> int:
        return len(self.friction)

    def inertia(self) -> tuple[Float64[np.ndarray, "b k"], Float64[np.ndarray, "b k 3"]]:
        """Masses in kg, and principal moments about the solids' own axes."""
        a, b, c = np.moveaxis(self.size, -1, 0)
        box, sphere, capsule, cylinder = (self.kind == scenes.KINDS.index(name) for name in _KINDS)
        ball, tube = 4 / 3 * np.pi * a**3, 2 * np.pi * a**2 * b
        volume = np.select([box, sphere, capsule, cylinder], [8 * a * b * c, ball, ball + tube, tube])
        mass = self.density * volume
        ends = self.density * ball * capsule
        middle = mass - ends
        along = np.where(sphere, mass * 0.4 * a**2, middle * a**2 / 2 + ends * 0.4 * a**2)
        # Two half balls, each with its own centre of mass 3/8 of a radius beyond the tube.
        across = middle * (3 * a**2 + 4 * b**2) / 12 + ends * (0.4 * a**2 + b**2 + 0.75 * a * b)
        across = np.where(sphere, along, across)
        cuboid = mass[..., None] / 3 * np.stack([b**2 + c**2, a**2 + c**2, a**2 + b**2], -1)
        return mass, np.where(box[..., None], cuboid, np.stack([across, across, along], -1))


def parked(k: int) -> Float64[np.ndarray, "{k} 7"]:
    """Poses of bodies that are not there."""
    out = np.zeros((k, 7))
    out[:, :3] = PARKED
    out[:, 0] = 2.0 * np.arange(k)
    out[:, 3] = 1
    return out


def poses(qpos: Float64[np.ndarray, "b q"]) -> Float64[np.ndarray, "b k 7"]:
    """Of the bodies, out of positions; a view."""
    return qpos[:, 2:].reshape(len(qpos), -1, 7)


def velocities(qvel: Float64[np.ndarray, "b v"]) -> Float64[np.ndarray, "b k 6"]:
    """Of the bodies, out of velocities; a view."""
    return qvel[:, 2:].reshape(len(qvel), -1, 6)
