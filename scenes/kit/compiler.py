"""numba, set up once for all packages: whoever compiles takes it from here.

LLVM leaves the widest registers of a processor with AVX-512 alone, since the first ones slowed down when they were used.
On those that came later they make a frame a tenth cheaper. numba takes the setting for all that a process compiles, but only
before its first function is declared, and keeps compiled code apart by it: if it depended on which module came first, the
same functions would be compiled twice.
"""

import llvmlite.binding
import numba

__all__ = ["numba"]

_SLOWED = ("skylake-avx512", "cascadelake", "cooperlake")
"""LLVM's names of processors whose clocks fall."""


def _widen() -> None:
    features, name = llvmlite.binding.get_host_cpu_features(), llvmlite.binding.get_host_cpu_name()
    if numba.config.CPU_FEATURES is None and features.get("avx512f") and name not in _SLOWED:
        numba.config.CPU_FEATURES = f"{features.flatten()},-prefer-256-bit"


_widen()
