"""Triangle meshes of solids, in their own axes."""

import math

import numpy as np
from jaxtyping import Float32, Int32

import scenes

FACETS = 32
"""Sides of what is round; a torus has twice as many along its ring."""
UNBOUNDED = 50.0
"""Half extent, in metres, that a plane without bounds gets."""


def mesh(kind: int, size: np.ndarray) -> tuple[Float32[np.ndarray, "n 3"], Int32[np.ndarray, "m 3"]]:
    """Corners in metres, and faces of three corners each, counter-clockwise from outside.

    Args:
        kind: Index into `scenes.KINDS`.
        size: The solid's, as its kind means it.
    """
    corners, faces = _MESHES[scenes.KINDS[kind]](*np.asarray(size, np.float64))
    return np.asarray(corners, np.float32), np.asarray(faces, np.int32)


def _plane(x: float, y: float, _: float):
    x, y = x or UNBOUNDED, y or UNBOUNDED
    return [[-x, -y, 0], [x, -y, 0], [x, y, 0], [-x, y, 0]], [[0, 1, 2], [0, 2, 3]]


def _box(x: float, y: float, z: float):
    corners = np.array([[i, j, k] for i in (-x, x) for j in (-y, y) for k in (-z, z)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return corners, [face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))]


def _turned(profile: np.ndarray):
    """The surface that a profile (radius, height) sweeps about z, from its lower end on the axis to its upper one."""
    inner = profile[1:-1]
    turn = np.arange(FACETS) * 2 * math.pi / FACETS
    around = np.stack([np.cos(turn), np.sin(turn)], 1)
    rings = np.concatenate([np.concatenate([r * around, np.full((FACETS, 1), h)], 1) for r, h in inner])
    bottom, top = len(rings), len(rings) + 1
    near = np.arange(FACETS)
    far = (near + 1) % FACETS
    faces = [np.stack([far, near, np.full(FACETS, bottom)], 1)]
    for ring in range(len(inner) - 1):
        a, b = ring * FACETS + near, ring * FACETS + far
        faces += [np.stack([a, b, b + FACETS], 1), np.stack([a, b + FACETS, a + FACETS], 1)]
    last = (len(inner) - 1) * FACETS
    faces.append(np.stack([last + near, last + far, np.full(FACETS, top)], 1))
    return np.concatenate([rings, [[0, 0, profile[0, 1]], [0, 0, profile[-1, 1]]]]), np.concatenate(faces)


def _arc(n: int = FACETS // 2) -> np.ndarray:
    """A half circle of radius 1, from pole to pole, as (radius, height)."""
    angle = np.linspace(-math.pi / 2, math.pi / 2, n + 1)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _sphere(radius: float, *_: float):
    return _turned(radius * _arc())


def _ellipsoid(x: float, y: float, z: float):
    corners, faces = _turned(_arc())
    return corners * (x, y, z), faces


def _capsule(radius: float, half: float, _: float):
    arc = radius * _arc()
    middle = len(arc) // 2
    up = np.array([0, half])
    return _turned(np.concatenate([arc[: middle + 1] - up, arc[middle:] + up]))


def _cylinder(radius: float, half: float, _: float):
    return _turned(np.array([[0, -half], [radius, -half], [radius, half], [0, half]]))


def _cone(radius: float, half: float, _: float):
    return _turned(np.array([[0, -half], [radius, -half], [0, half]]))


def _torus(radius: float, tube: float, _: float):
    u, v = np.divmod(np.arange(2 * FACETS * FACETS), FACETS)
    around, across = u * math.pi / FACETS, v * 2 * math.pi / FACETS
    out = radius + tube * np.cos(across)
    corners = np.stack([out * np.cos(around), out * np.sin(around), tube * np.sin(across)], 1)
    next_u, next_v = (u + 1) % (2 * FACETS) * FACETS, (v + 1) % FACETS
    a, b, c, d = u * FACETS + v, next_u + v, next_u + next_v, u * FACETS + next_v
    return corners, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


_MESHES = {
    "plane": _plane, "box": _box, "sphere": _sphere, "capsule": _capsule, "cylinder": _cylinder, "cone": _cone,
    "ellipsoid": _ellipsoid, "torus": _torus,
}  # fmt: skip
