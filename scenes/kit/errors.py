"""One-line errors: what was given, what is accepted, what to do."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

USAGE, FAILED = 2, 1
"""Exit codes: a command that was asked for something it cannot know; a run that could not go on."""


class CaveError(Exception):
    """An error meant for the person at the keyboard: a single line, no traceback unless `--debug` asks for it.

    Args:
        message: What was given, what would have been accepted, what to do instead.
        code: Exit code of a command that ends with it: `USAGE` or `FAILED`.
    """

    def __init__(self, message: str, code: int = FAILED):
        # Names of files may hold bytes that are no letters, over which printing would fail.
        super().__init__(" ".join(message.encode("utf-8", "backslashreplace").decode().split()))
        self.code = code


def unknown(what: str, given: str, accepted: Iterable[str]) -> CaveError:
    """The error for a name that is not among those accepted, with what was perhaps meant."""
    names = sorted(accepted)
    close = difflib.get_close_matches(str(given), names, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return CaveError(f"unknown {what} {given!r}: choose from {', '.join(names)}{hint}", USAGE)


def within(what: str, config: Any, limits: Mapping[str, tuple[float, float]]) -> None:
    """Refuse a config of which a number lies outside its limits, both of them allowed.

    Raises:
        CaveError: names the number and what was wanted.
    """
    for name, (low, high) in limits.items():
        if not low <= getattr(config, name) <= high:
            raise CaveError(f"{what}: {name} is {getattr(config, name)}, wanted {low:g} to {high:g}", USAGE)
