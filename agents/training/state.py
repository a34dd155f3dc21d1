"""What an agent of Stable-Baselines3 is between two rollouts, as arrays: its generators and its optimisers.

Its own `save` and `load` are pickles.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from scenes.kit import errors


class Generators:
    """The two global generators that Stable-Baselines3 draws from (torch: actions; numpy: minibatches), scoped.

    Within `with generators:` the global state is ours; outside, everybody else's, untouched. So a run repeats whatever
    else happens in the process, and its generators can be written to a checkpoint.

    Args:
        seed: Of both.
    """

    def __init__(self, seed: int):
        self.torch_state = torch.Generator().manual_seed(seed % 2**63).get_state()
        # NPY002 asks for Generator objects; Stable-Baselines3 draws from the legacy global one, so this is what is
        # scoped.
        words = np.random.SeedSequence(seed).generate_state(4)
        self.numpy_state = np.random.RandomState(words).get_state(legacy=False)
        self._outside: list[Any] = []

    def __enter__(self) -> None:
        self._outside.append((torch.get_rng_state(), np.random.get_state(legacy=False)))  # noqa: NPY002
        torch.set_rng_state(self.torch_state)
        np.random.set_state(self.numpy_state)  # noqa: NPY002

    def __exit__(self, *_: object) -> None:
        self.torch_state = torch.get_rng_state()
        self.numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
        outside_torch, outside_numpy = self._outside.pop()
        torch.set_rng_state(outside_torch)
        np.random.set_state(outside_numpy)  # noqa: NPY002

    def state_dict(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Both as arrays, and what of them is plain JSON."""
        state = self.numpy_state
        tensors = {"torch": self.torch_state, "numpy": state["state"]["key"].astype(np.int64)}
        plain = {
            "position": int(state["state"]["pos"]),
            "has_gauss": int(state["has_gauss"]),
            "gauss": float(state["gauss"]),
        }
        return tensors, {f"numpy_{name}": value for name, value in plain.items()}

    def load_state_dict(self, tensors: dict[str, Any], plain: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.torch_state = torch.as_tensor(tensors["torch"])
        key = np.asarray(tensors["numpy"], np.uint32)
        self.numpy_state = {
            "bit_generator": "MT19937",
            "state": {"key": key, "pos": plain["numpy_position"]},
            "has_gauss": plain["numpy_has_gauss"],
            "gauss": plain["numpy_gauss"],
        }


def slots(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """What an optimiser remembers of each parameter, by `number.name`."""
    remembered = optimiser.state_dict()["state"]
    return {f"{index}.{name}": value for index, names in remembered.items() for name, value in names.items()}


def load_slots(optimiser: torch.optim.Optimizer, given: dict[str, Any]) -> None:
    """Put back what `slots` gave."""
    state = optimiser.state_dict()
    for key, value in given.items():
        index, name = key.split(".")
        state["state"].setdefault(int(index), {})[name] = torch.as_tensor(value)
    optimiser.load_state_dict(state)


def last_seen(model: Any) -> dict[str, dict[str, Any]]:
    """The observations that a model of Stable-Baselines3 will acts on next; nothing before its first rollout."""
    last = model._last_obs
    if last is None:
        return {}
    return {
        "last": dict(last) if isinstance(last, dict) else {"vector": last},
        "last_starts": {"starts": model._last_episode_starts},
    }


def load_last_seen(model: Any, groups: dict[str, dict[str, Any]], is_dict: bool) -> None:
    """Put back what `last_seen` gave."""
    if "last" in groups:
        last = {name: np.asarray(value) for name, value in groups["last"].items()}
        model._last_obs = last if is_dict else last["vector"]
        model._last_episode_starts = np.asarray(groups["last_starts"]["starts"], bool)


def worlds(groups: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The groups of a checkpoint that are the worlds', as `EncodedVecEnv` wants them; empty ones were not written."""
    prefix = "venv."
    found = {name.removeprefix(prefix): group for name, group in groups.items() if name.startswith(prefix)}
    return {"world": {}, "memory": {}, **found}


def check(policy: torch.nn.Module, loss: float, env_steps: int) -> None:
    """Stop where a number is no longer finite.

    Raises:
        scenes.kit.errors.CaveError: the loss or a weight, which is named.
    """
    if not np.isfinite(loss):
        raise errors.CaveError(f"the loss is {loss} after {env_steps} env steps")
    for name, value in policy.named_parameters():
        if not torch.isfinite(value).all():
            raise errors.CaveError(f"{name} is not finite after {env_steps} env steps")


@contextlib.contextmanager
def checked(policy: torch.nn.Module, env_steps: int) -> Iterator[None]:
    """Within it, what torch's distributions say of weights that are not finite, by a table of them, is said as `check` does."""
    try:
        yield
    except ValueError:
        check(policy, 0.0, env_steps)
        raise
