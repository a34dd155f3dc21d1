"""Episodes of a trained agent as a folder of arrays, for learners to watch."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import agents
from scenes.kit import errors, runs

SCHEMA = "cave.episodes/1"
SENSORS = ("image", "pose", "goal", "state")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a recording."""

    split: str = "train"
    """Split of the environment to play in."""
    n_episodes: int = 100
    """How many."""
    seed: int = 0
    """Episode `j` is the first of the world with seed `seed + j`."""
    n_worlds: int = 64
    """Worlds that run side by side; an episode waits in memory until the file that it belongs to is full."""
    per_file: int = 64
    """Episodes a file."""
    deterministic: bool = False
    """Take the likeliest actions instead of sampled ones."""
    out: Path = Path("recording")
    """Folder to write; it must not exist yet."""


def record(run: str, chosen: Options) -> Path:
    """Play and write; returns the folder, which appears whole or not at all.

    Raises:
        scenes.kit.errors.CaveError: no such run or split, or the folder exists already.
    """
    if chosen.out.exists():
        raise errors.CaveError(f"{chosen.out} exists already: give another --out, nothing is overwritten", errors.USAGE)
    policy = agents.load_policy(run)
    files, lengths = {}, []
    for number, batch in enumerate(_batches(policy, chosen)):
        offsets = np.cumsum([0, *(len(episode["reward"]) for episode in batch)])
        lengths += np.diff(offsets).tolist()
        rows = {name: np.concatenate([episode[name] for episode in batch]) for name in batch[0]}
        files[f"episodes-{number:05d}.safetensors"] = runs.save_tensors({**rows, "offsets": offsets.astype(np.int64)})
    keep = ("agent", "encoder", "env", "env_config", "encoder_hash", "env_steps")
    card = {"schema": SCHEMA, "run": str(run), "split": chosen.split, "seed": chosen.seed, "lengths": lengths}
    card |= {"deterministic": chosen.deterministic, **{name: policy.card[name] for name in keep}}
    files["card.json"] = (json.dumps(card, indent=2, sort_keys=True) + "\n").encode()
    runs.write_atomic(chosen.out, files)
    print(f"{len(lengths)} episodes of {np.mean(lengths):.1f} steps in {chosen.out}", flush=True)
    return chosen.out


def _batches(policy: agents.Policy, chosen: Options) -> Iterator[list[dict[str, np.ndarray]]]:
    """Whole episodes in their order, `per_file` at a time."""
    rows: dict[int, list[dict[str, Any]]] = {}
    done: dict[int, dict[str, np.ndarray]] = {}
    batch: list[dict[str, np.ndarray]] = []
    steps = agents.play(
        policy, chosen.split, chosen.n_episodes, chosen.seed,
        n_worlds=chosen.n_worlds, deterministic=chosen.deterministic, sensors=SENSORS,
    )  # fmt: skip
    following = 0
    for step in steps:
        for i in np.flatnonzero(step.episode >= 0):
            row = {name: step.sensors[name][i] for name in SENSORS}
            row |= {"action": step.actions[i], "reward": step.rewards[i]}
            row |= {"terminated": step.terminated[i], "truncated": step.truncated[i]}
            rows.setdefault(int(step.episode[i]), []).append(row)
            if step.terminated[i] or step.truncated[i]:
                steps_of = rows.pop(int(step.episode[i]))
                done[int(step.episode[i])] = {name: np.stack([row[name] for row in steps_of]) for name in steps_of[0]}
        while following in done:
            batch.append(done.pop(following))
            following += 1
            if len(batch) == chosen.per_file or following == chosen.n_episodes:
                yield batch
                batch = []
