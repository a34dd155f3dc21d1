"""Whether one method is better than another, and on what scale."""

import numpy as np

from evaluation.stats import aggregates, intervals
from evaluation.stats.intervals import Interval, Runs


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


def improvement(ours: Runs, theirs: Runs, *, seed: int = 0, n_resamples: int = 2000) -> Interval:
    """`probability_of_improvement` with its 95 % bootstrap interval; the runs of both (one cell each) are drawn independently."""
    scores = [runs.scores.ravel() for runs in (ours, theirs)]
    value = probability_of_improvement(*scores)
    rng = np.random.Generator(np.random.Philox(key=seed))
    a, b = (x[intervals.draw_rows(y.encoders, rng, n_resamples)] for x, y in zip(scores, (ours, theirs)))
    wins = (a[:, :, None] > b[:, None]) + 0.5 * (a[:, :, None] == b[:, None])
    low, high = np.quantile(wins.mean((1, 2)), [0.025, 0.975])
    return Interval(value, float(low), float(high), min(map(len, scores)))


def normalised(score: float, random: float, scripted: float) -> float | None:
    """(score - random) / (scripted - random): 0 is chance, 1 the scripted player, which knows the true state.

    None where the scripted player is no better than chance: there is no scale then, and none is invented.
    """
    span = scripted - random
    if not span > 1e-9 * max(1.0, abs(scripted), abs(random)):
        return None
    return (score - random) / span
