"""A mesh painted triangle by triangle, which is cheaper than looking for what each ray meets where triangles are small.

The triangles are those of the leaves of its tree (`growth`). Corners are brought to the picture, sixteen at once: X and Y
are column and row times W, which is depth Z or, for an orthographic camera, 1. The ray of pixel (x, y) is then a line of
points (x W, y W, Z), and the sides of edges on which it passes are signs as in `trees.walk`: triangles that share an edge
agree on them, so no ray slips between them.
"""

import math

import numba
import numpy as np

from scenes.renderers.kernels import growth, lanes, outlines, trees
from scenes.renderers.kernels.chunks import LANES, NX, NY, NZ, T
from scenes.renderers.kernels.surfaces import INF, INLINE, LOOP, ONE, TINY, ZERO, floor

WIDE = np.uintp(growth.WIDE)
ROOM = 13 * growth.WIDE
"""Length of the scratch array of a leaf: X Y Z of its triangles' corners, and the pixels that they may cover."""
SLOP = np.float32(1e-3)
"""Pixels by which a triangle's rectangle is widened: rounding must lose no pixel."""
TURN = np.float32(1e-3)
"""Twice the area, in pixels, that a triangle which faces away may have by rounding."""
WORTH = 48
"""Triangles that are painted in about the time in which one ray is followed through a tree."""


@numba.njit(**LOOP)
def worthwhile(window, near, forest, number):
    """Whether to paint a mesh that fills that window of the picture, rather than to follow its rays."""
    if near < outlines.NEAR:
        return False
    firsts = forest[9]
    area = (window[2] - window[0] + 1) * (window[3] - window[1] + 1)
    return (firsts[number + 1] - firsts[number]) * growth.WIDE < WORTH * area


@numba.njit(**LOOP)
def _lens(g, size, height, width, extent, forest, number):
    """Rows that bring a point in the mesh's units to X, Y and Z, each with a constant behind."""
    eye, ahead = outlines.middle(g, height, width, extent)
    across, down = (float(g[6]), float(g[7]), float(g[8])), (float(g[9]), float(g[10]), float(g[11]))
    share = 1 / outlines.dot(across, across)
    columns, rows = 0.5 * width - 0.5, 0.5 * height - 0.5
    stretch = trees._stretches(forest, number, size)
    # Columns and rows are counted from the middle, where the eye looks, times W: part of depth, or a constant.
    turn, shift = (1.0, 0.0) if extent is None else (0.0, 1.0)
    x = _row(share, across, turn * columns, ahead, eye, shift * columns, stretch)
    y = _row(share, down, turn * rows, ahead, eye, shift * rows, stretch)
    return x, y, _row(0.0, ahead, 1.0, ahead, eye, 0.0, stretch)


@numba.njit(**INLINE)
def _row(share, own, part, ahead, eye, shift, stretch):
    """A row along `share` times one axis and `part` times the one ahead."""
    x, y, z = share * own[0] + part * ahead[0], share * own[1] + part * ahead[1], share * own[2] + part * ahead[2]
    constant = np.float32(shift - outlines.dot((x, y, z), eye))
    return np.float32(x * stretch[0]), np.float32(y * stretch[1]), np.float32(z * stretch[2]), constant


@numba.njit(**INLINE)
def _corner(corners, i, across, down, ahead):
    """X, Y and Z of a corner."""
    x, y, z = corners[i], corners[i + WIDE], corners[i + WIDE + WIDE]
    return (
        across[0] * x + (across[1] * y + (across[2] * z + across[3])),
        down[0] * x + (down[1] * y + (down[2] * z + down[3])),
        ahead[0] * x + (ahead[1] * y + (ahead[2] * z + ahead[3])),
    )


@numba.njit(**LOOP)
def paint(g, size, window, height, width, stride, extent, depth, forest, number):
    """Write what of the mesh each pixel of the window sees, before `depth`: the triangle's place among the corners (-1
    for none), its depth, and the shares of two of its corners."""
    corners, firsts, leaf, seen, far, first, second = (
        forest[6], forest[9], forest[11], forest[12], forest[13], forest[14], forest[15],
    )  # fmt: skip
    left, top, right, bottom = window[0], window[1], window[2], window[3]
    for y in range(top, bottom + 1):
        begin, end = np.uintp(y * stride + left), np.uintp(y * stride + right + 1)
        for i in range(begin, end):
            seen[i], far[i] = np.int32(-1), depth[i]
    across, down, ahead = _lens(g, size, height, width, extent, forest, number)
    low_x, low_y, high_x, high_y = np.float32(left), np.float32(top), np.float32(right), np.float32(bottom)
    one, two, three = WIDE, WIDE + WIDE, WIDE + WIDE + WIDE
    box = np.uintp(9) * WIDE
    for n in range(firsts[number], firsts[number + 1]):
        at, hits = np.uintp(n) * np.uintp(9) * WIDE, np.int32(0)
        for j in range(WIDE):
            i = at + j
            ax, ay, az = _corner(corners, i, across, down, ahead)
            bx, by, bz = _corner(corners, i + three, across, down, ahead)
            cx, cy, cz = _corner(corners, i + three + three, across, down, ahead)
            leaf[j], leaf[one + j], leaf[two + j] = ax, ay, az
            leaf[three + j], leaf[three + one + j], leaf[three + two + j] = bx, by, bz
            leaf[three + three + j], leaf[three + three + one + j], leaf[three + three + two + j] = cx, cy, cz
            if extent is None:
                # One division for three.
                ab = az * bz
                inverse = ONE / (ab * cz)
                wa, wb, wc = inverse * bz * cz, inverse * az * cz, inverse * ab
                ax, ay, bx, by, cx, cy = ax * wa, ay * wa, bx * wb, by * wb, cx * wc, cy * wc
            x0, x1 = max(min(min(ax, bx), cx) - SLOP, low_x), min(max(max(ax, bx), cx) + SLOP, high_x)
            y0, y1 = max(min(min(ay, by), cy) - SLOP, low_y), min(max(max(ay, by), cy) + SLOP, high_y)
            x0, y0, x1, y1 = -floor(-x0), -floor(-y0), floor(x1), floor(y1)
            leaf[box + j], leaf[box + one + j], leaf[box + two + j], leaf[box + three + j] = x0, y0, x1, y1
            turned = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
            covers = (x0 <= x1) & (y0 <= y1) & (turned < TURN)
            hits = np.int32(hits | (trees.BITS[j] if covers else np.int32(0)))
        while hits != 0:
            j = np.uintp(trees._lowest(hits))
            hits = np.int32(hits & np.int32(hits - np.int32(1)))
            _paint_one(leaf, j, np.int32(n * growth.WIDE + j), stride, extent, seen, far, first, second)


@numba.njit(**LOOP)
def _paint_one(leaf, j, name, stride, extent, seen, far, first, second):
    """Paint one triangle of a leaf."""
    ax, ay, az = leaf[j], leaf[WIDE + j], leaf[np.uintp(2) * WIDE + j]
    bx, by, bz = leaf[np.uintp(3) * WIDE + j], leaf[np.uintp(4) * WIDE + j], leaf[np.uintp(5) * WIDE + j]
    cx, cy, cz = leaf[np.uintp(6) * WIDE + j], leaf[np.uintp(7) * WIDE + j], leaf[np.uintp(8) * WIDE + j]
    x0, y0 = np.int64(leaf[np.uintp(9) * WIDE + j]), np.int64(leaf[np.uintp(10) * WIDE + j])
    x1, y1 = np.int64(leaf[np.uintp(11) * WIDE + j]), np.int64(leaf[np.uintp(12) * WIDE + j])
    wa, wb, wc = (az, bz, cz) if extent is None else (ONE, ONE, ONE)
    # Whole blocks, of which SIMD code likes to be sure: what lies beyond is not within the triangle.
    end = min(x0 + ((x1 - x0) // outlines.WIDE + 1) * outlines.WIDE, stride)
    for y in range(y0, y1 + 1):
        fy = np.float32(y)
        qa, qb, qc = ay - fy * wa, by - fy * wb, cy - fy * wc
        row = np.uintp(y * stride)
        for x in range(np.uintp(x0), np.uintp(end)):
            fx, i = np.float32(np.int32(x)), row + x
            u, v, w = trees._sides(ax - fx * wa, qa, bx - fx * wb, qb, cx - fx * wc, qc)
            whole = u + v + w
            share = ONE / whole
            before, other, one, two = far[i], seen[i], first[i], second[i]
            inside = (min(min(u, v), w) >= ZERO) & (whole > ZERO)
            t = (u * az + v * bz + w * cz) * share if inside else INF
            far[i] = lanes.lesser(t, before)
            seen[i] = name if t < before else other
            first[i] = u * share if t < before else one
            second[i] = v * share if t < before else two


@numba.njit(**LOOP)
def read(s, blocks, start, n, stride, size, window, forest, number):
    """Depths and normals of a chunk of what was painted."""
    seen, far, first, second = forest[12], forest[13], forest[14], forest[15]
    sx, sy, sz = trees._stretches(forest, number, size)
    kx, ky, kz = ONE / sx, ONE / sy, ONE / sz
    left, right = window[0], window[2]
    for b in range(n):
        x, y = blocks[0, start + b], blocks[1, start + b]
        base, at = np.uintp(b) * LANES, np.uintp(y * stride + x)
        for j in range(LANES):
            column = x + np.int64(j)
            i, p = base + j, at + j
            s[T + i] = INF
            if column < left or column > right or seen[p] < 0:
                continue
            u, v = first[p], second[p]
            s[T + i] = far[p]
            s[NX + i], s[NY + i], s[NZ + i] = trees.slope_at(forest, np.uintp(seen[p]), u, v, ONE - u - v, kx, ky, kz)
    # Apart from what is fetched from anywhere, this is SIMD code.
    for i in range(np.uintp(n) * LANES):
        nx, ny, nz = s[NX + i], s[NY + i], s[NZ + i]
        shrink = ONE / math.sqrt(max(nx * nx + ny * ny + nz * nz, TINY))
        s[NX + i], s[NY + i], s[NZ + i] = nx * shrink, ny * shrink, nz * shrink
