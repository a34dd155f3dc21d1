"""Chains of equal cubes on a lattice, as Shepard and Metzler drew them: self-avoiding walks, numbered.

A walk of `n` cubes is a number whose n - 1 digits in base 6, the last one first, are its steps: 0 to +x, 1 to -x, 2 to
+y, 3 to -y, 4 to +z, 5 to -z. A number is a plain finite factor, so which walks a split holds is computed exactly; `steps`
and `cells` spell it out.
"""

import functools

import numpy as np
from jaxtyping import Int, Int64

STEPS = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
"""What each digit adds to the place of a cube."""
MOST = 7
"""Most cubes of a chain."""


def steps(walk: Int[np.ndarray, " b"]) -> Int64[np.ndarray, "b 6"]:
    """The digits of walks: one for each step, zeros behind the last."""
    return np.asarray(walk, np.int64)[:, None] // 6 ** np.arange(MOST - 1) % 6


def cells(walk: Int[np.ndarray, " b"]) -> Int64[np.ndarray, "b 7 3"]:
    """Places of cubes on the lattice, the first at the origin; of a walk of `n` cubes, the first `n` are meant."""
    return np.pad(np.cumsum(STEPS[steps(walk)], 1), ((0, 0), (1, 0), (0, 0)))


@functools.cache
def walks(n: int) -> Int64[np.ndarray, " w"]:
    """All self-avoiding walks of `n` cubes (at most `MOST`), rising: 726 of 5, 16,926 of 7."""
    found = np.zeros(1, np.int64)
    for i in range(n - 1):
        found = (found[:, None] + 6**i * np.arange(6)).ravel()
        at = cells(found)[:, : i + 2]
        found = found[(at[:, :-1] != at[:, -1:]).any(-1).all(-1)]
    return np.sort(found)


@functools.cache
def shapes(n: int) -> dict[str, tuple[int, ...]]:
    """The walks of `n` cubes by the box that just holds them, its edges in cubes, longest first: "3x2x1".

    No turn of an object and no other walk through the same cubes changes it, so that an object of a held-out shape is
    never met in another guise. (Mirror images share it; "turned" and "mirrored" are told apart by their walks.)
    """
    edges = np.sort(np.ptp(cells(walks(n))[:, :n], axis=1) + 1, axis=1)[:, ::-1]
    names = np.array(["x".join(map(str, row)) for row in edges.tolist()])
    return {str(name): tuple(walks(n)[names == name].tolist()) for name in np.unique(names)}
