"""Every environment after a million steps and ten thousand resets is what it was: it holds no more memory, files or threads."""

import dataclasses
import gc
import os
from pathlib import Path

import mujoco
import numba
import numpy as np
import pytest
from scipy import stats

import envs
from scenes.kit import plugins

STEPS, RESETS, WORLDS, LOOKS = 10**6, 10**4, 64, 40
PROCESS = Path("/proc/self")


def held() -> tuple[int, int, int]:
    """What this process holds: bytes of memory, open files, threads."""
    gc.collect()
    pages = int((PROCESS / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE"), *(len(list((PROCESS / name).iterdir())) for name in ("fd", "task"))


def arenas(held, seen) -> int:
    """Bytes of MuJoCo's arenas that were ever used, in whole pages, of everything that an object holds.

    An arena's pages count as held from when they are first used, and the most that contacts ever needed goes on growing
    for long, ever more slowly: that is no leak.
    """
    if id(held) in seen:
        return 0
    seen[id(held)] = held
    if isinstance(held, mujoco.MjData):
        page = os.sysconf("SC_PAGESIZE")
        return -(-held.maxuse_arena // page) * page
    below = held if isinstance(held, (list, tuple)) else []
    if type(held).__module__.startswith("envs."):
        below = vars(held).values()
    return sum(arenas(one, seen) for one in below)


def slope(memory) -> tuple[float, float]:
    """Bytes more from one look to the next: the 95 % interval of the mean.

    Of the differences, since memory is taken by leaps: a line laid through the memory itself would be sure of a slope
    after a single leap.
    """
    rises = np.diff(memory).astype(float)
    error = rises.std(ddof=1) / np.sqrt(len(rises))
    return tuple(rises.mean() + error * stats.t.ppf([0.025, 0.975], len(rises) - 1))


def test_a_leak_is_told_from_a_leap():
    rng = np.random.default_rng(0)
    base = np.full(LOOKS, 4 * 10**8)
    leap = base + (np.arange(LOOKS) > 17) * 10**6
    noise = base + rng.integers(-(10**5), 10**5, LOOKS)
    leaks = [base + np.arange(LOOKS) * 4096, noise + np.arange(LOOKS) * 10**5, base + np.arange(LOOKS) // 4 * 10**5]
    assert all(slope(memory)[0] <= 0 for memory in (base, leap, noise))
    assert all(slope(memory)[0] > 0 for memory in leaks)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", plugins.names("envs"))
def test_a_million_steps_and_ten_thousand_resets_leave_nothing_behind(name):
    numba.set_num_threads(1)
    config = dataclasses.replace(envs.module(name).Config.tiny(), max_steps=WORLDS)
    face = envs.vector(name, WORLDS, config, sensors=envs.SENSORS)
    face.reset(seed=0)
    memory, others, resets = [], [], 0
    each = STEPS // WORLDS // LOOKS
    # Half as much again goes before, in which allocators and caches fill.
    for look in range(-LOOKS // 2, LOOKS):
        for _ in range(each):
            observation, reward, terminated, truncated, _ = face.step(face.world.random())
            assert np.isfinite(reward).all() and observation in face.observation_space
            resets += int((terminated | truncated).sum())
        if look >= 0:
            now = held()
            memory.append(now[0] - arenas(face.world, {}))
            others.append(now[1:])
    assert resets >= RESETS
    assert slope(memory)[0] <= 0, [m - memory[0] for m in memory]
    assert others[0] == others[-1]
