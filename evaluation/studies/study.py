"""The options that every study shares, and the subjects that they stand for."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import agents
import envs
from evaluation import Subject
from evaluation.studies import exposure, facts, grid, launcher
from scenes.kit import errors, options


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """Which encoders are compared, where, and over how many seeds; a protocol's `Config` adds its own options."""

    env: str = "rooms"
    """Environment to act in, and whose scenes encoders watch."""
    encoders: tuple[str, ...] = ("gqn", "beta_vae", "untrained:gqn", "pixels", "state")
    """What is compared: learners (trained where missing), runs of learners, pixels, state, untrained:<learner>."""
    seeds: int = 5
    """Policies (for probes: readouts) on each encoder, with seeds from 0."""
    encoder_seeds: int = 1
    """Encoders of each learner named, with seeds from 0; policies are trained on every one."""
    size: Literal["auto", "tiny", "small", "paper"] = "auto"
    """Of learners that are trained."""
    learner_steps: int = 0
    """Optimiser steps of learners that are trained; 0 leaves each its own number."""
    held_out: int = 1000
    """Held-out scenes that learners are looked at with when their training ends."""
    agent: str = "ppo"
    """What learns to act."""
    env_steps: int = 200_000
    """Interactions of each policy; every encoder gets the same."""
    n_worlds: int = 128
    """Worlds that a policy learns in side by side."""
    threads: int = 2
    """CPU threads of torch in each policy's training; another number gives other bits."""
    runs: Path = Path("runs")
    """Folder that holds the runs."""
    name: str = ""
    """Of the study's folder in it; by default protocol-env."""
    jobs: int = 1
    """Training runs at once, as local processes; times `threads` best not more than there are cores."""


def own_options(config: Study) -> dict[str, Any]:
    """What a protocol's `Config` adds to `Study`: the options that a measurement depends on beside its subject."""
    shared = {field.name for field in dataclasses.fields(Study)}
    return {name: value for name, value in options.to_dict(config).items() if name not in shared}


def options_hash(config: Study) -> str:
    """Hash of a protocol's own options."""
    return options.config_hash(own_options(config))


def players(config: Study, env_config: Any) -> list[Subject]:
    """The random and, where there is one, the scripted player: they set the scale."""
    known = envs.module(config.env).World.PLAYERS
    return [Subject(learner=name, env=config.env, env_config=env_config) for name in agents.PLAYERS if name in known]


def encoders(config: Study, env_config: Any) -> list[Subject]:
    """The encoders of a study, those that are missing trained first.

    Raises:
        CaveError: a name that is none, before anything is trained; or what a training run says.
    """
    _check(config, env_config)
    pieces = {
        (name, seed): grid.encoder_piece(name, config, env_config, seed)
        for name in config.encoders
        for seed in range(config.encoder_seeds)
        if grid.is_learner(name, config.runs)
    }
    launcher.ensure(list(pieces.values()), config.jobs)
    subjects = []
    for name in config.encoders:
        size = grid.size_of_untrained(config.size)
        plain = Subject(learner=name, env=config.env, env_config=env_config, size=size)
        trained = [(seed, piece.folder) for (other, seed), piece in pieces.items() if other == name]
        if not trained and (folder := grid.run_folder(name, config.runs)):
            card = facts.read_card(facts.encoder_folder(folder))
            subjects.append(dataclasses.replace(plain, learner=folder.name, encoder=folder, encoder_seed=card["seed"]))
        elif trained:
            subjects += [dataclasses.replace(plain, encoder=f, encoder_seed=seed) for seed, f in trained]
        else:
            subjects.append(plain)
    return subjects


def _check(config: Study, env_config: Any) -> None:
    """Refuse what cannot be before hours are spent on it."""
    grid.check(list(config.encoders), config.runs)
    for name in ("seeds", "encoder_seeds", "jobs", "threads"):
        if getattr(config, name) < 1:
            raise errors.CaveError(f"--{name.replace('_', '-')} is {getattr(config, name)}: at least 1", errors.USAGE)
    known = envs.module(config.env).splits(env_config)
    for name in getattr(config, "splits", ()):
        if name not in known:
            raise errors.unknown("split", name, known)
    for name in config.encoders:
        # Learners that are trained for the study see `train`, which the splits are proved to lie apart from.
        if not grid.is_learner(name, config.runs) and (folder := grid.run_folder(name, config.runs)):
            met = Subject(learner=name, env=config.env, env_config=env_config, encoder=folder)
            exposure.fields(met, getattr(config, "splits", ()) or known)


def with_seeds(subjects: list[Subject], n: int) -> Iterator[Subject]:
    """Each subject with seeds 0 to n - 1; an untrained encoder is another one for each."""
    for subject in subjects:
        for seed in range(n):
            own = seed if subject.learner.startswith("untrained:") else subject.encoder_seed
            yield dataclasses.replace(subject, seed=seed, encoder_seed=own)


def policies(config: Study, agent_config: Any, env_config: Any) -> list[Subject]:
    """A policy of every seed on every encoder, those that are missing trained first."""
    subjects = list(with_seeds(encoders(config, env_config), config.seeds))
    pieces = [grid.policy_piece(subject, config, agent_config) for subject in subjects]
    folders = launcher.ensure(pieces, config.jobs)
    return [dataclasses.replace(subject, policy=folder) for subject, folder in zip(subjects, folders)]
