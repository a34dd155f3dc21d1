"""The arm of `envs.reach` in both simulators: how far its hands come to be apart, and how fast each moves it."""

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np

from envs import speed
from envs.physics import arms, simulators
from scenes import robots
from scenes.kit import errors, options, runs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the comparison."""

    n_arms: int = 64
    """Arms that are moved together."""
    steps: tuple[int, ...] = (1, 10, 50)
    """After how many steps of 0.05 s hands are compared; the actions are the same for both, and change every 10 steps."""
    seed: int = 0
    """Of starts and actions."""
    rounds: int = 5
    """Rounds of the speeds, of which the best counts."""
    json: Path | None = None
    """File to write the figures to."""

    def __post_init__(self):
        errors.within("envs.benchmark", self, {"n_arms": (1, 4096), "rounds": (1, 1000)})
        if not self.steps or min(self.steps) < 1:
            raise errors.CaveError(f"--steps is {self.steps}, wanted numbers of at least 1", errors.USAGE)


def main(argv: list[str]) -> list[speed.Row]:
    """Compare them as a command line asks for, print tables and write figures; returns the rows of the speeds."""
    given, _, _ = options.parse("python -m envs.benchmark simulators", argv, Options, None, None)
    origin = speed.introduce(given.rounds)
    apart, come = arms.difference(given.steps, given.n_arms, given.seed)
    print(f"{given.n_arms} arms in MuJoCo and in PyBullet, the same starts and actions: metres between their hands\n")
    print("   steps   seconds     median   nine in ten   most     (the hand has come, median)")
    found = []
    for steps, gap, way in zip(given.steps, apart.T, come.T, strict=True):
        one = {"steps": steps, "median": float(np.median(gap)), "nine_in_ten": float(np.quantile(gap, 0.9))}
        found.append(one | {"most": float(gap.max()), "come": float(np.median(way))})
        print(
            f"{steps:8} {steps * arms.DT:9.2f} {one['median']:10.4f} {one['nine_in_ten']:13.4f} {gap.max():8.4f}",
            end="",
        )
        print(f" {found[-1]['come']:16.4f}")
    print()
    rows = []
    wanted = np.random.default_rng(given.seed).uniform(-robots.SPEED, robots.SPEED, (given.n_arms, robots.N))
    for simulator in simulators.SIMULATORS:
        moved = arms.make(simulator, given.n_arms, lambda row, why: errors.CaveError(f"arm {row}: {why}"))
        moved.dress(np.arange(given.n_arms), np.ones((given.n_arms, len(arms.DYNAMICS))))
        # Motors that have come to the joints' ends have as much to do as others.
        seconds = speed.best({simulator: functools.partial(moved.step, wanted)}, given.rounds)[simulator]
        rows.append(speed.Row("physics", f"{simulator}: {given.n_arms} arms", given.n_arms / seconds, "steps"))
        print(f"{rows[-1].part:12} {rows[-1].what:30} {rows[-1].rate:12,.0f} steps/s", flush=True)
        moved.close()
    if given.json:
        told = {"provenance": origin, "options": options.to_dict(given), "apart": found}
        told["rows"] = [dataclasses.asdict(row) for row in rows]
        runs.write_file(given.json, json.dumps(told, indent=2).encode())
    return rows
