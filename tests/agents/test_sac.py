"""SAC learns what can be learned, takes up what it remembers, and says what it cannot act in."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
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


def test_the_order_of_parts_and_those_that_are_not_there_change_nothing():
    config = sac.Config(parts=(4, 3), hidden=(16, 16))
    observations = spaces.Box(-np.inf, np.inf, (4 * 3 + 2,), np.float32)
    torch.manual_seed(0)
    policy = sac.network(config, observations, spaces.Box(0, 1, (2,), np.float32))
    rng = np.random.default_rng(0)
    parts, goal = rng.normal(size=(8, 4, 3)).astype(np.float32), rng.normal(size=(8, 2)).astype(np.float32)
    parts[:, 3] = 0
    action = torch.from_numpy(rng.uniform(size=(8, 2)).astype(np.float32))

    def seen(parts, policy=policy):
        whole = torch.from_numpy(np.concatenate([parts.reshape(8, -1), goal], 1))
        with torch.no_grad():
            return policy.actor(whole, deterministic=True).numpy(), torch.cat(policy.critic(whole, action)).numpy()

    fewer = sac.network(dataclasses.replace(config, parts=(3, 3)), spaces.Box(-9, 9, (11,)), policy.action_space)
    fewer.load_state_dict(policy.state_dict())
    for others in (seen(parts[:, [2, 0, 3, 1]]), seen(parts[:, :3], fewer)):
        for ours, theirs in zip(seen(parts), others):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)
    changed = parts.copy()
    changed[:, 1] += 1
    assert (np.abs(seen(changed)[0] - seen(parts)[0]) > 1e-3).any()
    assert (np.abs(seen(changed)[1] - seen(parts)[1]) > 1e-3).all()


def test_an_agent_that_looks_at_parts_goes_on_as_it_was():
    config = dataclasses.replace(sac.Config.tiny(), parts=(1, 1))
    agent, other = (sac.make(config, encoded.EncodedVecEnv(Aim(4), encoded.State()), seed) for seed in (0, 1))
    for _ in range(4):
        agent.learn()
    other.load_state_dict(*copy.deepcopy(agent.state_dict()))
    agent.learn(), other.learn()
    for one, another in zip(agent.policy.parameters(), other.policy.parameters()):
        assert torch.equal(one, another)


@pytest.mark.parametrize("parts, said", [((1, 2), "1 2: the observation is 1 numbers"), ((2, 0), "two numbers")])
def test_parts_that_do_not_fit_are_refused(parts, said):
    with pytest.raises(errors.CaveError, match=said):
        config = sac.Config(parts=parts)
        sac.make(config, encoded.EncodedVecEnv(Aim(4), encoded.State()), seed=0)
