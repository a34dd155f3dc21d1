"""Discs that walk in a square among upright cylinders: distances, sliding, free ways; for `b` worlds at once.

The square has its middle at the origin; `half` is half its side, less the body's radius where bodies are meant. `rim`
is the distance, in metres, between a cylinder's axis and the middle of a body that touches it; -1: no cylinder.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64


def gaps(
    position: Float64[np.ndarray, "b 2"], centre: Float64[np.ndarray, "b k 2"], rim: Float64[np.ndarray, "b k"]
) -> Float64[np.ndarray, "b k"]:
    """Metres between each body and each cylinder; infinite where there is none."""
    away = centre - position[:, None]
    return np.where(rim < 0, np.inf, np.sqrt((away * away).sum(-1)) - rim)


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
    rows = np.arange(len(out))
    for push in range(4):
        away = out[rows, None] - centre[rows]
        distance = np.sqrt((away * away).sum(-1))
        depth = rim[rows] - distance
        worst = depth.argmax(1)
        inside = depth[np.arange(len(rows)), worst] > 1e-9
        if not inside.any():
            break
        rows, worst, away, distance = rows[inside], worst[inside], away[inside], distance[inside]
        if push == 3:
            out[rows] = position[rows]
            break
        one = np.arange(len(rows))
        outward = away[one, worst] / np.maximum(distance[one, worst], 1e-9)[:, None]
        out[rows] = np.clip(centre[rows, worst] + outward * rim[rows, worst][:, None], -half, half)
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
    along = np.einsum("bkd,bhd->bhk", away, heading)
    aside2 = (away * away).sum(-1)[:, None] - along * along
    half_chord2 = np.where(rim < 0, -1.0, rim * rim)[:, None] - aside2
    meets = (half_chord2 > 0) & (along > 0)
    way = np.where(meets, np.maximum(along - np.sqrt(np.maximum(half_chord2, 0)), 0), np.inf).min(-1)
    return np.minimum(way, to_wall(position[:, None], heading, half))


def close_pairs(centre: Float64[np.ndarray, "b k 2"], rim: Float64[np.ndarray, "b k"]) -> Int64[np.ndarray, " b"]:
    """How many pairs of cylinders stand so near each other that a body does not pass between them."""
    distance = np.linalg.norm(centre[:, :, None] - centre[:, None], axis=-1)
    near = (distance < rim[:, :, None] + rim[:, None]) & (rim[:, :, None] >= 0) & (rim[:, None] >= 0)
    return np.triu(near, 1).sum((1, 2))


def reachable(
    start: Float64[np.ndarray, " 2"],
    goal: Float64[np.ndarray, " 2"],
    within: float,
    centre: Float64[np.ndarray, "k 2"],
    rim: Float64[np.ndarray, " k"],
    half: float,
    cell: float = 0.05,
) -> bool:
    """Whether one body can walk from `start` to `within` metres of `goal`: a flood over a grid of width `cell`.

    Slow; where all cylinders are clear of the walls, only three `close_pairs` or more can close anything off.
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
