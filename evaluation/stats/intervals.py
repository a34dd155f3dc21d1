"""How far a number may be trusted: percentile intervals of the stratified bootstrap."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from evaluation.stats import aggregates
from scenes.kit import errors

Statistic = Callable[[np.ndarray], np.ndarray | np.float64]
"""Scores, shape ... n, to one number each, shape ..., vectorised over the leading axes."""

_BLOCK = 4_000_000
"""Numbers resampled at once, at most: 32 MB of float64, whatever the size of a study."""


@dataclasses.dataclass(frozen=True)
class Interval:
    """A number and the range that holds the central `confidence` of its bootstrap distribution."""

    value: float
    low: float
    high: float
    n_runs: int
    """Runs behind it. With one run there is nothing to resample: low and high equal the value, and that is no
    certainty."""


def bootstrap(
    strata: Sequence[np.ndarray],
    statistic: Statistic = aggregates.iqm,
    *,
    seed: int = 0,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval of a statistic of all scores, resampling runs within each stratum.

    Args:
        strata: Tables of finite scores, shape runs cells (or just runs). Runs are drawn with replacement within their
            table and keep their cells together, since what one policy scores on two splits is not independent.
        statistic: Of all resampled scores thrown together.
        seed: Of the resampling: same rows, same interval.
        n_resamples: How often.
        confidence: Central mass of the interval.

    Raises:
        CaveError: an empty table, scores that are not finite, or a confidence outside (0, 1).
    """
    if not 0 < confidence < 1 or n_resamples < 1:
        raise errors.CaveError(f"confidence {confidence} and {n_resamples} resamples: wanted 0 < confidence < 1, >= 1")
    tables = [_table(s) for s in strata]
    if not tables:
        raise errors.CaveError("no scores to aggregate: at least one run is needed")
    value = float(statistic(np.concatenate([t.ravel() for t in tables])))
    draws = np.concatenate(list(_resampled(tables, statistic, seed, n_resamples)))
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high), sum(len(t) for t in tables))


def paired_bootstrap(
    table: np.ndarray,
    statistic: Statistic,
    *,
    seed: int = 0,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval of a statistic that needs to know which cell is which, such as a ratio of two columns.

    Args:
        table: Finite scores, shape runs cells.
        statistic: Of resampled tables, shape ... runs cells, to shape ... .
        seed: Of the resampling.
        n_resamples: How often.
        confidence: Central mass of the interval.
    """
    table = _table(table)
    rng = np.random.Generator(np.random.Philox(key=seed))
    rows = rng.integers(0, len(table), (n_resamples, len(table)))
    draws = statistic(table[rows])
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(statistic(table)), float(low), float(high), len(table))


def _table(scores: np.ndarray) -> np.ndarray:
    scores = aggregates.checked(scores)
    return scores.reshape(len(scores), -1)


def _resampled(tables: list[np.ndarray], statistic: Statistic, seed: int, n_resamples: int):
    # A generator per stratum: adding a stratum never changes how the others are drawn.
    rngs = [np.random.Generator(np.random.Philox(key=seed + (i << 64))) for i in range(len(tables))]
    block = max(1, _BLOCK // sum(t.size for t in tables))
    for start in range(0, n_resamples, block):
        n = min(block, n_resamples - start)
        drawn = [t[rng.integers(0, len(t), (n, len(t)))].reshape(n, -1) for t, rng in zip(tables, rngs)]
        yield statistic(np.concatenate(drawn, axis=1))
