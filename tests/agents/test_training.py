"""Runs of agents: a folder that rebuilds its policy, a kill that costs nothing, one line for every slip."""

import dataclasses
import json
import signal

import numpy as np
import pytest
import torch

import agents
import envs
import learners
from agents import encoded, ppo
from agents.training import loop, recording
from envs import rooms
from scenes.kit import errors, runs

MODEL = ppo.Config.tiny()
ENV = dataclasses.replace(rooms.Config.tiny(), max_steps=12)


def options(tmp_path, **changes):
    defaults = {"runs": tmp_path, "env_steps": 96, "n_worlds": 4, "threads": 1, "checkpoint_every": 32, "device": "cpu"}
    defaults["size"] = "tiny"
    return loop.Run(**{**defaults, **changes})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    torch.set_num_threads(1)
    return loop.train("ppo", options(tmp_path_factory.mktemp("runs")), MODEL, ENV)


def test_a_run_is_a_folder_of_numbers_and_text(trained):
    files = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    assert {"config.json", "provenance.json", "metrics.jsonl", "policy/policy.safetensors", "policy/card.json"} <= files
    assert not [name for name in files if name.endswith((".zip", ".pkl", ".pt", ".pth", ".npy"))]
    for path in trained.rglob("*"):
        assert not path.is_file() or path.read_bytes()[:2] not in (b"\x80\x04", b"\x80\x02", b"PK"), path
    rows = runs.read_metrics(trained)
    assert [row["env_steps"] for row in rows] == [32, 64, 96]
    assert sum(row["episodes"] for row in rows) > 0 and {"return", "success", "length"} <= rows[-1].keys()


def test_a_rebuilt_policy_acts_as_the_one_that_was_saved(trained, tmp_path):
    policy = agents.load_policy(trained)
    again = loop.train("ppo", options(tmp_path), MODEL, ENV)
    observations = np.random.default_rng(0).normal(size=(9, *policy.network.observation_space.shape)).astype(np.float32)
    other = agents.load_policy(again / "policy")
    np.testing.assert_array_equal(policy.act(observations), other.act(observations))
    sampled = [policy.act(observations, deterministic=False, rng=np.random.default_rng(1)) for _ in range(2)]
    np.testing.assert_array_equal(*sampled)
    weights = runs.load_tensors((trained / "policy" / "policy.safetensors").read_bytes())
    for name, value in policy.network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), weights[name])


@pytest.mark.parametrize("kill_after", [1, 2])
def test_a_killed_run_ends_like_the_unbroken_one(trained, tmp_path, monkeypatch, kill_after):
    class Killed(BaseException):
        pass

    learn, calls = ppo.Agent.learn, []

    def until_killed(self):
        calls.append(None)
        if len(calls) > kill_after:
            raise Killed
        return learn(self)

    monkeypatch.setattr(ppo.Agent, "learn", until_killed)
    with pytest.raises(Killed):
        loop.train("ppo", options(tmp_path), MODEL, ENV)
    monkeypatch.setattr(ppo.Agent, "learn", learn)
    resumed = loop.train("ppo", options(tmp_path, resume=True), MODEL, ENV)
    assert_same_end(trained, resumed)


def assert_same_end(one, other):
    first, second = runs.newest_checkpoint(one), runs.newest_checkpoint(other)
    assert first.step == second.step and first.state == second.state and first.tensors.keys() == second.tensors.keys()
    for group, values in first.tensors.items():
        for name, value in values.items():
            np.testing.assert_array_equal(second.tensors[group][name], value, err_msg=f"{group}/{name}")
    rows = [
        [{k: v for k, v in row.items() if k != "steps_per_second"} for row in runs.read_metrics(r)]
        for r in (one, other)
    ]
    assert rows[0] == rows[1]


def test_ctrl_c_saves_at_the_next_rest_and_the_run_goes_on(trained, tmp_path, monkeypatch):
    learn = ppo.Agent.learn
    monkeypatch.setattr(ppo.Agent, "learn", lambda self: signal.raise_signal(signal.SIGINT) or learn(self))
    with pytest.raises(SystemExit) as ended:
        loop.train("ppo", options(tmp_path, checkpoint_every=10**6), MODEL, ENV)
    assert ended.value.code == 130
    monkeypatch.setattr(ppo.Agent, "learn", learn)
    assert_same_end(trained, loop.train("ppo", options(tmp_path, resume=True), MODEL, ENV))


def test_every_episode_asked_for_is_played_once_however_many_worlds_run(trained):
    """The reference plays one episode after the other, each in a world of its own."""
    policy = agents.load_policy(trained)
    for player, env in ((policy, None), ("scripted", ("rooms", ENV)), ("random", ("rooms", ENV))):
        some = agents.rollout(player, "train", 11, 100, env=env, n_worlds=4, deterministic=True)
        alone = [agents.rollout(player, "train", 1, 100 + j, env=env, deterministic=True) for j in range(11)]
        assert some["seed"].tolist() == list(range(100, 111))
        for name in ("return", "length", "success", "seed"):
            assert some[name].shape == (11,)
            np.testing.assert_allclose(some[name], np.concatenate([one[name] for one in alone]), atol=1e-6)
    assert (some["length"] <= ENV.max_steps).all() and (some["length"] >= 1).all()


def test_the_scripted_player_beats_the_random_one():
    env = ("rooms", rooms.Config.tiny())
    scores = {who: agents.rollout(who, "train", 40, 0, env=env)["return"].mean() for who in agents.PLAYERS}
    assert scores["scripted"] > scores["random"] + 0.3


@pytest.mark.parametrize("sight", ["pixels", "untrained:beta_vae", "untrained:gqn"])
def test_other_sights_train_and_rebuild(tmp_path, sight):
    env = dataclasses.replace(ENV, image_size=36)
    folder = loop.train("ppo", options(tmp_path, encoder=sight, env_steps=32, frames=2), MODEL, env)
    policy = agents.load_policy(folder)
    assert policy.card["encoder_name"] == sight
    assert agents.rollout(policy, "new-colours", 3, 0)["length"].shape == (3,)
    if sight != "pixels":
        assert policy.card["encoder_hash"] == encoded.digest(policy.sight.encoder) != ""
        assert "pose" not in policy.sight.encoder.sensors or policy.network.observation_space.shape[0] > 7
        resumed = loop.train("ppo", options(tmp_path, encoder=sight, env_steps=32, frames=2, resume=True), MODEL, env)
        assert agents.load_policy(resumed).card["encoder_hash"] == policy.card["encoder_hash"]


def test_recordings_hold_whole_episodes_in_order(trained, tmp_path):
    chosen = recording.Options(n_episodes=5, n_worlds=2, per_file=2, out=tmp_path / "made", deterministic=True)
    folder = recording.record(str(trained), chosen)
    files = runs.read_checked(folder)
    card = json.loads(files["card.json"])
    played = agents.rollout(trained, "train", 5, 0, deterministic=True)
    assert card["lengths"] == played["length"].tolist()
    parts = [runs.load_tensors(files[f"episodes-{i:05d}.safetensors"]) for i in range(3)]
    returns = [np.add.reduceat(part["reward"], part["offsets"][:-1]) for part in parts]
    np.testing.assert_allclose(np.concatenate(returns), played["return"], atol=1e-6)
    assert parts[0]["image"].dtype == np.uint8 and len(parts[0]["image"]) == parts[0]["offsets"][-1]
    with pytest.raises(errors.CaveError, match="exists already"):
        recording.record(str(trained), chosen)
    # Learners read it back.
    size = parts[0]["image"].shape[1:3]
    config = agents.load_policy(trained).env_config
    stream = envs.stream("rooms", config, "Episodes", "train", 0, 8, size, length=4, player=str(folder))
    starts = np.concatenate([part["image"][part["offsets"][:-1]] for part in parts])
    shown = stream.draw(0)["images"][:, 0]
    assert (shown[:, None] == starts).all((2, 3, 4)).any(1).all()


def test_a_policy_plays_on_every_split(trained):
    policy = agents.load_policy(trained)
    for split in rooms.splits(ENV):
        played = agents.rollout(policy, split, 2, 0)
        assert (played["length"] > 0).all() and np.isfinite(played["return"]).all(), split


def test_an_encoder_that_the_environment_cannot_feed_is_named_with_what_it_reads(trace, tmp_path, monkeypatch):
    trace.sensors = ("image", "sonar")
    monkeypatch.setattr(encoded, "make", lambda *_, **__: encoded.Codes(trace, "trace", {"learner": "trace"}))
    with pytest.raises(errors.CaveError, match=r"needs the sensors image, sonar, goal: unknown sensor .* 'sonar'"):
        loop.train("ppo", options(tmp_path, encoder="elsewhere"), MODEL, ENV)
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_moves_while_the_agent_learns_ends_the_run(trace, tmp_path, monkeypatch):
    trace.image_size = (16, 16)
    sight = encoded.Codes(trace, "trace", {"learner": "trace"}, folder=tmp_path)
    monkeypatch.setattr(encoded, "make", lambda *_, **__: sight)
    trace.train()
    with pytest.raises(errors.CaveError, match="the encoder's weights moved"):
        loop.train("ppo", options(tmp_path, encoder="elsewhere"), MODEL, ENV)
    assert not (tmp_path / "ppo-trace-rooms-0" / "policy").exists()


def test_slips_are_answered_in_one_line(trained, tmp_path):
    slips = [
        (lambda: loop.train("ppoo", options(tmp_path), MODEL, ENV), "unknown agent 'ppoo'.*did you mean 'ppo'"),
        (lambda: loop.train("ppo", options(tmp_path, env="room"), MODEL, ENV), "unknown environment 'room'"),
        (lambda: loop.train("ppo", options(tmp_path, encoder="pixles"), MODEL, ENV), "did you mean 'pixels'"),
        (lambda: loop.train("ppo", options(tmp_path, encoder="untrained:gnq"), MODEL, ENV), "unknown learner 'gnq'"),
        (lambda: loop.train("ppo", options(tmp_path, split="trian"), MODEL, ENV), "did you mean 'train'"),
        (lambda: loop.train("ppo", options(trained.parent), MODEL, ENV), "--resume"),
        (lambda: agents.rollout(trained, "trian", 1, 0), "did you mean 'train'"),
        (lambda: agents.rollout("random", "train", 1, 0), "needs to be told the environment"),
        (lambda: agents.load_policy(trained.parent / "ppo-stat-rooms-0"), "unknown run .*did you mean"),
        (lambda: agents.load_policy(trained.parent), "holds no policy: it is no run; give an agent's, such as .*ppo"),
        (lambda: learners.load_encoder(trained), "holds no encoder: it is a run of agents.train; give a learner's"),
        (
            lambda: loop.train("ppo", options(tmp_path, n_worlds=10**9), MODEL, ENV),
            "--n-worlds is 1000000000: give 1 to",
        ),
        (lambda: loop.train("ppo", options(tmp_path, env="springs"), MODEL, None), "springs has no task"),
    ]
    for slip, line in slips:
        with pytest.raises(errors.CaveError, match=line) as caught:
            slip()
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir()), "a slip leaves nothing behind"


def test_a_damaged_policy_is_refused_and_named(trained, tmp_path):
    folder = runs.read_checked(trained / "policy")
    card = json.loads(folder["card.json"])
    wrong = {**folder, "card.json": json.dumps({**card, "config": {**card["config"], "hidden": [17]}}).encode()}
    runs.write_atomic(tmp_path / "wrong" / "policy", wrong)
    with pytest.raises(errors.CaveError, match="not its weights"):
        agents.load_policy(tmp_path / "wrong")
    runs.write_atomic(tmp_path / "flipped" / "policy", folder)
    path = tmp_path / "flipped" / "policy" / "policy.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    with pytest.raises(errors.CaveError, match=r"policy\.safetensors is damaged"):
        agents.load_policy(tmp_path / "flipped")
    path.unlink()
    with pytest.raises(errors.CaveError, match=r"policy\.safetensors is missing"):
        agents.load_policy(tmp_path / "flipped")
