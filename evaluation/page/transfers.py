"""What the report shows of `transfer`: scores by encoder and split, relative to training, and who beats whom."""

import numpy as np

import agents
from evaluation import Measurement
from evaluation.page import cells, drawings, elements
from evaluation.stats import aggregates, comparisons
from scenes.factors import tiers

_AXIS = "normalised score: 0 is the random player, 1 the scripted one"
_NOTES = {
    "normalised": "0 is the random player, 1 the scripted one, on the same episodes. Below a split stands what it is to those "
    "tested, and the factors that set it apart, both derived from the distributions; for pixels, state and untrained "
    "encoders only what the policy saw counts.",
    "success": "Share of episodes in which the task was done.",
}
_LEARNED = 0.1
"""Normalised score on train, at the lower end of its interval, below which a ratio to it would mean nothing."""
_METRICS = {"normalised": "Normalised score", "return": "Raw return", "success": "Rate of success"}


def body(rows: list[Measurement], players: list[Measurement]) -> str:
    """Figure and tables of the policies of one section, and of the players on the same episodes."""
    splits, names = cells.distinct(rows, "test_split"), cells.methods(rows)
    new = [s for s in splits if not {row.tier for row in cells.pick(rows, test_split=s)} & set(tiers.SEEN)]
    lead = "Interquartile means over runs, with bootstrap 95 % intervals: encoders are drawn, then policies on each; "
    lead += (
        f"{rows[0].n_samples} held-out episodes a cell, the same for all; which they are is no part of the intervals. "
    )
    lead += f"Encoder seeds per learner: {_encoder_seeds(rows, names)}. "
    lead += (
        "Intervals say how much policy seeds vary, and encoder seeds only where there are several; every policy on an "
    )
    lead += "untrained encoder has one of its own."
    parts = [elements.paragraph(lead, faint=True)]
    shown = {name: cells.pick(rows, metric="normalised", learner=name) for name in names}
    figure = [(s, [cells.interval(shown[name], [s]) for name in names]) for s in splits]
    parts.append(drawings.points(figure, names, _AXIS))
    for metric, heading in _METRICS.items():
        heads = [("encoder", ""), *((s, cells.exposure(cells.pick(rows, test_split=s))) for s in splits)]
        if new:
            heads.append(("all new splits", "each policy kept whole"))
        body = [_line(name, cells.pick(rows, metric=metric, learner=name), splits, new) for name in names]
        body += [_line(p, cells.pick(players, metric=metric, learner=p), splits, new) for p in agents.PLAYERS]
        parts.append(elements.heading(heading))
        if metric in _NOTES:
            parts.append(elements.paragraph(_NOTES[metric], faint=True))
        parts.append(elements.table(heads, [line for line in body if line]))
    return "".join([*parts, _relative(shown, splits), _duels(shown, new)])


def _encoder_seeds(rows: list[Measurement], names: list[str]) -> str:
    return ", ".join(f"{n} {len(cells.distinct(cells.pick(rows, learner=n), 'encoder_seed'))}" for n in names)


def _line(name: str, rows: list[Measurement], splits: list[str], new: list[str]) -> list[str]:
    if not rows:
        return []
    line = [elements.words(name), *(elements.cell(cells.interval(rows, [s])) for s in splits)]
    return [*line, elements.cell(cells.interval(rows, new))] if new else line


def _relative(shown: dict[str, list[Measurement]], splits: list[str]) -> str:
    if "train" not in splits:
        return ""
    others = [s for s in splits if s != "train"]
    body = []
    for name, rows in shown.items():
        base = cells.interval(rows, ["train"])
        if base is None or base.low < _LEARNED:
            body.append([elements.words(name), *(elements.words("\u2013") for _ in others)])
            continue
        ratio = lambda t: aggregates.iqm(t[..., 0]) / _safe(aggregates.iqm(t[..., 1]))
        body.append([elements.words(name), *(elements.cell(cells.derived(rows, [s, "train"], ratio)) for s in others)])
    note = "Normalised score over that on train, by the same policies; a dash where too little was learned for a ratio."
    heads = ["encoder", *others]
    return elements.heading("Relative to training") + elements.paragraph(note, faint=True) + elements.table(heads, body)


def _safe(value: np.ndarray | np.float64) -> np.ndarray:
    return np.where(np.abs(value) < 1e-9, 1e-9, value)


def _duels(shown: dict[str, list[Measurement]], new: list[str]) -> str:
    tables = {name: cells.scores(rows, new) for name, rows in shown.items()} if new else {}
    tables = {name: t._replace(scores=t.scores.mean(1, keepdims=True)) for name, t in tables.items() if t.scores.size}
    if len(tables) < 2:
        return ""
    body = []
    for name, ours in tables.items():
        line = [elements.words(name)]
        for other, theirs in tables.items():
            line.append(elements.words("") if other == name else elements.cell(comparisons.improvement(ours, theirs)))
        body.append(line)
    note = "How often a policy of the row beats one of the column, by its mean normalised score on the new splits."
    heads = ["encoder", *tables]
    return (
        elements.heading("Probability of improvement")
        + elements.paragraph(note, faint=True)
        + elements.table(heads, body)
    )
