"""Options: dataclasses there and back, and every slip as one line with what was meant."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes.kit import errors, options, plugins


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """Options of a run."""

    env: str = "rooms"
    """Environment whose scenes are watched."""
    n_steps: int = 0
    """Optimiser steps."""
    size: Literal["auto", "tiny"] = "auto"
    """Of the learner."""
    resume: bool = False
    """Go on."""
    runs: Path = Path("runs")
    """Folder of runs."""
    name: str | None = None
    """Of the run."""
    rate: float = 0.5
    """Learning rate."""
    sensors: tuple[str, ...] = ("rgb",)
    """What is sensed."""
    shape: tuple[int, int] = (64, 64)
    """Height and width."""


@dataclasses.dataclass(frozen=True)
class Inner:
    """A dataclass in another."""

    depth: int
    weights: dict[str, float] = dataclasses.field(default_factory=dict)
    extra: Any = None


@dataclasses.dataclass(frozen=True)
class Outer:
    """Everything that JSON must carry."""

    inner: Inner
    listed: list[int] = dataclasses.field(default_factory=list)
    pairs: tuple[tuple[float, float], ...] = ()
    either: int | str | None = None


RUNS = st.builds(
    Run,
    env=st.text(max_size=5),
    n_steps=st.integers(),
    size=st.sampled_from(["auto", "tiny"]),
    resume=st.booleans(),
    runs=st.sampled_from([Path("a/b"), Path("/")]),
    name=st.none() | st.text(max_size=5),
    rate=st.floats(allow_nan=False),
    sensors=st.lists(st.text(max_size=3), max_size=3).map(tuple),
    shape=st.tuples(st.integers(), st.integers()),
)
OUTERS = st.builds(
    Outer,
    st.builds(Inner, st.integers(), st.dictionaries(st.text(max_size=3), st.floats(allow_nan=False), max_size=3)),
    st.lists(st.integers(), max_size=3),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=3).map(tuple),
    st.none() | st.integers() | st.text(max_size=3),
)


@given(RUNS | OUTERS)
@settings(max_examples=100, deadline=None)
def test_dataclass_survives_json(config):
    tree = json.loads(json.dumps(options.to_dict(config)))
    assert options.from_dict(type(config), tree) == config


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"n_stepz": 1}, r"n_stepz.*did you mean 'n_steps'"),
        ({"n_steps": "4"}, r"config\.n_steps is '4', wanted a whole number"),
        ({"n_steps": True}, r"wanted a whole number"),
        ({"n_steps": 1.0}, r"wanted a whole number"),
        ({"resume": 1}, r"config\.resume is 1"),
        ({"rate": "x"}, r"wanted a number"),
        ({"size": "huge"}, r"wanted one of auto, tiny"),
        ({"shape": [1, 2, 3]}, r"config\.shape is .*wanted 2 values"),
        ({"sensors": ["a", 1]}, r"config\.sensors\[1\] is 1, wanted text"),
        ({"name": 3}, r"wanted text or None"),
        ([], r"config is \[\]"),
        (None, r"config is None"),
        ("x" * 10_000, r"config is 'x{30,60}\.\.\., wanted"),
    ],
)
def test_wrong_trees_are_refused_by_field(tree, told):
    with pytest.raises(errors.CaveError, match=told):
        options.from_dict(Run, tree)


def test_missing_and_nested_fields_are_named():
    with pytest.raises(errors.CaveError, match=r"config\.inner is missing"):
        options.from_dict(Outer, {})
    with pytest.raises(errors.CaveError, match=r"card\.inner\.depth is 'x'"):
        options.from_dict(Outer, {"inner": {"depth": "x"}}, "card")
    assert options.from_dict(Run, {}) == Run()


def test_hash_stands_for_the_values():
    assert options.config_hash(Run()) == options.config_hash(options.to_dict(Run()))
    assert options.config_hash({"a": 1, "b": 2}) == options.config_hash({"b": 2, "a": 1})
    others = [dataclasses.replace(Run(), **{name: value}) for name, value in (("n_steps", 1), ("rate", 0.25))]
    assert len({options.config_hash(run) for run in (Run(), *others)}) == 3


def parse(*argv):
    return options.parse("prog", argv, Run, Inner(3), Inner(4))


def test_command_line():
    run, model, env = parse("--n-steps", "5", "--env.depth=6", "--resume", "--shape", "1", "2", "--sensors", "a", "b")
    assert run == dataclasses.replace(Run(), n_steps=5, resume=True, shape=(1, 2), sensors=("a", "b"))
    assert (model, env) == (Inner(3), Inner(6))
    assert parse("--n_steps", "5", "--no-resume") == parse("--n-steps=5")
    assert options.parse("prog", [], Run) == (Run(), None, None)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--n-stepz", "3"], r"unknown option '--n-stepz': choose from --env,.*did you mean '--n-steps'\?"),
        (["--model.dept", "3"], r"unknown option '--model.dept': choose from --model.depth.*mean '--model.depth'"),
        (["--modle.depth", "3"], r"did you mean '--model.depth'"),
        (["--depth", "3"], r"unknown option '--depth'.*did you mean '--(model|env).depth'"),
        (["--n-steps", "x"], r"--n-steps wants a whole number, not 'x'"),
        (["--n_steps=1.5"], r"--n-steps wants a whole number, not '1.5'"),
        (["--n-steps"], r"--n-steps wants a whole number, and was given nothing"),
        (["--rate", "fast"], r"--rate wants a number, not 'fast'"),
        (["--size", "tinny"], r"unknown value of --size 'tinny': choose from auto, tiny; did you mean 'tiny'"),
        (["--shape", "1"], r"--shape wants 2 values"),
        (["--shape", "1", "x"], r"--shape wants 2 values .*not '1 x'"),
        (["surplus"], r"unexpected 'surplus'"),
        (["--resume", "maybe"], r"unexpected 'maybe'"),
        (["--env.depth", "1", "--env.depth", "y"], r"--env.depth wants a whole number, not"),
    ],
)
def test_slips_are_one_line(argv, told, capsys):
    with pytest.raises(errors.CaveError, match=told) as caught:
        parse(*argv)
    assert caught.value.code == errors.USAGE and "\n" not in str(caught.value)
    assert capsys.readouterr() == ("", "")


@given(st.lists(st.text(max_size=8) | st.sampled_from(["--n-steps", "--env.depth", "--size", "--shape"]), max_size=4))
@settings(max_examples=60, deadline=None)
def test_no_line_gets_more_than_a_line(argv):
    if any(word in ("-h", "--help") for word in argv):
        return
    try:
        parse(*argv)
    except errors.CaveError as error:
        assert error.code == errors.USAGE and "\n" not in str(error)


def test_help_shows_the_sentences(capsys):
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    told = capsys.readouterr().out
    assert not caught.value.code
    assert "Optimiser steps." in told and "--model.depth" in told and "(default: 4)" in told


def test_peek():
    assert options.peek([], "--env", "rooms") == "rooms"
    assert options.peek(["--env", "a", "--env=b", "--env.n", "3"], "--env", "rooms") == "b"
    for argv in (["--env"], ["--env", "--seed"]):
        with pytest.raises(errors.CaveError, match="--env wants a value"):
            options.peek(argv, "--env", "rooms")


def test_choose(capsys):
    assert options.choose(["rooms", "--x"], "prog", "About.", "scenes", "family") == ("rooms", ["--x"])
    for argv, told in (
        (["romos"], "did you mean 'rooms'"),
        ([], "nothing was given"),
        (["--env"], "'--env' came first"),
    ):
        with pytest.raises(errors.CaveError, match=told) as caught:
            options.choose(argv, "prog", "About.", "scenes", "family")
        assert caught.value.code == errors.USAGE
    with pytest.raises(SystemExit):
        options.choose(["--help"], "prog", "About.", "scenes", "family")
    told = capsys.readouterr().out
    assert "About." in told and "rooms Square rooms" in " ".join(told.split())


@pytest.mark.parametrize(
    ("thrown", "code", "told"),
    [
        ("errors.CaveError('bad thing')", 1, "error: bad thing\n"),
        ("errors.unknown('split', 'tran', ['train'])", 2, "did you mean 'train'?\n"),
        ("KeyboardInterrupt()", 130, "error: interrupted\n"),
        ("OSError(28, 'No space left on device', 'runs/x')", 1, "error: No space left on device: runs/x\n"),
        ("ZeroDivisionError('two\\nlines')", 1, "internal: ZeroDivisionError: two lines (run again with --debug"),
    ],
)
def test_main_ends_in_one_line(thrown, code, told):
    script = f"from scenes.kit import errors, options\ndef main(argv):\n    raise {thrown}\noptions.main(main)"
    plain, debug = (
        subprocess.run([sys.executable, "-c", script, *argv], capture_output=True, text=True)
        for argv in ([], ["--debug"])
    )
    assert (plain.returncode, debug.returncode) == (code, code)
    assert told in plain.stderr and plain.stderr.count("\n") == 1 and plain.stderr.startswith("error: ")
    assert "Traceback" in debug.stderr


def test_main_passes_words_on_and_ends_well():
    script = "from scenes.kit import options\noptions.main(lambda argv: print(argv))"
    done = subprocess.run([sys.executable, "-c", script, "a", "--debug", "b"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "['a', 'b']\n", "")


def test_main_ends_well_where_nothing_can_be_said():
    script = "from scenes.kit import options\noptions.main(lambda argv: print(argv))"
    done = subprocess.run(["sh", "-c", '"$0" -c "$1" >&- 2>&-', sys.executable, script])
    assert done.returncode == 0


def test_choices_are_listed_without_importing_anything():
    script = (
        "import sys; from scenes.kit import options\n"
        "try: options.choose(['--help'], 'p', 'About.', 'learners', 'learner')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numba', 'tyro', 'gymnasium', 'mujoco', 'stable_baselines3'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    best = 1e9
    for _ in range(3):
        began = os.times()
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        ended = os.times()
        best = min(best, ended.children_user + ended.children_system - began.children_user - began.children_system)
        assert done.returncode == 0, done.stderr
    assert "gqn" in done.stdout
    assert best < 1.0  # seconds of computing; about a quarter where nothing else runs


def test_plugins():
    assert {"blocks", "rooms"} <= set(plugins.names("scenes"))
    assert plugins.load("scenes", "rooms", "family").__name__ == "scenes.rooms"
    for name in ("preview", "kit", "__init__", "../rooms", "scenes.rooms", ""):
        with pytest.raises(errors.CaveError, match="unknown family"):
            plugins.load("scenes", name, "family")
    with pytest.raises(errors.CaveError, match="no package"):
        plugins.names("scenes.nowhere")


def test_missing_dependency_is_named(tmp_path, monkeypatch):
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "__init__.py").touch()
    (tmp_path / "zoo" / "cat.py").write_text("import whiskers_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert plugins.names("zoo") == ["cat"]
    with pytest.raises(errors.CaveError, match="animal 'cat' needs the package 'whiskers_that_nobody_has'"):
        plugins.load("zoo", "cat", "animal")
