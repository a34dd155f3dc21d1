"""Films: panels, and a writer that leaves either a good file or none."""

import dataclasses
import os
import re

import imageio_ffmpeg
import numpy as np
import pytest

import agents
import envs
from agents import ppo
from agents.training import loop
from envs import gymnasium
from evaluation.film import above, episodes, panels
from scenes import rooms
from scenes.kit import films
from scenes.kit.errors import CaveError


def clip(n=7, height=48, width=64):
    """Frames of one grey each, growing lighter: told apart after compression."""
    return [np.full((height, width, 3), 20 + 30 * i, np.uint8) for i in range(n)]


def test_a_film_holds_its_frames_in_order(tmp_path):
    films.write(tmp_path / "x.mp4", clip())
    got = [frame.mean() for frame in films.reopened(tmp_path / "x.mp4")]
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "x.mp4"))[0] == len(clip())
    assert np.allclose(got, [f.mean() for f in clip()], atol=4)
    assert os.listdir(tmp_path) == ["x.mp4"]


@pytest.mark.parametrize(
    "frames",
    [[], clip(height=47), [*clip(), clip(height=50)[0]], [f.astype(float) for f in clip()]],
    ids=["none", "odd", "unequal", "floats"],
)
def test_frames_that_are_none_are_refused(tmp_path, frames):
    with pytest.raises(CaveError):
        films.write(tmp_path / "x.mp4", frames)
    assert os.listdir(tmp_path) == []


RUBBISH = """for last; do :; done
case "$last" in
    *.mp4) cat >/dev/null; echo stump >"$last" ;;
    *) exec "$real" "$@" ;;
esac"""


@pytest.fixture
def ffmpeg_that(tmp_path_factory, monkeypatch):
    """Puts a shell script in ffmpeg's place."""

    def put(script):
        program = tmp_path_factory.mktemp("bin") / "ffmpeg"
        program.write_text(f"#!/bin/sh\nreal={imageio_ffmpeg.get_ffmpeg_exe()}\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(program))

    return put


@pytest.mark.parametrize(
    "script",
    [
        "head -c 20000 >/dev/null; echo 'No space left on device' >&2; exit 1",
        "kill -9 $$",
        RUBBISH,
    ],
    ids=["full disk", "killed", "rubbish"],
)
def test_a_failing_ffmpeg_leaves_the_old_film_and_no_stump(tmp_path, ffmpeg_that, script):
    (tmp_path / "x.mp4").write_bytes(b"old")
    ffmpeg_that(script)
    with pytest.raises(CaveError, match="could not be written"):
        films.write(tmp_path / "x.mp4", clip())
    assert (tmp_path / "x.mp4").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.mp4"]


def test_a_film_short_of_frames_is_noticed(tmp_path, monkeypatch):
    real = films._encode
    monkeypatch.setattr(films, "_encode", lambda path, frames, fps: real(path, frames[:-1], fps))
    with pytest.raises(CaveError, match="6 frames, wanted 7"):
        films.write(tmp_path / "x.mp4", clip())
    assert os.listdir(tmp_path) == []


def test_no_ffmpeg_is_one_line(tmp_path, monkeypatch):
    def missing():
        raise RuntimeError("No ffmpeg exe could be found")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    with pytest.raises(CaveError, match="imageio-ffmpeg"):
        films.write(tmp_path / "x.mp4", clip())


def test_a_missing_folder_and_a_wrong_ending_are_usage_errors(tmp_path):
    for path in (tmp_path / "no" / "x.mp4", tmp_path / "x.avi"):
        with pytest.raises(CaveError) as caught:
            films.write(path, clip())
        assert caught.value.code == 2


def test_panels_enlarge_without_smoothing_and_show_the_goal():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
    frame = panels.compose([picture, None], ["a", "b"], ["", "imagines nothing"], "goal", patch=(1, 0, 0))
    assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0
    inside = frame[panels.HEAD : panels.HEAD + panels.SIDE, panels.GAP : panels.GAP + panels.SIDE]
    scale = panels.SIDE // 8
    assert np.array_equal(inside[scale // 2 :: scale, scale // 2 :: scale], picture)
    assert (frame[panels.HEAD + panels.SIDE :] == (255, 0, 0)).all(-1).any()
    plain = panels.compose([picture, None], ["a", "b"], ["", "imagines nothing"], "goal")
    assert not (plain[panels.HEAD + panels.SIDE :] == (255, 0, 0)).all(-1).any()


@pytest.mark.parametrize(
    ("name", "options", "words", "is_colour"),
    [
        ("rooms", {}, r"goal", True),
        ("rooms", {"goal": "shape"}, r"goal (box|sphere|capsule|cylinder|cone|ellipsoid|torus)", False),
        ("tabletop", {}, r"goal -?0\.\d\d -?0\.\d\d", True),
        ("tabletop", {"goal": "shape"}, r"goal (box|brick|sphere|cylinder|capsule) -?0\.\d\d -?0\.\d\d", False),
        ("reach", {}, r"goal -?\d\.\d\d -?\d\.\d\d \d\.\d\d", False),
        ("sprites", {"task": "goal-finding"}, r"goal 0\.\d\d 0\.\d\d", False),
        ("collect", {}, r"", False),
    ],
)
def test_films_say_what_the_goal_is(name, options, words, is_colour):
    world = envs.make(name, dataclasses.replace(envs.module(name).Config.tiny(), **options), 3, sensors=("goal",))
    world.reset()
    for goal in world.observe()["goal"]:
        wanted, colour = episodes.told(world, goal)
        assert re.fullmatch(words, wanted) and (colour is not None) == is_colour
        assert colour is None or np.array_equal(colour, goal[:3])


def test_from_above_the_agent_is_where_it_is_and_points_where_it_looks():
    config = rooms.Config()
    index = np.arange(4)
    scene = rooms.build(config, rooms.splits(config)["train"].sample(0, index))
    # Corners, where no object stands, looking along +x, +y, -x, -y.
    poses = np.zeros((4, 5), np.float32)
    poses[:, :2] = [(-2.5, -2.5), (2.5, -2.5), (2.5, 2.5), (-2.5, 2.5)]
    poses[:, 3] = index * np.pi / 2
    side = 200
    empty = poses + np.array([100, 0, 0, 0, 0], np.float32)  # far outside the picture
    found = above.pictures(scene, poses, config.side, side).astype(int) - above.pictures(
        scene, empty, config.side, side
    )
    scale = side / 2 / (0.53 * config.side + 0.1)
    for k, changed in enumerate(np.abs(found).sum(-1) > 30):
        row, column = np.nonzero(changed)
        assert len(row) > 20
        x, y = (column + 0.5 - side / 2) / scale, (side / 2 - row - 0.5) / scale
        centre = np.stack([x, y], 1).mean(0)
        assert np.hypot(*(centre - poses[k, :2])) < 0.35
        # The cone's tip is ahead: it is thinner there, so the middle of its area lies behind the middle of its length.
        ahead = x * np.cos(poses[k, 3]) + y * np.sin(poses[k, 3])
        assert ahead.mean() < (ahead.min() + ahead.max()) / 2 - 0.03


def test_an_environment_without_a_map_is_filmed_without_one(tmp_path):
    run = loop.Run(env="gymnasium", encoder="state", env_steps=64, n_worlds=4, runs=tmp_path)
    loop.train("ppo", run, ppo.Config.tiny(), gymnasium.Config(id="InvertedPendulum-v5", image_size=16, max_steps=6))
    policy = agents.load_policy(tmp_path / "ppo-state-gymnasium-0")
    shown = episodes.frames(policy, "test", 2, 0, False)
    assert len(shown) > 2 * episodes.HOLD
    assert shown[0].shape[1] == 2 * panels.SIDE + 3 * panels.GAP
    assert len({frame.tobytes() for frame in shown}) > 4
