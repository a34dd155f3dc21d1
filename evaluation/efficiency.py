"""Data efficiency: what an agent had earned after how many steps, and what its encoder had cost before the first.

Read off what training logged: the mean return of the episodes that ended, at each of `points` marks of the way.
Beside it what the last `window` marks came to as a normalised score (0 is the random player, 1 the scripted one, on the
training split), and the steps at which the return, smoothed over as many marks, first reached a threshold of that score.
Both are left out where the environment has no scripted player, or none that beats chance. The images that an encoder was
pretrained on are charged in a column of their own and in the sum: an encoder that needs ten million images to save a
hundred thousand steps is a bargain only where images are free. (They are, when it is shared by many tasks; the table
leaves the judgement to the reader.) How fast training went, in steps per second, is told too: it is of the machine and of what
else ran on it, so it compares encoders that were trained one after the other by one study.

    python -m evaluation.run efficiency --env rooms --encoders gqn beta_vae untrained:gqn pixels state --seeds 5
    python -m evaluation.run efficiency --env sprites --encoders state --seeds 5 --env-steps 500000
"""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import agents
import envs
from evaluation import Measurement, Subject, page
from evaluation.page import cells, efficiencies
from evaluation.stats import comparisons
from evaluation.studies import exposure, facts, study
from scenes.kit import errors, runs, seeds

NAME = "efficiency"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.Study):
    """Options of the study and of the protocol."""

    threshold: float = 0.8
    """Normalised score whose reaching is timed."""
    points: int = 40
    """Marks along the training at which the return is noted."""
    window: int = 3
    """Marks over which the return is averaged before it is held against the threshold."""
    episodes: int = 256
    """Episodes of each player that set the scale."""

    @classmethod
    def tiny(cls) -> "Config":
        """For tests."""
        return cls(
            seeds=1, size="tiny", learner_steps=2, held_out=8, env_steps=64, n_worlds=4, points=4, window=1, episodes=4
        )


def subjects(config: Config, agent_config: Any, env_config: Any) -> list[Subject]:
    """Both players, and a policy of every seed on every encoder."""
    return study.players(config, env_config) + study.policies(config, agent_config, env_config)


def measure(config: Config, subject: Subject, known: Iterable[Measurement]) -> Iterator[Measurement]:
    """Curve, area, and steps to the threshold of one policy; of a player its mean return, which sets the scale."""
    common = facts.of(subject) | {"options_hash": study.options_hash(config)}
    if subject.policy is None:
        yield _player(config, subject, common)
        return
    split, frames = common["policy_split"], common["pretraining_frames"]
    total = common.pop("env_steps")
    common |= {"test_split": split, "n_samples": config.episodes}
    common |= exposure.fields(subject, (split,))[split]
    steps, returns = curve(subject.policy, config.points)
    row = lambda metric, value, env_steps, item="": Measurement(
        protocol=NAME, metric=metric, value=float(value), env_steps=int(env_steps), item=item, **common
    )
    for at, value in zip(steps, returns):
        yield row("return", value, at)
    yield row("mean return", np.mean(returns), total)
    yield row("steps per second", speed(subject.policy), total)
    same = {name: common[name] for name in ("env", "scenes_hash", "options_hash", "test_split")}
    scale = {r.learner: r.value for r in cells.pick(known, protocol=NAME, metric="return", agent="", **same)}
    if "scripted" not in scale or comparisons.normalised(0.0, scale["random"], scale["scripted"]) is None:
        return
    # Before every world had time for a whole episode, only short ones can have ended: of whoever was lucky early.
    limit = envs.make(subject.env, subject.env_config, sensors=()).max_steps * config.n_worlds
    steps, returns = steps[steps >= limit], returns[steps >= limit]
    item = f"normalised {config.threshold:g}"
    if not len(steps):
        yield row("reached", False, total, item)
        return
    last = np.mean(returns[-config.window :])
    yield row("normalised", comparisons.normalised(float(last), scale["random"], scale["scripted"]), total)
    wanted = scale["random"] + config.threshold * (scale["scripted"] - scale["random"])
    found = first_reached(steps, returns, wanted, config.window)
    yield row("reached", found is not None, total, item)
    if found is not None:
        yield row("steps to threshold", found, total, item)
        yield row("steps and frames to threshold", found + frames, total, item)


def _player(config: Config, subject: Subject, common: dict) -> Measurement:
    seed = seeds.derive(0, "evaluation", NAME) >> 1
    played = agents.rollout(
        subject.learner, "train", config.episodes, seed, env=(subject.env, subject.env_config), n_worlds=128
    )
    common |= {"test_split": "train", "n_samples": config.episodes}
    return Measurement(protocol=NAME, metric="return", value=float(played["return"].mean()), **common)


def curve(run: Path, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Marks and the mean return of the episodes that ended since the mark before, from what a run logged.

    Args:
        run: Its metrics are rows with `env_steps`, `episodes` and `return` (null where none ended).
        points: Marks, spread evenly over the steps; those without an ended episode are left out.

    Raises:
        CaveError: other rows than an agent's training logs, or no episode ever ended.
    """
    logged = runs.read_metrics(run)
    try:
        rows = [(r["env_steps"], r["episodes"], r["return"]) for r in logged if r["return"] is not None]
    except KeyError as error:
        raise errors.CaveError(f"{run}/metrics.jsonl is not what an agent's training logs: no {error}") from None
    if not rows:
        raise errors.CaveError(f"{run}: no episode ended while the agent learned; give it more --env-steps")
    at, episodes, returns = np.array(rows, np.float64).T
    last = max(r["env_steps"] for r in logged)
    bins = np.ceil(at / last * points).astype(int)
    weight, total = np.bincount(bins, episodes), np.bincount(bins, episodes * returns)
    kept = np.flatnonzero(weight)
    return np.round(kept * last / points), total[kept] / weight[kept]


def speed(run: Path) -> float:
    """Environment steps per second of training, rendering, encoding and learning included: the median over rollouts."""
    return float(np.median([row["steps_per_second"] for row in runs.read_metrics(run)]))


def first_reached(steps: np.ndarray, returns: np.ndarray, threshold: float, window: int) -> float | None:
    """The first mark at which the mean of the last `window` returns is the threshold or more; None if never."""
    if len(returns) < window:
        return None
    smooth = np.convolve(returns, np.ones(window) / window, "valid")
    there = np.flatnonzero(smooth >= threshold)
    return float(steps[there[0] + window - 1]) if len(there) else None


def summary(rows: list[Measurement]) -> str:
    """What a study found, as lines of text: the score at the end of each encoder, and the steps to the threshold."""
    return efficiencies.text(cells.pick(rows, protocol=NAME))


def sections(rows: list[Measurement]) -> list[page.Section]:
    """Learning curves, and what it took to reach the threshold."""
    rows = cells.pick(rows, protocol=NAME)
    found = cells.groups((r for r in rows if r.agent), "env", "scenes_hash", "options_hash", "agent", "policy_split")
    return [
        page.Section(f"Data efficiency: {agent} on {env}, {split}", efficiencies.body(part))
        for (env, _, _, agent, split), part in found.items()
    ]
