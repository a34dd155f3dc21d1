"""Bodies of the family `tabletop` rest on the table, apart from each other, exactly."""

import itertools

import numpy as np
import pytest

import scenes
from scenes import factors as fa
from scenes import tabletop
from scenes.factors import tiers
from scenes.kit import errors

CONFIG = tabletop.Config()


def corners(kind, size, n=400):
    """Points that span a solid in its own axes: their hull is the solid, but for what lies between them."""
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(n, 3))
    ball = np.concatenate([ball / np.linalg.norm(ball, axis=1, keepdims=True), np.eye(3), -np.eye(3)])
    if kind == "box":
        return np.array(list(itertools.product((-1, 1), repeat=3))) * size
    if kind == "sphere":
        return ball * size[0]
    if kind == "capsule":
        return np.concatenate([ball * size[0] + [0, 0, end * size[1]] for end in (-1, 1)])
    angle = np.arange(n) * 2 * np.pi / n
    ring = np.stack([np.cos(angle), np.sin(angle)], 1) * size[0]
    return np.concatenate([np.pad(ring, ((0, 0), (0, 1)), constant_values=end * size[1]) for end in (-1, 1)])


def bodies(split, n=60):
    """Shape, points and position of every body of some scenes, scene by scene."""
    batch = scenes.sample(tabletop, CONFIG, split, 3, np.arange(n))
    turn = scenes.rotation_matrices(batch.rotation.astype(np.float64))
    for i in range(n):
        first, end = batch.offsets[i] + batch.first_object, batch.offsets[i + 1]
        yield (
            i,
            batch,
            [
                (k, corners(scenes.KINDS[batch.kind[k]], batch.size[k]) @ turn[k].T + batch.position[k])
                for k in range(first, end)
            ],
        )


@pytest.mark.parametrize("split", ["train", "new-shapes", "more-objects"])
def test_bodies_rest_on_the_table_within_their_footprints_and_apart(split):
    shapes = set()
    for i, batch, found in bodies(split):
        names = ("shape", "size", "x", "y")
        shape, size, x, y = (batch.factors[name][i] for name in names)
        shapes |= set(shape[: len(found)].tolist())
        radius, held = tabletop.footprint(shape, size), tabletop.ball(shape, size)
        for j, (k, points) in enumerate(found):
            assert points[:, 2].min() == pytest.approx(tabletop.HIGH, abs=1e-6)
            away = np.linalg.norm(points[:, :2] - [x[j], y[j]], axis=1).max()
            assert away == pytest.approx(radius[j], rel=0.01) and away <= radius[j] + 1e-6
            assert np.linalg.norm(points - batch.position[k], axis=1).max() <= held[j] + 1e-6
            assert np.abs(points[:, :2]).max() < tabletop.SIDE / 2
        for a, b in itertools.combinations(range(len(found)), 2):
            assert np.hypot(x[a] - x[b], y[a] - y[b]) >= radius[a] + radius[b] + CONFIG.gap - 1e-9
    wanted = CONFIG.new_shapes if split == "new-shapes" else set(tabletop.SHAPES) - set(CONFIG.new_shapes)
    assert {tabletop.SHAPES[i] for i in shapes} == set(wanted)


@pytest.mark.parametrize(
    ("split", "tier"),
    [
        ("test", tiers.FRESH_SEEDS),
        ("new-colours", tiers.NEW_TO_BOTH),
        ("new-shapes", tiers.NEW_TO_BOTH),
        ("more-objects", tiers.MORE_OBJECTS),
        ("dynamics", tiers.DYNAMICS),
        ("recombination", tiers.RECOMBINATION),
        ("nuisance-easy", tiers.NUISANCE),
        ("nuisance-hard", tiers.NUISANCE),
    ],
)
def test_every_split_has_its_tier(split, tier):
    known = tabletop.splits(CONFIG)
    told = tiers.tier(known["train"], known["train"], known[split], tabletop.NUISANCE, tabletop.DYNAMICS)
    assert told.name == tier


def test_what_physics_asks_leaves_the_picture_as_it_is():
    drawn = tabletop.splits(CONFIG)["train"].sample(0, np.arange(5))
    one = tabletop.build(CONFIG, drawn)
    other = tabletop.build(CONFIG, drawn | {name: drawn[name] * 2 for name in (*tabletop.DYNAMICS, "tilt")})
    assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in scenes.SOLID_FIELDS)


def test_options_that_leave_nothing_are_refused():
    for slip, told in (
        ({"new_shapes": ("bx",)}, "did you mean 'box'"),
        ({"n_objects": 9}, "n_objects is 9, wanted 1 to 4"),
        ({"new_hues": ((0.5, 0.2),)}, "new_hues"),
        ({"new_shapes": tabletop.SHAPES}, "split 'train' is empty"),
    ):
        with pytest.raises(errors.CaveError, match=told) as caught:
            tabletop.splits(tabletop.Config(**slip))
        assert "\n" not in str(caught.value)
    assert isinstance(tabletop.splits(CONFIG)["train"], fa.Split)
