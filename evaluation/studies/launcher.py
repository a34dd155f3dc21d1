"""Makes what is missing: runs one piece after the other, or several at once as local processes."""

import concurrent.futures
import dataclasses
import multiprocessing
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from evaluation.studies import grid


def ensure(pieces: Sequence[grid.Piece], jobs: int = 1) -> list[Path]:
    """The folders of the pieces, in order, once all are done.

    What is done is left alone; what was begun goes on from its checkpoint; a piece that fails ends the study with its
    error, and whatever was finished before is found again next time.

    Args:
        pieces: Several may be the same.
        jobs: Processes at once; 1 runs them here.
    """
    missing = list({str(piece.folder): piece for piece in pieces if not piece.done}.values())
    if missing:
        n_done = len({str(piece.folder) for piece in pieces}) - len(missing)
        print(f"{len(missing)} runs to train, {n_done} found done", flush=True)
    try:
        _train_all(missing, jobs)
    except (SystemExit, KeyboardInterrupt):
        print("the study was interrupted: the same line, run again, goes on", file=sys.stderr, flush=True)
        raise
    return [piece.folder for piece in pieces]


def _train_all(missing: Sequence[grid.Piece], jobs: int) -> None:
    started = time.monotonic()
    if jobs == 1 or len(missing) < 2:
        for number, piece in enumerate(missing, start=1):
            train(piece)
            _report(number, len(missing), started)
    else:
        # Fresh processes: a forked one would inherit thread pools that do not survive a fork.
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context) as pool:
            waiting = [pool.submit(_train_elsewhere, dataclasses.replace(p, loop=p.loop.__name__)) for p in missing]
            for number, done in enumerate(concurrent.futures.as_completed(waiting), start=1):
                done.result()
                _report(number, len(missing), started)


def train(piece: grid.Piece) -> None:
    """Train one piece, going on from its newest checkpoint where it was begun."""
    begun = (piece.folder / "config.json").is_file()
    piece.loop.train(piece.choice, dataclasses.replace(piece.run, resume=begun), piece.config, piece.env_config)


def _train_elsewhere(piece: grid.Piece) -> None:
    import importlib

    train(dataclasses.replace(piece, loop=importlib.import_module(piece.loop)))


def _report(number: int, total: int, started: float) -> None:
    spent = time.monotonic() - started
    left = spent / number * (total - number)
    note = f", about {left / 60:.0f} min to go" if number < total else ""
    print(f"trained {number} of {total} in {spent / 60:.1f} min{note}", file=sys.stderr, flush=True)
