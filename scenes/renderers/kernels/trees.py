"""Where rays meet a mesh: through the tree of boxes around its triangles, one ray at a time, eight boxes at a time.

A tree is made once per mesh by `growth`, in units of the mesh's extent. Triangles that
share an edge agree on which side of it a ray passes (Woop, Benthin and Wald 2013: corners are moved so that the ray is the
z axis, and the sides of edges are signs of differences of products, which are computed without fusing them), so no ray
slips between them.
"""

import math

import llvmlite.ir
import numba
import numpy as np
from numba import extending

from scenes.renderers.kernels import growth
from scenes.renderers.kernels.chunks import LAMBERT, LANE, LANES, NX, NY, NZ, T, beside, ray, rays
from scenes.renderers.kernels.surfaces import INF, INLINE, LOOP, ONE, TINY, ZERO, _away_from_zero

WIDE = np.uintp(growth.WIDE)
NODE, LEAF = np.uintp(6 * growth.WIDE), np.uintp(9 * growth.WIDE)
"""Numbers of a node and of a leaf."""
BITS = np.int32(1) << np.arange(growth.WIDE, dtype=np.int32)
LIFT = np.float32(1e-4)
"""How far above a mesh, in its size, rays from it to a light begin: what they leave must not stop them."""
DRIFT = np.float32(1e-6)
"""The same in the distance from the camera, which is how rounding grows."""
BEFORE = np.float32(1e-3)
"""How far before the mesh's box, in its size, rays begin: nearer numbers are more exact."""
EXACT = INLINE | {"fastmath": {"nsz"}}


@extending.intrinsic
def _lowest(_, bits):
    """The place of the lowest bit of a number that is not 0."""

    def count(_, builder, __, arguments):
        return builder.cttz(arguments[0], llvmlite.ir.Constant(llvmlite.ir.IntType(1), 1))

    return numba.int32(numba.int32), count


@extending.intrinsic
def _times(_, x, y):
    """A product that is never fused with a sum."""

    def rounded(_, builder, __, arguments):
        if builder.module.triple.startswith("nvptx"):
            # Compilers for graphics cards fuse whatever does not say how it is rounded.
            kind = llvmlite.ir.FunctionType(llvmlite.ir.FloatType(), [llvmlite.ir.FloatType()] * 2)
            return builder.asm(kind, "mul.rn.f32 $0, $1, $2;", "=f,f,f", arguments, False)
        return builder.fmul(*arguments)

    return numba.float32(numba.float32, numba.float32), rounded


@numba.njit(**EXACT)
def _sides(ax, ay, bx, by, cx, cy):
    """On which side of the triangle's edges the z axis passes."""
    u, v, w = _times(cx, by) - _times(cy, bx), _times(ax, cy) - _times(ay, cx), _times(bx, ay) - _times(by, ax)
    return u, v, w


@numba.njit(**INLINE)
def _steep(dx, dy, dz):
    """The axis along which a direction is longest, and the other two, in an order that keeps triangles' turning."""
    x, y, z = abs(dx), abs(dy), abs(dz)
    if z >= max(x, y):
        return (0, 1, 2) if dz >= ZERO else (1, 0, 2)
    if y >= x:
        return (2, 0, 1) if dy >= ZERO else (0, 2, 1)
    return (1, 2, 0) if dx >= ZERO else (2, 1, 0)


@numba.njit(**INLINE)
def _pick(axis, x, y, z):
    return x if axis == 0 else (y if axis == 1 else z)


@numba.njit(**INLINE)
def walk(forest, root, ox, oy, oz, dx, dy, dz, far, both):
    """The nearest triangle that a ray meets before `far`, of those that face it; with `both`, any triangle at all.

    Returns:
        Distance in lengths of the direction, inf for none; place of the triangle among the corners; and the shares of
        its three corners in the point.
    """
    pile, near, nodes, children, corners = forest[0], forest[1], forest[4], forest[5], forest[6]
    ix, iy, iz = ONE / _away_from_zero(dx), ONE / _away_from_zero(dy), ONE / _away_from_zero(dz)
    mx, my, mz = -ox * ix, -oy * iy, -oz * iz
    # Rows of the sides that a ray comes to first, and of the others.
    x0, x1 = (np.uintp(0) * WIDE, np.uintp(3) * WIDE) if ix > ZERO else (np.uintp(3) * WIDE, np.uintp(0) * WIDE)
    y0, y1 = (np.uintp(1) * WIDE, np.uintp(4) * WIDE) if iy > ZERO else (np.uintp(4) * WIDE, np.uintp(1) * WIDE)
    z0, z1 = (np.uintp(2) * WIDE, np.uintp(5) * WIDE) if iz > ZERO else (np.uintp(5) * WIDE, np.uintp(2) * WIDE)
    kx, ky, kz = _steep(dx, dy, dz)
    ux, uy, uz = _pick(kx, ox, oy, oz), _pick(ky, ox, oy, oz), _pick(kz, ox, oy, oz)
    sz = ONE / _pick(kz, dx, dy, dz)
    sx, sy = _pick(kx, dx, dy, dz) * sz, _pick(ky, dx, dy, dz) * sz
    rx, ry, rz = np.uintp(kx) * WIDE, np.uintp(ky) * WIDE, np.uintp(kz) * WIDE
    second, third = np.uintp(3) * WIDE, np.uintp(6) * WIDE
    best, found = far, np.uintp(0)
    pile[0], near[WIDE], top = root, ZERO, np.uintp(1)
    while top > np.uintp(0):
        top -= np.uintp(1)
        if near[WIDE + top] > best:
            continue
        here = pile[top]
        if here >= 0:
            at, hits = np.uintp(here) * NODE, np.int32(0)
            for j in range(WIDE):
                a = max(
                    max(nodes[at + x0 + j] * ix + mx, nodes[at + y0 + j] * iy + my),
                    max(nodes[at + z0 + j] * iz + mz, ZERO),
                )
                b = min(
                    min(nodes[at + x1 + j] * ix + mx, nodes[at + y1 + j] * iy + my),
                    min(nodes[at + z1 + j] * iz + mz, best),
                )
                near[j] = a
                hits = np.int32(hits | (BITS[j] if a <= b else np.int32(0)))
            first = np.uintp(here) * WIDE
            below = top
            while hits != 0:
                j = np.uintp(_lowest(hits))
                hits = np.int32(hits & np.int32(hits - np.int32(1)))
                t, k = near[j], top
                # The nearest lies on top.
                while k > below and near[WIDE + k - np.uintp(1)] < t:
                    near[WIDE + k], pile[k] = near[WIDE + k - np.uintp(1)], pile[k - np.uintp(1)]
                    k -= np.uintp(1)
                near[WIDE + k], pile[k] = t, children[first + j]
                top += np.uintp(1)
        else:
            leaf = np.uintp(-1 - here)
            at, hits = leaf * LEAF, np.int32(0)
            for j in range(WIDE):
                i = at + j
                az, bz, cz = corners[i + rz] - uz, corners[i + second + rz] - uz, corners[i + third + rz] - uz
                ax, ay = corners[i + rx] - ux - sx * az, corners[i + ry] - uy - sy * az
                bx, by = corners[i + second + rx] - ux - sx * bz, corners[i + second + ry] - uy - sy * bz
                cx, cy = corners[i + third + rx] - ux - sx * cz, corners[i + third + ry] - uy - sy * cz
                u, v, w = _sides(ax, ay, bx, by, cx, cy)
                whole = u + v + w
                t = (u * az + v * bz + w * cz) * sz / _away_from_zero(whole)
                low, high = min(min(u, v), w), max(max(u, v), w)
                inside = ((low >= ZERO) & (whole > ZERO)) | (both & (high <= ZERO) & (whole < ZERO))
                near[j] = t
                hits = np.int32(hits | (BITS[j] if inside & (t > ZERO) & (t < best) else np.int32(0)))
            while hits != 0:
                j = np.uintp(_lowest(hits))
                hits = np.int32(hits & np.int32(hits - np.int32(1)))
                if near[j] < best:
                    best, found = near[j], leaf * WIDE + j
            if both and best < far:
                return best, found, ONE, ZERO, ZERO
    if best >= far:
        return INF, found, ONE, ZERO, ZERO
    i = found // WIDE * LEAF + found % WIDE
    az, bz, cz = corners[i + rz] - uz, corners[i + second + rz] - uz, corners[i + third + rz] - uz
    ax, ay = corners[i + rx] - ux - sx * az, corners[i + ry] - uy - sy * az
    bx, by = corners[i + second + rx] - ux - sx * bz, corners[i + second + ry] - uy - sy * bz
    cx, cy = corners[i + third + rx] - ux - sx * cz, corners[i + third + ry] - uy - sy * cz
    u, v, w = _sides(ax, ay, bx, by, cx, cy)
    share = ONE / (u + v + w)
    return best, found, u * share, v * share, w * share


@numba.njit(**INLINE)
def _stretches(forest, number, size):
    """Metres of a mesh's units along each axis; one, if there is nothing to stretch."""
    box = forest[3][number]
    sx = size[0] / box[6] if box[6] > ZERO else ONE
    sy = size[1] / box[7] if box[7] > ZERO else ONE
    sz = size[2] / box[8] if box[8] > ZERO else ONE
    return sx, sy, sz


@numba.njit(**INLINE)
def _enters(ox, oy, oz, dx, dy, dz, ax, ay, az, bx, by, bz):
    """Where a ray enters a box, 0 from within it, and where it leaves; inf and -inf if it meets none of it."""
    ix, iy, iz = ONE / _away_from_zero(dx), ONE / _away_from_zero(dy), ONE / _away_from_zero(dz)
    px, py, pz = (ax - ox) * ix, (ay - oy) * iy, (az - oz) * iz
    qx, qy, qz = (bx - ox) * ix, (by - oy) * iy, (bz - oz) * iz
    t = max(max(min(px, qx), min(py, qy)), max(min(pz, qz), ZERO))
    leave = min(min(max(px, qx), max(py, qy)), max(pz, qz))
    # From a little before it.
    return max(t - BEFORE * (leave - t), ZERO), leave


@numba.njit(**INLINE)
def slope_at(forest, found, u, v, w, kx, ky, kz):
    """Normal, of any length, of a mesh stretched by 1 / k at shares u v w of the corners of the triangle `found`."""
    faces, normals = forest[7], forest[8]
    k = np.uintp(faces[found]) * np.uintp(9)
    nx = (u * normals[k] + v * normals[k + np.uintp(3)] + w * normals[k + np.uintp(6)]) * kx
    ny = (u * normals[k + np.uintp(1)] + v * normals[k + np.uintp(4)] + w * normals[k + np.uintp(7)]) * ky
    nz = (u * normals[k + np.uintp(2)] + v * normals[k + np.uintp(5)] + w * normals[k + np.uintp(8)]) * kz
    return nx, ny, nz


@numba.njit(**INLINE)
def normal_at(forest, found, u, v, w, kx, ky, kz):
    """The same, of length 1."""
    nx, ny, nz = slope_at(forest, found, u, v, w, kx, ky, kz)
    shrink = ONE / math.sqrt(max(nx * nx + ny * ny + nz * nz, TINY))
    return nx * shrink, ny * shrink, nz * shrink


@numba.njit(**INLINE)
def _note(laid, forest, at, found, u, v):
    """Leave for `laid` what a pixel meets, where `triangles.paint` would; `laid` is None where nobody asks."""
    if laid is None:
        return
    forest[12][at], forest[14][at], forest[15][at] = np.int32(found), u, v


@numba.njit(**LOOP)
def meet_mesh(s, blocks, start, n, g, size, extent, depth, stride, forest, number):
    """Depths and normals, where the mesh is nearer than `depth`."""
    sx, sy, sz = _stretches(forest, number, size)
    kx, ky, kz = ONE / sx, ONE / sy, ONE / sz
    root, box = forest[2][number], forest[3][number]
    lx, ly, lz, hx, hy, hz = box[0], box[1], box[2], box[3], box[4], box[5]
    for b in range(n):
        ox, oy, oz, ax, ay, az, dx, dy, dz = rays(g, blocks[0, start + b], blocks[1, start + b], extent)
        first = (ox * kx, oy * ky, oz * kz, ax * kx, ay * ky, az * kz, dx * kx, dy * ky, dz * kz)
        base = np.uintp(b) * LANES
        at = np.uintp(blocks[1, start + b] * stride + blocks[0, start + b])
        for j in range(LANES):
            ox, oy, oz, rx, ry, rz = ray(first, s[LANE + j], extent)
            enter, leave = _enters(ox, oy, oz, rx, ry, rz, lx, ly, lz, hx, hy, hz)
            s[T + base + j] = enter if (enter <= leave) & (enter < depth[at + j]) else INF
        for j in range(LANES):
            i = base + j
            enter = s[T + i]
            if enter == INF:
                continue
            ox, oy, oz, rx, ry, rz = ray(first, s[LANE + j], extent)
            px, py, pz = ox + enter * rx, oy + enter * ry, oz + enter * rz
            t, found, u, v, w = walk(forest, root, px, py, pz, rx, ry, rz, depth[at + j] - enter, False)
            s[T + i] = t + enter
            if t < INF:
                s[NX + i], s[NY + i], s[NZ + i] = normal_at(forest, found, u, v, w, kx, ky, kz)
                _note(forest[10], forest, at + j, found, u, v)
            else:
                # What `triangles` painted may, at a silhouette, be missed by a rounding error: seen face on.
                s[NX + i], s[NY + i], s[NZ + i] = -rx * sx, -ry * sy, -rz * sz


@numba.njit(**LOOP)
def shade_mesh(s, blocks, start, n, g, size, light, is_sun, window, itself, extent, forest, number):
    """Darken the pixels within `window` whose way to the light meets the mesh, which may be what they see."""
    sx, sy, sz = _stretches(forest, number, size)
    kx, ky, kz = ONE / sx, ONE / sy, ONE / sz
    root, box = forest[2][number], forest[3][number]
    lx, ly, lz = light[0], light[1], light[2]
    far, away = (INF, ZERO) if is_sun else (ONE, ONE)
    lift = LIFT * max(max(size[0], size[1]), size[2]) if itself else ZERO
    drift = DRIFT if itself else ZERO
    for b in range(n):
        x, y = blocks[0, start + b], blocks[1, start + b]
        if beside(s, b, x, y, window):
            continue
        first = rays(g, x, y, extent)
        base = np.uintp(b) * LANES
        for j in range(LANES):
            i = base + j
            t = s[T + i]
            if t == INF or s[LAMBERT + i] <= ZERO:
                continue
            ox, oy, oz, rx, ry, rz = ray(first, s[LANE + j], extent)
            px, py, pz = ox + t * rx, oy + t * ry, oz + t * rz
            if itself:
                up = lift + drift * t
                px, py, pz = px + up * s[NX + i], py + up * s[NY + i], pz + up * s[NZ + i]
            rx, ry, rz = (lx - away * px) * kx, (ly - away * py) * ky, (lz - away * pz) * kz
            px, py, pz = px * kx, py * ky, pz * kz
            enter, leave = _enters(px, py, pz, rx, ry, rz, box[0], box[1], box[2], box[3], box[4], box[5])
            if enter <= leave and enter < far:
                px, py, pz = px + enter * rx, py + enter * ry, pz + enter * rz
                met, _, _, _, _ = walk(forest, root, px, py, pz, rx, ry, rz, far - enter, True)
                if met < INF:
                    s[LAMBERT + i] = ZERO
