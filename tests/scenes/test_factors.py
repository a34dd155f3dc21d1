"""The algebra of distributions against membership of points, and the proofs about splits against exhaustive search."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scenes import factors
from scenes.factors import Casts, Finite, Interval, Repeat, Split, box, check_splits, mixture, overlap
from scenes.kit import errors, seeds

# Quarters are exact in binary, so that interval ends meet often: where algebra goes wrong.
QUARTERS = st.integers(0, 8).map(lambda n: n / 4)
INTERVALS = st.tuples(QUARTERS, QUARTERS).map(lambda ends: Interval(*ends))
FINITES = st.sets(st.integers(0, 3)).map(Finite)
BOXES = st.builds(lambda x, y, k: box(x=x, y=y, k=k), INTERVALS, INTERVALS, FINITES)
DISTRIBUTIONS = st.recursive(
    BOXES,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda ab: ab[0] | ab[1]),
        st.tuples(inner, inner).map(lambda ab: ab[0] - ab[1]),
        st.tuples(inner, inner).map(lambda ab: ab[0] & ab[1]),
    ),
    max_leaves=5,
)
GRID = np.array(list(itertools.product(np.arange(0, 2.25, 0.125), np.arange(0, 2.25, 0.125), range(4))))
"""Points on every end of an interval, and between: two distributions that agree on them are equal sets."""
POINTS = {"x": GRID[:, 0], "y": GRID[:, 1], "k": GRID[:, 2].astype(int)}


def draw(distribution, n=64, key=1):
    return distribution.sample_uniforms(seeds.uniform(key, np.arange(n), len(distribution.names) + 1))


def row(witness):
    return {name: np.array([value]) for name, value in witness.items()}


@given(DISTRIBUTIONS, DISTRIBUTIONS)
@settings(max_examples=150, deadline=None)
def test_algebra_is_membership(a, b):
    in_a, in_b = a.contains(POINTS), b.contains(POINTS)
    for result, expected in ((a | b, in_a | in_b), (a & b, in_a & in_b), (a - b, in_a & ~in_b)):
        np.testing.assert_array_equal(result.contains(POINTS), expected)
        # Boxes of these quarters are empty exactly if no point of the grid lies in them.
        assert result.is_empty() == (not expected.any())
        witness = result.witness()
        assert (witness is None) == result.is_empty()
        if witness is not None:
            assert result.contains(row(witness)).all()
            assert result.contains(draw(result)).all()


@given(DISTRIBUTIONS, DISTRIBUTIONS)
@settings(max_examples=60, deadline=None)
def test_union_is_uniform_whatever_its_boxes(a, b):
    """The mass of a region is its volume, however the union was cut; so a - b and a & b share out a's mass."""
    volume = lambda d: sum(d.masses)
    assert volume(a - b) + volume(a & b) == pytest.approx(volume(a))
    assert volume(a | b) == pytest.approx(volume(b | a))


@given(DISTRIBUTIONS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_right_side_may_name_fewer_factors(a, minus):
    cut = box(x=Interval(0.5, 1.25))
    expected = a.contains(POINTS) & (cut.contains(POINTS) ^ minus)
    np.testing.assert_array_equal((a - cut if minus else a & cut).contains(POINTS), expected)


@given(BOXES, BOXES, st.permutations(["x", "y", "k"]))
@settings(max_examples=60, deadline=None)
def test_order_of_names_does_not_matter(a, b, order):
    turned = factors.Distribution(tuple(order), (), ()) | b
    np.testing.assert_array_equal((a | turned).contains(POINTS), (a | b).contains(POINTS))
    np.testing.assert_array_equal((a - turned).contains(POINTS), (a - b).contains(POINTS))


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.floats(0, 1, exclude_max=True))
@settings(max_examples=200, deadline=None)
def test_samples_never_round_onto_the_open_end(lo, hi, u):
    assume(lo < hi)
    d = box(x=Interval(lo, hi))
    for one in (u, 0.0, np.nextafter(1.0, 0.0)):
        value = d.sample_uniforms(np.array([[0.5, one]]))
        assert d.contains(value).all()
    assert d.contains(row(d.witness())).all()


def test_samples_are_uniform_over_a_union_of_overlapping_boxes():
    ring = (box(x=Interval(0, 2), y=Interval(0, 1)) | box(x=Interval(0, 1), y=Interval(0, 2))) - box(
        x=Interval(0.25, 0.75), y=Interval(0.25, 0.75)
    )
    drawn = draw(ring, 40_000)
    cells, _, _ = np.histogram2d(drawn["x"], drawn["y"], bins=8, range=[[0, 2], [0, 2]])
    # Quarter cells lie wholly inside or outside. 44 are inside: 48 of the L, less 4 of the hole.
    inside = cells[cells > 0]
    assert len(inside) == 44
    assert np.abs(inside / (40_000 / 44) - 1).max() < 5 / np.sqrt(40_000 / 44)


def test_mixture_has_the_weights_given_and_counts_points_once_as_a_set():
    a, b = box(k=Finite((0,))), box(k=Finite((0, 1)))
    both = mixture([(3, a), (1, b)])
    share = (draw(both, 20_000)["k"] == 1).mean()
    assert abs(share - 1 / 8) < 0.012
    whole = box(k=Finite(range(4)))
    assert sum((whole & both).masses) == 2 and sum((whole - both).masses) == 2


@given(DISTRIBUTIONS)
@settings(max_examples=60, deadline=None)
def test_projection_holds_exactly_what_some_point_has(a):
    shadow = a.onto("x", "k")
    inside = a.contains(POINTS)
    seen = {(x, k) for x, k in zip(POINTS["x"][inside], POINTS["k"][inside])}
    expected = np.array([(x, k) in seen for x, k in zip(POINTS["x"], POINTS["k"])])
    np.testing.assert_array_equal(shadow.contains(POINTS), expected)


@given(DISTRIBUTIONS, DISTRIBUTIONS)
@settings(max_examples=60, deadline=None)
def test_containment_and_marginals_are_those_of_the_points(a, b):
    in_a, in_b = a.contains(POINTS), b.contains(POINTS)
    assert a.within(b) == (not (in_a & ~in_b).any())
    assert a.within(b) == (a | b).within(b) and a.within(a | b) and (a & b).within(a)
    for name, values in POINTS.items():
        np.testing.assert_array_equal(a.marginal(name).contains(POINTS), np.isin(values, values[in_a]))
        assert a.within(a.marginal(name))


@given(st.lists(INTERVALS, max_size=4), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_cut_parts_are_equal_consecutive_and_all(pieces, n):
    whole = box(x=Interval(0, 0))
    for piece in pieces:
        whole = whole | box(x=piece)
    parts = factors.cut(whole, n)
    assert len(parts) == n
    for i, part in enumerate(parts):
        assert sum(part.masses) == pytest.approx(sum(whole.masses) / n, abs=1e-9)
        assert all((part & other).is_empty() for other in parts[:i])
        assert i == 0 or part.is_empty() or parts[i - 1].witness()["x"] < part.witness()["x"]
    left = whole
    for part in parts:
        left = left - part
    assert left.is_empty()


def test_slips_are_named():
    a = box(x=Interval(0, 1), k=Finite((1,)))
    for slip in (
        lambda: a - box(z=Finite((1,))),
        lambda: a & box(k=Interval(0, 1)),
        lambda: a.marginal("z"),
        lambda: a.within(box(z=Finite((1,)))),
        lambda: a * box(k=Finite((1,))),
        lambda: a | box(x=Interval(0, 1)),
        lambda: (a - a).sample_uniforms(np.zeros((1, 3))),
        lambda: Interval(0, float("nan")),
        lambda: mixture([(0, a)]),
    ):
        with pytest.raises(errors.CaveError):
            slip()


# Splits: what is proved is compared with all groups of objects over a small world.

KINDS = range(3)
SUBSETS = st.sets(st.sampled_from(KINDS)).map(Finite)
COUNTS = st.sets(st.integers(0, 3), min_size=1).map(Finite)


@st.composite
def small_splits(draw_, name="a"):
    each = box(kind=draw_(SUBSETS))
    some = draw_(st.none() | SUBSETS)
    count = draw_(COUNTS)
    if some is not None:
        some = box(kind=some) & each
        count = count.intersect(Finite(range(1, 4)))
    return Split(name, box(wall=draw_(SUBSETS)), Repeat(count, each, some))


def all_scenes():
    for wall, n in itertools.product(KINDS, range(4)):
        for group in itertools.product(KINDS, repeat=n):
            yield wall, n, group


def table():
    scenes = list(all_scenes())
    kind = np.array([group + (0,) * (3 - len(group)) for _, _, group in scenes])
    wall, n = (np.array([scene[i] for scene in scenes]) for i in (0, 1))
    return {"wall": wall, "n_objects": n, "kind": kind}


TABLE = table()


def slowly_contains(split):
    """Word for word what a split means."""
    inside = []
    for wall, n, group in all_scenes():
        each = set(split.objects.each.boxes[0][0].values) if split.objects.each.boxes else set()
        wanted = split.objects.some
        some = None if wanted is None else {v for one in wanted.boxes for v in one[0].values}
        walls = {v for one in split.scene.boxes for v in one[0].values}
        good = wall in walls and n in split.objects.count.values and set(group) <= each
        inside.append(good and (some is None or bool(set(group) & some)))
    return np.array(inside)


@given(small_splits("train"), small_splits("test"))
@settings(max_examples=300, deadline=None)
def test_overlap_is_found_exactly(a, b):
    in_a, in_b = slowly_contains(a), slowly_contains(b)
    np.testing.assert_array_equal(a.contains(TABLE), in_a)
    assert a.is_empty() == (not in_a.any())
    witness = overlap(a, b)
    assert (witness is not None) == (in_a & in_b).any()
    if witness is not None:
        n = witness["n_objects"]
        one = {"wall": [witness["wall"]], "n_objects": [n], "kind": [witness["kind"] + [0] * (3 - n)]}
        one = {name: np.array(value) for name, value in one.items()}
        assert a.contains(one).all() and b.contains(one).all()


@given(small_splits("train"), small_splits("test"), st.booleans())
@settings(max_examples=300, deadline=None)
def test_check_splits_passes_exactly_the_honest(train, test, within):
    in_train, in_test = slowly_contains(train), slowly_contains(test)
    if within:
        test = Split("test", test.scene, test.objects, in_distribution_of="train")
    honest = not (in_test & ~in_train).any() if within else not (in_test & in_train).any()
    honest &= bool(in_train.any() and in_test.any())
    splits = {"train": train, "test": test}
    if honest:
        check_splits(splits)
    else:
        with pytest.raises(errors.CaveError, match="split 't"):
            check_splits(splits)


def test_a_leak_names_factor_and_witness():
    each = box(hue=Interval(0, 0.5))
    train = Split("train", box(wall=Finite((0,))), Repeat(Finite((1, 2)), each))
    leak = Split("odd", train.scene, Repeat(Finite((2,)), box(hue=Interval(0.25, 1))), novel=("hue",))
    with pytest.raises(errors.CaveError, match=r"split 'odd' leaks: 'train' can draw its hue = \[0.375, 0.375\] too"):
        check_splits({"train": train, "odd": leak})


def test_to_name_one_more_constant_changes_no_draw():
    split = Split("train", box(wall=Interval(0, 1), floor=Finite(range(9))), CROWD)
    before = split.sample(3, np.arange(40))
    for more in (split.scene * box(calm=Finite((0,))), box(calm=Finite((7,))) * split.scene):
        assert more.constants == ("calm",)
        after = Split("train", more, CROWD).sample(3, np.arange(40))
        assert set(after.pop("calm")) <= {0, 7}
        for name, values in before.items():
            np.testing.assert_array_equal(after[name], values)
    assert (box(k=Finite((1,))) | box(k=Finite((2,)))).constants == box(x=Interval(0, 1)).constants == ()


def apart(a, b):
    return np.abs(a["x"] - b["x"]) >= 0.2


CROWD = Repeat(
    Finite((0, 1, 4)), box(x=Interval(0, 1), kind=Finite(KINDS)), None, width=5, fits=apart
)  # four points in a unit interval, 0.2 apart: tight


def test_scene_i_is_a_function_of_its_number():
    split = Split("train", box(wall=Interval(0, 1)), CROWD)
    index = np.array([0, 1, 2, 5, 2**40, -3, 17])
    whole = split.sample(7, index)
    for order in ([3], [6, 0], [5, 4, 3, 2, 1, 0]):
        part = split.sample(7, index[order])
        for name, values in whole.items():
            np.testing.assert_array_equal(part[name], values[order])
    assert (split.sample(8, index)["wall"] != whole["wall"]).all()
    assert (Split("other", split.scene, CROWD).sample(7, index)["wall"] != whole["wall"]).all()


def test_objects_fit_and_the_padding_is_zero():
    split = Split("train", box(wall=Interval(0, 1)), CROWD)
    drawn = split.sample(0, np.arange(300))
    assert split.contains(drawn).all()
    assert set(drawn["n_objects"]) == {0, 1, 4}
    for n, xs in zip(drawn["n_objects"], drawn["x"]):
        gaps = np.abs(xs[:n, None] - xs[:n]) + np.eye(n)
        assert n == 0 or gaps.min() >= 0.2
        assert not xs[n:].any()
    near = {name: values.copy() for name, values in drawn.items()}
    near["x"][:, 1] = near["x"][:, 0]
    np.testing.assert_array_equal(split.contains(near), drawn["n_objects"] < 2)


def test_what_cannot_fit_is_said():
    impossible = Repeat(Finite((7,)), box(x=Interval(0, 1)), fits=apart)
    with pytest.raises(errors.CaveError, match=r"split 'train'.*7 objects"):
        Split("train", box(wall=Interval(0, 1)), impossible).sample(0, np.arange(2))


def test_the_demanded_object_stands_anywhere():
    each = box(x=Interval(0, 1), kind=Finite(KINDS))
    some = box(x=Interval(0, 1), kind=Finite((2,)))
    drawn = Split("s", box(w=Finite((0,))), Repeat(Finite((3,)), each, some)).sample(0, np.arange(3000))
    has = drawn["kind"] == 2
    assert has.any(1).all()
    # A third of the time it is the demanded one, else by chance one in three: 1/3 + 2/3 * 1/3.
    assert np.abs(has.mean(0) - 5 / 9).max() < 0.05
    with pytest.raises(errors.CaveError, match="count at 1"):
        Repeat(Finite((0, 1)), each, some)


# Casts: the same proofs, against all groups of objects and all ways to give them places.

SORTS = SUBSETS.map(lambda kinds: box(kind=kinds))
CASTS = st.lists(st.tuples(st.integers(1, 2), SORTS), min_size=1, max_size=2).filter(lambda c: sum(n for n, _ in c) < 4)


@st.composite
def cast_splits(draw_, name="a"):
    return Split(
        name, box(wall=draw_(SUBSETS)), Casts(tuple(map(tuple, draw_(st.lists(CASTS, min_size=1, max_size=3)))))
    )


def slowly_casts(split):
    """Word for word what casts mean: somebody for every place."""
    walls = {v for one in split.scene.boxes for v in one[0].values}
    places = [
        [{v for one in sort.boxes for v in one[0].values} for n, sort in cast for _ in range(n)]
        for cast in split.objects.casts
    ]
    fills = lambda group, cast: (
        len(group) == len(cast)
        and any(all(kind in place for kind, place in zip(order, cast)) for order in itertools.permutations(group))
    )
    return np.array([wall in walls and any(fills(group, cast) for cast in places) for wall, _, group in all_scenes()])


@given(cast_splits("train"), cast_splits("test"))
@settings(max_examples=200, deadline=None)
def test_overlaps_of_casts_are_found_exactly(a, b):
    in_a, in_b = slowly_casts(a), slowly_casts(b)
    np.testing.assert_array_equal(a.contains(TABLE), in_a)
    witness = overlap(a, b)
    assert (witness is not None) == (in_a & in_b).any()
    if witness is not None:
        n = witness["n_objects"]
        one = {"wall": [witness["wall"]], "n_objects": [n], "kind": [witness["kind"] + [0] * (3 - n)]}
        one = {name: np.array(value) for name, value in one.items()}
        assert a.contains(one).all() and b.contains(one).all()
    if in_a.any():
        drawn = a.sample(0, np.arange(40))
        assert a.contains(drawn).all()
        # What is said to lie within another does; what is not may still be held by several casts together.
        if a.objects.excess(b.objects) is None and (a.scene - b.scene).is_empty():
            assert not (in_a & ~in_b).any()
        assert a.objects.excess(a.objects) is None


def test_casts_are_equally_likely_and_their_order_tells_nothing():
    red, blue, any_ = (box(kind=Finite(kinds)) for kinds in ((0,), (1,), (0, 1, 2)))
    split = Split("s", box(w=Interval(0, 1)), Casts((((1, red), (2, blue)), ((1, any_),)), width=4))
    drawn = split.sample(3, np.arange(4000))
    three = drawn["n_objects"] == 3
    assert abs(three.mean() - 0.5) < 0.03 and set(drawn["n_objects"]) == {1, 3}
    assert drawn["kind"].shape == (4000, 4) and not drawn["kind"][:, 3].any() and not drawn["kind"][~three, 1:].any()
    assert ((drawn["kind"][three, :3] == 0).sum(1) == 1).all()
    assert np.abs((drawn["kind"][three, :3] == 0).mean(0) - 1 / 3).max() < 0.04
    index = np.array([5, 2, 2**40])
    for name, values in split.sample(3, index).items():
        np.testing.assert_array_equal(values[:2], drawn[name][index[:2]])
        np.testing.assert_array_equal(values[2], split.sample(3, index[2:])[name][0])


def test_casts_that_keep_their_objects_apart():
    red, blue = (box(kind=Finite((kind,)), x=Interval(0, 1)) for kind in (0, 1))
    fits = lambda a, b: np.abs(a["x"] - b["x"]) >= 0.2
    casts = Casts((((1, red), (2, blue)), ((2, red),)), width=4, fits=fits)
    split = Split("s", box(w=Interval(0, 1)), casts)
    drawn = split.sample(3, np.arange(1000))
    three = drawn["n_objects"] == 3
    assert abs(three.mean() - 0.5) < 0.06 and set(drawn["n_objects"]) == {2, 3}
    assert (drawn["kind"][three, :3].sum(1) == 2).all() and not drawn["kind"][~three].any()
    assert np.abs((drawn["kind"][three, :3] == 0).mean(0) - 1 / 3).max() < 0.08
    for n in (2, 3):
        x = np.sort(drawn["x"][drawn["n_objects"] == n, :n], 1)
        assert np.diff(x, axis=1).min() >= 0.2 and not drawn["x"][drawn["n_objects"] == n, n:].any()
    assert split.contains(drawn).all()
    near = {name: values[three].copy() for name, values in drawn.items()}
    near["x"][:, 1] = near["x"][:, 0]
    assert not split.contains(near).any()
    index = np.array([5, 2, 2**40])
    for name, values in split.sample(3, index).items():
        np.testing.assert_array_equal(values[:2], drawn[name][index[:2]])
        np.testing.assert_array_equal(values[2], split.sample(3, index[2:])[name][0])


def test_slips_of_casts_are_told():
    one = box(x=Interval(0, 1))
    with pytest.raises(errors.CaveError, match="at least one object"):
        Casts((((0, one),),))
    with pytest.raises(errors.CaveError, match="same factors"):
        Casts((((1, one),), ((1, box(y=Interval(0, 1))),)))
    leak = Casts((((1, one), (1, one & box(x=Interval(0.5, 1)))),))
    splits = {name: Split(name, box(), leak, novel=("x",)) for name in ("train", "odd")}
    with pytest.raises(errors.CaveError, match=r"split 'odd' leaks: 'train' can draw its x = \["):
        check_splits(splits)
    splits["odd"] = Split("odd", box(), Casts((((2, one),),)), in_distribution_of="train")
    with pytest.raises(errors.CaveError, match=r"split 'odd' says it is in distribution of 'train'"):
        check_splits(splits)
