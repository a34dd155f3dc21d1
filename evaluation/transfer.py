"""Zero-shot transfer: one policy, never trained further, on every split of its environment.

Every player, the random and the scripted one too, meets the same held-out episodes: their seeds are derived by name,
far from any seed that training uses. Beside the raw return and the rate of success stands the normalised score,
(return - random) / (scripted - random) on the same split, so that a split that is merely harder is not mistaken for one
that does not transfer; and the score relative to that on `train`, with the same policy's luck on both sides.

Each split is labelled by who had seen what: in distribution, new to the policy, or new to the encoder too
(Traeuble et al., "The Role of Pretrained Representations for the OOD Generalization of RL Agents", ICLR 2022,
https://arxiv.org/abs/2107.05686). No checkpoint is ever chosen by its score here: the last one is measured.

    python -m evaluation.run transfer --env rooms --encoders gqn beta_vae untrained:gqn pixels state --seeds 5
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

import agents
import envs
import evaluation
from evaluation import Measurement, Subject, page
from evaluation.page import cells, drawings, elements
from evaluation.stats import aggregates, comparisons
from evaluation.studies import exposure, facts, study
from scenes.kit import seeds

NAME = "transfer"
N_WORLDS = 128
"""Episodes played at once; changes the time taken, and nothing about which scenes are met."""
_AXIS = "normalised score: 0 is the random player, 1 the scripted one"
_NOTES = {
    "normalised": "0 is the random player, 1 the scripted one, on the same episodes. A split is new to the encoder too "
    "where the encoder was trained beforehand and not on it; for pixels, state and untrained encoders only the policy "
    "counts.",
    "success": "Share of episodes in which the task was done.",
}
_METRICS = {"normalised": "Normalised score", "return": "Raw return", "success": "Rate of success"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.Study):
    """Options of the study and of the protocol."""

    episodes: int = 256
    """Held-out episodes on each split; the same for every player."""
    splits: tuple[str, ...] = ()
    """Which splits; none named: all of the environment's."""
    deterministic: bool = False
    """Whether policies take their likeliest action; otherwise they draw, as they did when they learned."""

    @classmethod
    def tiny(cls) -> "Config":
        """For tests."""
        return cls(seeds=1, size="tiny", learner_steps=2, held_out=8, env_steps=64, n_worlds=4, episodes=4)


def subjects(config: Config, agent_config: Any, env_config: Any) -> list[Subject]:
    """Both players, and a policy of every seed on every encoder."""
    return study.players(config, env_config) + study.policies(config, agent_config, env_config)


def measure(config: Config, subject: Subject, known: Iterable[Measurement]) -> Iterator[Measurement]:
    """Return, success, length and normalised score of one policy or player on every split.

    Args:
        config: Options.
        subject: With a `policy`; or a player, its `learner` being `random` or `scripted`.
        known: Rows measured before; those of both players on the same episodes set the scale of the normalised score,
            which is left out where the scripted player is no better than the random one.
    """
    splits = envs.module(subject.env).splits(subject.env_config)
    about = facts.of(subject) | {"options_hash": study.options_hash(config)}
    scale = {(row.learner, row.test_split): row.value for row in known if _sets_scale(row, about)}
    player = agents.load_policy(subject.policy) if subject.policy else subject.learner
    for name in config.splits or splits:
        played = agents.rollout(
            player,
            name,
            config.episodes,
            seeds.derive(0, "evaluation", NAME) >> 1,
            env=(subject.env, subject.env_config),
            n_worlds=N_WORLDS,
            deterministic=config.deterministic,
        )
        common = about | {
            "test_split": name,
            "split_hash": exposure.split_hash(splits[name]),
            "n_samples": config.episodes,
        }
        if subject.policy:
            common["seen"] = exposure.seen(splits, about["encoder_split"], about["policy_split"], name)
        score = float(played["return"].mean())
        values = {"return": score, "success": played["success"].mean(), "length": played["length"].mean()}
        if ("random", name) in scale and ("scripted", name) in scale:
            ends = scale["random", name], scale["scripted", name]
            values["normalised"] = comparisons.normalised(score, *ends)
        for metric, value in values.items():
            if value is not None:
                yield Measurement(protocol=NAME, metric=metric, value=float(value), **common)


def _sets_scale(row: Measurement, about: dict) -> bool:
    same = all(getattr(row, name) == about[name] for name in ("env", "scenes_hash", "options_hash"))
    return same and row.protocol == NAME and row.metric == "return" and row.learner in agents.PLAYERS


def sections(rows: list[Measurement]) -> list[page.Section]:
    """Tables of each metric by encoder and split, a figure, and how often one encoder beats another."""
    rows = cells.pick(rows, protocol=NAME)
    found = cells.groups(rows, "env", "scenes_hash", "options_hash", "agent", "policy_split", "env_steps")
    sections = []
    for (env, scenes_hash, options_hash, agent, policy_split, env_steps), part in found.items():
        if agent:
            players = cells.pick(rows, env=env, scenes_hash=scenes_hash, options_hash=options_hash, agent="")
            title = f"Transfer: {agent} on {env}, trained on {policy_split} for {env_steps:,} steps"
            sections.append(page.Section(title, _body(part, players, part[0].n_samples)))
    return sections


def _body(rows: list[Measurement], players: list[Measurement], n_samples: int) -> str:
    splits, names = cells.distinct(rows, "test_split"), cells.methods(rows)
    new = [s for s in splits if cells.pick(rows, test_split=s)[0].seen != evaluation.IN_DISTRIBUTION]
    lead = "Interquartile means over policy seeds, with stratified bootstrap 95 % intervals; "
    lead += f"{n_samples} held-out episodes a cell. Encoder seeds per learner: {_encoder_seeds(rows, names)}. "
    lead += "Intervals say how much policy seeds vary, and encoder seeds only where there are several."
    parts = [elements.paragraph(lead, faint=True)]
    shown = {name: cells.pick(rows, metric="normalised", learner=name) for name in names}
    figure = [(s, [cells.interval(shown[name], [s]) for name in names]) for s in splits]
    parts.append(drawings.points(figure, names, _AXIS))
    for metric, heading in _METRICS.items():
        heads = [("encoder", ""), *((s, _label(rows, s)) for s in splits)]
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


def _label(rows: list[Measurement], split: str) -> str:
    # Encoders may differ in what they saw; where they do, say both.
    return " / ".join(dict.fromkeys(row.seen for row in cells.pick(rows, test_split=split)))


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
        if base is None or base.low <= 0:  # nothing was learned: a ratio to it would mean nothing
            body.append([elements.words(name), *(elements.words("\u2013") for _ in others)])
            continue
        ratio = lambda t: aggregates.iqm(t[..., 0]) / _safe(aggregates.iqm(t[..., 1]))
        body.append([elements.words(name), *(elements.cell(cells.derived(rows, [s, "train"], ratio)) for s in others)])
    note = "Normalised score over that on train, by the same policies; a dash where that is not above chance."
    heads = ["encoder", *others]
    return elements.heading("Relative to training") + elements.paragraph(note, faint=True) + elements.table(heads, body)


def _safe(value: np.ndarray | np.float64) -> np.ndarray:
    return np.where(np.abs(value) < 1e-9, 1e-9, value)


def _duels(shown: dict[str, list[Measurement]], new: list[str]) -> str:
    tables = {name: cells.scores(rows, new) for name, rows in shown.items()} if new else {}
    tables = {name: table.mean(1) for name, table in tables.items() if table.size}
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
