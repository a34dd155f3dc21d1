"""PyBullet's own worlds: our renderer beside TinyRenderer, in speed and in what is seen.

Both draw colours, depth and ids of the same states, a ray for each pixel and no shadows. What counts on either side is all
that a program does for its pictures: moving the joints, reading the poses, drawing.

Where they differ it is over the shapes: TinyRenderer's spheres and capsules are coarse polyhedra within the true ones (the
head of r2d2, the limbs of humanoid), and the caps of its cylinders lie up to two millimetres off, so that of two solids
which touch (the shoulders of a1) it may show the other.
"""

import dataclasses
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from envs import speed
from scenes import renderers
from scenes.kit import errors, options, runs

URDFS = ("kuka_iiwa/model.urdf", "r2d2.urdf", "racecar/racecar.urdf", "husky/husky.urdf", "table/table.urdf")
"""Of `pybullet_data`: arms, wheels, furniture; primitives and meshes."""
_NEAR, _FAR = 0.05, 30.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the comparison."""

    size: int = 128
    """Height and width of pictures, in pixels."""
    n_states: int = 32
    """Different states of each world."""
    rounds: int = 5
    """Rounds, of which the best counts."""
    json: Path | None = None
    """File to write the figures to."""

    def __post_init__(self):
        errors.within("envs.benchmark", self, {"size": (1, 2048), "n_states": (1, 4096), "rounds": (1, 1000)})


def draw(name: str, given: Options) -> Iterator[speed.Row]:
    """Pictures of one world in many states: TinyRenderer's, ours one by one, ours all at once.

    Raises:
        errors.CaveError: PyBullet is missing.
    """
    from envs.physics import pybullet as ours  # needs PyBullet, which not every machine has

    bullet: Any = ours.pybullet
    import pybullet_data

    client = bullet.connect(bullet.DIRECT)
    try:
        body = bullet.loadURDF(str(Path(pybullet_data.getDataPath()) / name), physicsClientId=client)
        joints = bullet.getNumJoints(body, client)
        poses = np.random.default_rng(0).uniform(-0.5, 0.5, (given.n_states, joints)).tolist()
        boxes = np.array([bullet.getAABB(body, link, client) for link in range(-1, joints)])
        low, high = boxes[:, 0].min(0), boxes[:, 1].max(0)
        far = 1.4 * float(np.linalg.norm(high - low))
        view = bullet.computeViewMatrixFromYawPitchRoll(((low + high) / 2).tolist(), far, 40, -25, 0, 2)
        lens = bullet.computeProjectionMatrixFOV(50, 1, _NEAR, _FAR)
        stage = ours.Stage(client)

        def move(pose: list[float]) -> None:
            for joint, value in enumerate(pose):
                bullet.resetJointState(body, joint, value, physicsClientId=client)

        def tiny(pose: list[float]) -> tuple[Any, ...]:
            move(pose)
            return bullet.getCameraImage(
                given.size, given.size, view, lens, renderer=bullet.ER_TINY_RENDERER, physicsClientId=client
            )

        def mine(pose: list[float]) -> tuple[Any, ...]:
            move(pose)
            return stage.get_camera_image(given.size, given.size, view, lens)

        def taken() -> Any:
            states = []
            for pose in poses:
                move(pose)
                states.append(stage.states())
            return ours.stack(states)

        cameras = ours.cameras([view] * len(poses), lens, given.size, given.size)
        handle = renderers.load("raycast", stage.to_scenes(taken()))

        def together() -> None:
            states = taken()
            handle.render(cameras, poses=(states.position.reshape(-1, 3), states.rotation.reshape(-1, 4)))

        calls = {
            "TinyRenderer": lambda: [tiny(pose) for pose in poses],
            "ours, one by one": lambda: [mine(pose) for pose in poses],
            "ours, all at once": together,
        }
        seconds = speed.best(calls, given.rounds)
        for what, spent in seconds.items():
            ratio = seconds["TinyRenderer"] / spent
            note = "" if what == "TinyRenderer" else f"{ratio:.1f} times as fast as TinyRenderer"
            yield speed.Row(name, what, len(poses) / spent, "frames", note)
        pairs = [(tiny(pose), mine(pose)) for pose in poses]
        yield speed.Row(name, "agreement", np.nan, "", _agreement(pairs))
    finally:
        bullet.disconnect(client)


def _agreement(pairs: list[tuple[tuple[Any, ...], tuple[Any, ...]]]) -> str:
    """How far two makers of pictures see the same, away from edges."""
    ids, depth, colour = [], [], []
    for (_, _, rgb, buffer, seen), (_, _, my_rgb, my_buffer, my_seen) in pairs:
        edge = functools.reduce(
            np.logical_or,
            [
                np.roll(p, (row, column), (0, 1)) != p
                for p in (seen, my_seen)
                for row in (-1, 0, 1)
                for column in (-1, 0, 1)
            ],
        )
        ids.append((seen == my_seen)[~edge])
        solid = ~edge & (seen >= 0) & (seen == my_seen)
        metres, my_metres = (_NEAR * _FAR / (_FAR - (_FAR - _NEAR) * b.astype(float)) for b in (buffer, my_buffer))
        depth.append((np.abs(metres - my_metres) <= 0.01 * metres)[solid])
        colour.append(np.abs(rgb.astype(int) - my_rgb)[solid].mean(-1))
    shares = [100 * float(np.concatenate(part).mean()) for part in (ids, depth)]
    off = float(np.concatenate(colour).mean())
    return f"ids agree on {shares[0]:.2f} % of pixels, depth within 1 % on {shares[1]:.2f} %, colours {off:.1f} of 255 apart"


def main(argv: list[str]) -> list[speed.Row]:
    """Measure and print what a command line asks for; returns its rows."""
    given, _, _ = options.parse("python -m envs.benchmark pybullet", argv, Options, None, None)
    origin = speed.introduce(given.rounds)
    print(f"{given.n_states} states of each URDF, {given.size} x {given.size}: rgb, depth and ids\n")
    rows = []
    for name in URDFS:
        for row in draw(name, given):
            rows.append(row)
            figure = f"{row.rate:12,.0f} {row.unit}/s" if np.isfinite(row.rate) else ""
            print(f"{row.part:22} {row.what:20} {figure:20} {row.note}".rstrip(), flush=True)
    if given.json:
        told = {"provenance": origin, "options": options.to_dict(given)}
        told["rows"] = [
            {**dataclasses.asdict(row), "rate": row.rate if np.isfinite(row.rate) else None} for row in rows
        ]
        runs.write_file(given.json, json.dumps(told, indent=2).encode())
    return rows
