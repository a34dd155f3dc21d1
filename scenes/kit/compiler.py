"""numba, set up once for all packages: whoever compiles takes it from here.

LLVM leaves the widest registers of a processor with AVX-512 alone, since the first ones slowed down when they were used.
On those that came later they make a frame a tenth cheaper. numba takes the setting for all that a process compiles, but only
before its first function is declared, and keeps compiled code apart by it: if it depended on which module came first, the
same functions would be compiled twice.
"""

import contextlib
import sys
from collections.abc import Callable

import llvmlite.binding
import numba
from numba.core import caching, sigutils

__all__ = ["kept", "numba"]

_SLOWED = ("skylake-avx512", "cascadelake", "cooperlake")
"""LLVM's names of processors whose clocks fall."""


def _widen() -> None:
    features, name = llvmlite.binding.get_host_cpu_features(), llvmlite.binding.get_host_cpu_name()
    if numba.config.CPU_FEATURES is None and features.get("avx512f") and name not in _SLOWED:
        numba.config.CPU_FEATURES = f"{features.flatten()},-prefer-256-bit"


_widen()


def kept(**options) -> Callable:
    """`numba.njit` with these options for a function whose code is kept on disk. numba itself ends the program where there is no
    room or no folder for it, or where what is there cannot be read."""

    def declare(function):
        made = numba.njit(**options)(function)
        try:
            made._cache = _Cache(function)
        except RuntimeError:
            made._cache = _Nowhere()
        return made

    return declare


_told = False


def _tell(reason: str) -> None:
    global _told
    if not _told:
        _told = True
        line = f"compiled code is not kept ({reason}): every process compiles anew; set NUMBA_CACHE_DIR to a folder with room"
        print(line, file=sys.stderr, flush=True)


class _Cache(caching.FunctionCache):
    """Compiles what cannot be read, and tells what cannot be written."""

    def load_overload(self, sig, target_context):
        try:
            made = super().load_overload(sig, target_context)
            # Processes that save at the same moment give one file to code for different arguments; the last writer's is there.
            other = made is not None and tuple(made.signature.args) != tuple(sigutils.normalize_signature(sig)[0])
            return None if other else made
        except Exception:  # a file that was cut off can raise anything
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig, data):
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _tell(str(error))


class _Nowhere(caching.NullCache):
    """Where numba finds no folder that it may write to."""

    def save_overload(self, sig, data):
        _tell("no folder for it can be written")
