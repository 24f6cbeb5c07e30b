"""What the pictures show: values, titles, names; missing values do not break them."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest

from recsys.reports.charts.bars import Bar, bar_chart, histogram, round_edges
from recsys.reports.charts.fan import Fan, fan_chart
from recsys.reports.charts.lines import Level, Mark, Series, line_chart
from recsys.reports.charts.scatter import scatter_chart
from recsys.reports.charts.tradeoff import Dot, Span, difference_chart, time_chart
from recsys.reports.charts.trials import Axis, Point, Trace, history_chart, parallel_chart

HOSTILE = "<script>alert(1)</script> $x_1$ \ud83d \x00 \u5546\u54c1"


def shown(chart, tag="text"):
    """Words of the picture, which has no undefined coordinate."""
    root = ElementTree.fromstring(chart)
    for element in root.iter():
        assert "nan" not in " ".join(element.attrib.values()).lower().split()
    assert not list(root.iter("script"))
    assert root.get("aria-label")
    return [element.text for element in root.iter(tag)]


def test_lines_name_their_points_and_leave_out_what_is_undefined():
    lines = [Series("model", [1, 2, 3], [0.1, math.nan, 0.3]), Series("base", [1], [0.2], "faint")]
    chart = line_chart(lines, x_label="epoch", y_label="loss", mark=Mark(3, "epoch 3 chosen"))
    assert sorted(shown(chart, "title")) == [
        "base, epoch 1: 0.2000",
        "model, epoch 1: 0.1000",
        "model, epoch 3: 0.3000",
    ]
    assert {"epoch", "loss", "epoch 3 chosen", "model", "base"} <= set(shown(chart))
    leveled = line_chart(lines[:1], x_label="epoch", y_label="%", level=Level(0.5, "target"))
    assert "target" in shown(leveled)
    assert "nothing to show" in line_chart([], x_label="epoch", y_label="loss")


def test_bars_hold_label_value_detail_and_interval():
    bars = [Bar("GMF", 0.25, "accent", (0.2, 0.3), "9 customers"), Bar("MF", math.nan)]
    chart = bar_chart(bars, description="NDCG")
    assert shown(chart) == ["GMF", "9 customers", "0.2500", "MF", "\N{EN DASH}"]
    assert "0.2000 to 0.3000" in shown(chart, "title")[0]
    assert shown(bar_chart([Bar("zero", 0.0)], description="x")) == ["zero", "0.0000"]


def test_histogram_counts_bins_that_are_open_at_the_left():
    chart = histogram(
        [0, 0, 0.5, 1, 1.5, math.nan], [0, 1, math.inf], x_label="x", noun="user", description="d"
    )
    assert [title.replace("\N{NO-BREAK SPACE}", " ") for title in shown(chart, "title")] == [
        "0: 2 users (40.0 %)",
        "above 0 to 1: 2 users (40.0 %)",
        "above 1: 1 user (20.0 %)",
    ]
    assert "nothing to show" in histogram([], [0, 1], x_label="x", noun="u", description="d")


def test_edges_are_round_and_inside():
    assert round_edges(1.0, 10) == pytest.approx(np.arange(11) / 10)
    assert round_edges(2.3, 10)[-1] <= 2.3


def test_dots_above_the_ceiling_keep_their_value_in_the_title():
    chart = scatter_chart(
        ["a", "b", "c"],
        np.array([1.0, 10.0, math.nan]),
        np.array([0.5, 9.0, 1.0]),
        x_label="units",
        y_label="WAPE",
        ceiling=1.0,
        description="d",
    )
    assert shown(chart, "title") == ["a: 0.500, 1 units", "b: 9.000, 10 units"]
    none = np.array([math.nan])
    empty = {"x_label": "x", "y_label": "y", "ceiling": 1.0, "description": "d"}
    assert "nothing to show" in scatter_chart(["a"], none, none, **empty)


@pytest.mark.parametrize("step", ["hour", "day", "week", "month"])
@pytest.mark.parametrize("horizon", [1, 5])
def test_fan_says_each_step_under_the_pointer(step, horizon):
    ones = np.ones(horizon)
    quantiles = {0.1: 0 * ones, 0.5: ones, 0.9: 2 * ones}
    sold = np.r_[3.0, math.nan, 4.0, 2 * ones]
    chart = fan_chart(
        Fan(1_483_228_800, step, sold, quantiles, ones), y_label="units", description="d"
    )
    titles = [title.replace("\N{NO-BREAK SPACE}", " ") for title in shown(chart, "title")]
    assert len(titles) == horizon
    assert titles[0].endswith("sold 2, forecast 1, 80 % interval 0 to 2")
    unknown = Fan(0, "day", np.full(3, math.nan), {})
    assert "nothing to show" in fan_chart(unknown, y_label="units", description="d")


@pytest.mark.parametrize(
    "seconds", [(0.2, 3.0, 5_000.0), (12.0,) * 3, (None, 5.0, 2e4), (None,) * 3]
)
def test_quality_against_time_names_every_model(seconds):
    names = ["NeuMF", "MF", "popularity"]
    dots = [
        Dot(name, second, 0.4, (0.3, math.nan)) for name, second in zip(names, seconds, strict=True)
    ]
    chart = time_chart(dots, y_label="NDCG@10")
    assert set(names) <= set(shown(chart))
    assert len(shown(chart, "title")) == 3
    assert ("timed" in shown(chart)) == (None in seconds)


def test_differences_are_signed():
    spans = [Span("better", 0.2, (0.1, 0.3), "accent"), Span("worse", -0.1, (math.nan, math.nan))]
    chart = difference_chart(spans, x_label="NDCG", mark="reference")
    assert {"better", "worse", "+0.2000", "\N{MINUS SIGN}0.1000", "reference"} <= set(shown(chart))
    assert "nothing to compare" in difference_chart([], x_label="x", mark="m")


def test_history_marks_pruned_trials():
    points = [Point(0, 0.2), Point(1, 0.5, True), Point(2, math.nan)]
    chart = history_chart(points, y_label="NDCG@10", higher_is_better=True)
    assert shown(chart, "title") == ["trial 0: 0.2000", "trial 1: 0.5000, pruned"]
    assert "no trial gave a value" in history_chart([], y_label="y", higher_is_better=True)


def test_parallel_coordinates_have_a_line_for_each_trial():
    axes = [Axis("train.lr", [(0, "0.1"), (1, "0.2")]), Axis("NDCG", [(0.5, "0.3")])]
    chart = parallel_chart([Trace("trial 0", [0, 1], "best")], axes, description="d")
    assert {"train.lr", "NDCG", "0.1", "0.2", "0.3"} == set(shown(chart))
    assert shown(chart, "title") == ["trial 0"]
    assert "no trial gave a value" in parallel_chart([], axes, description="d")


def test_words_from_outside_are_text():
    bars = bar_chart([Bar(HOSTILE, 1.0)], description=HOSTILE)
    assert "<script>alert(1)</script> $x_1$ ?" in shown(bars)[0]
    spans = difference_chart([Span(HOSTILE, 0.1, (0, 1))], x_label=HOSTILE, mark=HOSTILE)
    assert any("<script>" in words for words in shown(spans))
