"""Surface patterns: how much of the second colour a point shows, from 0 to 1.

All are functions of a point in periods of the texture and of the width, in periods and at least `NARROW`, that one
pixel covers there: edges are as soft as a pixel is wide and what is finer than a pixel fades to its mean, so distant
floors do not shimmer.
"""

import numba
import numpy as np

from scenes.renderers.kernels.surfaces import HALF, INLINE, ONE, ZERO, floor

QUARTER = np.float32(0.25)
TWO, THREE = np.float32(2), np.float32(3)
JOINT = np.float32(0.035)
"""Half width of the mortar between bricks, in periods."""
NARROW = np.float32(1e-4)
GRAZE = np.float32(0.05)
INWARD = np.float32(0.02)
"""Periods below the surface where solids' textures are read: a face on the border of two cells shows one of them."""


@numba.njit(**INLINE)
def _across(width, more, n):
    """The part of a pixel's width along an axis that leans against the surface by `n`: none of it where the axis is its normal,
    or a face near the border of two cells would show the other one."""
    return NARROW + (width + more * (ONE - abs(n))) * min(max(THREE * (ONE - n * n), ZERO), ONE)


@numba.njit(**INLINE)
def solid_point(px, py, pz, rx, ry, rz, nx, ny, nz, spread, inverse, step):
    """A point of a solid in periods (1 / `inverse` metres) of its texture, bricks being stacked along z, and how many of
    them a pixel covers there that sees it along the ray r: pixels are `spread` times `step` apart."""
    slant = abs(nx * rx + ny * ry + nz * rz)
    width = spread * step * inverse
    more = width / max(slant, GRAZE) - width
    return (
        px * inverse - INWARD * nx, pz * inverse - INWARD * nz, py * inverse - INWARD * ny,
        _across(width, more, nx), _across(width, more, nz), _across(width, more, ny),
    )  # fmt: skip


@numba.njit(**INLINE)
def _square(u, width, inverse):
    """A square wave of period 1, +1 in the first half of it, seen through a window of that width."""
    v = u + QUARTER
    v = v - floor(v)
    fade = min(max(np.float32(1.5) - width, ZERO), ONE)
    return min(max((HALF - TWO * abs(v - HALF)) * inverse, -ONE), ONE) * fade


@numba.njit(**INLINE)
def stripes(u, fu):
    """Stripes along x."""
    return HALF - HALF * _square(u, fu, ONE / fu)


@numba.njit(**INLINE)
def flat_checker(u, v, fu, fv):
    """Squares of half a period."""
    inverse = ONE / (fu * fv)  # dividing once is cheaper
    return HALF + HALF * _square(u, fu, fv * inverse) * _square(v, fv, fu * inverse)


@numba.njit(**INLINE)
def checker(u, v, w, fu, fv, fw):
    """Cubes of half a period."""
    return HALF - HALF * _square(u, fu, ONE / fu) * _square(v, fv, ONE / fv) * _square(w, fw, ONE / fw)


@numba.njit(**INLINE)
def _gap(u, width, inverse, joint):
    """1 within the joints of that half width around the whole numbers, 0 between them."""
    edge = abs(u - floor(u + HALF))
    cover = min(max((joint - edge) * inverse + HALF, ZERO), ONE)
    mean = joint + joint
    fade = min(max(TWO - TWO * width, ZERO), ONE)
    return mean + (min(cover, mean * inverse) - mean) * fade


@numba.njit(**INLINE)
def _row(v):
    """How far a row of bricks is shifted."""
    row = floor(v + v)
    return HALF * (row - TWO * floor(row * HALF))


@numba.njit(**INLINE)
def flat_bricks(u, v, fu, fv):
    """Bricks a period long and half a period high, stacked along y, every other row shifted by half; mortar between."""
    inverse = ONE / (fu * fv)
    across = _gap(v + v, fv + fv, HALF * fu * inverse, JOINT + JOINT)
    return ONE - (ONE - across) * (ONE - _gap(u + _row(v), fu, fv * inverse, JOINT))


@numba.njit(**INLINE)
def bricks(u, v, w, fu, fv, fw):
    """The same in three dimensions: bricks are as deep as they are long."""
    deep = _gap(w + _row(v) + HALF, fw, ONE / fw, JOINT)
    return ONE - (ONE - flat_bricks(u, v, fu, fv)) * (ONE - deep)


@numba.njit(**INLINE)
def _shuffle(h):
    """A number from 0 to 2^24 from one that names a corner of a lattice."""
    h = np.uint32(np.uint32(h ^ np.uint32(h >> np.uint32(15))) * np.uint32(0x2C1B3C6D))
    return np.float32(np.int32(h >> np.uint32(8)))


@numba.njit(**INLINE)
def _between(a, low, high):
    """From `low` at 0 to `high` at 1, level at both ends."""
    return low + a * a * (THREE - TWO * a) * (high - low)


@numba.njit(**INLINE)
def _layer(u, v, h):
    """Value noise, random numbers on the whole numbers and smooth between them, from 0 to 2^24; `h` names the layer."""
    fu, fv = floor(u), floor(v)
    x, y = np.uint32(np.int32(fu)), np.uint32(np.int32(fv))
    x0, y0 = np.uint32(x * np.uint32(ALONG)), np.uint32(np.uint32(y * np.uint32(ACROSS)) ^ h)
    x1, y1 = (
        np.uint32(x0 + np.uint32(ALONG)),
        np.uint32(np.uint32(np.uint32(y * np.uint32(ACROSS)) + np.uint32(ACROSS)) ^ h),
    )
    a = u - fu
    low = _between(a, _shuffle(np.uint32(x0 ^ y0)), _shuffle(np.uint32(x1 ^ y0)))
    high = _between(a, _shuffle(np.uint32(x0 ^ y1)), _shuffle(np.uint32(x1 ^ y1)))
    return _between(v - fv, low, high)


@numba.njit(**INLINE)
def _lattice(u, v, w):
    """The same in three dimensions."""
    fw = floor(w)
    z = np.uint32(np.int32(fw))
    low = _layer(u, v, np.uint32(z * np.uint32(DOWN)))
    return _between(w - fw, low, _layer(u, v, np.uint32(np.uint32(z + np.uint32(1)) * np.uint32(DOWN))))


@numba.njit(**INLINE)
def _cloud(coarse, fine, width):
    """Two octaves of noise, from 0 to 2^24, as a mixture with more contrast and less of what is finer than a pixel."""
    coarse, fine = coarse * UNIT, fine * UNIT
    coarse = (coarse - HALF) * min(max(TWO - TWO * width, ZERO), ONE)
    fine = (fine - HALF) * min(max(TWO - TWO * TWO * width, ZERO), ONE)
    return min(max(HALF + np.float32(1.1) * coarse + np.float32(0.5) * fine, ZERO), ONE)


ALONG, ACROSS, DOWN = 0x8DA6B343, 0xD8163841, 0xCB1AB31F
"""Large odd numbers that turn the corners of a lattice into names."""
ZERO_LAYER = np.uint32(0)
UNIT = np.float32(1 / (1 << 24))
FREQUENCY = np.float32(4)
"""Lattice cells of the noise in a period."""
OFFSET = np.float32(19.19)


@numba.njit(**INLINE)
def noise(u, v, w, fu, fv, fw):
    """Clouds of about a quarter of a period."""
    u, v, w = u * FREQUENCY, v * FREQUENCY, w * FREQUENCY
    fine = _lattice(u + u + OFFSET, v + v + OFFSET, w + w + OFFSET)
    return _cloud(_lattice(u, v, w), fine, max(max(fu, fv), fw) * FREQUENCY)


@numba.njit(**INLINE)
def flat_noise(u, v, fu, fv):
    """The same on a plane, cheaper."""
    u, v = u * FREQUENCY, v * FREQUENCY
    fine = _layer(u + u + OFFSET, v + v + OFFSET, ZERO_LAYER)
    return _cloud(_layer(u, v, ZERO_LAYER), fine, max(fu, fv) * FREQUENCY)
