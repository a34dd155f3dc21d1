"""SAC learns what can be learned, takes up what it remembers, and says what it cannot act in."""

import numpy as np
import pytest
from gymnasium import spaces

import envs
from agents import encoded, sac
from scenes.kit import errors


class Aim(envs.World):
    """Say the number that you are shown: pays one less the distance, and ends."""

    def __init__(self, n, seed=0):
        shown = {"state": spaces.Box(-1, 1, (1,), np.float32), "goal": spaces.Box(-1, 1, (0,), np.float32)}
        action = spaces.Box(-2, 4, (1,), np.float32)
        super().__init__(None, n, "train", seed, ("state", "goal"), (1, 1), 3, action, shown)
        self.near = np.zeros(n, bool)

    def number(self):
        return np.sin(self.seeds * 7.0 + self.episode * 5.0)

    def begin(self, rows, index, factors):
        self.near[rows] = False

    def advance(self, actions):
        off = np.abs(actions[:, 0] - self.number())
        self.near = off < 0.2
        return (1 - off).astype(np.float32), np.ones(self.n, bool)

    def read(self, rows):
        return {
            "state": self.number()[rows, None].astype(np.float32),
            "goal": np.zeros((np.arange(self.n)[rows].size, 0), np.float32),
        }

    def scripted(self):
        return self.number()[:, None].astype(np.float32)

    def facts(self):
        return {"factors": {"number": self.number()}, "success": self.near.copy()}


def test_sac_learns_a_trivial_world():
    config = sac.Config(
        gradient_steps=8, batch_size=64, hidden=(32,), learning_starts=128, learning_rate=3e-3, gamma=0.0
    )
    venv = encoded.EncodedVecEnv(Aim(16), encoded.State())
    agent = sac.make(config, venv, seed=3)
    numbers = np.linspace(-0.9, 0.9, 20, dtype=np.float32)[:, None]
    off = lambda: np.abs(agent.act(numbers, deterministic=True) - numbers).mean()
    before = off()
    for _ in range(100):
        agent.learn()
    assert before > 0.4 and off() < 0.15


def test_rewards_are_scaled_for_the_learner_and_told_as_they_were():
    config = sac.Config(gradient_steps=1, learning_starts=0, reward_scale=0.25)
    venv = encoded.EncodedVecEnv(Aim(4), encoded.State())
    agent = sac.make(config, venv, seed=0)
    agent.learn()
    kept = agent.model.replay_buffer.rewards[0]
    np.testing.assert_allclose(kept, [0.25 * earned for earned, _, _ in venv.finished], rtol=1e-6)


def test_pixels_are_remembered_key_by_key(guess):
    world = guess(4)
    world.action_space = spaces.Box(-1, 1, (2,), np.float32)
    world.advance = lambda actions: (np.zeros(4, np.float32), np.zeros(4, bool))
    agent = sac.make(sac.Config.tiny(), encoded.EncodedVecEnv(world, encoded.Pixels(1)), seed=0)
    agent.learn()
    groups, _ = agent.state_dict()
    assert groups["memory"]["observations.image"].shape == (4, 4, 3, 40, 40)
    assert groups["memory"]["next_observations.vector"].any()


def test_discrete_actions_are_refused_in_a_line(guess):
    with pytest.raises(errors.CaveError, match=r"sac needs continuous actions, not Discrete\(4\)"):
        sac.make(sac.Config.tiny(), encoded.EncodedVecEnv(guess(4), encoded.State()), seed=0)
