"""The ray caster on a graphics card: one thread for each pixel, one block of threads for each tile of a picture.

`place` first puts every solid into the axes of every camera that is drawn, with a rectangle around it on the screen. In
`draw` the threads of a tile choose together the solids whose rectangles meet it; each then draws its pixel. A kernel only
finds out who it is; all the rest is done by functions of `pixels`, which numba compiles for the processor, too. So the
simulator of CUDA tries the kernels' indexing alone, and what a pixel shows is tried with the processor's own numbers.

Arrays come in tuples, which the simulator hands on as they are.
"""

import numba
from numba import cuda

from scenes.renderers.kernels import growth, pixels
from scenes.renderers.kernels.pixels import LOOP, THREADS, TILE

CHOSEN = 512
"""Solids that a tile may choose; where more meet it, its threads look at all of the scene."""
# As on the processor: infinities are numbers here.
KERNEL = {"fastmath": LOOP["fastmath"], "cache": True}


@numba.njit(**LOOP)
def _lens(flat, extent):
    """`extent` of an orthographic camera, None of a pinhole: numba knows by the type of `flat` which it is."""
    if flat is None:
        return None
    return extent


@numba.njit(**LOOP)
def _mapped(laid, coordinates):
    """What `laid` wants, or None where no mesh has coordinates."""
    if laid is None:
        return None
    return coordinates


@numba.njit(**LOOP)
def _forest(wooded, pile, near, trunks, mapped):
    """Scratch, trees and what `laid` wants, or None where there are no meshes."""
    if wooded is None:
        return None
    return (pile, near) + trunks + (mapped,)  # noqa: RUF005  numba lays tuples end to end by no other name


def compiled(version: int, stack: int, flat: bool, laid: bool):
    """The two kernels, `place` and `draw`. Why they close over `version`: see `frame.compiled`.

    Both take these tuples of arrays:
        cameras: Which of them are drawn; of all, their scenes, places and quaternions.
        tables: Where each scene's solids begin and how many they are; kinds, textures, looks; where each scene's poses
            begin; positions, rotations; lights; air.
        placed: Geometry and windows, `capacity` rows for each camera.
        shown: Of `pictures.table`.
        trunks: The trees of all meshes.
        coordinates: Of these, and all sizes of the pictures; see `laid`.
        frames: What is drawn.

    Args:
        version: A number that stands for the source of all kernels.
        stack: Branches to remember on the way through a mesh's tree; 0: there are no meshes.
        flat: Whether cameras are orthographic.
        laid: Whether meshes show pictures by coordinates of their own.
    """
    room, more = max(stack, 1), max(stack, 1) + growth.WIDE
    lens, wooded, unwrapped = True if flat else None, True if stack else None, True if laid else None

    @cuda.jit(**KERNEL)
    def place(cameras, tables, placed, capacity, height, width, step, extent):
        """One thread for each solid of each camera; height, width and step are those of the finer picture."""
        _ = version
        rows, which, eye, turn = cameras
        first, count, kind, _, look, pose_first, position, rotation, lights, _ = tables
        geometry, windows = placed
        at = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if at < len(rows) * capacity:
            camera, k = rows[at // capacity], at % capacity
            scene = which[camera]
            if k < count[scene]:
                pixels.place_solid(
                    first[scene] + k, camera * capacity + k, camera, pose_first[scene] + k, eye, turn, kind, look,
                    position, rotation, lights[scene], geometry, windows, height, width, step, _lens(lens, extent),
                )  # fmt: skip

    @cuda.jit(**KERNEL)
    def draw(
        cameras, tables, placed, shown, trunks, coordinates, frames,
        capacity, height, width, step, extent, ratio, shadows, painted, measured,
    ):  # fmt: skip
        """One block for each tile of each picture; the step is that of the finer one."""
        _ = version
        rows, which, _, _ = cameras
        first, count, kind, texture, look, _, _, _, lights, air = tables
        geometry, windows = placed
        rgb, depth, ids = frames
        sums, places = shown
        chosen = cuda.shared.array(CHOSEN, numba.int32)
        flags = cuda.shared.array(THREADS, numba.int32)
        pile = cuda.local.array(room, numba.int32)
        near = cuda.local.array(more, numba.float32)
        seen = cuda.local.array(3, numba.float64)
        forest = _forest(wooded, pile, near, trunks, _mapped(unwrapped, coordinates))
        thread = cuda.threadIdx.x
        across = (width + TILE - 1) // TILE
        tiles = across * ((height + TILE - 1) // TILE)
        camera, tile = rows[cuda.blockIdx.x // tiles], cuda.blockIdx.x % tiles
        left, top = tile % across * TILE, tile // across * TILE
        scene = which[camera]
        a, n, row = first[scene], count[scene], camera * capacity
        n_chosen = 0
        for begin in range(0, n, THREADS):
            k = begin + thread
            mine = 1 if k < n and pixels.meets(windows, row + k, left, top, ratio) else 0
            flags[thread] = mine
            together = cuda.syncthreads_count(mine)
            if mine:
                to = n_chosen + pixels.place_among(flags, thread)
                if to < CHOSEN:
                    chosen[to] = k
            n_chosen += together
            cuda.syncthreads()
        listed = n_chosen <= CHOSEN
        x, y = left + thread % TILE, top + thread // TILE
        if x < width and y < height:
            pixels.draw_pixel(
                rgb[camera], depth[camera], ids[camera], x, y, chosen, n_chosen if listed else n, listed, n,
                kind[a : a + n], texture[a : a + n], look[a : a + n], geometry[row : row + n], lights[scene], air[scene],
                step, _lens(lens, extent), ratio, shadows, painted, measured, sums, places, seen, forest,
            )  # fmt: skip

    return place, draw
