"""Rooms: objects stand on the floor and apart, and every split holds out what its name says."""

import colorsys
import dataclasses
import time

import numpy as np
import pytest

import scenes
from scenes import factors, rooms
from scenes.kit import errors

CONFIG = rooms.Config()
N = 400


def draw(split, config=CONFIG, n=N):
    return rooms.splits(config)[split].sample(11, np.arange(n))


def real(drawn):
    return np.arange(drawn["hue"].shape[1]) < drawn["n_objects"][:, None]


def surface(kind, size, n=400):
    """Points on a solid, in its own axes, from its meaning in the contract."""
    rng = np.random.default_rng(0)
    on_sphere = rng.normal(size=(n, 3))
    on_sphere /= np.linalg.norm(on_sphere, axis=1, keepdims=True)
    turn, height = rng.uniform(0, 2 * np.pi, n), rng.uniform(-1, 1, n)
    ring = np.stack([np.cos(turn), np.sin(turn)], 1)
    r, h, _ = size
    if kind == "box":
        points = on_sphere / np.abs(on_sphere).max(1, keepdims=True) * size
        return np.concatenate([points, np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T * size])
    if kind == "sphere":
        return on_sphere * r
    if kind == "ellipsoid":
        return np.concatenate([on_sphere * size, np.diag(size), -np.diag(size)])
    if kind == "capsule":
        return np.concatenate([on_sphere * r + [0, 0, 1] * np.sign(on_sphere[:, 2:]) * h, [[0, 0, -h - r]]])
    if kind == "cylinder":
        return np.column_stack([ring * r, np.sign(height) * h])
    if kind == "cone":
        return [*np.column_stack([ring * r * (1 - height[:, None]) / 2, height * h]).tolist(), [0, 0, -h], [0, 0, h]]
    tube = rng.uniform(0, 2 * np.pi, n)
    radial = np.concatenate([r + h * np.cos(tube), [r + h] * 2])
    ring = np.concatenate([ring, [[1, 0], [0, -1]]])
    return np.column_stack([ring * radial[:, None], np.append(h * np.sin(tube), [0, 0])])


@pytest.mark.parametrize("split", ["train", "new-shapes", "more-objects"])
def test_objects_stand_on_the_floor_within_their_footprints(split):
    drawn = draw(split, n=40)
    batch = rooms.build(CONFIG, drawn)
    for scene in range(len(batch)):
        for k in range(drawn["n_objects"][scene]):
            solid = batch.offsets[scene] + rooms.FIRST_OBJECT + k
            kind = scenes.KINDS[batch.kind[solid]]
            assert kind == rooms.SHAPES[drawn["shape"][scene, k]]
            points = np.asarray(surface(kind, batch.size[solid]))
            world = points @ scenes.rotation_matrices(batch.rotation[solid]).T + batch.position[solid]
            middle = np.array([drawn["x"][scene, k], drawn["y"][scene, k]])
            radius = rooms.footprint(drawn["shape"][scene, k], drawn["size"][scene, k])
            reach = np.linalg.norm(world[:, :2] - middle, axis=1)
            assert reach.max() <= radius + 1e-5 and reach.max() > 0.9 * radius
            assert abs(world[:, 2].min()) < 0.02 * radius  # touches the floor; round ones in few of the points
            assert world[:, 2].min() > -1e-5 and np.abs(world[:, :2]).max() < 3


@pytest.mark.parametrize("split", list(rooms.splits(CONFIG)))
def test_objects_are_apart_in_the_room_and_in_hue(split):
    drawn = draw(split)
    for i, n in enumerate(drawn["n_objects"]):
        x, y, hue = (drawn[name][i, :n] for name in ("x", "y", "hue"))
        radius = rooms.footprint(drawn["shape"][i, :n], drawn["size"][i, :n])
        for a in range(n):
            for b in range(a):
                assert np.hypot(x[a] - x[b], y[a] - y[b]) >= radius[a] + radius[b] + CONFIG.gap - 1e-9
                assert min(abs(hue[a] - hue[b]), 1 - abs(hue[a] - hue[b])) >= CONFIG.hue_gap


def test_rooms_are_those_they_have_always_been():
    """Disturbances are further factors of the scenes; those of before are drawn as before there were any."""
    drawn = rooms.splits(CONFIG)["train"].sample(3, np.arange(5, 8))
    assert drawn["n_objects"].tolist() == [2, 1, 3] and drawn["wall_texture"].tolist() == [2, 3, 0]
    np.testing.assert_allclose(drawn["light_elevation"], [0.62140637, 1.12636796, 1.01426552], atol=1e-8)
    np.testing.assert_allclose(drawn["hue"][:, 0], [0.17098565, 0.37192628, 0.65568951], atol=1e-8)
    assert not any(drawn[name].any() for name in rooms.nuisance.NAMES)


def held_hue(hue):
    return ((hue >= 0.2) & (hue < 0.35)) | ((hue >= 0.7) & (hue < 0.85))


def test_each_split_holds_out_what_its_name_says():
    old = [i for i, shape in enumerate(rooms.SHAPES) if shape not in CONFIG.new_shapes]
    train = draw("train", n=3000)
    objects = {name: train[name][real(train)] for name in ("shape", "hue", "x", "y")}
    assert set(objects["shape"]) == set(old) and not held_hue(objects["hue"]).any()
    assert set(train["n_objects"]) == {1, 2, 3} and objects["x"].max() < 0.5
    for split in ("new-colours", "new-shapes", "more-objects", "new-layout", "recombination"):
        drawn = draw(split)
        here = {name: drawn[name][real(drawn)] for name in objects}
        assert held_hue(here["hue"]).all() == (split == "new-colours") and held_hue(here["hue"]).any() == (
            split == "new-colours"
        )
        assert set(here["shape"]) == ({5, 6} if split == "new-shapes" else set(old))
        assert set(drawn["n_objects"]) == ({4, 5, 6} if split == "more-objects" else {1, 2, 3})
        assert (here["x"] >= 0.5).all() if split == "new-layout" else (here["x"] < 0.5).all()


def test_recombination_law():
    """No held-out pair in training, one at least in every test scene, and every single value common in training."""
    splits = rooms.splits(CONFIG)
    train, test = splits["train"].objects, splits["recombination"].objects
    held_out = test.some.onto("shape", "hue")
    assert (train.each.onto("shape", "hue") & held_out).is_empty()
    for name in ("shape", "hue", "size", "x", "y", "yaw"):
        assert (test.each.onto(name) - train.each.onto(name)).is_empty()
        assert (test.some.onto(name) - train.each.onto(name)).is_empty()
    drawn, seen = draw("recombination"), draw("train", n=3000)
    assert (held_out.contains(drawn) & real(drawn)).any(1).all()
    assert not (held_out.contains(seen) & real(seen)).any()
    # Every training shape has a held-out band of hues, and each such band is common with other shapes.
    assert set(held_out.onto("shape").boxes[0][0].values) | {
        value for one in held_out.boxes for value in one[0].values
    } == set(train.each.onto("shape").boxes[0][0].values) | {
        value for one in train.each.boxes for value in one[0].values
    }
    shapes, hues = seen["shape"][real(seen)], seen["hue"][real(seen)]
    for pair in held_out.boxes:
        in_band = pair[1].contains(hues)
        others = shapes[in_band & ~pair[0].contains(shapes)]
        assert len(np.unique(others)) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"n_objects": 1},
        {"n_objects": 4, "new_shapes": ("torus",)},
        {"gap": 0.3, "new_shapes": ("box", "cone", "sphere")},
    ],
)
def test_derived_options_keep_the_splits_apart(options):
    splits = rooms.splits(rooms.Config(**options))
    factors.check_splits(splits)
    most = options.get("n_objects", 3)
    for name, split in splits.items():
        drawn = split.sample(0, np.arange(20))
        assert drawn["hue"].shape == (20, most + 3)
        assert (drawn["n_objects"].max() > most) == (name == "more-objects") == (drawn["n_objects"].min() > most)


@pytest.mark.parametrize("name", ["new-colours", "new-shapes", "more-objects", "new-layout", "recombination"])
def test_a_leak_is_an_error_with_factor_and_witness(name):
    splits = dict(rooms.splits(CONFIG))
    honest, train = splits[name], splits["train"].objects
    wider = dataclasses.replace(
        honest.objects, each=honest.objects.each | train.each, some=None, count=factors.Finite(range(1, 9))
    )
    splits[name] = dataclasses.replace(honest, objects=wider)
    with pytest.raises(errors.CaveError, match=rf"split '{name}' leaks: 'train' can draw its {honest.novel[0]} = "):
        factors.check_splits(splits)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"n_objects": 0}, "n_objects is 0, wanted 1 to"),
        ({"gap": -1.0}, "gap is -1.0"),
        ({"side": float("nan")}, "side is nan"),
        ({"new_shapes": ("boxx",)}, "unknown shape 'boxx'.*did you mean 'box'"),
        ({"new_shapes": ()}, "split 'new-shapes' is empty: no value of shape is left"),
        ({"new_shapes": rooms.SHAPES}, "split 'train' is empty"),
        ({"new_hues": ((0.0, 1.0),)}, "split 'train' is empty"),
        ({"new_hues": ((0.5, 0.2),)}, "new_hues has"),
        ({"new_hues": ()}, "split 'new-colours' is empty"),
    ],
)
def test_options_that_cannot_be_are_refused(options, told):
    with pytest.raises(errors.CaveError, match=told) as caught:
        rooms.splits(rooms.Config(**options))
    assert caught.value.code == errors.USAGE


def test_walls_enclose_the_room_and_face_inwards():
    batch = rooms.build(CONFIG, draw("train", n=1))
    turned = scenes.rotation_matrices(batch.rotation[1:5])
    to_middle = np.array([0, 0, rooms.WALL_HEIGHT / 2]) - batch.position[1:5]
    np.testing.assert_allclose(turned[:, :, 2], to_middle / np.linalg.norm(to_middle, axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(batch.position[1:5, :2], [[3.5, 0], [-3.5, 0], [0, 3.5], [0, -3.5]])
    for i in range(4):
        corner = batch.position[1 + i] + turned[i, :, 0] * batch.size[1 + i, 0] - turned[i, :, 1] * batch.size[1 + i, 1]
        np.testing.assert_allclose(np.abs(corner), [3.5, 3.5, 0], atol=1e-5)
    np.testing.assert_allclose(batch.size[0, :2], 3.5)


def test_textures_and_colours_follow_the_factors():
    drawn = draw("train")
    batch = rooms.build(CONFIG, drawn)
    floors = batch.texture[batch.offsets[:-1]]
    assert [scenes.TEXTURES[i] for i in floors] == [rooms.FLOOR_TEXTURES[i] for i in drawn["floor_texture"]]
    for wall in range(1, 5):
        np.testing.assert_array_equal(batch.texture[batch.offsets[:-1] + wall], drawn["wall_texture"])
    assert len(set(drawn["wall_texture"])) == 5 and len(set(floors)) == 3
    last = batch.offsets[1:] - 1
    hue = drawn["hue"][np.arange(N), drawn["n_objects"] - 1]
    np.testing.assert_allclose(batch.colour[last, 0], [colorsys.hsv_to_rgb(h, 0.85, 0.95) for h in hue], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(batch.light_position, axis=-1), 1, atol=1e-6)


def test_ring_cameras_look_at_the_middle_and_miss_the_objects():
    index = np.arange(50)
    poses = rooms.ring_poses(CONFIG, 5, index, 7)
    assert poses.shape == (50, 7, 5) and poses.dtype == np.float32
    np.testing.assert_array_equal(rooms.ring_poses(CONFIG, 5, index[[9, 3]], 3), poses[[9, 3], :3])
    x, y, z, yaw, pitch = np.moveaxis(poses.astype(np.float64), -1, 0)
    np.testing.assert_allclose(np.hypot(x, y), 3, rtol=1e-5)
    # Following the gaze for the ring's radius ends above the middle.
    np.testing.assert_allclose(x + 3 * np.cos(yaw), 0, atol=1e-5)
    np.testing.assert_allclose(y + 3 * np.sin(yaw), 0, atol=1e-5)
    np.testing.assert_allclose(z + 3 * np.tan(pitch), 0.35, atol=1e-5)
    for split in rooms.splits(CONFIG):
        drawn = draw(split)
        reach = np.hypot(drawn["x"], drawn["y"]) + rooms.footprint(drawn["shape"], drawn["size"])
        assert reach[real(drawn)].max() < 2.85


def test_free_cameras_keep_clear():
    drawn = draw("more-objects", n=60)
    index = np.arange(60)
    poses = rooms.free_poses(CONFIG, drawn, 5, index, 6, height=0.5, clearance=0.4)
    rows = [7, 2]
    part = {name: value[rows] for name, value in drawn.items()}
    again = rooms.free_poses(CONFIG, part, 5, index[rows], 6, height=0.5, clearance=0.4)
    np.testing.assert_array_equal(again, poses[rows])
    assert np.abs(poses[..., :2]).max() <= 3.1 and np.abs(poses[..., :2]).max() > 2.8
    for i, n in enumerate(drawn["n_objects"]):
        for k in range(n):
            away = np.hypot(poses[i, :, 0] - drawn["x"][i, k], poses[i, :, 1] - drawn["y"][i, k])
            assert away.min() >= rooms.footprint(drawn["shape"][i, k], drawn["size"][i, k]) + 0.4 - 1e-5
    assert (poses[..., 2] == 0.5).all() and not poses[..., 4].any() and np.ptp(poses[..., 3]) > 6
    with pytest.raises(errors.CaveError, match=r"no free place"):
        rooms.free_poses(CONFIG, drawn, 5, index, 1, clearance=3.3)


def test_256_rooms_take_milliseconds():
    """1.2 ms where nothing else runs and annotations are not checked."""
    index, best = np.arange(256), 1e9
    for _ in range(8):
        began = time.process_time()
        scenes.sample(rooms, CONFIG, "train", 0, index)
        best = min(best, time.process_time() - began)
    assert best < 0.012
