"""Sprites: drawn where and as their factors say, later ones on top; every split holds out what its name says."""

import colorsys
import dataclasses

import numpy as np
import pytest
from matplotlib.path import Path

import scenes
from scenes import factors, renderers, sprites
from scenes.factors import tiers
from scenes.kit import errors
from scenes.solids import flat

SIDE = 64
CENTRES = (np.arange(SIDE) + 0.5) / SIDE
EVERYTHING = sprites.Config(
    task="exploration", n_sprites=8, shapes=sprites.SHAPES[:-3], new_shapes=sprites.SHAPES[-3:], size=(0.1, 0.3),
    new_size=(0.35, 0.4), turned=True,
)  # fmt: skip


def draw(split, config=None, n=400):
    config = config or sprites.Config()
    return sprites.splits(config)[split].sample(11, np.arange(n))


def real(drawn):
    return np.arange(drawn["hue"].shape[1]) < drawn["n_objects"][:, None]


def render(config, drawn, supersample=1, sensors=renderers.USUAL):
    batch = sprites.build(config, drawn)
    poses = sprites.ring_poses(config, 0, np.arange(len(batch)), 1)[:, 0]
    handle = renderers.load("raycast", batch, supersample=supersample, sensors=sensors)
    return handle.render(scenes.watch(sprites, poses, SIDE, SIDE))


def polygon(drawn, i, k):
    """The outline of sprite k of scene i in the unit square, written out."""
    c, s = np.cos(drawn["yaw"][i, k]), np.sin(drawn["yaw"][i, k])
    turned = flat.OUTLINES[drawn["shape"][i, k]] @ np.array([[c, s], [-s, c]])
    return turned * drawn["size"][i, k] + [drawn["x"][i, k], drawn["y"][i, k]]


@pytest.mark.parametrize("shape", range(len(flat.SHAPES)))
def test_outlines_have_unit_area_and_hold_what_matplotlib_says(shape):
    rng = np.random.default_rng(shape)
    outline = flat.OUTLINES[shape]
    triangles = flat.meshes()[shape].vertices[flat.meshes()[shape].faces].astype(float)
    a, b = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    areas = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2
    assert (areas > 0).all() and areas.sum() == pytest.approx(1, abs=1e-6)
    # Upright: as wide to the left as to the right.
    mirrored = outline * [-1, 1]
    assert np.abs(mirrored[:, None] - outline).sum(-1).min(1).max() < 1e-9
    n = 2000
    size, yaw, points = rng.uniform(0.1, 1, n), rng.uniform(0, 7, n), rng.uniform(-0.6, 0.6, (n, 2))
    got = flat.holds(np.full(n, shape), size, yaw, points)
    one = lambda i: {"shape": [[shape]], "size": [[size[i]]], "yaw": [[yaw[i]]], "x": [[0.0]], "y": [[0.0]]}
    expected = [
        Path(polygon({k: np.array(v) for k, v in one(i).items()}, 0, 0)).contains_point(points[i]) for i in range(n)
    ]
    np.testing.assert_array_equal(got, expected)
    assert 200 < got.sum() < n - 200


@pytest.mark.parametrize("split", ["train", "new-shapes"])
def test_every_pixel_shows_the_topmost_sprite_that_holds_it(split):
    drawn = draw(split, EVERYTHING, 10)
    frames = render(EVERYTHING, drawn)
    x, y = np.meshgrid(CENTRES, CENTRES[::-1])
    points = np.stack([x, y], -1).reshape(-1, 2)
    for i, n in enumerate(drawn["n_objects"]):
        top, edge = np.full(len(points), -1), np.zeros(len(points), bool)
        for k in range(n):
            path = Path(polygon(drawn, i, k))
            top[path.contains_points(points)] = k
            edge |= path.contains_points(points, radius=1e-4) != path.contains_points(points, radius=-1e-4)
        seen = frames.ids[i].ravel()
        np.testing.assert_array_equal(seen[~edge], top[~edge])
        depth = frames.depth[i].ravel()
        assert np.isinf(depth[seen < 0]).all() and (depth[seen >= 0] < sprites.EYE).all()


@pytest.mark.parametrize("supersample", [1, 3])
def test_colours_are_flat_and_lie_where_the_factors_say(supersample):
    drawn = draw("train", n=40)
    frames = render(sprites.Config(), drawn, supersample)
    checked = 0
    for i, n in enumerate(drawn["n_objects"]):
        for k in range(n):
            f = {name: drawn[name][i, k] for name in ("x", "y", "hue", "saturation", "value")}
            column, row = int(f["x"] * SIDE), int((1 - f["y"]) * SIDE)
            around = frames.ids[i, row - 1 : row + 2, column - 1 : column + 2]
            if (around == k).all():
                rgb = np.array(colorsys.hsv_to_rgb(f["hue"], f["saturation"], f["value"])) * 255
                assert np.abs(frames.rgb[i, row, column] - rgb).max() <= 1
                checked += 1
        assert not frames.rgb[i][frames.ids[i] < 0].any() or supersample > 1
    assert checked > 60
    # Edges are smoothed by several rays, and only then.
    shades = len(np.unique(frames.rgb[0].reshape(-1, 3), axis=0))
    assert (shades == 1 + drawn["n_objects"][0]) == (supersample == 1)


def test_a_sprite_in_the_frame_s_corner_is_seen_in_the_picture_s():
    drawn = {name: value[:1].copy() for name, value in draw("train").items()}
    drawn["x"][0, :2], drawn["y"][0, :2] = [0.9, 0.1], [0.9, 0.1]
    ids = render(sprites.Config(), drawn).ids[0]
    assert ids[int(0.1 * SIDE), int(0.9 * SIDE)] == 0 and ids[int(0.9 * SIDE), int(0.1 * SIDE)] == 1


def within(values, *ranges):
    return np.any([(values >= low) & (values < high) for low, high in ranges], axis=0)


def corner(drawn):
    return (drawn["x"] >= 0.5) & (drawn["y"] >= 0.5)


@pytest.mark.parametrize("task", sprites.TASKS)
def test_each_split_holds_out_what_its_name_says(task):
    config = sprites.Config(task=task)
    for name in sprites.splits(config):
        drawn = draw(name, config, 600)
        here = real(drawn)
        concerned = here & within(drawn["hue"], sprites.TARGETS) if task == "goal-finding" else here
        in_corner = corner(drawn)[concerned]
        assert in_corner.all() if name == "new-position" else not in_corner.any()
        shapes = {sprites.SHAPES[i] for i in drawn["shape"][here]}
        assert shapes == set(config.new_shapes if name == "new-shapes" else config.shapes)
        size = drawn["size"][here]
        assert (within(size, (0.16, 0.2)) if name == "new-sizes" else np.isclose(size, 0.13)).all()
        held = within(drawn["hue"], *sprites.NEW_HUES)[here]
        if task in ("goal-finding", "exploration"):
            assert held.all() if name == "new-colours" else not held.any()
        assert within(drawn["saturation"][here], (0.3, 1)).all() and within(drawn["value"][here], (0.9, 1)).all()
        assert within(drawn["x"][here], (0.1, 0.9)).all() and np.allclose(drawn["yaw"], 0)


def colours(drawn):
    """Which of `COLOURS` each scene has, with their numbers."""
    table = np.stack([(within(drawn["hue"], ends) & real(drawn)).sum(1) for ends in sprites.COLOURS.values()], 1)
    return [{name: n for name, n in zip(sprites.COLOURS, row) if n} for row in table.tolist()]


def test_tasks_have_the_sprites_that_they_say():
    goal = sprites.Config(n_targets=2, n_distractors=3)
    for name, (targets, distractors) in {"train": (2, 3), "more-targets": (3, 3), "more-distractors": (2, 4)}.items():
        drawn = draw(name, goal)
        assert ((within(drawn["hue"], sprites.TARGETS) & real(drawn)).sum(1) == targets).all()
        assert ((within(drawn["hue"], sprites.DISTRACTORS) & real(drawn)).sum(1) == distractors).all()
        assert drawn["hue"].shape[1] == 6
    clusters = {
        "train": ("blue", "green", 2),
        "more-sprites": ("blue", "green", 3),
        "new-colours": ("red", "yellow", 2),
    }
    for name, (a, b, n) in clusters.items():
        assert all(one == {a: n, b: n} for one in colours(draw(name, sprites.Config(task="clustering"))))
    found = {name: draw(name, sprites.Config(task="sorting"), 2000) for name in ("train", "new-pair", "more-sprites")}
    pairs = {name: {frozenset(one) for one in colours(drawn)} for name, drawn in found.items()}
    assert len(pairs["train"]) == 9 and pairs["new-pair"] == {frozenset(("red", "blue"))}
    assert pairs["train"].isdisjoint(pairs["new-pair"]) and len(pairs["more-sprites"]) == 10
    share = np.mean([set(one) == {"red", "green"} for one in colours(found["train"])])
    assert abs(share - 1 / 9) < 0.03
    explore = sprites.Config(task="exploration")
    assert set(draw("train", explore)["n_objects"]) == set(range(1, 7))
    assert set(draw("more-sprites", explore)["n_objects"]) == {7, 8}


@pytest.mark.parametrize("task", sprites.TASKS)
def test_recombination_has_a_pair_that_training_lacks_of_values_that_it_has(task):
    config = sprites.Config(task=task)
    seen, new = draw("train", config, 3000), draw("recombination", config, 600)
    known = sprites.splits(config)
    sorts = [sort for cast in known["train"].objects.casts for _, sort in cast]
    allowed = np.any([sort.contains(new) for sort in sorts], axis=0) | ~real(new)
    assert not allowed.all(1).any()
    kinds, hues = (seen[name][real(seen)] for name in ("shape", "hue"))
    for i, k in np.argwhere(~allowed)[:100]:
        alike = np.abs(hues - new["hue"][i, k]) < 1e-3
        assert alike.any() and new["shape"][i, k] in kinds and new["shape"][i, k] not in kinds[alike]


# Of Spriteworld's configs/cobra: who there is (how many, hues, x and y from 0.1 to 0.9 but for a corner), in training and
# in the test.
T, D = (0.0, 0.4), (0.5, 0.9)
ALL = {"square", "triangle", "circle"}
COBRA = {
    "goal-finding-new-position": ([(1, T), (1, D)], [(1, T), (1, D)], ALL, ALL),
    "goal-finding-new-shape": ([(1, T)], [(1, T)], {"square"}, {"triangle", "circle"}),
    "goal-finding-more-distractors": ([(2, T), (1, D)], [(2, T), (2, D)], ALL, ALL),
    "goal-finding-more-targets": ([(1, T), (2, D)], [(2, T), (2, D)], ALL, ALL),
    "clustering": ([(2, (0.55, 0.65)), (2, (0.27, 0.37))], [(2, (0.9, 1.0)), (2, (0.1, 0.2))], ALL, ALL),
    "sorting": (None, [(1, (0.9, 1.0)), (1, (0.55, 0.65))], ALL, ALL),
}


@pytest.mark.parametrize("pair", COBRA)
def test_the_pairs_are_those_of_the_paper(pair):
    options, test = sprites.PAIRS[pair]
    config = sprites.Config(**options)
    known = sprites.splits(config)
    for name, who, shapes in (("train", COBRA[pair][0], COBRA[pair][2]), (test, COBRA[pair][1], COBRA[pair][3])):
        drawn = draw(name, config, 1500)
        here = real(drawn)
        assert {sprites.SHAPES[i] for i in drawn["shape"][here]} == shapes
        if who is not None:
            assert (drawn["n_objects"] == sum(n for n, _ in who)).all()
            for n, hues in who:
                of = within(drawn["hue"], hues) & here
                assert (of.sum(1) == n).all()
                # The whole of the range, and as much of it everywhere.
                low, high = hues
                assert np.abs(np.histogram(drawn["hue"][of], 4, hues)[0] / of.sum() - 0.25).max() < 0.05
                assert drawn["hue"][of].min() < low + 0.02 and drawn["hue"][of].max() > high - 0.02
        for axis in ("x", "y"):
            assert (
                0.1 <= drawn[axis][here].min() < 0.11 and 0.89 < drawn[axis][here].max() < 0.9
            ) or "position" in pair
        targets = corner(drawn)[within(drawn["hue"], T) & here]
        if pair == "goal-finding-new-position":
            assert targets.all() if name == test else not targets.any()
            assert 0.2 < corner(drawn)[within(drawn["hue"], D) & here].mean() < 0.3
        elif pair.startswith("goal"):
            assert 0.2 < targets.mean() < 0.3
    assert factors.overlap(known["train"], known[test]) is None


@pytest.mark.parametrize(
    "task", [pytest.param(task, marks=[pytest.mark.slow] * (task != "clustering")) for task in sprites.TASKS]
)
def test_tiers_are_derived_from_casts_too(task):
    known = sprites.splits(sprites.Config(task=task))
    for name, split in known.items():
        told = tiers.tier(None, known["train"], split)
        expected = tiers.NEW_TO_BOTH
        if name in ("new-position", "recombination", "new-pair"):
            expected = tiers.RECOMBINATION
        elif name.startswith("more"):
            expected = tiers.MORE_OBJECTS
        elif name in ("train", "test"):
            expected = tiers.IN_DISTRIBUTION if name == "train" else tiers.FRESH_SEEDS
        assert told.name == expected and set(split.novel) <= set(told.factors)


def test_a_leak_is_an_error_with_factor_and_witness():
    known = dict(sprites.splits(sprites.Config()))
    for name, split in list(known.items()):
        if split.novel:
            leak = dataclasses.replace(split, objects=known["train"].objects, scene=known["train"].scene)
            with pytest.raises(
                errors.CaveError, match=rf"split '{name}' leaks: 'train' can draw its {split.novel[0]} = "
            ):
                factors.check_splits(known | {name: leak})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"shapes": ("sqare",)}, "unknown shape 'sqare'.*did you mean 'square'"),
        ({"new_shapes": ()}, "split 'new-shapes' is empty: no value of shape is left"),
        ({"new_shapes": ("square",), "held_out": ()}, "split 'new-shapes' leaks: 'train' can draw its shape = "),
        ({"n_targets": 0}, "n_targets is 0, wanted 1 to"),
        ({"size": (0.2, 0.1)}, "size is .*wanted 0.02 <= low <= high"),
        ({"new_size": (0.1, 0.2)}, "split 'new-sizes' leaks"),
        ({"held_out": ("colour",)}, "unknown thing to hold out 'colour'.*did you mean 'colours'"),
        ({"shapes": ("square",), "new_shapes": ("circle",)}, "split 'train' is empty"),
    ],
)
def test_options_that_cannot_be_are_refused(options, told):
    with pytest.raises(errors.CaveError, match=told) as caught:
        sprites.splits(sprites.Config(**options))
    assert caught.value.code == errors.USAGE
