"""Discs that walk in a square among boxes along its sides, with round edges: distances, sliding, free ways, what can be
reached; for `b` worlds at once.

The square has its middle at the origin; `half` is half its side, less the body's radius where bodies are meant. `box` are
half extents along x and y, 0 where an obstacle is a disc; `rim` is the distance, in metres, between such a box and the
middle of a body that touches the obstacle; -1: no obstacle.
"""

import numpy as np
from jaxtyping import Bool, Float64

from envs.physics import discs

_AXES = np.eye(2)
_CORNERS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])


def gaps(
    position: Float64[np.ndarray, "b 2"],
    middle: Float64[np.ndarray, "b k 2"],
    box: Float64[np.ndarray, "b k 2"],
    rim: Float64[np.ndarray, "b k"],
) -> Float64[np.ndarray, "b k"]:
    """Metres between each body and each obstacle, negative inside; infinite where there is none."""
    beyond = np.abs(position[:, None] - middle) - box
    within = np.minimum(np.maximum(beyond[..., 0], beyond[..., 1]), 0)
    return np.where(rim < 0, np.inf, discs.length(np.maximum(beyond, 0)) + within - rim)


def slide(
    position: Float64[np.ndarray, "b 2"],
    wanted: Float64[np.ndarray, "b 2"],
    middle: Float64[np.ndarray, "b k 2"],
    box: Float64[np.ndarray, "b k 2"],
    rim: Float64[np.ndarray, "b k"],
    half: float,
) -> Float64[np.ndarray, "b 2"]:
    """Where bodies at `position` come to stand that want to be at `wanted`, less far away than a rim is wide.

    A body that would be inside something is pushed out on the shortest way, and so slides along it; one that is still
    inside something after three pushes stays where it was.
    """
    out = np.clip(wanted, -half, half)
    rows, gap = np.arange(len(out)), gaps(out, middle, box, rim)
    for push in range(4):
        inside = (gap < -1e-9).any(1)
        if not inside.any():
            break
        rows, worst = rows[inside], gap[inside].argmin(1)
        if push == 3:
            out[rows] = position[rows]
            break
        away, own = out[rows] - middle[rows, worst], box[rows, worst]
        beyond = np.abs(away) - own
        normal, edge = np.maximum(beyond, 0), np.minimum(np.abs(away), own)
        # From within the box itself the nearest way out is through its nearest side.
        within = np.flatnonzero((beyond < 0).all(1))
        if len(within):
            side = beyond[within].argmax(1)
            normal[within, side], edge[within, side] = 1, own[within, side]
        normal /= np.maximum(discs.length(normal), 1e-12)[:, None]
        sign = np.where(away < 0, -1.0, 1.0)
        out[rows] = np.clip(middle[rows, worst] + sign * (edge + normal * rim[rows, worst][:, None]), -half, half)
        gap = gaps(out[rows], middle[rows], box[rows], rim[rows])
    return out


def free_way(
    position: Float64[np.ndarray, "b 2"],
    heading: Float64[np.ndarray, "b h 2"],
    middle: Float64[np.ndarray, "b k 2"],
    box: Float64[np.ndarray, "b k 2"],
    rim: Float64[np.ndarray, "b k"],
    half: float,
) -> Float64[np.ndarray, "b h"]:
    """How many metres each body may walk along each of `h` unit vectors until it meets an obstacle or a wall."""
    b, k = rim.shape
    corners = (middle[:, :, None] + box[:, :, None] * _CORNERS).reshape(b, 4 * k, 2)
    way = discs.free_way(position, heading, corners, np.repeat(rim, 4, 1), half)
    # Between its corners, a box with round edges is two boxes, each wider by the rim one way.
    away = (middle - position[:, None])[:, None]
    slow = np.where(np.abs(heading) < 1e-12, 1e-12, heading)[:, :, None]
    for axis in (0, 1):
        wide = (box + np.maximum(rim, 0)[..., None] * _AXES[axis])[:, None]
        one, other = (away - wide) / slow, (away + wide) / slow
        enter, leave = np.minimum(one, other), np.maximum(one, other)
        enter, leave = np.maximum(enter[..., 0], enter[..., 1]), np.minimum(leave[..., 0], leave[..., 1])
        meets = (rim >= 0)[:, None] & (enter < leave) & (leave > 0)
        way = np.minimum(way, np.where(meets, np.maximum(enter, 0), np.inf).min(-1))
    return way


def reachable(
    start: Float64[np.ndarray, "b 2"],
    goal: Float64[np.ndarray, "b g 2"],
    within: Float64[np.ndarray, "b g"],
    middle: Float64[np.ndarray, "b k 2"],
    box: Float64[np.ndarray, "b k 2"],
    rim: Float64[np.ndarray, "b k"],
    half: float,
    cell: float = 0.1,
) -> Bool[np.ndarray, "b g"]:
    """Which goals each body can come to within `within` metres of, walking from `start`: a flood over a grid of that
    cell."""
    line = np.arange(-half, half + cell / 2, cell)
    flood = np.zeros((len(start), len(line), len(line)), bool)
    free = ~flood
    for i in range(rim.shape[1]):
        beyond = np.maximum(np.abs(line - middle[:, i, :, None]) - box[:, i, :, None], 0) ** 2
        free &= beyond[:, 0, :, None] + beyond[:, 1, None] >= (rim[:, i] * np.abs(rim[:, i]))[:, None, None]
    cells = np.clip(np.rint((start + half) / cell).astype(int), 0, len(line) - 1)
    flood[np.arange(len(start)), cells[:, 0], cells[:, 1]] = True
    flood = spread(flood, free)
    out = np.zeros(within.shape, bool)
    for i in range(within.shape[1]):
        away = (line - goal[:, i, :, None]) ** 2
        near = away[:, 0, :, None] + away[:, 1, None] <= (within[:, i] ** 2)[:, None, None]
        out[:, i] = (near & flood).any((1, 2))
    return out


def spread(flood: Bool[np.ndarray, "b x y"], free: Bool[np.ndarray, "b x y"]) -> Bool[np.ndarray, "b x y"]:
    """What water covers that begins at `flood` and runs through `free` cells to their four neighbours."""
    free = free | flood
    while True:
        before = flood
        for axis in (1, 2):
            for step in (1, -1):
                turned = np.flip(flood, axis) if step < 0 else flood
                clear = np.flip(free, axis) if step < 0 else free
                shape = (-1, 1) if axis == 1 else (-1,)
                number = np.arange(1, flood.shape[axis] + 1, dtype=np.int16).reshape(shape)
                # Water runs along a line until the first cell that is not free.
                wet = np.maximum.accumulate(np.where(turned, number, 0), axis)
                dry = np.maximum.accumulate(np.where(clear, 0, number), axis)
                flood = wet > dry
                flood = np.flip(flood, axis) if step < 0 else flood
        if (flood == before).all():
            return flood
