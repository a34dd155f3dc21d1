"""Objects placed one after another, each at the first of its candidates that fits those before."""

from collections.abc import Callable, Mapping

import numpy as np

from scenes.kit import errors

Fits = Callable[[Mapping[str, np.ndarray], Mapping[str, np.ndarray]], np.ndarray]
"""Whether two objects may share a scene: factors in, bool array out, broadcasting; symmetric."""
Offer = Callable[[np.ndarray, int, int, int], dict[str, np.ndarray]]
"""Candidates for one object: (rows, which object, how many candidates, stream) -> factors of shape (rows, candidates). Any
two calls of one scene have different streams, counted from 1."""
_ATTEMPTS, _ROUNDS = 50, 8
"""How often a scene is begun anew, and how often an object is offered more candidates, before giving up."""


def place(placed: dict[str, np.ndarray], n: np.ndarray, offer: Offer, fits: Fits | None) -> None:
    """Fill the first `n` (b,) columns of each row of `placed`; a scene in which an object found no place starts again.

    Raises:
        errors.CaveError: a scene found no way to hold its objects.
    """
    pending = np.flatnonzero(n > 0)
    for attempt in range(_ATTEMPTS):
        pending = _pass(placed, pending, n, offer, fits, attempt)
        if not len(pending):
            return
    raise errors.CaveError(
        f"found no way to place {n[pending].max()} objects in one scene in {_ATTEMPTS} attempts: "
        "ask for fewer objects or smaller gaps between them"
    )


def _pass(placed, rows, n, offer, fits, attempt) -> np.ndarray:
    """Fill some rows of `placed`; return those in which an object found no place."""
    failed = []
    for j in range(int(n[rows].max(initial=0))):
        need = rows[n[rows] > j]
        for turn in range(_ROUNDS):
            if not len(need):
                break
            count = 1 if j == 0 or fits is None else 12 if turn else 4
            offered = offer(need, j, count, 1 + (j * _ROUNDS + turn) * _ATTEMPTS + attempt)
            earlier = {name: values[need, None, :j] for name, values in placed.items()}
            if count == 1:
                good = np.ones((len(need), 1), bool)
            else:
                good = fits({name: v[:, :, None] for name, v in offered.items()}, earlier).all(-1)
            first = good.argmax(1)
            found = np.flatnonzero(good[np.arange(len(need)), first])
            for name, values in offered.items():
                placed[name][need[found], j] = values[found, first[found]]
            need = np.delete(need, found)
        failed.append(need)
        rows = np.setdiff1d(rows, need, assume_unique=True) if len(need) else rows
    return np.concatenate(failed) if failed else rows[:0]


def fitting(objects: Mapping[str, np.ndarray], real: np.ndarray, fits: Fits | None) -> np.ndarray:
    """In which rows all objects that are `real` (b, k) fit one another."""
    inside = np.ones(len(real), bool)
    for j in range(1, real.shape[1] if fits is not None else 0):
        one = {name: values[:, j, None] for name, values in objects.items()}
        earlier = {name: values[:, :j] for name, values in objects.items()}
        inside &= (fits(one, earlier) | ~real[:, j, None]).all(1)
    return inside
