"""What every protocol promises, whatever it measures."""

import dataclasses
import inspect
import subprocess
import sys

import pytest

import evaluation
from agents import ppo
from envs import rooms
from evaluation import run
from evaluation.studies.study import Study
from scenes.factors import tiers
from scenes.kit import plugins

PROTOCOLS = plugins.names("evaluation")


@pytest.fixture(params=PROTOCOLS)
def protocol(request):
    return plugins.load("evaluation", request.param, "protocol")


def test_the_folder_reads_as_a_list_of_protocols():
    assert {"efficiency", "probe", "transfer"} <= set(PROTOCOLS)


def test_a_protocol_has_its_names_and_says_how_it_is_run(protocol):
    name = protocol.__name__.rpartition(".")[2]
    assert f"python -m evaluation.run {name}" in protocol.__doc__
    assert issubclass(protocol.Config, Study)
    assert protocol.Config.__dataclass_params__.frozen
    assert isinstance(protocol.Config.tiny(), protocol.Config)
    for function, arguments in (
        ("subjects", ["config", "agent_config", "env_config"]),
        ("measure", ["config", "subject", "known"]),
        ("sections", ["rows"]),
    ):
        assert list(inspect.signature(getattr(protocol, function)).parameters) == arguments
    assert protocol.sections([]) == []


def test_listing_them_costs_no_torch():
    code = (
        "import sys\n"
        "from evaluation import run\n"
        "try: run.main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'sklearn', 'gymnasium'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in PROTOCOLS:
        assert name in done.stdout


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_study_measures_repeats_and_finds_itself_done(name, tmp_path, monkeypatch):
    protocol = plugins.load("evaluation", name, "protocol")
    agent, world = ppo.Config.tiny(), rooms.Config(image_size=16, max_steps=12)
    study = lambda folder, **changes: run.study(
        name, dataclasses.replace(protocol.Config.tiny(), runs=folder, encoders=("state",), **changes), agent, world
    )
    path = study(tmp_path / "a")
    rows = evaluation.read(path)
    assert rows
    for row in rows:
        assert row.protocol == name
        assert row.scenes_hash
        assert row.options_hash
        if row.learner == "state":
            assert row.tier in tiers.TIERS
            assert row.sensors == ("state",)
    assert protocol.sections(rows)

    # A run that has gone missing is trained again, and everything comes out as before.
    values = lambda path: {r.key: r.value for r in evaluation.read(path) if r.metric != "steps per second"}
    assert values(study(tmp_path / "b")) == values(path)

    # What is done is left alone, and more seeds add to it.
    before = path.stat().st_mtime_ns
    monkeypatch.setattr(protocol, "measure", lambda *_: pytest.fail("measured again"))
    assert study(tmp_path / "a") == path
    assert path.stat().st_mtime_ns == before
    monkeypatch.undo()
    assert study(tmp_path / "a", seeds=2) == path
    more = evaluation.read(path)
    assert rows == more[: len(rows)]
    assert {row.seed for row in more} == {0, 1}
