"""The texture `image`: pictures that are laid on solids.

A pixel shows the mean of the picture over what it covers, a rectangle of at least one of the picture's own pixels, by a
table of sums (Crow 1984, "Summed-area tables for texture mapping"): four corners of the rectangle give the sum within
it, whatever its size and shape, so floors are sharp near by, do not shimmer far away, and no level of detail pops.
"""

import math

import numba
import numpy as np

from scenes.renderers.kernels import chunks, surfaces
from scenes.renderers.kernels.surfaces import INF, LOOP, ZERO

BORDER = np.float32(0.4)
"""How much of a unit normal must lie along an axis for the picture along that axis to show."""


def table(images) -> tuple[np.ndarray, np.ndarray]:
    """Sums over all that lies above and left of each corner of the pictures' pixels, uint32, n 3; and of each picture
    where its sums begin, its height and its width."""
    shapes = [image.shape[:2] for image in images]
    ends = np.cumsum([0] + [(h + 1) * (w + 1) for h, w in shapes])
    sums = np.zeros((ends[-1], 3), np.uint32)
    for image, (h, w), begin, end in zip(images, shapes, ends[:-1], ends[1:]):
        own = sums[begin:end].reshape(h + 1, w + 1, 3)
        own[1:, 1:] = image.cumsum(0, dtype=np.uint32).cumsum(1, dtype=np.uint32)
    places = [(begin, h, w) for begin, (h, w) in zip(ends[:-1].tolist(), shapes)]
    return sums, np.array(places, np.int64).reshape(-1, 3)


@numba.njit(**LOOP)
def _within(sums, begin, h, w, row, column, channel):
    """Sum over what lies above and left of a point of one picture, between the table's entries linear in both."""
    i, j = min(int(row), h - 1), min(int(column), w - 1)
    a, b, at = row - i, column - j, begin + i * (w + 1) + j
    upper = sums[at, channel] * (1 - b) + sums[at + 1, channel] * b
    lower = sums[at + w + 1, channel] * (1 - b) + sums[at + w + 2, channel] * b
    return upper * (1 - a) + lower * a


@numba.njit(**LOOP)
def _up_to(sums, begin, h, w, row, column, channel):
    """The same up to a point less than two sizes away: the picture repeats."""
    down, across = row > h, column > w
    row, column = row - h if down else row, column - w if across else column
    total = _within(sums, begin, h, w, row, column, channel)
    if down:
        total += _within(sums, begin, h, w, h, column, channel)
    if across:
        total += _within(sums, begin, h, w, row, w, channel)
    if down and across:
        total += _within(sums, begin, h, w, h, w, channel)
    return total


@numba.njit(**LOOP)
def _window(middle, width, n):
    """Where a window of a picture `n` pixels long begins, and its length, of one pixel to all of them."""
    width = width if width > 1 else 1.0
    width = width if width < n else float(n)
    begin = middle - width / 2
    begin -= math.floor(begin / n) * n
    # Rounding, or a number that is none.
    return begin if (begin >= 0) & (begin < n) else 0.0, width


@numba.njit(**LOOP)
def _look_up(sums, place, u, v, fu, fv, weight, seen):
    """Add to `seen` the colour of a picture, from 0 to 1, around `u` to the right and `v` up, in widths of the picture."""
    begin, h, w = place[0], place[1], place[2]
    left, width = _window(0.5 * w + float(u) * w, float(fu) * w, w)
    top, height = _window(0.5 * h - float(v) * w, float(fv) * w, h)
    share = weight / (255.0 * width * height)
    for c in range(3):
        total = _up_to(sums, begin, h, w, top + height, left + width, c) + _up_to(sums, begin, h, w, top, left, c)
        total -= _up_to(sums, begin, h, w, top, left + width, c) + _up_to(sums, begin, h, w, top + height, left, c)
        seen[c] += np.float32(share * total)


@numba.njit(**LOOP)
def filter_light(s, n, flat, sums, place, seen):
    """Multiply the light that falls on each pixel by the picture there: `chunks.write` then makes it its colour.

    Args:
        s: Scratch, with `T`, the light, and the points in periods; of what is not flat, normals too.
        n: Blocks.
        flat: Whether this is a plane, whose points are U and V.
        sums: Of `table`, as is the next one's row.
        place: Of the picture.
        seen: Scratch, 3.
    """
    for i in range(n * int(chunks.LANES)):
        i = np.uintp(i)
        if not s[chunks.T + i] < INF:
            continue
        seen[:] = ZERO
        if flat:
            _look_up(sums, place, s[chunks.U + i], s[chunks.V + i], s[chunks.FU + i], s[chunks.FV + i], 1.0, seen)
        else:
            # In periods: u along x, v along z, w along y.
            u, v, w = s[chunks.U + i], s[chunks.V + i], s[chunks.W + i]
            fu, fv, fw = s[chunks.FU + i], s[chunks.FV + i], s[chunks.FW + i]
            nx, ny, nz = s[chunks.NX + i], s[chunks.NY + i], s[chunks.NZ + i]
            x, y, z = max(abs(nx) - BORDER, ZERO), max(abs(ny) - BORDER, ZERO), max(abs(nz) - BORDER, ZERO)
            share = 1.0 / max(x + y + z, surfaces.TINY)
            if x > ZERO:
                _look_up(sums, place, w if nx > ZERO else -w, v, fw, fv, x * share, seen)
            if y > ZERO:
                _look_up(sums, place, -u if ny > ZERO else u, v, fu, fv, y * share, seen)
            if z > ZERO:
                _look_up(sums, place, u if nz > ZERO else -u, w, fu, fw, z * share, seen)
        s[chunks.RED + i] *= seen[0]
        s[chunks.GREEN + i] *= seen[1]
        s[chunks.BLUE + i] *= seen[2]
