"""The ray caster on a graphics card against the one on the processor; without a card, in the simulator of CUDA.

The simulator is chosen before numba is imported, so it runs this file as a script in a process of its own. There the
kernels' indexing is tried, thread by thread; what they call is compiled for the processor.
"""

import copy
import dataclasses
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import scenes
from scenes.geometry import meshes
from scenes.kit import errors, seeds
from scenes.renderers import cards, raycast

FOV, UPRIGHT = math.pi / 3, (1, 0, 0, 0)
SIZES = {
    "box": (0.5, 0.3, 0.4),
    "sphere": (0.5, 0, 0),
    "capsule": (0.3, 0.35, 0),
    "cylinder": (0.4, 0.45, 0),
    "cone": (0.5, 0.55, 0),
    "ellipsoid": (0.6, 0.3, 0.4),
    "torus": (0.45, 0.17, 0),
    "mesh": (0.6, 0.5, 0.55),
}
NAMES = ("rgb", "depth", "ids")


def ball(n=8):
    """A ball of 2 n^2 triangles, with smooth normals."""
    u, v = np.meshgrid(np.linspace(0, np.pi, n + 1), np.arange(n) * 2 * np.pi / n, indexing="ij")
    points = np.stack([np.sin(u) * np.cos(v), np.sin(u) * np.sin(v), np.cos(u)], -1).reshape(-1, 3)
    i, j = (index.ravel() for index in np.indices((n, n)))
    a, b, c, d = i * n + j, (i + 1) * n + j, (i + 1) * n + (j + 1) % n, i * n + (j + 1) % n
    return meshes.smooth(points, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]))


BALL = ball()
WRAPPED = dataclasses.replace(BALL, coordinates=2 * BALL.vertices[BALL.faces][..., :2])


def crowd(seed, kinds, textures, n=9, **changes):
    """One scene of solids of those kinds and textures, each anywhere and anyhow, over a floor before a wall."""
    rng = seeds.generator(seed, "crowd")
    turns = rng.normal(size=(n, 4))
    places = np.stack([rng.uniform(-1.6, 1.6, n), rng.uniform(-1.6, 1.6, n), rng.uniform(0.3, 1.6, n)], 1)
    kinds = ["plane", "plane", *(kinds[i % len(kinds)] for i in range(n))]
    skins = [textures[i % len(textures)] for i in range(n + 2)]
    rotation = np.concatenate([[UPRIGHT, (math.sqrt(0.5), 0, -math.sqrt(0.5), 0)], turns])
    count = n + 2
    picture = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    fields = {
        "offsets": np.array([0, count], np.int32),
        "kind": np.array([scenes.KINDS.index(kind) for kind in kinds], np.int32),
        "mesh": np.array([0 if kind == "mesh" else -1 for kind in kinds], np.int32),
        "meshes": (BALL,) if "mesh" in kinds else (),
        "image": np.array([0 if skin == "image" else -1 for skin in skins], np.int32),
        "images": (picture,) if "image" in skins else (),
        "size": np.array([(2.5, 2.5, 0), (3, 2.5, 0), *(SIZES[kind] for kind in kinds[2:])], np.float32),
        "position": np.concatenate([[(0, 0, 0), (2.5, 0, 3)], places]).astype(np.float32),
        "rotation": (rotation / np.linalg.norm(rotation, axis=1, keepdims=True)).astype(np.float32),
        "texture": np.array([scenes.TEXTURES.index(skin) for skin in skins], np.int32),
        "texture_scale": np.full(count, 0.6, np.float32),
        "colour": rng.random((count, 2, 3), np.float32),
        "light_position": np.float32([[(0.3, -0.5, 0.8), (-1.5, 0.8, 3.5)]]),
        "light_colour": np.float32([[(0.5, 0.4, 0.4), (0.3, 0.4, 0.5)]]),
        "light_is_sun": np.array([[True, False]]),
        "ambient": np.full((1, 3), 0.2, np.float32),
        "sky": np.float32([[0.2, 0.5, 0.9]]),
    }
    return scenes.Scenes(**{**fields, **changes})


def cameras(n, size, **changes):
    """Cameras around the middle, one a scene."""
    angle = np.arange(n) * 0.4
    poses = np.stack([-3.6 * np.cos(angle), 3.6 * np.sin(angle), np.full(n, 1.9), -angle, np.full(n, -0.32)], 1)
    return scenes.cameras_from_poses(poses, FOV, size, size, **changes)


PATTERNS = scenes.TEXTURES[:5]
CASES = {
    "solids": lambda size: (crowd(0, list(SIZES)[:7], ("plain",)), cameras(1, size), {"shadows": True}),
    "patterns": lambda size: (crowd(1, list(SIZES)[:7], PATTERNS), cameras(1, size), {"supersample": 2}),
    "meshes": lambda size: (crowd(2, ["mesh", "box"], ("plain", "noise"), 6), cameras(1, size), {"shadows": True}),
    "images": lambda size: (
        crowd(3, list(SIZES), ("image", "checker"), fog=np.float32([[3, 6]])), cameras(1, size), {"supersample": 3},
    ),
    "unwrapped": lambda size: (
        crowd(8, ["mesh", "box"], ("image", "checker"), 6, meshes=(WRAPPED,)), cameras(1, size), {"supersample": 2},
    ),
    "parallel": lambda size: (
        crowd(4, list(SIZES)[:7], scenes.TEXTURES, light_casts=np.array([[False, True]])), cameras(1, size, extent=3.5),
        {"shadows": True},
    ),
    "dark": lambda size: (
        dataclasses.replace(
            crowd(5, ["sphere"], ("plain",), 2),
            light_position=np.zeros((1, 0, 3), np.float32), light_colour=np.zeros((1, 0, 3), np.float32),
            light_is_sun=np.zeros((1, 0), bool), light_casts=np.zeros((1, 0), bool),
        ),
        cameras(1, size), {"sensors": ("rgb",)},
    ),
}  # fmt: skip


def host(array):
    """As numpy, and its own."""
    return array.copy() if isinstance(array, np.ndarray) else array.cpu().numpy()


def blank(array):
    """Zeros, where and as the array is."""
    made = copy.deepcopy(array)
    made[:] = 0
    return made


def kept(frames, rows=slice(None)):
    """Frames that the next call does not overwrite."""
    return scenes.Frames(**{name: host(getattr(frames, name))[rows] for name in NAMES})


def case(name):
    """The frames of one of `CASES`, as a function of where they are drawn."""

    def draw(device, size):
        batch, view, look = CASES[name](size)
        return [kept(raycast.load(batch, device=device, **look).render(view))]

    return draw


def handled(device, size):
    """Masks, poses, given arrays and updates; more tiles than one, and parts of them."""
    batch = scenes.join([crowd(seed, list(SIZES)[:3], PATTERNS, n) for seed, n in ((0, 2), (1, 4), (2, 3))])
    view = dataclasses.replace(cameras(3, size + 3), width=size + 6, scene=np.array([2, 0, 1], np.int32))
    handle, mask = raycast.load(batch, device=device), np.array([False, True, True])
    made = [kept(handle.render(view, mask=mask), mask)]
    moved = batch.position + np.float32([0, 0, 0.2]), batch.rotation[:, [1, 0, 2, 3]]
    out = handle.render(view, poses=moved)
    made.append(kept(out))
    # Into arrays that are given; on a card, not into those of the handle.
    other = scenes.Frames(**{name: blank(getattr(out, name)) for name in NAMES})
    assert handle.render(view, mask=mask, out=other) is other
    assert not host(other.rgb)[0].any() and np.array_equal(host(other.rgb)[1:], made[0].rgb)
    assert device == "cpu" or np.array_equal(host(out.rgb), made[1].rgb)
    # More solids than there was room for, of a kind that nobody had.
    handle.update(crowd(6, ["mesh", "cone"], ("plain",), 7), np.array([1]))
    made.append(kept(handle.render(view)))
    with pytest.raises(errors.CaveError, match="out.rgb is"):
        handle.render(view, out=scenes.Frames(**{name: getattr(other, name)[:, 1:] for name in NAMES}))
    if device == "cuda":
        with pytest.raises(errors.CaveError, match="not normals"):
            raycast.load(batch, device="cuda", sensors=("rgb", "normals"))
    return made


def many(device, size):
    """More solids than a tile can choose, or than a block has threads."""
    batch = crowd(7, ["box", "sphere"], ("plain",), 700)
    small = np.where(batch.kind[:, None] == 0, batch.size, batch.size / 8)
    return [kept(raycast.load(dataclasses.replace(batch, size=small), device=device).render(cameras(1, size)))]


DRAWN = {name: case(name) for name in CASES} | {"handle": handled, "many": many}


def check(name, ours, theirs):
    """What a card drew is what the processor draws."""
    for mine, true in zip(ours, theirs, strict=True):
        off = np.abs(mine.rgb.astype(int) - true.rgb).max(-1)
        # Of few pixels, one may lie on the edge of a solid or of a shadow.
        assert (off > 1).sum() <= max(1, 0.001 * off.size), f"{name}: {(off > 1).sum()} of {off.size} pixels"
        assert len(np.unique(true.rgb.reshape(-1, 3), axis=0)) > 3, "there is nothing to see"
        if name == "dark":  # which asks for colours only
            continue
        same = mine.ids == true.ids
        assert (~same).sum() <= max(1, 0.001 * same.size), f"{name}: {(~same).sum()} of {same.size} ids"
        met = same & (true.ids >= 0)
        assert met.any() and np.isinf(mine.depth[same & ~met]).all()
        # At a grazing hit, a little off the ray is much along it.
        gap = np.abs(mine.depth[met] - true.depth[met]) > 1e-4 * true.depth[met]
        assert gap.sum() <= max(1, 0.001 * gap.size), f"{name}: {gap.sum()} of {gap.size} depths"


def simulate(folder, size, names):
    """Frames as the simulator draws them: this file is run as a script."""
    told = {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_OPT": "0", "NUMBA_CACHE_DIR": str(folder / "cache")}
    told["PYTHONPATH"] = str(Path(__file__).parents[2])
    # Unoptimised, some of what grows trees holds addresses, which numba tells, and does not keep.
    line = [
        sys.executable,
        "-X",
        "faulthandler",
        "-W",
        "error",
        "-W",
        "ignore:Cannot cache",
        __file__,
        str(folder),
        str(size),
        *names,
    ]
    done = subprocess.run(line, env={**os.environ, **told}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in names:
        with np.load(folder / f"{name}.npz") as arrays:
            n = len(arrays.files) // len(NAMES)
            yield name, [scenes.Frames(**{a: arrays[f"{a}{i}"] for a in NAMES}) for i in range(n)]


def test_the_simulator_draws_what_the_processor_draws(tmp_path):
    for name, ours in simulate(tmp_path, 16, [*CASES, "handle"]):
        check(name, ours, DRAWN[name]("cpu", 16))


@pytest.mark.slow
def test_the_simulator_draws_larger_pictures_and_many_solids(tmp_path):
    for name, ours in simulate(tmp_path, 40, [*DRAWN]):
        check(name, ours, DRAWN[name]("cpu", 40))


@pytest.mark.gpu
@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("size", [16, 128])
def test_a_card_draws_what_the_processor_draws(name, size):
    ours, again = (DRAWN[name]("cuda", size) for _ in range(2))
    check(name, ours, DRAWN[name]("cpu", size))
    for a, b in zip(ours, again):
        assert all(np.array_equal(getattr(a, array), getattr(b, array)) for array in NAMES)


@pytest.mark.gpu
def test_frames_are_tensors_on_the_card_and_nothing_is_copied():
    import torch

    handle = raycast.load(crowd(0, list(SIZES), PATTERNS), device="cuda", shadows=True)
    frames = handle.render(cameras(1, 64))
    assert all(getattr(frames, name).device.type == "cuda" for name in NAMES)
    assert (frames.rgb.dtype, frames.depth.dtype, frames.ids.dtype) == (torch.uint8, torch.float32, torch.int32)
    pointers, first = [getattr(frames, name).data_ptr() for name in NAMES], kept(frames)
    again = handle.render(cameras(1, 64))
    assert [getattr(again, name).data_ptr() for name in NAMES] == pointers
    # What follows in another stream comes after the kernels there.
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        mean = handle.render(cameras(1, 64)).rgb.float().mean()
    stream.synchronize()
    assert abs(float(mean) - first.rgb.mean()) < 1e-2


@pytest.mark.gpu
def test_a_learner_on_a_card_gets_pictures_that_were_drawn_there():
    pytest.importorskip("gymnasium")
    import envs

    here, there = (envs.stream("rooms", None, "Views", "train", 0, 3, (32, 32), 2, device=d) for d in ("cpu", "cuda"))
    batch = there.draw(1)
    assert batch["images"].device.type == "cuda" and batch["images"].shape == (3, 2, 32, 32, 3)
    off = np.abs(batch["images"].cpu().numpy().astype(int) - here.draw(1)["images"]).max(-1)
    assert (off > 1).sum() <= 0.001 * off.size


def test_without_a_card_one_line_says_so():
    if not cards.missing():
        pytest.skip("there is a card")
    with pytest.raises(errors.CaveError, match="device cuda: .*; use device cpu"):
        raycast.load(crowd(0, ["box"], ("plain",), 1), device="cuda")
    with pytest.raises(errors.CaveError, match="device"):
        raycast.load(crowd(0, ["box"], ("plain",), 1), device="gpu")


def one_at_a_time():
    """Let the simulator's threads compile what they call one after another: numba has crashed where many came at once."""
    import threading

    from numba.core import dispatcher

    lock, compile_ = threading.RLock(), dispatcher.Dispatcher._compile_for_args

    def locked(self, *given, **named):
        with lock:
            return compile_(self, *given, **named)

    dispatcher.Dispatcher._compile_for_args = locked


if __name__ == "__main__":
    one_at_a_time()
    # The simulator's threads stand in line for the interpreter, behind one that only looks whether they have ended.
    sys.setswitchinterval(1e-4)
    to, side, *wanted = sys.argv[1:]
    for what in wanted:
        drawn = enumerate(DRAWN[what]("cuda", int(side)))
        np.savez(Path(to) / f"{what}.npz", **{f"{a}{i}": getattr(frame, a) for i, frame in drawn for a in NAMES})
