"""Who had seen a test split before it was tested on, asked of the distributions themselves.

What an encoder and a policy saw stands in their cards: environment, its options, split. So the splits are rebuilt as they
were then, whatever options the test has.
"""

from collections.abc import Iterable
from typing import Any

import envs
from evaluation import Subject
from evaluation.studies import facts
from scenes import factors
from scenes.factors import tiers
from scenes.kit import errors, options


def fields(subject: Subject, tests: Iterable[str], trained: str = "train") -> dict[str, dict[str, Any]]:
    """What rows say of each test split: name -> their `tier` and `apart`.

    Args:
        subject: Who is tested. To an encoder that was trained in another environment every test here is new.
        tests: Names of splits.
        trained: What was trained on where there is no policy, such as a readout.

    Raises:
        CaveError: a split claims to be new and the encoder or the policy had seen some of it; or a card is damaged.
    """
    module = envs.module(subject.env)
    splits = module.splits(subject.env_config)
    encoder = _saw(subject.env, facts.read_card(facts.encoder_folder(subject.encoder))) if subject.encoder else None
    stranger = subject.encoder is not None and encoder is None
    policy = _saw(subject.env, facts.read_card(subject.policy / "policy")) if subject.policy else splits[trained]
    nuisance, dynamics = (declared(module, what) for what in ("NUISANCE", "DYNAMICS"))
    found = {}
    for name in tests:
        elsewhere = splits[name].simulator != policy.simulator
        told = tiers.tier(encoder, policy, splits[name], nuisance, dynamics, elsewhere)
        new = stranger and told.name in tiers.SEEN
        found[name] = {"tier": tiers.NEW_TO_ENCODER if new else told.name, "apart": told.factors}
    return found


def declared(module: Any, what: str) -> tuple[str, ...]:
    """The factors that an environment, or else its family of scenes, declares as `NUISANCE` or `DYNAMICS`."""
    return tuple(getattr(module, what, getattr(getattr(module, "family", None), what, ())))


def _saw(env: str, card: dict[str, Any]) -> factors.Split | None:
    """The split that a card tells of; None if it is one of another environment."""
    if card.get("env") != env:
        return None
    module = envs.module(env)
    splits = module.splits(options.from_dict(module.Config, card.get("env_config"), "env_config of a card"))
    if card.get("split") not in splits:
        raise errors.unknown("split of a card", str(card.get("split")), splits)
    return splits[card["split"]]


def split_hash(split: factors.Split) -> str:
    """Hash of a split's distributions, as twelve hexadecimal digits; how objects are made to fit is not part of it."""
    simulator = [split.simulator] if split.simulator else []
    return options.config_hash([split.name, *map(repr, (split.scene, *split.objects.support)), *simulator])
