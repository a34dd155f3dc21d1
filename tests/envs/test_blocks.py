"""An eye goes around a Shepard-Metzler object, and always sees it."""

import math

import numpy as np
import pytest

import envs
from envs import blocks
from scenes import blocks as family
from scenes.kit import errors
from scenes.solids import stages


def world(n=6, sensors=("pose", "state"), **options):
    made = envs.make("blocks", blocks.Config(image_size=32, **options), n, seed=3, sensors=sensors)
    made.reset()
    return made


def test_steps_go_around_and_up_and_stop_at_the_ends():
    one = world()
    azimuth, elevation = one.azimuth.copy(), one.elevation.copy()
    for action, around, up in ((0, -1, 0), (1, 1, 0), (2, 0, 1), (3, 0, -1)):
        one.load_state_dict(one.state_dict() | {"azimuth": azimuth, "elevation": elevation})
        one.step(np.full(6, action))
        turned = (one.azimuth - azimuth + math.pi) % (2 * math.pi) - math.pi
        np.testing.assert_allclose(turned, around * one.config.turn, atol=1e-12)
        risen = np.clip(elevation + up * one.config.tilt, stages.LOWEST, stages.HIGHEST)
        np.testing.assert_allclose(one.elevation, risen, atol=1e-12)
    for action, end in ((2, stages.HIGHEST), (3, stages.LOWEST)):
        for _ in range(12):
            reward, terminated, _ = one.step(np.full(6, action))
            assert not reward.any() and not terminated.any()
        assert (one.elevation == end).all()


def test_left_moves_the_eye_to_its_left():
    one = world()
    x, y, _, yaw, _ = one.observe()["pose"].T.astype(float)
    one.step(np.zeros(6, int))
    after = one.observe()["pose"].astype(float)
    leftwards = -np.sin(yaw) * (after[:, 0] - x) + np.cos(yaw) * (after[:, 1] - y)
    assert (leftwards > 0).all()


def test_once_around_is_the_same_picture_again():
    one = world(2, ("image", "pose", "ids"), turn=math.pi / 4)
    first, seen = one.observe(), []
    for _ in range(8):
        one.step(np.zeros(2, int))
        seen.append(one.observe())
    np.testing.assert_allclose(seen[-1]["pose"][:, :3], first["pose"][:, :3], atol=1e-5)
    assert (seen[-1]["image"] == first["image"]).mean() > 0.99
    assert all((other["image"] != first["image"]).mean() > 0.02 for other in seen[:-1])


def test_the_object_is_always_seen_whole():
    one = world(16, ("ids",), max_steps=30, n_parts=7)
    for _ in range(20):
        ids = one.observe()["ids"]
        assert ((ids >= family.FIRST_OBJECT).sum((1, 2)) > 20).all()
        rim = np.concatenate([ids[:, 0], ids[:, -1], ids[:, :, 0], ids[:, :, -1]], 1)
        assert (rim < family.FIRST_OBJECT).all()
        one.step(one.random())


def test_films_and_views_look_at_the_object():
    stream = envs.stream("blocks", None, "Views", "train", 4, 3, size=(16, 16), views=5)
    assert stream.spec.extent == stages.SIDE and stream.spec.fov == stages.FOV
    poses = np.concatenate([stream.draw(0)["poses"].reshape(-1, 5), stream.film(np.array([0]), 6)["film_poses"][0]])
    x, y, z, yaw, pitch = poses.T.astype(float)
    np.testing.assert_allclose(np.stack([x, y, z - stages.MIDDLE]), -stages.RADIUS * np.stack(
        [np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)]
    ), atol=1e-5)  # fmt: skip
    assert np.abs(poses[:, :2]).max() < stages.SIDE / 2


@pytest.mark.parametrize(
    ("factors", "told"),
    [
        ({"walk": np.array([1])}, "no self-avoiding walk of 5 parts"),
        ({"n_objects": np.array([6])}, "must be 5 or 7"),
        ({"ground_texture": np.array([3])}, "an integer from 0 to 2, not 3"),
        ({"hue": np.array([np.nan])}, "finite numbers"),
        ({"value": np.zeros((1, 3))}, r"finite numbers of shape \(7,\)"),
        ({"hues": np.array([0.1])}, "did you mean 'hue'"),
    ],
)
def test_interventions_that_make_no_object_are_refused(factors, told):
    with pytest.raises(errors.CaveError, match=told):
        world(1).reset(factors=factors)


def test_a_changed_factor_is_seen_and_the_eye_stays():
    one = world(4, ("image", "pose", "ids"))
    before, hue = one.observe(), one.factors()["hue"]
    one.intervene({"hue": (hue + 0.5) % 1})
    after = one.observe()
    assert np.array_equal(before["pose"], after["pose"]) and np.array_equal(before["ids"], after["ids"])
    changed = (before["image"] != after["image"]).any(-1)
    assert changed[before["ids"] >= family.FIRST_OBJECT].mean() > 0.9 and changed.mean() < 0.3
    with pytest.raises(errors.CaveError, match="no self-avoiding walk"):
        one.intervene({"walk": np.full(4, 1)})
    assert np.array_equal(one.observe()["image"], after["image"])


def test_options_out_of_range_are_refused():
    with pytest.raises(errors.CaveError, match=r"turn is 0\.0, wanted 0\.001"):
        blocks.Config(turn=0.0)
