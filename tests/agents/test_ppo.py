"""PPO learns what can be learned, leaves everybody else's generators alone, and goes on as if never interrupted."""

import dataclasses

import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy import stats

from agents import encoded, ppo
from scenes.kit import errors

TINY = ppo.Config.tiny()


def worlds(guess, sight, n=8):
    return encoded.EncodedVecEnv(guess(n, seed=11), sight)


def tensors(agent):
    groups, state = agent.state_dict()
    flat = {f"{group}/{name}": np.asarray(value) for group, values in groups.items() for name, value in values.items()}
    return flat, state


def test_ppo_learns_a_trivial_world(guess):
    config = ppo.Config(n_steps=16, batch_size=128, n_epochs=6, hidden=(32,), learning_rate=3e-3)
    venv = worlds(guess, encoded.State(), 16)
    agent = ppo.make(config, venv, seed=3)
    lengths = []
    for _ in range(25):
        venv.finished.clear()
        agent.learn()
        lengths.append(np.mean([length for _, length, _ in venv.finished]))
    assert lengths[0] > 2.5, "chance needs several guesses"
    assert lengths[-1] < 1.3, lengths
    assert agent.env_steps == 25 * 16 * 16


@pytest.mark.parametrize("kind", ["codes", "pixels", "parts"])
def test_an_interrupted_agent_ends_in_the_same_weights_optimiser_and_generators(guess, trace, kind):
    sights = {
        "codes": lambda: encoded.Codes(trace, "trace"),
        "pixels": lambda: encoded.Pixels(1),
        "parts": encoded.State,
    }
    sight, config = sights[kind], dataclasses.replace(TINY, parts=(2, 3) if kind == "parts" else (0, 0))
    whole = ppo.make(config, worlds(guess, sight(), 4), seed=5)
    for _ in range(4):
        whole.learn()
    first = ppo.make(config, worlds(guess, sight(), 4), seed=5)
    for _ in range(2):
        first.learn()
    groups, state = first.state_dict()
    # As a checkpoint gives them back: copies, as arrays, without the groups that were empty.
    groups = {
        g: {k: torch.as_tensor(v).numpy().copy() for k, v in values.items()} for g, values in groups.items() if values
    }
    first.learn()
    second = ppo.make(config, worlds(guess, sight(), 4), seed=6)
    second.load_state_dict(groups, state)
    for _ in range(2):
        second.learn()
    (a, a_state), (b, b_state) = tensors(whole), tensors(second)
    assert a_state == b_state and a.keys() == b.keys() and len(a) > 20
    for name, value in a.items():
        np.testing.assert_array_equal(b[name], value, err_msg=name)


def test_learning_neither_reads_nor_moves_the_global_generators(guess):
    def weights():
        agent = ppo.make(TINY, worlds(guess, encoded.State()), seed=5)
        agent.learn()
        return torch.cat([p.detach().ravel() for p in agent.policy.parameters()])

    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one = weights()
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        assert torch.equal(weights(), one)


def test_a_frozen_encoder_is_the_same_after_learning(guess, trace):
    venv = worlds(guess, encoded.Codes(trace, "trace"))
    before = encoded.digest(trace)
    agent = ppo.make(TINY, venv, seed=0)
    started = torch.cat([p.detach().ravel().clone() for p in agent.policy.parameters()])
    agent.learn()
    assert encoded.digest(trace) == before
    assert not torch.equal(torch.cat([p.detach().ravel() for p in agent.policy.parameters()]), started)
    held = {id(p) for p in agent.policy.parameters()}
    assert not held & {id(p) for p in trace.parameters()}, "the policy must not hold the encoder"


def test_cut_off_episodes_are_valued_and_finished_ones_are_not(guess):
    """Stable-Baselines3 adds gamma times the value of `terminal_observation` exactly where the time limit cut."""
    venv = worlds(guess, encoded.State(), 4)
    agent = ppo.make(TINY, venv, seed=1)
    kept = []
    step = venv.step_wait
    venv.step_wait = lambda: kept.append(step()) or (kept[-1][0], kept[-1][1].copy(), *kept[-1][2:])
    agent.model.train = lambda: None
    agent.model.logger.name_to_value.update({f"train/{name}": 0.0 for name in _LOGGED})
    agent.learn()
    buffer = agent.model.rollout_buffer
    cuts = 0
    for t, (_, rewards, dones, infos) in enumerate(kept):
        for i in range(4):
            if dones[i] and infos[i]["TimeLimit.truncated"]:
                cuts += 1
                last = torch.as_tensor(infos[i]["terminal_observation"])[None]
                value = agent.policy.predict_values(last).item()
                assert buffer.rewards[t, i] == pytest.approx(rewards[i] + TINY.gamma * value, abs=1e-6)
            else:
                assert buffer.rewards[t, i] == rewards[i]
    assert cuts > 0


_LOGGED = ("loss", "value_loss", "entropy_loss", "approx_kl", "clip_fraction", "explained_variance")


def test_weights_that_stop_being_finite_are_named(guess):
    agent = ppo.make(TINY, worlds(guess, encoded.State()), seed=0)
    agent.model.train = lambda: agent.policy.value_net.bias.data.fill_(np.nan)
    agent.model.logger.name_to_value.update({f"train/{name}": 0.0 for name in _LOGGED})
    with pytest.raises(errors.CaveError, match=r"value_net\.bias is not finite after 64 env steps"):
        agent.learn()


def test_continuous_actions_begin_in_the_middle_of_their_range_and_as_wide_as_told(guess):
    world = guess(4)
    world.action_space = spaces.Box(np.float32([0, -3]), np.float32([1, 5]))
    agent = ppo.make(ppo.Config(n_steps=8, batch_size=32, spread=0.1), encoded.EncodedVecEnv(world, encoded.State()), 0)
    seen = np.random.default_rng(0).normal(size=(4000, 6)).astype(np.float32)
    actions = agent.act(seen)
    np.testing.assert_allclose(actions.mean(0), [0.5, 1.0], atol=0.05)
    np.testing.assert_allclose(actions.std(0), [0.05, 0.4], rtol=0.15)


def test_rewards_are_scaled_for_the_learner_and_told_as_they_were(guess):
    config = ppo.Config(n_steps=16, batch_size=32, reward_scale=0.25)
    venv = worlds(guess, encoded.State())
    agent = ppo.make(config, venv, seed=1)
    agent.learn()
    # The value of an episode that was cut off is added to its last reward.
    paid = agent.model.rollout_buffer.rewards
    assert (paid == 0.25).any() and {earned for earned, _, success in venv.finished if success} == {1.0}


def test_the_order_of_parts_changes_nothing_and_what_they_are_does():
    config, observations = ppo.Config(parts=(4, 3), hidden=(16, 16)), spaces.Box(-9, 9, (4 * 3 + 2,))
    torch.manual_seed(0)
    policy = ppo.network(config, observations, spaces.Box(0, 1, (2,), np.float32))
    policy.action_net.weight.data.normal_()  # it begins near zero, and all actions with it
    rng = np.random.default_rng(0)
    parts, goal = rng.normal(size=(8, 4, 3)).astype(np.float32), rng.normal(size=(8, 2)).astype(np.float32)
    parts[:, 3] = 0

    def seen(parts, policy=policy):
        whole = torch.from_numpy(np.concatenate([parts.reshape(8, -1), goal], 1))
        with torch.no_grad():
            return [policy.get_distribution(whole).mode().numpy(), policy.predict_values(whole).numpy()]

    fewer = ppo.network(dataclasses.replace(config, parts=(3, 3)), spaces.Box(-9, 9, (11,)), policy.action_space)
    fewer.load_state_dict(policy.state_dict())
    for others in (seen(parts[:, [2, 0, 3, 1]]), seen(parts[:, :3], fewer)):
        for ours, theirs in zip(seen(parts), others):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
    changed = parts.copy()
    changed[:, 1] += 1
    for ours, theirs in zip(seen(parts), seen(changed)):
        assert (np.abs(ours - theirs) > 1e-3).any(1).all()


def proposals(n=4, actions=2):
    """A policy over `n` parts of three numbers, what it is asked about, and its distribution there."""
    torch.manual_seed(0)
    policy = ppo.network(
        ppo.Config(parts=(n, 3), hidden=(16,), spread=0.3), spaces.Box(-9, 9, (n * 3,)), spaces.Box(0, 1, (actions,))
    )
    for layer in (policy.action_net, policy.mlp_extractor.forward_actor.weight):
        layer.weight.data.normal_(std=0.5)
    policy.log_std.data.copy_(torch.tensor([-1.0, -2.0][:actions]))
    seen = torch.from_numpy(np.random.default_rng(1).normal(size=(3, n, 3)).astype(np.float32))
    seen[1, 2] = 0
    return policy, seen.flatten(1)


def test_the_density_of_proposals_is_that_of_scipy_and_of_what_is_drawn():
    policy, seen = proposals()
    with torch.no_grad():
        made = policy.get_distribution(seen)
        weight, mean = made.choice.probs.numpy(), made.normal.mean.numpy()
        deviation = policy.log_std.exp().numpy()
        points = np.random.default_rng(2).normal(size=(50, 3, 2)).astype(np.float32)
        told = np.stack([made.log_prob(torch.from_numpy(point)).numpy() for point in points])
        drawn = np.stack([made.sample().numpy() for _ in range(20_000)], 1)
        modes, most = made.mode().numpy(), weight.argmax(1)
    assert weight.sum(1) == pytest.approx(1) and weight[1, 2] == 0 and (weight[0] > 0.01).all()
    for row in range(3):
        parts = [w * stats.norm.pdf(points[:, row], mean[row, i], deviation).prod(1) for i, w in enumerate(weight[row])]
        np.testing.assert_allclose(told[:, row], np.log(np.sum(parts, 0)), rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(modes[row], mean[row, most[row]])
        middle = weight[row] @ mean[row]
        spread = np.sqrt(weight[row] @ (mean[row] - middle) ** 2 + deviation**2)
        assert (np.abs(drawn[row].mean(0) - middle) < 4 * spread / np.sqrt(20_000)).all()
        np.testing.assert_allclose(drawn[row].std(0), spread, rtol=0.05)


def test_the_entropy_of_proposals_is_a_bound_that_is_reached_where_they_are_apart():
    policy, seen = proposals()
    for factor, apart in ((0.1, False), (10_000, True)):
        policy.action_net.weight.data.mul_(factor)
        with torch.no_grad():
            made = policy.get_distribution(seen)
            measured = -torch.stack([made.log_prob(made.sample()) for _ in range(4000)]).mean(0)
        gap = (made.entropy() - measured).numpy()
        assert (np.abs(gap) < 0.1).all() if apart else (gap > 0.3).all(), gap


def test_at_first_all_parts_that_are_there_propose_alike_and_weigh_alike():
    policy = proposals()[0]
    fresh = ppo.network(ppo.Config(parts=(4, 3), hidden=(16,)), policy.observation_space, policy.action_space)
    with torch.no_grad():
        made = fresh.get_distribution(proposals()[1])
    there = np.ones((3, 4))
    there[1, 2] = 0
    np.testing.assert_allclose(made.choice.probs, there / there.sum(1, keepdims=True), atol=0.02)
    assert np.ptp(made.normal.mean.numpy(), 1).max() < 0.1


@pytest.mark.parametrize("parts", [(0, 0), (2, 3)])
def test_weights_that_are_not_finite_are_named_in_a_line(guess, parts):
    agent = ppo.make(dataclasses.replace(TINY, parts=parts), worlds(guess, encoded.State()), seed=0)
    agent.policy.action_net.weight.data.fill_(np.nan)
    with pytest.raises(errors.CaveError, match=r"^action_net\.weight is not finite after \d+ env steps$"):
        agent.learn()


def test_a_checkpoint_of_other_networks_is_refused_in_a_line(guess):
    old, new = (ppo.make(dataclasses.replace(TINY, hidden=(n,)), worlds(guess, encoded.State()), 0) for n in (16, 8))
    with pytest.raises(errors.CaveError, match=r"checkpoint: action_net\.weight has shape .*: not its weights"):
        new.load_state_dict(*old.state_dict())


@pytest.mark.parametrize("parts, said", [((7, 2), "7 2: the observation is 6 numbers"), ((2, 0), "two numbers")])
def test_parts_that_do_not_fit_are_refused(guess, parts, said):
    with pytest.raises(errors.CaveError, match=said):
        ppo.make(ppo.Config(parts=parts), worlds(guess, encoded.State()), seed=0)


def test_parts_want_layers():
    with pytest.raises(
        errors.CaveError, match=r"ppo: parts want hidden layers, and there are none: give --model\.hidden"
    ):
        ppo.Config(parts=(2, 3), hidden=())
