"""Choices by file name: a module beside a package's `__init__` is what a command line may name.

Listing them reads a folder and imports nothing, so that `--help` answers without torch; only the chosen one is
imported.
"""

import importlib
import importlib.util
import pathlib
from types import ModuleType

from scenes.kit import errors

COMMANDS = frozenset({"train", "record", "run", "video", "report", "preview", "export", "benchmark"})
"""Modules that are started with `python -m`, never chosen."""


def names(package: str) -> list[str]:
    """Names of the choices of a package (`"learners"`, `"scenes.renderers"`), sorted: its modules, not its folders."""
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise errors.CaveError(f"there is no package {package!r} among the installed ones")
    files = (path for folder in folders for path in pathlib.Path(folder).glob("*.py"))
    return sorted(path.stem for path in files if not path.stem.startswith("_") and path.stem not in COMMANDS)


def load(package: str, name: str, what: str) -> ModuleType:
    """Import one choice of a package, and no other.

    Args:
        package: Where it lies.
        name: Its file name, without the ending. Nothing else is accepted: no dots, paths or class names.
        what: What to call it in the error, as "learner".

    Raises:
        errors.CaveError: there is no such choice, or it needs a package that is not installed.
    """
    if name not in names(package):
        raise errors.unknown(what, name, names(package))
    try:
        return importlib.import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        if not error.name or error.name.split(".")[0] == package.split(".")[0]:
            raise
        raise errors.CaveError(f"{what} {name!r} needs the package {error.name!r}, which is not installed") from error
