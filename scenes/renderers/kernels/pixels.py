"""One pixel, by itself: what its rays meet first, and the colour of that. `device` gives a thread to each.

Of all solids that a ray meets only the nearest is lit and textured. Solids' functions are those of `surfaces`, `textures`,
`trees` and `pictures`; written once more is what the processor does by rows of pixels: planes, and walks to tori. Numbers
of a solid's geometry are those of `outlines.place`, on the finer grid of supersampling, then the square of its reach.
"""

import math

import numba
import numpy as np

from scenes.renderers.kernels import chunks, laid, outlines, pictures, surfaces, textures, trees
from scenes.renderers.kernels.frame import FIXED
from scenes.renderers.kernels.outlines import (
    BOX,
    CAPSULE,
    CONE,
    CYLINDER,
    ELLIPSOID,
    MESH,
    PLANE,
    SPHERE,
    TORUS,
    UNBOUNDED,
)
from scenes.renderers.kernels.surfaces import INF, INLINE, LOOP, ONE, ZERO

TILE, THREADS = 8, 64
"""Side of a tile in pixels, and threads of its block: a warp, whose threads had best do the same, sees 8 x 4 of them."""
SEAM = np.float32(1e-3)
"""Pixels by which planes reach over their edges, so that no crack opens between a wall and the floor."""
SLACK = np.float32(1e-6)
"""The same in shares of the distances from which a point on a plane is worked out: how far rounding may put it."""


@numba.njit(**LOOP)
def place_solid(
    at, row, camera, k, eye, turn, kind, look, position, rotation, lights, geometry, windows,
    height, width, step, extent,
):  # fmt: skip
    """Write the geometry and the window of a camera's solid `k`, which lies at `row` of these arrays.

    Args:
        at: Where in the scenes' tables of kinds and looks it stands.
        row: Of `geometry` and `windows`.
        camera: Which one.
        k: Where in the tables of poses it stands.
        eye: Of all cameras, as is the next.
        turn: Quaternions.
        kind: Of all solids, as are the next three.
        look: Size (3), texture scale, two colours.
        position: Of solids, in the order of poses.
        rotation: Likewise.
        lights: Of its scene.
        geometry: To be written.
        windows: To be written: first column, row, last column, row.
        height: Rows of the finer picture.
        width: Columns of the finer picture.
        step: Change of a ray, or of its origin, from finer pixel to finer pixel.
        extent: None for a pinhole, which numba knows as it compiles, here and everywhere.
    """
    g, size, shape = geometry[row], look[at], kind[at]
    view = outlines.axes(turn[camera])
    outlines.place(g, position[k], rotation[k], eye[camera], view, height, width, step, lights, extent)
    if shape == PLANE:
        left, top, last, bottom = 0, 0, width - 1, height - 1
        if (g[2] <= ZERO) if extent is None else (g[5] >= ZERO):
            last, bottom = -1, -1
    else:
        left, top, last, bottom = outlines.solid_window(g, shape, size, height, width, step, extent)
        reach = outlines.reach_of(shape, size) * 1.0001
        g[FIXED + 3 * len(lights)] = reach * reach
    windows[row, 0], windows[row, 1], windows[row, 2], windows[row, 3] = left, top, last, bottom


@numba.njit(**LOOP)
def meets(windows, row, left, top, ratio):
    """Whether a solid's window meets the tile that begins at that pixel. Between finer pixels there are centres, too."""
    x0, y0, x1, y1 = windows[row, 0], windows[row, 1], windows[row, 2], windows[row, 3]
    shown = x0 <= x1 and y0 <= y1
    across = x0 <= (left + TILE) * ratio and x1 >= left * ratio - 1
    return shown and across and y0 <= (top + TILE) * ratio and y1 >= top * ratio - 1


@numba.njit(**LOOP)
def place_among(flags, thread):
    """How many threads before this one have raised their flag."""
    n = 0
    for i in range(thread):
        n += flags[i]
    return n


@numba.njit(**INLINE)
def _spread(t, extent):
    """How many times `step` neighbouring rays are apart at depth `t`."""
    return t if extent is None else ONE


@numba.njit(**INLINE)
def plane(ox, oy, oz, dx, dy, dz, hx, hy, step, extent):
    """Where a ray meets a rectangle from above, which reaches a little over its edges; inf if nowhere."""
    t = -oz / surfaces._away_from_zero(dz)
    x, y = t * dx, t * dy
    over = SEAM * step * _spread(t, extent)
    within_x = abs(ox + x) <= hx + over + SLACK * (abs(ox) + abs(x))
    within_y = abs(oy + y) <= hy + over + SLACK * (abs(oy) + abs(y))
    return t if (dz < ZERO) & (oz > ZERO) & within_x & within_y & (t < np.float32(UNBOUNDED)) else INF


@numba.njit(**LOOP)
def _trace(px, py, pz, dx, dy, dz, t, leave, close, ring, tube):
    """Walk a ray (of length 1) from `t` to where it meets a torus; inf if it comes to `leave` before."""
    outside = True
    for step in range(chunks.TRACE_TURNS * chunks.TRACE_STEPS):
        gap = surfaces.torus_distance(px + t * dx, py + t * dy, pz + t * dz, ring, tube)
        late = step >= chunks.TRACE_TURNS // 2 * chunks.TRACE_STEPS
        outside = gap > close and t < leave
        if not outside and not (late and gap < -close and t < leave):
            break
        t += max(gap, chunks.STRIDE * tube) if outside and late else gap
    return INF if outside or t >= leave else t


@numba.njit(**LOOP)
def _torus(ox, oy, oz, dx, dy, dz, ring, tube):
    """What the functions of `surfaces` give, for a torus."""
    shrink = ONE / math.sqrt(dx * dx + dy * dy + dz * dz)
    dx, dy, dz = dx * shrink, dy * shrink, dz * shrink
    inside = surfaces.torus_distance(ox, oy, oz, ring, tube) < ZERO
    enter, leave = surfaces.torus_span(ox, oy, oz, dx, dy, dz, ring, tube)
    t = _trace(ox, oy, oz, dx, dy, dz, enter, -INF if inside else leave, chunks.CLOSE * tube, ring, tube)
    if t == INF:
        return INF, ZERO, ZERO, ONE
    nx, ny, nz = surfaces.torus_normal(ox + t * dx, oy + t * dy, oz + t * dz, ring, tube)
    return t * shrink, nx, ny, nz


@numba.njit(**LOOP)
def _mesh(ox, oy, oz, dx, dy, dz, size, far, forest, number):
    """The same for a mesh that is met before `far`; `forest` is None where there are none, which numba then leaves out."""
    if forest is None:
        return INF, ZERO, ZERO, ONE
    sx, sy, sz = trees._stretches(forest, number, size)
    kx, ky, kz = ONE / sx, ONE / sy, ONE / sz
    t, found, u, v, w = _triangle(ox, oy, oz, dx, dy, dz, kx, ky, kz, far, forest, number)
    if t == INF:
        return INF, ZERO, ZERO, ONE
    nx, ny, nz = trees.normal_at(forest, found, u, v, w, kx, ky, kz)
    return t, nx, ny, nz


@numba.njit(**LOOP)
def _triangle(ox, oy, oz, dx, dy, dz, kx, ky, kz, far, forest, number):
    """Distance, place among the corners, and shares of its corners of the triangle of a mesh, stretched by 1 / k, that a
    ray meets before `far`; inf for none."""
    ox, oy, oz, dx, dy, dz = ox * kx, oy * ky, oz * kz, dx * kx, dy * ky, dz * kz
    box = forest[3][number]
    enter, leave = trees._enters(ox, oy, oz, dx, dy, dz, box[0], box[1], box[2], box[3], box[4], box[5])
    if not (enter <= leave and enter < far):
        return INF, np.uintp(0), ONE, ZERO, ZERO
    px, py, pz = ox + enter * dx, oy + enter * dy, oz + enter * dz
    t, found, u, v, w = trees.walk(forest, forest[2][number], px, py, pz, dx, dy, dz, far - enter, False)
    return t + enter, found, u, v, w


@numba.njit(**LOOP)
def _laid(mapped, kind, g, size, step, fx, fy, nx, ny, nz, extent, picture, seen, forest):
    """Write into `seen` what a pixel sees of the picture that a mesh shows by its coordinates; whether there is such.
    `mapped` is None, as numba compiles, where no mesh has any."""
    if mapped is None:
        return False
    if kind < MESH or not laid.has(mapped, forest[3], kind - MESH):
        return False
    sx, sy, sz = trees._stretches(forest, kind - MESH, size)
    ox, oy, oz, dx, dy, dz = _ray(g, fx, fy, extent)
    # Once more: few pixels see such a mesh, and all would carry its triangle about.
    t, found, u, v, _ = _triangle(ox, oy, oz, dx, dy, dz, ONE / sx, ONE / sy, ONE / sz, INF, forest, kind - MESH)
    if t == INF:
        return False
    face, apart = forest[7][found], step * _spread(t, extent)
    u, v = laid.place(mapped[0], face, u, v)
    rate = mapped[0][np.uintp(face) * laid.NUMBERS + np.uintp(6)]
    area = laid.covered(rate, nx, ny, nz, dx, dy, dz, sx, sy, sz, apart)
    laid.show(u, v, area, mapped[1], mapped[2][picture], seen)
    return True


@numba.njit(**LOOP)
def _unwrapped(kind, g, look, step, fx, fy, nx, ny, nz, extent, picture, seen, forest):
    """The same; `forest` is None where there are no meshes."""
    if forest is None:
        return False
    return _laid(forest[10], kind, g, look, step, fx, fy, nx, ny, nz, extent, picture, seen, forest)


@numba.njit(**LOOP)
def _meet(kind, size, ox, oy, oz, dx, dy, dz, far, forest):
    """Distance and normal of the solid of that kind and size that a ray meets, of a mesh only before `far`."""
    p, q, r = size[0], size[1], size[2]
    if kind == BOX:
        return surfaces.box(ox, oy, oz, dx, dy, dz, p, q, r)
    if kind == SPHERE:
        return surfaces.sphere(ox, oy, oz, dx, dy, dz, p, q, r)
    if kind == CYLINDER:
        return surfaces.cylinder(ox, oy, oz, dx, dy, dz, p, q, r)
    if kind == CAPSULE:
        return surfaces.capsule(ox, oy, oz, dx, dy, dz, p, q, r)
    if kind == CONE:
        return surfaces.cone(ox, oy, oz, dx, dy, dz, p, q, r)
    if kind == ELLIPSOID:
        return surfaces.ellipsoid(ox, oy, oz, dx, dy, dz, p, q, r)
    if kind == TORUS:
        return _torus(ox, oy, oz, dx, dy, dz, p, q)
    return _mesh(ox, oy, oz, dx, dy, dz, size, far, forest, kind - MESH)


@numba.njit(**INLINE)
def _ray(g, fx, fy, extent):
    """Origin and direction of the ray of a (finer) pixel, in a solid's axes."""
    if extent is None:
        dx, dy, dz = g[3] + fx * g[6] + fy * g[9], g[4] + fx * g[7] + fy * g[10], g[5] + fx * g[8] + fy * g[11]
        return g[0], g[1], g[2], dx, dy, dz
    ox, oy, oz = g[0] + fx * g[6] + fy * g[9], g[1] + fx * g[7] + fy * g[10], g[2] + fx * g[8] + fy * g[11]
    return ox, oy, oz, g[3], g[4], g[5]


@numba.njit(**LOOP)
def nearest(fx, fy, chosen, n, listed, kind, look, geometry, step, extent, forest):
    """Depth, solid and normal of what a pixel's ray meets first; of equals the one that the scene names first."""
    best, found, nx, ny, nz = INF, -1, ZERO, ZERO, ONE
    for j in range(n):
        k = np.int64(chosen[j]) if listed else j
        g, size = geometry[k], look[k]
        ox, oy, oz, dx, dy, dz = _ray(g, fx, fy, extent)
        if kind[k] == PLANE:
            hx = size[0] if size[0] > ZERO else np.float32(UNBOUNDED)
            hy = size[1] if size[1] > ZERO else np.float32(UNBOUNDED)
            t, mx, my, mz = plane(ox, oy, oz, dx, dy, dz, hx, hy, step, extent), ZERO, ZERO, ONE
        else:
            t, mx, my, mz = _meet(kind[k], size, ox, oy, oz, dx, dy, dz, best, forest)
        if t < best:
            best, found, nx, ny, nz = t, k, mx, my, mz
    return best, found, nx, ny, nz


@numba.njit(**LOOP)
def shaded(fx, fy, t, itself, nx, ny, nz, n, m, is_sun, kind, look, geometry, n_lights, extent, forest):
    """Whether a solid stands between light `m` and the point of solid `itself` that a pixel sees at depth `t`."""
    at = FIXED + 3 * m
    far, away = (INF, ZERO) if is_sun else (ONE, ONE)
    for k in range(n):
        if kind[k] == PLANE or (k == itself and kind[k] < TORUS):
            continue
        g, size = geometry[k], look[k]
        ox, oy, oz, dx, dy, dz = _ray(g, fx, fy, extent)
        px, py, pz = ox + t * dx, oy + t * dy, oz + t * dz
        if k == itself:
            # What the ray leaves must not stop it.
            up = chunks.LIFT * size[1]
            if kind[k] >= MESH:
                up = trees.LIFT * max(max(size[0], size[1]), size[2]) + trees.DRIFT * t
            px, py, pz = px + up * nx, py + up * ny, pz + up * nz
        lx, ly, lz = g[at] - away * px, g[at + 1] - away * py, g[at + 2] - away * pz
        # How near it comes to the solid's middle on its way.
        s = -(px * lx + py * ly + pz * lz) / max(lx * lx + ly * ly + lz * lz, surfaces.TINY)
        s = min(max(s, ZERO), far)
        qx, qy, qz = px + s * lx, py + s * ly, pz + s * lz
        if qx * qx + qy * qy + qz * qz > g[FIXED + 3 * n_lights]:
            continue
        if kind[k] >= MESH:
            if _any_triangle(px, py, pz, lx, ly, lz, size, far, forest, kind[k] - MESH):
                return True
        else:
            met, _, _, _ = _meet(kind[k], size, px, py, pz, lx, ly, lz, far, forest)
            if met < far:
                return True
    return False


@numba.njit(**LOOP)
def _any_triangle(px, py, pz, dx, dy, dz, size, far, forest, number):
    """Whether a ray meets either side of a mesh before `far`."""
    if forest is None:
        return False
    sx, sy, sz = trees._stretches(forest, number, size)
    kx, ky, kz = ONE / sx, ONE / sy, ONE / sz
    px, py, pz, dx, dy, dz = px * kx, py * ky, pz * kz, dx * kx, dy * ky, dz * kz
    box = forest[3][number]
    enter, leave = trees._enters(px, py, pz, dx, dy, dz, box[0], box[1], box[2], box[3], box[4], box[5])
    if not (enter <= leave and enter < far):
        return False
    px, py, pz = px + enter * dx, py + enter * dy, pz + enter * dz
    met, _, _, _, _ = trees.walk(forest, forest[2][number], px, py, pz, dx, dy, dz, far - enter, True)
    return met < INF


@numba.njit(**INLINE)
def _flat_point(g, fx, fy, t, inverse, extent):
    """A point of a plane in periods (1 / `inverse` metres) of its texture, and how many of them a pixel covers there."""
    ox, oy, _, dx, dy, _ = _ray(g, fx, fy, extent)
    u, v = (ox + t * dx) * inverse, (oy + t * dy) * inverse
    if extent is None:
        # The point's coordinates divided by depth are linear in the pixel, and so is the inverse of depth.
        down, spread = -ONE / g[2], t
        wx, wy = down * g[8], down * g[11]
        ux, uy = (g[0] * wx + g[6]) * inverse - u * wx, (g[0] * wy + g[9]) * inverse - u * wy
        vx, vy = (g[1] * wx + g[7]) * inverse - v * wx, (g[1] * wy + g[10]) * inverse - v * wy
    else:
        down, spread = -ONE / g[5], ONE
        tx, ty = down * g[8], down * g[11]
        ux, uy = (g[6] + tx * g[3]) * inverse, (g[9] + ty * g[3]) * inverse
        vx, vy = (g[7] + tx * g[4]) * inverse, (g[10] + ty * g[4]) * inverse
    fu, fv = textures.NARROW + spread * (abs(ux) + abs(uy)), textures.NARROW + spread * (abs(vx) + abs(vy))
    return u, v, fu, fv


@numba.njit(**INLINE)
def _flat_mix(texture, u, v, fu, fv):
    """How much of its second colour a plane shows."""
    if texture == chunks.CHECKER:
        return textures.flat_checker(u, v, fu, fv)
    if texture == chunks.STRIPES:
        return textures.stripes(u, fu)
    if texture == chunks.BRICKS:
        return textures.flat_bricks(u, v, fu, fv)
    return textures.flat_noise(u, v, fu, fv)


@numba.njit(**INLINE)
def _solid_mix(texture, u, v, w, fu, fv, fw):
    """How much of its second colour another solid shows."""
    if texture == chunks.CHECKER:
        return textures.checker(u, v, w, fu, fv, fw)
    if texture == chunks.STRIPES:
        return textures.stripes(u, fu)
    if texture == chunks.BRICKS:
        return textures.bricks(u, v, w, fu, fv, fw)
    return textures.noise(u, v, w, fu, fv, fw)


@numba.njit(**LOOP)
def colour(texture, kind, g, look, step, fx, fy, t, nx, ny, nz, extent, sums, places, seen, forest):
    """Red, green and blue, before light, of what a pixel sees of a solid at depth `t`; `seen` is scratch."""
    if texture == 0:
        return look[4], look[5], look[6]
    if texture >= chunks.IMAGE:
        picture = texture - chunks.IMAGE
        if _unwrapped(kind, g, look, step, fx, fy, nx, ny, nz, extent, picture, seen, forest):
            return look[4] * np.float32(seen[0]), look[5] * np.float32(seen[1]), look[6] * np.float32(seen[2])
    flat = kind == PLANE
    inverse = ONE / look[3]
    if flat:
        u, v, fu, fv = _flat_point(g, fx, fy, t, inverse, extent)
        w, fw = v, fv
    else:
        ox, oy, oz, dx, dy, dz = _ray(g, fx, fy, extent)
        px, py, pz, spread = ox + t * dx, oy + t * dy, oz + t * dz, _spread(t, extent)
        u, v, w, fu, fv, fw = textures.solid_point(px, py, pz, dx, dy, dz, nx, ny, nz, spread, inverse, step)
    if texture >= chunks.IMAGE:
        pictures.show(flat, nx, ny, nz, u, v, w, fu, fv, fw, sums, places[texture - chunks.IMAGE], seen)
        return look[4] * np.float32(seen[0]), look[5] * np.float32(seen[1]), look[6] * np.float32(seen[2])
    mix = _flat_mix(texture, u, v, fu, fv) if flat else _solid_mix(texture, u, v, w, fu, fv, fw)
    red, green, blue = look[7] - look[4], look[8] - look[5], look[9] - look[6]
    return look[4] + mix * red, look[5] + mix * green, look[6] + mix * blue


@numba.njit(**LOOP)
def light_on(fx, fy, t, k, nx, ny, nz, n, shadows, kind, look, geometry, lights, air, extent, forest):
    """Red, green and blue light on the point of solid `k` that a pixel sees at depth `t`."""
    red, green, blue = air[0], air[1], air[2]
    ox, oy, oz, dx, dy, dz = _ray(geometry[k], fx, fy, extent)
    for m in range(len(lights)):
        at, is_sun = FIXED + 3 * m, lights[m, 6] != ZERO
        lx, ly, lz = geometry[k, at], geometry[k, at + 1], geometry[k, at + 2]
        if is_sun:
            lit = max(nx * lx + ny * ly + nz * lz, ZERO)
        else:
            rx, ry, rz = lx - ox - t * dx, ly - oy - t * dy, lz - oz - t * dz
            lit = surfaces.squareness(nx, ny, nz, rx, ry, rz)
        if (
            shadows
            and lights[m, 7] != ZERO
            and lit > ZERO
            and shaded(fx, fy, t, k, nx, ny, nz, n, m, is_sun, kind, look, geometry, len(lights), extent, forest)
        ):
            lit = ZERO
        red, green, blue = red + lit * lights[m, 3], green + lit * lights[m, 4], blue + lit * lights[m, 5]
    return red, green, blue


@numba.njit(**INLINE)
def _fade(c, t, air, channel):
    """A byte of a channel, faded into the sky by the fog at depth `t`."""
    f = min(max((t - air[6]) / (air[7] - air[6]), ZERO), ONE)
    return _byte(np.float32(c) + f * (min(air[3 + channel], ONE) * chunks.MOST - np.float32(c)))


@numba.njit(**INLINE)
def _byte(c):
    """A channel, from 0 to 255, as the nearest byte."""
    return np.int32(min(c + chunks.ROUND, chunks.LIMIT))


@numba.njit(**LOOP)
def draw_pixel(
    rgb, depth, ids, x, y, chosen, n_chosen, listed, n, kind, texture, look, geometry, lights, air,
    step, extent, ratio, shadows, painted, measured, sums, places, seen, forest,
):  # fmt: skip
    """One pixel of a picture: the arrays are those of its camera and scene.

    Args:
        rgb: h w 3, to be written where `painted`.
        depth: h w, to be written where `measured`, as is the next.
        ids: h w.
        x: Column.
        y: Row.
        chosen: Solids that the tile may see.
        n_chosen: How many those are, or all.
        listed: Whether they are in `chosen`.
        n: Solids of the scene.
        kind: k.
        texture: k.
        look: k 10.
        geometry: k, 13 + 3 l.
        lights: l 8.
        air: Ambient light (3), sky (3), where fog begins and ends.
        step: Change of a ray, or of its origin, from finer pixel to finer pixel.
        extent: None for a pinhole.
        ratio: Finer pixels each way.
        shadows: Whether there are any.
        painted: Whether anybody looks at the colours.
        measured: Whether anybody looks at depth or ids.
        sums: Of `pictures.table`, as is the next.
        places: p 3.
        seen: Scratch, float64, 3.
        forest: Scratch and the trees of all meshes; see `geometry.trees.Forest`. None: there are no meshes.
    """
    # First the ray through the pixel's centre, where it is not one of the finer ones, for depth and ids.
    apart = 1 if painted and measured and ratio > 1 else 0
    turns = ratio * ratio + apart if painted else 1
    half, most = np.float32(0.5) * np.float32(ratio - 1), chunks.MOST
    red, green, blue = np.int32(0), np.int32(0), np.int32(0)
    for turn in range(turns):
        ray = turn - apart
        fx, fy = np.float32(x * ratio) + half, np.float32(y * ratio) + half
        if turns > 1 and ray >= 0:
            fx, fy = np.float32(x * ratio + ray % ratio), np.float32(y * ratio + ray // ratio)
        t, k, nx, ny, nz = nearest(fx, fy, chosen, n_chosen, listed, kind, look, geometry, step, extent, forest)
        if turn == 0 and measured:
            depth[y, x], ids[y, x] = t, k
        if not painted or ray < 0:
            continue
        if k < 0:
            r, g, b = air[3] * most, air[4] * most, air[5] * most
        else:
            cr, cg, cb = colour(
                texture[k],
                kind[k],
                geometry[k],
                look[k],
                step,
                fx,
                fy,
                t,
                nx,
                ny,
                nz,
                extent,
                sums,
                places,
                seen,
                forest,
            )
            r, g, b = light_on(fx, fy, t, k, nx, ny, nz, n, shadows, kind, look, geometry, lights, air, extent, forest)
            r, g, b = cr * most * r, cg * most * g, cb * most * b
        r, g, b = _byte(r), _byte(g), _byte(b)
        if air[7] > air[6]:
            r, g, b = _fade(r, t, air, 0), _fade(g, t, air, 1), _fade(b, t, air, 2)
        red, green, blue = np.int32(red + r), np.int32(green + g), np.int32(blue + b)
    if painted:
        share = ONE / np.float32(ratio * ratio)
        rgb[y, x, 0] = np.uint8(np.float32(red) * share + chunks.ROUND)
        rgb[y, x, 1] = np.uint8(np.float32(green) * share + chunks.ROUND)
        rgb[y, x, 2] = np.uint8(np.float32(blue) * share + chunks.ROUND)
