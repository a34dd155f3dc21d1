"""Who had seen what, asked of the distributions; and studies from end to end, tiny."""

import pytest

import envs
import evaluation
from evaluation.studies import exposure
from scenes import factors


@pytest.fixture(scope="module")
def splits():
    rooms = envs.module("rooms")
    return rooms.splits(rooms.Config())


@pytest.mark.parametrize(
    ("encoder", "policy", "test", "seen"),
    [
        ("train", "train", "train", evaluation.IN_DISTRIBUTION),
        ("train", "train", "test", evaluation.IN_DISTRIBUTION),
        ("", "train", "test", evaluation.IN_DISTRIBUTION),
        ("train", "train", "new-colours", evaluation.NEW_TO_BOTH),
        ("train", "train", "recombination", evaluation.NEW_TO_BOTH),
        ("new-colours", "train", "new-colours", evaluation.NEW_TO_POLICY),
        ("", "train", "new-colours", evaluation.NEW_TO_POLICY),
        ("train", "new-layout", "more-objects", evaluation.NEW_TO_BOTH),
        ("train", "recombination", "train", evaluation.NEW_TO_POLICY),
    ],
)
def test_who_has_seen_what(splits, encoder, policy, test, seen):
    assert exposure.seen(splits, encoder, policy, test) == seen


def test_an_overlap_is_neither_seen_nor_new():
    def split(name, lo, hi):
        hues = factors.box(hue=factors.Interval(lo, hi))
        return factors.Split(name, factors.box(wall=factors.Finite((0,))), factors.Repeat(factors.Finite((1,)), hues))

    some = {"train": split("train", 0, 0.6), "late": split("late", 0.4, 1), "apart": split("apart", 0.6, 1)}
    assert exposure.seen(some, "train", "train", "late") == evaluation.PARTLY_SEEN
    assert exposure.seen(some, "train", "train", "apart") == evaluation.NEW_TO_BOTH
    assert exposure.seen(some, "apart", "train", "apart") == evaluation.NEW_TO_POLICY


def test_hashes_of_splits_tell_them_apart_and_repeat(splits):
    hashes = {name: exposure.split_hash(split) for name, split in splits.items()}
    assert len(set(hashes.values())) == len(splits)
    rooms = envs.module("rooms")
    assert {name: exposure.split_hash(split) for name, split in splits.items()} == hashes
    other = rooms.splits(rooms.Config(n_objects=2))
    assert exposure.split_hash(other["train"]) != hashes["train"]
