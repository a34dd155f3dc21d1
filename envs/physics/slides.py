"""The loops of `corridors` over bodies that walk in mazes, compiled by numba: a byte of a cell says what stands around it."""

import math

from scenes.kit.compiler import kept, numba

_LOOP = {"nogil": True, "error_model": "numpy"}


@numba.njit(**_LOOP)
def _clear(x, y, cells, around, radius, size, thick):
    """The nearest place to `x` `y`, in the same cell, where a body is in no wall; cells are `size` wide, walls `thick`."""
    half, face, post = cells / 2, (size - thick) / 2 - radius, thick / 2
    column, row = math.floor(x / size + half), math.floor(y / size + half)
    column, row = min(max(column, 0), cells - 1), min(max(row, 0), cells - 1)
    middle_x, middle_y = (column + 0.5 - half) * size, (row + 0.5 - half) * size
    byte = around[column, row]
    local_x, local_y = x - middle_x, y - middle_y
    if byte & 1:
        local_x = min(local_x, face)
    if byte & 2:
        local_y = min(local_y, face)
    if byte & 4:
        local_x = max(local_x, -face)
    if byte & 8:
        local_y = max(local_y, -face)
    # Of its corners, a body meets but that of the quarter of the cell it is in.
    east, north = local_x >= 0, local_y >= 0
    corner = (4 if north else 7) if east else (5 if north else 6)
    if byte >> corner & 1:
        post_x, post_y = size / 2 if east else -size / 2, size / 2 if north else -size / 2
        away_x = local_x - min(max(local_x, post_x - post), post_x + post)
        away_y = local_y - min(max(local_y, post_y - post), post_y + post)
        distance = math.sqrt(away_x * away_x + away_y * away_y)
        if distance < radius:
            push = radius / max(distance, 1e-9) - 1
            local_x, local_y = local_x + away_x * push, local_y + away_y * push
    return middle_x + local_x, middle_y + local_y


@numba.njit(**_LOOP)
def _deepest(x, y, centre, rim):
    """Which cylinder a body is furthest inside of, -1 for none."""
    worst, which = -1e-9, -1
    for k in range(len(rim)):
        if rim[k] >= 0:
            away_x, away_y = centre[k, 0] - x, centre[k, 1] - y
            gap = math.sqrt(away_x * away_x + away_y * away_y) - rim[k]
            if gap < worst:
                worst, which = gap, k
    return which


@kept(**_LOOP)
def clear(out, position, cells, around, radius, size, thick):
    """Write the nearest places to those of `position`, in the same cells, where bodies are in no wall."""
    for i in range(len(out)):
        out[i, 0], out[i, 1] = _clear(position[i, 0], position[i, 1], cells[i], around[i], radius, size, thick)


@kept(**_LOOP)
def slide(out, position, wanted, cells, around, centre, rim, radius, size, thick):
    """Write where bodies come to stand; see `corridors.slide`."""
    for i in range(len(out)):
        x, y = _clear(wanted[i, 0], wanted[i, 1], cells[i], around[i], radius, size, thick)
        for push in range(4):
            k = _deepest(x, y, centre[i], rim[i])
            if k < 0:
                break
            if push == 3:
                x, y = position[i, 0], position[i, 1]
                break
            away_x, away_y = x - centre[i, k, 0], y - centre[i, k, 1]
            share = rim[i, k] / max(math.sqrt(away_x * away_x + away_y * away_y), 1e-9)
            x, y = _clear(
                centre[i, k, 0] + share * away_x,
                centre[i, k, 1] + share * away_y,
                cells[i],
                around[i],
                radius,
                size,
                thick,
            )
        out[i, 0], out[i, 1] = x, y
