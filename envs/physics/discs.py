"""Discs that walk in a square among upright cylinders: distances, sliding, free ways; for `b` worlds at once.

The square has its middle at the origin; `half` is half its side, less the body's radius where bodies are meant. `rim`
is the distance, in metres, between a cylinder's axis and the middle of a body that touches it; -1: no cylinder.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64


def length(vectors: np.ndarray) -> np.ndarray:
    """Metres along x and y, the last axis: numpy adds up two numbers at a time faster than it sums over such short axes."""
    x, y = vectors[..., 0], vectors[..., 1]
    return np.sqrt(x * x + y * y)


def gaps(
    position: Float64[np.ndarray, "b 2"], centre: Float64[np.ndarray, "b k 2"], rim: Float64[np.ndarray, "b k"]
) -> Float64[np.ndarray, "b k"]:
    """Metres between each body and each cylinder; infinite where there is none."""
    return np.where(rim < 0, np.inf, length(centre - position[:, None]) - rim)


def stand(
    u: Float64[np.ndarray, "b u"],
    centre: Float64[np.ndarray, "b k 2"],
    rim: Float64[np.ndarray, "b k"],
    half: float,
    clear: Float64[np.ndarray, "b k"],
) -> tuple[Float64[np.ndarray, "b 2"], Float64[np.ndarray, " b"], Bool[np.ndarray, " b"]]:
    """Where bodies may stand: the first of several random places that is `clear` metres away from each cylinder.

    Args:
        u: Uniform numbers in [0, 1), three for each place to try.
        centre: Of the cylinders.
        rim: Of the cylinders.
        half: Places lie within it.
        clear: Least gap between the body and each cylinder.

    Returns:
        Positions, headings in [-pi, pi), and for which of them a place was found.
    """
    every, n = np.arange(len(u)), u.shape[1] // 3
    places = (u[:, : 2 * n].reshape(-1, n, 2) * 2 - 1) * half
    away = length(places[:, :, None] - centre[:, None])
    free = ((away >= (rim + clear)[:, None]) | (rim < 0)[:, None]).all(-1)
    first = free.argmax(1)
    return places[every, first], (u[every, 2 * n + first] * 2 - 1) * math.pi, free.any(1)


def slide(
    position: Float64[np.ndarray, "b 2"],
    wanted: Float64[np.ndarray, "b 2"],
    centre: Float64[np.ndarray, "b k 2"],
    rim: Float64[np.ndarray, "b k"],
    half: float,
) -> Float64[np.ndarray, "b 2"]:
    """Where bodies at `position` come to stand that want to be at `wanted`, less far away than a rim is wide.

    A body that would be inside something is pushed out on the shortest way, and so slides along it; one that is still
    inside something after three pushes stays where it was.
    """
    out = np.clip(wanted, -half, half)
    rows, gap = np.arange(len(out)), gaps(out, centre, rim)
    for push in range(4):
        inside = (gap < -1e-9).any(1)
        if not inside.any():
            break
        rows, worst = rows[inside], gap[inside].argmin(1)
        if push == 3:
            out[rows] = position[rows]
            break
        away = out[rows] - centre[rows, worst]
        outward = away / np.maximum(length(away), 1e-9)[:, None]
        out[rows] = np.clip(centre[rows, worst] + outward * rim[rows, worst][:, None], -half, half)
        gap = gaps(out[rows], centre[rows], rim[rows])
    return out


def to_wall(position: np.ndarray, heading: np.ndarray, half: float) -> np.ndarray:
    """Metres from positions (... 2) to the sides of the square along unit vectors (... 2); the arrays broadcast."""
    # A heading along an axis never meets the other pair of sides: dividing by almost nothing says so.
    return ((half - np.sign(heading) * position) / np.maximum(np.abs(heading), 1e-12)).min(-1)


def free_way(
    position: Float64[np.ndarray, "b 2"],
    heading: Float64[np.ndarray, "b h 2"],
    centre: Float64[np.ndarray, "b k 2"],
    rim: Float64[np.ndarray, "b k"],
    half: float,
) -> Float64[np.ndarray, "b h"]:
    """How many metres each body may walk along each of `h` unit vectors until it meets a cylinder or a wall."""
    away = centre - position[:, None]
    x, y = away[..., 0], away[..., 1]
    along = heading[..., :1] * x[:, None] + heading[..., 1:] * y[:, None]
    aside2 = (x * x + y * y)[:, None] - along * along
    half_chord2 = np.where(rim < 0, -1.0, rim * rim)[:, None] - aside2
    meets = (half_chord2 > 0) & (along > 0)
    way = np.where(meets, np.maximum(along - np.sqrt(np.maximum(half_chord2, 0)), 0), np.inf).min(-1)
    return np.minimum(way, to_wall(position[:, None], heading, half))


def steer(
    position: Float64[np.ndarray, "b 2"],
    yaw: Float64[np.ndarray, " b"],
    goal: Float64[np.ndarray, "b 2"],
    to_goal: Float64[np.ndarray, " b"],
    centre: Float64[np.ndarray, "b k 2"],
    rim: Float64[np.ndarray, "b k"],
    half: float,
    n_headings: int = 48,
    look_ahead: float = 1.2,
) -> Float64[np.ndarray, " b"]:
    """How far each body should turn, in radians, to walk round cylinders to its goal, `to_goal` metres away.

    It takes the direction nearest to the goal's that is free for `look_ahead` metres. Turning costs as much as leaving
    the goal's direction, so that a body keeps to the side of an obstacle that it chose. Where no way is free, it takes
    the longest.
    """
    towards = np.arctan2(goal[:, 1] - position[:, 1], goal[:, 0] - position[:, 0])
    way = lambda heading: free_way(position, heading, centre, rim, half)
    return turn_to(yaw, towards, to_goal, way, n_headings, look_ahead)


def turn_to(
    yaw: Float64[np.ndarray, " b"],
    towards: Float64[np.ndarray, " b"],
    to_goal: Float64[np.ndarray, " b"],
    free: Callable[[Float64[np.ndarray, "b h 2"]], Float64[np.ndarray, "b h"]],
    n_headings: int = 48,
    look_ahead: float = 1.2,
) -> Float64[np.ndarray, " b"]:
    """What `steer` does where goals lie in the directions `towards`, and `free` tells how far the ways along unit vectors
    are free."""
    offset = (np.arange(n_headings) - n_headings // 2) * (2 * math.pi / n_headings)
    angle = towards[:, None] + offset
    way = free(np.stack([np.cos(angle), np.sin(angle)], -1))
    wanted = np.clip(to_goal, 0, look_ahead)[:, None]
    turn = wrap(angle - yaw[:, None])
    cost = np.abs(offset) + np.abs(turn) + np.where(way >= wanted, 0.0, 10.0 * (1 + wanted - way))
    return turn[np.arange(len(turn)), cost.argmin(1)]


def wrap(angle: np.ndarray) -> np.ndarray:
    """Angles, in [-pi, pi)."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def ringed(centre: Float64[np.ndarray, "b k 2"], rim: Float64[np.ndarray, "b k"]) -> Bool[np.ndarray, " b"]:
    """Whether some of the cylinders form a ring without a gap wide enough for a body: it may close something off."""
    distance = length(centre[:, :, None] - centre[:, None])
    near = (distance < rim[:, :, None] + rim[:, None]) & (rim[:, :, None] >= 0) & (rim[:, None] >= 0)
    near &= ~np.eye(rim.shape[1], dtype=bool)
    # A graph without rings is a forest: taking away leaves takes it all.
    for _ in range(rim.shape[1]):
        inner = near.sum(-1) >= 2
        near &= inner[:, :, None] & inner[:, None]
    return near.any((1, 2))


def reachable(
    start: Float64[np.ndarray, " 2"],
    goal: Float64[np.ndarray, " 2"],
    within: float,
    centre: Float64[np.ndarray, "k 2"],
    rim: Float64[np.ndarray, " k"],
    half: float,
    cell: float = 0.1,
) -> bool:
    """Whether one body can walk from `start` to `within` metres of `goal`: a flood over a grid of width `cell`.

    Slow; where all cylinders are clear of the walls, only those that are `ringed` can close anything off.
    """
    line = np.arange(-half, half + cell / 2, cell)
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), -1)
    away = np.linalg.norm(grid[:, :, None] - centre, axis=-1)
    free: Bool[np.ndarray, "x y"] = (away >= rim).all(-1)
    wanted = np.linalg.norm(grid - goal, axis=-1) <= within
    flood = np.zeros_like(free)
    flood[tuple(np.clip(np.rint((start + half) / cell).astype(int), 0, len(line) - 1))] = True
    while not (flood & wanted).any():
        grown = flood.copy()
        grown[1:] |= flood[:-1]
        grown[:-1] |= flood[1:]
        grown[:, 1:] |= flood[:, :-1]
        grown[:, :-1] |= flood[:, 1:]
        grown &= free
        if (grown == flood).all():
            return False
        flood = grown
    return True
