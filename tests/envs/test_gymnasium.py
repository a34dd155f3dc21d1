"""Gymnasium's environments through our worlds: the same numbers as Gymnasium's own objects, and one-line refusals."""

import dataclasses
import importlib.util

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

import envs
from envs import registered, streams
from envs.gymnasium import Config
from envs.registered import tasks
from scenes.kit import errors, seeds

OTHERS = ("Ant-v4", "CartPole-v1", "Acrobot-v1", "Pendulum-v1", "FrozenLake-v1", "Blackjack-v1")


def worlds(env_id, n=3, sensors=("state",), **options):
    return envs.make("gymnasium", Config(id=env_id, **options), n, seed=4, sensors=sensors)


def start(env, world, row):
    return env.reset(seed=int(world.factors()["start"][row] * 2**53))[0]


@pytest.mark.parametrize("env_id", [*tasks.TASKS, *OTHERS])
def test_every_step_is_gymnasium_s(env_id):
    """Same starts and actions, side by side, episodes that end and begin anew among them: equal to the bit."""
    ours = worlds(env_id, 3, max_steps=40)
    assert ours.together == (env_id in tasks.TASKS)
    theirs = [registered.make(env_id) for _ in range(3)]
    ours.reset()
    flat = lambda seen: spaces.flatten(theirs[0].observation_space, seen).astype(np.float32)
    for row, env in enumerate(theirs):
        np.testing.assert_array_equal(ours.observe()["state"][row], flat(start(env, ours, row)))
    ended, largest = 0, 0.0
    for _ in range(60):
        actions = ours.random()
        reward, terminated, truncated = ours.step(actions)
        seen = ours.observe()["state"]
        for row, env in enumerate(theirs):
            expected, own, over, *_ = env.step(actions[row])
            np.testing.assert_array_equal(seen[row], flat(expected))
            np.testing.assert_allclose(reward[row], own, rtol=1e-6, atol=1e-6)
            assert over == terminated[row]
        done = terminated | truncated
        ended, largest = ended + done.sum(), max(largest, np.abs(reward).max())
        if done.any():
            ours.reset(done)
            for row in np.flatnonzero(done):
                np.testing.assert_array_equal(ours.observe()["state"][row], flat(start(theirs[row], ours, row)))
    assert ended >= 3
    assert largest > 0 or env_id == "FrozenLake-v1"


def test_all_mujoco_tasks_of_version_5_are_moved_together():
    spec = lambda env_id: gymnasium.registry[env_id].entry_point
    theirs = {i for i in gymnasium.registry if "gymnasium.envs.mujoco" in str(spec(i)) and i.endswith("-v5")}
    assert theirs == set(tasks.TASKS)


@pytest.mark.parametrize("env_id", ["Ant-v5", "InvertedPendulum-v5", "CartPole-v1", "Pendulum-v1"])
def test_worlds_do_not_depend_on_their_company_and_continue_from_a_state(env_id):
    def play(world, steps, of):
        out = []
        for _ in range(steps):
            reward, terminated, truncated = world.step(world.random())
            out.append((world.observe()["state"][of].copy(), reward[of], terminated[of]))
            if (terminated | truncated).any():
                world.reset(terminated | truncated)
        return out

    many, one = worlds(env_id, 7), envs.make("gymnasium", Config(id=env_id), 1, seed=4 + 5, sensors=("state",))
    many.reset()
    one.reset()
    for a, b in zip(play(many, 40, 5), play(one, 40, 0), strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    state, other = many.state_dict(), worlds(env_id, 7)
    expected = play(many, 20, slice(None))
    other.load_state_dict(state)
    for a, b in zip(expected, play(other, 20, slice(None)), strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_looking_does_not_disturb():
    config = Config(id="Ant-v5", image_size=8, supersample=1)
    blind, seeing = (envs.make("gymnasium", config, 2, sensors=sensors) for sensors in (("state",), envs.SENSORS))
    for world in (blind, seeing):
        world.reset()
    for _ in range(40):
        for world in (blind, seeing):
            _, terminated, _ = world.step(world.random())
            world.reset(terminated)
        np.testing.assert_array_equal(blind.observe()["state"], seeing.observe()["state"])


def test_pictures_show_the_state_they_come_with():
    """Not that of a timestep before, as Gymnasium's own do: depth is what a ray to the model's present place measures."""
    world = worlds("Hopper-v5", 2, ("image", "depth", "ids", "pose", "state"), image_size=32, supersample=1)
    world.reset()
    for _ in range(5):
        world.step(world.random())
    seen = world.observe()
    data = mujoco.MjData(world.model)
    data.qpos[:] = world.positions(np.array([1]))[0][0]
    mujoco.mj_kinematics(world.model, data)
    mujoco.mj_comPos(world.model, data)
    mujoco.mj_camlight(world.model, data)
    np.testing.assert_allclose(seen["pose"][1, :3], data.camera("track").xpos, atol=1e-6)
    ahead = -data.camera("track").xmat.reshape(3, 3)[:, 2]
    hit = np.zeros(1, np.int32)
    distance = mujoco.mj_ray(world.model, data, data.camera("track").xpos, ahead, None, 1, -1, hit)
    middle = seen["depth"][1, 15:17, 15:17]
    assert abs(middle - distance).min() < 0.05 * distance
    assert seen["image"].std() > 10 and len(np.unique(seen["ids"])) >= 4


def test_cameras_by_name_by_number_and_free():
    pose = lambda camera: worlds("Ant-v5", 1, ("pose",), camera=camera)
    seen = {}
    for camera in ("", "track", "0", "free"):
        world = pose(camera)
        world.reset()
        seen[camera] = world.observe()["pose"][0]
    np.testing.assert_array_equal(seen[""], seen["track"])
    np.testing.assert_array_equal(seen["0"], seen["track"])
    assert abs(seen["free"] - seen["track"]).max() > 0.5
    with pytest.raises(errors.CaveError, match="unknown camera 'trak'.*did you mean 'track'"):
        world = pose("trak")
        world.reset()
        world.observe()


@pytest.mark.skipif(importlib.util.find_spec("pygame") is None, reason="needs pygame")
def test_an_environment_without_a_model_draws_itself():
    world = worlds("CartPole-v1", 2, ("image", "state"), image_size=40)
    world.reset()
    before = world.observe()["image"].copy()
    for _ in range(8):
        world.step(np.zeros(2, np.int64))
    after = world.observe()["image"]
    assert after.shape == (2, 40, 40, 3) and after.std() > 10 and (after != before).any()


@pytest.mark.skipif(importlib.util.find_spec("pygame") is not None, reason="pygame is there")
def test_what_is_missing_is_named_in_one_line():
    world = worlds("CartPole-v1", 1, ("image",))
    world.reset()
    with pytest.raises(errors.CaveError, match="CartPole-v1 cannot be used here.*pygame") as caught:
        world.observe()
    assert "\n" not in str(caught.value)


def test_ids_that_cannot_be_used_are_refused_in_one_line():
    cases = {
        "os:Ant-v5": "a colon would import a module",
        "Antt-v5": "did you mean 'Ant-v5'",
        "zzzz": "gymnasium.pprint_registry",
        "LunarLander-v3": "LunarLander-v3 cannot be used here: Box2D is not installed",
    }
    if importlib.util.find_spec("Box2D"):
        del cases["LunarLander-v3"]
    for env_id, told in cases.items():
        with pytest.raises(errors.CaveError, match=told) as caught:
            worlds(env_id)
        assert "\n" not in str(caught.value)
    with pytest.raises(errors.CaveError, match=r"unknown sensor of gymnasium 'depth'"):
        worlds("CartPole-v1", sensors=("depth",))
    with pytest.raises(errors.CaveError, match="start must be a number from 0 to 1, not 1.5"):
        worlds("CartPole-v1").reset(factors={"start": np.full(3, 1.5)})
    with pytest.raises(errors.CaveError, match="start of a world must be finite numbers"):
        worlds("CartPole-v1").reset(factors={"start": np.full(3, "soon")})


@pytest.mark.parametrize("env_id", ["Ant-v5", "CartPole-v1", "FrozenLake-v1"])
def test_gymnasium_accepts_the_single_face(env_id):
    sensors = ("image", "state", "pose", "goal") if env_id == "Ant-v5" else ("state", "goal", "action")
    check_env(envs.single("gymnasium", Config(id=env_id, image_size=16), sensors=sensors), skip_render_check=True)


def test_a_time_limit_is_the_environment_s_own_unless_given():
    assert worlds("Reacher-v5").max_steps == gymnasium.spec("Reacher-v5").max_episode_steps == 50
    assert worlds("Reacher-v5", max_steps=7).max_steps == 7


class Bell(gymnasium.Env):
    """Counts its steps: it truncates itself after 5, which ends the task, too, if the last action was 1."""

    action_space, observation_space = spaces.Discrete(2), spaces.Box(0, 100, (1,))

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.t += 1
        over = self.t >= 5
        return np.full(1, self.t, np.float32), 1.0, bool(over and action == 1), over, {}


def test_an_episode_that_the_environment_cuts_short_is_truncated(monkeypatch):
    """Whoever learns from it must not take its last state for one without a future; a task that ended has ended."""
    monkeypatch.setitem(gymnasium.registry, "Bell-v0", gymnasium.envs.registration.EnvSpec("Bell-v0", entry_point=Bell))
    world = worlds("Bell-v0", 2)
    for _ in range(2):
        world.reset()
        for _ in range(4):
            _, terminated, truncated = world.step(np.array([0, 1]))
            assert not (terminated | truncated).any()
        state = world.state_dict()
        _, terminated, truncated = world.step(np.array([0, 1]))
        assert terminated.tolist() == [False, True] and truncated.tolist() == [True, False]
        assert not world.live.any()
    world.load_state_dict(state)
    _, terminated, truncated = world.step(np.array([1, 0]))
    assert terminated.tolist() == [True, False] and truncated.tolist() == [False, True]
    short = worlds("Bell-v0", 1, max_steps=3)
    short.reset()
    ends = [short.step(np.array([0]))[2][0] for _ in range(3)]
    assert ends == [False, False, True]
    short.reset()
    assert not short.cut.any()


def test_pictures_for_learners_are_of_play_and_depend_on_their_index_alone():
    config = dataclasses.replace(Config.tiny(), id="Hopper-v5")
    images = envs.stream("gymnasium", config, "Images", "train", 0, 6, (24, 24)).draw(3)
    single = envs.stream("gymnasium", config, "Images", "train", 0, 1, (24, 24)).draw(3 * 6 + 2)
    np.testing.assert_array_equal(images["images"][2], single["images"][0])
    np.testing.assert_array_equal(images["factors"]["start"][2], single["factors"]["start"][0])
    assert len({image.tobytes() for image in images["images"]}) == 6


@pytest.mark.parametrize("env_id", ["Ant-v5", "Pusher-v5", "Hopper-v4"])
def test_views_are_of_the_moments_of_images_from_a_ring_around_the_model(env_id):
    module, config, index = envs.module("gymnasium"), Config(id=env_id, image_size=8), np.array([5, 0, 17])
    batch, poses = module.views(config, "train", 2, index, 4)
    batch.check()
    images = envs.stream("gymnasium", config, "Images", "train", 2, 1, (8, 8))
    np.testing.assert_array_equal(batch.factors["start"][0], images.draw(5)["factors"]["start"][0])
    # MuJoCo's own kinematics, of one world that is played alone.
    world = worlds(env_id, 1)
    for _ in streams.moments(world, seeds.derive(2, "images", "gymnasium"), index[:1]):
        data = mujoco.MjData(world.model)
        data.qpos[:] = world.positions(np.zeros(1, np.int64))[0][0]
    mujoco.mj_kinematics(world.model, data)
    away = np.linalg.norm(data.geom_xpos[:, None] - batch[0].position[None], axis=-1)
    assert (away.min(0) < 1e-6).all() and len(batch[0].position) >= 4
    # All cameras stand as far from one point and look at it, and what they see lies within the world's square.
    one, other = module.tour(config, 2)
    middle, radius = (one + other)[:2] / 2, np.linalg.norm((one - other)[:2]) / 2
    x, y, z, yaw, pitch = np.moveaxis(poses, -1, 0)
    looked_at = np.stack([x + radius * np.cos(yaw), y + radius * np.sin(yaw), z + radius * np.tan(pitch)], -1)
    np.testing.assert_allclose(looked_at - looked_at[0, 0], 0, atol=1e-5)
    np.testing.assert_allclose(looked_at[..., :2] - middle, 0, atol=1e-5)
    assert abs(poses[..., :2]).max() < module.extent(config) / 2
    assert len(np.unique(poses[..., 3])) == 12


def test_views_of_what_is_no_model_are_refused_in_one_line():
    with pytest.raises(errors.CaveError, match=r"CartPole-v1 draws itself.*such as Ant-v5") as caught:
        envs.stream("gymnasium", Config(id="CartPole-v1"), "Views", "train", 0, 2)
    assert "\n" not in str(caught.value)
