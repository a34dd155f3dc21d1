"""What the report shows of `efficiency`: learning curves, and the price of reaching a threshold."""

import math

import numpy as np

from evaluation import Measurement
from evaluation.page import cells, drawings, elements
from evaluation.stats import intervals


def body(rows: list[Measurement]) -> str:
    """Learning curves of one section, and what it took each encoder to reach the threshold."""
    names = cells.methods(rows)
    lines = []
    for name in names:
        own = cells.pick(rows, metric="return", learner=name)
        # A mark is drawn where every run has one, so that a band never changes whom it is about.
        n_runs = len(cells.groups(own, "encoder_seed", "seed", "policy_hash"))
        marks = sorted(at for at, part in cells.groups(own, "env_steps").items() if len(part) == n_runs)
        values = [cells.scores(own, list(at), "env_steps") for at in marks]
        lines.append(drawings.Curve(name, [at for (at,) in marks], [intervals.bootstrap([v]) for v in values]))
    parts = [
        elements.paragraph("Return of training episodes, interquartile mean and 95 % interval over seeds.", faint=True)
    ]
    parts.append(drawings.curves(lines, "environment steps", "return"))
    body = []
    for name in names:
        own = cells.pick(rows, learner=name)
        frames = max(row.pretraining_frames for row in own)
        line = [elements.words(name), elements.cell(_interval(own, "mean return"))]
        line += [elements.cell(_interval(own, "normalised")), elements.words(f"{frames:,}")]
        reached = cells.pick(own, metric="reached")
        line.append(elements.words(f"{sum(r.value for r in reached):.0f} of {len(reached)}"))
        for metric in ("steps to threshold", "steps and frames to threshold"):
            line.append(elements.words(median(cells.pick(own, metric=metric), len(reached))))
        line.append(elements.words(speed(own)))
        body.append(line)
    heads = ["encoder", ("mean return", "over all of training"), ("normalised score", "at the end of training")]
    heads += [("pretraining frames", "images, charged once")]
    heads += [
        (
            "runs that reached",
            " / ".join(cells.distinct(cells.pick(rows, metric="reached"), "item")) or "the threshold",
        ),
        ("environment steps to it", "median over all runs"),
    ]
    heads += [("with pretraining frames", "median over all runs"), ("steps per second", "of training, all included")]
    return "".join([*parts, elements.table(heads, body)])


def text(rows: list[Measurement]) -> str:
    """The same table for a terminal, without the curves."""
    players = {row.learner: row.value for row in rows if not row.agent}
    lines = []
    for name in cells.methods(rows):
        own = cells.pick(rows, learner=name)
        first, reached = own[0], cells.pick(own, metric="reached")
        steps = max(row.env_steps for row in own)
        said = f"{first.env}, {first.agent} from {name}, {steps:,} steps at {speed(own)}/s: "
        score = _interval(own, "normalised")
        if score is None:
            why = (
                "has no scripted player" if "scripted" not in players else "has a scripted player no better than chance"
            )
            why = f"{first.env} {why}" if len(players) < 2 else "there is no scale or too few steps for whole episodes"
            lines.append(f"{said}mean return {_told(_interval(own, 'mean return'))}; no score, since {why}")
            continue
        took = median(cells.pick(own, metric="steps to threshold"), len(reached))
        lines.append(
            f"{said}normalised score {_told(score)} (random {players['random']:.3g}, scripted {players['scripted']:.3g}); "
            f"{reached[0].item} reached by {sum(r.value for r in reached):.0f} of {len(reached)}, median steps {took}"
        )
    return "\n".join(lines)


def speed(rows: list[Measurement]) -> str:
    """Median of the runs' steps per second."""
    known = [row.value for row in cells.pick(rows, metric="steps per second")]
    return f"{np.median(known):,.0f}" if known else "\N{EN DASH}"


def _told(found: intervals.Interval) -> str:
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}], {found.n_runs} seeds"


def _interval(rows: list[Measurement], metric: str) -> intervals.Interval | None:
    return cells.interval(cells.pick(rows, metric=metric), [metric], "metric")


def median(rows: list[Measurement], n_runs: int) -> str:
    """Median over all runs, those that never reached it counting as longer than any: no run is quietly dropped."""
    values = sorted(row.value for row in rows) + [math.inf] * (n_runs - len(rows))
    if not values:
        return "\u2013"
    low, high = values[(n_runs - 1) // 2], values[n_runs // 2]
    return "not reached" if math.isinf(high) else elements.number((low + high) / 2)
