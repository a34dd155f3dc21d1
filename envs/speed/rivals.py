"""Whole environments with pictures: a batch of worlds, and beside it what Gymnasium's `AsyncVectorEnv` makes of single ones.

Every rival is stepped with random actions in the same rounds, on the same scenes, and sees colours alone, one ray a pixel.
A worker is a process with one environment and one thread. What draws in them:

    ours      the ray caster, one world a process
    MuJoCo    MuJoCo's own renderer on the model of the same scene, compiled anew for each episode's; it needs OpenGL
    MiniWorld its own rooms (MiniWorld-OneRoom-v0), where that package is installed
"""

import contextlib
import dataclasses
import functools
import importlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np

import envs
from envs import speed
from scenes.kit import errors

_SENSORS = ("image", "pose", "goal")


def measure(name: str, config: Any, options: speed.Options) -> Iterator[speed.Row]:
    """Steps of a batch of worlds and of each rival there is; a rival that cannot be is left out in one line."""
    n, size = options.async_envs, (options.size, options.size)
    if n == 0:
        return
    plain = dataclasses.replace(config, supersample=1)
    batch = envs.make(name, plain, options.n_worlds[0], sensors=_SENSORS, size=size)
    batch.reset()
    first = f"{batch.n} worlds at once, one process"
    calls: dict[str, Callable[[], Any]] = {
        first: functools.partial(speed.play, batch, batch.observe(), options.n_steps)
    }
    counts = {first: batch.n}
    with contextlib.ExitStack() as opened:
        for what, make in _singles(name, plain, size).items():
            try:
                rival = opened.enter_context(contextlib.closing(_started(make, n)))
            except Exception as error:  # each library that lacks has its own
                if what == "ours":
                    raise
                why = str(error).partition("\n")[0]
                yield speed.Row("ready", f"{what} is left out: {why}", np.nan, "")
                continue
            calls[f"AsyncVectorEnv of {n}, {what}"] = functools.partial(_play, rival, options.n_steps)
            counts[f"AsyncVectorEnv of {n}, {what}"] = n
        seconds = speed.best(calls, options.rounds)
    rates = {what: counts[what] * options.n_steps / seconds[what] for what in calls}
    for what, rate in rates.items():
        note = "" if what == first else f"{rates[first] / rate:,.1f} times slower"
        yield speed.Row("whole", what, rate, "steps", note)


def _singles(name: str, config: Any, size: tuple[int, int]) -> dict[str, Callable[[], gymnasium.Env]]:
    """What makes one environment of each kind, to be called in its process."""
    made = {"ours": functools.partial(envs.single, name, config, sensors=_SENSORS, size=size)}
    drawn = dataclasses.replace(config, renderer="mujoco")
    made["MuJoCo's renderer"] = functools.partial(envs.single, name, drawn, sensors=_SENSORS, size=size)
    return made | {"MiniWorld": functools.partial(_miniworld, size)}


def _miniworld(size: tuple[int, int]) -> gymnasium.Env:
    try:
        importlib.import_module("miniworld")
    except ModuleNotFoundError as error:
        raise errors.CaveError("the package miniworld is not installed") from error
    return gymnasium.make("MiniWorld-OneRoom-v0", obs_height=size[0], obs_width=size[1])


def _started(make: Callable[[], gymnasium.Env], n: int) -> gymnasium.vector.VectorEnv:
    """Processes with an environment each, in their first episodes.

    Raises:
        Exception: what keeps one from beginning, told by trying it here before processes are started.
    """
    with contextlib.closing(make()) as trial:
        trial.reset(seed=0)
    before, one = dict(os.environ), dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "LP_NUM_THREADS"), "1")
    os.environ.update(one)
    try:
        # Fresh processes: copies of one whose compiled code has run on threads would wait for these for ever.
        mode = gymnasium.vector.AutoresetMode.SAME_STEP
        started = gymnasium.vector.AsyncVectorEnv([make] * n, context="spawn", autoreset_mode=mode)
    finally:
        for variable in one:
            os.environ.pop(variable)
        os.environ.update(before)
    started.reset(seed=0)
    started.action_space.seed(0)
    return started


def _play(env: gymnasium.vector.VectorEnv, n_steps: int) -> None:
    actions = env.action_space.sample()
    for i in range(n_steps):
        env.step(np.roll(actions, i, 0))
