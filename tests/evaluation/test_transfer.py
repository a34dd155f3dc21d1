"""Who had seen what, asked of the distributions; and studies from end to end, tiny."""

import pytest

import envs
import evaluation
from evaluation import transfer


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
        ("train", "recombination", "train", evaluation.PARTLY_SEEN),
    ],
)
def test_who_has_seen_what(splits, encoder, policy, test, seen):
    assert transfer.seen(splits, encoder, policy, test) == seen


def test_hashes_of_splits_tell_them_apart_and_repeat(splits):
    hashes = {name: transfer.split_hash(split) for name, split in splits.items()}
    assert len(set(hashes.values())) == len(splits)
    rooms = envs.module("rooms")
    again = rooms.splits(rooms.Config(step_cost=0.5))  # no matter of the splits
    assert {name: transfer.split_hash(split) for name, split in again.items()} == hashes
    other = rooms.splits(rooms.Config(n_objects=2))
    assert transfer.split_hash(other["train"]) != hashes["train"]
