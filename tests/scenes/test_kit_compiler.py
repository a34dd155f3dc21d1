"""Compiled code is kept on disk once, whichever module of the suite a process meets first."""

import re
from pathlib import Path

import pytest

from scenes.kit import compiler

ROOT = Path(compiler.__file__).parents[2]
SOURCES = [
    path for name in ("scenes", "envs", "learners", "agents", "evaluation") for path in (ROOT / name).rglob("*.py")
]


@pytest.mark.parametrize("path", [path for path in SOURCES if "numba.njit" in path.read_text()], ids=str)
def test_whoever_compiles_has_numba_set_up_before_its_first_function(path):
    kernels = ROOT / "scenes" / "renderers" / "kernels"
    if kernels in path.parents:
        path = kernels / "__init__.py"
    assert re.search(r"^(from|import) scenes\.kit\.compiler\b", path.read_text(), re.MULTILINE)
