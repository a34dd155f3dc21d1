"""Tiers against every scene of a small world, and against samples of the rooms."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scenes import rooms
from scenes.factors import Finite, Interval, Repeat, Split, box, nuisance, overlap, tiers
from scenes.kit import errors

KINDS, TONES, WALLS = range(2), range(2), range(2)
THINGS = list(itertools.product(KINDS, TONES))
NEITHER = (tiers.NUISANCE, tiers.DYNAMICS, tiers.MORE_OBJECTS, tiers.RECOMBINATION, tiers.NEW_TO_BOTH)


def things(chosen):
    whole = box(kind=Finite(()), tone=Finite(()))
    for kind, tone in chosen:
        whole = whole | box(kind=Finite((kind,)), tone=Finite((tone,)))
    return whole


CHOICES = st.sets(st.sampled_from(THINGS), min_size=1).map(things)


@st.composite
def small_splits(draw, name):
    each, some = draw(CHOICES), draw(st.none() | CHOICES)
    count = draw(st.sets(st.integers(0 if some is None else 1, 2), min_size=1))
    wall = draw(st.sets(st.sampled_from(WALLS), min_size=1))
    split = Split(name, box(wall=Finite(wall)), Repeat(Finite(count), each, some and some & each))
    assume(not split.is_empty())
    return split


def world():
    rows = [(w, n, *g) for w in WALLS for n in range(3) for g in itertools.product(THINGS, repeat=n)]
    kinds = [[g[0] for g in row[2:]] + [0] * (4 - len(row)) for row in rows]
    tones = [[g[1] for g in row[2:]] + [0] * (4 - len(row)) for row in rows]
    columns = {"wall": [r[0] for r in rows], "n_objects": [r[1] for r in rows], "kind": kinds, "tone": tones}
    return {name: np.array(column) for name, column in columns.items()}


WORLD = world()


def scenes_of(split):
    return split.contains(WORLD)


def values_of(split):
    """What is ever seen of each factor, scene by scene."""
    inside = scenes_of(split)
    real = np.arange(2) < WORLD["n_objects"][inside, None]
    seen = {name: set(WORLD[name][inside].tolist()) for name in ("wall", "n_objects")}
    return seen | {name: set(WORLD[name][inside][real].tolist()) for name in ("kind", "tone")}


@given(small_splits("a"), small_splits("b"), small_splits("test"), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_tiers_are_what_every_scene_of_a_small_world_says(encoder, policy, test, bare, fresh):
    if fresh:
        test = dataclasses.replace(test, in_distribution_of="a")
    seen = [policy] if bare else [policy, encoder]
    there = scenes_of(test)
    all_in = [not (there & ~scenes_of(one)).any() for one in seen]
    none_in = [not (there & scenes_of(one)).any() for one in seen]
    derive = lambda **more: tiers.tier(None if bare else encoder, policy, test, **more)
    if not all(a or b for a, b in zip(all_in, none_in)):
        if fresh:
            assert derive().name == tiers.PARTLY_SEEN
        else:
            with pytest.raises(errors.CaveError, match=r"leaks: .* the (policy|encoder) trained on '[ab]'") as caught:
                derive()
            assert "\n" not in str(caught.value)
        return
    told = derive()
    by_policy, by_encoder = all_in[0], all_in[-1]
    if by_policy and by_encoder:
        assert told == tiers.Tier(tiers.FRESH_SEEDS)
    elif by_encoder:
        assert told.name == tiers.NEW_TO_POLICY
    elif by_policy:
        assert told.name == tiers.NEW_TO_ENCODER
    else:
        assert told.name in NEITHER
        new = [{f for f in WORLD if values_of(test)[f] - values_of(one)[f]} for one in seen]
        assert (told.name == tiers.RECOMBINATION) == (not any(new))
        for one, factors in zip(seen, new):
            assert set(tiers.novelty(test, one)) == factors and factors <= set(told.factors)
        known = [without_wall(one) for one in seen]
        assert (derive(nuisance=("wall",)).name == tiers.NUISANCE) == all(without_wall(test) <= k for k in known)
    assert bool(told.factors) == (told.name != tiers.FRESH_SEEDS)
    assert derive(other_simulator=True) == tiers.Tier(tiers.OTHER_SIMULATOR, told.factors)


def without_wall(split):
    """Its scenes, but for the factor `wall`."""
    return {tuple(str(WORLD[f][i]) for f in WORLD if f != "wall") for i in np.flatnonzero(scenes_of(split))}


def toy(name, hue=(0.0, 0.5), mass=(1.0, 2.0), wall=(0,), count=(1, 2), **more):
    each = box(hue=Interval(*hue), mass=Interval(*mass))
    return Split(name, box(wall=Finite(wall)), Repeat(Finite(count), each), **more)


@pytest.mark.parametrize(
    ("test", "name", "factors"),
    [
        (toy("train"), tiers.IN_DISTRIBUTION, ()),
        (toy("same"), tiers.FRESH_SEEDS, ()),
        (toy("papered", wall=(1, 2)), tiers.NUISANCE, ("wall",)),
        (toy("heavy", mass=(3.0, 4.0)), tiers.DYNAMICS, ("mass",)),
        (toy("crowd", count=(3, 5)), tiers.MORE_OBJECTS, ("n_objects",)),
        (toy("empty", count=(0,)), tiers.NEW_TO_BOTH, ("n_objects",)),
        (toy("red", hue=(0.5, 0.75)), tiers.NEW_TO_BOTH, ("hue",)),
        (toy("red-papered", hue=(0.5, 0.75), wall=(1,)), tiers.NEW_TO_BOTH, ("wall", "hue")),
        (toy("red-crowd", hue=(0.5, 0.75), count=(3,)), tiers.NEW_TO_BOTH, ("n_objects", "hue")),
    ],
)
def test_the_factor_that_differs_names_the_tier(test, name, factors):
    declared = {"nuisance": ("wall",), "dynamics": ("mass", "friction")}
    assert tiers.tier(toy("train"), toy("train"), test, **declared) == tiers.Tier(name, factors)
    assert tiers.tier(None, toy("train"), test, **declared) == tiers.Tier(name, factors)
    if name in NEITHER:
        told = tiers.tier(dataclasses.replace(test, name="wide"), toy("train"), test, **declared)
        assert told == tiers.Tier(tiers.NEW_TO_POLICY, factors)


def test_a_leak_names_who_the_factor_and_a_witness():
    late = toy("late", hue=(0.4, 1.0), novel=("hue",))
    for encoder, policy, who in ((None, toy("train"), "policy"), (toy("train"), toy("far", hue=(2, 3)), "encoder")):
        with pytest.raises(
            errors.CaveError, match=rf"'late' leaks: .* the {who} trained on 'train'.* hue = \[0.45"
        ) as e:
            tiers.tier(encoder, policy, late)
        assert "\n" not in str(e.value) and e.value.code == errors.USAGE
    witness = {name: np.array([value]) for name, value in overlap(late, toy("train")).items()}
    assert late.contains(witness).all() and toy("train").contains(witness).all()
    # What claims nothing cannot leak.
    assert tiers.tier(None, toy("half", hue=(0.0, 0.2)), toy("train")) == tiers.Tier(tiers.PARTLY_SEEN, ("hue",))


ROOMS = {
    "train": (tiers.IN_DISTRIBUTION, ()),
    "test": (tiers.FRESH_SEEDS, ()),
    "new-colours": (tiers.NEW_TO_BOTH, ("hue",)),
    "new-shapes": (tiers.NEW_TO_BOTH, ("shape",)),
    "more-objects": (tiers.MORE_OBJECTS, ("n_objects",)),
    "new-layout": (tiers.NEW_TO_BOTH, ("x",)),
    "recombination": (tiers.RECOMBINATION, ("shape", "hue")),
    "nuisance-easy": (tiers.NUISANCE, nuisance.NAMES),
    "nuisance-hard": (tiers.NUISANCE, nuisance.NAMES),
}


@pytest.mark.parametrize("name", rooms.splits(rooms.Config()))
def test_samples_of_rooms_are_as_new_as_their_tier_says(name):
    splits = rooms.splits(rooms.Config())
    train, test = splits["train"], splits[name]
    told = tiers.tier(train, train, test, rooms.NUISANCE)
    assert told == tiers.Tier(*ROOMS[name])
    drawn = test.sample(5, np.arange(1000))
    assert train.contains(drawn).all() == (told.name in tiers.SEEN)
    assert train.contains(drawn).any() == (told.name in tiers.SEEN)
    real = np.arange(drawn["hue"].shape[1]) < drawn["n_objects"][:, None]
    new = tiers.novelty(test, train)
    for part, inside in ((train.objects.each, real), (train.scene, np.ones(1000, bool))):
        for factor in part.names:
            known = part.marginal(factor).contains(drawn)[inside]
            assert known.all() if factor not in new else not known.any()
            if factor in new:
                witness = {factor: np.array([new[factor].witness()[factor]])}
                assert not part.marginal(factor).contains(witness).any()
                assert new[factor].contains(drawn)[inside].all()
    if told.name == tiers.RECOMBINATION:
        joint = train.objects.each.onto(*told.factors).contains(drawn)
        assert (~joint & real).any(1).all()


def test_who_saw_what_decides():
    splits = rooms.splits(rooms.Config())
    derive = lambda *names: tiers.tier(*(splits[name] for name in names)).name
    assert derive("new-colours", "train", "new-colours") == tiers.NEW_TO_POLICY
    assert derive("train", "new-colours", "new-colours") == tiers.NEW_TO_ENCODER
    assert derive("train", "recombination", "test") == tiers.NEW_TO_POLICY
    assert derive("train", "new-layout", "recombination") == tiers.NEW_TO_BOTH
    assert derive("recombination", "recombination", "train") == tiers.RECOMBINATION


def test_what_sets_apart_scenes_that_are_partly_seen_is_found_soon():
    """Of thirty factors: all combinations of them would take years."""
    free = box(**{f"f{i}": Interval(0, 1) for i in range(28)})
    pairs = box(wall=Finite(WALLS)) * box(tone=Finite(TONES))
    seen = Split(
        "train",
        (pairs - box(wall=Finite((0,)), tone=Finite((0,)))) * free,
        Repeat(Finite((0,)), box(kind=Finite(KINDS))),
    )
    test = Split("everything", pairs * free, seen.objects, "everything")
    assert tiers.tier(None, seen, test) == tiers.Tier(tiers.PARTLY_SEEN, ("wall", "tone"))
