"""Zero-shot transfer: one policy, never trained further, on every split of its environment.

Every player, the random and the scripted one too, meets the same held-out episodes: their seeds are derived by name,
far from any seed that training uses. Beside the raw return and the rate of success stands the normalised score,
(return - random) / (scripted - random) on the same split, so that a split that is merely harder is not mistaken for one
that does not transfer; and the score relative to that on `train`, with the same policy's luck on both sides.

Each split is labelled by its tier: what it is to who had seen what, derived from the distributions that the encoder saw,
that the policy trained on and that the test draws from (`scenes.factors.tiers`; after Traeuble et al., "The Role of
Pretrained Representations for the OOD Generalization of RL Agents", ICLR 2022, https://arxiv.org/abs/2107.05686). Where no
encoder was trained beforehand (`pixels`, `state`, `untrained`), only what the policy saw counts. A split that claims to be
new and is not is refused before it is played. No checkpoint is ever chosen by its score here: the last one is measured.

    python -m evaluation.run transfer --env rooms --encoders gqn beta_vae untrained:gqn pixels state --seeds 5
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import agents
import envs
from evaluation import Measurement, Subject, page
from evaluation.page import cells, transfers
from evaluation.stats import comparisons
from evaluation.studies import exposure, facts, study
from scenes.kit import seeds

NAME = "transfer"
N_WORLDS = 128
"""Episodes played at once; changes the time taken, and nothing about which scenes are met."""


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
    names = config.splits or tuple(splits)
    exposed = exposure.fields(subject, names) if subject.policy else {}
    for name in names:
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
        common |= exposed.get(name, {})
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
            sections.append(page.Section(title, transfers.body(part, players)))
    return sections
