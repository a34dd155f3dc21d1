"""What a frame costs against pixels, solids and batch: the plot of `envs.benchmark`."""

import dataclasses
import functools
import io
from types import ModuleType
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import scenes
from envs import speed
from scenes import renderers
from scenes.kit import errors

SIZES, SOLIDS, BATCHES = (16, 32, 64, 128, 256), (3, 10, 30, 100, 300), (1, 4, 16, 32, 128, 1024)
_LINES = {
    "ray caster": ("raycast", {}),
    "ray caster, shadows": ("raycast", {"shadows": True}),
    "MuJoCo": ("mujoco", {}),
}


def crowded(batch: scenes.Scenes, n: int) -> scenes.Scenes:
    """The same sceneries with `n` objects each, taken from all of the batch: they may stand in one another."""
    starts, ends = batch.offsets[:-1], batch.offsets[1:]
    begin, behind = starts + batch.first_object, starts + batch.first_object + batch.n_objects
    pool = np.concatenate([np.arange(*ends) for ends in zip(begin, behind)])
    rows = [
        np.concatenate([np.arange(*head), pool[(i + np.arange(n)) % len(pool)], np.arange(*tail)])
        for i, (head, tail) in enumerate(zip(zip(starts, begin), zip(behind, ends)))
    ]
    flat, counts = np.concatenate(rows), [len(row) for row in rows]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(batch.offsets.dtype)
    solids = {name: getattr(batch, name)[flat] for name in scenes.SOLID_FIELDS}
    return dataclasses.replace(batch, offsets=offsets, factors={}, **solids)


def cost(
    module: ModuleType, batch: scenes.Scenes, poses: np.ndarray, size: int, options: speed.Options
) -> dict[str, float]:
    """Microseconds a frame of every line of the plot, those that this machine cannot draw left out."""
    calls, counts = {}, {}
    for name, (renderer, look) in _LINES.items():
        some = len(batch) if renderer == "raycast" else min(options.n_mujoco, len(batch))
        if not some:
            continue
        try:
            handle = renderers.load(renderer, batch[:some], sensors=options.sensors, **look)
            cameras = scenes.watch(module, poses[:some], size, size)
            calls[name], counts[name] = functools.partial(handle.render, cameras), some
            handle.render(cameras)
        except errors.CaveError:
            calls.pop(name, None)
    seconds = speed.best(calls, options.rounds)
    return {name: 1e6 * seconds[name] / counts[name] for name in calls}


def costs(module: ModuleType, config: Any, options: speed.Options) -> bytes:
    """Three panels, each varying one thing from the benchmark's own settings, and their figures printed; the file is a PNG."""
    size = options.size
    n = max(options.n_scenes, max(BATCHES))
    batch, poses = speed.gather(module, config, dataclasses.replace(options, n_scenes=n))
    own, eyes = batch[: options.n_scenes], poses[: options.n_scenes]
    first = batch.first_object
    panels = {
        "pixels of an edge": (SIZES, lambda x: cost(module, own, eyes, x, options)),
        "solids of a scene": (SOLIDS, lambda x: cost(module, crowded(own, x), eyes, size, options)),
        "frames of a batch": (BATCHES, lambda x: cost(module, batch[:x], poses[:x], size, options)),
    }
    figure = Figure((13, 4.3), layout="constrained")
    name = module.__name__.rpartition(".")[2]
    figure.suptitle(
        f"{name}: {', '.join(options.sensors)}; unless varied, {size} x {size}, {options.n_scenes} frames at once"
    )
    for axis, (label, (values, measure)) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        found = [measure(value) for value in values]
        places = np.array(values) + (first if label.startswith("solids") else 0)
        print(f"\n{'microseconds a frame':20} {label:18}" + "".join(f"{place:10}" for place in places))
        for line in _LINES:
            points = [(x, one[line]) for x, one in zip(places.tolist(), found, strict=True) if line in one]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", label=line)
                print(f"{'':20} {line:18}" + "".join(f"{cost:10,.1f}" for _, cost in points), flush=True)
        axis.set(xscale="log", yscale="log", xlabel=label, ylabel="microseconds a frame")
        axis.set_xticks(places, [str(place) for place in places])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(_LINES))
    memory = io.BytesIO()
    figure.savefig(memory, format="png", dpi=110)
    return memory.getvalue()
