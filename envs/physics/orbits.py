"""Bodies that attract one another and turn as a whole: two opposite one another, or three in Lagrange's triangle."""

import math

import numpy as np
from jaxtyping import Float64, Int64


def circular(
    mass: Float64[np.ndarray, "b n"],
    gravity: Float64[np.ndarray, " b"],
    radius: Float64[np.ndarray, " b"],
    phase: Float64[np.ndarray, " b"],
    sense: Int64[np.ndarray, " b"],
) -> tuple[Float64[np.ndarray, "b n 2"], Float64[np.ndarray, "b n 2"]]:
    """Places and velocities of `n` = 2 or 3 bodies on circles around their centre of mass, which rests at the origin.

    All distances being one s, every body is drawn to the centre of mass by its distance times g M / s^3, whatever the
    masses are: so all turn together at the root of that (Lagrange, 1772).

    Args:
        mass: Of the bodies.
        gravity: Newton's constant g.
        radius: Of the circle through the bodies.
        phase: Where on it the first one is.
        sense: 1 turns counter-clockwise, -1 clockwise.
    """
    n = mass.shape[1]
    angle = phase[:, None] + 2 * math.pi / n * np.arange(n)
    q = radius[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    whole = mass.sum(1)
    q -= (mass[..., None] * q).sum(1, keepdims=True) / whole[:, None, None]
    turn = sense * np.sqrt(gravity * whole / (2 * radius * math.sin(math.pi / n)) ** 3)
    return q, turn[:, None, None] * np.stack([-q[..., 1], q[..., 0]], -1)


def rows(pairs: Float64[np.ndarray, "b n 2"]) -> Float64[np.ndarray, "b d"]:
    """Pairs of numbers as one row a world: x, z of the first body, x, z of the second, and so on."""
    return np.ascontiguousarray(pairs.reshape(len(pairs), -1))
