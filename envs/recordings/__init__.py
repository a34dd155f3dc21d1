"""Episodes of a trained agent, read from the folder that `python -m agents.record` wrote.

The folder is all that is known of the agent: `card.json` says who played, where and how long; arrays of whole episodes lie in
safetensors files, and a manifest of hashes covers everything (`scenes.kit.runs`). Nothing in it is run.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from jaxtyping import Int

import envs
from scenes.kit import errors, options, runs

SCHEMA = "cave.episodes/1"
_KINDS = {"image": "u", "pose": "f", "state": "f", "action": "fiu", "reward": "f", "terminated": "b", "truncated": "b"}
"""The arrays that are read, and what kinds of numbers they may hold."""


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
    """Whole episodes behind one another, in the order in which they were recorded; a row is a step.

    Attributes:
        hash: SHA-256 of the names and contents of its files.
    """

    arrays: dict[str, np.ndarray]
    offsets: Int[np.ndarray, " e_plus_1"]
    """Episode `i` owns rows `offsets[i]:offsets[i + 1]`."""
    hash: str

    def rows(self, episode: Int[np.ndarray, " b"], length: int) -> dict[str, np.ndarray]:
        """Sequences of `length` steps, from the start of an episode each; the next one follows, after the last the first."""
        row = (self.offsets[:-1][episode][:, None] + np.arange(length)) % self.offsets[-1]
        return {name: value[row] for name, value in self.arrays.items()}

    def __len__(self) -> int:
        return len(self.offsets) - 1


def read(folder: str, world: envs.World, split: str) -> Recording:
    """The episodes of a folder, which must be of such a world and split.

    Raises:
        errors.CaveError: in one line: there is no such folder; it is damaged; it is none of episodes; or it shows another
            environment, other options of it, another split, or pictures of another size.
    """
    where = Path(folder)
    if not (where / runs.MANIFEST).is_file():
        raise errors.CaveError(f"{folder} holds no episodes: give a folder that agents.record wrote", errors.USAGE)
    files = runs.read_checked(where)
    card = _card(where, files)
    given, wanted = card["env_config"], json.loads(json.dumps(options.to_dict(world.config)))
    facts = {"environment": (card["env"], world.name), "split": (card["split"], split)}
    facts |= {f"env option {name}": (given.get(name), wanted.get(name)) for name in sorted({*given, *wanted})}
    for what, (there, here) in facts.items():
        if there != here:
            raise errors.CaveError(f"{folder} was recorded with {what} {there!r}, wanted {here!r}", errors.USAGE)
    names = sorted(name for name in files if name.endswith(".safetensors"))
    parts = [_part(where / name, runs.load_tensors(files[name]), world) for name in names]
    if not parts:
        raise errors.CaveError(f"{folder} holds no episodes: it has no episodes-00000.safetensors")
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in _KINDS}
    offsets = np.cumsum([0, *np.concatenate([np.diff(part["offsets"]) for part in parts])])
    digests = [f"{name}:{hashlib.sha256(files[name]).hexdigest()}" for name in sorted(files)]
    return Recording(arrays, offsets, hashlib.sha256("/".join(digests).encode()).hexdigest())


def _card(folder: Path, files: dict[str, bytes]) -> dict[str, Any]:
    try:
        card = json.loads(files["card.json"])
        known = card["schema"] == SCHEMA and isinstance(card["env_config"], dict) and {"env", "split"} <= card.keys()
    except (KeyError, TypeError, ValueError, RecursionError):
        known = False
    if not known:
        raise errors.CaveError(f"{folder} holds no episodes: its card.json is not of {SCHEMA}", errors.USAGE)
    return card


def _part(path: Path, arrays: dict[str, np.ndarray], world: envs.World) -> dict[str, np.ndarray]:
    """The arrays of one file, of whole episodes of such worlds."""
    missing = [name for name in (*_KINDS, "offsets") if name not in arrays]
    if missing:
        raise errors.CaveError(f"{path} lacks {', '.join(missing)}: record the episodes again")
    offsets, space = arrays["offsets"], world.action_space
    if offsets.ndim != 1 or offsets.dtype.kind not in "iu" or len(offsets) < 2 or (np.diff(offsets) < 1).any():
        raise errors.CaveError(f"{path} is not of episodes: its offsets do not rise")
    n, state = int(offsets[-1]), world.observation_space["state"].shape
    shapes = {"image": (*world.size, 3), "pose": (5,), "state": state, "action": space.shape}
    for name, kinds in _KINDS.items():
        shape, found = (n, *shapes.get(name, ())), arrays[name]
        if found.shape != shape or found.dtype.kind not in kinds:
            told = f"{name} is {found.dtype} of shape {found.shape}, wanted shape {shape}"
            raise errors.CaveError(f"{path} does not fit: {told}", errors.USAGE)
    action, done = arrays["action"], arrays["terminated"] | arrays["truncated"]
    if isinstance(space, spaces.Discrete) and (
        action.dtype.kind == "f" or not ((action >= 0) & (action < space.n)).all()
    ):
        raise errors.CaveError(f"{path} does not fit: its actions are not integers below {space.n}")
    if offsets[0] != 0 or not np.array_equal(np.flatnonzero(done), offsets[1:] - 1):
        raise errors.CaveError(f"{path} is not of episodes: they do not end where its offsets say")
    return arrays
