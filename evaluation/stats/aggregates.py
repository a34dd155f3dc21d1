"""One number from many scores."""

import numpy as np

from scenes.kit import errors


def iqm(scores: np.ndarray | list) -> np.ndarray | np.float64:
    """Interquartile mean: the mean of what is left once the lowest and highest quarter are set aside.

    Steadier than the mean against one broken seed, and wastes less than the median. As `scipy.stats.trim_mean(x,
    0.25)`, floor(n / 4) scores are cut at each end, so with up to three scores it is their mean.

    Args:
        scores: Finite numbers, shape ... n; n >= 1.

    Returns:
        Shape ...: the interquartile mean over the last axis.

    Raises:
        CaveError: there are no scores, or some are not finite.
    """
    scores = checked(scores)
    n = scores.shape[-1]
    cut = n // 4
    return np.sort(scores, axis=-1)[..., cut : n - cut].mean(-1)


def checked(scores: np.ndarray | list) -> np.ndarray:
    """The same scores as float64, or a one-line CaveError when there are none or some are not finite."""
    scores = np.asarray(scores, np.float64)
    if scores.ndim == 0 or scores.size == 0:
        raise errors.CaveError("no scores to aggregate: at least one run is needed")
    if not np.all(np.isfinite(scores)):
        bad = int(np.count_nonzero(~np.isfinite(scores)))
        raise errors.CaveError(f"{bad} of {scores.size} scores are not finite: a statistic of them would mean nothing")
    return scores
