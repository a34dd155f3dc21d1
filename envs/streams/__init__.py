"""Endless batches for learners: `Images`, `Views`, `Episodes`, `Geometry`.

Every stream has two names: `draw(step) -> dict of numpy arrays` (pictures for a learner on a graphics card are tensors
that were drawn there), a pure function of (environment, config, split, seed, step), and `spec`, what a learner must know
of its shapes. That purity is what makes a resumed run exact: a stream has no position to save. Scene `j` of batch `step`
is scene `step * batch_size + j` of (split, seed).
"""

import dataclasses
import functools
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, UInt8

import scenes
from scenes.kit import plugins, seeds

LAPSE = 32
"""Most random actions before a moment of play."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """Shapes of a stream; plain values, so that it can be written into a run's `config.json`."""

    kind: str
    """"Images", "Views", "Episodes" or "Geometry"."""
    env: str
    """Name of the environment."""
    split: str
    """Where scenes come from."""
    batch_size: int
    """First axis of every array."""
    height: int
    """Of pictures."""
    width: int
    """Of pictures."""
    fov: float
    """Vertical field of view in radians."""
    extent: float
    """Side in metres of the square about the z axis that holds everything that is seen; the floor is at z = 0."""
    views: int = 1
    """Pictures of each scene."""
    points: int = 0
    """Points of each scene whose distance to the surface `Geometry` gives."""
    length: int = 1
    """Steps of each sequence."""
    n_actions: int = 0
    """Numbers of an action as `Episodes` gives it: choices of a discrete one (one-hot), entries of a continuous one."""


class Camera:
    """Pictures of changing batches of scenes, through one renderer handle that is kept between calls."""

    def __init__(self, env: ModuleType, config: Any, size: tuple[int, int], device: str):
        self._renderer = plugins.load("scenes.renderers", config.renderer, "renderer")
        self._env, self._size, self._look = env, size, config.look
        self._on_card = device == "cuda" and config.renderer == "raycast"
        self._handle, self._loaded = None, 0
        # A background thread may draw ahead while the main thread draws for an evaluation.
        self._lock = threading.Lock()

    def shoot(self, batch: scenes.Scenes, poses: np.ndarray) -> UInt8[Any, "b v h w 3"]:
        """Pictures of `b` scenes from poses b v 5, owned by the caller: tensors on the graphics card, if it drew them."""
        b, v = poses.shape[:2]
        scene = np.repeat(np.arange(b, dtype=np.int32), v)
        cameras = scenes.watch(self._env, poses.reshape(b * v, 5), *self._size, scene)
        with self._lock:
            if self._handle is None or self._loaded != b:
                self._handle = self._open(batch, cameras)
                self._loaded = b
            else:
                self._handle.update(batch, np.arange(b))
            rgb = self._handle.render(cameras).rgb
            rgb = rgb.copy() if isinstance(rgb, np.ndarray) else rgb.clone()
            return rgb.reshape(b, v, *self._size, 3)

    def _open(self, batch: scenes.Scenes, cameras: scenes.Cameras) -> Any:
        load = functools.partial(self._renderer.load, batch, **self._look, sensors=("rgb",))
        if not self._on_card:
            return load()
        if self._handle is None:
            from scenes.renderers import cards  # which costs numba's CUDA

            # A learner's card may be one that numba cannot reach, or that fails; then it is sent what the processor draws.
            why = cards.doubt(lambda device: load(device=device).render(cameras))
            self._on_card = not why
            if why:
                print(f"the processor draws the pictures: {why}", file=sys.stderr, flush=True)
        return load(device="cuda" if self._on_card else "cpu")


def scene_indices(step: int, batch_size: int) -> Any:
    """Which scenes batch `step` holds: int64 b."""
    return step * batch_size + np.arange(batch_size, dtype=np.int64)


def moments(world: Any, key: int, index: Int[np.ndarray, " n"]) -> Iterator[Bool[np.ndarray, " n"]]:
    """Play `n` worlds at random from new episodes, each as long as `key` and its index say, at most `LAPSE` steps; yields
    the worlds whose moment has come."""
    u = seeds.uniform(key, index, 2)
    world.reset(seeds=(u[:, 0] * 2.0**53).astype(np.int64))
    wait = (u[:, 1] * (LAPSE + 1)).astype(np.int64)
    for t in range(int(wait.max()) + 1):
        if t:
            _, terminated, truncated = world.step(world.random())
            if (terminated | truncated).any():
                world.reset(terminated | truncated)
        if (wait == t).any():
            yield wait == t
