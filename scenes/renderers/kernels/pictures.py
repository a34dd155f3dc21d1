"""The texture `image`: pictures that are laid on solids.

A pixel shows the mean of the picture over what it covers, a rectangle of at least one of the picture's own pixels, by a
table of sums (Crow 1984, "Summed-area tables for texture mapping"): four corners of the rectangle give the sum within
it, whatever its size and shape, so floors are sharp near by, do not shimmer far away, and no level of detail pops.
"""

import math

import numba
import numpy as np

from scenes.renderers.kernels import chunks, surfaces
from scenes.renderers.kernels.surfaces import INF, LOOP, ONE, ZERO

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
    # Corners of the window; then, where one lies beyond the picture, which repeats, the whole pictures before it.
    for corner in range(16):
        low, right, down, across = corner & 1, corner & 2, corner & 4, corner & 8
        y, x = top + height if low else top, left + width if right else left
        if (down and y <= h) or (across and x <= w):
            continue
        y, x = y - h if y > h else y, x - w if x > w else x
        y, x = h if down else y, w if across else x
        # The table's entries, linear in between.
        i, j = min(int(y), h - 1), min(int(x), w - 1)
        a, b, at = y - i, x - j, begin + i * (w + 1) + j
        signed = share if (low > 0) == (right > 0) else -share
        for c in range(3):
            upper = sums[at, c] * (1 - b) + sums[at + 1, c] * b
            lower = sums[at + w + 1, c] * (1 - b) + sums[at + w + 2, c] * b
            seen[c] += signed * (upper * (1 - a) + lower * a)


@numba.njit(**LOOP)
def show(flat, nx, ny, nz, u, v, w, fu, fv, fw, sums, place, seen):
    """Write into `seen`, float64, the colour that a point shows of a picture, from 0 to 1.

    Args:
        flat: Whether it is a plane's, whose u is x and v is y; of others u is x, v is z and w is y.
        nx: Unit normal, as are the next two.
        ny: See there.
        nz: See there.
        u: The point, in widths of the picture, as are the next five.
        v: See there.
        w: See there.
        fu: How much a pixel covers there, as are the next two.
        fv: See there.
        fw: See there.
        sums: Of `table`, as is the next one's row.
        place: Of the picture.
        seen: To be written.
    """
    seen[0] = seen[1] = seen[2] = 0
    x, y, z = max(abs(nx) - BORDER, ZERO), max(abs(ny) - BORDER, ZERO), max(abs(nz) - BORDER, ZERO)
    if flat:
        x, y, z, nz, w, fw = ZERO, ZERO, ONE, ONE, v, fv
    share = 1.0 / max(x + y + z, surfaces.TINY)
    for axis in range(3):
        weight = x if axis == 0 else (y if axis == 1 else z)
        if weight > ZERO:
            # As one sees it who looks at that side.
            right = w if axis == 0 else (-u if axis == 1 else u)
            right = right if (nx if axis == 0 else (ny if axis == 1 else nz)) > ZERO else -right
            up, wide, high = w if axis == 2 else v, fw if axis == 0 else fu, fw if axis == 2 else fv
            _look_up(sums, place, right, up, wide, high, weight * share, seen)


@numba.njit(**LOOP)
def filter_light(s, n, flat, sums, place, seen):
    """Multiply the light that falls on each pixel by the picture there: `chunks.write` then makes it its colour.

    Args:
        s: Scratch, with `T`, the light, and the points in periods; of what is not flat, normals too.
        n: Blocks.
        flat: Whether this is a plane, whose points are U and V.
        sums: Of `table`, as is the next one's row.
        place: Of the picture.
        seen: Scratch, float64, 3.
    """
    for i in range(n * int(chunks.LANES)):
        i = np.uintp(i)
        if not s[chunks.T + i] < INF:
            continue
        show(
            flat, s[chunks.NX + i], s[chunks.NY + i], s[chunks.NZ + i], s[chunks.U + i], s[chunks.V + i],
            s[chunks.W + i], s[chunks.FU + i], s[chunks.FV + i], s[chunks.FW + i], sums, place, seen,
        )  # fmt: skip
        s[chunks.RED + i] *= np.float32(seen[0])
        s[chunks.GREEN + i] *= np.float32(seen[1])
        s[chunks.BLUE + i] *= np.float32(seen[2])
