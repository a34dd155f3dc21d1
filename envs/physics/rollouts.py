"""MuJoCo's rollouts, in forked children too."""

import os
from typing import Any

from mujoco import rollout

_parents: list[rollout.Rollout] = []
"""Those of parents of this process: to be rid of one would be to wait for its threads, for ever."""


class Rollout:
    """`mujoco.rollout.Rollout`, whose threads a forked child has not: there it begins anew.

    Args:
        threads: Cores to use.
    """

    def __init__(self, threads: int):
        self._threads = threads if threads > 1 else 0
        self._begin()

    def _begin(self) -> None:
        self._process, self._own = os.getpid(), rollout.Rollout(nthread=self._threads)

    def rollout(self, *given: Any, **named: Any) -> None:
        """As MuJoCo's, into the arrays that are given."""
        if self._process != os.getpid():
            _parents.append(self._own)
            self._begin()
        self._own.rollout(*given, **named)

    def close(self) -> None:
        """End the threads, where they are this process's."""
        if self._process == os.getpid():
            self._own.close()
