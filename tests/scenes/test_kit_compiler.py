"""Compiled code is kept on disk once, whichever module a process meets first; where it cannot be, a line says so."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scenes.kit import compiler

ROOT = Path(compiler.__file__).parents[2]
SOURCES = [
    path for name in ("scenes", "envs", "learners", "agents", "evaluation") for path in (ROOT / name).rglob("*.py")
]


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if re.search("@(numba.njit|kept)", path.read_text())], ids=str
)
def test_whoever_compiles_has_numba_set_up_before_its_first_function(path):
    kernels = ROOT / "scenes" / "renderers" / "kernels"
    if kernels in path.parents:
        path = kernels / "__init__.py"
    assert re.search(r"^(from|import) scenes\.kit\.compiler\b", path.read_text(), re.MULTILINE)


def run(folder, *lines, **environment):
    """Run a small compiled function of a module of its own in a process of its own; what it says on standard error."""
    module = folder / "small.py"
    if not module.exists():
        module.write_text("from scenes.kit.compiler import kept\n\n\n@kept()\ndef twice(x):\n    return 2 * x\n")
    text = "\n".join(
        [*lines, "import small", "assert small.twice(21) == 42", "print(dict(small.twice.stats.cache_hits))"]
    )
    told = {"PYTHONPATH": f"{ROOT}:{folder}", "NUMBA_CACHE_DIR": str(folder / "cache"), **environment}
    done = subprocess.run([sys.executable, "-c", text], env={**os.environ, **told}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr, done.stdout != "{}\n"


def test_code_is_kept_and_what_of_it_is_cut_off_is_compiled_anew(tmp_path):
    assert [run(tmp_path) for _ in range(2)] == [("", False), ("", True)]
    for end in ("nbc", "nbi"):
        for file in tmp_path.rglob(f"*.{end}"):
            file.write_bytes(file.read_bytes()[:-10])
        assert [run(tmp_path) for _ in range(2)] == [("", False), ("", True)]


def test_without_room_or_a_folder_one_line_says_that_code_is_not_kept(tmp_path):
    small = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    none = "from numba.core import caching; caching.CacheImpl._locator_classes = []"
    for line, reason in ((small, "File too large"), (none, "no folder")):
        said, hit = run(tmp_path, line)
        assert reason in said and said.count("\n") == 1 and "set NUMBA_CACHE_DIR" in said and not hit


def test_code_for_other_arguments_is_not_called(tmp_path):
    """What two processes leave that saved at the same moment: one file for both, with the code of the slower one."""
    whole, half = "import small; assert small.twice(21) == 42", "import small; assert small.twice(1.5) == 3"
    run(tmp_path, whole, half)
    first, second = sorted(tmp_path.rglob("*.nbc"))
    second.write_bytes(first.read_bytes())
    assert [run(tmp_path, line, half) for line in (whole, "")] == [("", True)] * 2
    assert second.read_bytes() != first.read_bytes()
