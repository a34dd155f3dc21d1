"""From rows to the numbers of a table: who was compared, on what, and the interval of each cell."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

import agents
from evaluation import Measurement
from evaluation.stats import intervals
from evaluation.stats.intervals import Interval


def pick(rows: Iterable[Measurement], **wanted: object) -> list[Measurement]:
    """The rows whose fields have the given values."""
    return [row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]


def groups(rows: Iterable[Measurement], *fields: str) -> dict[tuple, list[Measurement]]:
    """Rows by the values of some fields, in order of first appearance."""
    found: dict[tuple, list[Measurement]] = {}
    for row in rows:
        found.setdefault(tuple(getattr(row, name) for name in fields), []).append(row)
    return found


def distinct(rows: Iterable[Measurement], field: str) -> list:
    """The values of a field, in order of first appearance."""
    return list(dict.fromkeys(getattr(row, field) for row in rows))


def methods(rows: Iterable[Measurement]) -> list[str]:
    """What is compared: the learners among the rows, without the players that set the scale."""
    return [name for name in distinct(rows, "learner") if name not in agents.PLAYERS]


def exposure(rows: Iterable[Measurement]) -> str:
    """What a test was to those tested, in words: its tier and the factors that set it apart.

    Encoders may differ in what they saw; where they do, all is said.
    """
    told = groups(rows, "tier", "apart")
    return " / ".join(f"{tier}: {', '.join(apart)}" if apart else tier for tier, apart in told)


def scores(rows: Iterable[Measurement], columns: Sequence, field: str = "test_split") -> intervals.Runs:
    """A table of runs by cells, shape runs columns, of those runs that have every cell, and who shares an encoder.

    Args:
        rows: Of one metric and one learner. A run is a policy (or a readout): its seeds and hashes.
        columns: The values of `field` wanted, in order.
        field: What tells the cells apart.
    """
    runs = groups(rows, "encoder_seed", "seed", "encoder_hash", "policy_hash")
    tables = {run: {getattr(row, field): row.value for row in rows} for run, rows in runs.items()}
    complete = {run: [t[c] for c in columns] for run, t in tables.items() if all(c in t for c in columns)}
    # Without an encoder nothing is shared: then every run counts as if it had its own.
    shared = [(run[0], run[2]) if run[2] else run for run in complete]
    numbers = {encoder: number for number, encoder in enumerate(dict.fromkeys(shared))}
    values = np.array([*complete.values()], np.float64).reshape(len(complete), len(columns))
    return intervals.Runs(values, np.array([numbers[encoder] for encoder in shared], np.int64))


def interval(rows: Iterable[Measurement], columns: Sequence, field: str = "test_split") -> Interval | None:
    """Interquartile mean over runs and cells with its interval; None where no run has every cell."""
    table = scores(rows, columns, field)
    return intervals.bootstrap([table]) if table.scores.size else None


def derived(
    rows: Iterable[Measurement], columns: Sequence, statistic: Callable[[np.ndarray], np.ndarray]
) -> Interval | None:
    """Interval of a statistic of tables, shape ... runs columns to ...; None where no run has every cell."""
    table = scores(rows, columns)
    return intervals.paired_bootstrap(table, statistic) if table.scores.size else None
