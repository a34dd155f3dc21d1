"""One frame: which surface each pixel sees, and its colour.

Pixels are worked on in blocks of `LANES` neighbours of a row. For each solid a list of the blocks that it may cover is
made (planes exactly, by the straight edges of their outlines; others by a rectangle around them), then a chunk of
`BLOCKS` of them at a time goes through small loops: meet the surface, compare depths, light, texture, write. What passes
from one loop to the next lies in one scratch array `s` at fixed distances, so that the compiler knows without asking that
its writes do not overlap its reads, and turns every loop into SIMD code. Indices are unsigned for the same reason (a
negative one would count from the end), and constants are float32, since a Python number would promote all to float64.

The z buffer is `depth`, metres along the camera's axis: rays have length 1 along it.
"""

import math

import numba
import numpy as np

from scenes.renderers.kernels import surfaces, textures
from scenes.renderers.kernels.surfaces import HALF, INF, ONE, SCALAR, ZERO

LANES = np.uintp(16)
BLOCKS = 32
"""Blocks of a chunk: its scratch fits the fastest cache."""
_N = int(LANES) * BLOCKS
T, NX, NY, NZ = (np.uintp(i * _N) for i in range(4))
MIX, LAMBERT, RED, GREEN, BLUE = (np.uintp(i * _N) for i in range(4, 9))
U, V, W, FU, FV, FW = (np.uintp(i * _N) for i in range(9, 15))
TRACE = np.uintp(15 * _N)
LANE = np.uintp(16 * _N)
SCRATCH = 16 * _N + int(LANES)
"""Length of the scratch array; its last `LANES` numbers are 0, 1, 2 …"""

PLANE, BOX, SPHERE, CAPSULE, CYLINDER, CONE, ELLIPSOID, TORUS = range(8)
PLAIN, CHECKER, STRIPES, BRICKS, NOISE = range(5)
TRACE_STEPS = 48
CLOSE = np.float32(2e-4)
"""How near a ray must come to a torus to meet it, in tube radii."""
GRAZE = np.float32(0.05)
MOST, ROUND = np.float32(255), np.float32(0.5)


@numba.njit(**SCALAR)
def _setup(g, position, rotation, eye, right, up, forward, x0, y0, step, lights, n_lights):
    """The camera and the lights in a solid's own axes: eye (3), ray of pixel 0 0 (3), its change per column (3) and per
    row (3), then each light (3)."""
    w, x, y, z = rotation[0], rotation[1], rotation[2], rotation[3]
    m = (
        (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)),
        (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)),
        (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)),
    )
    ex, ey, ez = eye[0] - position[0], eye[1] - position[1], eye[2] - position[2]
    for i in range(3):
        a, b, c = m[i]
        across = a * right[0] + b * right[1] + c * right[2]
        upward = a * up[0] + b * up[1] + c * up[2]
        ahead = a * forward[0] + b * forward[1] + c * forward[2]
        g[i] = a * ex + b * ey + c * ez
        g[3 + i] = ahead + x0 * across + y0 * upward
        g[6 + i] = step * across
        g[9 + i] = -step * upward
        for k in range(n_lights):
            lx, ly, lz = lights[k, 0], lights[k, 1], lights[k, 2]
            if lights[k, 6] == 0:
                lx, ly, lz = lx - position[0], ly - position[1], lz - position[2]
            g[12 + 3 * k + i] = a * lx + b * ly + c * lz


@numba.njit(**SCALAR)
def _plane_blocks(g, hx, hy, width, height, stride, bx, by, low, high, edge):
    """List the blocks of a plane, with the columns from `low` to before `high` that see it; returns how many.

    Divided by the height of the eye over the plane, everything is linear in the pixel: a point lies within the plane's
    edges where five linear functions of it are not negative, so each row sees one interval of columns.
    """
    eye = float(g[2])
    if eye <= 0:
        return 0
    for i in range(3):  # constant, per column, per row
        rx, ry, rz = float(g[3 + 3 * i]), float(g[4 + 3 * i]), float(g[5 + 3 * i])
        w = -rz / eye
        u, v = g[0] * w + rx, g[1] * w + ry
        edge[i, 0], edge[i, 1], edge[i, 2], edge[i, 3], edge[i, 4] = w, hx * w + u, hx * w - u, hy * w + v, hy * w - v
    edge[0, 0] -= 1e-6
    y0, y1 = 0.0, height - 1.0
    for k in range(5):
        constant, column, row = edge[0, k], edge[1, k], edge[2, k]
        if abs(column) * width < 1e-9 * (abs(constant) + abs(row) * height):
            # Level with the rows: a bound on those, and none on columns.
            if abs(row) * height < 1e-9 * abs(constant):
                if constant < 0:
                    return 0
            elif row > 0:
                y0 = max(y0, -constant / row - SEAM)
            else:
                y1 = min(y1, -constant / row + SEAM)
            edge[0, k], edge[1, k], edge[2, k] = -1e30, 0, 0
        else:
            edge[0, k], edge[1, k], edge[2, k] = -constant / column, column, -row / column
    n = 0
    for y in range(int(math.ceil(y0)), int(math.floor(y1)) + 1):
        lo, hi = -SEAM, width - 1 + SEAM
        for k in range(5):
            at = edge[0, k] + edge[2, k] * y
            if edge[1, k] < 0:
                hi = min(hi, at + SEAM)
            else:
                lo = max(lo, at - SEAM)
        if lo > hi:
            continue
        x, end = int(math.ceil(lo)), int(math.floor(hi)) + 1
        while x < end:
            bx[n], by[n], low[n], high[n] = min(x, stride - 16), y, x, end
            n += 1
            x += 16
    return n


SEAM = 1e-4
"""Pixels by which planes reach over their edges, so that no crack opens between a wall and the floor."""


@numba.njit(**SCALAR)
def _box_blocks(g, ex, ey, ez, eye, position, right, up, forward, half_w, half_h, step, width, height, stride, bx, by):
    """List the blocks of the screen rectangle around a solid with half extents `ex`, `ey`, `ez` in its own axes."""
    rx, ry, rz = position[0] - eye[0], position[1] - eye[1], position[2] - eye[2]
    cx = right[0] * rx + right[1] * ry + right[2] * rz
    cy = up[0] * rx + up[1] * ry + up[2] * rz
    cz = forward[0] * rx + forward[1] * ry + forward[2] * rz
    # Camera axes in the solid's own: columns and rows of the ray's changes, and the middle of the picture.
    s = 1 / step
    ax, ay, az = g[6] * s, g[7] * s, g[8] * s
    bx_, by_, bz_ = -g[9] * s, -g[10] * s, -g[11] * s
    fx, fy, fz = ay * bz_ - az * by_, az * bx_ - ax * bz_, ax * by_ - ay * bx_
    fx, fy, fz = -fx, -fy, -fz
    x0, x1, y0, y1 = 1e30, -1e30, 1e30, -1e30
    behind = 0
    for corner in range(8):
        px = ex if corner & 1 else -ex
        py = ey if corner & 2 else -ey
        pz = ez if corner & 4 else -ez
        z = cz + fx * px + fy * py + fz * pz
        if z < 1e-3:
            behind += 1
        else:
            x = (cx + ax * px + ay * py + az * pz) / z * s + half_w - 0.5
            y = half_h - 0.5 - (cy + bx_ * px + by_ * py + bz_ * pz) / z * s
            x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
    if behind == 8:
        return 0
    if behind > 0:
        x0, x1, y0, y1 = 0.0, width - 1.0, 0.0, height - 1.0
    left, last = max(0, int(math.ceil(max(x0 - SEAM, -1.0)))), min(width - 1, int(math.floor(min(x1 + SEAM, 1e6))))
    top, bottom = max(0, int(math.ceil(max(y0 - SEAM, -1.0)))), min(height - 1, int(math.floor(min(y1 + SEAM, 1e6))))
    n = 0
    for y in range(top, bottom + 1):
        x = left
        while x <= last:
            bx[n], by[n] = min(x, stride - 16), y
            n += 1
            x += 16
    return n


@numba.njit(**SCALAR)
def _rays(g, x, y):
    """Eye, ray of a block's first pixel, and its change per column."""
    fx, fy = np.float32(x), np.float32(y)
    ax, ay, az = g[3] + fx * g[6] + fy * g[9], g[4] + fx * g[7] + fy * g[10], g[5] + fx * g[8] + fy * g[11]
    return g[0], g[1], g[2], ax, ay, az, g[6], g[7], g[8]


@numba.njit(**SCALAR)
def _meet_plane(s, n, bx, by, low, high, g):
    eye = -g[2]
    for b in range(n):
        x = np.float32(bx[b])
        first, end = np.float32(low[b]) - x, np.float32(high[b]) - x
        az, dz = g[5] + x * g[8] + np.float32(by[b]) * g[11], g[8]
        base = np.uintp(b) * LANES
        for j in range(LANES):
            f = s[LANE + j]
            t = eye / (az + f * dz)
            s[T + base + j] = t if (f >= first) & (f < end) else INF


def _meeter(surface, n_sizes):
    """The loop over a chunk's pixels for one kind of solid."""
    if n_sizes == 1:

        @numba.njit(**SCALAR)
        def call(ox, oy, oz, dx, dy, dz, p, q, r):
            return surface(ox, oy, oz, dx, dy, dz, p)

    elif n_sizes == 2:

        @numba.njit(**SCALAR)
        def call(ox, oy, oz, dx, dy, dz, p, q, r):
            return surface(ox, oy, oz, dx, dy, dz, p, q)

    else:
        call = surface

    @numba.njit(**SCALAR)
    def meet(s, n, bx, by, g, size):
        p, q, r = size[0], size[1], size[2]
        for b in range(n):
            ox, oy, oz, ax, ay, az, dx, dy, dz = _rays(g, bx[b], by[b])
            base = np.uintp(b) * LANES
            for j in range(LANES):
                f = s[LANE + j]
                t, nx, ny, nz = call(ox, oy, oz, ax + f * dx, ay + f * dy, az + f * dz, p, q, r)
                s[T + base + j], s[NX + base + j], s[NY + base + j], s[NZ + base + j] = t, nx, ny, nz

    @numba.njit(**SCALAR)
    def shade(s, n, bx, by, g, size, light, is_sun):
        """Darken the pixels whose way to the light meets the solid."""
        p, q, r = size[0], size[1], size[2]
        lx, ly, lz = light[0], light[1], light[2]
        far = INF if is_sun else ONE
        away = ZERO if is_sun else ONE
        for b in range(n):
            ox, oy, oz, ax, ay, az, dx, dy, dz = _rays(g, bx[b], by[b])
            base = np.uintp(b) * LANES
            for j in range(LANES):
                f = s[LANE + j]
                t = s[T + base + j]
                px, py, pz = ox + t * (ax + f * dx), oy + t * (ay + f * dy), oz + t * (az + f * dz)
                hit, _, _, _ = call(px, py, pz, lx - away * px, ly - away * py, lz - away * pz, p, q, r)
                lit = s[LAMBERT + base + j]
                s[LAMBERT + base + j] = ZERO if hit < far else lit

    return meet, shade


_meet_box, _shade_box = _meeter(surfaces.box, 3)
_meet_sphere, _shade_sphere = _meeter(surfaces.sphere, 1)
_meet_capsule, _shade_capsule = _meeter(surfaces.capsule, 2)
_meet_cylinder, _shade_cylinder = _meeter(surfaces.cylinder, 2)
_meet_cone, _shade_cone = _meeter(surfaces.cone, 2)
_meet_ellipsoid, _shade_ellipsoid = _meeter(surfaces.ellipsoid, 3)


@numba.njit(**SCALAR)
def _trace(s, base, close, ring, tube):
    """Walk rays from U V W along FU FV FW (unit) towards a torus, from TRACE to before MIX; inf where they miss."""
    for _ in range(TRACE_STEPS):
        moving = ZERO
        for j in range(LANES):
            i = base + j
            t = s[TRACE + i]
            p, q, r = s[U + i] + t * s[FU + i], s[V + i] + t * s[FV + i], s[W + i] + t * s[FW + i]
            gap = surfaces.torus_distance(p, q, r, ring, tube)
            t = t + gap if (gap > close) & (t < s[MIX + i]) else t
            s[TRACE + i] = t
        for j in range(LANES):
            i = base + j
            t = s[TRACE + i]
            p, q, r = s[U + i] + t * s[FU + i], s[V + i] + t * s[FV + i], s[W + i] + t * s[FW + i]
            gap = surfaces.torus_distance(p, q, r, ring, tube)
            moving = max(moving, ONE if (gap > close) & (t < s[MIX + i]) else ZERO)
        if moving == ZERO:
            break


@numba.njit(**SCALAR)
def _meet_torus(s, n, bx, by, g, size):
    ring, tube = size[0], size[1]
    close = CLOSE * tube
    for b in range(n):
        ox, oy, oz, ax, ay, az, dx, dy, dz = _rays(g, bx[b], by[b])
        base = np.uintp(b) * LANES
        for j in range(LANES):
            i = base + j
            f = s[LANE + j]
            rx, ry, rz = ax + f * dx, ay + f * dy, az + f * dz
            shrink = ONE / math.sqrt(rx * rx + ry * ry + rz * rz)
            rx, ry, rz = rx * shrink, ry * shrink, rz * shrink
            enter, leave = surfaces.torus_span(ox, oy, oz, rx, ry, rz, ring, tube)
            s[U + i], s[V + i], s[W + i], s[FU + i], s[FV + i], s[FW + i] = ox, oy, oz, rx, ry, rz
            # A camera inside the tube looks through it: its rays never start.
            inside = surfaces.torus_distance(ox, oy, oz, ring, tube) < ZERO
            s[TRACE + i], s[MIX + i], s[T + i] = enter, (-INF if inside else leave), shrink
        _trace(s, base, close, ring, tube)
        for j in range(LANES):
            i = base + j
            t = s[TRACE + i]
            px, py, pz = s[U + i] + t * s[FU + i], s[V + i] + t * s[FV + i], s[W + i] + t * s[FW + i]
            nx, ny, nz = surfaces.torus_normal(px, py, pz, ring, tube)
            s[NX + i], s[NY + i], s[NZ + i] = nx, ny, nz
            s[T + i] = t * s[T + i] if t < s[MIX + i] else INF


@numba.njit(**SCALAR)
def _shade_torus(s, n, bx, by, g, size, light, is_sun, itself):
    ring, tube = size[0], size[1]
    close = CLOSE * tube
    lx, ly, lz = light[0], light[1], light[2]
    away = ZERO if is_sun else ONE
    # Its own surface must not stop the rays that leave it.
    lift = np.float32(0.01) * tube if itself else ZERO
    for b in range(n):
        ox, oy, oz, ax, ay, az, dx, dy, dz = _rays(g, bx[b], by[b])
        base = np.uintp(b) * LANES
        for j in range(LANES):
            i = base + j
            f = s[LANE + j]
            t = s[T + i]
            px, py, pz = ox + t * (ax + f * dx), oy + t * (ay + f * dy), oz + t * (az + f * dz)
            px, py, pz = px + lift * s[NX + i], py + lift * s[NY + i], pz + lift * s[NZ + i]
            rx, ry, rz = lx - away * px, ly - away * py, lz - away * pz
            length = math.sqrt(rx * rx + ry * ry + rz * rz)
            shrink = ONE / length
            rx, ry, rz = rx * shrink, ry * shrink, rz * shrink
            enter, leave = surfaces.torus_span(px, py, pz, rx, ry, rz, ring, tube)
            s[U + i], s[V + i], s[W + i], s[FU + i], s[FV + i], s[FW + i] = px, py, pz, rx, ry, rz
            s[TRACE + i], s[MIX + i] = enter, min(leave, INF if is_sun else length)
        _trace(s, base, close, ring, tube)
        for j in range(LANES):
            i = base + j
            lit = s[LAMBERT + i]
            s[LAMBERT + i] = ZERO if s[TRACE + i] < s[MIX + i] else lit


@numba.njit(**SCALAR)
def _meet(kind, s, n, bx, by, low, high, g, size):
    if kind == PLANE:
        _meet_plane(s, n, bx, by, low, high, g)
    elif kind == BOX:
        _meet_box(s, n, bx, by, g, size)
    elif kind == SPHERE:
        _meet_sphere(s, n, bx, by, g, size)
    elif kind == CAPSULE:
        _meet_capsule(s, n, bx, by, g, size)
    elif kind == CYLINDER:
        _meet_cylinder(s, n, bx, by, g, size)
    elif kind == CONE:
        _meet_cone(s, n, bx, by, g, size)
    elif kind == ELLIPSOID:
        _meet_ellipsoid(s, n, bx, by, g, size)
    else:
        _meet_torus(s, n, bx, by, g, size)


@numba.njit(**SCALAR)
def _shade(kind, s, n, bx, by, g, size, light, is_sun, itself):
    if kind == TORUS:
        _shade_torus(s, n, bx, by, g, size, light, is_sun, itself)
    elif itself:
        return
    elif kind == BOX:
        _shade_box(s, n, bx, by, g, size, light, is_sun)
    elif kind == SPHERE:
        _shade_sphere(s, n, bx, by, g, size, light, is_sun)
    elif kind == CAPSULE:
        _shade_capsule(s, n, bx, by, g, size, light, is_sun)
    elif kind == CYLINDER:
        _shade_cylinder(s, n, bx, by, g, size, light, is_sun)
    elif kind == CONE:
        _shade_cone(s, n, bx, by, g, size, light, is_sun)
    elif kind == ELLIPSOID:
        _shade_ellipsoid(s, n, bx, by, g, size, light, is_sun)


@numba.njit(**SCALAR)
def _compare(s, n, bx, by, stride, depth, ids, k):
    """Keep what is nearer than all before; what is hidden counts as missed from here on."""
    for b in range(n):
        base = np.uintp(b) * LANES
        at = np.uintp(by[b] * stride + bx[b])
        for j in range(LANES):
            t, before = s[T + base + j], depth[at + j]
            nearer = t < before
            depth[at + j] = t if nearer else before
            ids[at + j] = k if nearer else ids[at + j]
            s[T + base + j] = t if nearer else INF


@numba.njit(**SCALAR)
def _ambient(s, n, ambient):
    r, g, b = ambient[0], ambient[1], ambient[2]
    for i in range(np.uintp(n) * LANES):
        s[RED + i], s[GREEN + i], s[BLUE + i] = r, g, b


@numba.njit(**SCALAR)
def _flat_normals(s, n):
    for i in range(np.uintp(n) * LANES):
        s[NX + i], s[NY + i], s[NZ + i] = ZERO, ZERO, ONE


@numba.njit(**SCALAR)
def _lambert(s, n, bx, by, g, light, is_sun):
    """How squarely the light falls on each pixel, from 0 to 1."""
    lx, ly, lz = light[0], light[1], light[2]
    away = ZERO if is_sun else ONE
    for b in range(n):
        ox, oy, oz, ax, ay, az, dx, dy, dz = _rays(g, bx[b], by[b])
        base = np.uintp(b) * LANES
        for j in range(LANES):
            i = base + j
            f, t = s[LANE + j], s[T + i]
            rx, ry, rz = (
                lx - away * (ox + t * (ax + f * dx)),
                ly - away * (oy + t * (ay + f * dy)),
                lz - away * (oz + t * (az + f * dz)),
            )
            square = s[NX + i] * rx + s[NY + i] * ry + s[NZ + i] * rz
            s[LAMBERT + i] = max(square / math.sqrt(rx * rx + ry * ry + rz * rz), ZERO)


@numba.njit(**SCALAR)
def _sunlight(s, n, light):
    lx, ly, lz = light[0], light[1], light[2]
    for i in range(np.uintp(n) * LANES):
        s[LAMBERT + i] = max(s[NX + i] * lx + s[NY + i] * ly + s[NZ + i] * lz, ZERO)


@numba.njit(**SCALAR)
def _add_light(s, n, colour):
    r, g, b = colour[3], colour[4], colour[5]
    for i in range(np.uintp(n) * LANES):
        lit = s[LAMBERT + i]
        s[RED + i], s[GREEN + i], s[BLUE + i] = s[RED + i] + lit * r, s[GREEN + i] + lit * g, s[BLUE + i] + lit * b


@numba.njit(**SCALAR)
def _plane_points(s, n, bx, by, g, scale):
    """Points of a plane in periods of its texture, and how far the next pixels' points are."""
    inverse = ONE / scale
    eye, ox, oy = -g[2], g[0] * inverse, g[1] * inverse
    ux, uy, vx, vy = g[6] * inverse, g[9] * inverse, g[7] * inverse, g[10] * inverse
    # The change of depth with the pixel is t squared times these.
    wx, wy = g[8] / eye, g[11] / eye
    for b in range(n):
        _, _, _, ax, ay, _, dx, dy, _ = _rays(g, bx[b], by[b])
        base = np.uintp(b) * LANES
        for j in range(LANES):
            i = base + j
            f, t = s[LANE + j], s[T + i]
            du, dv = (ax + f * dx) * inverse, (ay + f * dy) * inverse
            s[U + i], s[V + i] = ox + t * du, oy + t * dv
            s[FU + i] = t * (abs(ux - t * wx * du) + abs(uy - t * wy * du))
            s[FV + i] = t * (abs(vx - t * wx * dv) + abs(vy - t * wy * dv))


INWARD = np.float32(0.02)
"""Periods below the surface where solids' textures are read: a face on the border of two cells shows one of them."""


@numba.njit(**SCALAR)
def _solid_points(s, n, bx, by, g, scale, step):
    """The same of a solid, whose bricks are stacked along z: (x, z, y)."""
    inverse = ONE / scale
    for b in range(n):
        ox, oy, oz, ax, ay, az, dx, dy, dz = _rays(g, bx[b], by[b])
        base = np.uintp(b) * LANES
        for j in range(LANES):
            i = base + j
            f, t = s[LANE + j], s[T + i]
            rx, ry, rz = ax + f * dx, ay + f * dy, az + f * dz
            nx, ny, nz = s[NX + i], s[NY + i], s[NZ + i]
            s[U + i] = (ox + t * rx) * inverse - INWARD * nx
            s[V + i] = (oz + t * rz) * inverse - INWARD * nz
            s[W + i] = (oy + t * ry) * inverse - INWARD * ny
            slant = abs(nx * rx + ny * ry + nz * rz)
            width = t * step * inverse
            long = width / max(slant, GRAZE)
            # Along the normal a pixel sees no width at all.
            s[FU + i] = width + (long - width) * (ONE - abs(nx))
            s[FV + i] = width + (long - width) * (ONE - abs(nz))
            s[FW + i] = width + (long - width) * (ONE - abs(ny))


@numba.njit(**SCALAR)
def _texture(texture, s, n, flat):
    end = np.uintp(n) * LANES
    if flat:
        if texture == NOISE:
            for i in range(end):
                s[MIX + i] = textures.flat_noise(s[U + i], s[V + i], s[FU + i], s[FV + i])
            return
        for i in range(end):
            s[W + i] = -INWARD
            s[FW + i] = ZERO
    if texture == CHECKER:
        for i in range(end):
            s[MIX + i] = textures.checker(s[U + i], s[V + i], s[W + i], s[FU + i], s[FV + i], s[FW + i])
    elif texture == STRIPES:
        for i in range(end):
            s[MIX + i] = textures.stripes(s[U + i], s[V + i], s[W + i], s[FU + i], s[FV + i], s[FW + i])
    elif texture == BRICKS:
        for i in range(end):
            s[MIX + i] = textures.bricks(s[U + i], s[V + i], s[W + i], s[FU + i], s[FV + i], s[FW + i])
    else:
        for i in range(end):
            s[MIX + i] = textures.noise(s[U + i], s[V + i], s[W + i], s[FU + i], s[FV + i], s[FW + i])


@numba.njit(**SCALAR)
def _paint(s, n, bx, by, stride, channel, factor, one, two):
    """Write one channel of the pixels that see the surface."""
    one, step = one * MOST, (two - one) * MOST
    for b in range(n):
        base = np.uintp(b) * LANES
        at = np.uintp(by[b] * stride + bx[b])
        for j in range(LANES):
            i = base + j
            value = (one + s[MIX + i] * step) * s[factor + i]
            fresh = np.uint8(np.int32(min(value, MOST) + ROUND))
            channel[at + j] = fresh if s[T + i] < INF else channel[at + j]


@numba.njit(**SCALAR)
def _no_mix(s, n):
    for i in range(np.uintp(n) * LANES):
        s[MIX + i] = ZERO


@numba.njit(**SCALAR)
def draw_frame(
    planar, depth, ids, s, geometry, bx, by, low, high, edge,
    height, width, stride, eye, camera, fov, coloured, shadows,
    kind, texture, look, position, rotation, lights, air,
):  # fmt: skip
    """Draw one camera's picture of one scene.

    `planar` (3 x rows x stride uint8, flat), `depth` and `ids` are written; `s`, `geometry` and the lists of blocks are
    scratch. `look` holds size (3), texture scale (1), two colours (6) of each solid; `lights` position (3), colour (3),
    whether a sun (1); `air` ambient (3) and sky (3).
    """
    n, n_lights = len(kind), len(lights)
    w, x, y, z = float(camera[0]), float(camera[1]), float(camera[2]), float(camera[3])
    right = (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y))
    up = (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x))
    forward = (-2 * (x * z + w * y), -2 * (y * z - w * x), -1 + 2 * (x * x + y * y))
    step = 2 * math.tan(fov / 2) / height
    x0, y0 = (0.5 - width / 2) * step, (height / 2 - 0.5) * step
    for k in range(n):
        _setup(geometry[k], position[k], rotation[k], eye, right, up, forward, x0, y0, step, lights, n_lights)
    area = np.uintp(height * stride)
    for i in range(area):
        depth[i] = INF
        ids[i] = np.int32(-1)
    if coloured:
        for c in range(3):
            sky = np.uint8(min(max(air[3 + c], ZERO), ONE) * MOST + ROUND)
            for i in range(area):
                planar[np.uintp(c) * area + i] = sky
    for k in range(n):
        g, size = geometry[k], look[k, :3]
        flat = kind[k] == PLANE
        if flat:
            hx, hy = (size[0] if size[0] > 0 else 1e6), (size[1] if size[1] > 0 else 1e6)
            blocks = _plane_blocks(g, hx, hy, width, height, stride, bx, by, low, high, edge)
        else:
            ex, ey, ez = _extents(kind[k], size)
            blocks = _box_blocks(
                g, ex, ey, ez, eye, position[k], right, up, forward, width / 2, height / 2, step,
                width, height, stride, bx, by,
            )  # fmt: skip
        for start in range(0, blocks, BLOCKS):
            some = min(BLOCKS, blocks - start)
            cx, cy = bx[start:], by[start:]
            _meet(kind[k], s, some, cx, cy, low[start:], high[start:], g, size)
            _compare(s, some, cx, cy, stride, depth, ids, np.int32(k))
            if not coloured:
                continue
            _ambient(s, some, air)
            if flat:
                _flat_normals(s, some)
            for m in range(n_lights):
                light, is_sun = g[12 + 3 * m :], lights[m, 6] != 0
                if is_sun:
                    _sunlight(s, some, light)
                else:
                    _lambert(s, some, cx, cy, g, light, is_sun)
                if shadows:
                    for other in range(n):
                        if kind[other] != PLANE:
                            far = geometry[other]
                            _shade(
                                kind[other], s, some, cx, cy, far, look[other, :3], far[12 + 3 * m :], is_sun,
                                other == k,
                            )  # fmt: skip
                _add_light(s, some, lights[m])
            if texture[k] == PLAIN:
                _no_mix(s, some)
            else:
                if flat:
                    _plane_points(s, some, cx, cy, g, look[k, 3])
                else:
                    _solid_points(s, some, cx, cy, g, look[k, 3], np.float32(step))
                _texture(texture[k], s, some, flat)
            _paint(s, some, cx, cy, stride, planar, RED, look[k, 4], look[k, 7])
            _paint(s, some, cx, cy, stride, planar[area:], GREEN, look[k, 5], look[k, 8])
            _paint(s, some, cx, cy, stride, planar[area + area :], BLUE, look[k, 6], look[k, 9])


@numba.njit(**SCALAR)
def _extents(kind, size):
    """Half extents of a solid in its own axes."""
    a, b, c = size[0], size[1], size[2]
    if kind == SPHERE:
        return a, a, a
    if kind == CAPSULE:
        return a, a, a + b
    if kind == CYLINDER or kind == CONE:
        return a, a, b
    if kind == TORUS:
        return a + b, a + b, b
    return a, b, c


@numba.njit(**SCALAR)
def _interleave(rgb, planar, height, width, stride, ratio):
    """Means of `ratio` x `ratio` pixels of planar channels, as pixels of three channels."""
    rows = stride * height * ratio
    if ratio == 1:
        for y in range(height):
            for c in range(3):
                for x in range(width):
                    rgb[(y * width + x) * 3 + c] = planar[c * rows + y * stride + x]
        return
    count = ratio * ratio
    for y in range(height):
        for x in range(width):
            for c in range(3):
                total = 0
                for i in range(ratio):
                    for j in range(ratio):
                        total += planar[c * rows + (y * ratio + i) * stride + x * ratio + j]
                rgb[(y * width + x) * 3 + c] = (2 * total + count) // (2 * count)


@numba.njit(parallel=True, cache=True, **SCALAR)
def draw(
    rgb, depth, ids, scene, eye, camera, drawn, fov, height, width, ratio, shadows,
    first, count, kind, texture, look, pose_first, position, rotation, lights, air,
    scratch, geometry, blocks, edges, planar, fine_depth, fine_ids,
):  # fmt: skip
    """Draw all cameras, each by one thread: frames do not depend on how many there are."""
    for i in numba.prange(len(scene)):
        if drawn[i]:
            thread = numba.get_thread_id()
            which = scene[i]
            a, n = first[which], count[which]
            b = pose_first[which]
            stride = max(width, 16)
            fine = max(width * ratio, 16)
            bx, by, low, high = blocks[thread, 0], blocks[thread, 1], blocks[thread, 2], blocks[thread, 3]
            if ratio > 1:
                draw_frame(
                    planar[thread], fine_depth[thread], fine_ids[thread],
                    scratch[thread], geometry[thread], bx, by, low, high, edges[thread],
                    height * ratio, width * ratio, fine, eye[i], camera[i], fov, True, shadows,
                    kind[a : a + n], texture[a : a + n], look[a : a + n], position[b : b + n], rotation[b : b + n],
                    lights[which], air[which],
                )  # fmt: skip
            draw_frame(
                planar[thread], depth[i], ids[i],
                scratch[thread], geometry[thread], bx, by, low, high, edges[thread],
                height, width, stride, eye[i], camera[i], fov, ratio == 1, shadows,
                kind[a : a + n], texture[a : a + n], look[a : a + n], position[b : b + n], rotation[b : b + n],
                lights[which], air[which],
            )  # fmt: skip
            _interleave(rgb[i], planar[thread], height, width, fine if ratio > 1 else stride, ratio)
