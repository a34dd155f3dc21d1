"""Arms of `envs.reach`, and bodies of `envs.tabletop`, in both simulators: how far apart the same actions bring them, and how
fast each simulator moves them."""

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float64

import envs
from envs import pushing, speed
from envs.physics import arms, tables
from envs.physics.simulators import SIMULATORS
from scenes import robots
from scenes.kit import errors, options, runs

_SUBSTEPS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the comparison."""

    n_worlds: int = 64
    """Arms, or tables, that are moved together."""
    steps: tuple[int, ...] = (1, 10, 20, 40, 80)
    """After how many steps of 0.05 s they are compared. Arms' actions change every 10 steps."""
    seed: int = 0
    """Of starts and actions."""
    rounds: int = 5
    """Rounds of the speeds, of which the best counts."""
    json: Path | None = None
    """File to write the figures to."""

    def __post_init__(self):
        errors.within("envs.benchmark", self, {"n_worlds": (1, 4096), "rounds": (1, 1000)})
        if not self.steps or min(self.steps) < 1:
            raise errors.CaveError(f"--steps is {self.steps}, wanted numbers of at least 1", errors.USAGE)


def pushed(
    steps: tuple[int, ...], n: int, seed: int
) -> tuple[Float64[np.ndarray, "{n} s"], Float64[np.ndarray, "{n} s"]]:
    """Metres between where one and the same body is in two simulators, after so many steps; and how far it has come in the
    first.

    Both start from the same rest and are given the same ways of the rod: those of the scripted player, who sees the first.
    """
    world = envs.make("tabletop", envs.module("tabletop").Config(), n, "train", seed, ("state",))
    world.reset()
    factors, target, every = world.factors(), world.target, np.arange(n)
    refusal = lambda row, why: errors.CaveError(f"table {row}: {why}")
    k = factors["shape"].shape[1]
    made = [pushing.table(name, n, k, refusal) for name in SIMULATORS]
    for table in made:
        table.furnish(every, pushing.bodies(factors))
    rims = pushing.rims(factors)
    goal = np.stack([factors[name] for name in pushing.GOAL], 1)
    states = [(world.qpos.copy(), world.qvel.copy()) for _ in made]
    where = lambda number: tables.poses(states[number][0])[every, target, :2]
    begin, apart, come = where(0), [], []
    for step in range(1, max(steps) + 1):
        rod = states[0][0][:, :2]
        way = pushing.play(rod, tables.poses(states[0][0])[..., :2], rims, target, goal, world.config.stride)
        # A player that has done its work rests.
        way[np.linalg.norm(where(0) - goal, axis=1) < world.config.within] = 0
        wanted = np.clip(rod + way, -pushing.LIMIT, pushing.LIMIT)
        for number, table in enumerate(made):
            qpos, qvel = states[number]
            qvel = qvel.copy()
            qvel[:, :2] = (wanted - qpos[:, :2]) / (_SUBSTEPS * tables.TIMESTEP)
            states[number] = table.run(every, qpos, qvel, _SUBSTEPS)
        if step in steps:
            apart.append(np.linalg.norm(where(0) - where(1), axis=1))
            come.append(np.linalg.norm(where(0) - begin, axis=1))
    for table in made:
        table.close()
    return np.stack(apart, 1), np.stack(come, 1)


def _arms(simulator: str, n: int, seed: int) -> tuple[Callable, Callable]:
    """What moves arms by a step, and what ends the simulator."""
    made = arms.make(simulator, n, lambda row, why: errors.CaveError(f"arm {row}: {why}"))
    made.dress(np.arange(n), np.ones((n, len(arms.DYNAMICS))))
    # Motors that have come to the joints' ends have as much to do as others.
    wanted = np.random.default_rng(seed).uniform(-robots.SPEED, robots.SPEED, (n, robots.N))
    return functools.partial(made.step, wanted), made.close


def _tables(simulator: str, n: int, seed: int) -> tuple[Callable, Callable]:
    """The same of tables."""
    world = envs.make("tabletop", envs.module("tabletop").Config(simulator=simulator), n, "train", seed, ("state",))
    world.reset()
    run = functools.partial(world.table.run, np.arange(n), world.qpos, world.qvel, _SUBSTEPS)
    return run, world.table.close


COMMANDS = {
    "simulators": ("arms", "their hands", arms.difference, _arms),
    "tables": ("tables", "the bodies that are pushed", pushed, _tables),
}
"""What is moved, and compared; how far it comes to be apart; what moves it."""


def main(command: str, argv: list[str]) -> list[speed.Row]:
    """Compare simulators as a command line asks for, print tables and write figures; returns the rows of the speeds."""
    given, _, _ = options.parse(f"python -m envs.benchmark {command}", argv, Options, None, None)
    what, compared, difference, mover = COMMANDS[command]
    steps = tuple(sorted(set(given.steps)))
    origin = speed.introduce(given.rounds)
    apart, come = difference(steps, given.n_worlds, given.seed)
    print(
        f"{given.n_worlds} {what} in MuJoCo and in PyBullet, the same starts and actions: metres between {compared}\n"
    )
    print("   steps   seconds     median   nine in ten   most     (they have come, median)")
    found = []
    for many, gap, way in zip(steps, apart.T, come.T, strict=True):
        one = {"steps": many, "median": float(np.median(gap)), "nine_in_ten": float(np.quantile(gap, 0.9))}
        found.append(one | {"most": float(gap.max()), "come": float(np.median(way))})
        line = f"{many:8} {many * arms.DT:9.2f} {one['median']:10.4f} {one['nine_in_ten']:13.4f}"
        print(f"{line} {gap.max():8.4f} {found[-1]['come']:16.4f}")
    print()
    rows = []
    for simulator in SIMULATORS:
        step, close = mover(simulator, given.n_worlds, given.seed)
        rate = given.n_worlds / speed.best({simulator: step}, given.rounds)[simulator]
        rows.append(speed.Row("physics", f"{simulator}: {given.n_worlds} {what}", rate, "steps"))
        print(f"{rows[-1].part:12} {rows[-1].what:30} {rate:12,.0f} steps/s", flush=True)
        close()
    if given.json:
        told = {"provenance": origin, "options": options.to_dict(given), "apart": found}
        told["rows"] = [dataclasses.asdict(row) for row in rows]
        runs.write_file(given.json, json.dumps(told, indent=2).encode())
    return rows
