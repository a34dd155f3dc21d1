"""The report: a pure function of rows that nobody's names can break out of."""

import html.parser
import re

import numpy as np
import pytest

import evaluation
from evaluation import Measurement, report
from evaluation.page import cells, drawings, elements
from evaluation.stats.intervals import Interval
from scenes.factors import tiers
from scenes.kit.errors import CaveError

HOSTILE = "</title><script>alert(1)</script>\"'><img src=http://x/ onerror=alert(1)>\u202e&amp;\x00"
SPLITS = {
    "train": tiers.IN_DISTRIBUTION,
    "test": tiers.FRESH_SEEDS,
    "new-colours": tiers.NEW_TO_BOTH,
}


def some_rows(name="gqn", other="pixels", item=HOSTILE):
    rng, rows = np.random.default_rng(0), []
    base = {"env": "rooms", "scenes_hash": "s", "options_hash": "o", "n_samples": 8}
    for split in SPLITS:
        for player, value in (("random", 0.0), ("scripted", 1.0)):
            common = {"protocol": "transfer", "metric": "return", "test_split": split}
            rows.append(Measurement(value=value, learner=player, **common, **base))
    for learner in (name, other):
        for seed in range(3):
            own = base | {"learner": learner, "seed": seed, "policy_split": "train", "policy_hash": f"{learner}{seed}"}
            acts = own | {"agent": "ppo", "env_steps": 1000}
            for split, tier in SPLITS.items():
                there = {"test_split": split, "tier": tier, "apart": () if tier in tiers.SEEN else ("hue", item)}
                for metric in ("return", "success", "normalised"):
                    rows.append(
                        Measurement(protocol="transfer", metric=metric, value=rng.uniform(0.2, 1), **acts, **there)
                    )
                for factor in ("hue", item):
                    for metric in ("score", "accuracy", "chance"):
                        value = rng.uniform(0.2, 1)
                        rows.append(
                            Measurement(protocol="probe", metric=metric, value=value, item=factor, **own, **there)
                        )
            for at in (500, 1000):
                there = {"test_split": "train", "metric": "return", "value": at / 1000 + rng.normal() / 9}
                rows.append(Measurement(protocol="efficiency", **acts | {"env_steps": at}, **there))
            for metric, value in (("mean return", 0.4), ("reached", 0.0), ("steps per second", 2500.0)):
                rows.append(Measurement(protocol="efficiency", metric=metric, value=value, test_split="train", **acts))
    return rows


class Parsed(html.parser.HTMLParser):
    """Tags met, links followed, and whether every tag that was opened was closed."""

    VOID = ("meta", "line", "path", "polygon", "polyline")

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.attributes = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_hostile_names_stay_text_and_nothing_is_loaded():
    tame = Parsed(report.html(some_rows("gqn", "pixels"), "title"))
    wild = Parsed(report.html(some_rows(HOSTILE, "pixels"), HOSTILE))
    assert wild.tags == tame.tags
    assert not {"script", "img", "iframe", "link", "object", "base"} & set(wild.tags)
    for name, value in wild.attributes:
        assert not name.startswith("on")
        assert name not in ("src", "href", "xlink:href", "action", "formaction")
        assert "url(" not in (value or "")


def test_the_policy_forbids_all_but_what_is_inside():
    text = report.html(some_rows(item="size"), "title")
    assert "default-src 'none'" in text
    assert not re.search(r"https?://|@import|url\(", text)


def test_every_section_shows_its_numbers():
    text = report.html(some_rows(), "title")
    for words in ("Transfer", "Data efficiency", "Linear probes", "Relative to training", "Probability of improvement"):
        assert words in text
    assert "fresh seeds" in text and "new to the encoder too: hue, " in text and "all new splits" in text
    row = next(
        iter(cells.pick(some_rows(), protocol="transfer", metric="normalised", learner="gqn", test_split="test"))
    )
    own = cells.pick(some_rows(), protocol="transfer", metric="normalised", learner="gqn", test_split="test")
    shown = cells.interval(own, [row.test_split])
    assert f"<b>{elements.number(shown.value)}</b>" in text
    assert f"{elements.number(shown.low)} \u2026 {elements.number(shown.high)}" in text


def test_same_rows_same_bytes_and_the_order_of_runs_changes_no_number():
    rows = some_rows()
    assert report.html(rows, "t") == report.html(list(rows), "t")
    table = cells.scores(cells.pick(rows, metric="normalised", learner="gqn"), list(SPLITS))
    other = cells.scores(cells.pick(rows[::-1], metric="normalised", learner="gqn"), list(SPLITS))
    assert np.array_equal(np.sort(table.scores, 0), np.sort(other.scores, 0))


def test_runs_without_every_cell_are_left_out():
    rows = cells.pick(some_rows(), metric="normalised", learner="gqn")
    assert cells.scores(rows, list(SPLITS)).scores.shape == (3, 3)
    short = [row for row in rows if (row.seed, row.test_split) != (1, "test")]
    assert cells.scores(short, list(SPLITS)).scores.shape == (2, 3)
    assert cells.interval(short, ["no such split"]) is None


def test_the_command_collects_writes_and_refuses(tmp_path, capsys):
    with pytest.raises(CaveError, match="is not a folder"):
        report.main([str(tmp_path / "no")])
    with pytest.raises(CaveError, match="holds no"):
        report.main([str(tmp_path)])
    with pytest.raises(CaveError, match="first word"):
        report.main([])
    (tmp_path / "study").mkdir()
    evaluation.write(tmp_path / "study" / evaluation.FILE, some_rows())
    path = report.main([str(tmp_path)])
    assert path == tmp_path / "report.html"
    assert path.read_text().startswith("<!doctype html>")
    assert str(path) in capsys.readouterr().out
    (tmp_path / "copy").mkdir()
    evaluation.write(tmp_path / "copy" / evaluation.FILE, some_rows())
    assert len(report.collect(tmp_path)) == len(some_rows())


def test_points_lie_in_the_order_of_their_values():
    values = [0.1, 0.5, 0.9]
    text = drawings.points([("s", [Interval(v, v, v, 1) for v in values])], ["a", "b", "c"], "x")
    x = [float(m) for m in re.findall(r"</title>.*?translate\(([\d.]+)", text)][-3:]
    assert x == sorted(x)
    assert len(set(x)) == 3
    assert (x[1] - x[0]) == pytest.approx(x[2] - x[1], abs=0.2)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 7), (0, 200_000), (0.01, 0.013), (5, 5)])
def test_ticks_are_few_round_and_inside(low, high):
    ticks = drawings.ticks(low, high)
    assert 1 <= len(ticks) <= 11
    assert all(low - 1e-9 <= t <= high + 1e-9 for t in ticks)


def test_numbers_read_well():
    assert [elements.number(v) for v in (0.0, -0.001, 0.456, -1.5, 250.4, 123456.7)] == [
        "0.00",
        "0.00",
        "0.46",
        "-1.50",
        "250",
        "123,457",
    ]
