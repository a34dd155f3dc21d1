"""PPO: proximal policy optimisation (Schulman et al. 2017, https://arxiv.org/abs/1707.06347), Stable-Baselines3's own.

The agent plays a while with its present policy, then improves it by a few passes of gradient ascent over what happened,
clipping the objective so that no action becomes much more or less likely than it was when it was played. A critic
learns at the same time what each observation is worth, and only what went better than the critic thought is reinforced.

Differs from the paper: `stable_baselines3.PPO` collects and learns; ours is that continuous actions begin in the middle of
their range and spread over a share of it, that rewards may be scaled, and networks for observations that are sets of
things, each of which proposes an action. This file gives it large batches of worlds (for throughput), scopes the global
random generators that it draws from, and turns its state into arrays, since its own `save` and `load` are pickles. The
learning rate is constant and the same for every sight.

    python -m agents.train ppo --env rooms --encoder state
    python -m agents.train ppo --env rooms --encoder runs/gqn-rooms-0 --model.gamma 0.98
"""

import dataclasses
import warnings
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy, MultiInputActorCriticPolicy

import agents
from agents.training import parts
from agents.training import state as training
from scenes.kit import errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of PPO. The defaults learn `rooms` from any sight and keep two CPU cores busy with large batches."""

    learning_rate: float = 7e-4
    """Step size of Adam."""
    n_steps: int = 16
    """Steps of every world between two updates."""
    batch_size: int = 1024
    """Observations per gradient step; best a divisor of `n_steps` times the number of worlds."""
    n_epochs: int = 4
    """Passes over what was collected, per update."""
    gamma: float = 0.98
    """Discount per step."""
    gae_lambda: float = 0.95
    """Trade of bias (0) for variance (1) in the estimate of advantage."""
    clip_range: float = 0.2
    """How far the probability of an action may move from where it was, as a ratio minus one."""
    ent_coef: float = 0.01
    """Weight of the entropy bonus, which keeps the policy exploring."""
    vf_coef: float = 0.5
    """Weight of the critic's loss."""
    max_grad_norm: float = 0.5
    """Gradients are scaled down to this norm."""
    hidden: tuple[int, ...] = (128, 128)
    """Widths of the hidden layers, of the policy and again of the critic."""
    spread: float = 1.0
    """Deviation of continuous actions at first, in halves of their range; their mean begins in its middle."""
    reward_scale: float = 1.0
    """What rewards are multiplied by before the critic learns them; it learns best where returns are near one."""
    parts: tuple[int, int] = (0, 0)
    """How many parts that are alike an observation begins with, and of how many numbers each (sprites of a state, slots of
    a code), for networks that look at each by itself (`agents.training.parts`); 0 0: at all of it at once."""

    def __post_init__(self):
        limits = {"n_steps": (1, 10**6), "batch_size": (2, 10**9), "n_epochs": (1, 10**4), "learning_rate": (0.0, 1.0)}
        limits |= {"gamma": (0.0, 1.0), "gae_lambda": (0.0, 1.0), "clip_range": (1e-9, 10.0), "ent_coef": (0.0, 1e3)}
        limits |= {
            "vf_coef": (0.0, 1e3),
            "max_grad_norm": (1e-9, 1e9),
            "spread": (1e-3, 1e3),
            "reward_scale": (1e-9, 1e9),
        }
        errors.within("ppo", self, limits)
        parts.check_options("ppo", self.parts, self.hidden)
        if any(width < 1 for width in self.hidden):
            raise errors.CaveError(f"ppo: hidden is {self.hidden}, wanted widths of at least 1", errors.USAGE)

    @classmethod
    def tiny(cls) -> "Config":
        """Small enough for a test."""
        return cls(n_steps=8, batch_size=32, n_epochs=2, hidden=(16,))


def network(config: Config, observation_space: spaces.Space, action_space: spaces.Space) -> ActorCriticPolicy:
    """The policy and critic for these spaces, with fresh weights."""
    kind, options = _policy(config, observation_space)
    return kind(observation_space, action_space, lambda _: config.learning_rate, **options)


def make(config: Config, venv: Any, seed: int) -> "Agent":
    """An agent that is about to learn in `venv`, a `stable_baselines3` VecEnv, with fresh weights."""
    return Agent(config, venv, seed)


class Agent:
    """PPO that learns one rollout at a time, so that everything is at rest (and can be written down) in between.

    Args:
        config: Its options.
        venv: An `agents.encoded.EncodedVecEnv`.
        seed: Of weights, actions and minibatches; the worlds have their own.
    """

    def __init__(self, config: Config, venv: Any, seed: int):
        size = config.n_steps * venv.num_envs
        if size < 2 or size % min(config.batch_size, size) == 1:
            raise errors.CaveError(
                f"--model.batch-size {config.batch_size} leaves a batch of one observation out of {config.n_steps} "
                f"steps of {venv.num_envs} worlds: give a divisor of {size}, at least 2",
                errors.USAGE,
            )
        self.venv = venv
        self.generators = training.Generators(seed)
        kind, options = _policy(config, venv.observation_space)
        with self.generators, warnings.catch_warnings():
            # It warns of a last minibatch that is smaller than the others, which is harmless.
            warnings.filterwarnings("ignore", "You have specified a mini-batch size", UserWarning)
            self.model = PPO(
                kind,
                venv,
                learning_rate=config.learning_rate,
                n_steps=config.n_steps,
                batch_size=min(config.batch_size, size),
                n_epochs=config.n_epochs,
                gamma=config.gamma,
                gae_lambda=config.gae_lambda,
                clip_range=config.clip_range,
                ent_coef=config.ent_coef,
                vf_coef=config.vf_coef,
                max_grad_norm=config.max_grad_norm,
                policy_kwargs=options,
                device="cpu",
            )
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        self.rollout_steps = size
        venv.reward_scale = config.reward_scale
        if isinstance(space := venv.action_space, spaces.Box) and space.is_bounded():
            # Its Gaussian begins at zero and of unit deviation, whatever the actions' range.
            low, high = torch.as_tensor(space.low).ravel(), torch.as_tensor(space.high).ravel()
            self.policy.action_net.bias.data.copy_((low + high) / 2)
            self.policy.log_std.data.copy_((config.spread * (high - low) / 2).log())

    @property
    def env_steps(self) -> int:
        """Interactions so far, over all worlds."""
        return self.model.num_timesteps

    @property
    def policy(self) -> ActorCriticPolicy:
        """The network, with its present weights."""
        return self.model.policy

    def learn(self) -> dict[str, float]:
        """Collect one rollout (`rollout_steps` interactions), improve on it, and return the losses.

        Raises:
            scenes.kit.errors.CaveError: an observation, a reward, the loss or a weight is no longer finite.
        """
        with training.checked(self.policy, self.env_steps), self.generators:
            # One rollout per call and no reset of the counters: Stable-Baselines3 goes on from its last observation.
            self.model.learn(self.rollout_steps, log_interval=None, reset_num_timesteps=False)
        logged = self.model.logger.name_to_value
        names = {"loss": "loss", "value_loss": "value_loss", "entropy_loss": "entropy", "approx_kl": "kl"}
        names |= {"clip_fraction": "clipped", "explained_variance": "explained_variance"}
        metrics = {ours: float(logged[f"train/{theirs}"]) for theirs, ours in names.items()}
        metrics["entropy"] *= -1
        training.check(self.policy, metrics["loss"], self.env_steps)
        return metrics

    def act(self, observations: Any, deterministic: bool = False) -> np.ndarray:
        """Actions for a batch of observations; stochastic ones are drawn from the agent's own generators."""
        with self.generators:
            return self.policy.predict(observations, deterministic=deterministic)[0]

    def state_dict(self) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        """Everything that the next `learn` depends on, the worlds included: groups of tensors, and plain JSON."""
        groups = {f"venv.{name}": group for name, group in self.venv.state_dict().items()}
        groups |= {"policy": self.policy.state_dict(), "optimiser": training.slots(self.policy.optimizer)}
        groups["generators"], plain = self.generators.state_dict()
        groups |= training.last_seen(self.model)
        return groups, {"env_steps": self.env_steps, "n_updates": self.model._n_updates, **plain}

    def load_state_dict(self, groups: dict[str, dict[str, Any]], state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.venv.load_state_dict(training.worlds(groups))
        agents.load_weights(self.policy, groups["policy"], "checkpoint")
        training.load_slots(self.policy.optimizer, groups.get("optimiser", {}))
        self.generators.load_state_dict(groups["generators"], state)
        self.model.num_timesteps, self.model._n_updates = state["env_steps"], state["n_updates"]
        training.load_last_seen(self.model, groups, isinstance(self.venv.observation_space, spaces.Dict))


def _policy(config: Config, observation_space: spaces.Space) -> tuple[type[ActorCriticPolicy], dict[str, Any]]:
    """Class of the policy, and its options."""
    hidden = list(config.hidden)
    if any(config.parts):
        parts.check(config.parts, observation_space)
        return parts.PartsActorCritic, {"parts": config.parts, "hidden": config.hidden}
    mixed = isinstance(observation_space, spaces.Dict)
    return MultiInputActorCriticPolicy if mixed else ActorCriticPolicy, {"net_arch": {"pi": hidden, "vf": hidden}}
