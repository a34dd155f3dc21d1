"""What the numbers are: protocols that measure agents and encoders, and the rows they yield.

This file is the contract of the package. A module beside it is one *protocol* (`transfer`, `efficiency`, `probe`);
folders are support: `stats` (intervals), `studies` (the runs behind a figure), `page` (the report), `film` (the video).

A protocol is a module with these names:

    Config                                    frozen dataclass of options, extending `studies.study.Study`;
    `Config.tiny()` subjects(config, agent_config, env_config) -> list[Subject]
                                              whom to measure, in order; what is missing is trained first
    measure(config, subject, known)           yields a `Measurement` for each number of one subject
    sections(rows) -> list[page.Section]      what its part of the report shows
    summary(rows) -> str                      where there is one, lines that `evaluation.run` ends with

and a *subject* is whatever was trained or stands in for it (`Subject`). Tables, figures and the report are pure
functions of rows: a row carries the hashes of all that it depends on, so that it means the same next year.

Why rows and not tables: a table answers the question that was asked when it was made. Rows are one number each with
all its circumstances, one JSON object a line, so any later question is a filter.
"""

import dataclasses
import json
import math
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scenes.factors import tiers
from scenes.kit import errors, runs

FILE = "measurements.jsonl"
"""Name of the file of rows in a study's folder."""

SCHEMA = "cave.measurement/1"

_SEEN = {
    "": "",
    "in distribution": tiers.IN_DISTRIBUTION,
    "partly seen by policy": tiers.PARTLY_SEEN,
    "new to policy": tiers.NEW_TO_POLICY,
    "new to encoder too": tiers.NEW_TO_BOTH,
}
"""Words of rows written before tiers were derived, in their field `seen`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number and its circumstances: a tidy row."""

    protocol: str
    metric: str
    """What was measured, e.g. `return`, `success`, `score`."""
    value: float
    item: str = ""
    """What part of the thing measured it is about: a factor's name for probes, else empty."""
    learner: str
    """What made the codes: a learner's name, `pixels`, `state`, `untrained:<learner>`; `random` and `scripted` are
    players."""
    agent: str = ""
    """What acted, e.g. `ppo`; empty where nothing did."""
    env: str
    encoder_split: str = ""
    """What the encoder was trained on; empty where it was not trained beforehand."""
    policy_split: str = ""
    """What the policy (for probes: the readout) was trained on."""
    test_split: str
    tier: str = ""
    """What the test split is to who had seen what: one of `scenes.factors.tiers.TIERS`, derived from the distributions;
    empty for the players."""
    apart: tuple[str, ...] = ()
    """Factors that set the test split apart from what was trained on."""
    sensors: tuple[str, ...] = ()
    """What the encoder read."""
    seed: int = 0
    """Of the policy (for probes: of the readout's scenes)."""
    encoder_seed: int = 0
    env_steps: int = 0
    """Interactions the policy had learned from."""
    pretraining_frames: int = 0
    """Images the encoder had learned from before the policy began."""
    n_samples: int = 0
    """Episodes or scenes behind the value."""
    options_hash: str = ""
    """Of the protocol's own options: rows that differ in it were not measured alike."""
    scenes_hash: str = ""
    """Of the configuration of the environment and its scenes."""
    split_hash: str = ""
    """Of the test split's distribution."""
    encoder_hash: str = ""
    policy_hash: str = ""

    @property
    def key(self) -> tuple:
        """All but the value: two rows of one key are one measurement made twice."""
        return tuple(getattr(self, name) for name in _FIELDS if name != "value")

    def to_json(self) -> str:
        """One line of `measurements.jsonl`."""
        return json.dumps({"schema": SCHEMA} | dataclasses.asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> "Measurement":
        """Read what `to_json` wrote.

        Raises:
            ValueError: in one line, when it is not such a row: unknown or missing field, wrong type, number not finite.
        """
        tree = json.loads(line)
        if not isinstance(tree, dict) or tree.pop("schema", None) != SCHEMA:
            raise ValueError(f"not a measurement: wanted an object of schema {SCHEMA!r}")
        if isinstance(tree.get("seen"), str) and tree["seen"] in _SEEN:
            tree["tier"] = _SEEN[tree.pop("seen")]
            if tree["tier"] == tiers.NEW_TO_POLICY and not tree.get("encoder_split"):
                # An encoder that was not trained has seen what the policy sees, as tiers are told now.
                tree["tier"] = tiers.NEW_TO_BOTH
        if unknown := sorted(set(tree) - set(_FIELDS)):
            raise ValueError(f"not a measurement: unknown field {unknown[0]!r}")
        for name, value in tree.items():
            wanted = _FIELDS[name]
            if wanted is float and type(value) is int:
                tree[name] = float(value)
            elif wanted == tuple[str, ...]:
                if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
                    raise ValueError(f"not a measurement: {name} is not a list of words")
                tree[name] = tuple(value)
            elif type(value) is not wanted:
                raise ValueError(f"not a measurement: {name} is {value!r}, wanted {wanted.__name__}")
        if not math.isfinite(tree.get("value", math.nan)):
            raise ValueError("not a measurement: its value is missing or not finite")
        try:
            return cls(**tree)
        except TypeError as error:
            raise ValueError(f"not a measurement: {error}") from None


_FIELDS = {field.name: field.type for field in dataclasses.fields(Measurement)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """What a protocol measures: an encoder, with the policy that learned on it where there is one."""

    learner: str
    """As in `Measurement.learner`."""
    env: str
    env_config: Any
    """The environment's own `Config`, as the policy or readout meets it."""
    encoder: Path | None = None
    """Run folder of a trained encoder; None for `pixels`, `state` and `untrained:<learner>`."""
    encoder_seed: int = 0
    size: str = "small"
    """Of an untrained encoder."""
    policy: Path | None = None
    """Run folder of a policy; None where the encoder alone is measured."""
    seed: int = 0


class Protocol(typing.Protocol):
    """The shape of a module that measures; `evaluation.run` finds it by its file name."""

    Config: type

    def subjects(self, config: Any, agent_config: Any, env_config: Any) -> list[Subject]:
        """Whom to measure, players first; encoders and policies that are missing are trained here.

        Args:
            config: The protocol's options.
            agent_config: Those of the agent that learns to act.
            env_config: Those of the environment.
        """
        ...

    def measure(self, config: Any, subject: Subject, known: Iterable[Measurement]) -> Iterator[Measurement]:
        """Every number of one subject.

        Args:
            config: The protocol's options.
            subject: What to measure.
            known: Rows already measured in this study, such as those of the random and scripted players.
        """
        ...

    def sections(self, rows: list[Measurement]) -> list:
        """Its part of the report: `evaluation.page.Section`s, a pure function of the rows."""
        ...


def read(path: Path) -> list[Measurement]:
    """The rows of a file, each key once (the last counts).

    A last line without its newline is the trace of a study that was killed: it is left out. Any other damage is an
    error.

    Raises:
        CaveError: no such file, or a line that is not a row, naming file and line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise errors.CaveError(f"{path} does not exist: give a study's folder, or run evaluation.run first") from None
    except (OSError, UnicodeDecodeError) as error:
        raise errors.CaveError(f"{path} cannot be read: {error}") from None
    rows = {}
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            row = Measurement.from_json(line)
        except (ValueError, RecursionError) as error:
            raise errors.CaveError(f"{path}, line {number}: {error}") from None
        rows[row.key] = row
    return list(rows.values())


def write(path: Path, rows: Iterable[Measurement]) -> None:
    """Put rows in a file, all or nothing: whoever is killed while writing leaves the old file.

    Raises:
        CaveError: the disk is full or refuses.
    """
    runs.write_file(path, "".join(row.to_json() + "\n" for row in rows).encode())
