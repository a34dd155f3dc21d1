"""Stable-Baselines3 takes every environment as it is: its checker, its algorithms and its wrappers, none of them changed."""

import dataclasses
import warnings

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecTransposeImage

import envs
from agents import encoded
from scenes.kit import plugins

SENSORS = ("image", "pose", "goal", "state")
SIZE = (encoded.sights.SMALLEST_IMAGE,) * 2
SMALL = {"net_arch": [8], "features_extractor_kwargs": {"cnn_output_dim": 8}}
ALGORITHMS = {
    "PPO": lambda *args, **rest: PPO(*args, n_steps=8, batch_size=8, n_epochs=1, **rest),
    "DQN": lambda *args, **rest: DQN(*args, buffer_size=50, learning_starts=8, batch_size=4, **rest),
    "SAC": lambda *args, **rest: SAC(*args, buffer_size=50, learning_starts=8, batch_size=4, **rest),
}


@pytest.fixture(params=plugins.names("envs"))
def name(request):
    return request.param


def short(name, max_steps):
    return dataclasses.replace(envs.module(name).Config.tiny(), max_steps=max_steps)


def single(name, seed=0, max_steps=5):
    return envs.single(name, short(name, max_steps), seed=seed, sensors=SENSORS, size=SIZE)


def test_its_checker_finds_nothing_to_say(name):
    with warnings.catch_warnings():
        # Advice, for PPO's sake, whose first actions are about 0: those of `agents.ppo` are about the middle of any range.
        warnings.filterwarnings("ignore", "We recommend you to use a symmetric and normalized Box action space")
        check_env(single(name))


def test_its_worlds_are_those_of_the_vector_face(name):
    n, config, vector = 3, short(name, 6), ("state", "goal")
    ours = envs.vector(name, n, config, sensors=SENSORS, size=SIZE)
    theirs = DummyVecEnv([lambda: single(name, max_steps=6)] * n)
    sights = [encoded.State(), encoded.Pixels(1)]
    seen = [
        encoded.EncodedVecEnv(envs.make(name, config, n, seed=5, sensors=one.sensors, size=SIZE), one) for one in sights
    ]
    theirs.seed(5)
    expected, got, *through = [ours.reset(seed=5)[0], theirs.reset(), *(venv.reset() for venv in seen)]
    ours.action_space.seed(1)
    ended = 0
    for _ in range(14):
        for sensor, value in expected.items():
            assert got[sensor].dtype == value.dtype and got[sensor].tobytes() == value.tobytes(), sensor
        state, pixels = through
        assert state.tobytes() == np.concatenate([expected[s] for s in vector if s in expected], 1).tobytes()
        assert pixels["image"].tobytes() == expected["image"].transpose(0, 3, 1, 2).tobytes()

        action = ours.action_space.sample()
        expected, reward, terminated, truncated, info = ours.step(action)
        got, paid, over, infos = theirs.step(action)
        stepped = [venv.step(action) for venv in seen]
        through = [one[0] for one in stepped]
        for rewards, dones in ((paid, over), *(one[1:3] for one in stepped)):
            np.testing.assert_array_equal(rewards, reward.astype(np.float32))
            np.testing.assert_array_equal(dones, terminated | truncated)
        for i in np.flatnonzero(over):
            last, ended = info["final_obs"][i], ended + 1
            assert all(infos[i]["terminal_observation"][sensor].tobytes() == last[sensor].tobytes() for sensor in last)
            state = np.concatenate([last[s] for s in vector if s in last])
            assert stepped[0][3][i]["terminal_observation"].tobytes() == state.tobytes()
            assert infos[i]["TimeLimit.truncated"] == stepped[0][3][i]["TimeLimit.truncated"] == truncated[i]
    assert ended >= 2 * n


def test_its_algorithms_learn_through_its_wrappers(name, tmp_path):
    """Pictures stacked, episodes monitored, a policy evaluated while it learns: what a tutorial does."""

    def stacked():
        return VecTransposeImage(VecFrameStack(DummyVecEnv([lambda: Monitor(single(name))] * 2), 2))

    discrete = isinstance(single(name).action_space, gymnasium.spaces.Discrete)
    for algorithm in ("PPO", "DQN" if discrete else "SAC"):
        watching = EvalCallback(stacked(), n_eval_episodes=2, eval_freq=8, log_path=str(tmp_path), verbose=0)
        with torch.random.fork_rng(devices=[]):
            model = ALGORITHMS[algorithm]("MultiInputPolicy", stacked(), policy_kwargs={**SMALL}, seed=3, device="cpu")
            before = [value.detach().clone() for value in model.policy.parameters()]
            model.learn(24, callback=watching)
        assert model.num_timesteps >= 24
        assert any(not torch.equal(old, new) for old, new in zip(before, model.policy.parameters(), strict=True))
        assert model.ep_info_buffer and all(0 < episode["l"] <= 5 for episode in model.ep_info_buffer)
        assert np.isfinite(watching.last_mean_reward)
        image = model.observation_space["image"]
        assert image.shape == (6, *SIZE) and image.dtype == np.uint8
