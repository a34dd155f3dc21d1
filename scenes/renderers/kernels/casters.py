"""Which solids may shade which: a tree of spheres around a scene's solids, and rectangles within which shadows fall.

The tree is a heap: node j lies around nodes 2 j and 2 j + 1, the root is 1, and leaves are the solids (planes cast no
shadows) in an order in which neighbours in it are neighbours in space. So the cost of finding what may shade a solid
grows with what is found, and with the logarithm of how many solids there are.
"""

import math

import numba
import numpy as np

from scenes.renderers.kernels import outlines
from scenes.renderers.kernels.outlines import PLANE, TORUS, UNBOUNDED
from scenes.renderers.kernels.surfaces import LOOP

CELLS = 1024
"""Into how many cells each axis of a scene is cut, to put solids in order."""
CASTER = 4
"""Where the solid stands in a row of windows, behind first column, row, last column and row."""


@numba.njit(**LOOP)
def sort(order, keys, first, last):
    """Sort a stretch of `order` by the keys of what it names, and equals by their names."""
    gap = 1
    while gap < (last - first) // 9:  # a few are sorted soonest as they stand
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(first + gap, last):
            k, j = order[i], i
            while j >= first + gap:
                before = order[j - gap]
                if keys[before] < keys[k] or (keys[before] == keys[k] and before < k):
                    break
                order[j] = before
                j -= gap
            order[j] = k
        gap //= 3


@numba.njit(**LOOP)
def half_extent(extent):
    """Of a plane."""
    return float(extent) if extent > 0 else UNBOUNDED


@numba.njit(**LOOP)
def width(n):
    """Leaves of the tree of `n` solids: a power of two."""
    leaves = 1
    while leaves < n:
        leaves *= 2
    return leaves


@numba.njit(**LOOP)
def _spread(x):
    """A number below `CELLS` with two zeros before each of its bits."""
    x = (x | x << 16) & 0x030000FF
    x = (x | x << 8) & 0x0300F00F
    x = (x | x << 4) & 0x030C30C3
    return (x | x << 2) & 0x09249249


@numba.njit(**LOOP)
def grow(tree, leaves, codes, kind, look, position):
    """Write the tree of a scene; returns how many leaves it has, of which those behind the solids have radius -1.

    Args:
        tree: Float64, twice as many leaves and 4: middle and radius.
        leaves: Int32, k: to be written, the solids in order.
        codes: Float64, k: scratch.
        kind: k.
        look: k 10.
        position: k 3.
    """
    n = 0
    low_x, low_y, low_z, longest = 1e30, 1e30, 1e30, 1e-9
    for k in range(len(kind)):
        if kind[k] != PLANE:
            leaves[n] = k
            n += 1
            low_x, low_y = min(low_x, float(position[k, 0])), min(low_y, float(position[k, 1]))
            low_z = min(low_z, float(position[k, 2]))
    if n > 4:
        for i in range(n):
            k = leaves[i]
            x, y, z = position[k, 0] - low_x, position[k, 1] - low_y, position[k, 2] - low_z
            longest = max(longest, max(max(x, y), z))
        share = (CELLS - 1) / longest
        for i in range(n):
            k = leaves[i]
            x, y, z = position[k, 0] - low_x, position[k, 1] - low_y, position[k, 2] - low_z
            codes[k] = _spread(int(x * share)) | _spread(int(y * share)) << 1 | _spread(int(z * share)) << 2
        sort(leaves, codes, 0, n)
    wide = width(n)
    for i in range(wide):
        at = wide + i
        tree[at, 3] = -1
        if i < n:
            k = leaves[i]
            tree[at, 0], tree[at, 1], tree[at, 2] = position[k, 0], position[k, 1], position[k, 2]
            tree[at, 3] = outlines.reach_of(kind[k], look[k])
    for j in range(wide - 1, 0, -1):
        _surround(tree, j, 2 * j, 2 * j + 1)
    return wide


@numba.njit(**LOOP)
def _surround(tree, j, a, b):
    """Make sphere `j` the smallest around two others."""
    x, y, z = tree[b, 0] - tree[a, 0], tree[b, 1] - tree[a, 1], tree[b, 2] - tree[a, 2]
    apart, one, two = math.sqrt(x * x + y * y + z * z), tree[a, 3], tree[b, 3]
    if two < 0 or one >= apart + two:
        tree[j, 0], tree[j, 1], tree[j, 2], tree[j, 3] = tree[a, 0], tree[a, 1], tree[a, 2], one
    elif two >= apart + one:
        tree[j, 0], tree[j, 1], tree[j, 2], tree[j, 3] = tree[b, 0], tree[b, 1], tree[b, 2], two
    else:
        reach = 0.5 * (apart + one + two)
        share = (reach - one) / apart
        tree[j, 0], tree[j, 1], tree[j, 2] = tree[a, 0] + share * x, tree[a, 1] + share * y, tree[a, 2] + share * z
        tree[j, 3] = reach * (1 + 1e-12)


@numba.njit(**LOOP)
def behind(j):
    """The node that comes after `j` and all below it; 0: none."""
    while j & 1:
        j >>= 1
    return j + 1 if j else 0


@numba.njit(**LOOP)
def find(
    k, windows, tree, leaves, wide, kind, look, position, rotation, geometry, first, lights, height, columns, step, extent
):  # fmt: skip
    """List, for each light, the solids that may shade solid `k` and the screen rectangles within which they may;
    returns whether there are any. A list ends with solid -1.

    Args:
        k: The solid that is shaded.
        windows: To be written: l k+1 5, see `CASTER`.
        tree: Of `grow`, as is the next.
        leaves: See there.
        wide: Leaves of the tree.
        kind: k.
        look: k 10.
        position: k 3.
        rotation: k 4.
        geometry: k 12 + 3 l, see `outlines.place`.
        first: Where in a row of it lights begin.
        lights: l 8.
        height: Rows.
        columns: Of the picture.
        step: Change of a ray, or of its origin, from pixel to pixel.
        extent: Of an orthographic camera, or None.
    """
    own, g = outlines.axes(rotation[k]), geometry[k]
    flat, receiver = kind[k] == PLANE, outlines.reach_of(kind[k], look[k])
    hx, hy = half_extent(look[k, 0]), half_extent(look[k, 1])
    any_caster = False
    for m in range(len(lights)):
        light = (float(g[first + 3 * m]), float(g[first + 1 + 3 * m]), float(g[first + 2 + 3 * m]))
        is_sun, n, j = lights[m, 6] != 0, 0, 1
        if not flat:
            # Spheres are the same in all axes: those of the scene, then, with the solid in the middle.
            light = (float(lights[m, 0]), float(lights[m, 1]), float(lights[m, 2]))
            if not is_sun:
                light = (light[0] - position[k, 0], light[1] - position[k, 1], light[2] - position[k, 2])
        # A plane's back is lit by nothing.
        if lights[m, 7] == 0 or (flat and light[2] <= 0):
            j = 0
        while j:
            reach = tree[j, 3]
            if reach < 0:
                j = behind(j)
                continue
            away = (tree[j, 0] - position[k, 0], tree[j, 1] - position[k, 1], tree[j, 2] - position[k, 2])
            centre = away
            left, top, right, bottom = 0, 0, columns - 1, height - 1
            if not flat:
                shades = outlines.may_shade(light, is_sun, centre, reach, receiver)
            else:
                centre = (outlines.dot(own[0], away), outlines.dot(own[1], away), outlines.dot(own[2], away))
                u0, u1, v0, v1 = outlines.shadow_of_ball(light, is_sun, centre, reach)
                shades = u0 <= hx and u1 >= -hx and v0 <= hy and v1 >= -hy
            if not shades:
                j = behind(j)
                continue
            if j < wide:
                j *= 2
                continue
            other = leaves[j - wide]
            j = behind(j)
            if other == k and kind[k] < TORUS:
                continue
            if flat:
                if is_sun:
                    u0, u1, v0, v1 = outlines.shadow_of_solid(
                        light, centre, own, kind[other], look[other], rotation[other]
                    )
                left, top, right, bottom = outlines.rectangle_on_plane(
                    g, max(u0, -hx), min(u1, hx), max(v0, -hy), min(v1, hy), height, columns, step, extent
                )
            if left <= right and top <= bottom:
                window = windows[m, n]
                window[0], window[1], window[2], window[3], window[CASTER] = left, top, right, bottom, other
                any_caster = True
                n += 1
        windows[m, n, CASTER] = -1
    return any_caster


@numba.njit(**LOOP)
def part(blocks, count, windows, covered, height, columns):
    """Put the blocks of a list that no window meets before all others; returns how many those are.

    Args:
        blocks: As `outlines.plane_blocks` made it.
        count: How many there are.
        windows: Of `find`.
        covered: Int64, a number for each row: scratch. Its bits stand for stretches of columns.
        height: Rows.
        columns: Of the picture.
    """
    shift = 4
    while columns >> shift >= 63:
        shift += 1
    for y in range(height):
        covered[y] = 0
    for m in range(len(windows)):
        i = 0
        while windows[m, i, CASTER] >= 0:
            bits = _stretches(windows[m, i, 0], windows[m, i, 2], shift)
            for y in range(windows[m, i, 1], windows[m, i, 3] + 1):
                covered[y] |= bits
            i += 1
    n = 0
    for i in range(count):
        x = blocks[0, i]
        if covered[blocks[1, i]] & _stretches(max(x, blocks[2, i]), min(x + outlines.WIDE, blocks[3, i]) - 1, shift):
            continue
        if n < i:
            for row in range(4):
                blocks[row, n], blocks[row, i] = blocks[row, i], blocks[row, n]
        n += 1
    return n


@numba.njit(**LOOP)
def _stretches(left, right, shift):
    """Bits of the stretches between two columns."""
    return (np.int64(2) << np.int64(right >> shift)) - (np.int64(1) << np.int64(left >> shift))
