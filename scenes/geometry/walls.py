"""Walls: the planes, spheres and endless cylinders that bound constructive solids, and the curves and corners where they meet.

Everything here is float64, in the solid's own axes. The value of a point at a wall is its exact signed distance to it,
negative on the side where the part lies.
"""

import dataclasses
import functools
import math

import numpy as np
from jaxtyping import Float64, Int64

PLANE, SPHERE, CYLINDER = range(3)
UNION, INTERSECTION, DIFFERENCE = range(3)
ON = 1e-9
"""A point lies on a wall, or on the surface of the solid, if its value there is no more than this from 0."""
_DEPTH = 5
"""How often space is cut in halves each way where edges are looked for: a cell is 1/32 of the cube around the solid."""
_TURNS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)


@dataclasses.dataclass(frozen=True, eq=False)
class Edges:
    """Points on the curves where two walls meet, so many that each of a curve has one within that one's `gap`.

    Those that lie on the solid's surface come first, `n_real` of them; others lie on the same curves, a little beyond.
    """

    at: Float64[np.ndarray, "e 3"]
    walls: Int64[np.ndarray, "e 2"]
    tangent: Float64[np.ndarray, "e 3"]
    curvature: Float64[np.ndarray, "e 3"]
    """The vector of curvature of the curve."""
    gap: Float64[np.ndarray, " e"]
    n_real: int
    corners: Float64[np.ndarray, "c 3"]
    """Where three walls meet on the solid's surface."""


@dataclasses.dataclass(frozen=True, eq=False)
class Walls:
    """The walls of one solid, part after part.

    Args:
        kind: `PLANE`, `SPHERE` or `CYLINDER` of each wall.
        centre: A point on a plane, the middle of a sphere, a point on a cylinder's axis.
        axis: Of length 1: a plane's normal, away from the part; a cylinder's direction; any for a sphere.
        radius: 0 for a plane.
        first: Number of the first wall of each part; a part is what lies within all of its walls.
        operation: `UNION`, `INTERSECTION` or `DIFFERENCE`: what each part does to all before it; the first one's is not used.
        reach: No part that matters goes beyond this distance from the origin along any axis.
    """

    kind: Int64[np.ndarray, " m"]
    centre: Float64[np.ndarray, "m 3"]
    axis: Float64[np.ndarray, "m 3"]
    radius: Float64[np.ndarray, " m"]
    first: Int64[np.ndarray, " k"]
    operation: tuple[int, ...]
    reach: float

    def values(self, points: np.ndarray) -> np.ndarray:
        """Signed distances of points n 3 to every wall: n m."""
        along = points @ self.axis.T - (self.centre * self.axis).sum(1)
        square = (points**2).sum(1)[:, None] - 2 * points @ self.centre.T + (self.centre**2).sum(1)
        square -= np.where(self.kind == CYLINDER, along**2, 0)
        return np.where(self.kind == PLANE, along, np.sqrt(np.maximum(square, 0)) - self.radius)

    def combined(self, values: np.ndarray) -> np.ndarray:
        """From values n m, one number a point: negative within the solid, 0 on its surface alone.

        Every wall stands in the formula once, so that nothing cancels. It changes no faster than one walks, but is a
        distance only where the nearest point of the surface lies on the wall that decides.
        """
        parts = np.maximum.reduceat(values, self.first, axis=1)
        whole = parts[:, 0]
        for part, operation in zip(parts.T[1:], self.operation[1:]):
            if operation == UNION:
                whole = np.minimum(whole, part)
            else:
                whole = np.maximum(whole, part if operation == INTERSECTION else -part)
        return whole

    def normals(self, points: np.ndarray, wall: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of points, each with the wall `wall`: unit normals there, and how far the wall's middle (or axis) is."""
        kind, axis = self.kind[wall], self.axis[wall]
        out = points - self.centre[wall]
        out -= np.where(kind == CYLINDER, _dot(out, axis), 0)[:, None] * axis
        length = np.sqrt(_dot(out, out))
        # In the very middle every direction is as good as another.
        lost = length < 1e-12
        if lost.any():
            out[lost], length[lost] = 1e-12 * _across(axis[lost]), 1e-12
        return np.where((kind == PLANE)[:, None], axis, out / length[:, None]), length

    def value(self, points: np.ndarray, wall: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of points, each with one wall: signed distance, normal, distance from the middle."""
        normal, far = self.normals(points, wall)
        flat = self.kind[wall] == PLANE
        return np.where(flat, _dot(points - self.centre[wall], normal), far - self.radius[wall]), normal, far

    def project(self, points: np.ndarray, walls: np.ndarray, times: int) -> np.ndarray:
        """Points nearer to where two or three walls (n 2 or n 3) meet, by Newton's method: always the shortest step."""
        for _ in range(times):
            each = [self.value(points, walls[:, i]) for i in range(walls.shape[1])]
            (f, a, _), (g, b, _) = each[:2]
            if len(each) == 2:
                cos = _dot(a, b)
                rest = np.maximum(1 - cos**2, 1e-12)
                points = points - ((f - cos * g) / rest)[:, None] * a - ((g - cos * f) / rest)[:, None] * b
            else:
                h, c, _ = each[2]
                bc, ca, ab = _cross(b, c), _cross(c, a), _cross(a, b)
                volume = _dot(a, bc)
                volume = np.where(np.abs(volume) > 1e-12, volume, 1e-12)
                points = points - (f[:, None] * bc + g[:, None] * ca + h[:, None] * ab) / volume[:, None]
        return points

    def along(self, points: np.ndarray, walls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of points on curves where two walls meet: unit tangents, and vectors of curvature."""
        a, b = (self.normals(points, walls[:, i]) for i in (0, 1))
        tangent = _cross(a[0], b[0])
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1), 1e-12)[:, None]
        turned = [self._bend(tangent, walls[:, i], far) for i, (_, far) in enumerate((a, b))]
        cos = _dot(a[0], b[0])
        rest = np.maximum(1 - cos**2, 1e-12)
        one, other = (turned[0] - cos * turned[1]) / rest, (turned[1] - cos * turned[0]) / rest
        return tangent, -(one[:, None] * a[0] + other[:, None] * b[0])

    def _bend(self, tangent: np.ndarray, wall: np.ndarray, far: np.ndarray) -> np.ndarray:
        """How a wall bends along a tangent: the second derivative of its value."""
        kind = self.kind[wall]
        flat = np.where(kind == CYLINDER, 1 - _dot(tangent, self.axis[wall]) ** 2, 1)
        return np.where(kind == PLANE, 0, flat / far)

    @functools.cached_property
    def edges(self) -> Edges:
        """Where walls meet. Space is cut into ever smaller cells, of which those stay that the surface and two walls pass."""
        centre, half = np.zeros((1, 3)), self.reach
        for _ in range(_DEPTH):
            half /= 2
            centre = (centre[:, None] + half * _TURNS).reshape(-1, 3)
            values = self.values(centre)
            # A value changes no faster than one walks: beyond a cell's half diagonal nothing of it is in there.
            near = np.abs(values) <= math.sqrt(3) * half
            stay = (near.sum(1) >= 2) & (np.abs(self.combined(values)) <= math.sqrt(3) * half)
            centre, near = centre[stay], near[stay]
        pairs = np.stack(np.triu_indices(len(self.kind), 1), 1)
        row, pair = np.nonzero(near[:, pairs[:, 0]] & near[:, pairs[:, 1]])
        walls, begin = pairs[pair], centre[row]
        aslant = np.linalg.norm(_cross(*(self.normals(begin, walls[:, i])[0] for i in (0, 1))), axis=1) > 1e-6
        walls, begin = walls[aslant], begin[aslant]
        at = self.project(begin, walls, 3)
        stay = np.abs(at - begin).max(1, initial=0) < 1.3 * half
        at, walls = self.project(at[stay], walls[stay], 3), walls[stay]
        values = self.values(at)
        stay = np.abs(np.take_along_axis(values, walls, 1)).max(1, initial=0) < ON
        stay &= np.abs(self.combined(values)) < 4 * half
        at, walls, values = at[stay], walls[stay], values[stay]
        tangent, curvature = self.along(at, walls)
        corners = self._corners(at, walls, values, tangent, curvature, 4 * half)
        real = np.abs(self.combined(values)) < ON
        first = np.argsort(~real, kind="stable")
        # Of a straight line a few will do: Newton's method finds its nearest point in one step from anywhere.
        straight = (self.kind[walls] == PLANE).all(1)[first]
        stretch = np.floor(_dot(at, tangent)[first] / (6 * half))
        key = np.stack([*walls[first].T, np.where(straight, stretch, np.arange(len(first)))], 1)
        kept = first[np.sort(np.unique(key, axis=0, return_index=True)[1])]
        # Measured, no point of an edge is further from one of all these points than 1.1 times `half`.
        gap = np.where((self.kind[walls[kept]] == PLANE).all(1), 8.0, 2.0) * half
        return Edges(at[kept], walls[kept], tangent[kept], curvature[kept], gap, int(real[kept].sum()), corners)

    def _corners(self, at, walls, values, tangent, curvature, near) -> np.ndarray:
        """Where a third wall crosses curves near some of their points, twice perhaps."""
        third = np.abs(values) < near
        np.put_along_axis(third, walls, False, 1)
        row, wall = np.nonzero(third)
        value, normal, far = values[row, wall], *self.normals(at[row], wall)
        # Along the curve the value is nearly value + slope s + bend s^2 / 2.
        slope = _dot(normal, tangent[row])
        bend = self._bend(tangent[row], wall, far) + _dot(normal, curvature[row])
        root = np.sqrt(np.maximum(slope**2 - 2 * bend * value, 0))
        q = -(slope + np.where(slope < 0, -root, root))
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = np.stack([2 * value / q, q / bend], 1)
        good = np.isfinite(steps) & (np.abs(steps) < near)
        which, side = np.nonzero(good)
        row, wall, step = row[which], wall[which], steps[which, side][:, None]
        begin = at[row] + step * tangent[row] + step**2 / 2 * curvature[row]
        three = np.concatenate([walls[row], wall[:, None]], 1)
        found = self.project(begin, three, 12)
        values = self.values(found)
        met = np.abs(np.take_along_axis(values, three, 1)).max(1, initial=0) < ON
        found = found[met & (np.abs(self.combined(values)) < ON)]
        return found[np.unique(np.round(found, 7), axis=0, return_index=True)[1]]


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", a, b)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """As numpy's, but quick where there are few."""
    return a[:, [1, 2, 0]] * b[:, [2, 0, 1]] - a[:, [2, 0, 1]] * b[:, [1, 2, 0]]


def _across(axis: np.ndarray) -> np.ndarray:
    """Some unit vector at right angles to each axis."""
    made = _cross(axis, np.eye(3)[np.abs(axis).argmin(1)])
    return made / np.linalg.norm(made, axis=1, keepdims=True)
