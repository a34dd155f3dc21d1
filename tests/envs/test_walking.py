"""Bodies that turn and walk, whatever world they are in."""

import math

import numpy as np
import pytest

from envs import walking


@pytest.mark.parametrize("kind", walking.ACTIONS)
def test_heading_somewhere_turns_there_and_then_walks(kind):
    """Whatever the error is, the actions of `head` make it small and only then walk."""
    error, turn = np.linspace(-math.pi, math.pi, 41), math.pi / 8
    space, _ = walking.action_space(kind)
    walked = np.zeros(len(error), bool)
    for _ in range(10):
        actions = walking.head(kind, error, turn)
        assert all(action in space for action in actions)
        move, told = walking.moves(kind, np.asarray(actions))
        assert told.dtype == np.float32 and (np.abs(move[:, 0]) <= 1).all()
        assert (np.abs(error)[move[:, 1] > 0] <= turn).all()
        walked |= move[:, 1] == 1
        error = error - move[:, 0] * turn
    assert walked.all() and np.abs(error).max() <= turn / 2 + 1e-9


def test_left_is_positive_and_headings_stay_in_half_a_circle():
    move, told = walking.moves("discrete", np.array([0, 1, 2]))
    assert move.tolist() == [[1, 0], [-1, 0], [0, 1]] and np.array_equal(told, np.eye(3))
    move, _ = walking.moves("continuous", np.float32([[0.5, -1], [-1, 1], [0, 0]]))
    assert move.tolist() == [[0.5, 0], [-1, 1], [0, 0.5]]
    yaw, heading = walking.turned(np.array([3.0, 0.0, -3.0]), np.array([0.5, math.pi / 2, -0.5]))
    assert yaw == pytest.approx([3.5 - 2 * math.pi, math.pi / 2, 2 * math.pi - 3.5])
    assert np.allclose(heading[1], [0, 1]) and np.allclose(np.linalg.norm(heading, axis=1), 1)
    pose = walking.look_from(np.array([[1.0, 2.0]]), np.array([0.3]), 0.6, -0.1)
    assert np.allclose(pose, [[1, 2, 0.6, 0.3, -0.1]])
