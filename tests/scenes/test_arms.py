"""The arm: kinematics against matrices and differences, and what is seen of it."""

import math

import numpy as np
import pytest

import scenes
from scenes import arms, renderers, robots
from scenes.kit import errors


def any_joints(n, seed=0):
    return np.random.default_rng(seed).uniform(robots.LOW, robots.HIGH, (n, robots.N))


def frames(joints):
    """Where the links of one arm are, as 4 x 4 matrices, hinge after hinge."""
    made = []
    for link, angle in zip(robots.LINKS, joints):
        x, y, z = link.axis
        across = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        hinge = np.eye(4)
        hinge[:3, :3] += math.sin(angle) * across + (1 - math.cos(angle)) * across @ across
        before = np.zeros(3) if link.parent < 0 else np.array(robots.LINKS[link.parent].at)
        shift = np.eye(4)
        shift[:3, 3] = link.at - before
        made.append((np.eye(4) if link.parent < 0 else made[link.parent]) @ shift @ hinge)
    return made


def test_kinematics_are_those_of_matrices():
    joints = any_joints(20)
    posture = robots.posture(joints)
    position, rotation = posture.solids()
    turned = scenes.rotation_matrices(rotation.astype(np.float64))
    for row in range(20):
        links = frames(joints[row])
        np.testing.assert_allclose(posture.palm[row], (links[robots.HAND] @ [*robots.PALM, 1])[:3], atol=1e-12)
        solids = [(np.eye(4), solid) for solid in robots.STAND]
        solids += [(frame, solid) for frame, link in zip(links, robots.LINKS) for solid in link.solids]
        for k, (frame, solid) in enumerate(solids):
            np.testing.assert_allclose(position[row, k], (frame @ [*solid.at, 1])[:3], atol=1e-6)
            own = frame[:3, 1] * (-1 if solid.along_y else 0) + frame[:3, 2] * (not solid.along_y)
            np.testing.assert_allclose(turned[row, k, :, 2], own, atol=1e-6)


def test_the_jacobian_is_what_differences_say():
    joints, step = any_joints(10, 1), 1e-6
    told = robots.posture(joints).jacobian()
    for i in range(robots.N):
        moved = joints.copy()
        moved[:, i] += step
        slope = (robots.posture(moved).palm - robots.posture(joints).palm) / step
        np.testing.assert_allclose(told[:, :, i], slope, atol=1e-5)


def test_it_stands_up_when_its_joints_are_at_nought_and_fingers_close():
    up = robots.posture(np.zeros((1, robots.N)))
    np.testing.assert_allclose(up.palm[0], [0, 0, 1.84], atol=1e-12)
    closed = np.zeros((1, robots.N))
    closed[:, 6:] = 0.4
    tips = [posture.solids()[0][0, -1] for posture in (up, robots.posture(closed))]
    assert np.hypot(*tips[1][:2]) < np.hypot(*tips[0][:2]) - 0.01


@pytest.mark.parametrize("split", list(arms.splits(arms.Config())))
def test_arm_and_ball_are_seen(split):
    batch = scenes.sample(arms, arms.Config(), split, 0, np.arange(60))
    assert (batch.position[:, 2] >= 0).all(), "something is below the floor"
    handle = renderers.load("raycast", batch)
    cameras = scenes.cameras_from_poses(arms.eyes(batch.factors), arms.FOV, 48, 48)
    ids = handle.render(cameras).ids.copy()
    ball = (ids == arms.FIRST_OBJECT).any((1, 2))
    assert ball.mean() > 0.9
    assert ((ids > len(robots.STAND)) & (ids < arms.FIRST_OBJECT)).sum((1, 2)).min() > 10
    # The middle of the ball, projected by hand, is where the ball is seen.
    at = arms.target(batch.factors) - cameras.position
    right, up, back = np.moveaxis(scenes.rotation_matrices(cameras.rotation.astype(np.float64)), -1, 0)
    depth = -(at * back).sum(-1)
    across, high = ((at * axis).sum(-1) / depth / math.tan(arms.FOV / 2) for axis in (right, up))
    column, row = ((24 * (1 + across)).astype(int), (24 * (1 - high)).astype(int))
    inside = np.flatnonzero((np.abs(across) < 0.95) & (np.abs(high) < 0.95))
    hit = ids[inside, row[inside], column[inside]]
    assert (hit == arms.FIRST_OBJECT).mean() > 0.75 and (hit >= 1).mean() > 0.99, "what hides a ball is the arm"


def test_hues_that_are_no_interval_are_refused():
    with pytest.raises(errors.CaveError, match=r"new_hues has \(0.5, 0.4\)"):
        arms.splits(arms.Config(new_hues=((0.5, 0.4),)))
