"""What streams hold."""

import concurrent.futures
import json

import numpy as np
import pytest

import envs
import scenes
from envs import rooms
from scenes import rooms as family
from scenes.kit import errors, options, runs
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
    with pytest.raises(errors.CaveError, match="did you mean 'scripted'.*or give a folder that agents.record wrote"):
        envs.stream("rooms", None, "Episodes", "train", 0, 2, player="scriptd")
    with pytest.raises(errors.CaveError, match="no/where holds no episodes: give a folder that agents.record wrote"):
        envs.stream("rooms", None, "Episodes", "train", 0, 2, player="no/where")
    with pytest.raises(errors.CaveError, match=r"scripted share must be 0 to 1, not 1\.5"):
        envs.stream("rooms", None, "Episodes", "train", 0, 2, player="mixed", scripted_share=1.5)
    for player in ("mixed", "scripted"):
        with pytest.raises(errors.CaveError, match="blocks has no scripted player: its players are random"):
            envs.stream("blocks", None, "Episodes", "train", 0, 2, player=player)


ROOMS = rooms.Config(image_size=8, max_steps=6)


def episodes(b, player, length=15, seed=3, **more):
    return envs.stream("rooms", ROOMS, "Episodes", "train", seed, b, (8, 8), length=length, player=player, **more)


def assert_batches_hold_the_same(player):
    """However scenes are grouped, in whatever order and from how many threads they are drawn."""
    whole = episodes(6, player).draw(1)
    made = episodes(2, player)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        parts = dict(zip((5, 3, 4), pool.map(made.draw, (5, 3, 4)), strict=True))
    for name, value in whole.items():
        assert np.array_equal(value, np.concatenate([parts[step][name] for step in (3, 4, 5)])), name
    other = episodes(6, player, seed=4).draw(1)
    assert not np.array_equal(other["actions"], whole["actions"])
    return whole


def test_a_mixed_player_plays_every_episode_as_one_of_the_others_would():
    mixed = assert_batches_hold_the_same("mixed")
    for share, player in ((0.0, "random"), (1.0, "scripted")):
        pure = episodes(6, "mixed", scripted_share=share).draw(1)
        assert all(np.array_equal(value, pure[name]) for name, value in episodes(6, player).draw(1).items())
    # Which of the two, in the first episode of many: as often as it was asked for.
    first = {
        player: episodes(200, player, 1, scripted_share=0.25).draw(0) for player in ("mixed", "random", "scripted")
    }
    same = {player: (first["mixed"]["actions"] == first[player]["actions"]).all((1, 2)) for player in first}
    assert (same["random"] | same["scripted"]).all()
    told = same["random"] != same["scripted"]
    assert told.sum() > 60 and abs(same["scripted"][told].mean() - 0.25) < 0.12
    assert mixed["done"].any()


def record(folder, change=None, card=None, n_files=2):
    """What agents.record writes, of players at random; and its arrays."""
    world = envs.make("rooms", ROOMS, 1, "train", 5, ("image", "pose", "goal", "state"))
    files, everything = {}, []
    for number in range(n_files):
        rows, offsets = [], [0]
        for _ in range(3):
            world.reset()
            while world.live[0]:
                seen, action = world.observe(), world.random()
                reward, terminated, truncated = world.step(action)
                got = {"action": action, "reward": reward, "terminated": terminated, "truncated": truncated}
                rows.append({name: value[0].copy() for name, value in (seen | got).items()})
            offsets.append(len(rows))
        arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]} | {"offsets": np.array(offsets)}
        everything.append(arrays)
        arrays = {name: value for name, value in (arrays | (change or {})).items() if value is not None}
        files[f"episodes-{number:05d}.safetensors"] = runs.save_tensors(arrays)
    told = {"schema": "cave.episodes/1", "env": "rooms", "split": "train", "env_config": options.to_dict(ROOMS)}
    files["card.json"] = json.dumps(told | (card or {})).encode()
    runs.write_atomic(folder, files)
    return everything


def test_a_recording_is_played_back_from_the_starts_of_its_episodes(tmp_path):
    told = record(tmp_path / "made")
    batch = assert_batches_hold_the_same(str(tmp_path / "made"))
    whole = {name: np.concatenate([part[name] for part in told]) for name in told[0] if name != "offsets"}
    offsets = np.concatenate([told[0]["offsets"][:-1], told[1]["offsets"][:-1] + told[0]["offsets"][-1]])
    starts = []
    for i in range(6):
        (start,) = (k for k in offsets if np.array_equal(whole["pose"][k], batch["poses"][i, 0]))
        rows = (start + np.arange(15)) % len(whole["pose"])
        starts.append(start)
        for mine, theirs in {"images": "image", "poses": "pose", "states": "state", "rewards": "reward"}.items():
            assert np.array_equal(batch[mine][i], whole[theirs][rows])
        assert np.array_equal(batch["actions"][i].argmax(-1), whole["action"][rows])
        assert np.array_equal(batch["done"][i], (whole["terminated"] | whole["truncated"])[rows])
    played = episodes(6, "random").draw(1)
    assert {n: (v.shape, v.dtype) for n, v in played.items()} == {n: (v.shape, v.dtype) for n, v in batch.items()}
    assert len(set(starts)) > 1
    stream = episodes(2, str(tmp_path / "made"))
    record(tmp_path / "again")
    record(tmp_path / "less", n_files=1)
    assert len(stream.hash) == 64 and stream.hash == episodes(2, str(tmp_path / "again")).hash
    assert stream.hash != episodes(2, str(tmp_path / "less")).hash


@pytest.mark.parametrize(
    ("change", "card", "told"),
    [
        ({}, {"schema": "other"}, r"its card.json is not of cave.episodes/1"),
        ({}, {"env": "blocks"}, "recorded with environment 'blocks', wanted 'rooms'"),
        ({}, {"split": "test"}, "recorded with split 'test', wanted 'train'"),
        ({}, {"env_config": options.to_dict(rooms.Config(image_size=8))}, "env option max_steps .*, wanted 6"),
        ({"state": None}, {}, "00000.safetensors lacks state: record the episodes again"),
        ({"image": np.zeros((9, 4, 4, 3), np.uint8)}, {}, r"does not fit: image is uint8 of shape \(9, 4, 4, 3\)"),
        ({"offsets": np.array([0, 0])}, {}, "its offsets do not rise"),
        ({"offsets": np.array([0, 1])}, {}, "does not fit: image is"),
        ({"offsets": None}, {}, "lacks offsets"),
    ],
)
def test_recordings_of_something_else_are_refused_in_one_line(tmp_path, change, card, told):
    record(tmp_path / "made", change, card, n_files=1)
    with pytest.raises(errors.CaveError, match=told) as caught:
        episodes(2, str(tmp_path / "made"))
    assert "\n" not in str(caught.value) and "made" in str(caught.value)


def test_arrays_that_tell_no_episodes_are_refused(tmp_path):
    (arrays,) = record(tmp_path / "made", n_files=1)
    harms = {"truncated": ~arrays["truncated"], "action": arrays["action"] + 7, "reward": arrays["reward"] > 0}
    for name, value in harms.items():
        record(tmp_path / name, {name: value}, n_files=1)
        with pytest.raises(errors.CaveError, match="do not end where|integers below 3|reward is bool"):
            episodes(2, str(tmp_path / name))


def test_every_bit_of_a_recording_is_guarded(tmp_path):
    record(tmp_path / "made", n_files=1)
    for name in ("episodes-00000.safetensors", "card.json", "MANIFEST.json"):
        whole = (tmp_path / "made" / name).read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 2):
            harmed = bytearray(whole)
            harmed[place] ^= 4
            (tmp_path / "made" / name).write_bytes(bytes(harmed))
            with pytest.raises(errors.CaveError, match="is damaged|is missing"):
                episodes(2, str(tmp_path / "made"))
        (tmp_path / "made" / name).unlink()
        with pytest.raises(errors.CaveError, match="is missing|holds no episodes"):
            episodes(2, str(tmp_path / "made"))
        (tmp_path / "made" / name).write_bytes(whole)
    episodes(2, str(tmp_path / "made"))
