"""Triangle meshes of solids, in their own axes; height fields as meshes; smooth shading of meshes."""

import math

import numpy as np
from jaxtyping import Float, Float32, Int, Int32

import scenes

FACETS = 32
"""Sides of what is round; a torus has twice as many along its ring."""
UNBOUNDED = 50.0
"""Half extent, in metres, that a plane without bounds gets."""


def of(batch: scenes.Scenes, k: int) -> tuple[Float32[np.ndarray, "n 3"], Int32[np.ndarray, "m 3"]]:
    """Corners in metres, and faces, of solid `k` of a batch, of whatever kind."""
    if scenes.KINDS[batch.kind[k]] == "mesh":
        own = batch.meshes[batch.mesh[k]]
        return own.vertices * batch.size[k], own.faces
    return mesh(int(batch.kind[k]), batch.size[k])


def mesh(kind: int, size: np.ndarray) -> tuple[Float32[np.ndarray, "n 3"], Int32[np.ndarray, "m 3"]]:
    """Corners in metres, and faces of three corners each, counter-clockwise from outside.

    Args:
        kind: Index into `scenes.KINDS`, but for meshes (see `of`).
        size: The solid's, as its kind means it.
    """
    corners, faces = _MESHES[scenes.KINDS[kind]](*np.asarray(size, np.float64))
    return np.asarray(corners, np.float32), np.asarray(faces, np.int32)


def height_field(heights: Float[np.ndarray, "r c"], half_x: float, half_y: float, base: float = 0.1) -> scenes.Mesh:
    """The ground below a grid of heights, with sides and a bottom: terrain is a mesh and needs no kind of its own.

    Each cell of the grid is cut along the diagonal on which x and y both grow, as MuJoCo cuts it.

    Args:
        heights: Metres above the mesh's z = 0; rows run along +y, columns along +x, and there are at least two of each.
        half_x: Half extent along x.
        half_y: Half extent along y.
        base: How far below z = 0 the bottom lies.

    Raises:
        ValueError: in one line, when the numbers make no ground.
    """
    heights = np.asarray(heights, np.float32)
    rows, columns = heights.shape
    if min(rows, columns) < 2 or not (half_x > 0 and half_y > 0) or 2 * rows * columns > scenes.MOST_FACES:
        size = f"{rows} x {columns} heights over {2 * half_x} x {2 * half_y} m"
        raise ValueError(f"height field: {size}, wanted 2 x 2 to {scenes.MOST_FACES // 2} in all, over a positive area")
    x, y = np.meshgrid(np.linspace(-half_x, half_x, columns), np.linspace(-half_y, half_y, rows))
    top = np.stack([x.ravel(), y.ravel(), heights.ravel()], 1)
    cell = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b, c, d = (part.ravel() for part in (cell[:-1, :-1], cell[:-1, 1:], cell[1:, 1:], cell[1:, :-1]))
    # Once around, counter-clockwise seen from above, and the same below.
    rim = np.concatenate([cell[0, :-1], cell[:-1, -1], cell[-1, :0:-1], cell[:0:-1, 0]])
    below = (len(top) + np.arange(len(rim))).astype(np.int32)
    after, below_after = np.roll(rim, -1), np.roll(below, -1)
    middle = np.full_like(below, below[-1] + 1)
    faces = [(a, b, c), (a, c, d), (below, below_after, after), (below, after, rim), (below_after, below, middle)]
    low = np.concatenate([top[rim, :2], np.full((len(rim), 1), -base)], 1)
    vertices = np.concatenate([top, low, [[0, 0, -base]]]).astype(np.float32)
    return scenes.Mesh(vertices, np.concatenate([np.stack(face, 1) for face in faces]))


def smooth(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], crease: float = 0.8) -> scenes.Mesh:
    """A mesh whose faces shade into one another, but for those that meet at a sharper angle.

    The normal of a vertex is the mean, by area, of the faces around it, taken once more of those alone whose own normals
    have a cosine of `crease` or more with the first; corners of the others keep their own.
    """
    vertices, faces = np.asarray(vertices, np.float32), np.asarray(faces, np.int32)
    areas = np.repeat(_areas(vertices, faces)[:, None], 3, 1)
    parts = areas
    for _ in range(2):
        total = np.zeros((len(vertices), 3))
        np.add.at(total, faces, parts)
        near = (_unit(total)[faces] * _unit(areas)).sum(-1) >= crease
        parts = np.where(near[..., None], areas, 0)
    return scenes.Mesh(vertices, faces, creased(vertices, faces, total[faces], crease))


def creased(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    normals: Float[np.ndarray, "f 3 3"],
    crease: float,
) -> Float32[np.ndarray, "f 3 3"]:
    """Those `normals` at the corners of faces, of length 1; the face's own where the cosine between them is below `crease`."""
    given, own = _unit(normals), _unit(_areas(vertices, faces))[:, None]
    return np.where(((given * own).sum(-1) < crease)[..., None], own, given).astype(np.float32)


def _areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Vectors along the normals of faces, of twice their areas' length."""
    a, b, c = (np.asarray(vertices, np.float64)[faces[:, i]] for i in range(3))
    return np.cross(b - a, c - a)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1; upwards where there is no direction."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(length > 0, vectors / np.where(length > 0, length, 1), [0.0, 0.0, 1.0])


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
