"""The family `mazes`: what stands where, and what each split holds out."""

import math

import numpy as np
import pytest

import scenes
from scenes import factors, mazes, renderers
from scenes.kit import errors

CONFIG = mazes.Config()
N = 200


def draw(split="train", n=N, config=CONFIG):
    return mazes.splits(config)[split].sample(3, np.arange(n))


def real(drawn):
    return np.arange(drawn["hue"].shape[1]) < drawn["n_objects"][:, None]


def boxes(batch, i):
    """Of the walls within scene `i`: middles and half extents along x and y."""
    first = batch.offsets[i] + batch.first_object + batch.n_objects[i]
    solids = slice(first, batch.offsets[i + 1])
    turned = np.abs(scenes.rotation_matrices(batch.rotation[solids])[:, :2, :2])
    return batch.position[solids, :2].astype(float), (turned @ batch.size[solids, :2, None])[..., 0]


@pytest.mark.parametrize("split", ["train", "larger", "open", "more-objects"])
def test_nothing_stands_in_anything_else(split):
    """No two solids come within a millimetre of being in one another, but for walls, which touch."""
    drawn = draw(split, 60)
    batch = mazes.build(CONFIG, drawn)
    assert set(batch.kind[batch.offsets[:-1]]) == {scenes.KINDS.index("plane")}
    cell, at = mazes.landmarks(drawn)
    for i, cells in enumerate(drawn["cells"]):
        middle, half = boxes(batch, i)
        apart = np.abs(middle[:, None] - middle) - half[:, None] - half
        assert (apart.max(-1) + np.eye(len(middle)) >= -1e-5).all(), "two walls overlap"
        face = cells * mazes.CELL / 2 - mazes.THICKNESS / 2
        assert (np.abs(middle) + half <= face + 1e-5).all(), "a wall sticks out of the maze"
        n = drawn["n_objects"][i]
        radius = mazes.footprint(drawn["shape"][i, :n], drawn["size"][i, :n])
        for k in range(n):
            away = np.linalg.norm(np.maximum(np.abs(at[i, k] - middle) - half, 0), axis=1)
            assert away.min(initial=9) >= radius[k] + 0.049 and face - np.abs(at[i, k]).max() >= radius[k] + 0.049
            others = np.delete(at[i, :n], k, 0), np.delete(radius, k)
            assert (np.linalg.norm(others[0] - at[i, k], axis=1) > others[1] + radius[k] + 0.2).all()
            assert np.array_equal(np.floor(at[i, k] / mazes.CELL + cells / 2), cell[i, k]), "it left its cell"
            # Beside it a body of 0.25 m walks along the middle of the cell without touching it.
            assert mazes.LEAN - 2 * radius[k] > 0.25 + 0.05
        assert len({tuple(one) for one in cell[i, :n]}) == n, "two landmarks share a cell"
        solids = batch.offsets[i] + mazes.FIRST_OBJECT + np.arange(n)
        assert np.allclose(batch.position[solids, :2], at[i, :n], atol=1e-5)


def test_walls_within_are_the_closed_ways_of_the_layout():
    drawn = draw(n=20)
    batch, maze = mazes.build(CONFIG, drawn), mazes.carved(drawn)
    for i, n in enumerate(drawn["cells"]):
        middle, half = boxes(batch, i)
        for x in range(n):
            for y in range(n):
                for is_open, step in ((maze.east[i, x, y], (1, 0)), (maze.north[i, x, y], (0, 1))):
                    if x + step[0] < n and y + step[1] < n:
                        between = (np.array([x, y]) + 0.5 + np.array(step) / 2 - n / 2) * mazes.CELL
                        blocked = (np.abs(between - middle) <= half).all(1).any()
                        assert blocked != is_open


def test_a_map_seen_from_above_shows_the_layout():
    """Not mirrored and not turned: the picture of a camera whose up is north is the map, walls where they are."""
    drawn = draw(n=4) | {"cells": np.full(4, 5)}
    batch, maze = mazes.build(CONFIG, drawn), mazes.carved(drawn)
    pose = np.tile(np.float32([0, 0, 9, math.pi / 2, -math.pi / 2]), (4, 1))
    cameras = scenes.cameras_from_poses(pose, 1.0, 100, 100, extent=5 * mazes.CELL)
    ids = renderers.load("raycast", batch).render(cameras).ids
    for i in range(4):
        for x in range(5):
            for y in range(5):
                row, column = 99 - (20 * y + 10), 20 * x + 10
                assert ids[i, row, column] == 0, "the floor"
                assert x == 4 or (ids[i, row, column + 10] == 0) == maze.east[i, x, y]
                assert y == 4 or (ids[i, row - 10, column] == 0) == maze.north[i, x, y]


def test_each_split_holds_out_what_its_name_says():
    old = [i for i, shape in enumerate(mazes.SHAPES) if shape not in CONFIG.new_shapes]
    held_hue = lambda hue: ((hue >= 0.2) & (hue < 0.35)) | ((hue >= 0.7) & (hue < 0.85))
    for split in mazes.splits(CONFIG):
        drawn = draw(split)
        there = {name: drawn[name][real(drawn)] for name in ("shape", "hue", "east")}
        new = split == "new-colours"
        assert held_hue(there["hue"]).all() == new and held_hue(there["hue"]).any() == new
        assert set(there["shape"]) == ({5, 6} if split == "new-shapes" else set(old))
        assert set(drawn["n_objects"]) == ({4, 5} if split == "more-objects" else {2, 3})
        assert set(drawn["cells"]) == ({8, 9} if split == "larger" else {5, 6, 7})
        assert (there["east"] >= 2 / 3).all() if split == "new-layout" else (there["east"] < 2 / 3).all()
        assert ((drawn["openness"] >= 0.4).all() and split == "open") or (drawn["openness"] < 0.2).all()
        assert (drawn["camera_sway"] > 0).all() == split.startswith("nuisance")
        assert len(np.unique(drawn["layout"])) == N
    splits = mazes.splits(CONFIG)
    held_out = splits["recombination"].objects.some.onto("shape", "hue")
    assert (splits["train"].objects.each.onto("shape", "hue") & held_out).is_empty()
    drawn = draw("recombination")
    assert (held_out.contains(drawn) & real(drawn)).any(1).all()


def test_looks_follow_the_factors():
    drawn = draw()
    batch = mazes.build(CONFIG, drawn)
    walls = np.add.reduceat(batch.texture == drawn["wall_texture"].repeat(batch.n_solids), batch.offsets[:-1])
    assert (walls >= 4 + mazes.n_behind(CONFIG, drawn)).all()
    floors = batch.texture[batch.offsets[:-1]]
    assert [scenes.TEXTURES[i] for i in floors] == [mazes.FLOOR_TEXTURES[i] for i in drawn["floor_texture"]]
    first = batch.offsets[:-1] + batch.first_object
    np.testing.assert_array_equal(batch.colour[first, 0], mazes.rgb(drawn["hue"][:, 0]))
    np.testing.assert_array_equal(batch.colour[batch.offsets[1:] - 1], batch.colour[batch.offsets[:-1] + 1])
    other = mazes.build(CONFIG, drawn | {"layout": (drawn["layout"] + 0.5) % 1})
    assert other.n_solids.tolist() != batch.n_solids.tolist()


def test_cameras_within_are_clear_of_everything():
    drawn = draw("more-objects", 60)
    poses = mazes.free_poses(CONFIG, drawn, 5, np.arange(60), 6)
    rows = np.array([7, 2])
    again = mazes.free_poses(CONFIG, {name: value[rows] for name, value in drawn.items()}, 5, rows, 6)
    np.testing.assert_array_equal(again, poses[rows])
    batch, (_, at) = mazes.build(CONFIG, drawn), mazes.landmarks(drawn)
    for i in range(60):
        middle, half = boxes(batch, i)
        n = drawn["n_objects"][i]
        radius = mazes.footprint(drawn["shape"][i, :n], drawn["size"][i, :n])
        for x, y in poses[i, :, :2]:
            assert np.maximum(np.abs(middle - (x, y)) - half, 0).max(1).min(initial=9) > 0.3
            assert (np.hypot(at[i, :n, 0] - x, at[i, :n, 1] - y) > radius + 0.3).all()
    assert np.ptp(poses[..., 3]) > 6


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"cells": (2, 5)}, "cells are 2 to 5, wanted fewest and most, from 3 to 32"),
        ({"cells": (7, 5)}, "cells are 7 to 5"),
        ({"n_objects": 1}, "n_objects is 1, wanted 2 to"),
        ({"new_shapes": ("boxx",)}, "unknown shape 'boxx'.*did you mean 'box'"),
        ({"new_shapes": ()}, "split 'new-shapes' is empty: no value of shape is left"),
        ({"new_hues": ((0.5, 0.2),)}, "new_hues has"),
    ],
)
def test_options_that_cannot_be_are_refused(options, told):
    with pytest.raises(errors.CaveError, match=told) as caught:
        mazes.splits(mazes.Config(**options))
    assert caught.value.code == errors.USAGE and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"cells": (3, 4), "n_objects": 2}, {"cells": (9, 9), "n_objects": 4, "hue_gap": 0.04}]
)
def test_other_options_keep_the_splits_apart(options):
    config = mazes.Config(**options)
    factors.check_splits(mazes.splits(config))
    for split in mazes.splits(config):
        drawn = draw(split, 20, config)
        assert mazes.build(config, drawn).n_objects.max() <= options["n_objects"] + 2
