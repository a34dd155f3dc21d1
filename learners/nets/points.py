"""The loops of a plane sweep on a CPU: one pixel's points at a time, without an array for every step of the arithmetic."""

import concurrent.futures
import itertools
import math

import numpy as np
from jaxtyping import Float32

from scenes.kit.compiler import kept

ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
FAINT = np.float32(1e-4)
VIVID = np.float32(4)
DARK = np.float32(0.1)
N_VIEWS = 5
"""Views whose colours are told one by one."""
VIEWS = 9
"""Numbers of a point before those."""
AHEAD = np.float32(1e-3)


@kept(nogil=True, error_model="numpy", fastmath={"nsz", "arcp", "contract", "afn", "reassoc"})
def _rows(begin, end, pictures, axes, eyes, origins, reach, shares, tangent, out):
    """Rows `begin` to before `end` of all queries' pictures, counted through; arguments are those of `look_up`."""
    n_views, size = pictures.shape[1], pictures.shape[2]
    height, width, n_shares = out.shape[1], out.shape[2], out.shape[3]
    queries = len(out) // len(pictures)
    last, middle = np.float32(size - 1), np.float32(0.5 * size - 0.5)
    scale = np.float32(0.5 * size / tangent)
    cosines = np.empty(N_VIEWS, np.float32)
    for row in range(begin, end):
        n, y = row // height, row % height
        b = n // queries
        for x in range(width):
            dx, dy, dz = reach[n, y, x, 0], reach[n, y, x, 1], reach[n, y, x, 2]
            length = dx * dx + dy * dy + dz * dz
            for k in range(n_shares):
                share = shares[n % len(shares), y % shares.shape[1], x % shares.shape[2], k]
                px, py, pz = origins[n, 0] + share * dx, origins[n, 1] + share * dy, origins[n, 2] + share * dz
                near_red = near_green = near_blue = near = ZERO
                wide_red = wide_green = wide_blue = wide = ZERO
                red = green = blue = squares = count = ZERO
                tint_red = tint_green = tint_squares = ZERO
                to, listed = out[n, y, x, k], 0
                to[:] = ZERO
                for v in range(n_views):
                    ax, ay, az = px - eyes[b, v, 0], py - eyes[b, v, 1], pz - eyes[b, v, 2]
                    a = axes[b, v]
                    deep = a[2, 0] * ax + a[2, 1] * ay + a[2, 2] * az
                    if deep <= AHEAD:
                        continue
                    zoom = scale / deep
                    column = middle + zoom * (a[0, 0] * ax + a[0, 1] * ay + a[0, 2] * az)
                    line = middle - zoom * (a[1, 0] * ax + a[1, 1] * ay + a[1, 2] * az)
                    if not (-HALF < column < last + HALF and -HALF < line < last + HALF):
                        continue
                    column, line = min(max(column, ZERO), last), min(max(line, ZERO), last)
                    left, top = int(column), int(line)
                    right, bottom = min(left + 1, size - 1), min(top + 1, size - 1)
                    across, down = column - np.float32(left), line - np.float32(top)
                    c, d = (ONE - across) * down, across * down
                    e, f = (ONE - across) - c, across - d
                    picture = pictures[b, v]
                    lt, rt, lb, rb = (
                        picture[top, left],
                        picture[top, right],
                        picture[bottom, left],
                        picture[bottom, right],
                    )
                    r = e * lt[0] + f * rt[0] + c * lb[0] + d * rb[0]
                    g = e * lt[1] + f * rt[1] + c * lb[1] + d * rb[1]
                    u = e * lt[2] + f * rt[2] + c * lb[2] + d * rb[2]
                    both = length * (ax * ax + ay * ay + az * az)
                    # The powers of the cosine are `sweep.WIDE`, 6, and `sweep.NEAR`, 48.
                    cosine = HALF + HALF * (ax * dx + ay * dy + az * dz) / np.float32(math.sqrt(both))
                    w = cosine * cosine * cosine
                    w = w * w
                    m = w * w
                    m = m * m
                    m, w = m * m + FAINT, w + FAINT
                    near_red, near_green, near_blue, near = (
                        near_red + m * r,
                        near_green + m * g,
                        near_blue + m * u,
                        near + m,
                    )
                    wide_red, wide_green, wide_blue, wide = (
                        wide_red + w * r,
                        wide_green + w * g,
                        wide_blue + w * u,
                        wide + w,
                    )
                    red, green, blue, count = red + r, green + g, blue + u, count + ONE
                    squares += r * r + g * g + u * u
                    bright = ONE / (r + g + u + (HALF + HALF + HALF + DARK))
                    p, q = (r + HALF) * bright, (g + HALF) * bright
                    tint_red, tint_green, tint_squares = tint_red + p, tint_green + q, tint_squares + p * p + q * q
                    # Its place among the views, by their cosines.
                    place, listed = listed, min(listed + 1, N_VIEWS)
                    while place > 0 and cosines[place - 1] < cosine:
                        if place < N_VIEWS:
                            cosines[place], at = cosines[place - 1], VIEWS + 4 * place
                            to[at], to[at + 1], to[at + 2] = to[at - 4], to[at - 3], to[at - 2]
                        place -= 1
                    if place < N_VIEWS:
                        cosines[place], at = cosine, VIEWS + 4 * place
                        to[at], to[at + 1], to[at + 2] = r, g, u
                if count == ZERO:
                    continue
                i, j, m = ONE / near, ONE / wide, ONE / count
                to[0], to[1], to[2] = near_red * i, near_green * i, near_blue * i
                to[3], to[4], to[5] = wide_red * j, wide_green * j, wide_blue * j
                red, green, blue = red * m, green * m, blue * m
                to[6] = math.sqrt(max(squares * m - red * red - green * green - blue * blue, ZERO))
                to[7] = count / np.float32(n_views)
                tint_red, tint_green = tint_red * m, tint_green * m
                tint_squares = max(tint_squares * m - tint_red * tint_red - tint_green * tint_green, ZERO)
                to[8] = VIVID * math.sqrt(tint_squares)
                for place in range(listed):
                    to[VIEWS + 4 * place + 3] = ONE


def look_up(
    pictures: Float32[np.ndarray, "b v h w 3"],
    axes: Float32[np.ndarray, "b v 3 3"],
    eyes: Float32[np.ndarray, "b v 3"],
    origins: Float32[np.ndarray, "n 3"],
    reach: Float32[np.ndarray, "n y x 3"],
    shares: Float32[np.ndarray, "one_or_n one_or_y one_or_x s"],
    tangent: float,
    out: Float32[np.ndarray, "n y x s c"],
    threads: int,
) -> None:
    """Fill `out` with what `sweep.sweep` says.

    Args:
        pictures: The context, less a half, square.
        axes: Rows: each camera's right, up and forward.
        eyes: Places of the cameras.
        origins: Of each query's rays; queries of one context lie together.
        reach: From there to where the ray leaves the world.
        shares: Of the reach, for all or for each pixel.
        tangent: Of half the field of view.
        out: As `sweep.N_CHANNELS` are.
        threads: That share the work; the result is the same for any number.
    """
    rows = len(out) * out.shape[1]
    given = pictures, axes, eyes, origins, reach, shares, tangent, out
    cuts = [rows * i // threads for i in range(threads + 1)]
    if threads == 1:
        return _rows(0, rows, *given)
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(_rows, *cut, *given) for cut in itertools.pairwise(cuts)]:
            done.result()
    return None
