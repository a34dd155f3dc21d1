"""What the report shows of `probe`: scores of factors by encoder, on every split."""

import numpy as np

from evaluation import Measurement
from evaluation.page import cells, elements
from evaluation.stats import intervals

_LEAD = (
    "How much of each true factor a linear readout of the code tells on scenes it was not fitted on: 0 is a constant, "
    "1 the truth, below 0 worse than a constant. R2 for numbers, (accuracy - chance) / (1 - chance) for classes. Fit "
    "on train. Interquartile means over readout seeds (fresh scenes to fit, choose and test) with 95 % bootstrap "
    "intervals. The seen object is the one whose pixel is nearest the picture's centre. What is read is what a policy "
    "is given, without the goal."
)


def body(rows: list[Measurement]) -> str:
    """Means over factors by split, and every factor by encoder on each split."""
    scores = cells.pick(rows, metric="score")
    names, splits = cells.methods(scores), cells.distinct(scores, "test_split")
    parts = [elements.paragraph(_LEAD, faint=True), elements.heading("Mean over factors, by split")]
    body = []
    for split in splits:
        there = cells.pick(scores, test_split=split)
        items = _shared(there, names)
        line = [elements.words(split, f"{cells.exposure(there)}; {len(items)} factors")]
        for name in names:
            table = cells.scores(cells.pick(there, learner=name), items, "item")
            # The mean over factors of each readout first: factors are no runs, and the worst of them count too.
            means = table._replace(scores=table.scores.mean(1, keepdims=True))
            mean = intervals.bootstrap([means]) if table.scores.size else None
            line.append(elements.cell(mean, shade=mean and mean.value))
        body.append(line)
    parts.append(elements.table(["split", *names], body))
    first = "test" if "test" in splits else splits[0]
    for split in sorted(splits, key=lambda s: s != first):
        there = cells.pick(rows, test_split=split)
        title = f"Factors on {split} ({cells.exposure(there)})"
        table = _factors(there, names)
        parts += [elements.heading(title), table] if split == first else [elements.details(title, table)]
    return "".join(parts)


def _factors(rows: list[Measurement], names: list[str]) -> str:
    """A table of factors by encoders on one split; under the scores of classes their accuracy, and chance."""
    body = []
    for item in cells.distinct(rows, "item"):
        there = cells.pick(rows, item=item)
        chance = cells.pick(there, metric="chance")
        line = [elements.words(item, f"chance {_mean(chance):.2f}" if chance else "")]
        for name in names:
            own = cells.pick(there, learner=name)
            got = cells.interval(cells.pick(own, metric="score"), [item], "item")
            accuracy = cells.pick(own, metric="accuracy")
            remark = f"accuracy {_mean(accuracy):.2f}" if accuracy else ""
            line.append(elements.cell(got, remark, shade=got and got.value))
        body.append(line)
    return elements.table(["factor", *names], body)


def _mean(rows: list[Measurement]) -> float:
    return float(np.mean([row.value for row in rows]))


def _shared(rows: list[Measurement], names: list[str]) -> list[str]:
    """Factors that were measured for every encoder: means over different ones could not be compared."""
    per_name = [set(cells.distinct(cells.pick(rows, learner=name), "item")) for name in names]
    return sorted(set.intersection(*per_name)) if per_name else []
