"""Pictures of a sweep: every trial has its place, and no words overlap."""

import itertools
import math
from xml.etree import ElementTree

import pytest
from recsys.reports.axes import text_width
from recsys.tuning.pictures import Point, Trace, history_chart, parallel_chart

from recsys.tuning.space import Choice, Range

SPACE = {
    "model.hidden_dims": Choice(([16, 8], [32, 16], [128, 64, 32], [256, 128, 64])),
    "train.lr": Range(0.0001, 0.1, log=True),
    "loss.num_negatives": Range(1, 16),
    "model.only": Choice((None,)),
}


def assert_drawn_cleanly(chart):
    root = ElementTree.fromstring(chart)
    width, height = map(float, root.get("viewBox").split()[2:])
    boxes = []
    for text in root.iter("text"):
        size = text_width(text.text, 11 if "small" in text.get("class") else 13)
        x, y = float(text.get("x")), float(text.get("y"))
        left = x - {"start": 0, "middle": size / 2, "end": size}[text.get("text-anchor")]
        assert left >= -0.1, text.text
        assert left + size <= width + 0.1, text.text
        assert 9 <= y <= height
        boxes.append((y, left, left + size, text.text))
    for one, other in itertools.combinations(boxes, 2):
        if abs(one[0] - other[0]) < 11:
            assert one[2] <= other[1] + 0.5 or other[2] <= one[1] + 0.5, (one, other)
    for line in [*root.iter("polyline")]:
        for corner in line.get("points").split():
            x, y = map(float, corner.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height


def trace(number, **settings):
    chosen = {
        "model.hidden_dims": [32, 16],
        "train.lr": 0.01,
        "loss.num_negatives": 4,
        "model.only": None,
    }
    return Trace(f"trial {number}", chosen | settings, 0.1 + 0.01 * number)


def test_a_line_a_trial_from_axis_to_axis():
    traces = [
        trace(0, **{"train.lr": 0.0001, "loss.num_negatives": 1}),
        trace(1, **{"train.lr": 0.1, "loss.num_negatives": 16}),
        trace(2),
        Trace("undefined", {}, math.nan),
    ]
    chart = parallel_chart(traces, SPACE, metric="NDCG@10, new items")
    assert_drawn_cleanly(chart)
    lines = list(ElementTree.fromstring(chart).iter("polyline"))
    assert len(lines) == 3
    assert {len(line.get("points").split()) for line in lines} == {len(SPACE) + 1}
    across = [[float(c.split(",")[0]) for c in line.get("points").split()] for line in lines]
    # both ends of the ranges, and the logarithmic middle between
    assert across[0][1] < across[2][1] < across[1][1]
    assert across[2][1] - across[0][1] == pytest.approx(2 * (across[1][1] - across[2][1]), abs=0.2)
    assert "trial 2: 0.1200 (hidden_dims [32, 16], lr 0.01, num_negatives 4, only null)" in chart


def test_one_trial_and_many_axes_are_drawn():
    space = {f"train.setting_{number}": Range(0.0, 1.0) for number in range(12)}
    only = Trace("trial 0", dict.fromkeys(space, 0.5), 0.3, "best")
    assert_drawn_cleanly(parallel_chart([only], space, metric="WAPE"))


def test_the_line_of_the_best_rises_and_pruned_trials_are_hollow():
    points = [Point(0, 0.2), Point(1, 0.1), Point(2, 0.5, True), Point(3, 0.3), Point(4, math.nan)]
    chart = history_chart(points, y_label="NDCG@10", higher_is_better=True)
    assert_drawn_cleanly(chart)
    root = ElementTree.fromstring(chart)
    assert [dot.get("class") for dot in root.iter("circle")].count("hollow") == 1
    (line,) = root.iter("polyline")
    heights = [float(corner.split(",")[1]) for corner in line.get("points").split()]
    assert heights == sorted(heights, reverse=True)
    dots = [float(dot.get("cy")) for dot in root.iter("circle")]
    assert set(heights) == {dots[0], dots[3]}  # 0.2, then 0.3; what was pruned is never best


def test_a_tower_of_layers_is_named_without_brackets():
    towers = [[16, 8], [32, 16], [64, 32], [32, 16, 8], [64, 32, 16], [128, 64]]
    only = Trace("trial 0", {"model.hidden_dims": [64, 32, 16]}, 0.3)
    chart = parallel_chart([only], {"model.hidden_dims": Choice(tuple(towers))}, metric="WAPE")
    assert_drawn_cleanly(chart)
    names = [text.text for text in ElementTree.fromstring(chart).iter("text")]
    assert {"-".join(map(str, tower)) for tower in towers} <= set(names)


def test_names_without_room_are_left_out_between_the_ends():
    names = [f"a loss with a rather long name, {number}" for number in range(5)]
    only = Trace("trial 0", {"loss": names[2]}, 0.3)
    chart = parallel_chart([only], {"loss": Choice(tuple(names))}, metric="WAPE")
    assert_drawn_cleanly(chart)
    written = {text.text for text in ElementTree.fromstring(chart).iter("text")}
    assert names[0] in written
    assert not {names[1], names[3]} & written


def test_a_single_trial_is_a_dot_without_a_line_to_trials_that_are_not():
    chart = history_chart([Point(0, 0.2)], y_label="NDCG@10", higher_is_better=True)
    root = ElementTree.fromstring(chart)
    (line,) = root.iter("polyline")
    assert len({corner.split(",")[0] for corner in line.get("points").split()}) == 1
    assert "1" not in [text.text for text in root.iter("text")]


@pytest.mark.parametrize("number", [1, 7, 240])
def test_a_history_of_any_length_is_readable(number):
    points = [Point(trial, 0.1 + trial % 7 / 100) for trial in range(number)]
    assert_drawn_cleanly(history_chart(points, y_label="WAPE", higher_is_better=False))


def test_nothing_to_draw_is_said():
    assert "no trial gave a value" in history_chart([], y_label="", higher_is_better=True)
    assert "no trial gave a value" in parallel_chart([], SPACE, metric="")
