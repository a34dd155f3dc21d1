"""Reaching: rewards by hand, starts, interventions, and the same episodes in PyBullet."""

import numpy as np
import pytest

import envs
from envs import reach
from envs.physics import simulators
from evaluation.studies import facts
from scenes import arms as family
from scenes import robots
from scenes.kit import errors

ALL = ("image", "depth", "ids", "pose", "goal", "action", "state")


def world(n=4, split="train", sensors=("state", "goal"), **options):
    options = {"image_size": 16, **options}
    made = envs.make("reach", reach.Config(**options), n, split, 5, sensors)
    made.reset()
    return made


def test_rewards_are_what_the_docstring_says():
    made = world(n=32, step_cost=0.01, shaping=0.5, discount=0.9, tolerance=0.2)
    away = lambda: np.linalg.norm(robots.posture(made.joints).palm - family.target(made.factors()), axis=1)
    reached = 0
    for _ in range(12):
        before = away()
        reward, terminated, _ = made.step(made.scripted())
        after = away()
        np.testing.assert_array_equal(terminated, after <= 0.2)
        wanted = terminated - 0.01 + 0.5 * (before - 0.9 * np.where(terminated, 0, after))
        np.testing.assert_allclose(reward, wanted, atol=1e-6)
        np.testing.assert_array_equal(made.facts()["success"], terminated)
        reached += terminated.sum()
        made.reset(terminated)
    assert reached > 10


def test_palms_begin_away_from_balls_that_can_be_reached():
    for split in reach.splits(reach.Config()):
        if split == "other-simulator":
            continue
        made = world(n=100, split=split)
        told = made.observe()
        palm, ball = told["state"][:, 18:21], told["state"][:, 21:]
        assert np.linalg.norm(palm - ball, axis=1).min() >= 0.25 - 1e-6
        away = np.linalg.norm(ball - [0, 0, robots.SHOULDER], axis=1)
        assert reach.REACH[0] < away.min() and away.max() < reach.REACH[1]
        np.testing.assert_array_equal(told["goal"], ball)
        assert not made.speeds.any()


def test_the_goal_may_have_to_be_seen():
    made = world(goal="seen")
    assert made.observe()["goal"].shape == (4, 0)
    with pytest.raises(errors.CaveError, match="tolerance is 0.6, wanted 0.01 to 0.5"):
        reach.Config(tolerance=0.6)


def test_interventions_change_what_they_say():
    made, other = world(sensors=ALL), world(sensors=ALL)
    for one in (made, other):
        for _ in range(3):
            one.step(one.random())
    seen, factors = made.observe(), made.factors()
    made.intervene({"hue": np.full((4, 1), 0.5), "arm_hue": np.full(4, 0.25)}, np.array([True, False, True, False]))
    now = made.observe()
    assert (now["image"] != seen["image"]).any((1, 2, 3)).tolist() == [True, False, True, False]
    np.testing.assert_array_equal(now["ids"], seen["ids"])
    np.testing.assert_array_equal(now["state"], seen["state"])
    moved = {"azimuth": np.full((4, 1), -0.2), "distance": np.full((4, 1), 0.5), "height": np.full((4, 1), 1.2)}
    made.intervene(moved)
    ball = [0.5 * np.cos(-0.2), 0.5 * np.sin(-0.2), 1.2]
    np.testing.assert_allclose(made.observe()["goal"], np.tile(ball, (4, 1)), atol=1e-6)
    np.testing.assert_array_equal(made.observe()["state"][:, :21], seen["state"][:, :21])
    made.intervene({"mass": np.where(np.arange(4) == 1, 2.5, factors["mass"])})
    action = made.random()
    for one in (made, other):
        one.step(action)
    same = (made.joints == other.joints).all(1)
    assert same.tolist() == [True, False, True, True], "a heavier arm moves in another way, the others as before"
    state = made.state_dict()
    made.load_state_dict(state)
    assert all(np.array_equal(value, state[name]) for name, value in made.state_dict().items())


def test_what_cannot_be_is_refused_and_nothing_changes():
    made = world()
    made.step(made.random())
    before = made.state_dict()
    near, low = np.full((4, 1), 0.1), np.full((4, 1), 0.5)
    for factors, why in (
        ({"joint_3": made.factors()["joint_3"] + 0.1}, "joint_3 says where the arm begins"),
        ({"distance": np.full((4, 1), 1.1)}, "out of reach, 0.2 to 0.88 m"),
        ({"distance": near, "height": low}, "stick in the stand"),
        ({"mass": np.zeros(4)}, "mass must be a number from 0.5 to 3, not 0"),
        ({"joint_7": np.full(4, 2.0)}, "joint_7 must be a number from 0 to 1.2"),
    ):
        with pytest.raises(errors.CaveError, match=why) as caught:
            made.intervene(factors)
        assert "\n" not in str(caught.value)
    after = made.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    made.reset(factors={"joint_3": np.full(4, 0.7)})
    assert (made.joints[:, 2] == 0.7).all()


def test_the_scene_that_films_show_is_that_of_now():
    made = world(sensors=("image", "ids"))
    for _ in range(5):
        made.step(made.scripted())
    position, _ = family.place(robots.posture(made.joints), family.target(made.factors()))
    now = facts.scenes_of(made)
    np.testing.assert_array_equal(now.position, position.reshape(-1, 3))
    assert not np.array_equal(now.position, family.build(family.Config(), made.factors()).position)
    now.check()


def test_a_world_that_could_not_be_moved_is_cut_short(monkeypatch):
    made = world()
    lost = np.arange(4) == 2
    monkeypatch.setattr(made._arms, "step", lambda wanted: lost)
    reward, terminated, truncated = made.step(made.random())
    assert truncated.tolist() == lost.tolist() and not terminated.any() and not reward.any()
    monkeypatch.undo()
    made.reset(truncated)
    assert not made.step(made.random())[2].any()


def test_pybullet_plays_the_same_episodes():
    pytest.importorskip("pybullet")
    options = {"max_steps": 30, "tolerance": 0.15, "sensors": ALL}
    ours = world(**options)
    theirs, again = (world(simulator="pybullet", **options) for _ in range(2))
    assert (ours.simulator, theirs.simulator) == ("mujoco", "pybullet")
    for name, value in ours.observe().items():
        np.testing.assert_array_equal(theirs.observe()[name], value, err_msg=f"{name} differs at the start")
    reached = np.zeros(4, bool)
    for t in range(30):
        action = theirs.scripted()
        np.testing.assert_array_equal(action, again.scripted())
        ended = theirs.step(action)
        for a, b in zip(ended, again.step(action)):
            np.testing.assert_array_equal(a, b)
        if t == 3:
            # One goes on from what another was.
            state = theirs.state_dict()
            again.reset()
            again.load_state_dict(state)
        reached |= ended[1]
        for one in (theirs, again):
            if (ended[1] | ended[2]).any():
                one.reset(ended[1] | ended[2])
        seen, same = theirs.observe(), again.observe()
        assert all(np.array_equal(seen[name], same[name]) for name in ALL)
        if reached.all():
            break
    assert reached.all()
    with pytest.raises(errors.CaveError, match=r"reach, world 1 \(seed 6.*not one of"):
        theirs.step(np.where(np.arange(4)[:, None] == 1, np.nan, np.zeros((4, 9))))
    theirs.intervene({"mass": np.full(4, 2.0)})
    config = theirs.config
    workers = [worker.process for worker in theirs._arms._pool._workers]
    del theirs
    assert all(worker.returncode is not None for worker in workers), "processes outlive their world"
    single = envs.single("reach", config, seed=5, sensors=ALL)
    again.reset(seeds=again.seeds)
    seen, _ = single.reset(seed=5)
    for _ in range(8):
        row = {name: value[0] for name, value in again.observe().items()}
        assert all(np.array_equal(seen[name], row[name]) for name in ALL)
        action = again.random()
        reward = again.step(action)[0]
        seen, alone, *_ = single.step(action[0])
        assert reward[0] == alone


def test_the_other_simulator_is_a_split_where_it_is_installed(monkeypatch):
    known = reach.splits(reach.Config())
    assert known["train"].simulator == "mujoco" and known["other-simulator"].simulator == "pybullet"
    assert reach.splits(reach.Config(simulator="pybullet"))["other-simulator"].simulator == "mujoco"
    monkeypatch.setattr(simulators, "have_pybullet", lambda: False)
    assert "other-simulator" not in reach.splits(reach.Config())
    with pytest.raises(errors.CaveError, match="needs PyBullet"):
        world(simulator="pybullet")
    for name in ("reach", "tabletop"):
        with pytest.raises(errors.CaveError, match="the split 'other-simulator' needs PyBullet: pip install"):
            envs.make(name, split="other-simulator")
        with pytest.raises(errors.CaveError, match="the split 'other-simulator' needs PyBullet: pip install"):
            envs.stream(name, None, "Views", "other-simulator", 0, 2, (8, 8))


def test_learners_may_look_from_where_the_environment_does():
    for cameras, front in (("ring", False), ("free", True)):
        drawn = envs.stream("reach", reach.Config(cameras=cameras), "Views", "train", 0, 8, (8, 8), 3).draw(0)
        assert (drawn["poses"][..., 0] > 1.5).all() == front
        assert len(np.unique(drawn["poses"].reshape(-1, 5), axis=0)) == 24
    tour = reach.tour(reach.Config(), 8)
    ring = family.ring_poses(family.Config(), 0, np.arange(3), 2)
    np.testing.assert_allclose(np.hypot(*tour[:, :2].T), family.RING[0], rtol=1e-5)
    np.testing.assert_allclose(tour[:, 2], ring[0, 0, 2], rtol=1e-5)
    np.testing.assert_allclose(tour[:, 4], ring[0, 0, 4], rtol=1e-5)


def test_to_close_the_face_ends_the_workers():
    pytest.importorskip("pybullet")
    made = envs.make("reach", reach.Config(simulator="pybullet"), sensors=("state",))
    processes = [worker.process for worker in made._arms._pool._workers]
    assert all(process.poll() is None for process in processes)
    env = envs.Env(made)
    env.close()
    assert all(process.poll() is not None for process in processes)
    env.close()
