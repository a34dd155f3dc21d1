"""What an agent sees, and when: encoders outside the policy, memories that end with their episode."""

import numpy as np
import pytest
import torch

import learners
from agents import encoded
from agents.encoded import sights
from scenes.kit import errors


def by_hand(world, encoder, actions):
    """Observations of one world as it should be seen, one frame at a time: yields (observation, last of episode)."""
    state = encoder.initial(1)

    def see():
        nonlocal state
        sensors = world.observe()
        obs = {name: torch.from_numpy(sensors[name]) for name in encoder.sensors}
        code, state = encoder(obs, state)
        x, y, z, yaw, pitch = sensors["pose"][0]
        pose = [x, y, z, np.sin(yaw), np.cos(yaw), np.sin(pitch), np.cos(pitch)]
        return np.concatenate([code.detach().numpy().ravel(), sensors["goal"][0], pose]).astype(np.float32)

    world.reset()
    seen = [(see(), None)]
    for action in actions:
        reward, terminated, truncated = world.step(np.array([action]))
        last = see()
        if terminated[0] or truncated[0]:
            world.reset(np.array([True]))
            state = encoder.initial(1)
            seen.append((see(), (last, bool(terminated[0]), float(reward[0]))))
        else:
            seen.append((last, None))
    return seen


def test_encoded_worlds_equal_encoding_by_hand_across_episode_boundaries(guess, trace):
    n, steps = 5, 30
    actions = np.random.default_rng(0).integers(4, size=(steps, n))
    venv = encoded.EncodedVecEnv(guess(n), encoded.Codes(trace, "trace"))
    seen, infos = [venv.reset()], []
    for row in actions:
        observation, _, _, info = venv.step(row)
        seen.append(observation)
        infos.append(info)
    ends = 0
    for i in range(n):
        expected = by_hand(guess(1, seed=i), trace, actions[:, i])
        for t, (observation, end) in enumerate(expected):
            np.testing.assert_allclose(seen[t][i], observation, rtol=1e-5, atol=1e-5)
            assert (t > 0 and bool(infos[t - 1][i])) == (end is not None)
            if end is not None:
                ends += 1
                info = infos[t - 1][i]
                np.testing.assert_allclose(info["terminal_observation"], end[0], rtol=1e-5, atol=1e-5)
                assert info["TimeLimit.truncated"] == (not end[1]) and info["is_success"] == end[1]
    assert ends > 2 * n


def test_pixels_hold_the_last_frames_newest_first_and_forget_with_the_episode(guess):
    n, frames = 4, 3
    world = guess(n)
    venv = encoded.EncodedVecEnv(guess(n), encoded.Pixels(frames))
    observation = venv.reset()
    world.reset()
    assert venv.observation_space.contains({name: value[0] for name, value in observation.items()})
    histories = [[world.observe()["image"][i]] for i in range(n)]
    for action in np.random.default_rng(1).integers(4, size=(20, n)):
        observation, _, dones, infos = venv.step(action)
        _, terminated, truncated = world.step(action)
        for i, image in enumerate(world.observe()["image"]):
            histories[i].insert(0, image)
            if dones[i]:
                check_stack(infos[i]["terminal_observation"]["image"], histories[i], frames)
        world.reset(terminated | truncated)
        for i, image in enumerate(world.observe()["image"]):
            if dones[i]:
                histories[i] = [image]
            check_stack(observation["image"][i], histories[i], frames)


def check_stack(stack, history, frames):
    black = [np.zeros_like(history[0])] * frames
    expected = np.concatenate([image.transpose(2, 0, 1) for image in (history + black)[:frames]])
    np.testing.assert_array_equal(stack, expected)


def test_earlier_observations_are_not_overwritten_by_later_steps(guess, trace):
    for sight in (encoded.State(), encoded.Pixels(2), encoded.Codes(trace, "trace")):
        venv = encoded.EncodedVecEnv(guess(3), sight)
        first = venv.reset()
        parts = first if isinstance(first, dict) else {"": first}
        copies = {name: part.copy() for name, part in parts.items()}
        for _ in range(8):
            venv.step(np.zeros(3, np.int64))
        for name, part in parts.items():
            np.testing.assert_array_equal(part, copies[name])


def test_a_frozen_encoder_is_in_evaluation_mode_and_using_it_moves_nothing(guess, trace):
    trace.train()
    before = encoded.digest(trace)
    venv = encoded.EncodedVecEnv(guess(6), encoded.Codes(trace, "trace"))
    venv.reset()
    for _ in range(5):
        venv.step(np.zeros(6, np.int64))
    assert encoded.digest(trace) == before
    assert not any(p.requires_grad for p in trace.parameters())
    trace.train()
    venv.step(np.zeros(6, np.int64))
    assert encoded.digest(trace) != before, "the digest must notice batch statistics"


def test_the_state_of_worlds_and_memories_can_be_put_back(guess, trace):
    actions = np.random.default_rng(2).integers(4, size=(12, 3))
    venv = encoded.EncodedVecEnv(guess(3), encoded.Codes(trace, "trace"))
    venv.reset()
    for row in actions[:6]:
        venv.step(row)
    state = {group: dict(values) for group, values in venv.state_dict().items()}
    expected = [venv.step(row)[0] for row in actions[6:]]
    other = encoded.EncodedVecEnv(guess(3), encoded.Codes(trace, "trace"))
    other.load_state_dict(state)
    for row, observation in zip(actions[6:], expected, strict=True):
        np.testing.assert_array_equal(other.step(row)[0], observation)


def test_a_number_that_is_not_finite_is_named_at_the_boundary(guess):
    world = guess(3)
    venv = encoded.EncodedVecEnv(world, encoded.State())
    venv.reset()
    shown = world.observe()
    shown["state"][1, 0] = np.nan
    world.observe = lambda mask=None, out=None: shown
    with pytest.raises(errors.CaveError, match="observation of world 1"):
        venv.step(np.array([0, 0, 0]))


def test_angles_one_turn_apart_are_the_same_numbers():
    pose = np.array([[1.0, 2.0, 3.0, 0.4, -0.2]], np.float32)
    turned = pose + np.array([0, 0, 0, 2 * np.pi, 0], np.float32)
    np.testing.assert_allclose(sights.pose_numbers(pose), sights.pose_numbers(turned), atol=1e-6)
    assert sights.pose_numbers(pose).shape == (1, 7)


def test_images_too_small_for_the_pixel_policy_are_refused_in_one_line(guess):
    world = guess(1)
    world.observation_space["image"] = type(world.observation_space["image"])(0, 255, (16, 16, 3), np.uint8)
    with pytest.raises(errors.CaveError, match="16x16 are too small"):
        encoded.Pixels(5).space(world.observation_space)


def test_stable_baselines_own_tools_take_it_for_one_of_theirs(guess, trace):
    from stable_baselines3 import PPO
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import VecCheckNan, VecMonitor

    venv = encoded.EncodedVecEnv(guess(4), encoded.Codes(trace, "trace"))
    model = PPO("MlpPolicy", VecCheckNan(venv, raise_exception=True), n_steps=8, batch_size=16, n_epochs=1, seed=1)
    model.learn(64)
    # Both record returns; theirs from the rewards that it sees, ours from the worlds.
    monitored = VecMonitor(encoded.EncodedVecEnv(guess(4), encoded.Codes(trace, "trace")))
    returns, lengths = evaluate_policy(model, monitored, n_eval_episodes=12, return_episode_rewards=True)
    ours = monitored.venv.finished[: len(returns)]
    assert sorted(length for _, length, _ in ours) == sorted(lengths)
    assert sorted(total for total, _, _ in ours) == pytest.approx(sorted(returns))


def test_seeds_given_by_seed_are_those_of_the_worlds(guess):
    venv = encoded.EncodedVecEnv(guess(3), encoded.State())
    venv.seed(40)
    first = venv.reset()
    assert venv.world.seeds.tolist() == [40, 41, 42]
    np.testing.assert_array_equal(first, encoded.EncodedVecEnv(guess(3, seed=40), encoded.State()).reset())
    assert [info["factors"]["number"] for info in venv.reset_infos] == venv.world.number().tolist()


def test_a_shipped_encoder_goes_by_its_name(tmp_path):
    for card in learners.SHIPPED.glob("*/card.json"):
        assert sights.find_run(card.parent.name, tmp_path) == card.parent
    with pytest.raises(errors.CaveError, match="did you mean 'gqn-rooms'"):
        sights.find_run("gqn-room", tmp_path)
