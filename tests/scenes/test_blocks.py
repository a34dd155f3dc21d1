"""Shepard-Metzler objects: chains hold together, turned ones keep their shape, and every split holds out what it says."""

import itertools
import math

import numpy as np
import pytest

import scenes
from scenes import blocks, factors, viewpoints
from scenes.kit import errors
from scenes.solids import chains, stages

CONFIG = blocks.Config()
N = 300


def draw(split, config=CONFIG, n=N):
    return blocks.splits(config)[split].sample(11, np.arange(n))


def turns():
    """The 24 turns of a cube."""
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            turn = np.eye(3, dtype=int)[list(order)] * signs
            if round(np.linalg.det(turn)) == 1:
                yield turn


def canonical(cells):
    """The same for one set of cells however it is turned, moved and walked through, and for no other."""
    seen = []
    for turn in turns():
        turned = cells @ turn.T
        seen.append(sorted(map(tuple, (turned - turned.min(0)).tolist())))
    return tuple(min(seen))


def shape_of(walk, n):
    return next(name for name, found in chains.shapes(n).items() if walk in found)


@pytest.mark.parametrize(("n", "count"), [(1, 1), (2, 6), (3, 30), (4, 150), (5, 726), (6, 3534), (7, 16926)])
def test_all_self_avoiding_walks_are_there_once(n, count):
    """Their numbers on the cubic lattice are known."""
    walks = chains.walks(n)
    assert len(set(walks.tolist())) == len(walks) == count
    cells = chains.cells(walks)[:, :n]
    assert (np.abs(np.diff(cells, axis=1)).sum(-1) == 1).all()
    for i, j in itertools.combinations(range(n), 2):
        assert (cells[:, i] != cells[:, j]).any(-1).all()


def test_a_shape_is_that_of_the_object_and_not_of_the_walk():
    rng = np.random.default_rng(0)
    for walk in rng.choice(chains.walks(5), 40, replace=False):
        cells = chains.cells(np.array([walk]))[0, :5]
        for turn in turns():
            for turned in (cells @ turn.T, (cells @ turn.T)[::-1]):
                steps = [np.flatnonzero((step == chains.STEPS).all(1))[0] for step in np.diff(turned, axis=0)]
                again = sum(int(step) * 6**i for i, step in enumerate(steps))
                assert shape_of(again, 5) == shape_of(walk, 5)


@pytest.mark.parametrize("config", [CONFIG, blocks.Config(colours="parts"), blocks.Config(n_parts=7)])
def test_parts_touch_along_the_chain_and_hover_about_the_middle(config):
    for split in blocks.splits(config):
        drawn = draw(split, config, 40)
        batch = blocks.build(config, drawn)
        for i, n in enumerate(drawn["n_objects"]):
            own = slice(batch.offsets[i] + blocks.FIRST_OBJECT, batch.offsets[i + 1])
            assert (batch.kind[own] == scenes.KINDS.index("box")).all() and (
                batch.size[own] == batch.size[own][0]
            ).all()
            at = batch.position[own].astype(float)
            assert len(at) == n == (7 if (split == "new-count") == (config.n_parts == 5) else 5)
            apart = np.abs(at[:, None] - at).max(-1) + np.eye(n)
            assert apart.min() > blocks.EDGE - 1e-6
            np.testing.assert_allclose(
                np.linalg.norm(np.diff(at, axis=0), axis=1), 2 * batch.size[own][0, 0], atol=1e-6
            )
            np.testing.assert_allclose((at.min(0) + at.max(0)) / 2, [0, 0, stages.MIDDLE], atol=1e-6)
            # Above the ground, and within the sphere that the pictures of all cameras show.
            corners = np.abs(at - [0, 0, stages.MIDDLE]) + blocks.EDGE / 2
            reach = np.linalg.norm(corners, axis=1).max()
            assert reach < stages.MIDDLE and math.asin(reach / stages.RADIUS) < stages.FOV / 2


def test_each_split_holds_out_what_its_name_says():
    held = lambda hue: ((hue >= 0.2) & (hue < 0.35)) | ((hue >= 0.7) & (hue < 0.85))
    objects, shapes = {}, {}
    for split in blocks.splits(CONFIG):
        drawn = draw(split, n=1500 if split == "train" else N)
        n = int(drawn["n_objects"][0])
        cells = chains.cells(drawn["walk"])[:, :n]
        objects[split] = {canonical(one) for one in cells}
        shapes[split] = {shape_of(walk, n) for walk in drawn["walk"]}
        assert set(drawn["n_objects"]) == ({7} if split == "new-count" else {5})
        assert held(drawn["hue"]).all() == (split == "new-colours") == held(drawn["hue"]).any()
    # No object of these is one of training's, however it is turned.
    assert not objects["new-shapes"] & objects["train"] and not objects["new-count"] & objects["train"]
    assert shapes["new-shapes"] == {"2x2x2", "3x3x1"}
    assert shapes["train"] == shapes["recombination"] == set(chains.shapes(5)) - {"2x2x2", "3x3x1"}
    by_parts = blocks.Config(colours="parts")
    for split in blocks.splits(by_parts):
        drawn = draw(split, by_parts)
        hue = drawn["hue"][np.arange(7) < drawn["n_objects"][:, None]]
        assert held(hue).all() == (split == "new-colours") == held(hue).any()
        assert hue.std() > 0.2
    assert "recombination" not in blocks.splits(by_parts)


def test_recombination_law():
    """No held-out pair in training, one in every test scene, and every single value common in training."""
    splits = blocks.splits(CONFIG)
    train, test = (splits[name].scene.onto("walk", "hue") for name in ("train", "recombination"))
    assert (train & test).is_empty()
    for name in ("walk", "hue"):
        assert (test.onto(name) - train.onto(name)).is_empty()
    assert test.contains(draw("recombination")).all() and not test.contains(draw("train", n=3000)).any()


def test_walks_are_drawn_evenly():
    drawn = draw("new-shapes", n=4320)["walk"]
    walks, counts = np.unique(drawn, return_counts=True)
    assert len(walks) == 144 + 72
    # Twenty of each are expected; chi-squared of 215 degrees of freedom.
    assert ((counts - 20) ** 2 / 20).sum() < 300


def test_cameras_are_on_the_sphere_and_even_over_it():
    poses = blocks.ring_poses(CONFIG, 5, np.arange(500), 8).astype(float)
    assert np.array_equal(poses[[7, 3]], blocks.ring_poses(CONFIG, 5, np.array([7, 3]), 8))
    x, y, z, yaw, pitch = np.moveaxis(poses, -1, 0)
    away = np.stack([x, y, z - stages.MIDDLE], -1)
    np.testing.assert_allclose(np.linalg.norm(away, axis=-1), stages.RADIUS, atol=1e-5)
    ahead = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)], -1)
    np.testing.assert_allclose(ahead * stages.RADIUS, -away, atol=1e-5)
    assert np.abs(yaw).max() <= math.pi + 1e-6
    low, high = (math.sin(angle) * stages.RADIUS for angle in (stages.LOWEST, stages.HIGHEST))
    share = (away[..., 2] - low) / (high - low)  # Archimedes: areas of zones go as their heights
    assert share.min() >= -1e-6 and share.max() <= 1 + 1e-6
    np.testing.assert_allclose(np.histogram(share, 5, (0, 1))[0] / share.size, 0.2, atol=0.03)
    azimuth, elevation = viewpoints.zone(np.array([[0.25, 0.0]]), -0.3, 1.2)
    np.testing.assert_allclose([azimuth[0], elevation[0]], [math.pi / 2, -0.3], atol=1e-12)


def test_colours_are_those_of_the_factors():
    drawn = draw("train", n=30)
    batch = blocks.build(CONFIG, drawn)
    for i in range(30):
        own = batch.colour[batch.offsets[i] + 1 : batch.offsets[i + 1], 0]
        np.testing.assert_allclose(own.max(1), drawn["value"][i, :5], atol=1e-6)
        np.testing.assert_allclose(own / own.max(1, keepdims=True), np.tile(own[0] / own[0].max(), (5, 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"n_parts": 6}, "n_parts is 6, wanted 5 or 7"),
        ({"colours": "part"}, "did you mean 'parts'"),
        ({"new_shapes": ("3x3x2",)}, "unknown shape of 5 parts '3x3x2'"),
        ({"new_shapes": tuple(chains.shapes(5))}, "split 'train' is empty"),
        ({"new_hues": ((0.5, 0.2),)}, "wanted 0 <= low < high <= 1"),
        ({"new_hues": ()}, "split 'new-colours' is empty"),
    ],
)
def test_options_that_make_no_splits_are_answered(options, told):
    with pytest.raises(errors.CaveError, match=told):
        # The checker of annotations would answer first if it made the config.
        config = blocks.Config()
        for name, value in options.items():
            object.__setattr__(config, name, value)
        blocks.splits(config)


def test_two_hundred_seeds():
    for seed in range(200):
        for name, split in blocks.splits(CONFIG).items():
            batch = scenes.sample(blocks, CONFIG, name, seed, np.arange(2))
            batch.check()
            assert split.contains(batch.factors).all()
            if split.in_distribution_of is None and name != "train":
                assert factors.overlap(split, blocks.splits(CONFIG)["train"]) is None
