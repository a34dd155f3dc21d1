"""Who had seen a test split before it was tested on, asked of the distributions themselves."""

from collections.abc import Mapping

import evaluation
from scenes import factors
from scenes.kit import options


def seen(splits: Mapping[str, factors.Split], encoder_split: str, policy_split: str, test_split: str) -> str:
    """Who had seen a test split, asked of the distributions themselves.

    Args:
        splits: Of the environment.
        encoder_split: What the encoder was trained on beforehand; empty where it was not: only the policy counts then.
        policy_split: What the policy was trained on.
        test_split: What is asked about.
    """
    if _within(splits, test_split, policy_split):
        return evaluation.IN_DISTRIBUTION
    if factors.overlap(splits[policy_split], splits[test_split]) is not None:
        return evaluation.PARTLY_SEEN
    if encoder_split and not _within(splits, test_split, encoder_split):
        return evaluation.NEW_TO_BOTH
    return evaluation.NEW_TO_POLICY


def _within(splits: Mapping[str, factors.Split], test: str, trained: str) -> bool:
    return test == trained or splits[test].in_distribution_of == trained


def split_hash(split: factors.Split) -> str:
    """Hash of a split's distributions, as twelve hexadecimal digits; how objects are made to fit is not part of it."""
    objects = split.objects
    return options.config_hash([split.name, *map(repr, (split.scene, objects.count, objects.each, objects.some))])
