"""Measure how fast an environment's pictures, steps and batches are made on this machine.

    python -m envs.benchmark rooms
    python -m envs.benchmark rooms --json speed.json
    python -m envs.benchmark rooms --n-worlds 64 --async-envs 8
    python -m envs.benchmark rooms --device cuda --n-scenes 8192
    python -m envs.benchmark gymnasium --all --sheet side-by-side.png
    python -m envs.benchmark pybullet
    python -m envs.benchmark simulators
    python -m envs.benchmark tables

Pictures, also of a mesh of 10,000 triangles, are compared with MuJoCo's own renderer on the same scenes, where there is
OpenGL for it; a batch of worlds with pictures, with as many processes of Gymnasium's `AsyncVectorEnv`, ours and MuJoCo's
(`--async-envs`, see `envs.speed.rivals`).

`rooms --plot FILE.png` draws the cost of a frame against pixels, solids and batch; `gymnasium --sheet FILE.png`, our
pictures beside MuJoCo's. `pybullet` is no environment but PyBullet's own URDFs, drawn by its TinyRenderer and by ours;
`simulators`, the arm of `reach` in MuJoCo and in PyBullet: how far its hands come to be apart; `tables`, the
bodies of `tabletop` in both: how far apart the same pushes bring them.
"""

import dataclasses
import itertools
import json
import math

from envs import speed
from envs.speed import bullet, rivals
from scenes.kit import errors, options, plugins, runs

PROG = "python -m envs.benchmark"


def main(argv: list[str]) -> list[speed.Row]:
    """Measure what a command line asks for, and print it as a table; returns its rows."""
    if argv[:1] == ["pybullet"]:
        return bullet.main(argv[1:])
    if argv[:1] in (["simulators"], ["tables"]):
        from envs.speed import simulators  # here, since it is MuJoCo's

        return simulators.main(argv[0], argv[1:])
    name, rest = options.choose(argv, PROG, "Measure the speed of an environment.", "envs", "environment")
    module = plugins.load("envs", name, "environment")
    if hasattr(module, "family"):
        given, _, config = options.parse(f"{PROG} {name}", rest, speed.Options, None, module.Config)
        n, where = speed.n_objects(module, config, given), speed.resolve_device(given.device)
        what = f"{given.n_scenes} {name}{f' of {n} objects' * bool(n)}, drawn on {where}"
        parts = (
            speed.ready(given), speed.draw(module, config, given), speed.mesh(given),
            speed.step(name, config, given), rivals.measure(name, config, given), speed.stream(name, config, given),
        )  # fmt: skip
        out, drawn = given.plot, speed.plot
    elif name != "gymnasium":
        given, _, config = options.parse(f"{PROG} {name}", rest, speed.Options, None, module.Config)
        if given.plot:
            raise errors.CaveError(f"--plot draws scenes of a family; {name} has none", errors.USAGE)
        what, out, drawn = name, None, None
        steps = speed.step(name, config, given), rivals.measure(name, config, given)
        parts = (*steps, speed.stream(name, config, given))
    else:
        from envs.speed import models  # here, since it is MuJoCo's

        given, _, config = options.parse(f"{PROG} {name}", rest, models.Options, None, module.Config)
        what = f"{given.n_states} states of each model"
        parts, out, drawn = (models.measure(config, given),), given.sheet, models.sheet
    origin = speed.introduce(given.rounds)
    print(f"{what}, {given.size} x {given.size}: {', '.join(given.sensors)}\n")
    rows = []
    for row in itertools.chain(*parts):
        rows.append(row)
        figure = f"{row.rate:12.1f} s" if row.unit == "s" else f"{row.rate:12,.0f} {row.unit}/s"
        print(row.what if math.isnan(row.rate) else f"{row.part:12} {row.what:48} {figure:24} {row.note}", flush=True)
    if given.json:
        told = {
            "provenance": origin,
            "options": options.to_dict(given),
            "env": options.to_dict(config),
        }
        told["rows"] = [dataclasses.asdict(row) for row in rows if not math.isnan(row.rate)]
        runs.write_file(given.json, json.dumps(told, indent=2).encode())
    if out:
        runs.write_file(out, drawn(module, config, given))
        print(f"\n{out}")
    return rows


if __name__ == "__main__":
    options.main(main)
