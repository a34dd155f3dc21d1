"""Discs that walk in mazes on square grids, among upright cylinders: sliding, and where one may be; for `b` at once.

The middle of a maze is the origin; its cells are `CELL` metres wide and its walls `THICKNESS` thick (`scenes.mazes`). A body
smaller than half a cell can touch its cell's four walls, what stands in the cell's four corners, and no other wall: all
that it must know of a maze is one byte for each cell. `centre` and `rim` are as in `envs.physics.discs`.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64, UInt8

from envs.physics import slides
from scenes import grids
from scenes.mazes import CELL, THICKNESS

SIDES = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])
"""Ways out of a cell: east, north, west, south."""
_CORNERS = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])


def bytes_of(maze: grids.Maze) -> UInt8[np.ndarray, "b n n"]:
    """What stands around each cell: bits 0 to 3 a wall to the east, north, west and south; bits 4 to 7 anything in the
    corner to the north-east, north-west, south-west and south-east."""
    taken, n = grids.occupancy(maze), maze.inside.shape[1]
    at = [taken[:, 1 + x : 2 * n + 1 + x : 2, 1 + y : 2 * n + 1 + y : 2] for x, y in (*SIDES, *_CORNERS)]
    return np.packbits(np.stack(at, -1), axis=-1, bitorder="little")[..., 0]


def cell_of(position: Float64[np.ndarray, "b 2"], cells: Int[np.ndarray, " b"]) -> Int64[np.ndarray, "b 2"]:
    """Column and row of the cell that each body is in, of mazes of `cells` a side."""
    cell = np.floor(position / CELL + cells[:, None] / 2).astype(np.int64)
    return np.minimum(np.maximum(cell, 0), cells[:, None] - 1)


def middle_of(cell: Int[np.ndarray, "b 2"], cells: Int[np.ndarray, " b"]) -> Float64[np.ndarray, "b 2"]:
    """Where the middles of cells are."""
    return (cell + 0.5 - cells[:, None] / 2) * CELL


def inside_walls(
    position: Float64[np.ndarray, "b 2"],
    cells: Int[np.ndarray, " b"],
    around: UInt8[np.ndarray, "b n n"],
    radius: float,
) -> Bool[np.ndarray, " b"]:
    """Which bodies are in walls, or out of their mazes."""
    out = np.empty(position.shape)
    slides.clear(out, position, cells, around, radius, CELL, THICKNESS)
    return (np.abs(out - position) > 1e-9).any(1)


def slide(
    position: Float64[np.ndarray, "b 2"],
    wanted: Float64[np.ndarray, "b 2"],
    cells: Int[np.ndarray, " b"],
    around: UInt8[np.ndarray, "b n n"],
    centre: Float64[np.ndarray, "b k 2"],
    rim: Float64[np.ndarray, "b k"],
    radius: float,
) -> Float64[np.ndarray, "b 2"]:
    """Where bodies at `position` come to stand that want to be at `wanted`, less than their `radius` away.

    A body that would be inside something is pushed out on the shortest way, and so slides along it; one that is still
    inside a cylinder after three pushes stays where it was.
    """
    out = np.empty(position.shape)
    slides.slide(out, position, wanted, cells, around, centre, rim, radius, CELL, THICKNESS)
    return out
