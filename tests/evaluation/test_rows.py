"""Rows: they round-trip, refuse what is no row, survive being killed, and each measurement counts once."""

import dataclasses
import json
import math

import hypothesis
import pytest
from hypothesis import strategies as st

import evaluation
from evaluation import Measurement
from scenes.factors import tiers
from scenes.kit.errors import CaveError

ROW = Measurement(protocol="transfer", metric="return", value=0.5, learner="gqn", env="rooms", test_split="test")
WORDS = st.text(max_size=20)


@hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
@hypothesis.given(WORDS, st.floats(allow_nan=False, allow_infinity=False), st.lists(WORDS, max_size=3), st.integers())
def test_rows_round_trip(name, value, sensors, seed):
    row = dataclasses.replace(ROW, learner=name, value=value, sensors=tuple(sensors), seed=seed)
    line = row.to_json()
    assert "\n" not in line
    assert Measurement.from_json(line) == row


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_neither_written_nor_read(value):
    with pytest.raises(ValueError):
        dataclasses.replace(ROW, value=value).to_json()
    with pytest.raises(ValueError):
        Measurement.from_json(json.dumps(json.loads(ROW.to_json()) | {"value": value}))


@pytest.mark.parametrize(
    "change",
    [
        {"colour": 1},
        {"seed": "0"},
        {"seed": True},
        {"sensors": "image"},
        {"sensors": [1]},
        {"seen": "by nobody"},
        {"seen": []},
        {"apart": "hue"},
        {"schema": "x"},
        {"value": None},
    ],
)
def test_what_is_no_row_is_refused(change):
    with pytest.raises(ValueError, match="not a measurement"):
        Measurement.from_json(json.dumps(json.loads(ROW.to_json()) | change))


@pytest.mark.parametrize(
    ("seen", "encoder_split", "tier"),
    [
        ("", "", ""),
        ("in distribution", "train", tiers.IN_DISTRIBUTION),
        ("partly seen by policy", "", tiers.PARTLY_SEEN),
        ("new to policy", "wide", tiers.NEW_TO_POLICY),
        ("new to policy", "", tiers.NEW_TO_BOTH),
        ("new to encoder too", "train", tiers.NEW_TO_BOTH),
    ],
)
def test_rows_from_before_tiers_are_read(seen, encoder_split, tier):
    tree = json.loads(ROW.to_json()) | {"seen": seen, "encoder_split": encoder_split}
    del tree["tier"], tree["apart"]
    row = Measurement.from_json(json.dumps(tree))
    assert row == dataclasses.replace(ROW, tier=tier, encoder_split=encoder_split)
    assert tier in ("", *tiers.TIERS)


def test_a_missing_field_is_refused():
    tree = json.loads(ROW.to_json())
    del tree["learner"]
    with pytest.raises(ValueError, match="learner"):
        Measurement.from_json(json.dumps(tree))


def test_files_keep_each_key_once_and_drop_a_torn_last_line(tmp_path):
    path = tmp_path / evaluation.FILE
    again, other = dataclasses.replace(ROW, value=0.75), dataclasses.replace(ROW, seed=1)
    evaluation.write(path, [ROW, again, other])
    assert evaluation.read(path) == [again, other]
    path.write_text(path.read_text()[:-9])
    assert evaluation.read(path) == [again]


def test_damage_in_the_middle_is_named_with_its_line(tmp_path):
    path = tmp_path / evaluation.FILE
    path.write_text(ROW.to_json() + "\n{}\n" + ROW.to_json() + "\n")
    with pytest.raises(CaveError, match="line 2"):
        evaluation.read(path)
    with pytest.raises(CaveError, match="does not exist"):
        evaluation.read(tmp_path / "no")
