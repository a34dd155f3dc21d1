"""What streams hold."""

import numpy as np
import pytest

import envs
import scenes
from envs import rooms
from scenes import rooms as family
from scenes.kit import errors
from scenes.renderers import cards, raycast


@pytest.mark.parametrize("cameras", ["ring", "free"])
def test_views_are_pictures_of_their_scenes_from_their_poses(cameras):
    config = rooms.Config(cameras=cameras, supersample=2)
    stream = envs.stream("rooms", config, "Views", "train", 4, 3, size=(24, 32), views=5)
    batch = stream.draw(7)
    assert batch["images"].shape == (3, 5, 24, 32, 3) and batch["images"].dtype == np.uint8
    assert batch["poses"].shape == (3, 5, 5) and batch["poses"].dtype == np.float32
    assert stream.spec.views == 5 and stream.spec.fov == family.FOV
    # One scene and one camera at a time, named by hand.
    for i in range(3):
        room = scenes.sample(family, config.scenery, "train", 4, [7 * 3 + i])
        handle = raycast.load(room, **config.look)
        for v in range(5):
            cameras = scenes.cameras_from_poses(batch["poses"][i, v][None], stream.spec.fov, 24, 32)
            assert np.array_equal(handle.render(cameras).rgb[0], batch["images"][i, v])


def test_a_film_shows_the_scenes_of_the_stream():
    stream = envs.stream("rooms", rooms.Config(), "Views", "train", 4, 3, size=(8, 8))
    film = stream.film(np.array([2, 0]), 12)
    assert film["film_images"].shape == (2, 12, 8, 8, 3) and film["film_poses"].shape == (2, 12, 5)
    for i, scene in enumerate((2, 0)):
        handle = raycast.load(scenes.sample(family, family.Config(), "train", 4, [scene]), **rooms.Config().look)
        cameras = scenes.cameras_from_poses(film["film_poses"][i, 7][None], stream.spec.fov, 8, 8)
        assert np.array_equal(handle.render(cameras).rgb[0], film["film_images"][i, 7])
    # Once around, on the ring, at even steps, and looking inwards.
    x, y, z, yaw, pitch = np.moveaxis(film["film_poses"][0].astype(float), -1, 0)
    assert np.allclose(np.hypot(x, y), 3.0) and np.allclose(z, rooms.EYE_HEIGHT)
    assert np.allclose(np.hypot(np.diff(x), np.diff(y)), np.hypot(x[0] - x[-1], y[0] - y[-1]), atol=1e-5)
    assert np.allclose(np.cos(yaw) * x + np.sin(yaw) * y, -3.0) and np.allclose(pitch, rooms.EYE_PITCH)


@pytest.mark.parametrize(
    "fault, told", [("fails", "the card fails: RuntimeError: no such chip"), ("draws nothing", "% of the pixels")]
)
def test_a_card_that_cannot_be_trusted_is_not_used(monkeypatch, capsys, fault, told):
    handle, asked = raycast.Handle, []

    def card(*args):
        asked.append(fault)
        if fault == "fails":
            raise RuntimeError("no such\nchip")
        made = handle(*args, 1)
        monkeypatch.setattr(made, "_lights", made._lights * 0)
        return made

    monkeypatch.setattr(cards, "missing", lambda: "")
    monkeypatch.setattr(cards, "Handle", card)
    given, plain = (envs.stream("rooms", None, "Views", "train", 0, 2, (16, 16), 3, device=d) for d in ("cuda", "cpu"))
    for step in range(3):
        assert np.array_equal(given.draw(step)["images"], plain.draw(step)["images"])
    assert asked == [fault]
    err = [line for line in capsys.readouterr().err.splitlines() if "compiling" not in line]
    assert len(err) == 1 and err[0].startswith("the processor draws the pictures: ") and told in err[0]


def test_a_query_is_never_among_the_context():
    for cameras in ("ring", "free"):
        stream = envs.stream("rooms", rooms.Config(cameras=cameras), "Views", "train", 0, 64, size=(2, 2), views=6)
        poses = stream.draw(0)["poses"].astype(np.float64)
        apart = np.abs(poses[:, :, None] - poses[:, None]).max(-1) + np.eye(6)
        assert apart.min() > 0


def test_free_cameras_are_where_the_agent_may_stand():
    config = rooms.Config(cameras="free")
    batch, poses = rooms.views(config, "more-objects", 0, np.arange(50), 6)
    f = batch.factors
    radius = family.footprint(f["shape"], f["size"])
    for i in range(50):
        for k in range(f["n_objects"][i]):
            away = np.hypot(poses[i, :, 0] - f["x"][i, k], poses[i, :, 1] - f["y"][i, k])
            assert (away >= radius[i, k] + rooms.RADIUS).all()
    assert (np.abs(poses[..., :2]) <= config.side / 2 - rooms.RADIUS).all()
    assert np.allclose(poses[..., 2], rooms.EYE_HEIGHT) and np.allclose(poses[..., 4], rooms.EYE_PITCH)


def test_the_agents_eye_is_held_like_a_camera_on_the_ring():
    _, poses = rooms.views(rooms.Config(), "train", 0, np.arange(2), 3)
    assert np.allclose(poses[..., 2], rooms.EYE_HEIGHT, atol=1e-3)
    assert np.allclose(poses[..., 4], rooms.EYE_PITCH, atol=0.01)


def test_images_come_with_the_truth():
    batch = envs.stream("rooms", None, "Images", "new-shapes", 2, 9, size=(8, 8)).draw(3)
    assert batch["images"].shape == (9, 8, 8, 3) and batch["poses"].shape == (9, 5)
    truth = rooms.splits(rooms.Config())["new-shapes"].sample(2, 27 + np.arange(9))
    assert truth.keys() == batch["factors"].keys()
    assert all(np.array_equal(truth[name], batch["factors"][name]) for name in truth)


@pytest.mark.parametrize(("actions", "player"), [("discrete", "random"), ("continuous", "scripted")])
def test_episodes_retell_what_a_world_does(actions, player):
    config = rooms.Config(actions=actions, max_steps=7)
    stream = envs.stream("rooms", config, "Episodes", "train", 1, 4, size=(8, 8), length=20, player=player)
    batch = stream.draw(2)
    a = 3 if actions == "discrete" else 2
    shapes = {"images": (4, 20, 8, 8, 3), "poses": (4, 20, 5), "actions": (4, 20, a), "rewards": (4, 20)}
    assert {name: batch[name].shape for name in shapes} == shapes and stream.spec.n_actions == a
    assert batch["done"].dtype == bool and batch["done"].sum() >= 8
    # Within an episode the body moves as its actions say; across its end it is somewhere else.
    turned = np.diff(batch["poses"][..., 3].astype(np.float64), axis=1)
    turned = (turned + np.pi) % (2 * np.pi) - np.pi
    said = batch["actions"][..., 0] - batch["actions"][..., 1] if actions == "discrete" else batch["actions"][..., 0]
    goes_on = ~batch["done"][:, :-1]
    assert np.allclose(turned[goes_on], config.turn * said[:, :-1][goes_on], atol=1e-5)
    walked = np.hypot(*np.moveaxis(np.diff(batch["poses"][..., :2], axis=1), -1, 0))
    assert walked[goes_on].max() <= config.stride + 1e-5 < walked[~goes_on].max()


def test_a_player_that_is_not_there_is_answered():
    with pytest.raises(errors.CaveError, match="did you mean 'scripted'"):
        envs.stream("rooms", None, "Episodes", "train", 0, 2, player="scriptd")
