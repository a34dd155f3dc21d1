"""Pictures that meshes show by coordinates of their own: each corner of a face names a place in the picture.

A pixel shows the mean of the picture over about what it covers there: each picture is kept at all halves of its size, and
of the two that are nearest to that size the four pixels around the place blend (Williams 1983, "Pyramidal parametrics").
"""

import math

import numba
import numpy as np

from scenes.renderers.kernels import chunks, surfaces, trees
from scenes.renderers.kernels.surfaces import HALF, INF, INLINE, LOOP, ONE, ZERO, floor
from scenes.renderers.kernels.textures import GRAZE

SIZES = 13
"""Halves of the largest picture, and itself."""
NUMBERS = np.uintp(7)
"""Of a face: u and v of its corners, and its area in the picture (which is 1) by its area in the mesh's units."""


def table(images) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of all sizes of the pictures, uint8, n 3; and where each of `SIZES` begins, its height and its width: those
    that a picture has not are its smallest."""
    pixels, places, begin = [np.zeros((0, 3), np.uint8)], [], 0
    for image in images:
        image = np.asarray(image, np.float32)
        for size in range(SIZES):
            h, w = image.shape[:2]
            if size == 0 or h * w > 1:
                if size:
                    image = _halved(image)
                    h, w = image.shape[:2]
                pixels.append(np.round(image).astype(np.uint8).reshape(-1, 3))
                begin += h * w
            places.append((begin - h * w, h, w))
    return np.concatenate(pixels), np.array(places, np.int64).reshape(-1, 3)


def _halved(image: np.ndarray) -> np.ndarray:
    """A picture of half the rows and columns; where they are odd, three make one."""
    for axis in range(2):
        n = image.shape[axis]
        begins = 2 * np.arange(max(n // 2, 1))
        count = np.diff(begins, append=n).astype(np.float32)
        image = np.add.reduceat(image, begins, axis) / count.reshape((-1, 1, 1) if axis == 0 else (-1, 1))
    return image


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
def covered(coordinates, face, nx, ny, nz, dx, dy, dz, sx, sy, sz, apart):
    """How much of the picture a pixel covers that sees the face along the ray d, where pixels are `apart` metres apart;
    the mesh is stretched by s, and n is its normal."""
    rate = coordinates[np.uintp(face) * NUMBERS + np.uintp(6)]
    # By how much stretching makes the face larger.
    mx, my, mz = nx * sx, ny * sy, nz * sz
    larger = sx * sy * sz / math.sqrt(max(mx * mx + my * my + mz * mz, surfaces.TINY))
    slant = max(abs(nx * dx + ny * dy + nz * dz), GRAZE)
    return rate * apart * apart / (slant * larger)


@numba.njit(**LOOP)
def _blend(pixels, begin, h, w, u, v, share, seen):
    """Add to `seen` that share of the pixels around a place, which is from 0 to 1 each way; a picture repeats."""
    x, y = u * np.float32(w) - HALF, (ONE - v) * np.float32(h) - HALF
    left, top = floor(x), floor(y)
    x, y, i, j = x - left, y - top, np.int64(top), np.int64(left)
    low, right = i + 1 if i + 1 < h else 0, j + 1 if j + 1 < w else 0
    i, j = i if i >= 0 else h - 1, j if j >= 0 else w - 1
    a, b = np.uintp(begin + i * w + j), np.uintp(begin + i * w + right)
    c, d = np.uintp(begin + low * w + j), np.uintp(begin + low * w + right)
    wa, wb, wc, wd = (ONE - x) * (ONE - y), x * (ONE - y), (ONE - x) * y, x * y
    for k in range(3):
        upper = wa * np.float32(pixels[a, k]) + wb * np.float32(pixels[b, k])
        seen[k] += share * (upper + wc * np.float32(pixels[c, k]) + wd * np.float32(pixels[d, k]))


@numba.njit(**LOOP)
def show(u, v, area, pixels, places, picture, seen):
    """Write into `seen`, float64, the colour of a picture, from 0 to 1, over that share of it around a place."""
    first = picture * SIZES
    u, v = u - floor(u), v - floor(v)
    # Rounding, or numbers that are none.
    u, v = u if (u >= ZERO) & (u <= ONE) else ZERO, v if (v >= ZERO) & (v <= ONE) else ZERO
    seen[0] = seen[1] = seen[2] = 0
    area *= np.float32(places[first, 1] * places[first, 2])
    size, share = 0, ZERO
    if area > ONE:
        level = min(HALF * np.float32(math.log2(area)), np.float32(SIZES - 1))
        size = np.int64(level)
        share = level - np.float32(size)
    row, scale = first + size, np.float32(1 / 255)
    _blend(pixels, places[row, 0], places[row, 1], places[row, 2], u, v, scale * (ONE - share), seen)
    if share > ZERO:
        _blend(pixels, places[row + 1, 0], places[row + 1, 1], places[row + 1, 2], u, v, scale * share, seen)


@numba.njit(**LOOP)
def filter_light(s, blocks, start, n, g, size, stride, step, extent, forest, number, picture, seen):
    """Multiply the light that falls on each pixel by what its mesh shows of a picture, as `pictures.filter_light` does."""
    _filter(forest[10], s, blocks, start, n, g, size, stride, step, extent, forest, number, picture, seen)


@numba.njit(**LOOP)
def _filter(laid, s, blocks, start, n, g, size, stride, step, extent, forest, number, picture, seen):
    if laid is None:
        return
    coordinates, pixels, places = laid
    faces, found, first, second = forest[7], forest[12], forest[14], forest[15]
    sx, sy, sz = trees._stretches(forest, number, size)
    for b in range(n):
        x, y = blocks[0, start + b], blocks[1, start + b]
        begin = chunks.rays(g, x, y, extent)
        base, at = np.uintp(b) * chunks.LANES, np.uintp(y * stride + x)
        for j in range(chunks.LANES):
            i, p = base + j, at + j
            t = s[chunks.T + i]
            if not t < INF:
                continue
            face = faces[np.uintp(found[p])]
            _, _, _, dx, dy, dz = chunks.ray(begin, s[chunks.LANE + j], extent)
            nx, ny, nz = s[chunks.NX + i], s[chunks.NY + i], s[chunks.NZ + i]
            apart = step * t if extent is None else step
            u, v = place(coordinates, face, first[p], second[p])
            area = covered(coordinates, face, nx, ny, nz, dx, dy, dz, sx, sy, sz, apart)
            show(u, v, area, pixels, places, picture, seen)
            s[chunks.RED + i] *= np.float32(seen[0])
            s[chunks.GREEN + i] *= np.float32(seen[1])
            s[chunks.BLUE + i] *= np.float32(seen[2])
