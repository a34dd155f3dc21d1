"""How fast things go: what `envs.benchmark` measures, one function for each part.

Every figure is the best of several rounds after a first call that does not count, since whatever else a machine does only
ever makes a round slower. Rivals take turns within a round, so that they meet the same machine.
"""

import dataclasses
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

import envs
import scenes
from scenes import renderers
from scenes.geometry import meshes
from scenes.kit import errors, runs, seeds

_TURN = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the benchmark."""

    n_scenes: int = 256
    """Different scenes of a batch."""
    n_objects: int = 0
    """Objects in each of them; 0: three or, where no training scene has so many, as they come."""
    size: int = 64
    """Height and width of pictures, in pixels."""
    n_worlds: tuple[int, ...] = (64, 256)
    """Worlds that are stepped together."""
    n_steps: int = 100
    """Steps of a round of them, resets among them."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the ray caster draws pictures; auto is cuda where there is a card. Environments are stepped on the cpu."""
    rounds: int = 7
    """Rounds, of which the best counts."""
    n_mujoco: int = 16
    """Of the scenes, how many MuJoCo's own renderer draws, too; 0: it is left out."""
    async_envs: int = 4
    """Processes of Gymnasium's AsyncVectorEnv beside our worlds, with one environment each, at most 64; 0: it is left out."""
    sensors: tuple[str, ...] = renderers.USUAL
    """What is drawn, of rgb, depth and ids."""
    cold: bool = False
    """Whether to measure, too, what the first picture of a new process costs, with compiled code kept and without."""
    json: Path | None = None
    """File to write the figures to."""
    plot: Path | None = None
    """PNG file to write, the cost of a frame against pixels, solids and batch."""

    def __post_init__(self):
        renderers.check_sensors(self.sensors)
        for name in ("n_scenes", "size", "n_steps", "rounds", "n_worlds"):
            least = np.min(getattr(self, name), initial=1)
            if least < 1:
                raise errors.CaveError(f"--{name.replace('_', '-')} is {least}, wanted at least 1", errors.USAGE)
        errors.within("benchmark", self, {"async_envs": (0, 64)})


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure."""

    part: str
    what: str
    rate: float
    """Of `unit` a second."""
    unit: str
    note: str = ""


def best(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Fewest seconds that one call of each took.

    In each of `rounds` the calls take turns, a turn being one call or as many as fit into a tenth of a second. A first
    round, of one call each, is not counted.
    """
    least = dict.fromkeys(calls, np.inf)
    for call in calls.values():
        call()
    for name, call in list(calls.items()) * rounds:
        spent = 0.0
        while spent < _TURN:
            start = time.perf_counter()
            call()
            taken = time.perf_counter() - start
            least[name], spent = min(least[name], taken), spent + taken
    return least


def ready(options: Options) -> Iterator[Row]:
    """The first picture of a new process: interpreter, imports, and code that is compiled or read from the cache."""
    program = "import envs; world = envs.make('rooms', sensors=('image',)); world.reset(); world.observe()"
    for what in ("compiled code kept", "nothing kept") if options.cold else ():
        with tempfile.TemporaryDirectory() as folder:
            cache = {} if what == "compiled code kept" else {"NUMBA_CACHE_DIR": folder}
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-c", program], check=True, capture_output=True, env={**os.environ, **cache}
            )
            yield Row("ready", f"ray caster: a new process, {what}", time.perf_counter() - start, "s")


def resolve_device(device: str) -> str:
    """cpu or cuda.

    Raises:
        errors.CaveError: cuda is asked for, and there is no card.
    """
    if device == "cpu":
        return device
    from scenes.renderers import cards  # which costs numba's CUDA

    why = cards.missing()
    if device == "cuda" and why:
        raise errors.CaveError(f"--device cuda: {why}; use --device cpu or auto", errors.USAGE)
    return "cpu" if why else "cuda"


def _drawing(handle: Any, cameras: scenes.Cameras) -> Callable[[], None]:
    """A call that ends when the pictures are there: a card goes on by itself after `render`."""
    wait = getattr(handle, "wait", lambda: None)

    def call() -> None:
        handle.render(cameras)
        wait()

    return call


def draw(module: ModuleType, config: Any, options: Options) -> Iterator[Row]:
    """Pictures (rgb, depth and ids) of different scenes: ours with and without extras, and MuJoCo's own.

    MuJoCo, which draws patterns plain, makes one pass for colours and one for depth and ids.

    Raises:
        errors.CaveError: the family's scenes hardly ever have so many objects.
    """
    batch, poses = gather(module, config, options)
    cameras = scenes.watch(module, poses, options.size, options.size)
    where = {"device": resolve_device(options.device)}
    start = time.perf_counter()
    _drawing(renderers.load("raycast", batch, **where), cameras)()
    yield Row("ready", "ray caster: first call, compiling or from the cache", time.perf_counter() - start, "s")
    looks = {
        "ray caster": {},
        "ray caster, shadows": {"shadows": True},
        "ray caster, 4 rays a pixel": {"supersample": 2},
        "ray caster, both": {"shadows": True, "supersample": 2},
    }
    calls, counts = {}, {}
    for name, look in looks.items():
        handle = renderers.load("raycast", batch, sensors=options.sensors, **look, **where)
        calls[name], counts[name] = _drawing(handle, cameras), len(batch)
    rivals = {}
    n = min(options.n_mujoco, len(batch))
    if n > 0:
        rivals = {"MuJoCo, as ray caster": "ray caster", "MuJoCo, its defaults": "ray caster, both"}
        try:
            # Its shadow maps take so long in software that a quarter of the scenes must do.
            for name, some, look in zip(rivals, (n, -(-n // 4)), ({}, {"shadows": True, "multisample": 4})):
                handle = renderers.load("mujoco", batch[:some], sensors=options.sensors, **look)
                few = scenes.watch(module, poses[:some], options.size, options.size)
                calls[name], counts[name] = functools.partial(handle.render, few), some
        except errors.CaveError as error:
            rivals = {}
            yield Row("ready", f"MuJoCo's renderer is left out: {error}", np.nan, "")
    seconds = best(calls, options.rounds)
    rates = {name: counts[name] / seconds[name] for name in calls}
    for name, rate in rates.items():
        note = f"{rates[rivals[name]] / rate:,.0f} times slower than {rivals[name]}" if name in rivals else ""
        yield Row("pictures", name, rate, "frames", note)


def mesh(options: Options) -> Iterator[Row]:
    """Pictures of a bumpy ball of 10,000 triangles over a floor, turned another way in each scene; MuJoCo's beside them."""
    batch, cameras = bumps(options.n_scenes, options.size)
    shape = f"mesh of {len(batch.meshes[0].faces):,} triangles"
    calls, counts = {}, {}
    for what, look in {
        "rgb": {"sensors": ("rgb",)}, "rgb, depth, ids": {}, "both, shadows": {"shadows": True},
    }.items():  # fmt: skip
        handle = renderers.load("raycast", batch, **look, device=resolve_device(options.device))
        calls[f"{shape}: {what}"], counts[f"{shape}: {what}"] = _drawing(handle, cameras), len(batch)
    share = float((renderers.load("raycast", batch).render(cameras).ids == 1).mean())
    n, rivals = min(options.n_mujoco, len(batch)), {}
    if n > 0:
        few = dataclasses.replace(
            cameras, scene=cameras.scene[:n], position=cameras.position[:n], rotation=cameras.rotation[:n]
        )
        try:
            for what, look in {"rgb": {"sensors": ("rgb",)}, "rgb, depth, ids": {}}.items():
                handle = renderers.load("mujoco", batch[:n], **look)
                name = f"MuJoCo, the same: {what}"
                calls[name], counts[name], rivals[name] = functools.partial(handle.render, few), n, f"{shape}: {what}"
        except errors.CaveError:
            pass  # `draw` has said so
    seconds = best(calls, options.rounds)
    rates = {name: counts[name] / seconds[name] for name in calls}
    for name, rate in rates.items():
        note = (
            f"{rates[rivals[name]] / rate:,.0f} times slower"
            if name in rivals
            else f"{share:.0%} of the pixels show it"
        )
        yield Row("meshes", name, rate, "frames", note)


def bumps(n: int, size: int) -> tuple[scenes.Scenes, scenes.Cameras]:
    """Scenes of one ball with bumps, of 10,082 triangles, over a floor, and a camera for each."""
    side = 71
    u, v = np.meshgrid(np.linspace(0, np.pi, side + 1), np.arange(side) * 2 * np.pi / side, indexing="ij")
    r = 1 + 0.15 * np.sin(5 * u) * np.sin(4 * v)
    points = np.stack([r * np.sin(u) * np.cos(v), r * np.sin(u) * np.sin(v), r * np.cos(u)], -1).reshape(-1, 3)
    i, j = (index.ravel() for index in np.indices((side, side)))
    a, b, c, d = i * side + j, (i + 1) * side + j, (i + 1) * side + (j + 1) % side, i * side + (j + 1) % side
    ball = meshes.smooth(points, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]))
    turns = seeds.generator(0, "bumps").normal(size=(n, 4))
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    each = lambda *rows: np.tile(np.float32(rows), (n,) + (1,) * (np.ndim(rows) - 1))
    sun = np.float32([0.36, 0.48, 0.8])
    batch = scenes.Scenes(
        offsets=np.arange(n + 1) * 2,
        kind=np.tile(np.int32([scenes.KINDS.index("plane"), scenes.KINDS.index("mesh")]), n),
        mesh=np.tile(np.int32([-1, 0]), n),
        meshes=(ball,),
        size=each((4, 4, 0), (1, 1, 1)),
        position=each((0, 0, -1.2), (0, 0, 0)),
        rotation=np.stack([each((1, 0, 0, 0)), turns], 1).reshape(-1, 4).astype(np.float32),
        texture=np.zeros(2 * n, np.int32),
        texture_scale=np.ones(2 * n, np.float32),
        colour=np.tile(np.float32([[[0.6, 0.6, 0.7]], [[0.9, 0.5, 0.3]]]), (n, 2, 1)),
        light_position=np.tile(sun, (n, 1, 1)),
        light_colour=np.full((n, 1, 3), 0.6, np.float32),
        light_is_sun=np.ones((n, 1), bool),
        ambient=np.full((n, 3), 0.4, np.float32),
        sky=np.zeros((n, 3), np.float32),
    )
    return batch, scenes.cameras_from_poses(np.tile([-3.0, 0.0, 1.0, 0.0, -0.32], (n, 1)), 1.0, size, size)


def n_objects(module: ModuleType, config: Any, options: Options) -> int:
    """How many objects the scenes have that are measured; 0: as many as training scenes happen to have."""
    if options.n_objects:
        return options.n_objects
    some, _ = module.views(config, "train", 0, np.arange(64), 1)
    return 3 * bool((some.n_objects == 3).any())


def gather(module: ModuleType, config: Any, options: Options) -> tuple[scenes.Scenes, np.ndarray]:
    """Training scenes that hold as many objects as asked for, and a pose in each."""
    n, start, found, wanted = options.n_scenes, 0, [], n_objects(module, config, options)
    while sum(len(batch) for batch, _ in found) < n:
        if start > 64 * n + 1024:
            raise errors.CaveError(f"--n-objects is {wanted}: training scenes do not have so many", errors.USAGE)
        batch, poses = module.views(config, "train", 0, start + np.arange(4 * n if wanted else n), 1)
        chosen = np.flatnonzero((batch.n_objects == wanted) | (wanted == 0))
        if len(chosen):
            found.append((batch[chosen], poses[chosen, 0]))
        start += 4 * n
    return scenes.join([batch for batch, _ in found])[:n], np.concatenate([poses for _, poses in found])[:n]


def step(name: str, config: Any, options: Options) -> Iterator[Row]:
    """Worlds stepped at random and reset where an episode ends, with and without pictures."""
    cases = {"no pictures": (config, ("state",))}
    for rays in (1, 2):
        seen = dataclasses.replace(config, supersample=rays)
        cases[f"{options.size} x {options.size}, {rays**2} rays a pixel"] = (seen, ("image", "pose", "goal"))
    for n in options.n_worlds:
        calls = {}
        for what, (look, sensors) in cases.items():
            world = envs.make(name, look, n, sensors=sensors, size=(options.size, options.size))
            world.reset()
            calls[f"{n} worlds, {what}"] = functools.partial(play, world, world.observe(), options.n_steps)
        for what, seconds in best(calls, options.rounds).items():
            yield Row("environment", what, n * options.n_steps / seconds, "steps")


def play(world: envs.World, out: dict[str, np.ndarray], n_steps: int) -> None:
    """Step worlds at random, reset where an episode ends, and look."""
    actions = world.random()
    for i in range(n_steps):
        _, terminated, truncated = world.step(np.roll(actions, i, 0))
        if (terminated | truncated).any():
            world.reset(terminated | truncated)
        world.observe(out=out)


def stream(name: str, config: Any, options: Options) -> Iterator[Row]:
    """Batches as a learner watches them: of `Views` or, where there are none, of `Images`."""
    kind, b, v = ("Views", 16, 7) if "Views" in envs.module(name).STREAMS else ("Images", 112, 1)
    drawn = envs.stream(name, config, kind, "train", 0, b, (32, 32), v)
    steps = iter(range(10**9))
    seconds = best({"draw": lambda: [drawn.draw(next(steps)) for _ in range(4)]}, options.rounds)["draw"] / 4
    what = "Views, 16 scenes of 7 views, 32 x 32" if kind == "Views" else f"Images, {b} scenes, 32 x 32"
    yield Row("data", what, b * v / seconds, "frames", f"{seconds * 1000:.1f} ms a batch")


def plot(module: ModuleType, config: Any, options: Options) -> bytes:
    """What a frame costs, as a PNG file: `envs.speed.plots`."""
    from envs.speed import plots  # here, since a table needs no matplotlib

    return plots.costs(module, config, options)


def introduce(rounds: int) -> dict[str, Any]:
    """Say on what machine is measured; returns that with all else that figures come with."""
    origin = runs.provenance()
    machine = origin["machine"] | {"n_threads": n_cores()}
    print(f"{machine['cpu']}: {machine['n_cores']} cores, {machine['n_threads']} threads; the best of {rounds} rounds")
    return origin | {"machine": machine}


def n_cores() -> int:
    """Cores that this process may use, which is how many threads the ray caster has."""
    return len(os.sched_getaffinity(0))
