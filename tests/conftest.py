"""What every test shares: annotations are checked as they run; what a machine lacks is skipped here, nowhere else."""

import ctypes.util
import importlib.machinery
import os
import sys
import types

import pytest
from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

# Nets are tiny here and tests run side by side: torch's threads would mostly wait, for each other and for a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before anything imports them: shapes and types in signatures become assertions. A float may be an int, as everywhere
# in Python (PEP 484). The hook wants its checker by name, from a module.
PACKAGES = ["scenes", "envs", "learners", "agents", "evaluation"]
sys.modules["checker"] = types.ModuleType("checker")
sys.modules["checker"].check = beartype(conf=BeartypeConf(is_pep484_tower=True))
_hook = install_import_hook(PACKAGES, "checker.check")


class Unchecked(importlib.machinery.PathFinder):
    """Imports some modules as they are: numba's sources, since checked functions can neither be compiled nor cached, and
    the algebra of sets, whose hundred thousand small calls take fifty times as long when checked."""

    SOURCES = ("scenes.renderers.kernels", "envs.physics.calls", "envs.physics.hamiltonian", "learners.nets.points")
    SOURCES += ("scenes.factors.distributions", "envs.physics.slides")

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        return super().find_spec(fullname, path, target) if fullname.startswith(cls.SOURCES) else None


sys.meta_path.insert(0, Unchecked)

# MuJoCo's own Renderer, which some tests compare with, takes a library that wants a display unless told otherwise.
os.environ.setdefault("MUJOCO_GL", "egl" if ctypes.util.find_library("EGL") else "osmesa")


@pytest.fixture(autouse=True)
def one_thread_of_torch():
    """Trainings set the number that they were asked for, for the whole process; the next test begins with one again."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def pytest_configure(config):
    # Gymnasium annotates its own generics with names that beartype thinks old.
    config.addinivalue_line("filterwarnings", "ignore::beartype.roar.BeartypeDecorHintPep585DeprecationWarning")
    # The checker looks at a random entry of a container; it draws nothing that a test depends on.
    config.addinivalue_line("filterwarnings", "ignore:Do not use the `random` module inside strategies")


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests that need patience, too")


def pytest_collection_modifyitems(config, items):
    absent = {
        "slow": None if config.getoption("--slow") else "needs patience: give --slow",
        "gpu": None if not _any(items, "gpu") or _has_gpu() else "needs a CUDA device",
        "opengl": None if not _any(items, "opengl") or _has_opengl() else "needs libEGL or libOSMesa",
    }
    for item in items:
        for name, reason in absent.items():
            if reason and item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=reason))


def _any(items, name):
    return any(item.get_closest_marker(name) for item in items)


def _has_gpu():
    import torch

    return torch.cuda.is_available()


def _has_opengl():
    return any(ctypes.util.find_library(name) for name in ("EGL", "OSMesa"))
