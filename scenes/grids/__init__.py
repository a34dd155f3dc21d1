"""Mazes on square grids, for `b` mazes at once: carved, measured, and their walls as few boxes.

A maze has `cells` columns (counted eastwards, along x) and as many rows (northwards, along y); arrays have room for the
largest of a batch, and cells beyond a maze's own are closed. `east[b, i, j]` says whether one can go from cell (i, j) to
(i + 1, j), `north[b, i, j]` whether to (i, j + 1).

Source of the carving: a random spanning tree is the lightest one of random weights, found as by Boruvka (1926): every
part of the maze opens its lightest wall to another part, at once, so that a few rounds do for any number of mazes.
"""

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Int64

from scenes.kit import seeds

_KEY = seeds.derive(0, "grids")


class Maze(NamedTuple):
    """Which ways are open, as arrays that are to be treated as constants."""

    east: Bool[np.ndarray, "b n n"]
    north: Bool[np.ndarray, "b n n"]
    inside: Bool[np.ndarray, "b n n"]
    """Which cells belong to the maze."""


def carve(
    layout: Float[np.ndarray, " b"], cells: Int[np.ndarray, " b"], openness: Float[np.ndarray, " b"], room: int = 0
) -> Maze:
    """The mazes of some numbers: row i is a function of its own three alone.

    Args:
        layout: In [0, 1): its 53 bits choose the maze.
        cells: Along each side.
        openness: Of the walls that a maze without loops has, how many are left out, as a chance.
        room: Least number of cells along a side of the arrays.
    """
    n = max(room, int(np.max(cells)))
    arrays = (np.asarray(layout, np.float64), np.asarray(cells, np.int64), np.asarray(openness, np.float64))
    return _carve(*(array.tobytes() for array in arrays), n)


@functools.lru_cache(maxsize=4)  # whoever plays in a maze has it drawn, too
def _carve(layout: bytes, cells: bytes, openness: bytes, n: int) -> Maze:
    layout, cells, openness = np.frombuffer(layout), np.frombuffer(cells, np.int64), np.frombuffer(openness)
    b, area = len(layout), n * n
    number, ends = _lattice(n)
    inside = np.arange(n) < cells[:, None]
    inside = inside[:, :, None] & inside[:, None]
    u = seeds.uniform(_KEY, (layout * 2.0**53).astype(np.int64), 4 * area).reshape(b, area, 4)[:, number]
    weight, spared = np.concatenate([u[..., 0], u[..., 1]], 1), np.concatenate([u[..., 2], u[..., 3]], 1)
    within = inside.reshape(b, area)[:, ends].all(1) & (ends[1] >= 0)
    n_walls, first = weight.shape[1], np.arange(b)[:, None]
    # The heaviest first: of what is written to one place, the last is what stays.
    order = np.where(within, -weight, -2.0).argsort(1)
    wall = (order + first * n_walls).ravel()
    real = within.ravel()[wall]
    a, z = ((ends[side][order] + first * area).ravel()[real] for side in (0, 1))
    wall = wall[real]
    opened = np.zeros(b * n_walls, bool)
    part = own = np.arange(b * area)
    while len(wall):
        both = np.stack([part[a], part[z]], 1)
        lightest = np.full(b * area, -1)
        lightest[both.ravel()] = np.repeat(np.arange(len(wall)), 2)
        some = np.flatnonzero(lightest >= 0)
        chosen = lightest[some]
        opened[wall[chosen]] = True
        joined = own.copy()
        joined[some] = both[chosen].sum(1) - some
        # Two parts that chose each other: one of them stays.
        mutual = (joined[joined] == own) & (own < joined)
        joined[mutual] = own[mutual]
        while (joined[joined] != joined).any():
            joined = joined[joined]
        part = joined[part]
        left = part[a] != part[z]
        a, z, wall = a[left], z[left], wall[left]
    opened = opened.reshape(b, n_walls) | (within & (spared < openness[:, None]))
    east, north = np.moveaxis(opened.reshape(b, 2, n, n), 1, 0)
    for array in (east, north, inside):
        array.flags.writeable = False
    return Maze(east, north, inside)


@functools.lru_cache(maxsize=16)
def _lattice(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each cell the number by which it draws, and of each wall (to the east of each cell, then to the north) the two
    cells beside it, -1 beyond the border."""
    i, j = np.divmod(np.arange(n * n), n)
    # Squares around the south-west: a cell has the same number in any size of maze.
    outer = np.maximum(i, j)
    number = outer**2 + np.where(i == outer, j, outer + 1 + i)
    own = np.arange(n * n)
    beyond = np.concatenate([np.where(i < n - 1, own + n, -1), np.where(j < n - 1, own + 1, -1)])
    ends = np.stack([np.tile(own, 2), beyond])
    return number, ends


def steps_to(maze: Maze, column: Int[np.ndarray, " b"], row: Int[np.ndarray, " b"]) -> Int64[np.ndarray, "b n n"]:
    """Fewest steps from cell to cell that lead to the cell (column, row) of each maze; -1 where no way does."""
    b, n, _ = maze.inside.shape
    steps = np.full((b, n, n), -1)
    front = np.zeros((b, n, n), bool)
    front[np.arange(b), column, row] = True
    east, north, count = maze.east[:, :-1], maze.north[:, :, :-1], 0
    while front.any():
        steps[front] = count
        grown = np.zeros_like(front)
        grown[:, 1:] |= front[:, :-1] & east
        grown[:, :-1] |= front[:, 1:] & east
        grown[:, :, 1:] |= front[:, :, :-1] & north
        grown[:, :, :-1] |= front[:, :, 1:] & north
        front = grown & (steps < 0)
        count += 1
    return steps


def occupancy(maze: Maze) -> Bool[np.ndarray, "b m m"]:
    """Maps of 2 n + 1 squares along each side, of which cell (i, j) is square (2 i + 1, 2 j + 1) and those between are
    walls and what they stand on; True where something stands, and beyond a maze's own border."""
    b, n, _ = maze.inside.shape
    taken = np.ones((b, 2 * n + 1, 2 * n + 1), bool)
    taken[:, 1::2, 1::2] = ~maze.inside
    taken[:, 2::2, 1::2] = ~maze.east
    taken[:, 1::2, 2::2] = ~maze.north
    beside = taken[:, 1:-2:2, 2:-1:2] | taken[:, 3::2, 2:-1:2] | taken[:, 2:-1:2, 1:-2:2] | taken[:, 2:-1:2, 3::2]
    taken[:, 2:-1:2, 2:-1:2] = beside
    return taken


class Walls(NamedTuple):
    """The walls within mazes as boxes that touch and never overlap, flat over all mazes, those of a maze together."""

    maze: Int64[np.ndarray, " w"]
    """Which maze each belongs to."""
    middle: Float[np.ndarray, "w 2"]
    """In cells, from the south-west corner of the maze."""
    length: Float[np.ndarray, " w"]
    """In cells."""
    upright: Bool[np.ndarray, " w"]
    """Whether it runs north, not east."""


def walls(maze: Maze, cells: Int[np.ndarray, " b"], thickness: float) -> Walls:
    """What stands between cells: walls in line are one box as far as they go, `thickness` cells wide.

    Where walls meet, the one that goes through has the corner, else the one that runs east.
    """
    half = thickness / 2
    inside, last = maze.inside, np.asarray(cells)[:, None] - 1
    # On the line east of column i, beside row j; and on the line north of row j, beside column i.
    upright = ~maze.east & inside & (np.arange(inside.shape[1]) < last)[:, :, None]
    level = ~maze.north & inside & (np.arange(inside.shape[1]) < last)[:, None]
    # At the corner north-east of cell (i, j), which walls come from the west, east, south and north.
    west, south = level, upright
    east, north = _from(level, 1), _from(upright, 2)
    through = west & east
    of_level = through | (~(south & north) & (west | east))
    found = []
    for line, broken, own, stands in (
        (level, np.zeros_like(through), of_level, False),
        (upright, through, ~of_level, True),
    ):
        # The axis that the walls run along comes last.
        if not stands:
            line, broken, own = (np.swapaxes(array, 1, 2) for array in (line, broken, own))
        goes_on = line & _from(line, 2) & ~broken
        begins = line & ~_before(goes_on)
        which, across, start = np.nonzero(begins)
        _, _, end = np.nonzero(line & ~goes_on)
        own_start, own_end = own[which, across, start - 1] & (start > 0), own[which, across, end]
        low = start + np.where(own_start, -half, half)
        high = end + 1 + np.where(own_end & (end < last[which, 0]), half, -half)
        along, line_at = (low + high) / 2, across + 1.0
        middle = np.stack([line_at, along] if stands else [along, line_at], 1)
        found.append(Walls(which, middle, high - low, np.full(len(which), stands)))
    level, upright = found
    order = np.concatenate([level.maze, upright.maze]).argsort(kind="stable")
    return Walls(*(np.concatenate([a, b])[order] for a, b in zip(level, upright)))


def _from(array: np.ndarray, axis: int) -> np.ndarray:
    """The entry after each along an axis, False behind the last."""
    moved = np.zeros_like(array)
    here, there = [slice(None)] * 3, [slice(None)] * 3
    here[axis], there[axis] = slice(None, -1), slice(1, None)
    moved[tuple(here)] = array[tuple(there)]
    return moved


def _before(array: np.ndarray) -> np.ndarray:
    """The entry before each along the last axis, False before the first."""
    moved = np.zeros_like(array)
    moved[..., 1:] = array[..., :-1]
    return moved
