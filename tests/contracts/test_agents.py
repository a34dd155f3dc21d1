"""Every agent found beside `agents/__init__.py` keeps the promises of `agents.Agent`."""

import dataclasses

import numpy as np
import pytest
import torch

import agents
import envs
from agents import encoded
from envs import rooms
from scenes.kit import options, plugins, runs

NAMES = plugins.names("agents")
ACTIONS = {"sac": "continuous"}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make(name, seed=3, n=4):
    sight = encoded.State()
    config = dataclasses.replace(rooms.Config.tiny(), max_steps=9, actions=ACTIONS.get(name, "discrete"))
    world = envs.make("rooms", config, n, "train", 5, sight.sensors)
    module = agents.load_agent(name)
    return module.make(module.Config.tiny(), encoded.EncodedVecEnv(world, sight), seed)


def everything(agent):
    groups, state = agent.state_dict()
    arrays = {f"{group}/{name}": np.asarray(value) for group, part in groups.items() for name, value in part.items()}
    return {name: value.copy() for name, value in arrays.items()}, state


def assert_equal(one, other):
    assert one[1] == other[1] and one[0].keys() == other[0].keys()
    for name, value in one[0].items():
        np.testing.assert_array_equal(value, other[0][name], err_msg=name)


def test_there_are_agents():
    assert "ppo" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_options_survive_json(name):
    for config in (agents.load_agent(name).Config(), agents.load_agent(name).Config.tiny()):
        assert dataclasses.is_dataclass(config) and type(config).__dataclass_params__.frozen
        assert options.from_dict(type(config), options.to_dict(config)) == config


@pytest.mark.parametrize("name", NAMES)
def test_learning_counts_its_steps_logs_finite_numbers_and_changes_the_policy(name):
    agent = make(name)
    before = [p.detach().clone() for p in agent.policy.parameters()]
    for k in (1, 2):
        metrics = agent.learn()
        assert agent.env_steps == k * agent.rollout_steps
        assert metrics and all(np.isfinite(value) for value in metrics.values())
    assert any(not torch.equal(old, new) for old, new in zip(before, agent.policy.parameters(), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_agent_and_another_seed_another(name):
    one, same, other = make(name), make(name), make(name, seed=4)
    for agent in (one, same, other):
        agent.learn()
    assert_equal(everything(one), everything(same))
    weights = [np.concatenate([p.detach().numpy().ravel() for p in a.policy.parameters()]) for a in (one, other)]
    assert not np.array_equal(*weights)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("when", [0, 2])
def test_states_are_numbers_that_can_be_put_back_and_continued(name, when):
    agent = make(name)
    for _ in range(when):
        agent.learn()
    groups, state = agent.state_dict()
    kept = {group: runs.load_tensors(runs.save_tensors(part)) for group, part in groups.items()}
    agent.learn()
    other = make(name, seed=77)
    other.load_state_dict(kept, state)
    other.learn()
    assert_equal(everything(agent), everything(other))


@pytest.mark.parametrize("name", NAMES)
def test_a_network_rebuilt_from_its_spaces_acts_alike(name):
    agent, module = make(name), agents.load_agent(name)
    agent.learn()
    network = module.network(module.Config.tiny(), agent.venv.observation_space, agent.venv.action_space)
    agents.load_weights(network, dict(agent.policy.state_dict()), "here")
    observations = np.random.default_rng(0).normal(size=(6, *agent.venv.observation_space.shape)).astype(np.float32)
    actions = agent.act(observations, deterministic=True)
    np.testing.assert_array_equal(network.predict(observations, deterministic=True)[0], actions)
    assert all(agent.venv.action_space.contains(action) for action in agent.act(observations))
