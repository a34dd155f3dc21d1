"""Furnished rooms: nothing stands in anything else, and every split holds out what its name says."""

import numpy as np
import pytest

import scenes
from scenes import collect
from scenes.factors import tiers
from scenes.kit import errors
from scenes.solids import furniture, things

CONFIG = collect.Config()
SPLITS = collect.splits(CONFIG)


def draw(split, config=CONFIG, n=200):
    return collect.splits(config)[split].sample(11, np.arange(n))


def held(batch, n_solids):
    """Of the solids of rooms that have `n_solids` each: half extents of upright boxes or radii of upright cylinders that hold
    them, lowest and highest points, from the meaning of `size` in the contract alone."""
    rows = lambda array: array.astype(np.float64).reshape(len(batch), n_solids, *array.shape[1:])
    size, (x, y, z) = rows(batch.size), np.moveaxis(rows(batch.position), -1, 0)
    kind = np.array(scenes.KINDS)[rows(batch.kind).astype(int)]
    turned = np.abs(scenes.rotation_matrices(rows(batch.rotation)))
    r, h, _ = np.moveaxis(size, -1, 0)
    radius = np.select(
        [kind == "sphere", kind == "capsule", kind == "cylinder", kind == "cone", kind == "torus", kind == "ellipsoid"],
        [r, r, r, r, r + h, np.maximum(r, h)],
    )
    up = np.select(
        [kind == "sphere", kind == "capsule", kind == "cylinder", kind == "cone", kind == "torus", kind == "box"],
        [r, r + h, h, h, r + h, size[..., 2]],
        size[..., 2],
    )
    box = np.einsum("...ij,...j->...i", turned, size)[..., :2] * (kind == "box")[..., None]
    # Boxes that are turned by no quarter are held by cylinders.
    askew = (kind == "box") & (np.minimum(turned[..., 0, 0], turned[..., 1, 0]) > 1e-3)
    radius = np.where(askew, np.hypot(size[..., 0], size[..., 1]), radius)
    box[askew] = 0
    return np.stack([x, y], -1), box, radius, z - up, z + up


@pytest.mark.parametrize("split", ["train", "more-things", "new-room"])
def test_nothing_stands_in_anything_else(split):
    drawn = draw(split)
    for n in np.unique(drawn["n_objects"]):
        of_n = {name: value[drawn["n_objects"] == n] for name, value in drawn.items()}
        batch = collect.build(CONFIG, of_n)
        middle, box, radius, low, high = (
            part[:, furniture.N_STAGE :] for part in held(batch, collect.FIRST_OBJECT + n)
        )
        beyond = np.abs(middle[:, :, None] - middle[:, None]) - box[:, :, None] - box[:, None]
        apart = np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(-1), 0)
        apart -= radius[:, :, None] + radius[:, None]
        lift = np.maximum(low[:, :, None] - high[:, None], low[:, None] - high[:, :, None])
        deep = np.minimum(-apart, -lift) * ~np.eye(apart.shape[1], dtype=bool)
        assert deep.max() <= 1e-3
        assert low.min() >= -1e-3 and (np.abs(middle) + box + radius[..., None]).max() <= CONFIG.side / 2 + 1e-3
        here, first = slice(6, None), slice(0, 6)
        assert np.abs(low[:, here]).max() < 1e-6, "things lie on the floor"
        assert apart[:, here, here][:, ~np.eye(n, dtype=bool)].min() >= CONFIG.gap - 1e-6
        assert apart[:, here, first].min() >= collect.CLEAR - 1e-6
        # What blocks a body is what is seen.
        outline, half, rim = collect.outlines(CONFIG, of_n)
        for i, solids in enumerate(((0, 1), (2, 3), (4,), (5,))):
            seen = [np.abs(middle[:, j] - outline[:, i]) + box[:, j] + radius[:, j, None] for j in solids]
            np.testing.assert_allclose(np.max(seen, 0), half[:, i] + rim[:, i, None], atol=1e-5)


def test_there_are_as_many_good_and_bad_things_as_asked_for_in_any_order():
    first = []
    for split, extra in (("train", {0}), ("more-things", {1, 2})):
        drawn = draw(split, collect.Config(n_good=2, n_bad=3))
        real = np.arange(drawn["good"].shape[1]) < drawn["n_objects"][:, None]
        good, bad = (((drawn["good"] == which) & real).sum(1) for which in (1, 0))
        assert set(good - 2) == extra and (bad == good + 1).all()
        first.append(drawn["good"][:, 0].mean())
    assert all(0.25 < share < 0.6 for share in first), "the order tells what is good"
    assert not draw("train", collect.Config(n_bad=0))["n_objects"].max() > 3


def test_kinds_and_styles_look_different():
    n = len(things.KINDS)
    one, zero = np.ones(n), np.zeros(n)
    looks = things.lie(np.arange(n), zero, one, zero, zero, zero)
    colours = looks["colour"].mean(1)
    apart = np.linalg.norm(colours[:, None] - colours, axis=-1)
    assert apart[~np.eye(n, dtype=bool)].min() > 0.25
    shapes = set(zip(looks["kind"].tolist(), looks["size"][:, 0].round(3).tolist()))
    assert len(shapes) == n
    drawn = {name: np.repeat(value[:1], len(collect.STYLES), 0) for name, value in draw("train", n=1).items()}
    batch = collect.build(CONFIG, drawn | {"style": np.arange(len(collect.STYLES))})
    stage = batch.colour.reshape(len(batch), -1, 2, 3).mean(2)[:, :2].reshape(len(batch), -1)
    apart = np.linalg.norm(stage[:, None] - stage, axis=-1)
    assert apart[~np.eye(len(batch), dtype=bool)].min() > 0.2


def pairs(drawn):
    return {(collect.STYLES[s], collect.SETS[t]) for s, t in zip(drawn["style"], drawn["things"])}


def test_each_split_holds_out_what_its_name_says():
    whole = {(style, kinds) for style in CONFIG.styles for kinds in CONFIG.things}
    seen = {name: pairs(draw(name, n=400)) for name in SPLITS}
    assert seen["train"] == seen["test"] == seen["more-things"] == whole - set(CONFIG.held_out)
    assert seen["everything"] == whole and seen["new-pairings"] == set(CONFIG.held_out)
    assert seen["new-room"] == {("garden", kinds) for kinds in CONFIG.things}
    for names in zip(*CONFIG.held_out):
        assert set(names) <= {name for pair in seen["train"] for name in pair}
    for name in SPLITS:
        drawn = draw(name)
        real = np.arange(drawn["good"].shape[1]) < drawn["n_objects"][:, None]
        tint = np.abs(drawn["tint"][real])
        assert (tint >= 0.15).all() if name == "new-colours" else (tint <= 0.03).all()
        strength = {"nuisance-easy": (5, 10), "nuisance-hard": (20, 30)}.get(name, (0, 0))
        assert drawn["camera_sway"].min() >= strength[0] and drawn["camera_sway"].max() <= strength[1]


def test_pairings_of_deepmind_lab():
    config = collect.Config(**collect.LAB)
    one, other = config.styles
    assert pairs(draw("train", config)) == {(one, "hat-can"), (one, "cake-balloon"), (other, "cake-balloon")}
    assert pairs(draw("new-pairings", config)) == {(other, "hat-can")}


def test_tiers_follow_from_who_saw_what():
    told = {}
    for name, split in SPLITS.items():
        for encoder in ("everything", "train"):
            told[name, encoder] = tiers.tier(SPLITS[encoder], SPLITS["train"], split, collect.NUISANCE).name
    assert told["test", "everything"] == told["test", "train"] == tiers.FRESH_SEEDS
    assert told["new-pairings", "everything"] == tiers.NEW_TO_POLICY
    assert told["new-pairings", "train"] == tiers.RECOMBINATION
    assert told["everything", "train"] == tiers.PARTLY_SEEN
    for name in ("new-room", "new-colours"):
        assert told[name, "everything"] == told[name, "train"] == tiers.NEW_TO_BOTH
    assert told["more-things", "everything"] == tiers.MORE_OBJECTS
    assert told["nuisance-easy", "everything"] == told["nuisance-hard", "train"] == tiers.NUISANCE
    # A policy that trained on everything has seen the pairs, too.
    assert tiers.tier(None, SPLITS["everything"], SPLITS["new-pairings"]).name == tiers.FRESH_SEEDS


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"n_good": 0}, "n_good is 0, wanted 1 to 8"),
        ({"side": 5.0}, "side is 5.0, wanted 9 to"),
        ({"gap": 0.1}, "gap is 0.1, wanted 0.7 to"),
        ({"styles": ("loung",)}, "unknown style 'loung'.*did you mean 'lounge'"),
        ({"things": ("hat-cat",)}, "unknown set of things 'hat-cat'.*did you mean 'hat-can'"),
        ({"held_out": (("garden", "hat-can"),)}, "held_out has garden with hat-can, wanted a style of lounge"),
        ({"held_out": ()}, "split 'new-pairings' is empty: no value of style, things is left"),
        ({"new_styles": ()}, "split 'new-room' is empty"),
        ({"new_styles": ("lounge",)}, "split 'new-room' leaks: 'train' can draw its style = 0"),
        ({"styles": ("gallery",), "things": ("hat-can",), "held_out": (("gallery", "hat-can"),)}, "'train' is empty"),
    ],
)
def test_options_that_cannot_be_are_refused(options, told):
    with pytest.raises(errors.CaveError, match=told) as caught:
        collect.splits(collect.Config(**options))
    assert caught.value.code == errors.USAGE and "\n" not in str(caught.value)


def test_too_many_things_are_refused_in_one_line():
    crowded = collect.splits(collect.Config(n_good=8, n_bad=8, gap=1.0))["more-things"]
    with pytest.raises(errors.CaveError, match="split 'more-things': found no way to place .* objects") as caught:
        crowded.sample(0, np.arange(1))
    assert "\n" not in str(caught.value)


def test_cameras_keep_clear_of_furniture_and_things():
    drawn = draw("more-things", n=60)
    index = np.arange(60)
    middle, box, rim = collect.outlines(CONFIG, drawn)
    real = np.arange(drawn["x"].shape[1]) < drawn["n_objects"][:, None]
    lying = np.stack([drawn["x"], drawn["y"]], -1)
    for poses, clear, low in (
        (collect.free_poses(CONFIG, drawn, 5, index, 6), 0.3, True),
        (collect.ring_poses(CONFIG, 5, index, 6), 0.1, False),
    ):
        at = poses[..., :2].astype(np.float64)
        away = np.linalg.norm(np.maximum(np.abs(at[:, :, None] - middle[:, None]) - box[:, None], 0), axis=-1)
        assert (away - rim[:, None]).min() >= clear - 1e-5 and np.abs(at).max() < CONFIG.side / 2
        if low:
            gap = np.linalg.norm(at[:, :, None] - lying[:, None], axis=-1)
            gap -= things.footprint(collect.kinds(drawn), drawn["size"])[:, None]
            assert gap[np.broadcast_to(real[:, None], gap.shape)].min() >= clear - 1e-5
    # From the ring one looks over the things.
    batch = collect.build(CONFIG, drawn)
    first = batch.offsets[:-1, None] + collect.FIRST_OBJECT + np.arange(drawn["x"].shape[1])
    assert batch.position[first[real], 2].max() * 2 < 1.1


def test_factors_move_what_they_name():
    drawn = draw("train", n=1)
    at = lambda **changed: collect.build(CONFIG, drawn | {n: np.array([v]) for n, v in changed.items()}).position
    still = at(tall_wall=0, tall_place=0.0, low_turn=2, low_place=0.0, swapped=0, shift_x=0.0, shift_y=0.0)
    tall, low = furniture.AGAINST
    assert still[tall, 0] > 3.9 and still[low, 0] < -3.9 and np.abs(still[[tall, low], 1]).max() < 1e-6
    other = at(tall_wall=1, tall_place=1.0, low_turn=1, low_place=-1.0, swapped=0, shift_x=1.0, shift_y=0.0)
    assert other[tall, 1] > 3.9 and other[tall, 0] < -2 and other[low, 0] < -3.9 and other[low, 1] > 2
    np.testing.assert_allclose(other[5:9] - still[5:9], [[collect.SHIFT, 0, 0]] * 4, atol=1e-6)
    swapped = at(tall_wall=0, tall_place=0.0, low_turn=2, low_place=0.0, swapped=1, shift_x=0.0, shift_y=0.0)
    own = furniture.TABLE["place"][drawn["style"][0], 5:9, :2]
    np.testing.assert_allclose(swapped[5:9, :2] - own, -(still[5:9, :2] - own), atol=1e-5)
