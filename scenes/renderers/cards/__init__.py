"""The ray caster on a graphics card: a handle like that of `raycast`, whose frames are torch tensors that stay there.

Scenes and poses come as numpy arrays and are sent over; only what has changed is sent. Nothing is waited for: kernels go
onto torch's current stream, so what a learner does with the frames there comes after them by itself (`Handle.wait` is for
clocks). Without a card, the simulator of CUDA that numba has (NUMBA_ENABLE_CUDASIM=1) draws into numpy arrays, slowly.
"""

import contextlib
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

import scenes
from scenes import renderers
from scenes.kit import errors
from scenes.renderers import raycast
from scenes.renderers.kernels import growth

_ARRAYS = {"rgb": ((3,), np.uint8), "depth": ((), np.float32), "ids": ((), np.int32)}
_PLACING = 128
"""Threads of a block that places solids."""


def missing() -> str:
    """Why there is no card to draw on; empty where there is one."""
    if numba.config.ENABLE_CUDASIM:
        return ""
    try:
        import torch
    except ImportError:
        return "torch is missing"
    if not torch.cuda.is_available():
        return "torch finds no GPU here"
    with contextlib.suppress(ImportError):
        from numba import cuda

        if cuda.is_available():
            return ""
    return "numba finds no CUDA here: pip install 'cave[cuda]'"


def doubt(draw: Callable[[str], scenes.Frames]) -> str:
    """Why pictures had better be drawn by the processor; empty where the card draws what that draws.

    Args:
        draw: Gives frames that were drawn on a device, cpu or cuda.
    """
    if why := missing():
        return why
    try:
        theirs = draw("cuda").rgb
        theirs = np.asarray(theirs if isinstance(theirs, np.ndarray) else theirs.cpu())
    except Exception as error:  # whatever a card, its driver or the compiler has to say
        return f"the card fails: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    off = (np.abs(draw("cpu").rgb.astype(int) - theirs) > 1).any(-1).mean()
    return "" if off <= 1e-3 else f"{off:.1%} of the pixels that the card draws are not the processor's"


class _Torch:
    """Arrays of torch, and its stream."""

    def __init__(self):
        import torch

        self._torch = torch
        self.device = torch.device("cuda", torch.cuda.current_device())

    def empty(self, shape: tuple[int, ...], dtype: type) -> Any:
        """A new array on the card, of zeros: masks may leave parts of it as they are."""
        return self._torch.zeros(shape, dtype=getattr(self._torch, np.dtype(dtype).name), device=self.device)

    def send(self, array: np.ndarray) -> Any:
        """A copy on the card."""
        return self._torch.from_numpy(np.array(array, order="C")).to(self.device)

    def seen(self, array: Any) -> Any:
        """The same memory, as kernels take it."""
        from numba import cuda

        return cuda.as_cuda_array(array, sync=False)

    def stream(self) -> Any:
        """Where torch's next kernel would go."""
        from numba import cuda

        cuda.select_device(self.device.index)
        current = self._torch.cuda.current_stream(self.device).cuda_stream
        return cuda.external_stream(current) if current else 0

    def wait(self) -> None:
        """Until that stream is empty."""
        self._torch.cuda.current_stream(self.device).synchronize()


class _Simulated:
    """Arrays of numpy, for the simulator."""

    device = "simulator"

    def empty(self, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """A new array."""
        return np.zeros(shape, dtype)

    def send(self, array: np.ndarray) -> np.ndarray:
        """A copy."""
        return np.array(array, order="C")

    def seen(self, array: np.ndarray) -> np.ndarray:
        """The array."""
        return array

    def stream(self) -> int:
        """There is but one."""
        return 0

    def wait(self) -> None:
        """Kernels have ended when they return."""


class Handle(raycast.Handle):
    """Scenes that are ready to be drawn, and the arrays they are drawn into. See `scenes.renderers`."""

    def __init__(self, batch: scenes.Scenes, shadows: bool, supersample: int, sensors: tuple[str, ...], capacity: int):
        for sensor in sensors:
            if sensor not in renderers.USUAL:
                raise errors.CaveError(
                    f"raycast: a graphics card draws {', '.join(renderers.USUAL)}, not {sensor}; use device cpu",
                    errors.USAGE,
                )
        if why := missing():
            raise errors.CaveError(f"device cuda: {why}; use device cpu", errors.USAGE)
        self._card = _Simulated() if numba.config.ENABLE_CUDASIM else _Torch()
        self._kept: dict[str, Any] = {}
        self._tables, self._trees, self._pictures, self._laid = None, None, None, None
        super().__init__(batch, shadows, supersample, sensors, capacity, 1)

    def _put(self, batch: scenes.Scenes, rows: np.ndarray) -> None:
        super()._put(batch, rows)
        self._tables = None

    def wait(self) -> None:
        """Until all that was asked for is drawn."""
        self._card.wait()

    def _send(self, *arrays: np.ndarray) -> tuple:
        """Copies on the card, as kernels take them. No axis is empty there: what is not there is a zero."""
        made = []
        for array in arrays:
            if not array.size:
                array = np.zeros([max(1, n) for n in array.shape], array.dtype)
            # Torch knows few things to do with numbers without a sign; these are only sent.
            signed = array.view(np.int32) if array.dtype == np.uint32 else array
            seen = self._card.seen(self._card.send(signed))
            made.append(seen if signed is array else seen.view(array.dtype))
        return tuple(made)

    def _keep(self, name: str, shape: tuple[int, ...], dtype: type) -> tuple[Any, Any]:
        """An array on the card that is made anew only when another shape is asked for, and as kernels take it."""
        array, seen = self._kept.get(name, (None, None))
        if array is None or tuple(array.shape) != shape:
            array = self._card.empty(shape, dtype)
            self._kept[name] = array, seen = array, self._card.seen(array)
        return array, seen

    def _check(self, out: scenes.Frames, b: int, height: int, width: int) -> None:
        for name, (last, dtype) in _ARRAYS.items():
            given, shape = getattr(out, name), (b, height, width, *last)
            dtype, kind = np.dtype(dtype).name, str(given.dtype).removeprefix("torch.")
            here = getattr(given, "device", None) == self._card.device or isinstance(self._card, _Simulated)
            if tuple(given.shape) != shape or kind != dtype or not here:
                told = f"{kind} of shape {tuple(given.shape)} on {getattr(given, 'device', 'cpu')}"
                raise errors.CaveError(f"out.{name} is {told}, wanted {dtype} of shape {shape} on {self._card.device}")

    def _render(self, cameras, poses, mask, out, flow_to) -> scenes.Frames:
        b, h, w, ratio = len(cameras), cameras.height, cameras.width, self._ratio
        places = None if poses is None else self._places(poses)
        rows = np.flatnonzero(renderers.check_mask(mask, b)).astype(np.int32)
        if out is None:
            made = {name: self._keep(name, (b, h, w, *last), dtype) for name, (last, dtype) in _ARRAYS.items()}
            out, frames = scenes.Frames(**{name: array for name, (array, _) in made.items()}), made.values()
            frames = tuple(seen for _, seen in frames)
        else:
            self._check(out, b, h, w)
            frames = tuple(self._card.seen(getattr(out, name)) for name in _ARRAYS)
        if not len(rows):
            return out
        stream = self._card.stream()
        if self._tables is None:
            tables = (self._first, self._count, self._kind, self._texture, self._look)
            self._tables = self._send(*tables, *self._places(None), self._lights, self._air)
        tables = self._tables
        if places is not None:
            tables = (*tables[:5], *self._send(*places), *tables[8:])
        if self._trees is None or self._trees[0] is not self._forest:
            self._trees = (self._forest, self._send(*self._forest[:-1]), _room(self._forest))
            self._laid = None
        if self._pictures is None or self._pictures[0] is not self._sums:
            self._pictures = (self._sums, self._send(*self._sums))
            self._laid = None
        unwrapped = self._sizes is not None and self._forest[-1] is not None
        if self._laid is None:
            nothing = (np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros((0, 1), np.int32))
            self._laid = self._send(*((self._forest[-1], *self._sizes) if unwrapped else nothing))
        # There is room for one where there is nothing.
        capacity, n_lights = max(1, self._capacity), max(1, self._lights.shape[1])
        _, geometry = self._keep("geometry", (b * capacity, 13 + 3 * n_lights), np.float32)
        _, windows = self._keep("windows", (b * capacity, 4), np.int32)
        which, eyes, turns, step, flat = raycast.lenses(cameras)
        seen = self._send(rows, which, eyes, turns)
        step, extent = step / ratio, float(cameras.extent or 0)
        place, draw, tile, threads = _kernels(self._trees[2], flat, unwrapped)
        _launch(place, -(-len(rows) * capacity // _PLACING), _PLACING, stream)(
            seen, tables, (geometry, windows), capacity, h * ratio, w * ratio, step, extent
        )
        _launch(draw, len(rows) * -(-h // tile) * -(-w // tile), threads, stream)(
            seen, tables, (geometry, windows), self._pictures[1], self._trees[1], self._laid, frames, capacity, h, w,
            np.float32(step), extent, ratio, self._shadows, *self._wanted,
        )  # fmt: skip
        return out


def _launch(kernel: Any, blocks: int, threads: int, stream: Any) -> Callable:
    """A kernel ready to be called with its arguments."""
    with warnings.catch_warnings():
        # numba thinks that whoever asks for few blocks has made a mistake; a small picture has few.
        warnings.filterwarnings("ignore", "Grid size")
        return kernel[blocks, threads, stream]


def _room(forest: tuple) -> int:
    """Branches that may wait on the way through the deepest of some trees, a power of two; 0 if there are no trees."""
    roots, _, nodes, children, *_ = forest
    if not len(roots):
        return 0
    low, children = nodes.reshape(-1, 6, growth.WIDE)[:, 0], children.reshape(-1, growth.WIDE)
    depth, level = 0, roots
    while len(level):
        depth += 1
        below = children[level][low[level] < growth.NOWHERE]
        level = below[below >= 0]
    return max(32, 1 << (depth * (growth.WIDE - 1)).bit_length())


_made: dict[tuple[int, bool, bool], tuple[Callable, Callable]] = {}


def _kernels(stack: int, flat: bool, laid: bool) -> tuple[Callable, Callable, int, int]:
    """The kernels for such scenes and cameras, the side of a tile and its threads."""
    from scenes.renderers.kernels import device

    if (stack, flat, laid) not in _made:
        if not numba.config.ENABLE_CUDASIM:
            print(
                "making the ray caster ready for the graphics card (the first time it is compiled) ...",
                file=sys.stderr,
                flush=True,
            )
        _made[stack, flat, laid] = device.compiled(raycast.version(), stack, flat, laid)
    return *_made[stack, flat, laid], device.TILE, device.THREADS
