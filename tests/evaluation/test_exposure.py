"""Who had seen what, asked of the cards and the distributions."""

import json

import pytest

import envs
from envs import rooms
from evaluation import Subject
from evaluation.studies import exposure, study
from scenes.factors import tiers
from scenes.kit import errors, options


@pytest.fixture(scope="module")
def splits():
    return rooms.splits(rooms.Config())


def subject(folder, encoder=None, policy=None, **changes):
    """Somebody whose cards say what they saw; `changes` are those of the encoder's card."""
    card = {"env": "rooms", "env_config": options.to_dict(rooms.Config())}
    for part, split in (("encoder", encoder), ("policy", policy)):
        if split:
            (folder / part).mkdir(exist_ok=True)
            own = card | {"split": split} | (changes if part == "encoder" else {})
            (folder / part / "card.json").write_text(json.dumps(own))
    where = {"encoder": folder if encoder else None, "policy": folder if policy else None}
    return Subject(learner="gqn", env="rooms", env_config=rooms.Config(), **where)


@pytest.mark.parametrize(
    ("encoder", "policy", "test", "tier", "apart"),
    [
        ("train", "train", "train", tiers.IN_DISTRIBUTION, ()),
        ("train", "train", "test", tiers.FRESH_SEEDS, ()),
        (None, "train", "test", tiers.FRESH_SEEDS, ()),
        (None, None, "test", tiers.FRESH_SEEDS, ()),
        ("train", "train", "new-colours", tiers.NEW_TO_BOTH, ("hue",)),
        ("train", "train", "recombination", tiers.RECOMBINATION, ("shape", "hue")),
        (None, "train", "new-colours", tiers.NEW_TO_BOTH, ("hue",)),
        ("new-colours", "train", "new-colours", tiers.NEW_TO_POLICY, ("hue",)),
        ("new-colours", None, "new-colours", tiers.NEW_TO_POLICY, ("hue",)),
        ("train", "recombination", "train", tiers.NEW_TO_POLICY, ("shape", "hue")),
    ],
)
def test_cards_tell_who_has_seen_what(tmp_path, encoder, policy, test, tier, apart):
    told = exposure.fields(subject(tmp_path, encoder, policy), (test,))
    assert told == {test: {"tier": tier, "apart": apart}}


def test_what_an_encoder_saw_is_told_by_the_options_it_had(tmp_path):
    """One that was trained with more objects has seen such rooms, whatever its split is called here."""
    crowded = options.to_dict(rooms.Config(n_objects=6))
    told = exposure.fields(subject(tmp_path, "train", "train", env_config=crowded), ("more-objects", "new-shapes"))
    assert told["more-objects"] == {"tier": tiers.NEW_TO_POLICY, "apart": ("n_objects",)}
    assert told["new-shapes"]["tier"] == tiers.NEW_TO_BOTH
    elsewhere = subject(tmp_path, "train", "train", env="gymnasium", env_config={})
    assert exposure.fields(elsewhere, ("more-objects",))["more-objects"]["tier"] == tiers.MORE_OBJECTS


def test_a_leak_is_refused_before_anything_is_trained(tmp_path):
    some = options.to_dict(rooms.Config(n_objects=5))
    met = subject(tmp_path, "train", env_config=some)
    with pytest.raises(
        errors.CaveError, match=r"'more-objects' leaks: .* the encoder trained on 'train'.*n_objects = 4"
    ):
        exposure.fields(met, ("test", "more-objects"))
    asked = study.Study(encoders=(str(tmp_path),), runs=tmp_path)
    with pytest.raises(errors.CaveError, match="leaks") as caught:
        study.encoders(asked, rooms.Config())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"split": "trian"}, {"env_config": 3}, {"env_config": {"colour": 1}}])
def test_a_card_that_tells_nothing_is_refused_in_one_line(tmp_path, change):
    with pytest.raises(errors.CaveError) as caught:
        exposure.fields(subject(tmp_path, "train", "train", **change), ("test",))
    assert "\n" not in str(caught.value)


def test_hashes_of_splits_tell_them_apart_and_repeat(splits):
    hashes = {name: exposure.split_hash(split) for name, split in splits.items()}
    assert len(set(hashes.values())) == len(splits)
    assert {name: exposure.split_hash(split) for name, split in splits.items()} == hashes
    other = envs.module("rooms").splits(rooms.Config(n_objects=2))
    assert exposure.split_hash(other["train"]) != hashes["train"]


def test_another_simulator_is_a_tier_of_its_own(tmp_path):
    pytest.importorskip("pybullet")
    reach = envs.module("reach")
    ours, theirs = (reach.Config(simulator=name) for name in ("mujoco", "pybullet"))
    (tmp_path / "policy").mkdir()
    card = {"env": "reach", "env_config": options.to_dict(ours), "split": "train"}
    (tmp_path / "policy" / "card.json").write_text(json.dumps(card))
    for config, home, away in ((ours, "test", "other-simulator"), (theirs, "other-simulator", "test")):
        tested = Subject(learner="gqn", env="reach", env_config=config, policy=tmp_path)
        told = exposure.fields(tested, (home, away, "new-masses"))
        assert told[home] == {"tier": tiers.FRESH_SEEDS, "apart": ()}
        assert told[away] == {"tier": tiers.OTHER_SIMULATOR, "apart": ()}
        tier = tiers.DYNAMICS if config is ours else tiers.OTHER_SIMULATOR
        assert told["new-masses"] == {"tier": tier, "apart": ("mass",)}
    assert exposure.split_hash(reach.splits(ours)["train"]) != exposure.split_hash(reach.splits(theirs)["train"])
