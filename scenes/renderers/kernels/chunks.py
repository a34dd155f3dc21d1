"""The loops over pixels: where a chunk of blocks meets a solid, how it is lit and textured, what is written.

What passes from one loop to the next lies in one scratch array `s` at fixed distances, so that the compiler knows
without asking that writes do not overlap reads, and turns every loop into SIMD code. Indices are unsigned for the same
reason (a negative one would count from the end), and constants are float32: a Python number would make all float64.
Loops over `LANES` hold long bodies on purpose: LLVM unrolls a short one before it thinks of SIMD.
"""

import math

import numba
import numpy as np

from scenes.renderers.kernels import lanes, outlines, surfaces, textures
from scenes.renderers.kernels.surfaces import HALF, INF, INLINE, LOOP, ONE, ZERO

LANES = np.uintp(outlines.WIDE)
BLOCKS = 32
"""Blocks of a chunk: its scratch fits the fastest cache."""
_N = int(LANES) * BLOCKS
LENGTH = np.uintp(_N)
T, NX, NY, NZ, MIX, LAMBERT, RED, GREEN, BLUE, U, V, W, FU, FV, FW = (np.uintp(i * _N) for i in range(15))
BALL_X, BALL_Y, BALL_Z, BALL, NEAR = (np.uintp(15 * _N + i * BLOCKS) for i in range(5))
_ONE_BLOCK = tuple(np.uintp(15 * _N + 5 * BLOCKS + i * int(LANES)) for i in range(10))
PX, PY, PZ, DX, DY, DZ, TRACE, LEAVE, MOVING, LANE = _ONE_BLOCK
SCRATCH = 15 * _N + 5 * BLOCKS + 10 * int(LANES)
"""Length of the scratch array; its last `LANES` numbers, from `LANE` on, are 0, 1, 2 ..."""

CHECKER, STRIPES, BRICKS, NOISE, IMAGE = 1, 2, 3, 4, 5
TRACE_STEPS, TRACE_TURNS = 6, 12
"""Steps of a ray towards a torus between looks whether all have arrived, and looks."""
CLOSE = np.float32(2e-4)
"""How near a ray must come to a torus to meet it, in tube radii."""
STRIDE = np.float32(0.04)
"""Least step, in tube radii, of a ray that half of the looks left without an end: it grazes the torus, and may meet it
further on. It passes over no more than what is as near as `CLOSE`."""
LIFT = np.float32(0.01)
"""How far above a torus, in tube radii, its rays to the light begin: its own surface must not stop them."""
FAR_FACE = np.float32(1e30)
"""Inverse of the depth of a face that is not seen, which the others' are less than."""
ROOM = np.float32(1.001)
"""By how much balls are drawn too large, so that rounding leaves nothing out."""
MOST, ROUND, LIMIT = np.float32(255), np.float32(0.5), np.float32(255.5)


@numba.njit(**INLINE)
def rays(g, x, y, extent):
    """Origin and direction of the ray of a block's first pixel, and the change per column of one of them."""
    fx, fy, at = np.float32(x), np.float32(y), 3 if extent is None else 0
    ax, ay, az = g[at] + fx * g[6] + fy * g[9], g[at + 1] + fx * g[7] + fy * g[10], g[at + 2] + fx * g[8] + fy * g[11]
    if extent is None:
        return g[0], g[1], g[2], ax, ay, az, g[6], g[7], g[8]
    return ax, ay, az, g[3], g[4], g[5], g[6], g[7], g[8]


@numba.njit(**INLINE)
def ray(first, f, extent):
    """Origin and direction of the ray `f` columns further: a pinhole's rays share the one, an orthographic camera's
    the other. `extent` is None for a pinhole, which numba knows as it compiles: each has loops of its own."""
    ox, oy, oz, ax, ay, az, dx, dy, dz = first
    if extent is None:
        return ox, oy, oz, ax + f * dx, ay + f * dy, az + f * dz
    return ox + f * dx, oy + f * dy, oz + f * dz, ax, ay, az


@numba.njit(**INLINE)
def span(blocks, b):
    """Column and row of a block's first pixel; and how many columns further something with straight edges begins to be
    seen and ends."""
    x, y = np.float32(blocks[0, b]), np.float32(blocks[1, b])
    return x, y, np.float32(blocks[2, b]) - x, np.float32(blocks[3, b]) - x


@numba.njit(**LOOP)
def meet_plane(s, blocks, start, n, g, scale):
    """Depths, and the points in periods of the texture with the change of these from pixel to pixel.

    Through a pinhole, the inverse of depth, and a point's coordinates divided by depth, are linear in the pixel.
    """
    scale, height = ONE / scale, -ONE / g[2]
    w0, wx, wy = height * g[5], height * g[8], height * g[11]
    u0, ux, uy = (g[0] * w0 + g[3]) * scale, (g[0] * wx + g[6]) * scale, (g[0] * wy + g[9]) * scale
    v0, vx, vy = (g[1] * w0 + g[4]) * scale, (g[1] * wx + g[7]) * scale, (g[1] * wy + g[10]) * scale
    for b in range(n):
        x, y, first, end = span(blocks, start + b)
        w, u, v = w0 + x * wx + y * wy, u0 + x * ux + y * uy, v0 + x * vx + y * vy
        base = np.uintp(b) * LANES
        for j in range(LANES):
            i = base + j
            f = s[LANE + j]
            t = ONE / (w + f * wx)
            p, q = t * (u + f * ux), t * (v + f * vx)
            s[U + i], s[V + i] = p, q
            s[FU + i] = textures.NARROW + t * (abs(ux - p * wx) + abs(uy - p * wy))
            s[FV + i] = textures.NARROW + t * (abs(vx - q * wx) + abs(vy - q * wy))
            s[T + i] = t if (f >= first) & (f < end) else INF


@numba.njit(**LOOP)
def meet_level_plane(s, blocks, start, n, g, scale):
    """What `meet_plane` writes, for an orthographic camera: depth and points are linear in the pixel themselves."""
    scale, down = ONE / scale, -ONE / g[5]
    t0, tx, ty = g[2] * down, g[8] * down, g[11] * down
    u0, ux, uy = (g[0] + t0 * g[3]) * scale, (g[6] + tx * g[3]) * scale, (g[9] + ty * g[3]) * scale
    v0, vx, vy = (g[1] + t0 * g[4]) * scale, (g[7] + tx * g[4]) * scale, (g[10] + ty * g[4]) * scale
    fu, fv = textures.NARROW + abs(ux) + abs(uy), textures.NARROW + abs(vx) + abs(vy)
    for b in range(n):
        x, y, first, end = span(blocks, start + b)
        t, u, v = t0 + x * tx + y * ty, u0 + x * ux + y * uy, v0 + x * vx + y * vy
        base = np.uintp(b) * LANES
        for j in range(LANES):
            i = base + j
            f = s[LANE + j]
            s[U + i], s[V + i] = u + f * ux, v + f * vx
            s[FU + i], s[FV + i] = fu, fv
            s[T + i] = t + f * tx if (f >= first) & (f < end) else INF


@numba.njit(**LOOP)
def surround(s, blocks, start, n, g, extent):
    """A ball around what is lit of each block of a chunk, in the solid's own axes; of radius -inf where nothing is."""
    for b in range(np.uintp(BLOCKS)):
        s[BALL + b] = -INF
    for b in range(n):
        base = np.uintp(b) * LANES
        if not lanes.any_over(s, LAMBERT + base, ZERO):
            continue
        first = rays(g, blocks[0, start + b], blocks[1, start + b], extent)
        for j in range(LANES):
            i = base + j
            ox, oy, oz, rx, ry, rz = ray(first, s[LANE + j], extent)
            t, lit = s[T + i], s[LAMBERT + i] > ZERO
            px, py, pz = ox + t * rx, oy + t * ry, oz + t * rz
            s[PX + j], s[PY + j], s[PZ + j] = px if lit else INF, py if lit else INF, pz if lit else INF
            s[DX + j], s[DY + j], s[DZ + j] = px if lit else -INF, py if lit else -INF, pz if lit else -INF
        low_x, low_y, low_z = lanes.least(s, PX), lanes.least(s, PY), lanes.least(s, PZ)
        x, y, z = lanes.greatest(s, DX) - low_x, lanes.greatest(s, DY) - low_y, lanes.greatest(s, DZ) - low_z
        to = np.uintp(b)
        s[BALL_X + to], s[BALL_Y + to], s[BALL_Z + to] = low_x + HALF * x, low_y + HALF * y, low_z + HALF * z
        s[BALL + to] = HALF * math.sqrt(x * x + y * y + z * z)


@numba.njit(**LOOP)
def approach(s, light, is_sun, x, y, z, reach):
    """Note which balls of `surround` may be shaded by what lies within `reach` of a place in the same axes, where NEAR is
    not below zero; returns whether any."""
    lx, ly, lz = light[0], light[1], light[2]
    far, away = (INF, ZERO) if is_sun else (ONE, ONE)
    for b in range(np.uintp(BLOCKS)):
        cx, cy, cz = s[BALL_X + b], s[BALL_Y + b], s[BALL_Z + b]
        rx, ry, rz = lx - away * cx, ly - away * cy, lz - away * cz
        px, py, pz = x - cx, y - cy, z - cz
        along = (px * rx + py * ry + pz * rz) / max(rx * rx + ry * ry + rz * rz, surfaces.TINY)
        along = min(max(along, ZERO), far)
        px, py, pz = px - along * rx, py - along * ry, pz - along * rz
        within = ROOM * (reach + s[BALL + b])
        s[NEAR + b] = within * abs(within) - (px * px + py * py + pz * pz)
    return lanes.any_over(s, NEAR, ZERO) or lanes.any_over(s, NEAR + LANES, ZERO)


@numba.njit(**LOOP)
def all_near(s):
    """Let every block be one that something may shade."""
    for b in range(np.uintp(BLOCKS)):
        s[NEAR + b] = ONE


@numba.njit(**INLINE)
def beside(s, b, x, y, window):
    """Whether block `b` of a chunk, of first pixel `x` `y`, is outside of a window, or passed by what might shade it."""
    outside = y < window[1] or y > window[3] or x + outlines.WIDE <= window[0] or x > window[2]
    return outside or s[NEAR + np.uintp(b)] < ZERO


@numba.njit(**INLINE)
def _passes(s, base, first, extent, lx, ly, lz, far, away, square):
    """Whether, of a block's pixels that are lit so far, any's way to the light comes so near to a solid's middle."""
    for j in range(LANES):
        i = base + j
        ox, oy, oz, rx, ry, rz = ray(first, s[LANE + j], extent)
        t = s[T + i]
        px, py, pz = ox + t * rx, oy + t * ry, oz + t * rz
        rx, ry, rz = lx - away * px, ly - away * py, lz - away * pz
        along = -(px * rx + py * ry + pz * rz) / max(rx * rx + ry * ry + rz * rz, surfaces.TINY)
        along = min(max(along, ZERO), far)
        px, py, pz = px + along * rx, py + along * ry, pz + along * rz
        s[TRACE + j] = square - (px * px + py * py + pz * pz) if s[LAMBERT + i] > ZERO else -ONE
    return lanes.any_over(s, TRACE, ZERO)


def _named(name):
    """Compile a function under a name that no other has.

    numba tells functions of one name and the same types apart by numbers that it counts anew in every process; code that
    two processes have left in the cache would call one in the place of another.
    """

    def compiled(function):
        function.__qualname__ = name
        return numba.njit(**LOOP)(function)

    return compiled


def _loops(hit):
    """The two loops of one kind of solid, from its function in `surfaces`."""
    kind = hit.py_func.__name__

    @_named(f"meet_{kind}")
    def meet(s, blocks, start, n, g, size, extent):
        """Depths and normals."""
        p, q, r = size[0], size[1], size[2]
        for b in range(n):
            first = rays(g, blocks[0, start + b], blocks[1, start + b], extent)
            base = np.uintp(b) * LANES
            for j in range(LANES):
                i = base + j
                ox, oy, oz, rx, ry, rz = ray(first, s[LANE + j], extent)
                s[T + i], s[NX + i], s[NY + i], s[NZ + i] = hit(ox, oy, oz, rx, ry, rz, p, q, r)

    @_named(f"shade_{kind}")
    def shade(s, blocks, start, n, g, size, light, is_sun, window, extent, reach):
        """Darken the pixels within `window` whose way to the light meets the solid, which lies within `reach`."""
        p, q, r = size[0], size[1], size[2]
        lx, ly, lz = light[0], light[1], light[2]
        far, away = (INF, ZERO) if is_sun else (ONE, ONE)
        for b in range(n):
            x, y = blocks[0, start + b], blocks[1, start + b]
            if beside(s, b, x, y, window):
                continue
            first = rays(g, x, y, extent)
            base = np.uintp(b) * LANES
            if not lanes.any_over(s, LAMBERT + base, ZERO):
                continue
            if not _passes(s, base, first, extent, lx, ly, lz, far, away, reach * reach):
                continue
            for j in range(LANES):
                i = base + j
                ox, oy, oz, rx, ry, rz = ray(first, s[LANE + j], extent)
                t, lit = s[T + i], s[LAMBERT + i]
                px, py, pz = ox + t * rx, oy + t * ry, oz + t * rz
                met, _, _, _ = hit(px, py, pz, lx - away * px, ly - away * py, lz - away * pz, p, q, r)
                s[LAMBERT + i] = lit * (ZERO if met < far else ONE)

    return meet, shade


meet_box, shade_box = _loops(surfaces.box)
meet_sphere, shade_sphere = _loops(surfaces.sphere)
meet_capsule, shade_capsule = _loops(surfaces.capsule)
meet_cylinder, shade_cylinder = _loops(surfaces.cylinder)
meet_cone, shade_cone = _loops(surfaces.cone)
meet_ellipsoid, shade_ellipsoid = _loops(surfaces.ellipsoid)


@numba.njit(**LOOP)
def see_box(s, blocks, start, n, g, size):
    """What `meet_box` writes, before a pinhole outside of it: where `blocks` say that the box is seen.

    The inverse of depth is the least of those of the planes of the faces that are turned towards the eye, which are
    linear in the pixel.
    """
    sx, ax, px, qx = _face(g, 0, size[0])
    sy, ay, py, qy = _face(g, 1, size[1])
    sz, az, pz, qz = _face(g, 2, size[2])
    for b in range(n):
        x, y, first, end = span(blocks, start + b)
        bx, by, bz = ax + x * px + y * qx, ay + x * py + y * qy, az + x * pz + y * qz
        base = np.uintp(b) * LANES
        for j in range(LANES):
            i = base + j
            f = s[LANE + j]
            wx, wy, wz = bx + f * px, by + f * py, bz + f * pz
            w = min(min(wx, wy), wz)
            by_x = wx <= min(wy, wz)
            by_y = (not by_x) & (wy <= wz)
            s[NX + i] = sx if by_x else ZERO
            s[NY + i] = sy if by_y else ZERO
            s[NZ + i] = ZERO if by_x | by_y else sz
            s[T + i] = ONE / w if (f >= first) & (f < end) & (w > ZERO) else INF


@numba.njit(**INLINE)
def _face(g, axis, half):
    """Which face of a box across an axis is turned towards the eye, -1, 1 or 0 for none; and the inverse of depth of its
    plane in pixel 0 0, per column and per row."""
    eye = g[axis]
    if abs(eye) <= half:
        return ZERO, FAR_FACE, ZERO, ZERO
    side = ONE if eye > ZERO else -ONE
    inverse = ONE / (side * half - eye)
    return side, g[3 + axis] * inverse, g[6 + axis] * inverse, g[9 + axis] * inverse


@numba.njit(**LOOP)
def _trace(s, close, ring, tube):
    """Walk a block's rays from PX PY PZ along DX DY DZ (unit), from TRACE to where they meet a torus; inf if they
    come to LEAVE before."""
    for turn in range(TRACE_TURNS):
        least = STRIDE * tube if turn >= TRACE_TURNS // 2 else ZERO
        for _ in range(TRACE_STEPS):
            for j in range(LANES):
                t = s[TRACE + j]
                x, y, z = s[PX + j] + t * s[DX + j], s[PY + j] + t * s[DY + j], s[PZ + j] + t * s[DZ + j]
                gap = surfaces.torus_distance(x, y, z, ring, tube)
                outside = (gap > close) & (t < s[LEAVE + j])
                # A long step may end within; the way back does not lead out again.
                within = (gap < -close) & (least > ZERO) & (t < s[LEAVE + j])
                s[TRACE + j] = t + (max(gap, least) if outside else gap if within else ZERO)
                s[MOVING + j] = ONE if outside else HALF if within else ZERO
        if not lanes.any_over(s, MOVING, ZERO):
            break
    for j in range(LANES):
        # What still moves after all steps grazes the torus without meeting it.
        s[TRACE + j] = INF if (s[MOVING + j] > HALF) | (s[TRACE + j] >= s[LEAVE + j]) else s[TRACE + j]


@numba.njit(**LOOP)
def meet_torus(s, blocks, start, n, g, size, extent):
    """Depths and normals."""
    ring, tube = size[0], size[1]
    for b in range(n):
        first = rays(g, blocks[0, start + b], blocks[1, start + b], extent)
        base = np.uintp(b) * LANES
        for j in range(LANES):
            i = base + j
            ox, oy, oz, rx, ry, rz = ray(first, s[LANE + j], extent)
            # A camera inside the tube looks through it: its rays never start.
            inside = surfaces.torus_distance(ox, oy, oz, ring, tube) < ZERO
            shrink = ONE / math.sqrt(rx * rx + ry * ry + rz * rz)
            rx, ry, rz = rx * shrink, ry * shrink, rz * shrink
            enter, leave = surfaces.torus_span(ox, oy, oz, rx, ry, rz, ring, tube)
            s[PX + j], s[PY + j], s[PZ + j], s[DX + j], s[DY + j], s[DZ + j] = ox, oy, oz, rx, ry, rz
            s[TRACE + j], s[LEAVE + j], s[T + i] = enter, -INF if inside else leave, shrink
        _trace(s, CLOSE * tube, ring, tube)
        for j in range(LANES):
            i = base + j
            t = s[TRACE + j]
            x, y, z = s[PX + j] + t * s[DX + j], s[PY + j] + t * s[DY + j], s[PZ + j] + t * s[DZ + j]
            s[NX + i], s[NY + i], s[NZ + i] = surfaces.torus_normal(x, y, z, ring, tube)
            s[T + i] = t * s[T + i]


@numba.njit(**LOOP)
def shade_torus(s, blocks, start, n, g, size, light, is_sun, window, itself, extent):
    """Darken the pixels within `window` whose way to the light meets the torus, which may be the one they see."""
    ring, tube = size[0], size[1]
    lx, ly, lz = light[0], light[1], light[2]
    away = ZERO if is_sun else ONE
    lift = LIFT * tube if itself else ZERO
    for b in range(n):
        x, y = blocks[0, start + b], blocks[1, start + b]
        if beside(s, b, x, y, window):
            continue
        first = rays(g, x, y, extent)
        base = np.uintp(b) * LANES
        for j in range(LANES):
            i = base + j
            ox, oy, oz, rx, ry, rz = ray(first, s[LANE + j], extent)
            t = s[T + i]
            px, py, pz = ox + t * rx, oy + t * ry, oz + t * rz
            px, py, pz = px + lift * s[NX + i], py + lift * s[NY + i], pz + lift * s[NZ + i]
            rx, ry, rz = lx - away * px, ly - away * py, lz - away * pz
            length = math.sqrt(rx * rx + ry * ry + rz * rz)
            shrink = ONE / length
            rx, ry, rz = rx * shrink, ry * shrink, rz * shrink
            enter, leave = surfaces.torus_span(px, py, pz, rx, ry, rz, ring, tube)
            s[PX + j], s[PY + j], s[PZ + j], s[DX + j], s[DY + j], s[DZ + j] = px, py, pz, rx, ry, rz
            s[TRACE + j], s[LEAVE + j] = enter, leave if is_sun else min(leave, length)
        _trace(s, CLOSE * tube, ring, tube)
        for j in range(LANES):
            i = base + j
            s[LAMBERT + i] = s[LAMBERT + i] * (ZERO if s[TRACE + j] < INF else ONE)


@numba.njit(**LOOP)
def keep_nearer(s, blocks, start, n, stride, depth, flat):
    """Drop a chunk's blocks in which nothing that was met is nearer than `depth`; returns how many are left, in front."""
    # What `meet_plane` writes for each pixel, and what others do.
    one, two, three, four = (U, V, FU, FV) if flat else (NX, NY, NZ, NZ)
    kept = 0
    for block in range(n):
        x, y = blocks[0, start + block], blocks[1, start + block]
        base = np.uintp(block) * LANES
        if not lanes.any_less(s, T + base, depth, np.uintp(y * stride + x)):
            continue
        if kept < block:
            to = np.uintp(kept) * LANES
            blocks[0, start + kept], blocks[1, start + kept] = x, y
            lanes.move(s, T + base, T + to)
            lanes.move(s, one + base, one + to)
            lanes.move(s, two + base, two + to)
            lanes.move(s, three + base, three + to)
            lanes.move(s, four + base, four + to)
        kept += 1
    return kept


@numba.njit(**LOOP)
def light_seen(s, blocks, start, n, stride, depth):
    """Leave only those pixels lit whose surface is seen: shadows on others need not be found."""
    for block in range(n):
        base = np.uintp(block) * LANES
        at = np.uintp(blocks[1, start + block] * stride + blocks[0, start + block])
        for j in range(LANES):
            i = base + j
            s[LAMBERT + i] = s[LAMBERT + i] * (ONE if s[T + i] < depth[at + j] else ZERO)


@numba.njit(**LOOP)
def rows(blocks, start, n):
    """First and last row of a chunk."""
    top, bottom = blocks[1, start], blocks[1, start]
    for b in range(start + 1, start + n):
        top, bottom = min(top, blocks[1, b]), max(bottom, blocks[1, b])
    return top, bottom


@numba.njit(**LOOP)
def fill(s, n, at, one, two, three):
    """Three numbers for every pixel of a chunk, in the three places from `at` on."""
    for i in range(np.uintp(n) * LANES):
        s[at + i], s[at + LENGTH + i], s[at + LENGTH + LENGTH + i] = one, two, three


@numba.njit(**LOOP)
def no_mix(s, n):
    """The first colour everywhere."""
    for i in range(np.uintp(n) * LANES):
        s[MIX + i] = ZERO


@numba.njit(**LOOP)
def sunlight(s, n, light):
    """How squarely a sun falls on each pixel, from 0 to 1."""
    lx, ly, lz = light[0], light[1], light[2]
    for i in range(np.uintp(n) * LANES):
        s[LAMBERT + i] = max(s[NX + i] * lx + s[NY + i] * ly + s[NZ + i] * lz, ZERO)


@numba.njit(**LOOP)
def lamplight(s, blocks, start, n, g, light, extent):
    """How squarely a point light falls on each pixel, from 0 to 1."""
    lx, ly, lz = light[0], light[1], light[2]
    for b in range(n):
        first = rays(g, blocks[0, start + b], blocks[1, start + b], extent)
        base = np.uintp(b) * LANES
        for j in range(LANES):
            i = base + j
            ox, oy, oz, rx, ry, rz = ray(first, s[LANE + j], extent)
            t = s[T + i]
            rx, ry, rz = lx - ox - t * rx, ly - oy - t * ry, lz - oz - t * rz
            s[LAMBERT + i] = surfaces.squareness(s[NX + i], s[NY + i], s[NZ + i], rx, ry, rz)


@numba.njit(**LOOP)
def add_light(s, n, light):
    """Add a light of that colour, as LAMBERT says, to what falls on each pixel."""
    red, green, blue = light[3], light[4], light[5]
    for i in range(np.uintp(n) * LANES):
        lit = s[LAMBERT + i]
        r, g, b = s[RED + i] + lit * red, s[GREEN + i] + lit * green, s[BLUE + i] + lit * blue
        s[RED + i], s[GREEN + i], s[BLUE + i] = r, g, b


@numba.njit(**LOOP)
def solid_points(s, blocks, start, n, g, scale, step, extent):
    """Points in periods of the texture, bricks being stacked along z, and how many periods a pixel covers there."""
    inverse = ONE / scale
    for b in range(n):
        first = rays(g, blocks[0, start + b], blocks[1, start + b], extent)
        base = np.uintp(b) * LANES
        for j in range(LANES):
            i = base + j
            ox, oy, oz, rx, ry, rz = ray(first, s[LANE + j], extent)
            t = s[T + i]
            px, py, pz, spread = ox + t * rx, oy + t * ry, oz + t * rz, t if extent is None else ONE
            s[U + i], s[V + i], s[W + i], s[FU + i], s[FV + i], s[FW + i] = textures.solid_point(
                px, py, pz, rx, ry, rz, s[NX + i], s[NY + i], s[NZ + i], spread, inverse, step
            )


@numba.njit(**LOOP)
def flat_texture(texture, s, n):
    """How much of a plane's second colour each pixel shows."""
    end = np.uintp(n) * LANES
    if texture == CHECKER:
        for i in range(end):
            s[MIX + i] = textures.flat_checker(s[U + i], s[V + i], s[FU + i], s[FV + i])
    elif texture == STRIPES:
        for i in range(end):
            s[MIX + i] = textures.stripes(s[U + i], s[FU + i])
    elif texture == BRICKS:
        for i in range(end):
            s[MIX + i] = textures.flat_bricks(s[U + i], s[V + i], s[FU + i], s[FV + i])
    elif texture == NOISE:
        for i in range(end):
            s[MIX + i] = textures.flat_noise(s[U + i], s[V + i], s[FU + i], s[FV + i])
    else:
        no_mix(s, n)


@numba.njit(**LOOP)
def solid_texture(texture, s, n):
    """How much of a solid's second colour each pixel shows."""
    end = np.uintp(n) * LANES
    if texture == CHECKER:
        for i in range(end):
            s[MIX + i] = textures.checker(s[U + i], s[V + i], s[W + i], s[FU + i], s[FV + i], s[FW + i])
    elif texture == STRIPES:
        for i in range(end):
            s[MIX + i] = textures.stripes(s[U + i], s[FU + i])
    elif texture == BRICKS:
        for i in range(end):
            s[MIX + i] = textures.bricks(s[U + i], s[V + i], s[W + i], s[FU + i], s[FV + i], s[FW + i])
    else:
        for i in range(end):
            s[MIX + i] = textures.noise(s[U + i], s[V + i], s[W + i], s[FU + i], s[FV + i], s[FW + i])


@numba.njit(**INLINE)
def pack(r, g, b):
    """Three channels, from 0 to 255 and half a step more, as one number."""
    r, g, b = np.int32(min(r, LIMIT)), np.int32(min(g, LIMIT)), np.int32(min(b, LIMIT))
    return np.int32(r | np.int32(g << np.int32(8)) | np.int32(b << np.int32(16)))


@numba.njit(**LOOP)
def paint_plane(s, blocks, start, n, g, stride, depth, pixels, name, look, red, green, blue):
    """All at once for a plain plane on which one light falls everywhere: what `meet_plane` and `write_evenly` do."""
    height = -ONE / g[2]
    w0, wx, wy = height * g[5], height * g[8], height * g[11]
    red, green, blue = red * MOST, green * MOST, blue * MOST
    colour = pack(look[4] * red + ROUND, look[5] * green + ROUND, look[6] * blue + ROUND)
    colour = np.int32(colour | name)
    for b in range(n):
        x, y = blocks[0, start + b], blocks[1, start + b]
        first, end = np.float32(blocks[2, start + b] - x), np.float32(blocks[3, start + b] - x)
        w = w0 + np.float32(x) * wx + np.float32(y) * wy
        at = np.uintp(y * stride + x)
        for j in range(LANES):
            f, before, seen = s[LANE + j], depth[at + j], pixels[at + j]
            t = ONE / (w + f * wx) if (f >= first) & (f < end) else INF
            depth[at + j] = lanes.lesser(t, before)
            pixels[at + j] = colour if t < before else seen


@numba.njit(**LOOP)
def write_evenly(s, blocks, start, n, stride, depth, pixels, name, look, red, green, blue):
    """Write depth, colour and `name` where this surface is nearer than all before it; one light falls on all of it."""
    red, green, blue = red * MOST, green * MOST, blue * MOST
    r, g, b = look[4] * red, look[5] * green, look[6] * blue
    dr, dg, db = look[7] * red - r, look[8] * green - g, look[9] * blue - b
    r, g, b = r + ROUND, g + ROUND, b + ROUND
    for block in range(n):
        base = np.uintp(block) * LANES
        at = np.uintp(blocks[1, start + block] * stride + blocks[0, start + block])
        for j in range(LANES):
            i = base + j
            t, mix, before, seen = s[T + i], s[MIX + i], depth[at + j], pixels[at + j]
            colour = pack(r + mix * dr, g + mix * dg, b + mix * db)
            depth[at + j] = lanes.lesser(t, before)
            pixels[at + j] = np.int32(colour | name) if t < before else seen


@numba.njit(**LOOP)
def write(s, blocks, start, n, stride, depth, pixels, name, look):
    """The same with RED GREEN BLUE falling on each pixel."""
    r, g, b = look[4] * MOST, look[5] * MOST, look[6] * MOST
    dr, dg, db = look[7] * MOST - r, look[8] * MOST - g, look[9] * MOST - b
    for block in range(n):
        base = np.uintp(block) * LANES
        at = np.uintp(blocks[1, start + block] * stride + blocks[0, start + block])
        for j in range(LANES):
            i = base + j
            t, mix, before, seen = s[T + i], s[MIX + i], depth[at + j], pixels[at + j]
            colour = pack(
                (r + mix * dr) * s[RED + i] + ROUND,
                (g + mix * dg) * s[GREEN + i] + ROUND,
                (b + mix * db) * s[BLUE + i] + ROUND,
            )
            depth[at + j] = lanes.lesser(t, before)
            pixels[at + j] = np.int32(colour | name) if t < before else seen
