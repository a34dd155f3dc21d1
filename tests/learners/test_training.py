"""The training loop: what it promises of resuming, of stopping and of slips."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import learners
from envs import rooms
from learners import beta_vae, gqn
from learners.training import loop
from scenes.kit import errors, runs

ROOT = Path(__file__).parents[2]


def options(tmp_path, **changes):
    return loop.Run(runs=tmp_path, n_held_out=16, checkpoint_every=5, evaluate_every=1000, device="cpu", **changes)


def last(run):
    saved = runs.newest_checkpoint(run)
    return saved.step, saved.tensors


def same(one, other):
    assert one.keys() == other.keys()
    for group in one:
        assert one[group].keys() == other[group].keys()
        for name in one[group]:
            assert torch.equal(torch.as_tensor(one[group][name]), torch.as_tensor(other[group][name])), (group, name)


def rows(run):
    kept = [row for row in runs.read_metrics(run) if row["kind"] == "train"]
    return [{k: v for k, v in row.items() if k not in ("seconds", "steps_per_second")} for row in kept]


def test_a_run_that_stopped_half_way_ends_as_the_unbroken_one(tmp_path, monkeypatch):
    config = dataclasses.replace(gqn.Config.tiny(), steps=20)
    whole = loop.train("gqn", options(tmp_path, name="whole"), config, rooms.Config())
    real, count = loop.descend, []

    def interrupted(*args):
        count.append(1)
        if len(count) == 13:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(loop, "descend", interrupted)
    with pytest.raises(KeyboardInterrupt):
        loop.train("gqn", options(tmp_path, name="broken"), config, rooms.Config())
    monkeypatch.setattr(loop, "descend", real)
    assert last(tmp_path / "broken")[0] == 10
    broken = loop.train("gqn", options(tmp_path, name="broken", resume=True), config, rooms.Config())
    assert last(whole)[0] == last(broken)[0] == 20
    same(last(whole)[1], last(broken)[1])
    assert rows(whole) == rows(broken)
    a, b = ((run / "encoder" / "encoder.safetensors").read_bytes() for run in (whole, broken))
    assert a == b


def start(tmp_path, name, *more):
    line = [
        sys.executable,
        "-m",
        "learners.train",
        "gqn",
        "--size",
        "tiny",
        "--steps",
        "60",
        "--checkpoint-every",
        "10",
    ]
    line += ["--n-held-out", "16", "--device", "cpu", "--runs", str(tmp_path), "--name", name, *more]
    return subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("n_kills", [1, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_killed_at_random_instants_it_resumes_and_ends_in_the_same_weights(tmp_path, n_kills):
    began = time.monotonic()
    process = start(tmp_path, "whole")
    _, told = process.communicate()
    assert process.returncode == 0, told
    length = time.monotonic() - began
    rng, resumed = random.Random(0), 0
    for kill in range(n_kills):
        name = f"killed-{kill}"
        process = start(tmp_path, name)
        time.sleep(rng.uniform(0.3, 1.0) * length)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        rows_before = runs.read_metrics(tmp_path / name)
        reached = max((row["step"] for row in rows_before), default=0)
        saved = runs.newest_checkpoint(tmp_path / name) if (tmp_path / name).is_dir() else None
        assert reached - (saved.step if saved else 0) <= 10 + loop.LOG_EVERY
        process = start(tmp_path, name, *(["--resume"] if (tmp_path / name).is_dir() else []))
        _, told = process.communicate()
        assert process.returncode == 0, told
        same(last(tmp_path / "whole")[1], last(tmp_path / name)[1])
        assert rows(tmp_path / "whole") == rows(tmp_path / name)
        resumed += 1
    assert resumed == n_kills


def test_the_first_interrupt_saves_and_ends(tmp_path):
    process = start(tmp_path, "one", "--steps", "100000", "--checkpoint-every", "100000")
    while not (tmp_path / "one" / "metrics.jsonl").is_file() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "--resume goes on" in out
    step, _ = last(tmp_path / "one")
    assert loop.LOG_EVERY <= step < 100000  # the signal's checkpoint: no other was due


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    config = dataclasses.replace(gqn.Config.tiny(), steps=20)
    real = gqn.Learner.loss

    def poisoned(self, batch, step, generator, group=""):
        loss, metrics = real(self, batch, step, generator, group)
        if step == 12:
            metrics["kl_nats"] = metrics["kl_nats"] * float("nan")
            loss = loss * float("nan")
        return loss, metrics

    monkeypatch.setattr(gqn.Learner, "loss", poisoned)
    with pytest.raises(errors.CaveError, match=r"step 12: the loss is not finite \(first in kl_nats\)"):
        loop.train("gqn", options(tmp_path, name="nan"), config, rooms.Config())
    step, tensors = last(tmp_path / "nan")
    assert step == 10
    assert all(torch.isfinite(torch.as_tensor(v)).all() for group in tensors.values() for v in group.values())


def test_a_run_with_another_config_is_not_resumed(tmp_path):
    config = dataclasses.replace(gqn.Config.tiny(), steps=5)
    loop.train("gqn", options(tmp_path, name="one"), config, rooms.Config())
    with pytest.raises(errors.CaveError, match="learning_rate"):
        other = dataclasses.replace(config, learning_rate=0.1)
        loop.train("gqn", options(tmp_path, name="one", resume=True), other, rooms.Config())
    with pytest.raises(errors.CaveError, match="--resume"):
        loop.train("gqn", options(tmp_path, name="one"), config, rooms.Config())


def test_what_a_run_leaves_says_how_it_was_made(tmp_path):
    config = dataclasses.replace(gqn.Config.tiny(), steps=20)
    run = loop.train("gqn", options(tmp_path), config, rooms.Config())
    assert run == tmp_path / "gqn-rooms-0"
    settings = json.loads((run / "config.json").read_text())
    assert settings["resolved"]["device"] == "cpu" and settings["resolved"]["precision"] in ("float32", "bfloat16")
    assert (run / "provenance.json").is_file() and list((run / "tensorboard").glob("events*"))
    assert (run / "pictures" / "predictions.png").is_file() and (run / "pictures" / "orbit.mp4").is_file()
    _, card = learners.load_encoder(run)
    assert card["metrics"]["psnr/1"] == pytest.approx(runs.read_metrics(run)[-1]["psnr/1"])
    assert not [path for path in run.rglob("*") if path.suffix in (".pt", ".pth", ".pkl", ".zip")]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["gqm"], "unknown learner 'gqm': choose from beta_vae, gqn; did you mean 'gqn'?"),
        (["gqn", "--env", "room"], "did you mean 'rooms'?"),
        (["gqn", "--size", "smal"], "did you mean 'small'?"),
        (["gqn", "--split", "new-colour", "--size", "tiny"], "did you mean 'new-colours'?"),
        (["gqn", "--model.n-layer", "3"], "--model.n-layers"),
        (["gqn", "--steps", "many"], "--steps"),
        (["gqn", "--resume", "--name", "nothing", "--size", "tiny"], "leave out --resume"),
    ],
)
def test_slips_get_one_line_and_exit_code_two(tmp_path, words, told):
    process = subprocess.run(
        [sys.executable, "-m", "learners.train", *words, *(["--runs", str(tmp_path)] if len(words) > 1 else [])],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}, check=False,
    )  # fmt: skip
    assert process.returncode == 2, process.stderr
    assert told in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_bare_help_costs_no_torch():
    code = "import sys; sys.argv=['x','--help']\nfrom learners import train\nfrom scenes.kit import options\n"
    code += "try: options.main(train.main)\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert "gqn" in process.stdout and "beta_vae" in process.stdout


def test_a_run_may_be_resumed_for_longer(tmp_path):
    config = dataclasses.replace(gqn.Config.tiny(), steps=5)
    loop.train("gqn", options(tmp_path, name="one"), config, rooms.Config())
    run = loop.train("gqn", options(tmp_path, name="one", resume=True, steps=10), config, rooms.Config())
    assert last(run)[0] == 10
    assert learners.load_encoder(run)[1]["steps"] == 10


def test_training_on_the_held_out_split_and_ending_before_the_checkpoint_are_refused(tmp_path):
    with pytest.raises(errors.CaveError, match="--split test is what figures are measured on"):
        options(tmp_path, split="test")
    config = dataclasses.replace(gqn.Config.tiny(), steps=20)
    loop.train("gqn", options(tmp_path, name="done"), config, rooms.Config())
    with pytest.raises(errors.CaveError, match="is at step 20 already; give at least as many"):
        loop.train("gqn", options(tmp_path, name="done", steps=10, resume=True), config, rooms.Config())


def test_a_run_starts_from_another_s_weights(tmp_path, monkeypatch):
    config = dataclasses.replace(gqn.Config.tiny(), steps=5)
    one = loop.train("gqn", options(tmp_path, name="one"), config, rooms.Config())
    weights, real = [], loop.descend

    def spied(learner, *args):
        weights.append({name: value.clone() for name, value in learner.state_dict().items()})
        return real(learner, *args)

    monkeypatch.setattr(loop, "descend", spied)
    further = dataclasses.replace(config, emphasis=4.0, learning_rate=1e-3)
    two = loop.train("gqn", options(tmp_path, name="two", start_from="one"), further, rooms.Config())
    same({"learner": weights[0]}, {"learner": last(one)[1]["learner"]})
    assert json.loads((two / "config.json").read_text())["earlier"] == {"run": "one", "step": 5, "frames": 5 * 8 * 5}
    # What was seen before is charged to those who use the encoder; resumed, it is as it was, though the first has gone on.
    assert learners.load_encoder(two)[1]["frames"] == 2 * 5 * 8 * 5
    loop.train("gqn", options(tmp_path, name="one", resume=True, steps=10), config, rooms.Config())
    run = options(tmp_path, name="two", start_from="one", resume=True, steps=8)
    assert learners.load_encoder(loop.train("gqn", run, further, rooms.Config()))[1]["frames"] == (5 + 8) * 8 * 5


def test_what_a_run_cannot_start_from_is_refused(tmp_path):
    config = gqn.Config.tiny()
    begin = lambda other, config: loop.train(
        "gqn", options(tmp_path, name="x", start_from=other), config, rooms.Config()
    )
    with pytest.raises(errors.CaveError, match="unknown run 'none'"):
        begin("none", config)
    small = dataclasses.replace(beta_vae.Config.tiny(), steps=5)
    loop.train("beta_vae", options(tmp_path, name="vae"), small, rooms.Config())
    with pytest.raises(errors.CaveError, match="that run is of beta_vae, wanted one of gqn"):
        begin("vae", config)
    loop.train("gqn", options(tmp_path, name="one"), dataclasses.replace(config, steps=5), rooms.Config())
    with pytest.raises(errors.CaveError, match="weights of another model"):
        begin("one", dataclasses.replace(config, hidden=8))
    assert not (tmp_path / "x").exists()


def test_what_is_said_of_a_run_that_was_stopped_is_what_was_kept(tmp_path, capfd):
    stop = loop.Stop()
    try:
        stop.note(signal.SIGINT, None)
        stop.tell(tmp_path)
        with pytest.raises(SystemExit) as end:
            stop.note(signal.SIGINT, None)
        stop.tell(tmp_path)
        for step in (40, 200):
            runs.save_checkpoint(tmp_path, step, {}, {})
        stop.tell(tmp_path)
    finally:
        stop.release()
    told, warned = capfd.readouterr()
    first, second, third = told.splitlines()
    assert end.value.code == 130 and "once more ends at once, unsaved" in warned
    assert first.startswith("stopped and saved")
    assert second.startswith("stopped at once, before the first checkpoint")
    assert third.startswith("stopped at once: the same line with --resume goes on from step 200,")


def test_without_a_terminal_progress_is_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(loop, "SAY_EVERY", 0.0)
    shown, advance = loop.bar(10, 0)
    with shown:
        advance(3, "loss 1.0")
    assert capsys.readouterr().out == "3 of 10: loss 1.0\n"
