"""One frame: which surface each pixel sees, and its colour.

Pixels are worked on in blocks of neighbours of a row. For each solid a list of the blocks that it may cover is made
(planes and boxes exactly, by the straight edges of their outlines; others by a rectangle around them), then a chunk of
it at a time goes through the loops of `chunks`. The z buffer is `depth`, metres along the camera's axis: rays have
length 1 along it.
"""

import math

import numba
import numpy as np

from scenes.kit.compiler import kept
from scenes.renderers.kernels import casters, chunks, laid, lanes, outlines, pictures, trees, triangles
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
)
from scenes.renderers.kernels.surfaces import INF, LOOP, ONE, ZERO

# Placed in their caller before it is compiled: else LLVM would optimise all that they call once more for each of them.
PLACED = LOOP | {"inline": "always"}
COLOUR, OUTER, INNER = np.int32(0xFFFFFF), np.uint32(0xFF00FF), np.uint32(0x00FF00)
"""Bytes of packed pixels: all but the name; red and blue; green."""
NAMES = 255
"""Solids that the fourth byte of a packed pixel can tell apart; more are drawn in turns."""
FEW = 8
"""Solids that may shade another which are looked at one by one; of more, those are left out first that pass by."""
FIXED = 12
"""Numbers of a solid's geometry before those of its lights; see `outlines.place`."""


@numba.njit(**PLACED)
def meet(kind, s, blocks, start, n, g, look, extent, depth, stride, forest):
    """Depths and normals (of a plane, points of its texture) of a chunk; of a mesh, where it is nearer than `depth`.

    What is None as numba compiles, here `extent` or `forest`, leaves the code that would need it out.
    """
    size = look[:3]
    if kind == PLANE:
        if extent is None:
            chunks.meet_plane(s, blocks, start, n, g, look[3])
        else:
            chunks.meet_level_plane(s, blocks, start, n, g, look[3])
    elif kind == BOX:
        if extent is None:
            chunks.see_box(s, blocks, start, n, g, size)
        else:
            chunks.meet_box(s, blocks, start, n, g, size, extent)
    elif kind == SPHERE:
        chunks.meet_sphere(s, blocks, start, n, g, size, extent)
    elif kind == CAPSULE:
        chunks.meet_capsule(s, blocks, start, n, g, size, extent)
    elif kind == CYLINDER:
        chunks.meet_cylinder(s, blocks, start, n, g, size, extent)
    elif kind == CONE:
        chunks.meet_cone(s, blocks, start, n, g, size, extent)
    elif kind == ELLIPSOID:
        chunks.meet_ellipsoid(s, blocks, start, n, g, size, extent)
    elif kind == TORUS:
        chunks.meet_torus(s, blocks, start, n, g, size, extent)
    elif forest is not None:
        trees.meet_mesh(s, blocks, start, n, g, size, extent, depth, stride, forest, kind - MESH)


@numba.njit(**PLACED)
def _shade(kind, s, blocks, start, n, g, size, light, is_sun, window, itself, extent, forest):
    reach = np.float32(1.0001 * outlines.reach_of(kind, size))
    if kind == TORUS:
        chunks.shade_torus(s, blocks, start, n, g, size, light, is_sun, window, itself, extent)
    elif kind == BOX:
        chunks.shade_box(s, blocks, start, n, g, size, light, is_sun, window, extent, reach)
    elif kind == SPHERE:
        chunks.shade_sphere(s, blocks, start, n, g, size, light, is_sun, window, extent, reach)
    elif kind == CAPSULE:
        chunks.shade_capsule(s, blocks, start, n, g, size, light, is_sun, window, extent, reach)
    elif kind == CYLINDER:
        chunks.shade_cylinder(s, blocks, start, n, g, size, light, is_sun, window, extent, reach)
    elif kind == CONE:
        chunks.shade_cone(s, blocks, start, n, g, size, light, is_sun, window, extent, reach)
    elif kind == ELLIPSOID:
        chunks.shade_ellipsoid(s, blocks, start, n, g, size, light, is_sun, window, extent, reach)
    elif forest is not None:
        trees.shade_mesh(s, blocks, start, n, g, size, light, is_sun, window, itself, extent, forest, kind - MESH)


@numba.njit(**LOOP)
def _approach(k, other, s, light, is_sun, kind, look, position, rotation):
    """Whether a solid may shade what `chunks.surround` has measured of solid `k`."""
    own = outlines.axes(rotation[k])
    away = (
        float(position[other, 0] - position[k, 0]),
        float(position[other, 1] - position[k, 1]),
        float(position[other, 2] - position[k, 2]),
    )
    x, y, z = outlines.dot(own[0], away), outlines.dot(own[1], away), outlines.dot(own[2], away)
    reach = np.float32(outlines.reach_of(kind[other], look[other]))
    return chunks.approach(s, light, is_sun, np.float32(x), np.float32(y), np.float32(z), reach)


@numba.njit(**PLACED)
def _light(
    k, flat, s, blocks, start, n, stride, depth, geometry, kind, look, position, rotation, lights, air, shadows, windows,
    extent, forest,
):  # fmt: skip
    """Light and shadows on each pixel of a chunk."""
    g = geometry[k]
    top, bottom = chunks.rows(blocks, start, n)
    chunks.fill(s, n, chunks.RED, air[0], air[1], air[2])
    if flat:
        chunks.fill(s, n, chunks.NX, ZERO, ZERO, ONE)
    for m in range(len(lights)):
        is_sun, at = lights[m, 6] != 0, FIXED + 3 * m
        if is_sun:
            chunks.sunlight(s, n, g[at:])
        else:
            chunks.lamplight(s, blocks, start, n, g, g[at:], extent)
        if shadows is not None:
            crowd = 0
            while windows[m, crowd, casters.CASTER] >= 0:
                crowd += 1
            if crowd > 0:
                chunks.light_seen(s, blocks, start, n, stride, depth)
                if crowd > FEW:
                    chunks.surround(s, blocks, start, n, g, extent)
                else:
                    chunks.all_near(s)
            for i in range(crowd):
                window, other = windows[m, i], windows[m, i, casters.CASTER]
                if window[1] > bottom or window[3] < top:
                    continue
                if crowd > FEW and not _approach(k, other, s, g[at:], is_sun, kind, look, position, rotation):
                    continue
                _shade(
                    kind[other], s, blocks, start, n, geometry[other], look[other], geometry[other, at:], is_sun,
                    window, other == k, extent, forest,
                )  # fmt: skip
        chunks.add_light(s, n, lights[m])


@numba.njit(**PLACED)
def _even_light(g, lights, air):
    """Whether one light falls on all of a plane that nothing shades, and its colour."""
    red, green, blue = air[0], air[1], air[2]
    even = True
    for m in range(len(lights)):
        even = even and lights[m, 6] != 0
        lit = max(g[FIXED + 2 + 3 * m], ZERO)
        red, green, blue = red + lit * lights[m, 3], green + lit * lights[m, 4], blue + lit * lights[m, 5]
    return even, red, green, blue


@numba.njit(**PLACED)
def step_of(fov, extent, height):
    """Change of a ray, or of its origin, from pixel to pixel."""
    return 2 * math.tan(fov / 2) / height if extent is None else extent / height


@numba.njit(**PLACED)
def _draw_solid(
    k, name, near, taken, pixels, depth, s, geometry, blocks, edge, spans, casting, height, width, stride, step, extent,
    shadows, wide, painted, kind, texture, look, position, rotation, lights, air, sums, places, forest,
):  # fmt: skip
    """Draw one solid, with its name beside its colours; returns in how many blocks it may be seen, which those before it
    have `taken`. Other arguments are those of `draw_frame`."""
    g = geometry[k]
    flat = kind[k] == PLANE
    if flat:
        hx, hy = casters.half_extent(look[k, 0]), casters.half_extent(look[k, 1])
        # To ask whether a block is hidden pays where many may be.
        hidden = 4 * taken * outlines.WIDE > height * stride
        count = outlines.plane_blocks(g, hx, hy, height, width, stride, blocks, edge, spans, extent, depth, hidden)
    elif extent is None and kind[k] == BOX:
        count = outlines.box_blocks(g, look[k], height, width, stride, step, blocks, edge, spans, depth, near)
    else:
        count = outlines.solid_blocks(g, kind[k], look[k], height, width, stride, step, blocks, extent, depth, near)
    if count == 0:
        return 0
    window, ready, unwrapped = (0, 0, -1, -1), False, False
    if forest is not None and kind[k] >= MESH:
        unwrapped = laid.has(forest[10], forest[3], kind[k] - MESH)
        window = outlines.solid_window(g, kind[k], look[k], height, width, step, extent)
        ready = triangles.worthwhile(window, near, forest, kind[k] - MESH)
        if ready:
            triangles.paint(g, look[k], window, height, width, stride, extent, depth, forest, kind[k] - MESH)
    windows, tree, leaves, _, covered = casting
    even, red, green, blue = _even_light(g, lights, air)
    skin = texture[k] if painted else 0
    # Blocks on which one light falls come first.
    n_even = count if flat and even and skin < chunks.IMAGE else 0
    sought = False
    if shadows is not None and n_even > 0 and painted:
        sought = True
        shaded = casters.find(
            k, windows, tree, leaves, wide, kind, look, position, rotation, geometry, FIXED, lights, height, width,
            step, extent,
        )  # fmt: skip
        if shaded:
            n_even = casters.part(blocks, count, windows, covered, height, width)
    start, n = 0, 0
    while start + n < count:
        start += n
        even = start < n_even
        n = min(chunks.BLOCKS, (n_even if even else count) - start)
        if even and skin == 0 and extent is None:
            chunks.paint_plane(s, blocks, start, n, g, stride, depth, pixels, name, look[k], red, green, blue)
            continue
        if forest is not None and ready:
            triangles.read(s, blocks, start, n, stride, look[k], window, forest, kind[k] - MESH)
        else:
            meet(kind[k], s, blocks, start, n, g, look[k], extent, depth, stride, forest)
        # To light a pixel costs little more than to ask whether it is seen; shadows and the patterns of solids do not.
        kept = n
        if (shadows is not None and not even) or (skin != 0 and not flat):
            kept = chunks.keep_nearer(s, blocks, start, n, stride, depth, flat)
        if kept == 0:
            continue
        if shadows is not None and painted and not sought:
            sought = True
            casters.find(
                k, windows, tree, leaves, wide, kind, look, position, rotation, geometry, FIXED, lights, height, width,
                step, extent,
            )  # fmt: skip
        if painted and not even:
            _light(
                k, flat, s, blocks, start, kept, stride, depth, geometry, kind, look, position, rotation, lights, air,
                shadows, windows, extent, forest,
            )  # fmt: skip
        elif not painted:
            # What nobody looks at must still be a colour: names are kept beside it.
            chunks.fill(s, kept, chunks.RED, ZERO, ZERO, ZERO)
        if sums is not None and skin >= chunks.IMAGE and unwrapped:
            laid.filter_light(
                s, blocks, start, kept, g, look[k], stride, np.float32(step), extent, forest, kind[k] - MESH,
                skin - chunks.IMAGE,
            )  # fmt: skip
            chunks.no_mix(s, kept)
        elif sums is not None and skin >= chunks.IMAGE:
            if not flat:
                chunks.solid_points(s, blocks, start, kept, g, look[k, 3], np.float32(step), extent)
            pictures.filter_light(s, kept, flat, sums, places[skin - chunks.IMAGE], edge[0])
            chunks.no_mix(s, kept)
        elif flat:
            chunks.flat_texture(skin, s, kept)
        elif skin == 0:
            chunks.no_mix(s, kept)
        else:
            chunks.solid_points(s, blocks, start, kept, g, look[k, 3], np.float32(step), extent)
            chunks.solid_texture(skin, s, kept)
        if even:
            chunks.write_evenly(s, blocks, start, kept, stride, depth, pixels, name, look[k], red, green, blue)
        else:
            chunks.write(s, blocks, start, kept, stride, depth, pixels, name, look[k])
    return count


@numba.njit(**PLACED)
def draw_frame(
    pixels, depth, ids, s, geometry, blocks, edge, spans, casting, order, nearest,
    height, width, eye, camera, fov, extent, shadows, painted, kind, texture, look, position, rotation, lights, air,
    sums, places, forest,
):  # fmt: skip
    """Draw one camera's picture of one scene.

    Args:
        pixels: Int32, rows x stride, flat: red, green, blue in the lowest bytes. Written, as are the next two.
        depth: Float32, likewise.
        ids: Int32, likewise; or empty, when nobody asks for them.
        s: Scratch, as are the next seven: `chunks.SCRATCH`.
        geometry: k, 12 + 3 l.
        blocks: 4, as many as may be.
        edge: 3 6.
        spans: 2, as many as there are rows.
        casting: Windows (l, k + 1, 5), tree, leaves and codes of `casters`, and rows of `casters.part`.
        order: k.
        nearest: k.
        height: Rows.
        width: Columns; the stride is that, or the width of a block if larger.
        eye: Of the camera.
        camera: Quaternion.
        fov: Vertical, in radians.
        extent: Metres of height that an orthographic camera sees; None for a pinhole.
        shadows: True, or None: there are none.
        painted: Whether anybody looks at the colours.
        kind: k.
        texture: k; `chunks.IMAGE` and more: image number 0 and so on.
        look: k 10: size (3), texture scale, two colours.
        position: k 3.
        rotation: k 4.
        lights: l 8: place or direction, colour, whether a sun, whether it casts shadows.
        air: Ambient light (3), sky (3), where fog begins and ends.
        sums: Of `pictures.table`, as is the next; or both None, where no solid shows an image.
        places: p 3.
        forest: Scratch, the trees of all meshes (see `geometry.trees.Forest`), what `laid` wants (or None), and the
            canvas of `triangles`; None where there is no mesh.
    """
    stride = max(width, outlines.WIDE)
    view = outlines.axes(camera)
    step = step_of(fov, extent, height)
    n_solids = len(kind)
    for k in range(n_solids):
        outlines.place(geometry[k], position[k], rotation[k], eye, view, height, width, step, lights, extent)
        order[k], nearest[k] = k, INF
        if kind[k] != PLANE:
            nearest[k] = outlines.nearest(geometry[k], kind[k], look[k], height, width, extent)
    most, half, area = chunks.MOST, chunks.ROUND, height * stride
    sky = chunks.pack(air[3] * most + half, air[4] * most + half, air[5] * most + half)
    for i in range(np.uintp(area)):
        pixels[i] = sky
    for i in range(np.uintp(area)):
        depth[i] = INF
    wide = 0
    if shadows is not None and painted:
        _, tree, leaves, codes, _ = casting
        wide = casters.grow(tree, leaves, codes, kind, look, position)
    named, taken = 0, 0
    while True:
        last = min(named + NAMES, n_solids)
        # The nearest first: what they hide costs little then. Planes come last.
        casters.sort(order, nearest, named, last)
        for place in range(named, last):
            k = order[place]
            taken += _draw_solid(
                k, np.int32((k - named + 1) << 24), nearest[k], taken, pixels, depth, s, geometry, blocks, edge, spans, casting,
                height, width, stride, step, extent, shadows, wide, painted, kind, texture, look, position, rotation,
                lights, air, sums, places, forest,
            )  # fmt: skip
        _read_names(ids, pixels, named)
        if last == n_solids:
            break
        for i in range(np.uintp(area)):
            pixels[i] = np.int32(pixels[i] & COLOUR)
        named = last
    if painted and air[7] > air[6]:
        _fade(pixels, depth, area, air)


@numba.njit(**LOOP)
def _fade(pixels, depth, area, air):
    """Fade packed pixels into the sky, by their depth."""
    begin, inverse, most = air[6], ONE / (air[7] - air[6]), chunks.MOST
    red, green, blue = min(air[3], ONE) * most, min(air[4], ONE) * most, min(air[5], ONE) * most
    for i in range(np.uintp(area)):
        f = min(max((depth[i] - begin) * inverse, ZERO), ONE)
        p = np.uint32(pixels[i])
        r = np.float32(np.int32(p & np.uint32(0xFF)))
        g = np.float32(np.int32(np.uint32(p >> np.uint32(8)) & np.uint32(0xFF)))
        b = np.float32(np.int32(np.uint32(p >> np.uint32(16)) & np.uint32(0xFF)))
        r, g, b = r + f * (red - r), g + f * (green - g), b + f * (blue - b)
        pixels[i] = chunks.pack(r + chunks.ROUND, g + chunks.ROUND, b + chunks.ROUND)


@numba.njit(**LOOP)
def _read_names(ids, pixels, named):
    """Take the names of solids, counted from 1 for number `named`, out of packed pixels; 0 is none of these."""
    first = np.int32(named - 1)
    for i in range(np.uintp(len(ids))):
        name = np.int32(np.uint32(pixels[i]) >> np.uint32(24))
        ids[i] = np.int32(name + first) if (name > 0) | (named == 0) else ids[i]


@numba.njit(**LOOP)
def _bytes(rgb, pixels, height, width):
    """Pixels of three channels, as numbers of four bytes, from packed ones; a frame ends in the middle of a number
    where its pixels are no multiple of four."""
    stride = max(width, outlines.WIDE)
    if stride > width:
        for i in range(height * width):
            pixels[np.uintp(i)] = pixels[np.uintp(i // width * stride + i % width)]
    one, two, three, four = np.uintp(1), np.uintp(2), np.uintp(3), np.uintp(4)
    blocks, last = np.uintp(height * width // outlines.WIDE), np.uintp((height * width + 3) // 4)
    for b in range(blocks):
        lanes.pack(rgb, b * np.uintp(3 * outlines.WIDE // 4), pixels, b * np.uintp(outlines.WIDE))
    for i in range(blocks * np.uintp(outlines.WIDE // 4), last):
        a, b = np.uint32(pixels[four * i] & COLOUR), np.uint32(pixels[four * i + one] & COLOUR)
        c, d = np.uint32(pixels[four * i + two] & COLOUR), np.uint32(pixels[four * i + three])
        rgb[three * i] = np.uint32(a | np.uint32(b << np.uint32(24)))
        rgb[three * i + one] = np.uint32(np.uint32(b >> np.uint32(8)) | np.uint32(c << np.uint32(16)))
        rgb[three * i + two] = np.uint32(np.uint32(c >> np.uint32(16)) | np.uint32(d << np.uint32(8)))


@numba.njit(**LOOP)
def _halve(small, pixels, height, width):
    """Means of 2 x 2 packed pixels, halves rounded up."""
    fine, coarse = max(2 * width, outlines.WIDE), max(width, outlines.WIDE)
    one, two = np.uintp(1), np.uintp(2)
    for y in range(height):
        upper, lower, to = np.uintp(2 * y * fine), np.uintp((2 * y + 1) * fine), np.uintp(y * coarse)
        for x in range(np.uintp(width)):
            a, b = np.uint32(pixels[upper + two * x]), np.uint32(pixels[upper + two * x + one])
            c, d = np.uint32(pixels[lower + two * x]), np.uint32(pixels[lower + two * x + one])
            # Red and blue are added in one number: there is room for their sums between them.
            both = np.uint32(np.uint32((a & OUTER) + (b & OUTER)) + np.uint32((c & OUTER) + (d & OUTER)))
            green = np.uint32(np.uint32((a & INNER) + (b & INNER)) + np.uint32((c & INNER) + (d & INNER)))
            both = np.uint32(np.uint32(np.uint32(both + np.uint32(0x00020002)) >> np.uint32(2)) & OUTER)
            green = np.uint32(np.uint32(np.uint32(green + np.uint32(0x00000200)) >> np.uint32(2)) & INNER)
            small[to + x] = np.int32(both | green)


@numba.njit(**LOOP)
def _shrink(small, pixels, height, width, ratio):
    """Means of `ratio` x `ratio` packed pixels, halves rounded up."""
    fine, coarse = max(width * ratio, outlines.WIDE), max(width, outlines.WIDE)
    share = ONE / np.float32(ratio * ratio)
    for y in range(height):
        for x in range(width):
            # 64 bytes add up to less than 2^16.
            both, green = np.uint32(0), np.uint32(0)
            for i in range(ratio):
                start = (y * ratio + i) * fine + x * ratio
                for j in range(start, start + ratio):
                    p = np.uint32(pixels[np.uintp(j)])
                    both = np.uint32(both + (p & OUTER))
                    green = np.uint32(green + (np.uint32(p & INNER) >> np.uint32(8)))
            small[np.uintp(y * coarse + x)] = chunks.pack(
                np.float32(both & np.uint32(0xFFFF)) * share + chunks.ROUND,
                np.float32(green) * share + chunks.ROUND,
                np.float32(both >> np.uint32(16)) * share + chunks.ROUND,
            )


def compiled(version: int):
    """The function that draws all cameras.

    numba's cache on disk looks at the function's own file and at what it closes over, not at the files of what it
    calls; so it closes over `version`, a number that stands for those.
    """

    @kept(**LOOP)
    def draw(
        counter, end, rgb, depth, ids, pixels, small, z, s, geometry, blocks, edge, spans, casting, order, nearest,
        which, eye, camera, drawn, fov, extent, height, width, ratio, shadows, painted, measured,
        first, count, kind, texture, look, pose_first, position, rotation, lights, air,
        sums, places, forest,
    ):  # fmt: skip
        """Draw the cameras that `counter` comes to before `end`. Threads share it and the frames; all arguments from `pixels`
        to `nearest` are a thread's own scratch."""
        # First the colours of a finer picture, where asked for; then depth and ids of the pixels' centres.
        apart = ratio > 1 and painted and measured
        while True:
            i = lanes.take(counter)
            if i >= end:
                break
            if not drawn[i]:
                continue
            scene = which[i]
            a, b, n = first[scene], pose_first[scene], count[scene]
            for turn in range(2 if apart else 1):
                fine = ratio if turn == 0 and painted else 1
                seen = ids.shape[1] if measured and (turn == 1 or not apart) else 0
                draw_frame(
                    pixels, z, ids[i, :seen], s, geometry, blocks, edge, spans, casting, order, nearest,
                    height * fine, width * fine, eye[i], camera[i], fov, extent, shadows, painted and turn == 0,
                    kind[a : a + n], texture[a : a + n], look[a : a + n],
                    position[b : b + n], rotation[b : b + n], lights[scene], air[scene], sums, places, forest,
                )  # fmt: skip
                if fine == 2:
                    _halve(small, pixels, height, width)
                elif fine > 2:
                    _shrink(small, pixels, height, width, ratio)
                if painted and turn == 0:
                    _bytes(rgb[i], small if fine > 1 else pixels, height, width)
            if measured:
                for k in range(np.uintp(depth.shape[1])):
                    depth[np.uintp(i), k] = z[k]
        return version

    return draw
