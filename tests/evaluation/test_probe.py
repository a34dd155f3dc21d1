"""Linear readouts: they praise a perfect code, reject a blank one and are not fooled by a doubled one."""

import math

import numpy as np
import pytest

from evaluation.readouts import glimpses, linear
from evaluation.readouts.glimpses import Factor

N = {"fit": 600, "choose": 200, "test": 300}


def world(part, seed=0):
    """True factors of many scenes, and a code in which each can be read off by a line."""
    n = N[part]
    rng = np.random.default_rng([seed, *part.encode()])
    factors = {
        "size": rng.uniform(0.2, 0.4, n),
        "wall_hue": rng.uniform(0, 1, n),
        "shape": rng.integers(0, 4, n),
    }
    turn = 2 * np.pi * factors["wall_hue"]
    columns = [10 * factors["size"], np.sin(turn), np.cos(turn), *(factors["shape"] == k for k in range(4))]
    everywhere = np.ones(n, bool)
    return np.stack(columns, 1).astype(np.float64), {k: Factor(k, v, everywhere) for k, v in factors.items()}


def scores(code, components=256):
    """Score of each factor from `code(perfect code, rng)`."""
    parts = {part: world(part) for part in N}
    seen = {part: code(raw, np.random.default_rng(len(raw))) for part, (raw, _) in parts.items()}
    features = linear.Features.fit(seen["fit"], components)
    x = {part: features(raw) for part, raw in seen.items()}
    found = {}
    for name in parts["fit"][1]:
        truth = {part: factors[name] for part, (_, factors) in parts.items()}
        score = linear.readout((x["fit"], x["choose"]), (truth["fit"], truth["choose"]))
        found[name] = score(x["test"], truth["test"])[0]
    return found


def mixed(raw, rng):
    """The perfect code, turned, stretched and shifted: still a line away."""
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(raw.shape[1],) * 2))
    return (raw @ turn) * np.logspace(-3, 3, raw.shape[1]) + 7


def test_a_perfect_code_is_praised_in_any_coordinates():
    assert min(scores(lambda raw, rng: raw).values()) > 0.98
    assert min(scores(mixed).values()) > 0.98


@pytest.mark.parametrize("blank", [lambda raw, rng: 0 * raw + 3, lambda raw, rng: rng.normal(size=raw.shape)])
def test_a_blank_code_and_noise_are_rejected(blank):
    for name, score in scores(blank).items():
        assert -0.1 < score < 0.1, name


def test_a_doubled_code_and_dead_dimensions_change_nothing():
    noisy = lambda raw, rng: raw + rng.normal(size=raw.shape) * 0.4
    doubled = lambda raw, rng: np.tile(noisy(raw, rng), 2)
    padded = lambda raw, rng: np.concatenate([noisy(raw, rng), np.ones((len(raw), 5))], 1)
    plain = scores(noisy)
    assert 0.1 < min(plain.values()) < max(plain.values()) < 0.95
    for other in (doubled, padded):
        assert scores(other) == pytest.approx(plain, abs=0.02)


def test_a_wide_code_is_reduced_without_losing_what_it_says():
    wide = lambda raw, rng: raw @ np.random.default_rng(9).normal(size=(raw.shape[1], 400))
    assert min(scores(wide, components=16).values()) > 0.95


def test_a_hue_near_the_seam_costs_nothing():
    n = 400
    hue = (np.random.default_rng(0).normal(0, 0.05, n)) % 1.0
    code = np.stack([np.sin(2 * np.pi * hue), np.cos(2 * np.pi * hue)], 1)
    factor = Factor("hue", hue, np.ones(n, bool))
    score = linear.readout((code[:200], code[200:300]), (part(factor, 0, 200), part(factor, 200, 300)))
    assert score(code[300:], part(factor, 300, 400))[0] > 0.98


def part(factor, start, stop):
    return Factor(factor.name, factor.values[start:stop], factor.known[start:stop])


def test_unknown_rows_unseen_classes_and_constants_are_left_out():
    n = 300
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3, n)
    code = np.eye(3)[values]
    known = rng.random(n) < 0.5
    lying = np.where(known, values, 2 - values)  # the truth where known, nonsense elsewhere
    fit = Factor("shape", lying, known)
    score = linear.readout((code, code), (fit, fit))
    assert score(code, fit) == (1.0, 1.0, pytest.approx(np.bincount(values[known]).max() / known.sum()))
    assert score(code, Factor("shape", np.full(n, 7), known)) is None
    assert score(code, Factor("shape", np.full(n, 1), known)) is None
    assert score(code, Factor("shape", values, np.zeros(n, bool))) is None
    constant = Factor("size", np.full(n, 0.5), np.ones(n, bool))
    assert linear.readout((code, code), (constant, constant)) is None


def test_the_object_looked_at_is_the_one_nearest_the_centre():
    ids = np.zeros((3, 9, 9), int)
    ids[0, 0, 0], ids[0, 4, 6] = 5, 7
    ids[1, 8, :] = 6
    looked_at, known = glimpses.central_object(ids, first_object=5)
    assert looked_at[:2].tolist() == [2, 1]
    assert known.tolist() == [True, True, False]


def test_distance_and_bearing_are_those_from_the_eye():
    ids = np.full((2, 4, 4), 5)
    pose = np.array([[0, 0, 1, math.pi / 2, 0], [1, 1, 1, math.pi, 0]])
    factors = {"x": np.array([[0.0], [-1.0]]), "y": np.array([[2.0], [1.0 + 1e-6]]), "wall_hue": np.array([0.5, 0.6])}
    found = glimpses.truths(factors, ids, pose, first_object=5)
    assert found["seen object: distance"].values == pytest.approx([2, 2])
    assert found["seen object: bearing"].values == pytest.approx([0, 0], abs=1e-5)
    assert found["wall_hue"].period == 1.0
    assert found["seen object: distance"].period is None
    left = glimpses.truths({"x": np.array([[-1.0]]), "y": np.array([[0.0]])}, ids[:1], pose[:1], first_object=5)
    assert left["seen object: bearing"].values == pytest.approx([math.pi / 2])


def test_pooling_is_the_mean_of_blocks():
    picture = np.random.default_rng(0).integers(0, 255, (2, 3, 64, 64), dtype=np.uint8)
    slow = [picture[b, c, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].mean() / 255
            for b in range(2) for c in range(3) for i in range(16) for j in range(16)]  # fmt: skip
    assert glimpses.pooled(picture).ravel() == pytest.approx(slow, rel=1e-4)
    assert glimpses.pooled(picture[:, :, :8, :8]).shape == (2, 3 * 64)
