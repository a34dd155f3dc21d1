"""Randomness by name: every generator is derived from one root integer and a few words.

A new consumer names its own generator and so never disturbs an old one. Whatever is wanted by index (scene 17, episode
4 of world 9) comes from `uniform`, a function of its counters rather than of a generator's past: the same in any order,
in any batch, in any process and under any PYTHONHASHSEED.
"""

import functools
import hashlib

import numpy as np
from jaxtyping import Float64, Int

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MASK = (1 << 64) - 1


def derive(seed: int | np.integer, *words: str | int | np.integer) -> int:
    """A 63-bit seed for the consumer named by `words`, from `seed` (any integer).

    Different words give independent seeds; ("a", "bc") and ("ab", "c") differ, as do 1 and "1".
    """
    return int.from_bytes(_digest(seed, words)[:8], "big") >> 1


def generator(seed: int | np.integer, *words: str | int | np.integer) -> np.random.Generator:
    """A numpy generator (Philox) for the consumer named by `words`."""
    return np.random.Generator(np.random.Philox(key=int.from_bytes(_digest(seed, words)[:16], "big")))


def uniform(key: int, index: Int[np.ndarray, " b"], n: int, stream: int = 0) -> Float64[np.ndarray, "b n"]:
    """Numbers in [0, 1): entry (i, j) is a function of `key`, `index[i]`, `stream` and j alone.

    Args:
        key: Usually from `derive`.
        index: One counter a row, any int64.
        n: Numbers a row; asking for more leaves those before unchanged.
        stream: Tells apart several rows of one index (attempts, objects), at least 0.

    Source: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014), applied to the key and stream, to that and the
    index, and to that and the column: 64 well mixed bits, of which the upper 53 are used.
    """
    rows = _mix(_start(key, stream) + np.asarray(index, np.int64).view(np.uint64) * _GOLDEN)
    bits = _mix(rows[:, None] + np.arange(1, n + 1, dtype=np.uint64) * _GOLDEN)
    return (bits >> np.uint64(11)) * 2.0**-53


@functools.lru_cache(maxsize=1024)
def _start(key: int, stream: int) -> np.ndarray:
    return _mix(np.array([(key + (stream + 1) * 0xD1342543DE82EF95) & _MASK], np.uint64))


def _mix(z: np.ndarray) -> np.ndarray:
    """Stir 64-bit integers, in place; of arrays numpy lets them overflow in silence."""
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def _digest(seed: int | np.integer, words: tuple) -> bytes:
    # Each part carries its type and length, so that no two lists of words spell the same text.
    plain = [part if isinstance(part, str) else int(part) for part in (seed, *words)]
    parts = [f"{type(part).__name__}:{len(str(part))}:{part}" for part in plain]
    return hashlib.sha256("/".join(parts).encode()).digest()
