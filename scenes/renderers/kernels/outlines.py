"""Which pixels a solid, or a shadow, may cover: scalar geometry, once per solid and frame, in float64.

A block is `WIDE` neighbouring pixels of a row, given by the column and row of its first one.
"""

import math

import numba
import numpy as np

from scenes.renderers.kernels import lanes
from scenes.renderers.kernels.surfaces import INF, LOOP, ZERO

WIDE = 16
SEAM = 1e-4
"""Pixels by which planes reach over their edges, so that no crack opens between a wall and the floor."""
PLANE, BOX, SPHERE, CAPSULE, CYLINDER, CONE, ELLIPSOID, TORUS, MESH = range(9)
# Here a kind from MESH on is a mesh of number kind - MESH, and its size is how far it reaches along its axes.
NEAR = 1e-3
"""Metres before the camera from which on things are projected to find their rectangle."""
UNSEEN, NEARER = np.float32(1e30), np.float32(1 - 1e-5)
"""A depth where nothing is drawn yet, at most; and what rounding leaves of one, at least."""
UNBOUNDED = 1e6
"""Half extent in metres of a plane that has none."""


@numba.njit(**LOOP)
def axes(quaternion):
    """Columns of the rotation matrix of a unit quaternion: the turned x, y and z axes."""
    w, x, y, z = float(quaternion[0]), float(quaternion[1]), float(quaternion[2]), float(quaternion[3])
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)),
        (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)),
        (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)),
    )


@numba.njit(**LOOP)
def dot(a, b):
    """Dot product of two triples."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@numba.njit(**LOOP)
def place(g, position, rotation, eye, view, height, width, step, lights, extent):
    """Write what one solid needs to know, in its own axes, into `g`.

    Numbers 0 to 2: the eye; 3 to 5: the ray of pixel 0 0, of length 1 along the camera's axis; 6 to 8 and 9 to 11: its
    change per column and per row; then three for each light: where it is, or for a sun the direction towards it.
    An orthographic camera has all its rays along 3 to 5, its eye at pixel 0 0, and another one for each pixel: 6 to 11
    are the change of that.

    Args:
        g: Float32, 12 + 3 l.
        position: Of the solid.
        rotation: Of the solid.
        eye: The camera's place.
        view: The camera's axes: right, up, backwards.
        height: Rows of the picture.
        width: Columns of the picture.
        step: Change of a ray from pixel to pixel.
        lights: l 8: place or direction, colour, whether a sun, whether it casts shadows.
        extent: Metres of height that an orthographic camera sees; None for a pinhole, here and everywhere.
    """
    right, up, back = view
    x0, y0 = (0.5 - width / 2) * step, (height / 2 - 0.5) * step
    offset = (eye[0] - position[0], eye[1] - position[1], eye[2] - position[2])
    own = axes(rotation)
    for i in range(3):
        axis = own[i]
        across, upward = dot(axis, right), dot(axis, up)
        if extent is None:
            g[i] = dot(axis, offset)
            g[3 + i] = x0 * across + y0 * upward - dot(axis, back)
        else:
            g[i] = dot(axis, offset) + x0 * across + y0 * upward
            g[3 + i] = -dot(axis, back)
        g[6 + i] = step * across
        g[9 + i] = -step * upward
        for k in range(len(lights)):
            light = (lights[k, 0], lights[k, 1], lights[k, 2])
            if lights[k, 6] == 0:
                light = (light[0] - position[0], light[1] - position[1], light[2] - position[2])
            g[12 + 3 * k + i] = dot(axis, light)


@numba.njit(**LOOP)
def plane_blocks(g, hx, hy, height, width, stride, blocks, edge, spans, extent, depth, hidden):
    """List the blocks of a plane; returns how many. Rows of `blocks`: column, row, and the columns from which on and
    before which the plane is seen. If `hidden`, without those in which all that is drawn so far is nearer.

    Divided by the height of the eye over the plane, everything is linear in the pixel: a point lies within the plane's
    edges where five linear functions of it are not negative, so each row sees one interval of columns. To an
    orthographic camera everything is linear as it is.
    """
    eye = float(g[2]) if extent is None else -float(g[5])
    if eye <= 0:
        return 0
    top, bottom = _rows_of_rectangle(g, hx, hy, height, width, extent)
    if top > bottom:
        return 0
    for i in range(3):  # constant, per column, per row
        if extent is None:
            w = -float(g[5 + 3 * i]) / eye
            u, v, one = g[0] * w + g[3 + 3 * i], g[1] * w + g[4 + 3 * i], w
        else:
            at, one = (3 + 3 * i, 0.0) if i else (0, 1.0)
            w = float(g[at + 2]) / eye
            u, v = g[at] + w * g[3], g[at + 1] + w * g[4]
        edge[i, 0], edge[i, 1], edge[i, 2] = w, hx * one + u, hx * one - u
        edge[i, 3], edge[i, 4] = hy * one + v, hy * one - v
    nearness = np.float32(edge[0, 0]), np.float32(edge[1, 0]), np.float32(edge[2, 0])
    edge[0, 0] -= 1e-6  # not beyond a thousand kilometres
    hidden = hidden and extent is None
    return _blocks_within(edge, 5, top, bottom, height, width, stride, blocks, spans, depth, nearness, hidden)


@numba.njit(**LOOP)
def box_blocks(g, size, height, width, stride, step, blocks, edge, spans, depth, near):
    """The same of a box, no part of which is nearer than `near`, before a pinhole outside of it.

    Its outline is made of the edges between a face that is turned towards the eye and one that is not. The plane
    through the eye and such an edge has the box on one side, and how far a ray keeps to that side is linear in the pixel.
    """
    _, top, _, bottom = solid_window(g, BOX, size, height, width, step, None)
    if top > bottom:
        return 0
    n = 0
    for axis in range(3):  # along which an edge lies
        i, j = (axis + 1) % 3, (axis + 2) % 3
        x, y, hx, hy = float(g[i]), float(g[j]), float(size[i]), float(size[j])
        for corner in range(4):
            u, v = -hx if corner & 1 else hx, -hy if corner & 2 else hy
            if ((x < u) if corner & 1 else (x > u)) != ((y < v) if corner & 2 else (y > v)):
                u, v = u - x, v - y
                if u * y < v * x:
                    u, v = -u, -v
                for k in range(3):  # constant, per column, per row
                    edge[k, n] = v * g[3 + 3 * k + i] - u * g[3 + 3 * k + j]
                n += 1
    if n == 0:
        return 0
    nearness = np.float32(1 / near) if near > 0 else INF, ZERO, ZERO
    return _blocks_within(edge, n, top, bottom, height, width, stride, blocks, spans, depth, nearness, True)


@numba.njit(**LOOP)
def _blocks_within(edge, count, top, bottom, height, width, stride, blocks, spans, depth, nearness, hidden):
    """List the blocks of these rows in which so many linear functions of the pixel are not negative; if `hidden`, without
    those in which `depth` is everywhere less than what `nearness`, a bound on its inverse and linear in the pixel, allows."""
    y0, y1 = float(top), float(bottom)
    for k in range(count):
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
            edge[0, k], edge[1, k], edge[2, k] = -1e30, 1, 0
        else:
            edge[0, k], edge[1, k], edge[2, k] = -constant / column, column, -row / column
    first, low, high = math.ceil(y0), spans[0], spans[1]
    rows = np.uintp(max(math.floor(y1) + 1 - first, 0))
    for i in range(rows):
        low[i], high[i] = -SEAM, width - 1 + SEAM
    for k in range(count):
        constant, row = edge[0, k] + edge[2, k] * first, edge[2, k]
        if edge[1, k] < 0:
            for i in range(rows):
                high[i] = lanes.lesser(high[i], constant + row * np.float64(np.int32(i)) + SEAM)
        else:
            for i in range(rows):
                low[i] = lanes.greater(low[i], constant + row * np.float64(np.int32(i)) - SEAM)
    n = 0
    for i in range(rows):
        if low[i] <= high[i]:
            x, end, y = math.ceil(low[i]), math.floor(high[i]) + 1, first + np.int64(i)
            while x < end:
                left, seen = min(x, stride - WIDE), True
                at = np.uintp(y * stride + left)
                if hidden and not lanes.any_over(depth, at, UNSEEN):
                    most, dx, dy = nearness
                    most += np.float32(left) * dx + np.float32(y) * dy + max(dx * np.float32(WIDE - 1), ZERO)
                    seen = most > ZERO and lanes.any_over(depth, at, NEARER / most)
                if seen:
                    blocks[0, n], blocks[1, n], blocks[2, n], blocks[3, n] = left, y, x, end
                    n += 1
                x += WIDE
    return n


@numba.njit(**LOOP)
def _rows_of_rectangle(g, hx, hy, height, width, extent):
    """First and last row that may see a rectangle in a plane, from its corners; none if it lies outside the picture."""
    # The camera's axes, times squares of the ray's steps, which matter to no comparison with zero.
    eye, ahead = middle(g, height, width, extent)
    across, down = (float(g[6]), float(g[7]), float(g[8])), (float(g[9]), float(g[10]), float(g[11]))
    square = dot(across, across)
    left, right, above, below, near, behind = 0, 0, 0, 0, 0, 0
    y0, y1 = 1e30, -1e30
    for corner in range(4):
        place = ((hx if corner & 1 else -hx) - eye[0], (hy if corner & 2 else -hy) - eye[1], -eye[2])
        z = dot(ahead, place) if extent is None else 1.0
        x, y = dot(across, place) / square, dot(down, place) / square
        left += x < -0.5 * width * z
        right += x > 0.5 * width * z
        above += y < -0.5 * height * z
        below += y > 0.5 * height * z
        behind += z <= 0
        near += z < NEAR
        if z >= NEAR:
            y0, y1 = min(y0, y / z), max(y1, y / z)
    if left == 4 or right == 4 or above == 4 or below == 4 or behind == 4:
        return 0, -1
    if near > 0:
        return 0, height - 1
    half = 0.5 * height - 0.5
    return max(0, math.ceil(max(y0 + half, 0.0) - SEAM)), math.floor(min(y1 + half, height - 1.0) + SEAM)


@numba.njit(**LOOP)
def middle(g, height, width, extent):
    """Origin and direction of the ray through the middle of the picture."""
    columns, rows, at = 0.5 * width - 0.5, 0.5 * height - 0.5, 3 if extent is None else 0
    moved = (
        float(g[at]) + columns * g[6] + rows * g[9],
        float(g[at + 1]) + columns * g[7] + rows * g[10],
        float(g[at + 2]) + columns * g[8] + rows * g[11],
    )
    if extent is None:
        return (float(g[0]), float(g[1]), float(g[2])), moved
    return moved, (float(g[3]), float(g[4]), float(g[5]))


@numba.njit(**LOOP)
def reach_along(kind, size, x, y, z):
    """How far a solid reaches from its middle along a unit direction in its own axes."""
    a, b, c = float(size[0]), float(size[1]), float(size[2])
    if kind == BOX or kind >= MESH:
        return abs(x) * a + abs(y) * b + abs(z) * c
    if kind == SPHERE:
        return a
    if kind == ELLIPSOID:
        return math.sqrt(x * x * a * a + y * y * b * b + z * z * c * c)
    if kind == CAPSULE:
        return a + abs(z) * b
    flat = math.sqrt(x * x + y * y)
    if kind == TORUS:
        return flat * a + b
    if kind == CONE:
        return max(z * b, flat * a - z * b)
    return flat * a + abs(z) * b


@numba.njit(**LOOP)
def solid_window(g, kind, size, height, width, step, extent):
    """The screen rectangle around a solid: first column, row, last column, row; empty where it cannot be seen."""
    s = 1 / step
    eye, ahead = middle(g, height, width, extent)
    across, up = (g[6] * s, g[7] * s, g[8] * s), (-g[9] * s, -g[10] * s, -g[11] * s)
    x0, x1 = _interval(kind, size, across, ahead, eye, extent)
    y0, y1 = _interval(kind, size, up, ahead, eye, extent)
    if x0 > x1:
        return 0, 0, -1, -1
    return columns_and_rows(x0, x1, y0, y1, height, width, s)


@numba.njit(**LOOP)
def nearest(g, kind, size, height, width, extent):
    """A depth before which nothing of a solid lies."""
    eye, ahead = middle(g, height, width, extent)
    near = -dot(ahead, eye) - reach_along(kind, size, -ahead[0], -ahead[1], -ahead[2])
    return near - 1e-5 * abs(near) - 1e-6


@numba.njit(**LOOP)
def solid_blocks(g, kind, size, height, width, stride, step, blocks, extent, depth, near):
    """List the blocks of the screen rectangle around a solid in which it may be seen; returns how many.

    Those are not in which all that is drawn so far is nearer than `near`.
    """
    left, top, last, bottom = solid_window(g, kind, size, height, width, step, extent)
    n, limit = 0, np.float32(near)
    for y in range(top, bottom + 1):
        for x in range(left, last + 1, WIDE):
            x = min(x, stride - WIDE)
            if lanes.any_over(depth, np.uintp(y * stride + x), limit):
                blocks[0, n], blocks[1, n] = x, y
                n += 1
    return n


@numba.njit(**LOOP)
def _interval(kind, size, axis, ahead, eye, extent):
    """Bounds of what a solid covers along one axis of the picture plane at distance 1; (1, -1) if it is behind.

    Exact up to the corners of the rectangle around it in the plane of that axis and the camera's: the solid's reach
    along both bounds it, seen from the eye.
    """
    z = -dot(ahead, eye)
    far = z + reach_along(kind, size, ahead[0], ahead[1], ahead[2])
    near = z - reach_along(kind, size, -ahead[0], -ahead[1], -ahead[2])
    if far < NEAR:
        return 1.0, -1.0
    x = -dot(axis, eye)
    high = x + reach_along(kind, size, axis[0], axis[1], axis[2])
    low = x - reach_along(kind, size, -axis[0], -axis[1], -axis[2])
    if extent is None and near < NEAR:
        # What reaches past the camera, but lies to one side of its axis, is on that side of the picture.
        return low / far if low > 0 else -1e6, high / far if high < 0 else 1e6
    if extent is not None:
        return low, high
    return min(low / near, low / far), max(high / near, high / far)


@numba.njit(**LOOP)
def columns_and_rows(x0, x1, y0, y1, height, width, s):
    """First column and row, last column and row whose pixel centres lie in a rectangle of the picture plane."""
    x0, x1 = x0 * s + width / 2 - 0.5 - SEAM, x1 * s + width / 2 - 0.5 + SEAM
    y0, y1 = height / 2 - 0.5 - y1 * s - SEAM, height / 2 - 0.5 - y0 * s + SEAM
    left, top = math.ceil(min(max(x0, 0.0), 1e6)), math.ceil(min(max(y0, 0.0), 1e6))
    return left, top, math.floor(max(min(x1, width - 1.0), -1.0)), math.floor(max(min(y1, height - 1.0), -1.0))


@numba.njit(**LOOP)
def reach_of(kind, size):
    """Radius of the sphere around a solid."""
    a, b, c = float(size[0]), float(size[1]), float(size[2])
    if kind == SPHERE:
        return a
    if kind == ELLIPSOID:
        return max(max(a, b), c)
    if kind in (CAPSULE, TORUS):
        return a + b
    if kind == BOX or kind >= MESH:
        return math.sqrt(a * a + b * b + c * c)
    return math.sqrt(a * a + b * b)


@numba.njit(**LOOP)
def shadow_of_ball(light, is_sun, centre, reach):
    """Bounds, along x and y, of a sphere's shadow on the plane z = 0, whose front is lit; (1, -1, 1, -1): there is none."""
    if centre[2] + reach < 0 or (not is_sun and centre[2] - reach > light[2]):
        return 1e30, -1e30, 1e30, -1e30
    if is_sun:
        slope_x, slope_y = light[0] / light[2], light[1] / light[2]
        u, v = centre[0] - centre[2] * slope_x, centre[1] - centre[2] * slope_y
        du, dv = reach * math.sqrt(1 + slope_x * slope_x), reach * math.sqrt(1 + slope_y * slope_y)
        return u - du, u + du, v - dv, v + dv
    if centre[2] + reach > 0.999 * light[2]:
        return -1e30, 1e30, -1e30, 1e30
    u0, u1, v0, v1 = 1e30, -1e30, 1e30, -1e30
    for end in range(4):
        px, py = centre[0] + (reach if end & 1 else -reach), centre[1] + (reach if end & 1 else -reach)
        pz = centre[2] + (reach if end & 2 else -reach)
        t = pz / (light[2] - pz)
        u, v = px + t * (px - light[0]), py + t * (py - light[1])
        u0, u1, v0, v1 = min(u0, u), max(u1, u), min(v0, v), max(v1, v)
    return u0, u1, v0, v1


@numba.njit(**LOOP)
def shadow_of_solid(sun, centre, own, kind, size, rotation):
    """The same of a solid in the sun, exactly; `own` are the axes of the plane, and `rotation` is the solid's."""
    turned = axes(rotation)
    slope_x, slope_y = sun[0] / sun[2], sun[1] / sun[2]
    u0, u1 = _span(kind, size, own[0], own[2], slope_x, turned)
    v0, v1 = _span(kind, size, own[1], own[2], slope_y, turned)
    u, v = centre[0] - centre[2] * slope_x, centre[1] - centre[2] * slope_y
    return u - u0, u + u1, v - v0, v + v1


@numba.njit(**LOOP)
def _span(kind, size, along, up, slope, turned):
    """How far a shadow reaches to both sides of its solid's middle's, along one axis of a plane."""
    long = math.sqrt(1 + slope * slope)
    way = (along[0] - slope * up[0], along[1] - slope * up[1], along[2] - slope * up[2])
    x, y, z = dot(turned[0], way) / long, dot(turned[1], way) / long, dot(turned[2], way) / long
    slack = 1e-5 * long
    return long * reach_along(kind, size, -x, -y, -z) + slack, long * reach_along(kind, size, x, y, z) + slack


@numba.njit(**LOOP)
def rectangle_on_plane(g, u0, u1, v0, v1, height, width, step, extent):
    """The screen rectangle of a rectangle on a plane: first column, row, last column, row; empty if that is.

    Args:
        g: Of the plane, as `place` made it.
        u0: First x, in the plane's axes.
        u1: Last x.
        v0: First y.
        v1: Last y.
        height: Rows of the picture.
        width: Columns of the picture.
        step: Change of a ray from pixel to pixel.
        extent: Of an orthographic camera, or None.
    """
    if u0 > u1 or v0 > v1:
        return 0, 0, -1, -1
    s = 1 / step
    x0, x1, y0, y1 = 1e30, -1e30, 1e30, -1e30
    eye, ahead = middle(g, height, width, extent)
    for corner in range(4):
        px, py, pz = (u1 if corner & 1 else u0) - eye[0], (v1 if corner & 2 else v0) - eye[1], -eye[2]
        z = ahead[0] * px + ahead[1] * py + ahead[2] * pz if extent is None else 1.0
        if z < NEAR:
            return 0, 0, width - 1, height - 1
        x = (g[6] * px + g[7] * py + g[8] * pz) * s / z
        y = -(g[9] * px + g[10] * py + g[11] * pz) * s / z
        x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
    return columns_and_rows(x0, x1, y0, y1, height, width, s)


@numba.njit(**LOOP)
def may_shade(light, is_sun, centre, reach, receiver):
    """Whether a sphere at `centre` may come between a light and a solid of radius `receiver`, with that one in the middle."""
    square = dot(light, light)
    along = dot(light, centre) / square
    along = max(along, 0.0) if is_sun else min(max(along, 0.0), 1.0)
    x, y, z = centre[0] - along * light[0], centre[1] - along * light[1], centre[2] - along * light[2]
    return x * x + y * y + z * z < (reach + receiver) * (reach + receiver)
