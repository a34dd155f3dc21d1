"""Solids: what is drawn, what is measured and what the factors say are one and the same."""

import math

import numpy as np
import pytest

import scenes
from scenes import objects
from scenes.geometry import csg
from scenes.kit import errors
from scenes.renderers import raycast
from scenes.solids import stages

CONFIG, CSG = objects.Config(), objects.Config(solids="csg")
BOTH = pytest.mark.parametrize("config", [CONFIG, CSG], ids=["superquadrics", "csg"])
MIDDLE = np.array([0, 0, stages.MIDDLE])


def draw(split, n=300, config=CONFIG):
    return objects.splits(config)[split].sample(11, np.arange(n))


def held(hue):
    return ((hue >= 0.2) & (hue < 0.35)) | ((hue >= 0.7) & (hue < 0.85))


def test_each_split_holds_out_what_its_name_says():
    for split in objects.splits(CONFIG):
        drawn = {name: value[:, 0] for name, value in draw(split).items() if value.ndim == 2}
        assert held(drawn["hue"]).all() == (split == "new-colours") == held(drawn["hue"]).any()
        pinched = np.maximum(drawn["north"], drawn["east"])
        assert (pinched >= 1.3).all() if split == "new-shapes" else (pinched < 1.15).all()
        long = drawn["size_z"] >= 0.5
        assert long.all() == (split == "new-sizes") == long.any()


def test_recombination_law():
    splits = objects.splits(CONFIG)
    names = ("north", "east", "hue")
    train, test = (splits[name].objects.each.onto(*names) for name in ("train", "recombination"))
    assert (train & test).is_empty()
    for name in names:
        assert (test.onto(name) - train.onto(name)).is_empty() and (train.onto(name) - test.onto(name)).is_empty()
    assert test.contains(draw("recombination")).all() and not test.contains(draw("train", 3000)).any()


def test_each_split_of_csg_holds_out_what_its_name_says():
    cut = csg.OPERATIONS.index("difference")
    for split in objects.splits(CSG):
        drawn = {name: value[:, 0] for name, value in draw(split, config=CSG).items() if value.ndim == 2}
        assert held(drawn["hue"]).all() == (split == "new-colours") == held(drawn["hue"]).any()
        twice = (drawn["operation_b"] == cut) & (drawn["operation_c"] == cut)
        assert twice.all() == (split == "new-shapes") == twice.any()
        long = drawn["length_a"] >= 0.46
        assert long.all() == (split == "new-sizes") == long.any()
        least = np.bincount(drawn["operation_b"], minlength=3).min()
        assert least > 20 or split == "new-shapes"
    train, test = (objects.splits(CSG)[name].objects.each for name in ("train", "recombination"))
    assert (train.onto("operation_b", "hue") & test.onto("operation_b", "hue")).is_empty()
    for name in ("operation_b", "hue"):
        assert train.marginal(name).within(test.marginal(name)) and test.marginal(name).within(train.marginal(name))


def test_csg_scenes_are_pure_functions():
    whole = scenes.sample(objects, CSG, "train", 3, np.array([0, 7, 2**33]))
    alone = scenes.sample(objects, CSG, "train", 3, np.array([2**33]))
    assert np.array_equal(whole.meshes[2].vertices, alone.meshes[0].vertices)
    assert np.array_equal(whole.meshes[2].faces, alone.meshes[0].faces)
    assert scenes.Scenes.from_json(alone.to_json()).to_json() == alone.to_json()


def test_parts_that_leave_nothing_are_refused():
    factors = draw("train", 1, CSG) | {"operation_b": np.full((1, 1), csg.OPERATIONS.index("difference"))}
    factors |= {f"{name}_b": np.full((1, 1), value) for name, value in {"kind": 0, "width": 0.7, "length": 0.7}.items()}
    factors |= {f"{axis}_b": np.zeros((1, 1)) for axis in "xyz"} | {"operation_c": factors["operation_b"]}
    objects.check(draw("train", 1, CSG))
    for call in (objects.check, lambda given: objects.build(CSG, given)):
        with pytest.raises(errors.CaveError, match="objects: solid 0 is empty: its parts cut away everything"):
            call(factors)


@pytest.mark.parametrize("split", list(objects.splits(CSG)))
def test_csg_is_seen_whole_and_lies_in_the_cube_of_points(split):
    for mesh in objects.build(CSG, draw(split, 40, CSG)).meshes:
        reach = np.linalg.norm(mesh.vertices, axis=1).max()
        assert math.asin(reach / stages.RADIUS) < stages.FOV / 2 and 0.2 < reach < min(stages.MIDDLE, objects.REACH)


@pytest.mark.parametrize("split", list(objects.splits(CONFIG)))
def test_everything_is_seen_whole_and_lies_in_the_cube_of_points(split):
    drawn = draw(split, 100)
    reach = np.linalg.norm([drawn[f"size_{axis}"][:, 0] for axis in "xyz"], axis=0).max()
    assert math.asin(reach / stages.RADIUS) < stages.FOV / 2 and reach < stages.MIDDLE and reach < 1.08
    assert max(drawn[f"size_{axis}"].max() for axis in "xyz") * math.sqrt(2) < objects.REACH * math.sqrt(1.3)
    at, _ = objects.surface(drawn, 200, 0, np.arange(100))
    assert np.abs(at - MIDDLE).max() < objects.REACH


@pytest.mark.parametrize("split", ["train", "new-shapes", "new-sizes"])
@BOTH
def test_the_mesh_the_points_and_the_distance_agree(split, config):
    drawn = draw(split, 6, config)
    batch = objects.build(config, drawn)
    for i in range(6):
        row = {name: value[i : i + 1] for name, value in drawn.items()}
        k = batch.offsets[i] + objects.FIRST_OBJECT
        turn = scenes.rotation_matrices(batch.rotation[k].astype(float))
        world = batch.meshes[batch.mesh[k]].vertices @ turn.T + batch.position[k]
        assert np.abs(objects.distance(row, world[None])).max() < 1e-5
    at, normal = objects.surface(drawn, 100, 7, np.arange(6))
    assert np.abs(objects.distance(drawn, at)).max() < 1e-7
    # Into a hollow only a hair's breadth is free.
    for far in (0.02, 0.2) if config is CONFIG else (1e-6,):
        np.testing.assert_allclose(objects.distance(drawn, at + far * normal), far, atol=1e-7)
    free = np.random.default_rng(0).uniform(-0.8, 0.8, (6, 200, 3)) + MIDDLE
    inside = objects.occupied(drawn, free)
    assert np.array_equal(inside, objects.distance(drawn, free) < 0) and 0.02 < inside.mean() < 0.6


@BOTH
def test_the_renderer_sees_the_surface_where_the_distance_is_zero(config):
    drawn = draw("train", 4, config)
    batch = objects.build(config, drawn)
    poses = objects.ring_poses(CONFIG, 3, np.arange(4), 1)[:, 0]
    cameras = scenes.cameras_from_poses(poses, objects.FOV, 32, 32)
    frames = raycast.load(batch, supersample=1, sensors=("depth", "ids")).render(cameras)
    rows, columns = (np.arange(32) + 0.5 - 16) / 16 * math.tan(objects.FOV / 2), np.arange(32)
    for i in range(4):
        seen = frames.ids[i] >= objects.FIRST_OBJECT
        down, across = np.meshgrid(rows, rows[columns], indexing="ij")
        rays = np.stack([across, -down, -np.ones_like(down)], -1)[seen] * frames.depth[i][seen][:, None]
        turn = scenes.rotation_matrices(cameras.rotation[i].astype(float))
        points = rays @ turn.T + cameras.position[i]
        row = {name: value[i : i + 1] for name, value in drawn.items()}
        # Facets lie within what is round, by no more than their sagitta; within what is hollow they lie outside.
        away = objects.distance(row, points[None])[0]
        assert seen.sum() > 30 and away.max() < (1e-3 if config is CONFIG else 0.01) and away.min() > -0.01


@BOTH
def test_rows_do_not_know_of_each_other(config):
    drawn, index = draw("test", 5, config), np.arange(5)
    at, normal = objects.surface(drawn, 30, 2, index)
    rows = np.array([3, 1])
    some = {name: value[rows] for name, value in drawn.items()}
    again = objects.surface(some, 30, 2, index[rows])
    assert np.array_equal(again[0], at[rows]) and np.array_equal(again[1], normal[rows])
    assert np.array_equal(objects.surface(some, 30, 3, index[rows])[0], again[0]) is False


def test_hues_out_of_order_are_refused():
    with pytest.raises(errors.CaveError, match=r"new_hues has \(0\.5, 0\.2\)"):
        objects.splits(objects.Config(new_hues=((0.5, 0.2),)))


@BOTH
def test_many_seeds(config):
    for seed in range(200 if config is CONFIG else 5):
        for name, split in objects.splits(config).items():
            batch = scenes.sample(objects, config, name, seed, np.arange(2))
            batch.check()
            assert split.contains(batch.factors).all()
            for factor in objects.LIMITS.keys() & batch.factors.keys():
                low, high = objects.LIMITS[factor]
                assert low <= batch.factors[factor].min() and batch.factors[factor].max() <= high
