"""Every encoder by every seed: the training runs that a comparison needs, as a list.

A run is known by the hash of all that decides its result (choice, options, seeds, the encoder's weights), which is
part of its folder's name. So the same study finds its runs again, a changed one makes new ones, and two studies share
what they can.
"""

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import learners
from agents.training import loop as acting
from evaluation import Subject
from evaluation.studies import facts
from learners.training import loop as learning
from scenes.kit import errors, options, plugins

if TYPE_CHECKING:
    from evaluation.studies.study import Study

BARE = ("pixels", "state")
"""What an agent may see without any encoder."""


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """One training run that a study needs."""

    loop: ModuleType
    """`learners.training.loop` or `agents.training.loop`: its `train(choice, run, config, env_config)` makes the
    folder."""
    choice: str
    run: Any
    """The loop's `Run`."""
    config: Any
    env_config: Any
    product: str
    """`encoder` or `policy`: the folder within the run's that says it is done."""

    @property
    def folder(self) -> Path:
        """Of the run."""
        return self.run.runs / self.run.name

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do."""
        return (self.folder / self.product / "card.json").is_file()


def named(piece: Piece, label: str, *further: str) -> Piece:
    """The same piece in a folder named after `label`, seed and the hash of all that decides its result."""
    plain = {k: v for k, v in options.to_dict(piece.run).items() if k not in ("runs", "name", "resume", "encoder")}
    whole = [piece.choice, plain, options.to_dict(piece.config), options.to_dict(piece.env_config), *further]
    name = f"{label}-{piece.run.env}-{piece.run.seed}-{options.config_hash(whole)[:8]}"
    return dataclasses.replace(piece, run=dataclasses.replace(piece.run, name=name.replace(":", "-")))


def check(encoders: list[str], runs: Path) -> None:
    """Refuse, before anything is trained, what is neither a learner, a run, `pixels`, `state` nor
    `untrained:<learner>`."""
    known = plugins.names("learners")
    for name in encoders:
        kind, colon, learner = name.partition(":")
        if colon and kind == "untrained" and learner not in known:
            raise errors.unknown("learner", learner, known)
        if not colon and name not in (*known, *BARE) and run_folder(name, runs) is None:
            there = [str(card.parent.parent) for card in runs.glob("*/encoder/card.json")]
            raise errors.unknown("encoder", name, [*known, *BARE, *(f"untrained:{k}" for k in known), *there])
        if colon and kind != "untrained":
            raise errors.unknown("encoder", name, [*known, *BARE, *(f"untrained:{k}" for k in known)])
    if len(set(encoders)) < len(encoders):
        raise errors.CaveError(f"--encoders names one twice: {' '.join(encoders)}", errors.USAGE)


def run_folder(name: str, runs: Path) -> Path | None:
    """The run of that path, of that name within `runs`, or the encoder that is shipped under it, if there is one."""
    places = (Path(name), runs / name, learners.SHIPPED / name)
    return next((p for p in places if (p / "encoder").is_dir() or (p / "card.json").is_file()), None)


def size_of_untrained(size: str) -> str:
    """The size of untrained encoders that goes with `--size`: that of the trained ones."""
    if size != "auto":
        return size
    return "paper" if learning.resolve_device("auto") == "cuda" else "small"


def is_learner(name: str, runs: Path) -> bool:
    """Whether a name means a learner, to be trained where missing, and not a run or what needs no encoder."""
    return name in plugins.names("learners") and run_folder(name, runs) is None


def encoder_piece(learner: str, study: "Study", env_config: Any, seed: int) -> Piece:
    """The run that trains a learner on the environment's `train` split."""
    run = learning.Run(env=study.env, seed=seed, size=study.size, steps=study.learner_steps, runs=study.runs)
    run = dataclasses.replace(run, n_held_out=study.held_out)
    config = learning.sized(learners.learner(learner).Config, study.size, run.device)
    return named(Piece(learning, learner, run, config, env_config, "encoder"), learner)


def policy_piece(subject: Subject, study: "Study", agent_config: Any) -> Piece:
    """The run that trains an agent on what a subject's encoder makes of the environment's `train` split."""
    run = acting.Run(
        env=study.env,
        encoder=str(subject.encoder or subject.learner),
        env_steps=study.env_steps,
        seed=subject.seed,
        size=subject.size,
        n_worlds=study.n_worlds,
        threads=study.threads,
        runs=study.runs,
    )
    sees = facts.weights_hash(subject.encoder) if subject.encoder else subject.learner
    piece = Piece(acting, study.agent, run, agent_config, subject.env_config, "policy")
    return named(piece, f"{study.agent}-{subject.learner}", sees)
