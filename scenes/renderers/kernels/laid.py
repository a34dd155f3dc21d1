"""Pictures that meshes show by coordinates of their own: each corner of a face names a place in the picture.

A pixel shows the mean of the picture over about what it covers there: each picture is kept at all halves of its size, and
of the two that are nearest to that size the four pixels around the place blend (Williams 1983, "Pyramidal parametrics").

What lies anywhere in memory is fetched by loops that do nothing else; those between them are SIMD code, as in `chunks`.
"""

import math

import llvmlite.ir
import numba
import numpy as np
from numba import extending

from scenes.renderers.kernels import chunks, surfaces, trees
from scenes.renderers.kernels.chunks import BLUE, FU, FV, FW, GREEN, LANE, LANES, NX, NY, NZ, RED, T, U, V, W
from scenes.renderers.kernels.surfaces import HALF, INF, INLINE, LOOP, ONE, ZERO, floor
from scenes.renderers.kernels.textures import GRAZE

SIZES = 13
"""Halves of the largest picture, and itself."""
NUMBERS = np.uintp(7)
"""Of a face: u and v of its corners, and its area in the picture (which is 1) by its area in the mesh's units."""
CHANNEL, BYTE = np.float32(1 / 255), np.int32(255)
ROOM = 8 * int(chunks.LENGTH)
"""Length of the scratch array of a chunk: pixels of pictures, four of each of two sizes."""


def table(images) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of all sizes of the pictures, packed, int32; and of each picture, int32, its height, its width, and where each
    of `SIZES` begins: those that it has not are its smallest."""
    pixels, places, end = [np.zeros(0, np.int32)], [], 0
    for image in images:
        image = np.asarray(image, np.float32)
        row = [*image.shape[:2]]
        for size in range(SIZES):
            if size == 0 or len(pixels[-1]) > 1:
                image = _halved(image) if size else image
                pixels.append(np.round(image).astype(np.int32).reshape(-1, 3) @ np.int32([1, 1 << 8, 1 << 16]))
                end += len(pixels[-1])
            row.append(end - len(pixels[-1]))
        places.append(row)
    return np.concatenate(pixels), np.array(places, np.int32).reshape(-1, 2 + SIZES)


def _halved(image: np.ndarray) -> np.ndarray:
    """A picture of half the rows and columns; where they are odd, three make one."""
    for axis in range(2):
        n = image.shape[axis]
        begins = 2 * np.arange(max(n // 2, 1))
        count = np.diff(begins, append=n).astype(np.float32)
        image = np.add.reduceat(image, begins, axis) / count.reshape((-1, 1, 1) if axis == 0 else (-1, 1))
    return image


@extending.intrinsic
def _bits(_, x):
    """The bits of a float32, as a whole number."""

    def make(_, builder, __, arguments):
        return builder.bitcast(arguments[0], llvmlite.ir.IntType(32))

    return numba.int32(numba.float32), make


@numba.njit(**INLINE)
def _half_log(x):
    """Half the binary logarithm of a positive number; between powers of two it is straight, which is 0.05 off at most."""
    return np.float32(_bits(x) - np.int32(127 << 23)) * np.float32(0.5 / (1 << 23))


@numba.njit(**LOOP)
def has(laid, boxes, number):
    """Whether a mesh has coordinates; `laid` is None, as numba compiles, where none has."""
    if laid is None:
        return False
    return boxes[number, 9] > ZERO


@numba.njit(**INLINE)
def place(coordinates, face, a, b):
    """u and v at the shares `a` and `b` of the first two corners of a face."""
    k, c = np.uintp(face) * NUMBERS, ONE - a - b
    u = a * coordinates[k] + b * coordinates[k + np.uintp(2)] + c * coordinates[k + np.uintp(4)]
    v = a * coordinates[k + np.uintp(1)] + b * coordinates[k + np.uintp(3)] + c * coordinates[k + np.uintp(5)]
    return u, v


@numba.njit(**INLINE)
def covered(rate, nx, ny, nz, dx, dy, dz, sx, sy, sz, apart):
    """How much of the picture a pixel covers that sees a face along the ray d, where pixels are `apart` metres apart. The
    mesh is stretched by s, n is its normal; `rate` is the last of the face's `NUMBERS`."""
    # By how much stretching makes the face larger.
    mx, my, mz = nx * sx, ny * sy, nz * sz
    larger = sx * sy * sz / math.sqrt(max(mx * mx + my * my + mz * mz, surfaces.TINY))
    slant = max(abs(nx * dx + ny * dy + nz * dz), GRAZE)
    return rate * apart * apart / (slant * larger)


@numba.njit(**INLINE)
def _level(area):
    """Which size of a picture to look at, where a pixel covers so many of its pixels, and how much of the next one."""
    level = min(_half_log(area), np.float32(SIZES - 1)) if area > ONE else ZERO
    size = np.int32(level)
    return size, level - np.float32(size)


@numba.njit(**INLINE)
def _within(u):
    """A place in a picture that repeats, from 0 to 1."""
    u -= floor(u)
    # Rounding, or numbers that are none.
    return u if (u >= ZERO) & (u <= ONE) else ZERO


@numba.njit(**INLINE)
def _around(u, v, begin, h, w):
    """Where the four pixels around a place are, and how far it is beyond the first of them, to the right and down."""
    x, y = u * np.float32(w) - HALF, (ONE - v) * np.float32(h) - HALF
    left, top = floor(x), floor(y)
    i, j = np.int32(top), np.int32(left)
    low, right = np.int32(i + np.int32(1)), np.int32(j + np.int32(1))
    low, right = low if low < h else np.int32(0), right if right < w else np.int32(0)
    i, j = i if i >= np.int32(0) else np.int32(h - np.int32(1)), j if j >= np.int32(0) else np.int32(w - np.int32(1))
    i, low = np.int32(begin + np.int32(i * w)), np.int32(begin + np.int32(low * w))
    return np.int32(i + j), np.int32(i + right), np.int32(low + j), np.int32(low + right), x - left, y - top


@numba.njit(**INLINE)
def _channel(p, shift):
    return np.float32(np.int32(np.int32(p >> shift) & BYTE))


@numba.njit(**INLINE)
def _blend(a, b, c, d, x, y, shift):
    """One channel between four packed pixels."""
    a, b, c, d = _channel(a, shift), _channel(b, shift), _channel(c, shift), _channel(d, shift)
    upper, lower = a + x * (b - a), c + x * (d - c)
    return upper + y * (lower - upper)


@numba.njit(**INLINE)
def _smaller(n, size):
    """Rows or columns of a size."""
    return max(np.int32(n >> size), np.int32(1))


@numba.njit(**LOOP)
def show(u, v, area, pixels, place, seen):
    """Write into `seen` the colour of a picture, from 0 to 1, over that share of it around a place."""
    h, w = place[0], place[1]
    size, share = _level(area * np.float32(h) * np.float32(w))
    u, v = _within(u), _within(v)
    seen[0] = seen[1] = seen[2] = 0
    for turn in range(2):
        more = min(np.int32(size + turn), np.int32(SIZES - 1))
        a, b, c, d, x, y = _around(u, v, place[2 + more], _smaller(h, more), _smaller(w, more))
        weight = (share if turn else ONE - share) * CHANNEL
        for channel in range(3):
            shift = np.int32(8 * channel)
            seen[channel] += weight * _blend(pixels[a], pixels[b], pixels[c], pixels[d], x, y, shift)


@numba.njit(**LOOP)
def filter_light(s, blocks, start, n, g, size, stride, step, extent, forest, number, picture):
    """Multiply the light that falls on each pixel by what its mesh shows of a picture, as `pictures.filter_light` does."""
    _filter(forest[10], s, blocks, start, n, g, size, stride, step, extent, forest, number, picture)


@numba.njit(**LOOP)
def _filter(laid, s, blocks, start, n, g, size, stride, step, extent, forest, number, picture):
    if laid is None:
        return
    coordinates, pixels, places = laid
    sx, sy, sz = trees._stretches(forest, number, size)
    _fetch_places(s, blocks, start, n, stride, forest, coordinates)
    _find_pixels(s, blocks, start, n, g, sx, sy, sz, step, extent, forest[16], places[picture])
    _fetch_pixels(n, forest[16], pixels)
    _mix(s, n, forest[16])


@numba.njit(**LOOP)
def _fetch_places(s, blocks, start, n, stride, forest, coordinates):
    """U, V and W: where in the picture each pixel is, and the last of its face's `NUMBERS`."""
    faces, found, first, second = forest[7], forest[12], forest[14], forest[15]
    for b in range(n):
        base, at = np.uintp(b) * LANES, np.uintp(blocks[1, start + b] * stride + blocks[0, start + b])
        for j in range(LANES):
            i, p = base + j, at + j
            if s[T + i] < INF:
                face = faces[np.uintp(found[p])]
                s[U + i], s[V + i] = place(coordinates, face, first[p], second[p])
                s[W + i] = coordinates[np.uintp(face) * NUMBERS + np.uintp(6)]
            else:
                s[U + i], s[V + i], s[W + i] = ZERO, ZERO, ZERO


@numba.njit(**LOOP)
def _find_pixels(s, blocks, start, n, g, sx, sy, sz, step, extent, near, place):
    """Into `near` where the pixels of the picture are, into FU how much of the smaller size shows; FV and FW, and then U and
    V, are how far a pixel is between those of the larger and of the smaller size."""
    h, w = place[0], place[1]
    whole = np.float32(h) * np.float32(w)
    for b in range(n):
        first = chunks.rays(g, blocks[0, start + b], blocks[1, start + b], extent)
        base = np.uintp(b) * LANES
        for j in range(LANES):
            i = base + j
            _, _, _, dx, dy, dz = chunks.ray(first, s[LANE + j], extent)
            apart = step * s[T + i] if extent is None else step
            area = covered(s[W + i], s[NX + i], s[NY + i], s[NZ + i], dx, dy, dz, sx, sy, sz, apart)
            size, share = _level(area * whole)
            near[i], s[FU + i] = size, share
    for i in range(np.uintp(n) * LANES):
        size = near[i]
        more = min(np.int32(size + np.int32(1)), np.int32(SIZES - 1))
        near[chunks.LENGTH + i], near[chunks.LENGTH * np.uintp(4) + i] = place[2 + size], place[2 + more]
    for i in range(np.uintp(n) * LANES):
        size = near[i]
        more = min(np.int32(size + np.int32(1)), np.int32(SIZES - 1))
        u, v = _within(s[U + i]), _within(s[V + i])
        begin, after = near[chunks.LENGTH + i], near[chunks.LENGTH * np.uintp(4) + i]
        a, b, c, d, x, y = _around(u, v, begin, _smaller(h, size), _smaller(w, size))
        near[i], near[chunks.LENGTH + i] = a, b
        near[chunks.LENGTH * np.uintp(2) + i], near[chunks.LENGTH * np.uintp(3) + i] = c, d
        s[FV + i], s[FW + i] = x, y
        a, b, c, d, x, y = _around(u, v, after, _smaller(h, more), _smaller(w, more))
        near[chunks.LENGTH * np.uintp(4) + i], near[chunks.LENGTH * np.uintp(5) + i] = a, b
        near[chunks.LENGTH * np.uintp(6) + i], near[chunks.LENGTH * np.uintp(7) + i] = c, d
        s[U + i], s[V + i] = x, y


@numba.njit(**LOOP)
def _fetch_pixels(n, near, pixels):
    for size in range(np.uintp(8)):
        begin = size * chunks.LENGTH
        for i in range(np.uintp(n) * LANES):
            near[begin + i] = pixels[np.uintp(near[begin + i])]


@numba.njit(**LOOP)
def _mix(s, n, near):
    """Blend the pixels of the picture, and multiply the light by them."""
    for i in range(np.uintp(n) * LANES):
        a, b = near[i], near[chunks.LENGTH + i]
        c, d = near[chunks.LENGTH * np.uintp(2) + i], near[chunks.LENGTH * np.uintp(3) + i]
        e, f = near[chunks.LENGTH * np.uintp(4) + i], near[chunks.LENGTH * np.uintp(5) + i]
        g, h = near[chunks.LENGTH * np.uintp(6) + i], near[chunks.LENGTH * np.uintp(7) + i]
        x, y, z, w, share = s[FV + i], s[FW + i], s[U + i], s[V + i], s[FU + i]
        red, red_after = _blend(a, b, c, d, x, y, np.int32(0)), _blend(e, f, g, h, z, w, np.int32(0))
        green, green_after = _blend(a, b, c, d, x, y, np.int32(8)), _blend(e, f, g, h, z, w, np.int32(8))
        blue, blue_after = _blend(a, b, c, d, x, y, np.int32(16)), _blend(e, f, g, h, z, w, np.int32(16))
        s[RED + i] *= (red + share * (red_after - red)) * CHANNEL
        s[GREEN + i] *= (green + share * (green_after - green)) * CHANNEL
        s[BLUE + i] *= (blue + share * (blue_after - blue)) * CHANNEL
