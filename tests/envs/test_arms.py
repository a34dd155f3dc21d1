"""One arm in two simulators: the same kinematics and free motion, exact continuation, and workers that die."""

import json
import os
import signal

import mujoco
import numpy as np
import pytest

import scenes
from envs import benchmark
from envs.physics import arms, simulators
from scenes import robots
from scenes.kit import errors

EVERY = np.arange(3)
ONES = np.ones((3, 3))
both = pytest.mark.parametrize("simulator", simulators.SIMULATORS)


def refusal(row, why):
    return errors.CaveError(f"reach, world {row} (seed {row}, episode 0, step 0): {why}")


def starts(n=3, seed=0):
    low, high = np.array([link.start for link in robots.LINKS]).T
    return np.random.default_rng(seed).uniform(low, high, (n, robots.N))


@pytest.fixture(scope="module")
def kept():
    """One of each, with two workers; made once, since processes take a while."""
    pytest.importorskip("pybullet")
    made = {"mujoco": arms.make("mujoco", 3, refusal), "pybullet": arms.make("pybullet", 3, refusal, processes=2)}
    yield made
    for one in made.values():
        one.close()


@pytest.fixture
def fresh(kept):
    for one in kept.values():
        one.dress(EVERY, ONES)
        one.put(EVERY, starts(), np.zeros((3, robots.N)))
    return kept


def run(one, steps, seed=0):
    """The posture after each of some steps, with random actions that each last for five."""
    rng, out = np.random.default_rng(seed), []
    for t in range(steps):
        if t % 5 == 0:
            wanted = rng.uniform(-1.2, 1.2, (len(one.joints), robots.N)) * robots.SPEED
        assert not one.step(wanted).any()
        out.append(np.concatenate([one.joints, one.speeds], 1))
    return np.array(out)


def test_hands_are_where_our_kinematics_put_them():
    pytest.importorskip("pybullet")
    joints = np.random.default_rng(1).uniform(robots.LOW, robots.HIGH, (100, robots.N))
    ours, solids = robots.posture(joints), robots.posture(joints).solids()
    model = arms.model()
    data, given = mujoco.MjData(model), {"dynamics": np.ones(3), "joints": np.zeros(9), "speeds": np.zeros(9)}
    bullet = arms.Simulation(given, {"joints": np.zeros(9), "speeds": np.zeros(9)})
    for row in range(100):
        data.qpos[:] = given["joints"][:] = joints[row]
        mujoco.mj_kinematics(model, data)
        bullet.reset()
        np.testing.assert_allclose(data.site("palm").xpos, ours.palm[row], atol=1e-9)
        np.testing.assert_allclose(bullet.palm(), data.site("palm").xpos, atol=1e-5)
        np.testing.assert_allclose(data.geom_xpos, solids[0][row], atol=1e-6)
        theirs = data.geom_xmat.reshape(-1, 3, 3)[:, :, 2]
        np.testing.assert_allclose(theirs, scenes.rotation_matrices(solids[1][row])[:, :, 2], atol=1e-6)


def test_both_have_the_same_masses_and_fall_alike(fresh):
    """Without motors, damping and friction both are the same chain of rigid bodies."""
    model = arms.model()
    assert model.body_mass.sum() == pytest.approx(sum(link.mass for link in robots.LINKS))
    given = {"dynamics": np.array([1.3, 0, 0]), "joints": starts()[0], "speeds": np.zeros(9), "wanted": np.zeros(9)}
    told = {"joints": np.zeros(9), "speeds": np.zeros(9)}
    bullet, ours = arms.Simulation(given, told), arms.make("mujoco", 1, refusal)
    bullet.reset()
    bullet._forces = [0.0] * robots.N
    ours.dress(np.arange(1), given["dynamics"][None])
    ours._models[0].actuator_forcerange[:] = 0
    ours.put(np.arange(1), starts()[:1], np.zeros((1, 9)))
    for _ in range(6):
        bullet.step()
        ours.step(np.zeros((1, 9)))
    np.testing.assert_allclose(told["joints"], ours.joints[0], atol=2e-3)
    assert np.abs(ours.joints[0] - starts()[0]).max() > 0.3
    ours.close()


@both
def test_motion_repeats_and_goes_on_from_any_moment(fresh, simulator):
    one = fresh[simulator]
    first = run(one, 20)
    joints, speeds = one.joints.copy(), one.speeds.copy()
    later = run(one, 20, seed=5)
    one.put(EVERY, joints, speeds)
    np.testing.assert_array_equal(run(one, 20, seed=5), later)
    one.dress(EVERY, 1.5 * ONES)
    one.dress(EVERY, ONES)
    one.put(EVERY, starts(), np.zeros((3, robots.N)))
    np.testing.assert_array_equal(run(one, 20), first)


@both
def test_worlds_do_not_depend_on_their_company(fresh, simulator):
    expected = run(fresh[simulator], 5)
    alone = arms.make(simulator, 1, refusal)
    rng = np.random.default_rng(0)
    wanted = rng.uniform(-1.2, 1.2, (3, robots.N)) * robots.SPEED
    alone.dress(np.arange(1), ONES[:1])
    alone.put(np.arange(1), starts()[1:2], np.zeros((1, robots.N)))
    for t in range(5):
        alone.step(wanted[1:2])
        np.testing.assert_array_equal(np.concatenate([alone.joints, alone.speeds], 1)[0], expected[t, 1])
    alone.close()


@both
def test_motors_bring_joints_to_speed_and_stop_at_their_ends(fresh, simulator):
    one = fresh[simulator]
    slow = np.full((3, robots.N), 0.3)
    for _ in range(6):
        one.step(slow)
    np.testing.assert_allclose(one.speeds[:, :6], 0.3, atol=0.15)
    for sign in (1, -1):
        for _ in range(120):
            one.step(np.full((3, robots.N), sign * robots.SPEED))
        end = robots.HIGH if sign > 0 else robots.LOW
        np.testing.assert_allclose(one.joints, np.tile(end, (3, 1)), atol=0.12)


@both
def test_what_an_arm_is_like_changes_how_it_moves(fresh, simulator):
    one = fresh[simulator]
    plain = run(one, 10)
    for change in ([1.7, 1, 1], [1, 4, 1], [1, 1, 8]):
        one.dress(np.array([1]), np.array([change], float))
        one.put(EVERY, starts(), np.zeros((3, robots.N)))
        other = run(one, 10)
        np.testing.assert_array_equal(other[:, [0, 2]], plain[:, [0, 2]])
        assert np.abs(other[:, 1] - plain[:, 1]).max() > 1e-3
        one.dress(np.array([1]), ONES[:1])


def test_an_arm_whose_worker_dies_goes_on_in_another_as_if_nothing_had_been(fresh, capfd):
    one = fresh["pybullet"]
    undisturbed = run(one, 15)
    one.put(EVERY, starts(), np.zeros((3, robots.N)))
    begun = run(one, 5)
    joints, speeds = one.joints.copy(), one.speeds.copy()
    rest = run(one, 10, seed=3)
    one.put(EVERY, joints, speeds)
    os.kill(one._pool._workers[1].process.pid, signal.SIGKILL)
    np.testing.assert_array_equal(run(one, 10, seed=3), rest)
    np.testing.assert_array_equal(begun, undisturbed[:5])
    said = capfd.readouterr().err
    assert "reach, world 1 (seed 1, episode 0, step 0): its worker process was killed by SIGKILL" in said
    assert said.count("\n") == 1


def test_simulators_come_apart_by_and_by(capsys, tmp_path):
    pytest.importorskip("pybullet")
    out = tmp_path / "apart.json"
    rows = benchmark.main(["simulators", "--n-worlds", "4", "--steps", "10", "1", "--rounds", "1", "--json", str(out)])
    assert [row.part for row in rows] == ["physics"] * 2 and all(row.rate > 0 for row in rows)
    first, later = json.loads(out.read_text())["apart"]
    told = capsys.readouterr().out
    assert f"{first['median']:10.4f}" in told and f"{later['most']:8.4f}" in told
    assert 0 < first["median"] <= first["most"] < 0.01 and later["median"] > 3 * first["median"]
    assert later["median"] < 0.25 * later["come"], "they are two versions of one arm"


def test_without_pybullet_there_is_one_line(monkeypatch):
    monkeypatch.setattr(simulators, "have_pybullet", lambda: False)
    with pytest.raises(errors.CaveError, match="needs PyBullet: pip install pybullet") as caught:
        arms.make("pybullet", 1, refusal)
    assert "\n" not in str(caught.value)
    with pytest.raises(errors.CaveError, match="did you mean 'mujoco'"):
        arms.make("mujoko", 1, refusal)


def test_a_forked_child_moves_arms_of_its_parent(monkeypatch):
    monkeypatch.setattr(arms.workers, "cores", lambda: 2)
    one = arms.make("mujoco", 3, refusal)
    one.step(np.zeros((3, robots.N)))
    child = os.fork()
    if not child:
        signal.alarm(30)  # which ends it where it hangs
        one.step(np.zeros((3, robots.N)))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
