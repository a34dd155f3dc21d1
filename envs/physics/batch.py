"""Many simulations of one MuJoCo model, moved by all cores with no Python for each of them.

    batch = Batch(model, 256, fields=("qpos", "xpos", "cfrc_ext"))
    batch.ctrl[:] = actions
    batch.step(5)                  # then batch.qpos, batch.xpos, batch.cfrc_ext: arrays of 256 rows

Every simulation has an `MjData` of its own. A loop, compiled once, calls MuJoCo's C functions on one after another and
gathers the fields that are wanted; each core runs it over a share. So results are those of the same calls made from
Python, to the bit, with any number of cores, warm starts included.

What MuJoCo warns of is as from Python: a line on standard error, and an unstable simulation begins anew. What is fatal to it
(a model whose `memory` is too small for its contacts) ends the process, after its line.

Why not `mujoco.rollout`: it returns states and sensors, but rewards and observations of known tasks are also made of forces
on bodies, inertias and forces of constraints, and external forces stay zero unless `mj_rnePostConstraint` follows a step.
"""

import concurrent.futures
import ctypes
import functools
import os
import pathlib

import mujoco
import numpy as np
from jaxtyping import Float, Int

from envs.physics import calls

INTEGRATION = mujoco.mjtState.mjSTATE_INTEGRATION
"""What of a simulation decides all that follows."""
_FEW = 4
"""Simulations that are not worth waking another core for."""


@functools.cache
def _library() -> ctypes.CDLL:
    """MuJoCo's C library, which its package has loaded already."""
    folder = pathlib.Path(mujoco.__file__).parent
    patterns = ("libmujoco.so*", "libmujoco*.dylib", "mujoco.dll")
    return ctypes.CDLL(str(next(path for pattern in patterns for path in folder.glob(pattern))))


@functools.cache
def _address(name: str) -> int:
    return ctypes.cast(getattr(_library(), name), ctypes.c_void_p).value


@functools.cache
def _pool(process: int) -> concurrent.futures.ThreadPoolExecutor:
    """Threads of this process: a forked child has none of its parent's."""
    return concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1, "mujoco")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Batch:
    """`n` simulations of a model.

    Args:
        model: Of all of them; it must not change.
        n: How many.
        fields: Of `MjData`, those that are gathered after every call: each becomes an array attribute of `n` rows.
        given: Of `MjData`, those that are copied in before every call, attributes to be written: by default controls.
        threads: Cores to use; 0: all that this process may.
        shared: Whether the simulations of one core share an `MjData`: for calls that depend on nothing but `given`.
        data: The simulations themselves, where they exist already.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        n: int,
        fields: tuple[str, ...],
        given: tuple[str, ...] = ("ctrl",),
        threads: int = 0,
        shared: bool = False,
        data: list[mujoco.MjData] | None = None,
    ):
        self.model, self.n = model, n
        threads = min(threads or _cores(), -(-n // _FEW))
        self._shares = [(n * k // threads, n * (k + 1) // threads) for k in range(threads)]
        self.data = data or [mujoco.MjData(model) for _ in range(threads if shared else n)]
        """The simulations themselves (of each core, if shared)."""
        whose = np.arange(n)
        if shared:
            whose = np.repeat(np.arange(threads), [end - begin for begin, end in self._shares])
        self._data = np.array([one._address for one in self.data], np.int64)[whose]
        self._inputs, self._given, self._widths_in = self._connect(given, whose)
        self._outputs, self._wanted, self._widths_out = self._connect(fields, whose)
        self._copy = _address("mju_copy")

    def _connect(
        self, names: tuple[str, ...], whose: Int[np.ndarray, " n"]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Make an array of `n` rows of each field; returns the fields' addresses, the arrays', and their widths."""
        own = np.zeros((len(self.data), len(names)), np.int64)
        made, widths = np.zeros((2, len(names)), np.int64)
        for k, name in enumerate(names):
            like = getattr(self.data[0], name)
            array = np.tile(like, (self.n, *[1] * like.ndim))
            setattr(self, name, array)
            made[k], widths[k] = array.ctypes.data, like.size
            own[:, k] = [getattr(one, name).ctypes.data for one in self.data]
        return own[whose], made, widths

    def run(self, *functions: str, first: int | None = None) -> None:
        """Call functions of MuJoCo's C interface that take a model and its data, one after another, in each simulation.

        Args:
            functions: Their names.
            first: Only in the first so many simulations.
        """
        shares = [(begin, min(end, self.n if first is None else first)) for begin, end in self._shares]
        shares = [share for share in shares if share[0] < share[1]] or [(0, 0)]
        addresses = np.array([_address(name) for name in functions], np.int64)
        rest = (self.model._address, self._data, addresses, self._copy, self._inputs, self._given)
        rest += (self._outputs, self._wanted, self._widths_in, self._widths_out)
        waiting = [_pool(os.getpid()).submit(calls.run, *share, *rest) for share in shares[1:]]
        calls.run(*shares[0], *rest)
        for one in waiting:
            one.result()

    def step(self, times: int) -> None:
        """Move every simulation by so many of the model's timesteps.

        Fields are then those that Gymnasium sees after its own: derived ones describe the state before the last of
        the timesteps, as `mj_step` leaves them.
        """
        self.run(*["mj_step"] * times, "mj_rnePostConstraint")

    def rows(self) -> Float[np.ndarray, "n d"]:
        """The states of all simulations, as `mj_getState` of `INTEGRATION` gives them."""
        out = np.zeros((self.n, mujoco.mj_stateSize(self.model, INTEGRATION)))
        for data, row in zip(self.data, out, strict=True):
            mujoco.mj_getState(self.model, data, row, INTEGRATION)
        return out

    def put_back(self, rows: Float[np.ndarray, "n d"]) -> None:
        """Continue from states that `rows` gave."""
        for data, row in zip(self.data, rows, strict=True):
            mujoco.mj_setState(self.model, data, row, INTEGRATION)
