"""Where the numbers come from: what was measured, with the hashes that find it again."""

from evaluation import Measurement, page
from evaluation.page import cells, elements


def section(rows: list[Measurement]) -> page.Section:
    """A table of the encoders and policies behind the rows."""
    body = []
    fields = ("env", "learner", "agent", "sensors", "encoder_split", "pretraining_frames", "scenes_hash")
    for key, part in cells.groups(rows, *fields).items():
        env, learner, agent, sensors, split, frames, scenes_hash = key
        encoders = sorted({row.encoder_hash for row in part} - {""})
        shown = (
            learner,
            env,
            agent or "\u2013",
            ", ".join(sensors) or "\u2013",
            split or "\u2013",
            f"{frames:,}",
            len({(row.encoder_seed, row.seed, row.policy_hash) for row in part}),
            scenes_hash,
            ", ".join(encoders[:3]) + (f" and {len(encoders) - 3} more" if len(encoders) > 3 else "") or "\u2013",
        )
        body.append([elements.words(value) for value in shown])
    heads = ["made by", "environment", "agent", "sensors read", "encoder trained on", "pretraining frames", "runs"]
    heads += ["environment's hash", "encoders' hashes"]
    note = "Every row of measurements.jsonl carries the hashes of its scenes, split, encoder, policy and options."
    return page.Section(
        "Where the numbers come from", elements.paragraph(note, faint=True) + elements.table(heads, body)
    )
