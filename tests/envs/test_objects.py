"""An eye goes around a solid; the stream `Geometry` says where its surface is."""

import numpy as np
import pytest

import envs
from envs import objects
from scenes import objects as family
from scenes.kit import errors
from scenes.solids import stages

CSG = objects.Config(solids="csg")


def stream(split="train", seed=5, b=3, points=200, config=None):
    return envs.stream("objects", config, "Geometry", split, seed, b, size=(8, 8), views=2, points=points)


@pytest.mark.parametrize("config", [objects.Config(), CSG], ids=["superquadrics", "csg"])
def test_points_and_distances_are_those_of_the_pictures_scenes(config):
    made = stream(config=config)
    batch = made.draw(2)
    shapes = {"images": (3, 2, 8, 8, 3), "poses": (3, 2, 5), "points": (3, 200, 3), "distances": (3, 200)}
    shapes |= {"occupied": (3, 200), "surface": (3, 200, 3), "normals": (3, 200, 3)}
    assert {name: batch[name].shape for name in shapes} == shapes and made.spec.points == 200
    assert all(batch[name].dtype == np.float32 for name in ("points", "distances", "surface", "normals"))
    views = envs.stream("objects", config, "Views", "train", 5, 3, size=(8, 8), views=2).draw(2)
    assert np.array_equal(views["images"], batch["images"]) and np.array_equal(views["poses"], batch["poses"])
    truth = objects.splits(config)["train"].sample(5, 6 + np.arange(3))
    assert all(np.array_equal(truth[name], batch["factors"][name]) for name in truth)
    distance = family.distance(truth, batch["points"].astype(float))
    np.testing.assert_allclose(batch["distances"], distance, atol=1e-6)
    assert np.array_equal(batch["occupied"], distance < 0)
    assert np.abs(family.distance(truth, batch["surface"].astype(float))).max() < 1e-6
    np.testing.assert_allclose(np.linalg.norm(batch["normals"], axis=-1), 1, atol=1e-6)
    far = 0.1 if config.solids == "superquadrics" else 1e-6  # a hollow is not so wide
    out = family.distance(truth, batch["surface"].astype(float) + far * batch["normals"])
    np.testing.assert_allclose(out, far, atol=1e-6)


def test_a_csg_world_shows_its_solid_and_takes_other_parts():
    world = envs.make("objects", objects.Config(solids="csg", image_size=16), 2, sensors=("ids", "state"))
    world.reset()
    seen = world.observe()["ids"].copy()
    assert (seen == 1).any((1, 2)).all()
    world.intervene({"width_a": np.full((2, 1), 0.6), "length_a": np.full((2, 1), 0.6)})
    assert (world.observe()["ids"] != seen).any()
    nothing = {
        "width_a": 0.3,
        "length_a": 0.3,
        "kind_b": 0,
        "operation_b": 2,
        "width_b": 0.7,
        "length_b": 0.7,
        "x_b": 0,
        "y_b": 0,
        "z_b": 0,
    }
    with pytest.raises(errors.CaveError, match="objects: solid 0 is empty"):
        world.intervene({name: np.full((2, 1), value) for name, value in (nothing | {"operation_c": 2}).items()})


def test_half_of_the_points_are_anywhere_and_half_near_the_surface():
    batch = stream(b=8, points=801).draw(0)
    free, near = np.split(batch["points"] - np.float32([0, 0, stages.MIDDLE]), [401], axis=1)
    assert free.min() >= -family.REACH and free.max() <= family.REACH
    np.testing.assert_allclose(np.histogram(free, 4, (-family.REACH, family.REACH))[0] / free.size, 0.25, atol=0.03)
    away = batch["distances"][:, 401:]
    tight, loose = away[:, ::2], away[:, 1::2]
    assert np.abs(tight).max() < 0.06 and 0.007 < tight.std() < 0.012 and 0.03 < loose.std() < 0.06
    assert 0.35 < batch["occupied"][:, 401:].mean() < 0.6 and 0.02 < batch["occupied"][:, :401].mean() < 0.4
    assert near.shape[1] == 400


def test_batches_group_scenes_and_do_not_change_them():
    together, first, second = stream(b=6).draw(0), stream().draw(0), stream().draw(1)
    for name in ("points", "distances", "occupied", "surface", "normals"):
        apart = np.concatenate([first[name], second[name]])
        np.testing.assert_allclose(together[name], apart, atol=1e-6)
        assert not np.array_equal(stream(seed=6).draw(0)[name], first[name])
    assert np.array_equal(together["points"], np.concatenate([first["points"], second["points"]]))


def test_slips_are_answered():
    with pytest.raises(errors.CaveError, match="points must be at least 2, not 1"):
        stream(points=1)
    with pytest.raises(errors.CaveError, match="offers no stream 'Geometry'.*Geometry is offered by objects"):
        envs.stream("blocks", None, "Geometry", "train", 0, 2)
    world = envs.make("objects", objects.Config(), 1, sensors=("pose",))
    with pytest.raises(errors.CaveError, match=r"factor north must be a number from 0\.2 to 1\.8, not 5"):
        world.reset(factors={"north": np.array([[5.0]])})
