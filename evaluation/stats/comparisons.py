"""Whether one method is better than another, and on what scale."""

import numpy as np

from evaluation.stats import aggregates


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


def normalised(score: float, random: float, scripted: float) -> float | None:
    """(score - random) / (scripted - random): 0 is chance, 1 the scripted player, which knows the true state.

    None where the scripted player is no better than chance: there is no scale then, and none is invented.
    """
    span = scripted - random
    if not span > 1e-9 * max(1.0, abs(scripted), abs(random)):
        return None
    return (score - random) / span
