"""The default renderer: a ray caster on all CPU cores, without OpenGL, display or driver.

It draws every kind of solid and texture of `scenes`, several lights, hard shadows, fog and supersampling, through
pinholes and orthographic cameras, and has every sensor of the contract. The same inputs give the same bytes with any
number of threads. `kernels/` holds its inner loops; numba compiles them on first use (said on standard error, kept for
the next time). `cards` draws the same on a graphics card, when asked to.

Why its own threads: numba's threading layers abort when two threads launch at once, or after a fork, or cost a library
that some machines lack; a frame is enough work to be handed to a plain thread, and numba's code lets go of the lock.
"""

import contextlib
import math
import os
import pathlib
import queue
import sys
import threading
import weakref
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Int
from numba.core import event

import scenes
from scenes import geometry, renderers
from scenes.geometry import trees
from scenes.kit import errors
from scenes.renderers.kernels import casters, chunks, deferred, frame, growth, laid, outlines, pictures, triangles


def version() -> int:
    """A number that changes with the source of the kernels."""
    files = sorted(pathlib.Path(frame.__file__).parent.glob("*.py"))
    return zlib.crc32(b"".join(file.read_bytes() for file in files))


_draw = frame.compiled(version())
_find_normals, _find_flow = deferred.compiled(version())
_start = threading.Lock()
_jobs: queue.SimpleQueue = queue.SimpleQueue()
_n_helpers = 0
_compiled: set[tuple] = set()
_handles: weakref.WeakSet = weakref.WeakSet()


def _forget_helpers() -> None:
    """A forked child has none of its parent's threads, nor what they were at with a handle."""
    global _start, _jobs, _n_helpers
    _start, _jobs, _n_helpers = threading.Lock(), queue.SimpleQueue(), 0
    for handle in _handles:
        handle._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_helpers)


def load(
    batch: scenes.Scenes,
    shadows: bool = False,
    supersample: int = 1,
    sensors: tuple[str, ...] = renderers.USUAL,
    capacity: int = 0,
    threads: int = 0,
    device: str = "auto",
) -> "Handle":
    """Make scenes ready to be drawn.

    Args:
        batch: At least one scene.
        shadows: Whether lights cast hard shadows of all solids but planes.
        supersample: Rays per pixel each way; colours are the mean of `supersample` squared, each rounded to a byte,
            while all but colours and albedo stay those of the ray through the pixel's centre.
        sensors: Which of `renderers.SENSORS` are wanted; the frames' other arrays may stay as they were, or are None.
        capacity: Solids to keep room for in each scene, for `update`; it grows by itself when needed.
        threads: Cores to use; 0: all that this process may.
        device: cpu; or cuda, a graphics card, where frames are torch tensors that stay there. auto is cpu: what frames
            are must not depend on the machine.

    Raises:
        errors.CaveError: the scenes or the options cannot be drawn.
    """
    if supersample not in range(1, 9):
        raise errors.CaveError(f"raycast: supersample is {supersample}, wanted 1 to 8", errors.USAGE)
    renderers.check_sensors(sensors)
    renderers.check_scenes(batch)
    if device not in renderers.DEVICES:
        raise errors.unknown("device", device, renderers.DEVICES)
    if device == "cuda":
        from scenes.renderers import cards  # which costs torch, and CUDA

        return cards.Handle(batch, shadows, supersample, sensors, capacity)
    return Handle(batch, shadows, supersample, sensors, capacity, threads or _cores())


def _shares(n: int, threads: int) -> list[tuple[int, int]]:
    """Cuts of `n` frames that threads take from in turn: smaller and smaller, so that all end at about the same time."""
    shares, begin = [], 0
    while begin < n:
        end = n if threads == 1 else min(n, begin + max(4, (n - begin) // (2 * threads)))
        shares.append((begin, end))
        begin = end
    return shares


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Handle:
    """Scenes that are ready to be drawn, and the arrays they are drawn into. See `scenes.renderers`."""

    def __init__(
        self,
        batch: scenes.Scenes,
        shadows: bool,
        supersample: int,
        sensors: tuple[str, ...],
        capacity: int,
        threads: int,
    ):
        self._shadows, self._ratio = bool(shadows), int(supersample)
        self._wanted = ("rgb" in sensors, bool({"depth", "ids", "normals", "flow"} & set(sensors)))
        self._more = tuple(name for name in renderers.SENSORS if name in sensors and name not in renderers.USUAL)
        self._threads = threads
        self._buffers: dict[str, np.ndarray] = {}
        self._prepared: tuple = (None, ())
        self._lock = threading.RLock()
        _handles.add(self)
        self._meshes: list[scenes.Mesh] = []
        self._forest = trees.forest([])
        self._images: tuple[np.ndarray, ...] = ()
        self._sums = pictures.table(())
        self._sizes: tuple[np.ndarray, np.ndarray] | None = None
        self._reserve(len(batch), max(capacity, int(batch.n_solids.max())), batch.light_position.shape[1])
        self._put(batch, np.arange(len(batch)))

    def _reserve(self, b: int, capacity: int, n_lights: int) -> None:
        n = b * capacity
        self._capacity = capacity
        self._first = np.arange(b, dtype=np.int64) * capacity
        self._count = np.zeros(b, np.int64)
        self._kind, self._texture = np.zeros(n, np.int32), np.zeros(n, np.int32)
        self._look = np.zeros((n, 10), np.float32)
        self._position, self._rotation = np.zeros((n, 3), np.float32), np.zeros((n, 4), np.float32)
        self._lights, self._air = np.zeros((b, n_lights, 8), np.float32), np.zeros((b, 8), np.float32)

    def _put(self, batch: scenes.Scenes, rows: np.ndarray) -> None:
        counts = batch.n_solids
        # Where each solid goes: its scene's place, then its number within the scene.
        to = np.repeat(self._first[rows] - batch.offsets[:-1], counts) + np.arange(len(batch.kind))
        self._count[rows] = counts
        self._kind[to] = self._plant(batch, rows)
        # The number of an image counts on from that of the last pattern.
        self._texture.reshape(len(self._count), -1)[rows] = 0
        numbers = np.append(self._take(batch.images), 0)
        if self._sizes is None and self._images and self._forest[-1] is not None:
            self._sizes = laid.table(self._images)
        self._texture[to] = batch.texture + numbers[batch.image]
        self._look[to, :3], self._look[to, 3] = geometry.extents(batch), batch.texture_scale
        # A colour below black would reach into the byte of a packed pixel where its solid's name is.
        self._look[to, 4:] = np.maximum(batch.colour.reshape(-1, 6), 0)
        self._position[to], self._rotation[to] = batch.position, batch.rotation
        self._lights[rows, :, :3], self._lights[rows, :, 3:6] = batch.light_position, np.maximum(batch.light_colour, 0)
        self._lights[rows, :, 6], self._lights[rows, :, 7] = batch.light_is_sun, batch.light_casts
        self._air[rows, :3], self._air[rows, 3:6] = np.maximum(batch.ambient, 0), np.maximum(batch.sky, 0)
        self._air[rows, 6:] = batch.fog
        self._pose_first = np.concatenate([[0], np.cumsum(self._count)])

    def _plant(self, batch: scenes.Scenes, rows: np.ndarray) -> np.ndarray:
        """The kernels' names of the kinds of all solids, after growing the trees of meshes that are new here."""
        kinds = self._kind.reshape(len(self._count), self._capacity)
        kinds[rows] = 0
        if not batch.meshes:
            return batch.kind
        wanted = [batch.meshes[i] for i in np.unique(batch.mesh[batch.mesh >= 0])]
        if any(mesh not in self._meshes for mesh in wanted):
            # Those that no scene has any longer make room.
            kept = np.unique(kinds[kinds >= outlines.MESH]) - outlines.MESH
            number = np.zeros(len(self._meshes), np.int32)
            number[kept] = np.arange(len(kept))
            kinds[kinds >= outlines.MESH] = outlines.MESH + number[kinds[kinds >= outlines.MESH] - outlines.MESH]
            self._meshes = [self._meshes[i] for i in kept]
            self._meshes += [mesh for mesh in wanted if mesh not in self._meshes]
            with _announced(growth.grow.signatures):
                self._forest = trees.forest(self._meshes)
        names = {mesh: outlines.MESH + i for i, mesh in enumerate(self._meshes)}
        # The last is that of -1: solids which are no meshes.
        named = np.array([*(names.get(mesh, 0) for mesh in batch.meshes), 0], np.int32)[batch.mesh]
        return np.where(batch.mesh >= 0, named, batch.kind)

    def _take(self, images: tuple[np.ndarray, ...]) -> np.ndarray:
        """Numbers of pictures among those that are loaded; where some are new, those that no solid shows go."""
        if not {id(image) for image in images} <= {id(image) for image in self._images}:
            shows = self._texture >= chunks.IMAGE
            left, self._texture[shows] = np.unique(self._texture[shows], return_inverse=True)
            self._texture[shows] += chunks.IMAGE
            table = {id(image): image for image in (*(self._images[i - chunks.IMAGE] for i in left.tolist()), *images)}
            self._images = tuple(table.values())
            self._sums, self._sizes = pictures.table(self._images), None
        number = {id(image): i for i, image in enumerate(self._images)}
        return np.array([number[id(image)] for image in images], np.int32)

    def update(self, batch: scenes.Scenes, rows: Int[np.ndarray, " b"]) -> None:
        """Put other scenes in the places `rows` of the loaded batch; the rest stays.

        Raises:
            errors.CaveError: the scenes cannot be drawn, or do not fit the places.
        """
        renderers.check_scenes(batch)
        rows = renderers.check_rows(batch, rows, len(self._count))
        if batch.light_position.shape[1] != self._lights.shape[1]:
            raise errors.CaveError(
                f"update: scenes have {batch.light_position.shape[1]} lights, those loaded {self._lights.shape[1]}"
            )
        with self._lock:
            most = int(batch.n_solids.max())
            if most > self._capacity:
                self._grow(most)
            self._put(batch, rows)

    def _grow(self, capacity: int) -> None:
        names = ("_kind", "_texture", "_look", "_position", "_rotation")
        place = lambda array: array.reshape(len(self._count), self._capacity, *array.shape[1:])
        old = {name: place(getattr(self, name)) for name in names}
        count, lights, air = self._count, self._lights, self._air
        before = self._capacity
        self._reserve(len(count), capacity, lights.shape[1])
        for name, value in old.items():
            place(getattr(self, name))[:, :before] = value
        self._count, self._lights, self._air = count, lights, air

    def _buffer(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """An array that is made anew only when a larger one is asked for."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        array = self._buffers.get(name)
        if array is None or len(array) < size:
            # Beginning with a cache line: SIMD stores that straddle two cost twice as much.
            array = np.zeros(size + 64, np.uint8)
            array = self._buffers[name] = array[-array.ctypes.data % 64 :]
        return array[:size].view(dtype).reshape(shape)

    def _room(self, b: int, h: int, w: int, simple: bool, mapped: bool) -> tuple:
        """Arrays for the colours, depths and ids of so many frames; and for each thread its scratch, what it walks through
        trees with, and what it paints triangles on. Those of the last call, where they fit."""
        ratio, most, n_lights = self._ratio, self._capacity, self._lights.shape[1]
        kind = (b, h, w, simple, mapped, most, n_lights)
        if self._prepared[0] == kind:
            return self._prepared[1]
        stride, fine = max(w, outlines.WIDE), max(w * ratio, outlines.WIDE)
        row = -(-h * w // 4) * 3  # a frame's bytes, in numbers of four
        frames = (
            self._buffer("rgb", (b, row), np.uint32),
            self._buffer("depth", (b, h * stride), np.float32),
            self._buffer("ids", (b, h * stride), np.int32),
        )
        # Not more threads than there is work for: waking one costs about as much as a few small frames.
        threads = max(1, min(self._threads, b, b * h * fine * ratio // 2**14))
        own = (
            self._buffer("pixels", (threads, h * ratio * fine + 3), np.int32),
            self._buffer("small", (threads, (h * stride if ratio > 1 else 0) + 3), np.int32),
            self._buffer("z", (threads, h * ratio * fine), np.float32),
            self._buffer("chunk", (threads, chunks.SCRATCH), np.float32),
            self._buffer("geometry", (threads, most, frame.FIXED + 3 * n_lights), np.float32),
            self._buffer("blocks", (threads, 4, h * ratio * (fine // outlines.WIDE + 2)), np.int32),
            self._buffer("edge", (threads, 3, 6), np.float64),
            self._buffer("spans", (threads, 2, h * ratio), np.float64),
            self._buffer("order", (threads, most), np.int32),
            self._buffer("nearest", (threads, most), np.float64),
        )
        room = 2 * casters.width(most) if self._shadows else 1
        casting = (
            self._buffer("windows", (threads, n_lights, most + 1, casters.CASTER + 1), np.int32),
            self._buffer("tree", (threads, room, 4), np.float64),
            self._buffer("leaves", (threads, most), np.int32),
            self._buffer("codes", (threads, most), np.float64),
            self._buffer("covered", (threads, h * ratio), np.int64),
        )
        walks = (
            self._buffer("pile", (threads, growth.PILE), np.int32),
            self._buffer("near", (threads, growth.PILE), np.float32),
        )
        area = 0 if simple else h * ratio * fine
        canvas = (
            self._buffer("leaf", (threads, triangles.ROOM), np.float32),
            self._buffer("seen", (threads, area), np.int32),
            *(self._buffer(name, (threads, area), np.float32) for name in ("far", "first", "second")),
            self._buffer("around", (threads, laid.ROOM if mapped else 0), np.int32),
        )
        own[3][:, int(chunks.LANE) :] = np.arange(outlines.WIDE)
        of = lambda i, arrays: tuple(array[i] for array in arrays)
        scratch = [
            ((*of(i, own[:8]), of(i, casting), *of(i, own[8:])), of(i, walks), of(i, canvas)) for i in range(threads)
        ]
        self._prepared = kind, (*frames, scratch)
        return self._prepared[1]

    def render(
        self,
        cameras: scenes.Cameras,
        poses: tuple[np.ndarray, np.ndarray] | None = None,
        mask: np.ndarray | None = None,
        out: scenes.Frames | None = None,
        flow_to: tuple[scenes.Cameras, tuple[np.ndarray, np.ndarray] | None] | None = None,
    ) -> scenes.Frames:
        """Draw what `b` cameras see; arguments and result are those of `scenes.renderers`.

        Raises:
            errors.CaveError: cameras, poses, mask, out or flow_to do not fit, or hold values that are not finite.
        """
        renderers.check_cameras(cameras, len(self._count))
        renderers.check_flow(flow_to, cameras, "flow" in self._more, len(self._count))
        with self._lock:
            return self._render(cameras, poses, mask, out, flow_to)

    def _places(self, poses: tuple[np.ndarray, np.ndarray] | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where each scene's solids begin among the poses, and the poses."""
        if poses is None:
            return self._first, self._position, self._rotation
        return self._pose_first, *renderers.check_poses(poses, int(self._pose_first[-1]))

    def _render(self, cameras, poses, mask, out, flow_to) -> scenes.Frames:
        b, h, w, ratio = len(cameras), cameras.height, cameras.width, self._ratio
        places = self._places(poses)
        drawn = renderers.check_mask(mask, b)
        if out is not None:
            renderers.check_out(out, b, h, w, self._more)
        # Few scenes have meshes or images: others are drawn by code without them, which is sooner compiled, as is that
        # without shadows.
        simple = not (self._meshes or self._images)
        sums = (None, None) if simple else self._sums
        *grown, coordinates = self._forest
        mapped = None if coordinates is None or self._sizes is None else (coordinates, *self._sizes)
        rgb, depth, ids, scratch = self._room(b, h, w, simple, mapped is not None)
        extent = None if cameras.extent is None else float(cameras.extent)
        which, eyes, turns, *lens = lenses(cameras)
        view = (eyes, turns, drawn, float(cameras.fov), extent, h, w)
        shapes = (self._first, self._count, self._kind)
        solids = (*shapes, self._texture, self._look, *places)
        shadows = True if self._shadows else None
        rest = (which, *view, ratio, shadows, *self._wanted, *solids, self._lights, self._air, *sums)
        more: dict[str, np.ndarray] = {}
        if "albedo" in self._more:
            more["albedo"] = self._buffer("albedo", rgb.shape, np.uint32)
            # Colour before light is what white light from everywhere shows, before a black sky.
            bare, white = self._lights[:, :0], self._buffer("white", self._air.shape, np.float32)
            white[:, :3] = 1
            plain = (which, *view, ratio, None, True, False, *solids, bare, white, *sums)
        if "normals" in self._more:
            more["normals"] = self._buffer("normals", (b, h, w, 3), np.float32)
            bodies = (which, *view, *shapes, self._look, *places, self._lights[:, :0].reshape(-1, 8))
        if "flow" in self._more:
            more["flow"] = self._buffer("flow", (b, h, w, 2), np.float32)
            _, *other = lenses(flow_to[0])
            motion = (drawn, h, w, which, self._count, eyes, turns, *lens, *places, *other, *self._places(flow_to[1]))
        # What is made of a frame is made by the thread that drew it; without such, threads need not come back here.
        counter, left = np.zeros(1, np.int64), iter(_shares(b, len(scratch)) if more else ())

        def work(thread: int) -> None:
            own, walk, paint = scratch[thread]
            forest = None if simple else (*walk, *grown, mapped, *paint)
            if not more:
                _draw(counter, b, rgb, depth, ids, *own, *rest, forest)
                return
            for begin, end in left:
                _draw(np.array([begin]), end, rgb, depth, ids, *own, *rest, forest)
                if "albedo" in more:
                    _draw(np.array([begin]), end, more["albedo"], depth, ids, *own, *plain, forest)
                if "normals" in more:
                    _find_normals(begin, end, more["normals"], ids, *own[2:6], *bodies, forest)
                if "flow" in more:
                    _find_flow(begin, end, more["flow"], depth, ids, *motion)

        _run(work, len(scratch), (extent is None, simple, shadows, mapped is None, *more))
        arrays = {"rgb": rgb, **more}
        for name in arrays.keys() & {"rgb", "albedo"}:
            arrays[name] = arrays[name].view(np.uint8)[:, : h * w * 3].reshape(b, h, w, 3)
        arrays |= {"depth": depth.reshape(b, h, -1)[:, :, :w], "ids": ids.reshape(b, h, -1)[:, :, :w]}
        if out is None:
            return scenes.Frames(**arrays)
        for name, made in arrays.items():
            np.copyto(getattr(out, name), made, where=drawn.reshape(-1, *(1,) * (made.ndim - 1)))
        return out


def lenses(cameras: scenes.Cameras) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, bool]:
    """Of cameras: their scenes, places and attitudes, the change of a ray from pixel to pixel, and whether they are
    orthographic (then it is the rays' origins that change)."""
    flat = cameras.extent is not None
    high = float(cameras.extent) if flat else 2 * math.tan(cameras.fov / 2)
    arrays = ((cameras.scene, np.int64), (cameras.position, np.float32), (cameras.rotation, np.float32))
    return *(np.ascontiguousarray(array, dtype) for array, dtype in arrays), high / cameras.height, flat


class _Announce(event.Listener):
    """Says that compilation has begun, which numba does in silence."""

    def __init__(self):
        self._told = False

    def on_start(self, event) -> None:
        if not self._told:
            self._told = True
            print("compiling the ray caster, once (about 20 s) ...", file=sys.stderr, flush=True)

    def on_end(self, event) -> None:
        pass


def _announced(known: Any) -> contextlib.AbstractContextManager:
    """Within it, the first compilation is told, unless what is to be compiled is `known`."""
    return contextlib.nullcontext() if known else event.install_listener("numba:compile", _Announce())


def _run(work: Callable[[int], None], threads: int, kind: tuple) -> None:
    """Run `work(0)` to `work(threads - 1)` at once; work of each `kind` has code of its own to be compiled."""
    global _n_helpers
    done: queue.SimpleQueue = queue.SimpleQueue()
    ended: list[BaseException | None] = []
    if sys.is_finalizing():  # the helpers are gone
        threads = 1
    with _start:
        if kind not in _compiled:
            with _announced(False):
                work(0)
            _compiled.add(kind)
        try:
            while _n_helpers < threads - 1:
                threading.Thread(target=_help, args=(_jobs,), name="raycast", daemon=True).start()
                _n_helpers += 1
        except RuntimeError:  # the system has no more: there is less help
            threads = _n_helpers + 1
    for thread in range(1, threads):
        _jobs.put((work, thread, ended, done))
    try:
        work(0)
    finally:
        _wait(threads - 1, ended, done)
    for failure in ended:
        if failure is not None:
            raise failure


def _wait(n: int, ended: list, done: queue.SimpleQueue) -> None:
    """Wait until `n` threads have ended, through Ctrl-C as well: they draw into what the next call draws into."""
    try:
        while len(ended) < n:
            done.get()
    except BaseException:
        _wait(n, ended, done)
        raise


def _help(jobs: queue.SimpleQueue) -> None:
    """What each helping thread does; an executor's futures would cost as much as several small frames."""
    while True:
        _do(*jobs.get())  # nothing of it is kept while the next one is waited for


def _do(work: Callable[[int], None], thread: int, ended: list, done: queue.SimpleQueue) -> None:
    try:
        work(thread)
        ended.append(None)
    except BaseException as error:
        ended.append(error)
    done.put(None)
