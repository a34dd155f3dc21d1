"""SAC: soft actor-critic (Haarnoja et al. 2018, https://arxiv.org/abs/1812.05905), Stable-Baselines3's own.

The agent remembers what happened, and learns from random pieces of it over and over: two critics what an action is worth,
reward and the policy's entropy together; the policy, to do what they think best and to stay as random as it can
afford. It needs fewer interactions than PPO and more arithmetic for each. Actions are continuous.

Differs from the paper: nothing is ours but the sizes and rates (fewer gradient steps than transitions, a higher learning
rate), that rewards may be scaled, and networks for observations that are sets of things. `stable_baselines3.SAC` collects
and learns; this file gives it batches of worlds, scopes the global random generators that it draws from, and turns its
state, what it remembers included, into arrays.

    python -m agents.train sac --env sprites --encoder state --model.gamma 0.5 --model.reward-scale 0.2
"""

import dataclasses
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import SAC
from stable_baselines3.common.logger import Logger
from stable_baselines3.sac.policies import MultiInputPolicy, SACPolicy

import agents
from agents.training import parts
from agents.training import state as training
from scenes.kit import errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of SAC."""

    learning_rate: float = 1e-3
    """Step size of Adam, for the policy, the critics and the weight of entropy."""
    n_steps: int = 1
    """Steps of every world between two rounds of learning."""
    gradient_steps: int = 32
    """Gradient steps per round."""
    batch_size: int = 256
    """Transitions per gradient step."""
    buffer_size: int = 300_000
    """Transitions that are remembered, over all worlds; the oldest are forgotten. Checkpoints hold them all."""
    learning_starts: int = 2_000
    """Interactions, by random actions, before the first gradient step."""
    tau: float = 0.005
    """Share by which the target critics follow at every step."""
    gamma: float = 0.98
    """Discount per step."""
    hidden: tuple[int, ...] = (128, 128)
    """Widths of the hidden layers, of the policy and again of each critic."""
    reward_scale: float = 1.0
    """What rewards are multiplied by before the critics learn them."""
    parts: tuple[int, int] = (0, 0)
    """How many parts that are alike an observation begins with, and of how many numbers each (sprites of a state, slots of
    a code), for networks that look at each by itself (`agents.training.parts`); 0 0: at all of it at once."""

    def __post_init__(self):
        limits = {
            "learning_rate": (0.0, 1.0),
            "n_steps": (1, 10**6),
            "gradient_steps": (1, 10**6),
            "batch_size": (1, 10**7),
        }
        limits |= {"buffer_size": (1, 10**9), "learning_starts": (0, 10**9), "tau": (1e-9, 1.0), "gamma": (0.0, 1.0)}
        errors.within("sac", self, limits | {"reward_scale": (1e-9, 1e9)})
        if not self.hidden or any(width < 1 for width in self.hidden):
            raise errors.CaveError(f"sac: hidden is {self.hidden}, wanted widths of at least 1", errors.USAGE)
        parts.check_options("sac", self.parts, self.hidden)

    @classmethod
    def tiny(cls) -> "Config":
        """Small enough for a test."""
        return cls(n_steps=4, gradient_steps=2, batch_size=16, buffer_size=64, learning_starts=8, hidden=(16,))


def network(config: Config, observation_space: spaces.Space, action_space: spaces.Space) -> SACPolicy:
    """The policy and critics for these spaces, with fresh weights."""
    kind, options = _policy(config, observation_space)
    return kind(observation_space, action_space, lambda _: config.learning_rate, **options)


def make(config: Config, venv: Any, seed: int) -> "Agent":
    """An agent that is about to learn in `venv`, a `stable_baselines3` VecEnv, with fresh weights."""
    return Agent(config, venv, seed)


class Agent:
    """SAC that learns one round at a time, so that everything is at rest (and can be written down) in between.

    Args:
        config: Its options.
        venv: An `agents.encoded.EncodedVecEnv` whose actions are continuous.
        seed: Of weights, actions and minibatches; the worlds have their own.
    """

    def __init__(self, config: Config, venv: Any, seed: int):
        if not isinstance(venv.action_space, spaces.Box):
            raise errors.CaveError(
                f"sac needs continuous actions, not {venv.action_space}: train ppo, or choose another action set of the "
                "environment (of rooms: --env.actions continuous)",
                errors.USAGE,
            )
        if config.buffer_size < venv.num_envs:
            raise errors.CaveError(
                f"--model.buffer-size {config.buffer_size} holds less than one step of {venv.num_envs} worlds",
                errors.USAGE,
            )
        self.venv = venv
        self.generators = training.Generators(seed)
        kind, options = _policy(config, venv.observation_space)
        with self.generators:
            self.model = SAC(
                kind,
                venv,
                learning_rate=config.learning_rate,
                buffer_size=config.buffer_size,
                learning_starts=config.learning_starts,
                batch_size=config.batch_size,
                tau=config.tau,
                gamma=config.gamma,
                train_freq=config.n_steps,
                gradient_steps=config.gradient_steps,
                policy_kwargs=options,
                device="cpu",
            )
        self.model.action_space.seed(seed % 2**32)
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        self.rollout_steps = config.n_steps * venv.num_envs
        venv.reward_scale = config.reward_scale

    @property
    def env_steps(self) -> int:
        """Interactions so far, over all worlds."""
        return self.model.num_timesteps

    @property
    def policy(self) -> SACPolicy:
        """The network, with its present weights."""
        return self.model.policy

    def learn(self) -> dict[str, float]:
        """Collect `rollout_steps` interactions, learn from what is remembered, and return the losses.

        Raises:
            scenes.kit.errors.CaveError: an observation, a reward, the loss or a weight is no longer finite.
        """
        with training.checked(self.policy, self.env_steps), self.generators:
            self.model.learn(self.rollout_steps, log_interval=None, reset_num_timesteps=False)
        logged = self.model.logger.name_to_value
        names = {"critic_loss": "critic_loss", "actor_loss": "actor_loss", "ent_coef": "entropy_weight"}
        # Before the first gradient step there is nothing to tell but how much is remembered.
        metrics = {
            ours: float(logged[f"train/{theirs}"]) for theirs, ours in names.items() if f"train/{theirs}" in logged
        }
        training.check(self.policy, sum(metrics.values()), self.env_steps)
        return {"remembered": float(self.model.replay_buffer.size() * self.venv.num_envs), **metrics}

    def act(self, observations: Any, deterministic: bool = False) -> np.ndarray:
        """Actions for a batch of observations; stochastic ones are drawn from the agent's own generators."""
        with self.generators:
            return self.policy.predict(observations, deterministic=deterministic)[0]

    def state_dict(self) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        """Everything that the next `learn` depends on, worlds and memory included: groups of tensors, and plain JSON."""
        model, buffer = self.model, self.model.replay_buffer
        groups = {f"venv.{name}": group for name, group in self.venv.state_dict().items()}
        groups |= {"policy": self.policy.state_dict(), "entropy": {"log_weight": model.log_ent_coef.detach()}}
        groups |= {f"optimiser.{name}": training.slots(optimiser) for name, optimiser in self._optimisers().items()}
        groups["generators"], plain = self.generators.state_dict()
        groups |= training.last_seen(model)
        kept = slice(buffer.size())
        groups["memory"] = {name: array[kept].copy() for name, array in self._memory().items()}
        drawn = model.action_space.np_random.bit_generator.state
        plain |= {"position": buffer.pos, "full": buffer.full, "warm": {**drawn, "state": dict(drawn["state"])}}
        return groups, {"env_steps": self.env_steps, "n_updates": model._n_updates, **plain}

    def load_state_dict(self, groups: dict[str, dict[str, Any]], state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        model, buffer = self.model, self.model.replay_buffer
        self.venv.load_state_dict(training.worlds(groups))
        agents.load_weights(self.policy, groups["policy"], "checkpoint")
        model.log_ent_coef.data.copy_(torch.as_tensor(groups["entropy"]["log_weight"]))
        for name, optimiser in self._optimisers().items():
            training.load_slots(optimiser, groups.get(f"optimiser.{name}", {}))
        self.generators.load_state_dict(groups["generators"], state)
        training.load_last_seen(model, groups, isinstance(self.venv.observation_space, spaces.Dict))
        for name, array in self._memory().items():
            given = np.asarray(groups["memory"][name])
            array[: len(given)] = given
        buffer.pos, buffer.full = state["position"], state["full"]
        model.action_space.np_random.bit_generator.state = state["warm"]
        model.num_timesteps, model._n_updates = state["env_steps"], state["n_updates"]

    def _optimisers(self) -> dict[str, torch.optim.Optimizer]:
        model = self.model
        return {"actor": model.actor.optimizer, "critic": model.critic.optimizer, "entropy": model.ent_coef_optimizer}

    def _memory(self) -> dict[str, np.ndarray]:
        """The arrays of what is remembered; those of observations that are dicts, key by key."""
        buffer = self.model.replay_buffer
        arrays = {name: getattr(buffer, name) for name in ("actions", "rewards", "dones", "timeouts")}
        for name in ("observations", "next_observations"):
            seen = getattr(buffer, name)
            arrays |= {f"{name}.{k}": v for k, v in seen.items()} if isinstance(seen, dict) else {name: seen}
        return arrays


def _policy(config: Config, observation_space: spaces.Space) -> tuple[type[SACPolicy], dict[str, Any]]:
    """Class of the policy, and its options."""
    mixed = isinstance(observation_space, spaces.Dict)
    if not any(config.parts):
        return MultiInputPolicy if mixed else SACPolicy, {"net_arch": list(config.hidden)}
    parts.check(config.parts, observation_space)
    return parts.PartsPolicy, {"parts": config.parts, "hidden": config.hidden}
