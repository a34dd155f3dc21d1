"""Whether one method is better than another, and on what scale."""

import numpy as np

from evaluation.stats import aggregates
from evaluation.stats.intervals import Interval


def probability_of_improvement(ours: np.ndarray | list, theirs: np.ndarray | list) -> float:
    """How often a run of ours beats a run of theirs, ties counting half: the Mann-Whitney U over the number of pairs.

    Args:
        ours: Finite scores, one a run (n >= 1).
        theirs: Likewise; the two need not be equally many.

    Returns:
        In [0, 1]; 0.5 when neither is better.
    """
    ours, theirs = aggregates.checked(ours).ravel(), np.sort(aggregates.checked(theirs).ravel())
    below = np.searchsorted(theirs, ours, side="left")
    below_or_equal = np.searchsorted(theirs, ours, side="right")
    return float((below + below_or_equal).sum() / (2 * len(ours) * len(theirs)))


def improvement(
    ours: np.ndarray | list, theirs: np.ndarray | list, *, seed: int = 0, n_resamples: int = 2000
) -> Interval:
    """`probability_of_improvement` with its 95 % bootstrap interval, the runs of both resampled independently."""
    value = probability_of_improvement(ours, theirs)
    ours, theirs = np.ravel(ours).astype(np.float64), np.ravel(theirs).astype(np.float64)
    rng = np.random.Generator(np.random.Philox(key=seed))
    a = ours[rng.integers(0, len(ours), (n_resamples, len(ours), 1))]
    b = theirs[rng.integers(0, len(theirs), (n_resamples, 1, len(theirs)))]
    low, high = np.quantile(((a > b) + 0.5 * (a == b)).mean((1, 2)), [0.025, 0.975])
    return Interval(value, float(low), float(high), min(len(ours), len(theirs)))


def normalised(score: float, random: float, scripted: float) -> float | None:
    """(score - random) / (scripted - random): 0 is chance, 1 the scripted player, which knows the true state.

    None where the scripted player is no better than chance: there is no scale then, and none is invented.
    """
    span = scripted - random
    if not span > 1e-9 * max(1.0, abs(scripted), abs(random)):
        return None
    return (score - random) / span
