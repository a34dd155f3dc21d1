"""What acts on what was compressed. The only home of Stable-Baselines3.

This file is the contract of the package. A module beside it is one agent: `agents/ppo.py` is `python -m agents.train
ppo`. `encoded` is support: worlds seen through a frozen encoder. `train` and `record` are commands. An agent's module
has

    Config                                             frozen dataclass of options, with `tiny()` for tests
    make(config, venv, seed) -> Agent                  fresh weights, about to learn in `venv`
    network(config, observations, actions) -> module   its policy alone, as `Policy` needs it

What an agent sees is decided before it exists: `--encoder RUN | pixels | state | untrained:<learner>`. It receives
observations that are ready to learn from, never an encoder.

Why one rollout per `learn()`: between two rollouts everything that matters is arrays (weights, optimiser, generators,
worlds, the encoder's memory), so a checkpoint is a folder of numbers and a killed run ends as the unbroken one would
have.

Why policies are folders of numbers: `policy.safetensors`, `card.json`, and a manifest of their hashes.
Stable-Baselines3's own zip files are pickles, and loading an edited one runs code.

Why episodes are dealt before they are played: episode `j` is the first one of the world with seed `seed + j`, and a
world plays a fixed list of them. Counting the first `n` to finish would favour short ones; this way every player,
random and scripted too, meets the same episodes, and how many worlds ran at once changes nothing about which.
"""

import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from scenes.kit import errors, options, plugins, runs, seeds

POLICY_SCHEMA = "cave.policy/1"

PLAYERS = ("random", "scripted")
"""Players that need no training: uniform actions, and the environment's own that knows the true state."""


class Agent(Protocol):
    """Something that learns by acting. Nothing inherits from this class; it says what trainer and tests rely on."""

    policy: Any
    """The network, an `nn.Module` with `predict(observations, deterministic)`; its `state_dict` is what is saved."""
    env_steps: int
    """Interactions so far, over all worlds."""
    rollout_steps: int
    """Interactions per `learn()`."""

    def learn(self) -> dict[str, float]:
        """Interact `rollout_steps` times, improve, and return what to log."""

    def act(self, observations: Any, deterministic: bool = False) -> np.ndarray:
        """Actions for a batch of observations."""

    def state_dict(self) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        """All that the next `learn()` depends on, worlds included: groups of tensors, and plain JSON."""

    def load_state_dict(self, groups: dict[str, dict[str, Any]], state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict()` was taken."""


def load_agent(name: str) -> Any:
    """The module of an agent by its name on the command line.

    Raises:
        scenes.kit.errors.CaveError: there is no such agent.
    """
    return plugins.load("agents", name, "agent")


@dataclasses.dataclass(frozen=True, eq=False)
class Policy:
    """A trained policy, rebuilt from its folder, together with the sight it was trained on."""

    network: Any
    """`nn.Module` with `predict`, in evaluation mode."""
    sight: Any
    """What of the sensors it sees (`agents.encoded`): holds the frozen encoder, if there is one."""
    card: dict[str, Any]
    """What was trained, on what, with what: agent, env, encoder, seeds, hashes, env_steps."""
    env_config: Any
    """The environment's `Config` it was trained with."""

    def act(self, observations: Any, deterministic: bool = True, rng: np.random.Generator | None = None) -> np.ndarray:
        """Actions, shape (b, ...), for a batch of observations of its sight.

        Args:
            observations: float32 (b, d), or the dict of arrays that a pixel policy sees.
            deterministic: The likeliest actions; otherwise sampled.
            rng: What sampling draws from; a fresh one, seed 0, if not given.
        """
        import torch

        if deterministic:
            return self.network.predict(observations, deterministic=True)[0]
        rng = rng or np.random.default_rng(0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**63)))
            return self.network.predict(observations, deterministic=False)[0]


def save_policy(folder: Path, network: Any, card: dict[str, Any]) -> None:
    """Write a policy as `policy.safetensors` and `card.json` with a manifest of their hashes, atomically."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    text = json.dumps({"schema": POLICY_SCHEMA, **card}, indent=2, sort_keys=True) + "\n"
    runs.write_atomic(Path(folder), {"policy.safetensors": runs.save_tensors(tensors), "card.json": text.encode()})


def load_policy(run: str | os.PathLike, device: str = "cpu") -> Policy:
    """Rebuild a policy, and the sight it was trained on, from the folder of its run (or the policy folder itself).

    Args:
        run: `runs/<name>`, or `runs/<name>/policy`.
        device: Where its encoder computes.

    Raises:
        scenes.kit.errors.CaveError: no such run, a damaged file, weights of another policy, or an encoder that has
            changed since.
    """
    import envs
    from agents import encoded

    folder = _policy_folder(Path(run))
    files = runs.read_checked(folder)
    card = _card(folder, files)
    env_config = options.from_dict(envs.module(card["env"]).Config, card["env_config"])
    spec = card["encoder"]
    if card["encoder_folder"]:
        # Relative to the run, so that a folder of runs may move as a whole.
        spec = os.path.normpath(folder.parent / card["encoder_folder"])
    sight = encoded.make(
        spec, env=card["env"], env_config=env_config, frames=card["frames"], frame_size=card["frame_size"],
        device=device, precision=card["precision"],
    )  # fmt: skip
    sight.name = card["encoder_name"]
    if encoded.digest(sight.encoder) != card["encoder_hash"]:
        raise errors.CaveError(f"{folder}: the encoder {spec} has changed since this policy was trained on it")
    module = load_agent(card["agent"])
    world = envs.make(card["env"], env_config, 1, card["split"], 0, sight.sensors, sight.image_size)
    config = options.from_dict(module.Config, card["config"])
    network = module.network(config, sight.space(world.observation_space), world.action_space)
    load_weights(network, runs.load_tensors(files["policy.safetensors"]), f"{folder}/policy.safetensors")
    network.eval().requires_grad_(False)
    return Policy(network, sight, card, env_config)


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """One step of `n` worlds while episodes are played. Arrays belong to the step and are not overwritten later."""

    world: Any
    """The `envs.World`, as it is now: after the step, before any reset."""
    episode: np.ndarray
    """int64 (n,): which episode each world plays; -1 where it has no more to play (ignore that row)."""
    sensors: dict[str, np.ndarray]
    """What the sensors said before the action."""
    memory: dict[str, Any]
    """The sight's memory, of the observations up to that one: an encoder's state, for `imagine`."""
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    success: np.ndarray
    """bool (n,): what was asked has been done."""


def play(
    player: "str | os.PathLike | Policy",
    split: str,
    n_episodes: int,
    seed: int,
    *,
    env: tuple[str, Any] | None = None,
    n_worlds: int = 64,
    deterministic: bool = False,
    sensors: Sequence[str] = (),
) -> Iterator[Step]:
    """Play exactly `n_episodes` episodes and yield every step of them, `n_worlds` at a time.

    Args:
        player: A run's folder, a `Policy`, "random" or "scripted".
        split: Split of the environment.
        n_episodes: Episode `j` is the first of the world with seed `seed + j`.
        seed: First of the episodes' seeds; also that of random and sampled actions.
        env: Name and config of the environment; a policy brings its own and may be given another config.
        n_worlds: How many run at once; does not change which episodes are played.
        deterministic: A policy's likeliest actions instead of sampled ones.
        sensors: Further sensors wanted in the steps.

    Raises:
        scenes.kit.errors.CaveError: unknown player, environment or split; a damaged run.
    """
    import envs
    from agents import encoded

    policy = None
    if not isinstance(player, str) or player not in PLAYERS:
        policy = player if isinstance(player, Policy) else load_policy(player)
    if policy is None and env is None:
        raise errors.CaveError(f"the {player} player needs to be told the environment and its config", errors.USAGE)
    if n_episodes < 1:
        raise errors.CaveError(f"{n_episodes} episodes were asked for: give at least 1", errors.USAGE)
    name, config = env or (policy.card["env"], policy.env_config)
    sight = policy.sight if policy else encoded.Blind()
    n = min(n_worlds, n_episodes)
    wanted = tuple(dict.fromkeys((*sight.sensors, *sensors)))
    world = envs.make(name, config, n, split, seed, wanted, sight.image_size)
    sight.space(world.observation_space)
    rng = seeds.generator(seed, "actions")

    # World i plays episodes i, i + n, i + 2n, ...
    episode = np.arange(n)
    world.reset(None, seed + episode)
    memory = sight.initial(n)
    while (episode >= 0).any():
        sensed = world.observe()
        observation, memory = sight.see(sensed, memory)
        if policy is not None:
            actions = policy.act(observation, deterministic, rng)
        elif player == "scripted":
            actions = world.scripted()
        else:
            actions = world.random()
        rewards, terminated, truncated = world.step(actions)
        success = world.facts()["success"]
        yield Step(world, episode, sensed, memory, actions, rewards, terminated, truncated, success)
        done = terminated | truncated
        if done.any():
            following = episode + n
            following = np.where((episode >= 0) & (following < n_episodes), following, -1)
            episode = np.where(done, following, episode)
            # A world without work left begins some episode again, since a finished one may not be stepped.
            world.reset(done, seed + np.maximum(episode, 0))
            memory = sight.reset(memory, done)


def rollout(
    player: "str | os.PathLike | Policy",
    split: str,
    n_episodes: int,
    seed: int,
    *,
    env: tuple[str, Any] | None = None,
    n_worlds: int = 64,
    deterministic: bool = False,
) -> dict[str, np.ndarray]:
    """Play exactly `n_episodes` episodes and return what became of each; arguments as for `play`.

    Returns:
        `return` float64, `length` int64, `success` bool, `seed` int64 (of its world), each of shape (n_episodes,), in
        the order of the episodes, whatever the order in which they ended.
    """
    total, length = np.zeros(n_episodes), np.zeros(n_episodes, np.int64)
    success = np.zeros(n_episodes, bool)
    steps = play(player, split, n_episodes, seed, env=env, n_worlds=n_worlds, deterministic=deterministic)
    for step in steps:
        at_work = step.episode >= 0
        which = step.episode[at_work]
        total[which] += step.rewards[at_work]
        length[which] += 1
        success[which] |= step.success[at_work]
    return {"return": total, "length": length, "success": success, "seed": seed + np.arange(n_episodes)}


def load_weights(network: Any, tensors: dict[str, Any], path: str) -> None:
    """Put tensors into a network, all of them and no others.

    Raises:
        scenes.kit.errors.CaveError: names or shapes differ; the line names the file and the first difference.
    """
    import torch

    own = network.state_dict()
    for name in sorted(own.keys() | tensors.keys()):
        given, wanted = (None if name not in tree else tuple(tree[name].shape) for tree in (tensors, own))
        if given != wanted:
            raise errors.CaveError(f"{path}: {name} has shape {given}, but this policy has {wanted}: not its weights")
    network.load_state_dict({name: torch.as_tensor(value) for name, value in tensors.items()})


def _policy_folder(run: Path) -> Path:
    if (run / "policy").is_dir():
        return run / "policy"
    if (run / "policy.safetensors").exists() or (run / "card.json").exists():
        return run
    near = (run, run.parent, Path("runs"))
    there = sorted({str(path.parent) for folder in near for path in folder.glob("*/policy")})
    if run.is_dir():
        made = runs.made_by(run)
        if made == "agents.train":
            raise errors.CaveError(f"{run} holds no trained policy yet: finish it with --resume", errors.USAGE)
        told = f"{run} holds no policy: {f'it is a run of {made}' if made else 'it is no run'}"
        such = f", such as {there[0]}" if there else ": python -m agents.train makes one"
        raise errors.CaveError(f"{told}; give an agent's{such}", errors.USAGE)
    raise errors.unknown("run", str(run), there or ["python -m agents.train makes one"])


def _card(folder: Path, files: dict[str, bytes]) -> dict[str, Any]:
    try:
        card = json.loads(files["card.json"])
        lacking = [name for name in _CARD if name not in card]
        known = card["schema"] == POLICY_SCHEMA and not lacking and "policy.safetensors" in files
    except (KeyError, TypeError, ValueError, RecursionError):
        known = False
    if not known:
        raise errors.CaveError(
            f"{folder} is no policy's folder: wanted card.json ({POLICY_SCHEMA}), policy.safetensors"
        )
    return card


_CARD = ("agent", "config", "env", "env_config", "split", "seed", "frames", "frame_size", "precision", "env_steps")
_CARD += ("encoder", "encoder_name", "encoder_hash", "encoder_folder")
