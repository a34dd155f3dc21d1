"""Curves from what a run logged, and when they cross a threshold."""

import dataclasses
import json

import numpy as np
import pytest

from evaluation import Measurement, Subject, efficiency
from evaluation.page import cells, efficiencies
from scenes.factors import tiers
from scenes.kit.errors import CaveError


def logged(folder, rows):
    """A run's metrics: (env steps, episodes, mean return) each; the first rollout is slow."""
    keys = ("env_steps", "episodes", "return")
    rows = [
        {"step": row[0], **dict(zip(keys, row)), "steps_per_second": 3000 if i else 9} for i, row in enumerate(rows)
    ]
    lines = [json.dumps(row) + "\n" for row in rows]
    (folder / "metrics.jsonl").write_text("".join(lines))
    return folder


def test_a_mark_is_the_mean_of_the_episodes_since_the_one_before(tmp_path):
    rng = np.random.default_rng(0)
    rows = [(10 * (i + 1), int(rng.integers(0, 4)), rng.normal()) for i in range(100)]
    rows = [(at, n, value if n else None) for at, n, value in rows]
    steps, returns = efficiency.curve(logged(tmp_path, rows), points=4)
    assert steps.tolist() == [250, 500, 750, 1000]
    for k, value in enumerate(returns):
        episodes = [v for at, n, v in rows if 250 * k < at <= 250 * (k + 1) for _ in range(n)]
        assert value == pytest.approx(np.mean(episodes))


def test_marks_without_an_episode_are_left_out_and_a_run_without_any_is_an_error(tmp_path):
    steps, returns = efficiency.curve(logged(tmp_path, [(50, 0, None), (100, 2, 1.0)]), points=4)
    assert (steps.tolist(), returns.tolist()) == ([100], [1.0])
    with pytest.raises(CaveError, match="no episode ended"):
        efficiency.curve(logged(tmp_path, [(50, 0, None)]), points=4)
    with pytest.raises(CaveError, match="is not what"):
        (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
        efficiency.curve(tmp_path, points=4)


def slow_first(steps, returns, threshold, window):
    for i in range(window - 1, len(returns)):
        if np.mean(returns[i - window + 1 : i + 1]) >= threshold:
            return steps[i]
    return None


@pytest.mark.parametrize("window", [1, 3, 50])
def test_reaching_a_threshold_agrees_with_looking_one_by_one(window):
    rng = np.random.default_rng(1)
    steps, returns = np.arange(1, 31) * 10.0, np.linspace(0, 1, 30) + rng.normal(0, 0.2, 30)
    for threshold in (-1, 0.3, 0.6, 5):
        assert efficiency.first_reached(steps, returns, threshold, window) == slow_first(
            steps, returns, threshold, window
        )


def test_runs_that_never_reached_it_count_in_the_median():
    def rows(values):
        common = {"protocol": "efficiency", "metric": "steps to threshold", "learner": "a", "env": "e"}
        return [Measurement(value=v, seed=i, test_split="train", **common) for i, v in enumerate(values)]

    assert efficiencies.median(rows([10.0, 20.0, 30.0]), 3) == "20.00"
    assert efficiencies.median(rows([10.0, 20.0]), 3) == "20.00"
    assert efficiencies.median(rows([10.0]), 3) == "not reached"
    assert efficiencies.median(rows([10.0, 20.0]), 4) == "not reached"
    assert efficiencies.median([], 0) == "\u2013"


def test_pretraining_is_charged_in_the_sum_alone(tmp_path, monkeypatch):
    run = logged(tmp_path, [(100 * i, 5, i / 10) for i in range(1, 11)])
    facts = {"learner": "gqn", "agent": "ppo", "env": "rooms", "policy_split": "train", "pretraining_frames": 7000}
    monkeypatch.setattr(efficiency.facts, "of", lambda subject: facts | {"env_steps": 1000, "scenes_hash": "s"})
    seen = {"train": {"tier": tiers.IN_DISTRIBUTION, "apart": ()}}
    monkeypatch.setattr(efficiency.exposure, "fields", lambda subject, tests: seen)
    config = efficiency.Config(points=10, window=1, threshold=0.5, n_worlds=1)
    known = [
        Measurement(
            protocol="efficiency",
            metric="return",
            value=value,
            learner=name,
            env="rooms",
            test_split="train",
            scenes_hash="s",
            options_hash=efficiency.study.options_hash(config),
        )
        for name, value in (("random", 0.0), ("scripted", 1.0))
    ]
    subject = Subject(learner="gqn", env="rooms", env_config=None, policy=run)
    rows = list(efficiency.measure(config, subject, known))
    value = lambda metric: cells.pick(rows, metric=metric)[0].value
    assert value("reached") == 1
    assert value("steps to threshold") == 500
    assert value("steps and frames to threshold") == 7500
    assert value("steps per second") == 3000
    assert value("mean return") == pytest.approx(0.55)
    assert value("normalised") == 1.0
    told = efficiency.summary(known + rows)
    assert (
        "rooms, ppo from gqn, 1,000 steps at 3,000/s: normalised score 1.00 [1.00, 1.00], 1 seeds (random 0, scripted 1)"
        in told
    )
    assert told.endswith("normalised 0.5 reached by 1 of 1, median steps 500")
    assert [row.env_steps for row in cells.pick(rows, metric="return")] == list(range(100, 1001, 100))
    without_scale = list(efficiency.measure(config, subject, []))
    assert not cells.pick(without_scale, metric="reached") and not cells.pick(without_scale, metric="normalised")
    # Nor is a scripted player invented where there is none, of whatever sign returns are.
    sad = dataclasses.replace(known[0], value=-300.0)
    rows = list(efficiency.measure(config, subject, [sad]))
    assert not cells.pick(rows, metric="reached")
    assert efficiency.summary([sad, *rows]).endswith("no score, since rooms has no scripted player")
