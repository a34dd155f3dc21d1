"""Studies from end to end, tiny: rows, report and film; interrupted ones go on; bad input costs one line."""

import dataclasses
import os

import numpy as np
import pytest
import torch

import agents
import evaluation
import learners
from agents import ppo
from envs import rooms
from evaluation import report, run, transfer, video
from evaluation.film import episodes, panels
from evaluation.page import cells
from evaluation.studies import grid, launcher
from learners import beta_vae
from scenes.factors import tiers
from scenes.kit import films
from scenes.kit.errors import CaveError

WORLD = rooms.Config(image_size=16, max_steps=10, cameras="free")
ENCODERS = ("gqn", "untrained:beta_vae", "state")


def config(folder, **changes):
    return dataclasses.replace(transfer.Config.tiny(), runs=folder, **{"encoders": ENCODERS, **changes})


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Nets this small gain nothing from a second thread, and where cores are shared two wait for each other for ever."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "set_num_threads", lambda n: None)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The folder of runs of a whole study, and its rows."""
    folder = tmp_path_factory.mktemp("runs")
    path = run.study("transfer", config(folder), ppo.Config.tiny(), WORLD)
    return folder, evaluation.read(path)


def test_every_encoder_meets_every_split(study):
    _, rows = study
    splits = set(rooms.splits(WORLD))
    for name in (*ENCODERS, *agents.PLAYERS):
        for metric in ("return", "success", "length"):
            assert {row.test_split for row in cells.pick(rows, learner=name, metric=metric)} == splits
    gqn = cells.pick(rows, learner="gqn", metric="return")
    told = {row.test_split: (row.tier, row.apart) for row in gqn}
    assert told["train"] == (tiers.IN_DISTRIBUTION, ()) and told["test"] == (tiers.FRESH_SEEDS, ())
    assert told["more-objects"] == (tiers.MORE_OBJECTS, ("n_objects",))
    assert told["recombination"] == (tiers.RECOMBINATION, ("shape", "hue"))
    assert told["new-layout"] == (tiers.NEW_TO_BOTH, ("x",))
    assert {row.encoder_split for row in gqn} == {"train"}
    assert all(row.pretraining_frames > 0 and row.encoder_hash and row.policy_hash for row in gqn)
    untrained = cells.pick(rows, learner="untrained:beta_vae", metric="return")
    assert told == {row.test_split: (row.tier, row.apart) for row in untrained}
    assert not any(row.tier for name in agents.PLAYERS for row in cells.pick(rows, learner=name))
    assert {row.pretraining_frames for row in untrained} == {0}
    assert {row.sensors for row in gqn} == {("image", "pose")}


def test_normalised_scores_are_returns_on_the_players_scale(study):
    _, rows = study
    returns = {(r.learner, r.test_split): r.value for r in cells.pick(rows, metric="return")}
    for row in cells.pick(rows, metric="normalised"):
        low, high = (returns[player, row.test_split] for player in agents.PLAYERS)
        assert low + row.value * (high - low) == pytest.approx(returns[row.learner, row.test_split])
    assert cells.pick(rows, metric="normalised")


def test_its_report_renders(study):
    folder, _ = study
    path = report.main([str(folder)])
    text = path.read_text()
    assert "Transfer: ppo on rooms" in text
    assert all(name in text for name in ENCODERS)


def policy_of(folder, name):
    return next(folder.glob(f"ppo-{name}-*"))


def test_a_film_has_its_frames_and_shows_what_was_imagined(study, capsys):
    folder, _ = study
    where = policy_of(folder, "gqn")
    out = video.main([str(where), "--split", "new-colours", "--episodes", "2"])
    frames = list(films.reopened(out))
    assert f"{len(frames)} frames" in capsys.readouterr().out
    policy = agents.load_policy(where)
    seed = episodes.seed_of(0)
    lengths = agents.rollout(policy, "new-colours", 2, seed, n_worlds=2)["length"]
    assert len(frames) == lengths.sum() + 2 * (episodes.HOLD - 1)
    wide = panels.SIDE + panels.GAP
    for k in range(3):
        part = [f[panels.HEAD : panels.HEAD + panels.SIDE, panels.GAP + k * wide :][:, : panels.SIDE] for f in frames]
        assert np.std(part[1]) > 2, f"panel {k} is blank"
    assert np.abs(frames[0].astype(int) - frames[1]).max() > 40


def test_a_film_says_that_nothing_is_imagined(study):
    folder, _ = study
    policy = agents.load_policy(policy_of(folder, "state"))
    frames = episodes.frames(policy, "test", 1, 0, deterministic=True)
    assert frames[0].shape[1] == 3 * panels.SIDE + 4 * panels.GAP
    third = frames[0][panels.HEAD : panels.HEAD + panels.SIDE, -panels.SIDE - panels.GAP : -panels.GAP]
    empty = (third == frames[0][0, 0]).all(-1).mean()
    assert 0.9 < empty < 0.999  # words on an empty panel, no picture


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--split", "new-colour"], "did you mean 'new-colours'"),
        (["--episodes", "0"], "at least one episode"),
        (["--out", "no/such/x.mp4"], "does not exist"),
        (["--out", "x.avi"], "mp4"),
        (["--episode", "1"], "--episodes"),
    ],
)
def test_bad_film_orders_cost_one_line_and_leave_nothing(study, tmp_path, monkeypatch, words, says):
    folder, _ = study
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CaveError, match=says) as caught:
        video.main([str(policy_of(folder, "state")), *words])
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []
    with pytest.raises(CaveError):
        video.main([str(tmp_path / "no-run")])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"encoders": ("gqm",)}, "did you mean 'gqn'"),
        ({"encoders": ("untrained:gqm",)}, "did you mean 'gqn'"),
        ({"encoders": ("trained:gqn",)}, "unknown encoder"),
        ({"encoders": ("state", "state")}, "twice"),
        ({"seeds": 0}, "at least 1"),
        ({"splits": ("new-color",)}, "did you mean 'new-colours'"),
    ],
)
def test_bad_studies_cost_one_line_before_anything_is_trained(tmp_path, changes, says):
    with pytest.raises(CaveError, match=says):
        run.study("transfer", config(tmp_path, **changes), ppo.Config.tiny(), WORLD)
    assert os.listdir(tmp_path) == []


def test_names_are_found_among_learners_runs_and_shipped_encoders(study):
    folder, _ = study
    run_name = next(folder.glob("gqn-*")).name
    assert grid.run_folder(run_name, folder) == folder / run_name
    assert grid.is_learner("gqn", folder)
    assert not grid.is_learner(run_name, folder)
    for shipped in learners.SHIPPED.iterdir():
        assert grid.run_folder(shipped.name, folder) == shipped
        assert not grid.is_learner(shipped.name, folder)
    for bare in ("state", "pixels", "untrained:gqn", "no such"):
        assert grid.run_folder(bare, folder) is None
        assert not grid.is_learner(bare, folder)


def test_untrained_encoders_are_as_large_as_trained_ones(study):
    folder, _ = study
    card = agents.load_policy(policy_of(folder, "untrained-beta_vae")).card["encoder_card"]
    assert card["config"]["image_size"] == beta_vae.Config.tiny().image_size


def test_an_interrupted_study_goes_on_where_it_was(tmp_path, monkeypatch):
    trained = []
    real = launcher.train

    def train(piece):
        if len(trained) == 1:
            raise SystemExit(130)
        real(piece)
        trained.append(piece.folder)

    wanted = config(tmp_path, encoders=("state",), seeds=2)
    monkeypatch.setattr(launcher, "train", train)
    with pytest.raises(SystemExit):
        run.study("transfer", wanted, ppo.Config.tiny(), WORLD)
    before = {path: path.stat().st_mtime_ns for path in trained[0].rglob("*")}
    monkeypatch.setattr(launcher, "train", lambda piece: trained.append(piece.folder) or real(piece))
    rows = evaluation.read(run.study("transfer", wanted, ppo.Config.tiny(), WORLD))
    assert len(set(trained)) == len(trained) == 2
    assert {path: path.stat().st_mtime_ns for path in trained[0].rglob("*")} == before
    assert {row.seed for row in cells.pick(rows, learner="state")} == {0, 1}


def test_a_run_folder_serves_as_an_encoder_and_is_not_trained_again(study, tmp_path):
    folder, rows = study
    encoder = next(folder.glob("gqn-*"))
    path = run.study("transfer", config(tmp_path, encoders=(str(encoder),)), ppo.Config.tiny(), WORLD)
    again = cells.pick(evaluation.read(path), metric="return", learner=encoder.name)
    first = cells.pick(rows, metric="return", learner="gqn")
    assert {row.encoder_hash for row in again} == {row.encoder_hash for row in first}
    assert [row.value for row in again] == [row.value for row in first]
    assert not list(tmp_path.glob("gqn-*"))
