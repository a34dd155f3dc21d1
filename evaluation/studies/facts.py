"""What is known of a subject before it is measured: the circumstances that its rows carry."""

import hashlib
import json
from pathlib import Path
from typing import Any

import envs
import scenes
from agents import encoded
from evaluation import Subject
from learners.training import loop as learning
from scenes.kit import errors, options, seeds

KEEP = 12
"""Hexadecimal digits of a hash that rows keep."""


def of(subject: Subject, sight: Any = None) -> dict[str, Any]:
    """The fields of `Measurement` that a subject settles, all but those of the test and the value.

    Args:
        subject: What is measured.
        sight: What its encoder and sensors are asked of, where there is no policy (`sight(subject)`).

    Raises:
        CaveError: its policy or encoder was trained for another environment, or its card is damaged.
    """
    facts: dict[str, Any] = {"agent": "", "encoder_split": "", "policy_split": "", "pretraining_frames": 0}
    facts |= {"env_steps": 0, "encoder_hash": "", "policy_hash": "", "sensors": ()}
    facts |= {
        "learner": subject.learner,
        "env": subject.env,
        "seed": subject.seed,
        "encoder_seed": subject.encoder_seed,
        "scenes_hash": scenes_hash(subject.env, subject.env_config),
    }
    if subject.encoder:
        card = read_card(encoder_folder(subject.encoder))
        facts |= {"encoder_split": card["split"], "pretraining_frames": int(card["frames"])}
    if subject.policy:
        card = read_card(subject.policy / "policy")
        if card["env"] != subject.env:
            raise errors.CaveError(f"{subject.policy} learned to act in {card['env']}, not in {subject.env}")
        facts |= {"agent": card["agent"], "policy_split": card["split"], "env_steps": int(card["env_steps"])}
        facts["policy_hash"] = _file_hash(subject.policy / "policy" / "policy.safetensors")
        facts |= {"encoder_hash": card["encoder_hash"][:KEEP], "sensors": without_goal(tuple(card["sensors"]))}
    elif sight is not None:
        facts |= {"encoder_hash": encoded.digest(sight.encoder)[:KEEP], "sensors": without_goal(sight.sensors)}
    return facts


def sight(subject: Subject) -> Any:
    """What a subject sees with, as `agents.encoded` makes it; an untrained encoder's weights come from its seed."""
    return encoded.make(
        str(subject.encoder or subject.learner),
        env=subject.env,
        env_config=subject.env_config,
        seed=seeds.derive(subject.seed, "untrained"),
        size=subject.size,
        precision=learning.resolve_precision("auto", "cpu"),
    )


def scenes_of(world: Any) -> scenes.Scenes:
    """The scenes that worlds are in now, as the renderer shows them: where bodies move, the world tells them; else they are
    built anew from their factors.

    Raises:
        CaveError: the environment's scenes are of no family.
    """
    if hasattr(world, "scenes"):
        return world.scenes()
    module = envs.module(world.name)
    if not hasattr(module, "family"):
        raise errors.CaveError(
            f"{world.name} has no family of scenes whose factors could be told: choose another --env"
        )
    return module.family.build(world.config.scenery, world.factors())


def without_goal(sensors: tuple[str, ...]) -> tuple[str, ...]:
    """Sensors that describe the world; the goal goes past every encoder."""
    return tuple(name for name in sensors if name != "goal")


def scenes_hash(env: str, env_config: Any) -> str:
    """Hash of an environment's name and all its options."""
    return options.config_hash([env, options.to_dict(env_config)])


def read_card(folder: Path) -> dict[str, Any]:
    """The card of an encoder's or a policy's folder.

    Raises:
        CaveError: there is none, or it is not JSON.
    """
    path = folder / "card.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise errors.CaveError(f"{path} does not exist: the run is not finished") from None
    except (ValueError, RecursionError, OSError) as error:
        raise errors.CaveError(f"{path} cannot be read: {error}") from None
    if not isinstance(card, dict):
        raise errors.CaveError(f"{path} is not a card")
    return card


def encoder_folder(run: Path) -> Path:
    """Where a run keeps its encoder: in it, or being it."""
    return run / "encoder" if (run / "encoder").is_dir() else run


def weights_hash(run: Path) -> str:
    """Hash of the file of an encoder's weights."""
    return _file_hash(encoder_folder(run) / "encoder.safetensors")


def _file_hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:KEEP]
    except OSError as error:
        raise errors.CaveError(f"{path} cannot be read: {error.strerror}") from None
