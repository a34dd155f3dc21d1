"""Simulations in processes of their own, a few in each: for simulators that live in one thread and may crash or hang.

    pool = Pool("envs.physics.arms:Bullet", {"gravity": 9.81}, 64, {"start": 18, "action": 9}, {"joints": 18}, refusal)
    pool.given["start"][rows] = ...
    pool.reset(rows)               # then pool.told["joints"], arrays of 64 rows
    pool.given["action"][:] = actions
    pool.step()

A simulation is a class, made from two dicts of arrays, its own rows of what is `given` and `told`, and arguments:

    Simulation(given, told, **arguments)
    reset()            begin anew, from what is given; nothing of what was before may show
    step()             move, from what is given
    save() -> bytes    all that decides what follows
    restore(bytes)     continue from there, exactly

After every call but `save` it writes what is told. Numbers go through memory that both sides share, commands are single
bytes, arguments are JSON: nothing is pickled. A worker imports nothing of the program that starts it, which so needs no
`if __name__ == "__main__"`; and ends when that does.

A worker that dies, raises or does not answer is named on standard error, with the world that it was at, and another one
takes its place. The worlds that it had are `lost` until their next reset: steps pass them by, and what they tell is what
they told last.
"""

import contextlib
import importlib
import json
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from scenes.kit import errors

_START = 120.0
"""Seconds in which a worker must have imported its simulator, on a machine that has much else to do."""
_RESET, _STEP, _SAVE, _RESTORE = b"r", b"s", b"g", b"p"
_DONE, _FAILED = b".", b"!"
_LENGTH = 8
"""Bytes before a saved state that say how long it is."""
_PATH = str(Path(__file__).resolve().parents[2])
"""Where this project's packages are: a worker is to import the same."""


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _layout(n: int, workers: int, room: int, given: Mapping[str, int], told: Mapping[str, int]) -> dict[str, tuple]:
    """Name -> first byte, shape and type of every array in the shared memory."""
    arrays = {"at": ((workers,), "<i8"), "wanted": ((n,), "|u1")}
    arrays |= {f"given.{name}": ((n, width), "<f8") for name, width in given.items()}
    arrays |= {f"told.{name}": ((n, width), "<f8") for name, width in told.items()}
    # Last, since it is large and few systems will ever touch most of it.
    arrays["saved"] = ((n, room + _LENGTH), "|u1")
    laid, begin = {}, 0
    for name, (shape, kind) in arrays.items():
        laid[name] = begin, shape, kind
        begin += -(-int(np.prod(shape)) * np.dtype(kind).itemsize // 64) * 64
    return laid | {"": (begin, (), "")}


def _views(memory: mmap.mmap, laid: dict[str, tuple]) -> dict[str, np.ndarray]:
    return {name: np.ndarray(shape, kind, memory, begin) for name, (begin, shape, kind) in laid.items() if name}


class _Worker:
    """A process and the wire to it."""

    def __init__(self, number: int, rows: Int[np.ndarray, " r"], call: dict[str, Any], memory: int):
        self.rows = rows
        self.wire, theirs = socket.socketpair()
        call = json.dumps(call | {"number": number, "rows": rows.tolist(), "memory": memory, "wire": theirs.fileno()})
        paths = os.pathsep.join(filter(None, (_PATH, os.environ.get("PYTHONPATH"))))
        # What a simulator prints is nobody's business; what it dies of is told by its signal.
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from envs.physics import workers; workers.serve()", call],
            pass_fds=(memory, theirs.fileno()), env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()

    def answer(self, patience: float) -> str | None:
        """Wait for the end of a command; None when it is done, else what went wrong."""
        until = time.monotonic() + patience
        said = b""
        while not said.endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.wire], [], [], left)[0]:
                return f"its worker process has not answered for {patience:g} s"
            part = b""
            with contextlib.suppress(ConnectionError):  # as one may say who died before it read all
                part = self.wire.recv(4096)
            if not part:
                return self._death()
            said += part
        return None if said[:1] == _DONE else said[1:].decode(errors="replace").strip()

    def send(self, command: bytes) -> None:
        """Begin a command; one who has died is noticed by who waits for the answer."""
        with contextlib.suppress(OSError):
            self.wire.sendall(command)

    def _death(self) -> str:
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            return "its worker process has hung up"
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"its worker process {how}"

    def end(self) -> None:
        """Let the process end, whatever it is doing."""
        self.wire.close()
        self.process.kill()
        self.process.wait()


class Pool:
    """`n` simulations in worker processes.

    Args:
        simulation: The class, as "module:Class".
        arguments: For it, plain values.
        n: How many.
        given: Numbers of each world that it is given: name -> how many.
        told: Numbers of each world that it tells: name -> how many.
        refusal: The error that names a world by its row, and says why; made only when there is one. A bound method of
            whoever holds the pool would keep both, and the processes, until Python looks for cycles.
        room: Most bytes of a saved state.
        processes: How many workers; 0: one for each core that this process may use.
        patience: Seconds in which a worker must do what it is told.

    Attributes:
        given: Arrays of `n` rows, to be written before `reset` and `step`.
        told: Arrays of `n` rows, to be read after them, and not to be written.
        lost: Bool n, worlds that are in no worker until their next reset.

    Raises:
        errors.CaveError: in one line, the simulation cannot be made.
    """

    def __init__(
        self,
        simulation: str,
        arguments: Mapping[str, Any],
        n: int,
        given: Mapping[str, int],
        told: Mapping[str, int],
        refusal: Callable[[int, str], Exception],
        room: int = 1 << 20,
        processes: int = 0,
        patience: float = 60.0,
    ):
        count = min(processes or cores(), n)
        laid = _layout(n, count, room, given, told)
        with tempfile.TemporaryFile(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as file:
            file.truncate(laid[""][0])
            self._memory, self._file = mmap.mmap(file.fileno(), laid[""][0]), os.dup(file.fileno())
        views = _views(self._memory, laid)
        self._at, self._wanted, self._saved = views["at"], views["wanted"], views["saved"]
        self.given = {name: views[f"given.{name}"] for name in given}
        self.told = {name: views[f"told.{name}"] for name in told}
        self.n, self.lost = n, np.zeros(n, bool)
        self._refusal, self._patience = refusal, patience
        self._call = {"simulation": simulation, "arguments": dict(arguments), "layout": laid}
        self._workers: list[_Worker] = []
        self._end = weakref.finalize(self, _end, self._workers, self._file, os.getpid())
        for number in range(count):
            rows = np.arange(n * number // count, n * (number + 1) // count)
            self._workers.append(_Worker(number, rows, self._call, self._file))
        for number in range(count):
            self._ready(number)

    def _ready(self, number: int) -> None:
        """Wait until a worker has made its simulations."""
        why = self._workers[number].answer(_START)
        if why is not None:
            self.close()
            raise errors.CaveError(f"{self._call['simulation']} cannot be made in a worker process: {why}")

    def reset(self, rows: Int[np.ndarray, " r"]) -> None:
        """Begin worlds `rows` anew, from what is given; a worker that is lost with them is replaced, and asked again.

        Raises:
            errors.CaveError: the second one was lost, too.
        """
        self._again(_RESET, rows)

    def step(self, rows: Int[np.ndarray, " r"] | None = None) -> None:
        """Move worlds, those of `rows` or all, from what is given; those that are lost are passed by."""
        rows = np.arange(self.n) if rows is None else rows
        self._run(_STEP, rows[~self.lost[rows]])

    def save(self) -> UInt8[np.ndarray, "n d"]:
        """The states of all worlds, padded; empty ones of those that are lost."""
        self._saved[:, :_LENGTH] = 0
        self._run(_SAVE, np.flatnonzero(~self.lost))
        self._saved[self.lost, :_LENGTH] = 0
        return self._saved.copy()

    def restore(self, saved: UInt8[np.ndarray, "n d"], rows: Int[np.ndarray, " r"]) -> None:
        """Continue worlds `rows` from states that `save` gave.

        Raises:
            errors.CaveError: two workers in turn were lost with one.
        """
        there = saved[rows, :_LENGTH].any(1)
        self.lost[rows[~there]] = True
        self._saved[rows] = saved[rows]
        self._again(_RESTORE, rows[there])

    def close(self) -> None:
        """End all workers."""
        self._end()

    def _again(self, command: bytes, rows: np.ndarray) -> None:
        self.lost[rows] = False
        self._run(command, rows)
        again = rows[self.lost[rows]]
        if len(again):
            self.lost[again] = False
            lost = self._run(command, again)
            if lost:
                raise self._refusal(*lost[0])

    def _run(self, command: bytes, rows: np.ndarray) -> list[tuple[int, str]]:
        """Have workers do something with worlds `rows`; returns where some of them were lost, and why."""
        self._wanted[:] = 0
        self._wanted[rows] = 1
        before = {name: array.copy() for name, array in self.told.items()}
        busy = [number for number, worker in enumerate(self._workers) if self._wanted[worker.rows].any()]
        for number in busy:
            self._at[number] = -1
            self._workers[number].send(command)
        lost = []
        for number in busy:
            worker = self._workers[number]
            why = worker.answer(self._patience)
            if why is None:
                continue
            at = int(self._at[number])
            lost.append((at if at >= 0 else int(worker.rows[self._wanted[worker.rows] > 0][0]), why))
            worker.end()
            self.lost[worker.rows] = True
            for name, array in before.items():
                self.told[name][worker.rows] = array[worker.rows]
            with_it = f" (with it worlds {worker.rows[0]} to {worker.rows[-1]})" if len(worker.rows) > 1 else ""
            print(f"{self._refusal(*lost[-1])}{with_it}; another takes its place", file=sys.stderr, flush=True)
            self._workers[number] = _Worker(number, worker.rows, self._call, self._file)
            self._ready(number)
        return lost


def _end(workers: list[_Worker], file: int, process: int) -> None:
    if os.getpid() == process:  # a forked child has no say in its parent's workers
        for worker in workers:
            worker.end()
        os.close(file)


def serve() -> None:
    """Be a worker: what `Pool` starts, with what it says on the command line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it decides
    call = json.loads(sys.argv[1])
    wire = socket.socket(fileno=call["wire"])
    laid, number = call["layout"], call["number"]
    memory = mmap.mmap(call["memory"], laid[""][0])
    views = _views(memory, laid)
    try:
        made = {row: _make(call, views, row) for row in call["rows"]}
        wire.sendall(_DONE + b"\n")
        while command := wire.recv(1):
            for row, simulation in made.items():
                if views["wanted"][row]:
                    views["at"][number] = row
                    _obey(simulation, command, views["saved"][row])
            wire.sendall(_DONE + b"\n")
    except Exception as error:
        said = " ".join(f"{'' if isinstance(error, errors.CaveError) else type(error).__name__ + ': '}{error}".split())
        with contextlib.suppress(OSError):
            wire.sendall(_FAILED + said[:3000].encode() + b"\n")


def _make(call: dict[str, Any], views: dict[str, np.ndarray], row: int) -> Any:
    module, _, name = call["simulation"].partition(":")
    own = {"given": {}, "told": {}}
    for key, array in views.items():
        kind, _, field = key.partition(".")
        if kind in own:
            own[kind][field] = array[row]
    return getattr(importlib.import_module(module), name)(own["given"], own["told"], **call["arguments"])


def _obey(simulation: Any, command: bytes, saved: np.ndarray) -> None:
    if command == _RESET:
        simulation.reset()
    elif command == _STEP:
        simulation.step()
    elif command == _SAVE:
        state = simulation.save()
        room = len(saved) - _LENGTH
        if not 0 < len(state) <= room:
            raise errors.CaveError(f"its state has {len(state):,} bytes, wanted 1 to {room:,}")
        saved[:_LENGTH] = np.frombuffer(len(state).to_bytes(_LENGTH, "little"), np.uint8)
        saved[_LENGTH : _LENGTH + len(state)] = np.frombuffer(state, np.uint8)
        saved[_LENGTH + len(state) :] = 0
    elif command == _RESTORE:
        simulation.restore(saved[_LENGTH : _LENGTH + int.from_bytes(saved[:_LENGTH].tobytes(), "little")].tobytes())
