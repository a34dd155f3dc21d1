"""Statistics of scores: against scipy, against slow and obvious versions, and laws."""

import math

import hypothesis
import numpy as np
import pytest
import scipy.stats
from hypothesis import strategies as st

from evaluation.stats import aggregates, comparisons, intervals
from scenes.kit.errors import CaveError

SCORES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40)


@hypothesis.given(SCORES)
def test_iqm_is_scipys_trimmed_mean(scores):
    assert aggregates.iqm(scores) == pytest.approx(scipy.stats.trim_mean(scores, 0.25), abs=1e-9)


def test_iqm_ignores_one_broken_seed_and_reduces_the_last_axis():
    good = np.arange(8.0)
    broken = np.append(good[:-1], 1e9)
    assert aggregates.iqm(broken) == aggregates.iqm(good) == 3.5
    assert np.array_equal(aggregates.iqm(np.stack([good, good + 1])), [3.5, 4.5])


def test_no_scores_and_scores_that_are_not_finite_are_refused():
    for bad in ([], [1.0, math.nan], [math.inf]):
        with pytest.raises(CaveError):
            aggregates.iqm(bad)
        with pytest.raises(CaveError):
            intervals.bootstrap([np.array(bad)])
        with pytest.raises(CaveError):
            comparisons.probability_of_improvement(bad, [1.0])


def slow_bootstrap(strata, n_resamples, confidence, seed):
    """One resample at a time, one run at a time, one cell at a time; scipy's trimmed mean."""
    rng, draws = np.random.default_rng(seed), []
    for _ in range(n_resamples):
        pooled = []
        for table in strata:
            for _ in range(len(table)):
                pooled.extend(table[rng.integers(len(table))])
        draws.append(scipy.stats.trim_mean(pooled, 0.25))
    tail = (1 - confidence) / 2
    return np.quantile(draws, tail), np.quantile(draws, 1 - tail)


def test_bootstrap_agrees_with_a_slow_and_obvious_one():
    rng = np.random.default_rng(0)
    # Strata of different sizes, spreads and numbers of cells; cells of a run share its luck.
    strata = [rng.normal(0, 1, (6, 1)) + rng.normal(0, 0.1, (6, 3)), rng.normal(5, 2, (9, 1))]
    fast = intervals.bootstrap(strata, n_resamples=20_000)
    low, high = slow_bootstrap(strata, 3000, 0.95, seed=1)
    assert fast.low == pytest.approx(low, abs=0.1)
    assert fast.high == pytest.approx(high, abs=0.1)
    assert fast.n_runs == 15
    assert fast.low < fast.value < fast.high


def test_interval_of_a_mean_of_coin_flips_is_the_binomial_one():
    # The bootstrap distribution of the mean of n zeros and ones is Binomial(n, p) / n exactly.
    flips = np.array([0.0] * 12 + [1.0] * 8)
    got = intervals.bootstrap([flips], lambda x: x.mean(-1), n_resamples=40_000)
    assert got.value == 0.4
    assert got.low == pytest.approx(scipy.stats.binom.ppf(0.025, 20, 0.4) / 20, abs=0.051)
    assert got.high == pytest.approx(scipy.stats.binom.ppf(0.975, 20, 0.4) / 20, abs=0.051)


def test_ninety_five_per_cent_intervals_cover_about_as_often():
    rng, hits = np.random.default_rng(3), 0
    for i in range(300):
        got = intervals.bootstrap([rng.normal(0, 1, 30)], seed=i, n_resamples=500)
        hits += got.low <= 0 <= got.high
    assert 0.88 < hits / 300 < 0.99


def test_cells_of_a_run_stay_together():
    # Two cells that always sum to zero: resampled together their mean cannot move, independently it would.
    luck = np.random.default_rng(0).normal(size=20)
    got = intervals.bootstrap([np.stack([luck, -luck], 1)], lambda x: x.mean(-1))
    assert got.high - got.low < 1e-12


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(st.lists(st.floats(-10, 10), min_size=2, max_size=12), st.floats(0.1, 5), st.floats(-5, 5))
def test_intervals_move_with_the_scale_and_hold_between_the_extremes(scores, scale, shift):
    scores = np.array(scores)
    plain = intervals.bootstrap([scores], n_resamples=200)
    moved = intervals.bootstrap([scores * scale + shift], n_resamples=200)
    for a, b in ((plain.value, moved.value), (plain.low, moved.low), (plain.high, moved.high)):
        assert b == pytest.approx(a * scale + shift, abs=1e-6)
    assert scores.min() - 1e-9 <= plain.low <= plain.high <= scores.max() + 1e-9


def test_same_rows_same_interval_and_blocks_do_not_matter(monkeypatch):
    scores = np.random.default_rng(0).normal(size=(7, 3))
    whole = intervals.bootstrap([scores], seed=5)
    assert whole == intervals.bootstrap([scores], seed=5)
    assert whole != intervals.bootstrap([scores], seed=6)
    monkeypatch.setattr(intervals, "_BLOCK", 50)
    assert whole == intervals.bootstrap([scores], seed=5)


def test_runs_that_share_an_encoder_share_its_luck():
    # Nominal 95 % for a mean of 4 encoders by 5 policies, whose deviations are equal: ignoring who shares what covers too rarely.
    rng, covered = np.random.default_rng(0), {"shared": 0, "apart": 0}
    encoders, mean = np.repeat(np.arange(4), 5), lambda x: x.mean(-1)
    for i in range(300):
        scores = rng.normal(0, 1, 4)[encoders] + rng.normal(0, 1, 20)
        for how, labels in (("shared", encoders), ("apart", np.arange(20))):
            got = intervals.bootstrap([intervals.Runs(scores[:, None], labels)], mean, seed=i, n_resamples=300)
            covered[how] += got.low <= 0 <= got.high
    assert covered["shared"] / 300 > 0.78 > covered["apart"] / 300
    pair = intervals.paired_bootstrap(intervals.Runs(scores[:, None], encoders), lambda t: t[..., 0].mean(-1))
    assert pair.high - pair.low == pytest.approx(got_shared(scores, encoders), rel=0.2)


def got_shared(scores, encoders):
    """Width of the interval, one resample after the other."""
    rng, means = np.random.default_rng(1), []
    for _ in range(4000):
        drawn = [rng.choice(scores[encoders == e], 5) for e in rng.integers(0, 4, 4)]
        means.append(np.mean(drawn))
    return np.quantile(means, 0.975) - np.quantile(means, 0.025)


def test_encoders_with_unequal_numbers_of_runs_are_drawn_from_their_own():
    labels = np.array([7, 3, 7, 7, 3])
    rows = intervals.draw_rows(labels, np.random.default_rng(0), 500)
    assert rows.shape == (500, 6)
    for thirds in (rows[:, :3], rows[:, 3:]):
        assert all(len(set(labels[row])) == 1 for row in thirds)
    assert set(rows.ravel()) == set(range(5))
    assert set(map(tuple, np.sort(labels[rows[:, ::3]], 1))) == {(3, 3), (3, 7), (7, 7)}


def test_one_run_gives_a_point():
    got = intervals.bootstrap([np.array([[2.0]])])
    assert (got.value, got.low, got.high, got.n_runs) == (2.0, 2.0, 2.0, 1)


def test_paired_bootstrap_of_a_ratio_of_proportional_columns_is_exact():
    column = np.random.default_rng(0).uniform(1, 2, 9)
    ratio = lambda t: aggregates.iqm(t[..., 0]) / aggregates.iqm(t[..., 1])
    got = intervals.paired_bootstrap(np.stack([0.25 * column, column], 1), ratio)
    assert got.value == pytest.approx(0.25)
    assert got.low == pytest.approx(0.25)
    assert got.high == pytest.approx(0.25)


INTEGERS = st.lists(st.integers(-3, 3), min_size=1, max_size=15)


@hypothesis.given(INTEGERS, INTEGERS)
def test_probability_of_improvement(ours, theirs):
    got = comparisons.probability_of_improvement(ours, theirs)
    slow = np.mean([1.0 if x > y else 0.5 if x == y else 0.0 for x in ours for y in theirs])
    oracle = (
        scipy.stats.mannwhitneyu(ours, theirs, method="asymptotic").statistic if len({*ours, *theirs}) > 1 else None
    )
    assert got == pytest.approx(slow)
    assert got + comparisons.probability_of_improvement(theirs, ours) == pytest.approx(1)
    if oracle is not None:
        assert got == pytest.approx(oracle / (len(ours) * len(theirs)))


def alone(scores):
    return intervals.Runs(scores[:, None], np.arange(len(scores)))


def test_interval_of_the_probability_of_improvement():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(0.5, 1, 12), rng.normal(0, 1, 9)
    got = comparisons.improvement(alone(ours), alone(theirs), n_resamples=4000)
    draws = [comparisons.probability_of_improvement(rng.choice(ours, 12), rng.choice(theirs, 9)) for _ in range(2000)]
    assert got.value == comparisons.probability_of_improvement(ours, theirs)
    assert (got.low, got.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.03)
    apart = comparisons.improvement(alone(ours + 100), alone(theirs))
    assert (apart.value, apart.low, apart.high) == (1, 1, 1)


def test_normalisation_puts_chance_at_zero_and_the_scripted_player_at_one():
    assert comparisons.normalised(-2.0, -2.0, 6.0) == 0
    assert comparisons.normalised(6.0, -2.0, 6.0) == 1
    assert comparisons.normalised(2.0, -2.0, 6.0) == 0.5
    assert comparisons.normalised(1.0, 3.0, 3.0) is None
    assert comparisons.normalised(1.0, 3.0, 2.0) is None
