"""Linear probes: how much of each true factor can be read off a code by a straight line.

Scenes are met as an agent meets them: a world is entered, a few random actions are taken so that encoders with a memory
(and `pixels`, which gets as many frames) have looked around, and the last observation is encoded. What is probed is
what a policy is given, but for the goal, which would give the target's colour away: the code, and the pose where the
encoder reads it. `pixels` are pooled by whole factors to 16 x 16 or less (36 x 36 to 12 x 12); what is wider than `components`
is reduced to its principal components.

Factors of the scene are probed as they are. Factors of objects are those of one object: the one that the pixel
nearest to the picture's centre belongs to, among the objects seen; scenes where none is seen are left out there.
Beside its true factors stand its `distance` and `bearing` from where the eye is.

Readouts: ridge regression for numbers, logistic regression for classes; features standardised; the penalty chosen on
validation scenes; angles and hues as sine and cosine. They are fitted on `train` scenes and tested on fresh scenes of
every split. The score is R2 for numbers and (accuracy - chance) / (1 - chance) for classes, chance being the accuracy
of always naming the commonest class of the test scenes: 0 knows nothing, 1 everything, below 0 is worse than a
constant. Classes that a readout never saw are left out of its test; a factor that does not vary there is not reported.

    python -m evaluation.run probe --env rooms --encoders gqn beta_vae untrained:gqn pixels state --seeds 5
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

import envs
from evaluation import Measurement, Subject, page
from evaluation.page import cells, probes
from evaluation.readouts import glimpses, linear
from evaluation.studies import exposure, facts, study
from scenes.kit import seeds

NAME = "probe"
TRAIN = "train"
"""The split that readouts are fitted on."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.Study):
    """Options of the study and of the protocol; those of agents mean nothing here."""

    scenes: int = 2000
    """Scenes that readouts are fitted on; a quarter as many more choose the penalty."""
    test_scenes: int = 500
    """Fresh scenes of each split that they are tested on."""
    splits: tuple[str, ...] = ()
    """Which splits; none named: all of the environment's."""
    steps: int = 8
    """Random actions taken before the observation that is probed."""
    components: int = 256
    """Wider observations are reduced to this many principal components, of the scenes fitted on."""

    @classmethod
    def tiny(cls) -> "Config":
        """For tests."""
        return cls(seeds=1, size="tiny", learner_steps=2, held_out=8, scenes=48, test_scenes=24, steps=2, components=16)


def subjects(config: Config, agent_config: Any, env_config: Any) -> list[Subject]:
    """Every encoder with readouts of every seed."""
    return list(study.with_seeds(study.encoders(config, env_config), config.seeds))


def measure(config: Config, subject: Subject, known: Iterable[Measurement]) -> Iterator[Measurement]:
    """The score of every factor on every split, from one encoder, with scenes drawn by the subject's seed."""
    splits = envs.module(subject.env).splits(subject.env_config)
    names = config.splits or tuple(splits)
    exposed = exposure.fields(subject, names, TRAIN)
    sight = facts.sight(subject)
    common = facts.of(subject, sight) | {"policy_split": TRAIN, "options_hash": study.options_hash(config)}

    def look(split: str, purpose: str, n: int) -> tuple[np.ndarray, dict[str, glimpses.Factor]]:
        seed = seeds.derive(subject.seed, "evaluation", NAME, purpose) >> 1
        return glimpses.glimpse(sight, subject.env, subject.env_config, split, seed, n, config.steps)

    (raw, fitted), (raw_choice, chosen) = look(TRAIN, "fit", config.scenes), look(TRAIN, "choose", config.scenes // 4)
    features = linear.Features.fit(raw, config.components)
    inputs = features(raw), features(raw_choice)
    readouts = {item: linear.readout(inputs, (fitted[item], chosen[item])) for item in fitted}
    for name in names:
        raw_test, truth = look(name, "test", config.test_scenes)
        x = features(raw_test)
        about: dict[str, Any] = {"test_split": name, "split_hash": exposure.split_hash(splits[name])}
        about |= exposed[name]
        for item, score in readouts.items():
            tested = score and score(x, truth[item])
            for metric, value in zip(("score", "accuracy", "chance"), tested or ()):
                n = int(truth[item].known.sum())
                yield Measurement(protocol=NAME, metric=metric, value=value, item=item, n_samples=n, **common | about)


def sections(rows: list[Measurement]) -> list[page.Section]:
    """For each split a table of factors by encoders, and their means over factors."""
    rows = cells.pick(rows, protocol=NAME)
    sections = []
    for (env, *_), part in cells.groups(rows, "env", "scenes_hash", "options_hash").items():
        sections.append(page.Section(f"Linear probes on {env}", probes.body(part)))
    return sections
