"""The README's lines: that they name what exists, and that they run, tiny."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from scenes.kit import plugins

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LINES = sorted(set(re.findall(r"python -m ((?:scenes|envs|learners|agents|evaluation)\.\w+[^\n`|&;)]*)", README)))


def run(words, tmp_path):
    line = [sys.executable, "-m", *words]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


def test_the_readme_has_lines_for_every_command():
    commands = {line.split()[0] for line in LINES}
    assert {"learners.train", "agents.train", "evaluation.run", "evaluation.report", "evaluation.video"} <= commands
    assert {"envs.benchmark", "scenes.preview"} <= commands


@pytest.mark.parametrize("line", LINES)
def test_a_line_names_modules_and_choices_that_exist(line):
    words = shlex.split(line)
    package, command = words[0].split(".")
    assert (ROOT / package / f"{command}.py").is_file()
    for flag, where in (("--env", "envs"), ("--encoder", "learners")):
        if flag in words:
            value = words[words.index(flag) + 1]
            if flag == "--env":
                assert value in plugins.names(where)
    if command in ("train",) and not words[1].startswith("-"):
        assert words[1] in plugins.names(package)


@pytest.mark.parametrize("line", [line for line in LINES if " --" in line])
def test_a_line_has_only_options_that_the_command_knows(line):
    """The line with `--help` at its end is parsed up to there: an option that does not exist would end it in 2."""
    words = [word for word in shlex.split(line) if word != "--help"]
    options = [word.split("=")[0] for word in words if word.startswith("--")]
    told = run([*(w for w in words[:2] if not w.startswith("--")), "--help"], None).stdout
    for option in options:
        assert option in told, option


def test_the_path_of_the_readme_runs_tiny(tmp_path):
    """Train an encoder, learn to act on its code, film it, draw the report: each line of the README's path, small."""
    runs = ["--runs", str(tmp_path)]
    few = ["--env-steps", "1024", "--n-worlds", "8"]
    lines = [
        ["learners.train", "gqn", "--env", "rooms", "--size", "tiny", "--n-held-out", "16", *runs],
        ["agents.train", "ppo", "--env", "rooms", "--encoder", f"{tmp_path}/gqn-rooms-0", *few, *runs],
        ["evaluation.video", f"{tmp_path}/ppo-gqn-rooms-0", "--episodes", "1", "--out", f"{tmp_path}/film.mp4"],
    ]  # fmt: skip
    for words in lines:
        process = run(words, tmp_path)
        assert process.returncode == 0, (words, process.stderr)
        assert "Traceback" not in process.stderr
    assert (tmp_path / "gqn-rooms-0" / "encoder" / "encoder.safetensors").is_file()
    assert (tmp_path / "film.mp4").stat().st_size > 1000
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".pkl", ".pt", ".pth", ".zip")]
