"""How far a number may be trusted: percentile intervals of the stratified bootstrap.

Policies that act through one encoder share its luck. Where a table has several encoders and several policies on each, both
are therefore drawn anew: encoders with replacement, then policies of each with replacement (Davison & Hinkley 1997, Bootstrap
Methods and their Application, section 3.8). Runs drawn as if they were independent would give intervals that are too narrow.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

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


class Runs(NamedTuple):
    """Scores of runs, and which of them share an encoder."""

    scores: Float[np.ndarray, "runs cells"]
    encoders: Int[np.ndarray, " runs"]
    """The number of each run's encoder: equal where it is the same one."""


def bootstrap(
    strata: Sequence[np.ndarray | Runs],
    statistic: Statistic = aggregates.iqm,
    *,
    seed: int = 0,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval of a statistic of all scores, resampling runs within each stratum.

    Args:
        strata: Tables of finite scores, shape runs cells (or just runs), or `Runs`. Runs are drawn with replacement within
            their table and keep their cells together, since what one policy scores on two splits is not independent.
        statistic: Of all resampled scores thrown together.
        seed: Of the resampling: same rows, same interval.
        n_resamples: How often.
        confidence: Central mass of the interval.

    Raises:
        CaveError: an empty table, scores that are not finite, or a confidence outside (0, 1).
    """
    if not 0 < confidence < 1 or n_resamples < 1:
        raise errors.CaveError(f"confidence {confidence} and {n_resamples} resamples: wanted 0 < confidence < 1, >= 1")
    tables = [_runs(s) for s in strata]
    if not tables:
        raise errors.CaveError("no scores to aggregate: at least one run is needed")
    value = float(statistic(np.concatenate([t.scores.ravel() for t in tables])))
    draws = np.concatenate(list(_resampled(tables, statistic, seed, n_resamples)))
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high), sum(len(t.scores) for t in tables))


def paired_bootstrap(
    table: np.ndarray | Runs,
    statistic: Statistic,
    *,
    seed: int = 0,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval of a statistic that needs to know which cell is which, such as a ratio of two columns.

    Args:
        table: Finite scores, shape runs cells, or `Runs`.
        statistic: Of resampled tables, shape ... runs cells, to shape ... .
        seed: Of the resampling.
        n_resamples: How often.
        confidence: Central mass of the interval.
    """
    scores, encoders = _runs(table)
    rows = draw_rows(encoders, np.random.Generator(np.random.Philox(key=seed)), n_resamples)
    draws = statistic(scores[rows])
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(statistic(scores)), float(low), float(high), len(scores))


def draw_rows(encoders: Int[np.ndarray, " runs"], rng: np.random.Generator, n: int) -> Int[np.ndarray, "{n} drawn"]:
    """Numbers of the runs in each of `n` resamples: of runs, or where they share encoders, of those and of runs on each.

    As many are drawn as there are runs, if every encoder has equally many; else as if all had as many as the one with most.
    """
    _, which, sizes = np.unique(encoders, return_inverse=True, return_counts=True)
    if len(sizes) in (1, len(encoders)):
        return rng.integers(0, len(encoders), (n, len(encoders)))
    drawn = rng.random((n, len(sizes), 1 + sizes.max()))
    chosen = (drawn[..., :1] * len(sizes)).astype(np.int64)
    within = (drawn[..., 1:] * sizes[chosen]).astype(np.int64)
    order, starts = np.argsort(which, kind="stable"), np.cumsum(sizes) - sizes
    return order[starts[chosen] + within].reshape(n, -1)


def _runs(scores: np.ndarray | Runs) -> Runs:
    table, encoders = scores if isinstance(scores, Runs) else (scores, None)
    table = aggregates.checked(table)
    table = table.reshape(len(table), -1)
    return Runs(table, np.arange(len(table)) if encoders is None else np.asarray(encoders))


def _resampled(tables: list[Runs], statistic: Statistic, seed: int, n_resamples: int):
    # A generator per stratum: adding a stratum never changes how the others are drawn.
    rngs = [np.random.Generator(np.random.Philox(key=seed + (i << 64))) for i in range(len(tables))]
    block = max(1, _BLOCK // sum(t.scores.size for t in tables))
    for start in range(0, n_resamples, block):
        n = min(block, n_resamples - start)
        drawn = [t.scores[draw_rows(t.encoders, rng, n)].reshape(n, -1) for t, rng in zip(tables, rngs)]
        yield statistic(np.concatenate(drawn, axis=1))
