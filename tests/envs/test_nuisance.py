"""Disturbances: smooth, pure functions of episode and step that touch pictures and nothing else, and nothing at strength 0."""

import math

import numpy as np
import pytest

import envs
import scenes
from envs import nuisance, rooms
from scenes import rooms as family
from scenes.factors import nuisance as strengths

INDEX = np.array([3, 9, 2**52, 17])
ZERO = np.zeros(4, np.int64)
DRAWN = ("image", "depth", "ids")


def factors_of(percent, n=4):
    return dict.fromkeys(strengths.NAMES, np.full(n, percent))


def batch_of(percent):
    drawn = family.splits(family.Config())["train"].sample(0, np.arange(4))
    return family.build(family.Config(), drawn | factors_of(percent))


def world_of(split, n=3, seed=4, sensors=envs.SENSORS, name="rooms"):
    world = envs.make(name, envs.module(name).Config(), n, split, seed, sensors, (24, 24))
    world.reset()
    return world


def test_waves_are_smooth_pure_and_of_either_sign():
    steps = np.arange(400)
    swing = nuisance.waves("yaw", np.full(400, 5), steps, 8)
    assert np.abs(swing).max() <= 1 and swing.max() > 0.5 and swing.min() < -0.5
    assert np.abs(np.diff(swing, axis=0)).max() <= 2 * math.pi / nuisance.SLOW[0]
    order = np.random.default_rng(0).permutation(400)
    np.testing.assert_array_equal(nuisance.waves("yaw", np.full(400, 5), order, 8), swing[order])
    assert np.abs(np.corrcoef(swing.T) - np.eye(8)).max() < 0.95
    assert not np.allclose(nuisance.waves("light", np.full(400, 5), steps, 8), swing)


def test_strength_0_touches_nothing():
    calm = batch_of(0)
    dressed = nuisance.dressed(calm, INDEX, ZERO + 40)
    for name in ("colour", "texture_scale", "light_position", "light_colour", "ambient", "sky"):
        assert getattr(calm, name).tobytes() == getattr(dressed, name).tobytes(), name
    poses = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    moved, roll = nuisance.sway(poses, factors_of(0), INDEX, ZERO + 40, 0.25)
    np.testing.assert_array_equal(moved, poses)
    cameras = scenes.cameras_from_poses(poses, 1.0, 8, 8)
    np.testing.assert_array_equal(nuisance.rolled(cameras, roll).rotation, cameras.rotation)
    views = poses[:, None]
    batch, told = nuisance.seen(calm, views, 1, INDEX, 0.25)
    assert batch is calm and told is views


def test_full_strength_is_still_a_scene_seen_from_within_the_body():
    batch = batch_of(100)
    poses = np.zeros((4, 5), np.float32)
    for step in range(0, 300, 30):
        nuisance.dressed(batch, INDEX, ZERO + step).check()
        moved, roll = nuisance.sway(poses, factors_of(100), INDEX, ZERO + step, rooms.RADIUS)
        assert np.linalg.norm(moved[:, :3], axis=1).max() <= rooms.RADIUS + 1e-6
        assert np.abs(roll).max() <= math.pi / 2
        light = nuisance.dressed(batch, INDEX, ZERO + step).light_position
        np.testing.assert_allclose(np.linalg.norm(light, axis=-1), 1, atol=1e-6)
        np.testing.assert_allclose(light[..., 2], batch.light_position[..., 2])


def test_a_rolled_camera_sees_what_was_right_below():
    camera = scenes.cameras_from_poses(np.zeros((1, 5)), 1.0, 8, 8)
    for cameras, seen in ((camera, (1.0, 0.0)), (nuisance.rolled(camera, np.array([math.pi / 2])), (0.0, -1.0))):
        right = np.array([0.0, -1.0, 0.0])  # of one who looks along +x
        np.testing.assert_allclose((scenes.rotation_matrices(cameras.rotation[0]).T @ right)[:2], seen, atol=1e-6)


@pytest.mark.parametrize("name", ["rooms", "reach"])
@pytest.mark.parametrize("split", ["nuisance-easy", "nuisance-hard"])
def test_it_touches_pictures_and_nothing_else(split, name):
    world, calm = world_of(split, name=name), world_of("train", name=name)
    calm.reset(seeds=world.seeds, factors=world.factors() | factors_of(0, 3))
    state = world.state_dict()
    calm.load_state_dict(state | {f"factors.{name}": np.zeros(3, np.int64) for name in strengths.NAMES})
    far = []
    for t in range(12):
        ours, theirs = world.observe(), calm.observe()
        for sensor in envs.SENSORS:
            assert np.array_equal(ours[sensor], theirs[sensor]) == (sensor not in DRAWN), (t, sensor)
        far.append(np.abs(ours["image"].astype(float) - theirs["image"]).mean())
        again = world.observe()
        assert all(np.array_equal(ours[sensor], again[sensor]) for sensor in envs.SENSORS)
        action = world.random()
        for a, b in zip(world.step(action), calm.step(action)):
            np.testing.assert_array_equal(a, b)
    assert np.mean(far) > (12 if split == "nuisance-hard" else 3)


def test_one_who_is_disturbed_disturbs_no_other_and_goes_on_from_a_state():
    world, beside = world_of("nuisance-hard", 3), world_of("nuisance-hard", 1, seed=5)
    some = {
        name: np.where([False, True, False], value, 0)
        for name, value in world.factors().items()
        if name in strengths.NAMES
    }
    world.intervene(some)
    calm = world_of("nuisance-hard", 3)
    calm.intervene(factors_of(0, 3))
    for _ in range(5):
        seen, alone, still = world.observe(), beside.observe(), calm.observe()
        for sensor in envs.SENSORS:
            assert np.array_equal(seen[sensor][1], alone[sensor][0]), sensor
            assert np.array_equal(seen[sensor][[0, 2]], still[sensor][[0, 2]]), sensor
        action = np.zeros(3, np.int64)
        for each in (world, beside, calm):
            each.step(action[: each.n])
    state, expected = world.state_dict(), world.observe()
    other = world_of("nuisance-hard", 3, seed=99)
    other.load_state_dict(state)
    for sensor, value in other.observe().items():
        assert np.array_equal(value, expected[sensor]), sensor
    # And once it is over, it is over.
    world.intervene(factors_of(0, 3))
    for sensor, value in world.observe().items():
        assert np.array_equal(value, calm.observe()[sensor]), sensor


def test_learners_see_disturbed_scenes_too():
    draw = lambda split: envs.stream("rooms", rooms.Config(), "Views", split, 0, 3, size=(16, 16), views=4).draw(1)
    hard, train = draw("nuisance-hard"), draw("train")
    radius = np.hypot(*np.moveaxis(hard["poses"][..., :2], -1, 0))
    np.testing.assert_allclose(np.hypot(*np.moveaxis(train["poses"][..., :2], -1, 0)), 3, rtol=1e-5)
    assert radius.std() > 0.01 and np.abs(radius - 3).max() < rooms.RADIUS
    assert np.ptp(hard["poses"][..., 4]) > 0.05
    np.testing.assert_array_equal(hard["images"], draw("nuisance-hard")["images"])
