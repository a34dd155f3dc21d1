"""Where a ray meets a solid: one pure function of numbers per kind, in the solid's own axes.

Each takes the ray's origin and direction (of any length) and the solid's sizes, and gives back (t, nx, ny, nz): the
distance in lengths of the direction and the unit normal there; t is inf for a ray that misses, starts inside or leaves.
Everything is float32, and there are no branches: loops over such functions become SIMD code, and numba compiles the very
same ones for CUDA (`device`). Where squares of distances are subtracted, the ray first slides to where it passes
nearest, which keeps float32 exact enough far from the camera.
"""

import math

import numba
import numpy as np
from numba import extending

INF = np.float32(np.inf)
ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
TINY = np.float32(1e-12)

# Not nnan nor ninf: misses are infinite, and their normals are never looked at. Nothing is allocated, so nobody need
# count the references to arrays, which numba does by atomic instructions.
LOOP = {"fastmath": {"nsz", "arcp", "contract", "afn"}, "error_model": "numpy", "nogil": True, "_nrt": False}
# A loop with a call in it stays scalar, and LLVM does not think the longer of these worth inlining by itself.
INLINE = LOOP | {"forceinline": True}


@extending.intrinsic
def floor(_, x):
    """The whole number below a float32, as one; numba knows no `np.floor` on a graphics card."""

    def rounded(_, builder, __, arguments):
        return builder.call(builder.module.declare_intrinsic("llvm.floor", [arguments[0].type]), arguments)

    return numba.float32(numba.float32), rounded


@numba.njit(**INLINE)
def _away_from_zero(x):
    """A divisor: tiny where zero was."""
    return TINY if abs(x) < TINY else x


@numba.njit(**INLINE)
def _ball(ox, oy, oz, dx, dy, dz, r):
    """Where a line enters a sphere, the normal there, and a number that is positive if it does."""
    a = dx * dx + dy * dy + dz * dz
    m = (ox * dx + oy * dy + oz * dz) / a
    qx, qy, qz = ox - m * dx, oy - m * dy, oz - m * dz
    k = r * r - (qx * qx + qy * qy + qz * qz)
    root = math.sqrt(max(k, ZERO) / a)
    inverse = ONE / r
    nx, ny, nz = (qx - root * dx) * inverse, (qy - root * dy) * inverse, (qz - root * dz) * inverse
    return k, -m - root, nx, ny, nz


@numba.njit(**INLINE)
def sphere(ox, oy, oz, dx, dy, dz, r, _, __):
    """A sphere of radius `r`."""
    k, t, nx, ny, nz = _ball(ox, oy, oz, dx, dy, dz, r)
    return (t if (k > ZERO) & (t > ZERO) else INF), nx, ny, nz


@numba.njit(**INLINE)
def ellipsoid(ox, oy, oz, dx, dy, dz, rx, ry, rz):
    """An ellipsoid with those semi-axes: a unit sphere in stretched space."""
    ix, iy, iz = ONE / rx, ONE / ry, ONE / rz
    t, nx, ny, nz = sphere(ox * ix, oy * iy, oz * iz, dx * ix, dy * iy, dz * iz, ONE, ONE, ONE)
    nx, ny, nz = nx * ix, ny * iy, nz * iz
    inverse = ONE / math.sqrt(nx * nx + ny * ny + nz * nz)
    return t, nx * inverse, ny * inverse, nz * inverse


@numba.njit(**INLINE)
def box(ox, oy, oz, dx, dy, dz, hx, hy, hz):
    """A box with those half extents: the overlap of three slabs."""
    ix, iy, iz = ONE / _away_from_zero(dx), ONE / _away_from_zero(dy), ONE / _away_from_zero(dz)
    mx, my, mz = -ox * ix, -oy * iy, -oz * iz
    kx, ky, kz = abs(ix) * hx, abs(iy) * hy, abs(iz) * hz
    tx, ty, tz = mx - kx, my - ky, mz - kz
    t = max(max(tx, ty), tz)
    leave = min(min(mx + kx, my + ky), mz + kz)
    by_x = tx >= max(ty, tz)
    by_y = (not by_x) & (ty >= tz)
    nx = (-ONE if dx > ZERO else ONE) if by_x else ZERO
    ny = (-ONE if dy > ZERO else ONE) if by_y else ZERO
    nz = ZERO if by_x | by_y else (-ONE if dz > ZERO else ONE)
    return (t if (t < leave) & (t > ZERO) else INF), nx, ny, nz


@numba.njit(**INLINE)
def cylinder(ox, oy, oz, dx, dy, dz, r, h, _):
    """A cylinder of radius `r` and half length `h` along z: an endless one cut by a slab."""
    a = max(dx * dx + dy * dy, TINY)
    m = (ox * dx + oy * dy) / a
    qx, qy = ox - m * dx, oy - m * dy
    k = r * r - (qx * qx + qy * qy)
    root = math.sqrt(max(k, ZERO) / a)
    iz = ONE / _away_from_zero(dz)
    enter, slab = -m - root, -oz * iz - abs(iz) * h
    t = max(enter, slab)
    leave = min(root - m, abs(iz) * h - oz * iz)
    by_cap = slab > enter
    inverse = ONE / r
    nx = ZERO if by_cap else (ox + t * dx) * inverse
    ny = ZERO if by_cap else (oy + t * dy) * inverse
    nz = (-ONE if dz > ZERO else ONE) if by_cap else ZERO
    return (t if (k > ZERO) & (t < leave) & (t > ZERO) else INF), nx, ny, nz


@numba.njit(**INLINE)
def capsule(ox, oy, oz, dx, dy, dz, r, h, _):
    """A capsule of radius `r`, straight for half a length `h` along z: a tube, or one of the balls at its ends."""
    nearest = (ox * dx + oy * dy + oz * dz) / (dx * dx + dy * dy + dz * dz)
    ox, oy, oz = ox - nearest * dx, oy - nearest * dy, oz - nearest * dz
    a = max(dx * dx + dy * dy, TINY)
    m = (ox * dx + oy * dy) / a
    qx, qy = ox - m * dx, oy - m * dy
    k = r * r - (qx * qx + qy * qy)
    tube = -m - math.sqrt(max(k, ZERO) / a)
    z = oz + tube * dz
    end = h if z > ZERO else -h
    in_ball, ball, _, _, _ = _ball(ox, oy, oz - end, dx, dy, dz, r)
    in_tube = abs(z) <= h
    t = tube if in_tube else ball
    pz = oz + t * dz
    inverse = ONE / r
    nx, ny, nz = (ox + t * dx) * inverse, (oy + t * dy) * inverse, (pz - min(max(pz, -h), h)) * inverse
    hit = (k > ZERO) & (in_tube | (in_ball > ZERO))
    t = t - nearest
    return (t if hit & (t > ZERO) else INF), nx, ny, nz


@numba.njit(**INLINE)
def cone(ox, oy, oz, dx, dy, dz, r, h, _):
    """A cone with its base of radius `r` at z = -h and its tip at z = +h: half of a double cone, cut by a slab."""
    nearest = (ox * dx + oy * dy + oz * dz) / (dx * dx + dy * dy + dz * dz)
    ox, oy, oz = ox - nearest * dx, oy - nearest * dy, oz - nearest * dz
    slope = r / (h + h)
    kk = slope * slope
    below, down = h - oz, -dz  # measured from the tip, downwards
    a = dx * dx + dy * dy - kk * dz * dz
    a = np.float32(1e-9) if abs(a) < np.float32(1e-9) else a
    b = ox * dx + oy * dy - kk * below * down
    c = ox * ox + oy * oy - kk * below * below
    k = b * b - a * c
    root = math.sqrt(max(k, ZERO))
    one, two = (-b - root) / a, (root - b) / a
    first, last = min(one, two), max(one, two)
    # A ray steeper than the cone's side is inside the double cone before its first root and after its last one; the
    # part within the lower half lies on the side it is heading for.
    enter = first if a > ZERO else (last if down > ZERO else -INF)
    leave = last if a > ZERO else (INF if down > ZERO else first)
    iz = ONE / _away_from_zero(dz)
    slab = -oz * iz - abs(iz) * h
    leave = min(leave, abs(iz) * h - oz * iz)
    t = max(enter, slab)
    by_base = slab > enter
    px, py, pz = ox + t * dx, oy + t * dy, kk * (below + t * down)
    inverse = ONE / math.sqrt(max(px * px + py * py + pz * pz, TINY))
    nx = ZERO if by_base else px * inverse
    ny = ZERO if by_base else py * inverse
    nz = (-ONE if dz > ZERO else ONE) if by_base else pz * inverse
    hit = (k > ZERO) & (t < leave)
    t = t - nearest
    return (t if hit & (t > ZERO) else INF), nx, ny, nz


@numba.njit(**INLINE)
def squareness(nx, ny, nz, rx, ry, rz):
    """How squarely light from the end of that way falls on a surface, from 0 to 1."""
    square = nx * rx + ny * ry + nz * rz
    return max(square / math.sqrt(max(rx * rx + ry * ry + rz * rz, TINY)), ZERO)


@numba.njit(**INLINE)
def torus_span(ox, oy, oz, dx, dy, dz, ring, tube):
    """Where a ray enters and leaves the flat cylinder around a torus; (inf, inf) if it does not."""
    r = ring + tube
    a = max(dx * dx + dy * dy, TINY)
    m = (ox * dx + oy * dy) / a
    qx, qy = ox - m * dx, oy - m * dy
    k = r * r - (qx * qx + qy * qy)
    root = math.sqrt(max(k, ZERO) / a)
    iz = ONE / _away_from_zero(dz)
    enter = max(max(-m - root, -oz * iz - abs(iz) * tube), ZERO)
    leave = min(root - m, abs(iz) * tube - oz * iz)
    hit = (k > ZERO) & (enter < leave)
    return (enter if hit else INF), (leave if hit else INF)


@numba.njit(**INLINE)
def torus_distance(px, py, pz, ring, tube):
    """Distance of a point from a torus; negative inside."""
    q = math.sqrt(px * px + py * py) - ring
    return math.sqrt(q * q + pz * pz) - tube


@numba.njit(**INLINE)
def torus_normal(px, py, pz, ring, tube):
    """Unit normal of a torus at a point on it."""
    rho = math.sqrt(max(px * px + py * py, TINY))
    inward = (rho - ring) / (rho * tube)
    return px * inward, py * inward, pz / tube
