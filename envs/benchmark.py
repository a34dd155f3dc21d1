"""Measure how fast an environment's pictures, steps and batches are made on this machine.

    python -m envs.benchmark rooms
    python -m envs.benchmark rooms --json speed.json
    python -m envs.benchmark rooms --n-worlds 64 --async-envs 8
    python -m envs.benchmark rooms --device cuda --n-scenes 8192
    python -m envs.benchmark gymnasium --all --sheet side-by-side.png
    python -m envs.benchmark mjcf model.xml other.xml --sheet side-by-side.png
    python -m envs.benchmark pybullet
    python -m envs.benchmark simulators
    python -m envs.benchmark tables

Pictures, also of a mesh of 10,000 triangles, are compared with MuJoCo's own renderer on the same scenes, where there is
OpenGL for it; a batch of worlds with pictures, with as many processes of Gymnasium's `AsyncVectorEnv`, ours and MuJoCo's
(`--async-envs`, see `envs.speed.rivals`).

`rooms --plot FILE.png` draws the cost of a frame against pixels, solids and batch; `gymnasium` and `mjcf` with `--sheet
FILE.png`, our pictures beside MuJoCo's. `mjcf` takes models that you have, MJCF or URDF. `pybullet` is no environment but
PyBullet's own URDFs, drawn by its TinyRenderer and by ours; `simulators`, the arm of `reach` in MuJoCo and in PyBullet: how
far its hands come to be apart; `tables`, the bodies of `tabletop` in both: how far apart the same pushes bring them.
"""

import dataclasses
import itertools
import json
import math
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

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
    if argv[:1] == ["mjcf"]:
        return _files(argv[1:])
    name, rest = options.choose(argv, PROG, "Measure the speed of an environment.", "envs", "environment")
    module = plugins.load("envs", name, "environment")
    if name == "gymnasium":
        return _environments(name, module, rest)
    given, _, config = options.parse(f"{PROG} {name}", rest, speed.Options, None, module.Config)
    steps = speed.step(name, config, given), rivals.measure(name, config, given), speed.stream(name, config, given)
    if not hasattr(module, "family"):
        if given.plot:
            raise errors.CaveError(f"--plot draws scenes of a family; {name} has none", errors.USAGE)
        return _measure(name, given, config, steps)
    n, where = speed.n_objects(module, config, given), speed.resolve_device(given.device)
    what = f"{given.n_scenes} {name}{f' of {n} objects' * bool(n)}, drawn on {where}"
    parts = speed.ready(given), speed.draw(module, config, given), speed.mesh(given), *steps
    rows = _measure(what, given, config, parts)
    if given.plot:
        _write(given.plot, speed.plot(module, config, given))
    return rows


def _environments(name: str, module: ModuleType, argv: list[str]) -> list[speed.Row]:
    """MuJoCo models of Gymnasium."""
    from envs.speed import models  # here, since it is MuJoCo's

    given, _, config = options.parse(f"{PROG} {name}", argv, models.Options, None, module.Config)
    return _models([models.of_environment(env_id, config.camera) for env_id in given.ids(config)], given, config)


def _files(argv: list[str]) -> list[speed.Row]:
    """MuJoCo models of files."""
    from envs.speed import models

    files = list(itertools.takewhile(lambda word: not word.startswith("-"), argv))
    given, _, _ = options.parse(f"{PROG} mjcf FILE ...", argv[len(files) :], models.FileOptions, None, None)
    if not files:
        raise errors.CaveError(
            f"{PROG} mjcf wants the paths of models as its first words, none was given", errors.USAGE
        )
    return _models([models.of_file(Path(file), given.root, given.camera) for file in files], given, None)


def _models(subjects: list, given: Any, config: Any) -> list[speed.Row]:
    """MuJoCo models: their rows, and the sheet where one is asked for."""
    from envs.speed import models

    rows = _measure(f"{given.n_states} states of each model", given, config, (models.measure(subjects, given),))
    if given.sheet:
        _write(given.sheet, models.sheet(subjects, given))
    return rows


def _measure(what: str, given: Any, config: Any, parts: Iterable[Iterable[speed.Row]]) -> list[speed.Row]:
    """Print the rows as they come, and write them where `--json` says."""
    origin = speed.introduce(given.rounds)
    print(f"{what}, {given.size} x {given.size}: {', '.join(given.sensors)}\n")
    rows = []
    for row in itertools.chain(*parts):
        rows.append(row)
        figure = f"{row.rate:12.1f} s" if row.unit == "s" else f"{row.rate:12,.0f} {row.unit}/s"
        print(row.what if math.isnan(row.rate) else f"{row.part:12} {row.what:48} {figure:24} {row.note}", flush=True)
    if given.json:
        told = {"provenance": origin, "options": options.to_dict(given)}
        told |= {"env": options.to_dict(config)} if config else {}
        told["rows"] = [dataclasses.asdict(row) for row in rows if not math.isnan(row.rate)]
        runs.write_file(given.json, json.dumps(told, indent=2).encode())
    return rows


def _write(path: Path, picture: bytes) -> None:
    runs.write_file(path, picture)
    print(f"\n{path}")


if __name__ == "__main__":
    options.main(main)
