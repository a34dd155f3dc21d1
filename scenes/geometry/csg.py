"""Constructive solids: unions, intersections and differences of boxes, spheres and cylinders, with exact distance.

A solid is a chain of parts, each turned and shifted: the first, united with, cut by or less the second, that again with
the third, and so on. All lie in their own axes, in float64.

Why not the least and the greatest of the parts' distances: their sign is right, but they are no distances, neither
outside where something was cut away nor inside a union. The nearest point of the surface is looked for instead. It is
the foot of the perpendicular on a plane, a sphere or a cylinder; or on a curve where two of them meet; or it is a corner
where three meet. All of these are candidates, and those that lie on the surface of the solid count. So what is found is
never too near, and, since every nearest point is among them, never too far.

Why these parts: the nearest points on their walls are known, and the curves where two walls meet are smooth unless the
walls touch. There, and where walls of two parts coincide, the solid is that of the formula: the least of parts, of which
each is open, so that two boxes that share a wall have it between them.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

import scenes
from scenes.geometry import meshes as facets
from scenes.geometry import walls as wl
from scenes.kit import seeds

PARTS = ("box", "sphere", "cylinder")
"""What a part may be. Its `size` is that of the kind in `scenes.KINDS`."""
OPERATIONS = ("union", "intersection", "difference")
_CHUNK, _MOST = 1024, 12
_ROUNDS = 200


@dataclasses.dataclass(frozen=True, eq=False)
class Solids:
    """`b` solids of `k` parts each."""

    part: Int[np.ndarray, "b k"]
    """Index into `PARTS`."""
    size: Float[np.ndarray, "b k 3"]
    position: Float[np.ndarray, "b k 3"]
    rotation: Float[np.ndarray, "b k 4"]
    """Unit quaternion (w, x, y, z)."""
    operation: Int[np.ndarray, "b k"]
    """Index into `OPERATIONS`: what a part does to all before it; the first one's is not used."""

    def __len__(self) -> int:
        return len(self.part)


def walls(solids: Solids, i: int) -> wl.Walls:
    """The walls of solid `i`. The latest are kept, with their edges, since mesh, points and distances ask for the same."""
    row = [np.ascontiguousarray(getattr(solids, field.name)[i]) for field in dataclasses.fields(solids)]
    part, *numbers, operation = row
    numbers = [np.asarray(one, np.float64).tobytes() for one in numbers]
    return _walls(tuple(part.tolist()), *numbers, tuple(operation.tolist()))


@functools.lru_cache(maxsize=64)
def _walls(part: tuple, size: bytes, position: bytes, rotation: bytes, operation: tuple) -> wl.Walls:
    size, position = (np.frombuffer(one).reshape(-1, 3) for one in (size, position))
    turn = scenes.rotation_matrices(np.frombuffer(rotation).reshape(-1, 4))
    rows: list[tuple] = []
    first = []
    for k, kind in enumerate(part):
        first.append(len(rows))
        x, y, z = turn[k].T
        if PARTS[kind] == "sphere":
            rows.append((wl.SPHERE, position[k], z, size[k, 0]))
            continue
        planes = [(z, size[k, 1])]
        if PARTS[kind] == "box":
            planes = list(zip((x, y, z), size[k]))
        else:
            rows.append((wl.CYLINDER, position[k], z, size[k, 0]))
        rows += [(wl.PLANE, position[k] + s * far * axis, s * axis, 0.0) for axis, far in planes for s in (1, -1)]
    kind, centre, axis, radius = zip(*rows)
    out = np.linalg.norm(position, axis=1) + np.linalg.norm(size, axis=1)
    # What is cut away reaches no further than what it is cut from.
    reach = max(far for far, o in zip(out, (wl.UNION, *operation[1:])) if o == wl.UNION)
    numbers = (np.array(one, np.float64) for one in (centre, axis, radius))
    return wl.Walls(np.array(kind), *numbers, np.array(first), operation, float(reach))


def inside(solids: Solids, points: Float[np.ndarray, "b n 3"]) -> Bool[np.ndarray, "b n"]:
    """Which points lie within."""
    made = (walls(solids, i) for i in range(len(solids)))
    found = [own.combined(own.values(p)) < 0 for own, p in zip(made, np.asarray(points, np.float64))]
    return np.array(found).reshape(points.shape[:2])


def distance(solids: Solids, points: Float[np.ndarray, "b n 3"]) -> Float64[np.ndarray, "b n"]:
    """Signed distance to the surfaces, positive outside, to 1e-8. A solid without inside has none: infinite."""
    found = np.empty(points.shape[:2])
    points = np.asarray(points, np.float64)
    for i in range(len(points)):
        own = walls(solids, i)
        for begin in range(0, points.shape[1], _CHUNK):
            here = points[i, begin : begin + _CHUNK]
            found[i, begin : begin + _CHUNK] = _nearest(own, here)[0]
        found[i] *= np.where(own.combined(own.values(points[i])) < 0, -1, 1)
    return found


def _nearest(own: wl.Walls, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the nearest points of the surface are, and where."""
    best, place = np.full(len(points), np.inf), points.copy()
    edges = own.edges
    away = (points**2).sum(1)[:, None] - 2 * points @ edges.at.T + (edges.at**2).sum(1)
    if edges.n_real:
        place = edges.at[away[:, : edges.n_real].argmin(1)]
        best = np.linalg.norm(points - place, axis=1)
    if len(edges.corners):
        corner = edges.corners[((points[:, None] - edges.corners) ** 2).sum(-1).argmin(1)]
        _offer(np.arange(len(points)), np.linalg.norm(points - corner, axis=1), corner, best, place)
    _faces(own, points, best, place)
    if len(edges.at):
        _curves(own, points, away, best, place)
    return best, place


def _offer(row: np.ndarray, far: np.ndarray, at: np.ndarray, best: np.ndarray, place: np.ndarray) -> None:
    """Put candidates in the place of what is farther; a row may have several."""
    order = np.lexsort((far, row))
    first = order[np.unique(row[order], return_index=True)[1]]
    first = first[far[first] < best[row[first]]]
    best[row[first]], place[row[first]] = far[first], at[first]


def _faces(own: wl.Walls, points: np.ndarray, best: np.ndarray, place: np.ndarray) -> None:
    """Offer the feet of perpendiculars on walls: of each point the nearest of those that lie on the surface."""
    values = own.values(points)
    order = np.argsort(np.abs(values), axis=1)
    pending = np.arange(len(points))
    for k in range(order.shape[1]):
        wall = order[pending, k]
        value = values[pending, wall]
        # The nearest walls come first: what is as far as something found already is of no use, nor is any after it.
        go = np.abs(value) < best[pending]
        pending, wall, value = pending[go], wall[go], value[go]
        if not len(pending):
            return
        foot = points[pending] - value[:, None] * own.normals(points[pending], wall)[0]
        on = np.abs(own.combined(own.values(foot))) < wl.ON
        best[pending[on]], place[pending[on]] = np.abs(value[on]), foot[on]
        pending = pending[~on]


def _curves(own: wl.Walls, points: np.ndarray, away: np.ndarray, best: np.ndarray, place: np.ndarray) -> None:
    """Offer the nearest points of curves, looked for from all points of `edges` that are near enough.

    Half of the square of the distance to a point that moves along a curve of curvature c changes its slope by no more than
    1 + c d: a nearest point with distance d has a point of `edges` within `gap` whose square is not greater by more than
    (1 + c d) gap^2.
    """
    edges = own.edges
    bent = np.linalg.norm(edges.curvature, axis=1)
    row, edge = np.nonzero(away - edges.gap**2 <= best[:, None] ** 2 + np.outer(best, edges.gap**2 * bent))
    at, p, gap = edges.at[edge], points[row], edges.gap[edge]
    step, slope = _step(at - p, edges.tangent[edge], edges.curvature[edge])
    # Where Newton's first step leads: not far, if this is the point that is near, and down to `best`, but for the error of
    # third order.
    least = away[row, edge] + slope * step
    slack = gap**3 * bent[edge] * (1 + best[row] * bent[edge])
    go = (np.abs(step) < gap) & (least <= best[row] ** 2 + 2 * slack + 1e-9)
    row, edge, at, p, gap, step = row[go], edge[go], at[go], p[go], gap[go], step[go]
    walls, tangent, curvature = edges.walls[edge], edges.tangent[edge], edges.curvature[edge]
    active = np.arange(len(at))
    for _ in range(_MOST):
        step = np.clip(step, -gap[active], gap[active])[:, None]
        moved = at[active] + step * tangent + step**2 / 2 * curvature
        at[active] = own.project(moved, walls[active], 1)
        # A step as small as this leaves an error of its square.
        active = active[np.abs(step[:, 0]) > 1e-6]
        if not len(active):
            break
        tangent, curvature = own.along(at[active], walls[active])
        step = _step(at[active] - p[active], tangent, curvature)[0]
    at = own.project(at, walls, 1)
    values = own.values(at)
    on = np.abs(own.combined(values)) < wl.ON
    on &= np.abs(np.take_along_axis(values, walls, 1)).max(1, initial=0) < wl.ON
    _offer(row[on], np.linalg.norm(at - p, axis=1)[on], at[on], best, place)


def _step(away: np.ndarray, tangent: np.ndarray, curvature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Newton's step along curves towards the points nearest to others, or downhill; and the slope of half the square."""
    slope, bend = np.einsum("nd,nd->n", away, tangent), 1 + np.einsum("nd,nd->n", away, curvature)
    return -slope / np.maximum(np.abs(bend), 0.05), slope


def surface(
    solids: Solids, n: int, key: int, index: Int[np.ndarray, " b"]
) -> tuple[Float64[np.ndarray, "b {n} 3"], Float64[np.ndarray, "b {n} 3"]]:
    """`n` points on the surface of each solid, even by area, and unit normals there.

    Points even over all parts are drawn, and those kept that lie on the solid's surface. Row i depends on its solid, `key`
    and `index[i]` alone.

    Raises:
        ValueError: a solid has no surface, or next to none.
    """
    at, normals = np.zeros((2, len(solids), n, 3))
    for i in range(len(solids)):
        kept, found = [], 0
        own = walls(solids, i)
        for stream in range(_ROUNDS):
            u = seeds.uniform(key, np.asarray(index[i : i + 1], np.int64), 6 * n, stream).reshape(-1, 3)
            points, wall = _scattered(solids, i, own, u)
            on = np.abs(own.combined(own.values(points))) < wl.ON
            kept.append((points[on], wall[on]))
            found += int(on.sum())
            if found >= n:
                break
        else:
            raise ValueError(f"solid {i} has next to no surface: {found} of {2 * n * _ROUNDS} points lie on it")
        at[i], wall = (np.concatenate(parts)[:n] for parts in zip(*kept))
        normals[i] = own.normals(at[i], wall)[0] * _outwards(own, wall)[:, None]
    return at, normals


def _outwards(own: wl.Walls, wall: np.ndarray) -> np.ndarray:
    """Whether the solid's surface faces away from the part of a wall (1), or into it, which was taken away (-1)."""
    part = np.searchsorted(own.first, wall, side="right") - 1
    return np.where((np.array(own.operation)[part] == wl.DIFFERENCE) & (part > 0), -1.0, 1.0)


def _scattered(solids: Solids, i: int, own: wl.Walls, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points even by area over all parts of a solid, from numbers in [0, 1), and the walls they are on."""
    size, position = np.asarray(solids.size[i], np.float64), np.asarray(solids.position[i], np.float64)
    turn = scenes.rotation_matrices(np.asarray(solids.rotation[i], np.float64))
    part = np.searchsorted(own.first, np.arange(len(own.kind)), side="right") - 1
    area = np.zeros(len(own.kind))
    for wall, k in enumerate(part):
        x, y, z = size[k]
        if PARTS[solids.part[i, k]] == "box":
            area[wall] = (4 * y * z, 4 * x * z, 4 * x * y)[(wall - own.first[k]) // 2]
        elif own.kind[wall] == wl.PLANE:
            area[wall] = np.pi * x * x
        else:
            area[wall] = 4 * np.pi * x * (x if own.kind[wall] == wl.SPHERE else y)
    wall = np.minimum(np.searchsorted(np.cumsum(area) / area.sum(), u[:, 0], side="right"), len(area) - 1)
    a, b, angle, k = 2 * u[:, 1] - 1, 2 * u[:, 2] - 1, 2 * np.pi * u[:, 2], part[wall]
    x, y, z = size[k].T
    kind, side = np.asarray(solids.part[i])[k], wall - own.first[k]
    end = np.where(side % 2 == 0, 1.0, -1.0)
    box = np.stack([a * x, b * y, b * z], 1)
    box[:, 1] = np.where(side < 2, a * y, box[:, 1])
    np.put_along_axis(box, (side // 2 % 3)[:, None], (end * size[k, side // 2 % 3])[:, None], 1)
    flat = np.sqrt(np.maximum(1 - a * a, 0))
    ball = x[:, None] * np.stack([flat * np.cos(angle), flat * np.sin(angle), a], 1)
    # Of a cylinder the first wall is the side, then come the upper and the lower end.
    out = np.where(side == 0, 1, np.sqrt(u[:, 1])) * x
    height = np.where(side == 0, a, np.where(side == 1, 1, -1)) * y
    tube = np.stack([out * np.cos(angle), out * np.sin(angle), height], 1)
    own_axes = np.select([(kind == 0)[:, None], (kind == 1)[:, None]], [box, ball], tube)
    return np.einsum("nij,nj->ni", turn[k], own_axes) + position[k], wall


def meshes(solids: Solids) -> list[scenes.Mesh]:
    """One mesh of each, closed, with sharp edges and smooth faces: its vertices lie on the surface, those of edges on both
    walls, those of corners on three.

    What belongs where is told by a boolean of facetted parts (the library manifold3d); then every vertex is moved onto the
    walls of the faces around it.

    Raises:
        ValueError: a solid is empty.
    """
    return [_mesh(solids, i) for i in range(len(solids))]


def _mesh(solids: Solids, i: int) -> scenes.Mesh:
    import manifold3d

    own = walls(solids, i)
    ends = np.append(own.first, len(own.kind))
    turn = scenes.rotation_matrices(np.asarray(solids.rotation[i], np.float64))
    whole, source = None, []
    for k, kind in enumerate(solids.part[i]):
        corners, faces = facets.mesh(scenes.KINDS.index(PARTS[kind]), np.asarray(solids.size[i, k]))
        corners = corners.astype(np.float64) @ turn[k].T + np.asarray(solids.position[i, k], np.float64)
        middle = np.abs(own.values(corners[faces].mean(1))[:, ends[k] : ends[k + 1]])
        first = sum(map(len, source))
        source.append(ends[k] + middle.argmin(1))
        # No two faces have one number: the library keeps every edge between those that differ.
        number = np.arange(first, first + len(faces), dtype=np.uint64)
        made = manifold3d.Manifold(manifold3d.Mesh64(corners, faces.astype(np.uint64), face_id=number))
        whole = made if whole is None else _joined(whole, made, int(solids.operation[i, k]))
    made = whole.to_mesh64()
    faces = np.asarray(made.tri_verts).astype(np.int32)
    if not len(faces):
        raise ValueError(f"solid {i} is empty")
    wall = np.concatenate(source)[np.asarray(made.face_id).astype(np.int64)]
    vertices = _settled(own, np.array(made.vert_properties)[:, :3], faces, wall)
    normals = own.normals(vertices[faces].reshape(-1, 3), np.repeat(wall, 3))[0].reshape(-1, 3, 3)
    normals *= _outwards(own, wall)[:, None, None]
    return scenes.Mesh(vertices.astype(np.float32), faces, normals.astype(np.float32))


def _joined(whole: Any, part: Any, operation: int) -> Any:
    return (whole + part, whole ^ part, whole - part)[operation]


def _settled(own: wl.Walls, vertices: np.ndarray, faces: np.ndarray, wall: np.ndarray) -> np.ndarray:
    """Vertices moved onto the walls of the faces around them, onto three at most."""
    around = np.zeros((len(vertices), len(own.kind)), bool)
    around[faces.ravel(), np.repeat(wall, 3)] = True
    count = np.minimum(around.sum(1), 3)
    chosen = np.argsort(~around, axis=1, kind="stable")
    moved = vertices.copy()
    for n in (2, 3):
        rows = np.flatnonzero(count == n)
        moved[rows] = own.project(vertices[rows], chosen[rows, :n], 8)
    rows = np.flatnonzero(count == 1)
    value, normal, _ = own.value(vertices[rows], chosen[rows, 0])
    moved[rows] = vertices[rows] - value[:, None] * normal
    # Facets may meet where the walls themselves pass each other: some vertices then belong elsewhere.
    rows = np.flatnonzero(np.abs(own.combined(own.values(moved))) > wl.ON)
    if len(rows):
        moved[rows] = _nearest(own, vertices[rows])[1]
    return moved
