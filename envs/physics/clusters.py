"""How well points of different kinds are kept apart."""

import numpy as np

LARGEST = 10.0
"""The most that a separation counts for: that of kinds which have shrunk to points has no end."""


def separation(place: np.ndarray, kind: np.ndarray, n_kinds: int) -> np.ndarray:
    """How far apart points of different kinds are, for how closely those of one lie together: 1 / D of every row, D being the
    index of Davies and Bouldin, "A cluster separation measure", 1979.

    Args:
        place: b k 2.
        kind: Int b k, -1 for those that do not count. Every row has two kinds at least.
        n_kinds: Kinds that there may be.

    Returns:
        Shape (b,), in [0, `LARGEST`].
    """
    member = (kind[..., None] == np.arange(n_kinds)).astype(np.float64)
    n = member.sum(1)
    middle = np.einsum("bkc,bkd->bcd", member, place) / np.maximum(n, 1)[..., None]
    to_middle = np.linalg.norm(place[:, :, None] - middle[:, None], axis=-1)
    spread = (member * to_middle).sum(1) / np.maximum(n, 1)
    between = np.linalg.norm(middle[:, :, None] - middle[:, None], axis=-1)
    worst = np.zeros_like(n)
    for i in range(1, n.shape[1]):
        # Each kind with the one that lies i further on: all pairs, without a kind and itself.
        other = (np.arange(n.shape[1]) + i) % n.shape[1]
        apart = between[:, np.arange(n.shape[1]), other]
        ratio = (spread + spread[:, other]) / np.maximum(apart, 1e-9)
        # Kinds in one place are not apart, however closely they lie together.
        ratio = np.where(apart < 1e-9, np.inf, ratio)
        worst = np.where((n > 0) & (n[:, other] > 0), np.maximum(worst, ratio), worst)
    index = worst.sum(1) / (n > 0).sum(1)
    return 1 / np.maximum(index, 1 / LARGEST)
