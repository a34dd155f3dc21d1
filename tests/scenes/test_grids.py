"""Mazes on grids: every cell within reach, and walls that are what they should be, box by box."""

import numpy as np
import pytest

from scenes import grids

N = 60
RNG = np.random.default_rng(0)
LAYOUT, CELLS = RNG.random(N), RNG.integers(3, 10, N)
OPENNESS = np.where(np.arange(N) % 2, RNG.random(N), 0.0)


def flood(maze, i, cells, start):
    """Steps from a cell to every other, by the book."""
    steps, front = {start: 0}, [start]
    while front:
        x, y = front.pop(0)
        ways = {
            (x + 1, y): maze.east[i, x, y],
            (x, y + 1): maze.north[i, x, y],
            (x - 1, y): x > 0 and maze.east[i, x - 1, y],
            (x, y - 1): y > 0 and maze.north[i, x, y - 1],
        }
        for cell, is_open in ways.items():
            if is_open and cell not in steps:
                assert max(cell) < cells, "a way leads out of the maze"
                steps[cell] = steps[x, y] + 1
                front.append(cell)
    return steps


def test_every_cell_is_within_reach_and_perfect_mazes_have_no_loops():
    maze = grids.carve(LAYOUT, CELLS, OPENNESS)
    column, row = (RNG.random((2, N)) * CELLS).astype(int)
    fast = grids.steps_to(maze, column, row)
    for i, cells in enumerate(CELLS):
        slow = flood(maze, i, cells, (column[i], row[i]))
        assert len(slow) == cells**2 and (fast[i] >= 0).sum() == cells**2
        assert all(fast[i][cell] == steps for cell, steps in slow.items())
    ways, walls = (maze.east | maze.north).sum((1, 2)), maze.east.sum((1, 2)) + maze.north.sum((1, 2))
    assert (walls[::2] == CELLS[::2] ** 2 - 1).all() and (walls[1::2] >= CELLS[1::2] ** 2 - 1).all() and ways.min() > 3


def test_a_maze_is_a_function_of_its_numbers_alone():
    together = grids.carve(LAYOUT, CELLS, OPENNESS, 12)
    assert together.east.shape == (N, 12, 12)
    for i in (0, 7, 33):
        alone, n = grids.carve(LAYOUT[i : i + 1], CELLS[i : i + 1], OPENNESS[i : i + 1]), CELLS[i]
        assert alone.east.shape == (1, n, n)
        assert np.array_equal(alone.east[0], together.east[i, :n, :n]) and not together.east[i, n - 1 :].any()
        assert np.array_equal(alone.north[0], together.north[i, :n, :n]) and not together.north[i, :, n - 1 :].any()
    same = np.full(40, 5)
    many = grids.carve(np.arange(40) / 40, same, np.zeros(40))
    assert len({(east.tobytes(), north.tobytes()) for east, north in zip(many.east, many.north)}) == 40
    # One that is more open lacks walls of the same maze.
    wider = grids.carve(np.arange(40) / 40, same, np.full(40, 0.5))
    assert (wider.east >= many.east).all() and (wider.north >= many.north).all()
    left = (20 - (wider.east | many.east).sum((1, 2)) + 20 - wider.north.sum((1, 2))).mean() / 16
    assert left == pytest.approx(0.5, abs=0.06)
    empty = grids.carve(LAYOUT, CELLS, np.ones(N))
    assert len(grids.walls(empty, CELLS, 0.1).maze) == 0


def test_no_direction_is_preferred():
    many = grids.carve(np.arange(2000) / 2000, np.full(2000, 5), np.zeros(2000))
    east, north = many.east.mean(0)[:-1], many.north.mean(0)[:, :-1]
    # Mirroring and turning a maze gives one that is as likely.
    assert east == pytest.approx(east[::-1], abs=0.06) and east == pytest.approx(east[:, ::-1], abs=0.06)
    assert east == pytest.approx(north.T, abs=0.06)
    ways = lambda maze: maze.east.astype(int) + maze.north
    degree = ways(many)
    degree[:, 1:] += many.east[:, :-1]
    degree[:, :, 1:] += many.north[:, :, :-1]
    assert 5 < (degree == 1).sum((1, 2)).mean() < 9, "dead ends, of 25 cells"


def test_boxes_cover_the_walls_and_nothing_twice():
    """Against a map in which every wall and every corner is drawn for itself."""
    maze, thickness, fine = grids.carve(LAYOUT, CELLS, OPENNESS), 0.08, 50
    walls, maps = grids.walls(maze, CELLS, thickness), grids.occupancy(maze)
    assert (np.diff(walls.maze) >= 0).all()
    for i, cells in enumerate(CELLS):
        at = (np.arange(cells * fine) + 0.5) / fine
        drawn = np.zeros((len(at), len(at)), int)
        mine = walls.maze == i
        for middle, length, upright in zip(walls.middle[mine], walls.length[mine], walls.upright[mine]):
            half = np.array([thickness, length] if upright else [length, thickness]) / 2
            drawn += np.outer(np.abs(at - middle[0]) < half[0], np.abs(at - middle[1]) < half[1])
        assert drawn.max(initial=0) <= 1, "walls overlap"
        # Even squares of the map are as thin as walls, odd ones as wide as what is left of a cell.
        near = np.abs(at - np.rint(at)) < thickness / 2
        square = np.where(near, 2 * np.rint(at), 2 * np.floor(at) + 1).astype(int)
        expected = maps[i][np.ix_(square, square)]
        outer = (square == 0) | (square == 2 * cells)
        expected[outer] = expected[:, outer] = False
        assert np.array_equal(drawn == 1, expected)
        n_walls = 2 * cells * (cells - 1) - maze.east[i].sum() - maze.north[i].sum()
        assert mine.sum() <= n_walls
    perfect = grids.carve(LAYOUT, np.full(N, 7), np.zeros(N))
    assert len(grids.walls(perfect, np.full(N, 7), thickness).maze) / N < 30, "of 36 walls, some are in line"
