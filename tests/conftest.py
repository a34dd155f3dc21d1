"""What every test shares: annotations are checked as they run; what a machine lacks is skipped here, nowhere else."""

import ctypes.util

import pytest
from jaxtyping import install_import_hook

# Before anything imports them: shapes and types in public signatures become assertions.
PACKAGES = ["scenes", "envs", "learners", "agents", "evaluation"]
_hook = install_import_hook(PACKAGES, "beartype.beartype")


def pytest_configure(config):
    # Gymnasium annotates its own generics with names that beartype thinks old.
    config.addinivalue_line("filterwarnings", "ignore::beartype.roar.BeartypeDecorHintPep585DeprecationWarning")


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
