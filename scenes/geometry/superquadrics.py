"""Superquadrics (Barr, "Superquadrics and angle-preserving transformations", 1981): exact distance, points, meshes.

    (|x/a|^(2/east) + |y/b|^(2/east))^(east/north) + |z/c|^(2/north) = 1

with exponents from 0.2 to 1.8: below 1 boxes with round edges, 1 an ellipsoid, above 1 pinched towards octahedra. All are
convex. All lie in their own axes, their middle at the origin, in float64.

Why not the function above: it is no distance. The nearest point of the surface is looked for instead: it lies in the
octant of the point itself, since all eight are alike. From every local minimum of a grid the search goes downhill by
Newton's method; where that does not settle (curvature is infinite at a pinched rim), by values alone, until a step is a
billionth of the octant. Outside there is one minimum, since the solid is convex; inside, one for each wall.
"""

import functools

import numpy as np
from jaxtyping import Bool, Float, Float64, Int32

import scenes

GRID = 16
"""Cells each way of an octant where the search begins."""
STARTS = 4
"""Most local minima that are followed."""
SEGMENTS = 12
"""Of a mesh, in a quarter of a turn."""
_CHUNK, _MOST, _NEWTON = 4096, 200, 20
_NUDGE = 0.08
"""Begin so far from the ends of an octant, where every slope is nothing, whether the distance is least there or not."""
_STENCIL = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)], np.float64)


def distance(
    size: Float[np.ndarray, "b 3"], exponent: Float[np.ndarray, "b 2"], points: Float[np.ndarray, "b n 3"]
) -> Float64[np.ndarray, "b n"]:
    """Signed distance to the surfaces in the unit of `size`, positive outside, to about 1e-8 of it.

    Args:
        size: Half axes a, b, c.
        exponent: `north` and `east`.
        points: Where.
    """
    size, exponent = np.asarray(size, np.float64), np.asarray(exponent, np.float64)
    found = np.empty(points.shape[:2])
    within, points = inside(size, exponent, points), np.abs(np.asarray(points, np.float64))
    for i in range(len(points)):
        for begin in range(0, points.shape[1], _CHUNK):
            some = slice(begin, begin + _CHUNK)
            found[i, some] = _distance(size[i], exponent[i], points[i, some], within[i, some])
    return np.where(within, -found, found)


def inside(
    size: Float[np.ndarray, "b 3"], exponent: Float[np.ndarray, "b 2"], points: Float[np.ndarray, "b n 3"]
) -> Bool[np.ndarray, "b n"]:
    """Which points lie within, by the implicit function."""
    north, east = (np.asarray(exponent, np.float64)[:, None, i] for i in (0, 1))
    x, y, z = np.moveaxis(np.abs(points) / np.asarray(size)[:, None], -1, 0)
    return (x ** (2 / east) + y ** (2 / east)) ** (east / north) + z ** (2 / north) < 1


def _distance(size: np.ndarray, exponent: np.ndarray, points: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Of points of one solid, all in its first octant: how far the nearest point of its surface is."""
    line = np.linspace(0, 1, GRID + 1)
    # The last row lies just short of the pole, where all of it would be one point, and would not tell whereto from there.
    north = np.append(line[:-1], 1 - 0.25 / GRID)
    near = np.stack(np.meshgrid(north, line, indexing="ij"), -1).reshape(-1, 2)
    at = octant(size, exponent, near)[0]
    value = 2 * points @ at.T - (at**2).sum(1)
    row, start = np.flatnonzero(~within), value[~within].argmax(1)
    if within.any():
        peaks, place = _peaks(value[within])
        row, start = np.concatenate([row, np.flatnonzero(within)[peaks]]), np.concatenate([start, place])
    found = np.full(len(points), np.inf)
    np.minimum.at(found, row, _descend(size, exponent, points[row], near[start]))
    return np.sqrt(found)


def _peaks(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and places of the greatest local maxima of values over the grid, `STARTS` a row at most."""
    grid = value.reshape(-1, GRID + 1, GRID + 1)
    edge = np.pad(grid, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    # The greatest of three along one way, then of three of those along the other: of nine.
    most = np.maximum(np.maximum(edge[:, :-2], edge[:, 1:-1]), edge[:, 2:])
    most = np.maximum(np.maximum(most[:, :, :-2], most[:, :, 1:-1]), most[:, :, 2:])
    row, place = np.nonzero((grid >= most).reshape(len(value), -1))
    order = np.lexsort((-value[row, place], row))
    row, place = row[order], place[order]
    first = np.searchsorted(row, np.arange(len(value)))
    keep = np.arange(len(row)) - first[row] < STARTS
    return row[keep], place[keep]


def _descend(size: np.ndarray, exponent: np.ndarray, points: np.ndarray, near: np.ndarray) -> np.ndarray:
    """The least square of a distance over the octant, downhill from `near`, for each of some points."""
    # With these coordinates (see `_curve`) what lies beyond the octant's ends is its mirror image: nothing bounds them.
    w = np.clip(np.arccos(1 - 2 * near) / np.pi, _NUDGE, 1 - _NUDGE)
    value, slope, bend = _terms(size, exponent, w, points)
    radius, settled = np.full(len(w), 1.0 / GRID), np.zeros(len(w), bool)
    active = np.arange(len(w))
    for _ in range(_NEWTON):
        here, g, (xx, xy, yy) = w[active], slope[:, active], bend[:, active]
        middle, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
        lift = np.maximum(1e-12 * (np.abs(middle) + spread) + 1e-16 - (middle - spread), 0)
        xx, yy = xx + lift, yy + lift
        det = xx * yy - xy * xy
        det = np.where(det > 0, det, 1)
        step = np.stack([xy * g[1] - yy * g[0], xy * g[0] - xx * g[1]], 1) / det[:, None]
        far = np.abs(step).max(1)
        step *= np.minimum(1, radius[active] / np.maximum(far, 1e-300))[:, None]
        guess, moved = here + step, np.abs(step).max(1)
        there, g, h = _terms(size, exponent, guess, points[active])
        better = there <= value[active]
        rows = active[better]
        w[rows], value[rows], slope[:, rows], bend[:, rows] = guess[better], there[better], g[:, better], h[:, better]
        radius[active] = np.where(better, np.maximum(radius[active], 2 * moved), moved / 4)
        # A full step as small as this leaves an error of its square.
        settled[active] = (far < 1e-7) & (far <= radius[active] * 8)
        active = active[~settled[active]]
        if not len(active):
            return 2 * value
    found = 2 * value
    found[active] = np.minimum(
        found[active], -_climb(size, exponent, points[active], np.sin(np.pi / 2 * w[active]) ** 2)
    )
    return found


def _terms(size: np.ndarray, exponent: np.ndarray, w: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, ...]:
    """Half the square of the distance from a point to a surface point, and its first and second derivatives."""
    (high, high1, high2), (flat, flat1, flat2) = _curve(w[:, 0], exponent[0])
    (along, along1, along2), (across, across1, across2) = _curve(w[:, 1], exponent[1])
    a, b, c = size
    x, y, z = a * flat * across - points[:, 0], b * flat * along - points[:, 1], c * high - points[:, 2]
    # By the first coordinate, by the second, and by both.
    xn, yn, zn = a * flat1 * across, b * flat1 * along, c * high1
    xe, ye = a * flat * across1, b * flat * along1
    slope = np.stack([x * xn + y * yn + z * zn, x * xe + y * ye])
    nn = xn * xn + yn * yn + zn * zn + (x * a * across + y * b * along) * flat2 + z * c * high2
    ee = xe * xe + ye * ye + (x * a * across2 + y * b * along2) * flat
    ne = xn * xe + yn * ye + (x * a * across1 + y * b * along1) * flat1
    return (x * x + y * y + z * z) / 2, slope, np.stack([nn, ne, ee])


def _curve(w: np.ndarray, exponent: float) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """The u and v of `_arc`, which are t and 1 - t over (t^p + (1 - t)^p)^(1/p), each with two derivatives by w.

    By t itself the curvature of what is pinched is infinite at the ends; t = sin(pi w / 2)^2 makes it finite.
    """
    angle = np.pi / 2 * w
    sin, cos = np.sin(angle), np.cos(angle)
    p, t, r = 2 / exponent, np.maximum(sin * sin, 1e-30), np.maximum(cos * cos, 1e-30)
    t1, t2 = np.pi * sin * cos, np.pi**2 / 2 * (r - t)
    a2, b2 = t ** (p - 2), r ** (p - 2)
    a1, b1 = a2 * t, b2 * r
    total = a1 * t + b1 * r
    norm = total ** (-1 / p)
    one = norm / total
    two = -(p + 1) * (a1 - b1) * one / total
    by_t = b1 * one, -a1 * one
    bent = b1 * two - (p - 1) * b2 * one, -a1 * two - (p - 1) * a2 * one
    return tuple((at, d * t1, dd * t1 * t1 + d * t2) for at, d, dd in zip((t * norm, r * norm), by_t, bent))


def _climb(size: np.ndarray, exponent: np.ndarray, points: np.ndarray, near: np.ndarray) -> np.ndarray:
    """The greatest value of `_closeness` over the octant, uphill from `near`, for each of some points.

    By nine values around a place, and a tenth where the parabola through them has its top: quick as Newton's method where
    that applies, and not led astray where curvature is infinite or nothing, as at a superquadric's rims.
    """
    closeness = lambda at, p: _closeness(size, exponent, at, p)
    step = np.full(len(points), 0.5 / GRID)
    best = closeness(near, points)
    near, active = near.copy(), np.arange(len(points))
    for _ in range(_MOST):
        p, middle, h = points[active], near[active], step[active]
        around = np.clip(middle[:, None] + _STENCIL * h[:, None, None], 0, 1)
        value = closeness(around, p[:, None])
        top = value.argmax(1)
        rows = np.arange(len(active))
        place, height = around[rows, top], value[rows, top]
        guess = np.clip(middle + h[:, None] * _top(value), 0, 1)
        there = closeness(guess, p)
        better = there > height
        place[better], height[better] = guess[better], there[better]
        moved = np.abs(place - middle).max(1)
        # A rise that rounding could be keeps nobody on the way.
        risen = height > best[active] * (1 - 1e-15)
        near[active[risen]], best[active[risen]] = place[risen], height[risen]
        step[active] = np.where(risen, np.clip(moved, 0.25 * h, 2 * h), 0.25 * h)
        active = active[step[active] > 1e-9]
        if not len(active):
            break
    return best


def _top(value: np.ndarray) -> np.ndarray:
    """Where the parabola through nine values on a grid of spacing 1 has its top, or on the way there, not too far."""
    v = value.reshape(-1, 3, 3)
    gx, gy = (v[:, 2, 1] - v[:, 0, 1]) / 2, (v[:, 1, 2] - v[:, 1, 0]) / 2
    xx, yy = v[:, 2, 1] + v[:, 0, 1] - 2 * v[:, 1, 1], v[:, 1, 2] + v[:, 1, 0] - 2 * v[:, 1, 1]
    xy = (v[:, 2, 2] - v[:, 2, 0] - v[:, 0, 2] + v[:, 0, 0]) / 4
    det = xx * yy - xy * xy
    safe = np.where(np.abs(det) > 1e-300, det, 1)
    top = np.stack([xy * gy - yy * gx, xy * gx - xx * gy], 1) / safe[:, None]
    # Shortened, and not clipped: along a narrow ridge only the right direction leads upwards.
    top = top * np.minimum(1, 8 / np.maximum(np.abs(top).max(1), 1e-300))[:, None]
    return np.where((np.abs(det) > 1e-300)[:, None], top, 0)


def _closeness(size: np.ndarray, exponent: np.ndarray, near: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Minus the squares of distances from points to surface points."""
    return -((points - octant(size, exponent, near)[0]) ** 2).sum(-1)


def octant(
    size: Float64[np.ndarray, "*s 3"], exponent: Float64[np.ndarray, "*t 2"], near: Float64[np.ndarray, "*u 2"]
) -> tuple[Float64[np.ndarray, "*v 3"], Float64[np.ndarray, "*v 3"]]:
    """Surface points and unit normals of the first octant, from two coordinates in [0, 1]: from the equator (0) to the
    pole (1), and from x (0) to y (1). Points move evenly with them, but normals do not: near the rim of what is pinched
    they turn without end."""
    north, east = exponent[..., 0], exponent[..., 1]
    high, flat, high_n, flat_n = _arc(near[..., 0], north)
    along, across, along_n, across_n = _arc(near[..., 1], east)
    at = np.stack([flat * across, flat * along, high], -1) * size
    normal = np.stack([flat_n * across_n, flat_n * along_n, high_n], -1) / size
    return at, normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def _arc(t: np.ndarray, exponent: np.ndarray) -> tuple[np.ndarray, ...]:
    """A quarter of u^p + v^p = 1, p = 2 / exponent: u and v, and u^(p-1) and v^(p-1), along its normal; u grows with t."""
    p = 2 / exponent
    # Shares s and 1 - s of the sum, such that u goes with t itself where it is small, and so does v with 1 - t.
    a, b = t**p, (1 - t) ** p
    s, rest = a / (a + b), b / (a + b)
    return s ** (1 / p), rest ** (1 / p), s ** (1 - 1 / p), rest ** (1 - 1 / p)


@functools.cache
def _net(segments: int) -> tuple[np.ndarray, np.ndarray, Int32[np.ndarray, "f 3"]]:
    """Of a closed mesh: coordinates of its vertices in an octant, their signs, and faces, counter-clockwise from outside.

    Rows of vertices run from below upwards, each counter-clockwise from +x; then the lower and the upper pole.
    """
    turn = np.arange(4 * segments)
    quarter, part = np.divmod(turn, segments)
    share = part / segments
    around = np.where(quarter % 2 == 0, share, 1 - share)
    sx, sy = np.where((quarter == 0) | (quarter == 3), 1, -1), np.where(quarter < 2, 1, -1)
    rise = np.arange(1 - segments, segments) / segments
    rows = len(rise)
    near = np.stack([np.repeat(np.abs(rise), len(turn)), np.tile(around, rows)], 1)
    sign = np.stack([np.tile(sx, rows), np.tile(sy, rows), np.repeat(np.where(rise < 0, -1, 1), len(turn))], 1)
    near, sign = np.concatenate([near, [[1, 0], [1, 0]]]), np.concatenate([sign, [[1, 1, -1], [1, 1, 1]]])
    a = (np.arange(rows - 1)[:, None] * len(turn) + turn).ravel()
    b = (np.arange(rows - 1)[:, None] * len(turn) + np.roll(turn, -1)).ravel()
    c, d = b + len(turn), a + len(turn)
    last, low = (rows - 1) * len(turn), rows * len(turn)
    after = np.roll(turn, -1)
    faces = [(a, b, c), (a, c, d), (after, turn, np.full_like(turn, low))]
    faces.append((last + turn, last + after, np.full_like(turn, low + 1)))
    return near, sign.astype(np.float64), np.concatenate([np.stack(face, 1) for face in faces]).astype(np.int32)


def net(
    size: Float[np.ndarray, "b 3"], exponent: Float[np.ndarray, "b 2"], segments: int = SEGMENTS
) -> tuple[Float64[np.ndarray, "b v 3"], Float64[np.ndarray, "b v 3"], Int32[np.ndarray, "f 3"]]:
    """Closed meshes that share their faces: vertices, which lie on the surfaces, and the normals there."""
    near, sign, faces = _net(segments)
    size, exponent = np.asarray(size, np.float64)[:, None], np.asarray(exponent, np.float64)[:, None]
    at, normal = octant(size, exponent, near[None])
    return at * sign, normal * sign, faces


def meshes(size: Float[np.ndarray, "b 3"], exponent: Float[np.ndarray, "b 2"]) -> list[scenes.Mesh]:
    """One smooth mesh of each."""
    vertices, normals, faces = net(size, exponent)
    vertices, normals = vertices.astype(np.float32), normals.astype(np.float32)
    return [scenes.Mesh(v, faces, n[faces]) for v, n in zip(vertices, normals)]


def surface(
    size: Float[np.ndarray, "b 3"], exponent: Float[np.ndarray, "b 2"], u: Float[np.ndarray, "b n 3"]
) -> tuple[Float64[np.ndarray, "b n 3"], Float64[np.ndarray, "b n 3"]]:
    """Points on the surfaces and unit normals there, even by area (to some per cent), from numbers in [0, 1)."""
    size, exponent = np.asarray(size, np.float64)[:, None], np.asarray(exponent, np.float64)[:, None]
    line = np.linspace(0, 1, 4 * GRID + 1)
    near = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    at = octant(size, exponent, near[None])[0].reshape(len(size), len(line), len(line), 3)
    one, other = at[:, 1:, 1:] - at[:, :-1, :-1], at[:, 1:, :-1] - at[:, :-1, 1:]
    area = np.linalg.norm(np.cross(one, other), axis=-1).reshape(len(size), -1)
    share = np.cumsum(area, 1) / area.sum(1, keepdims=True)
    # The first number chooses an octant, then a cell by its area, and what is left of it is thrown away.
    octants, within = np.divmod(u[..., 0] * 8, 1)
    cell = np.stack([np.searchsorted(row, x, side="right") for row, x in zip(share, within)])
    cell = np.minimum(cell, area.shape[1] - 1)
    corner = np.stack(np.divmod(cell, len(line) - 1), -1)
    at, normal = octant(size, exponent, (corner + u[..., 1:]) / (len(line) - 1))
    sign = 1 - 2.0 * (octants[..., None].astype(np.int64) >> np.arange(3) & 1)
    return at * sign, normal * sign
