"""The pictures hold what they show, and names stand apart."""

import itertools
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from recsys.comparison.picture import Box, Dot, Span, difference_chart, place_names, time_chart
from recsys.reports.axes import text_width

AREA = Box(40.0, 20.0, 380.0, 300.0)


def texts(chart, style=None):
    """(left, right, baseline, words) of every text."""
    found = []
    for text in ElementTree.fromstring(chart).iter("text"):
        if style in (None, text.get("class")):
            x = float(text.get("x"))
            width = text_width(text.text or "", 11 if text.get("class") == "small" else 13)
            left = x - {"start": 0, "middle": width / 2, "end": width}[text.get("text-anchor")]
            found.append((left, left + width, float(text.get("y")), text.text))
    return found


def assert_drawn_cleanly(chart):
    width, height = map(float, ElementTree.fromstring(chart).get("viewBox").split()[2:])
    attributes = re.sub(r">[^<]*<", "><", chart).lower()
    assert "nan" not in attributes
    assert "inf" not in attributes
    for left, right, baseline, words in texts(chart):
        assert left >= -0.1, words
        assert right <= width + 0.1, words
        assert 9 <= baseline <= height, words
    rows = sorted(texts(chart), key=lambda text: (text[2], text[0]))
    for one, other in itertools.combinations(rows, 2):
        if one[2] == other[2]:
            assert one[1] <= other[0] + 0.5 or other[1] <= one[0] + 0.5, (one, other)


def test_names_meet_neither_each_other_nor_the_dots():
    rng = np.random.default_rng(0)
    for case in range(30):
        points = [tuple(rng.uniform([60, 40], [360, 280])) for _ in range(12)]
        widths = rng.uniform(20, 130, 12).tolist()
        boxes = place_names(points, widths, [], AREA)
        placed = [box for box in boxes if box is not None]
        assert len(placed) >= 11, case
        for box, width in zip(boxes, widths, strict=True):
            if box is not None:
                assert box.right - box.left == pytest.approx(width)
                assert box.left >= AREA.left
                assert box.right <= AREA.right
                assert not any(
                    box.left < x < box.right and box.top < y < box.bottom for x, y in points
                )
        assert not any(one.meets(other) for one, other in itertools.combinations(placed, 2))


def test_names_of_models_at_one_place_are_stacked():
    boxes = place_names([(100.0, 150.0)] * 5, [80.0] * 5, [], AREA)
    assert None not in boxes
    assert not any(one.meets(other) for one, other in itertools.combinations(boxes, 2))


def test_a_name_stands_right_of_a_lonely_dot_and_left_at_the_edge():
    middle, edge = place_names([(100.0, 150.0), (370.0, 50.0)], [60.0, 60.0], [], AREA)
    assert middle.left > 100
    assert edge.right < 370


def test_no_room_gives_no_name():
    assert place_names([(100.0, 150.0)], [400.0], [], AREA) == [None]


@pytest.mark.parametrize(
    "seconds",
    [
        [0.2, 3.0, 45.0, 5_000.0],
        [30.0, 31.0, 33.0, 75.0],
        [12.0, 12.0, 12.0, 12.0],
        [None, None, 5.0, 20_000.0],
        [None] * 4,
        [0.0, 1e-3, 10.0, 1e6],
    ],
)
def test_quality_against_time_is_drawn_for_any_times(seconds):
    names = ["NeuMF (dim=64, dropout=0.5)", "MF", "personal frequency", "MF"]
    dots = [
        Dot(name, second, value, (value - 0.01, value + 0.02))
        for name, second, value in zip(names, seconds, [0.4, 0.41, 0.2, 0.41], strict=True)
    ]
    chart = time_chart(dots, y_label="NDCG@10, new items")
    assert_drawn_cleanly(chart)
    assert [words for *_, words in texts(chart, "small")] == names
    untimed = sum(not second for second in seconds)
    assert ("not timed" in chart) == bool(untimed)
    assert chart.count("<circle") == 4
    picture = ElementTree.fromstring(chart)
    across = [float(circle.get("cx")) for circle in picture.iter("circle")]
    timed = [(second, x) for second, x in zip(seconds, across, strict=True) if second]
    assert [x for _, x in sorted(timed)] == sorted(x for _, x in timed)


def test_ten_times_the_seconds_are_the_same_way_everywhere():
    dots = [Dot(f"m{second}", second, 0.1, (0.0, 0.2)) for second in (1.0, 10.0, 100.0)]
    picture = ElementTree.fromstring(time_chart(dots, y_label="x"))
    first, second, third = (float(circle.get("cx")) for circle in picture.iter("circle"))
    assert second - first == pytest.approx(third - second, abs=0.2)
    assert second > first


def test_undefined_intervals_leave_the_dot():
    dots = [Dot("MF", 3.0, 0.3, (math.nan, math.nan)), Dot("GMF", 4.0, 0.2, (0.1, 0.3))]
    assert_drawn_cleanly(time_chart(dots, y_label="x"))
    spans = [Span("MF", 0.1, (math.nan, math.nan)), Span("GMF", -0.2, (-0.3, -0.1), "accent")]
    assert_drawn_cleanly(difference_chart(spans, x_label="x", mark="popularity"))


def test_differences_stand_on_their_side_of_the_reference():
    spans = [Span("better", 0.2, (0.1, 0.3), "accent"), Span("worse", -0.1, (-0.2, 0.05))]
    chart = difference_chart(spans, x_label="NDCG", mark="a reference with a rather long name")
    assert_drawn_cleanly(chart)
    picture = ElementTree.fromstring(chart)
    (zero,) = {
        float(line.get("x1")) for line in picture.iter("line") if line.get("class") == "mark"
    }
    better, worse = ((float(c.get("cx")), c.get("class")) for c in picture.iter("circle"))
    assert better[0] > zero > worse[0]
    assert "accent" in better[1]
    assert "quiet" in worse[1]
    assert "+0.2000" in chart
    assert "\N{MINUS SIGN}0.1000" in chart
    assert "nothing to compare" in difference_chart([], x_label="x", mark="m")


def test_a_name_is_not_read_as_that_of_the_dot_beside():
    points = [(150.0, 150.0), (185.0, 151.0)]
    # no room to the right of the second dot; to its left the name would touch both
    _, name = place_names(points, [60.0, 18.0], [], Box(40.0, 20.0, 200.0, 300.0))
    assert name is not None
    assert not 140 < (name.top + name.bottom) / 2 < 162


def test_the_line_of_the_reference_strikes_no_name_through():
    spans = [Span("a name", 0.2, (0.1, 0.3)), Span("another", 0.3, (0.1, 0.4))]
    chart = difference_chart(spans, x_label="x", mark="reference")
    picture = ElementTree.fromstring(chart)
    pieces = [line for line in picture.iter("line") if line.get("class") == "mark"]
    for *_, baseline, words in texts(chart, "label")[:2]:
        for piece in pieces:
            assert not float(piece.get("y1")) < baseline - 3 < float(piece.get("y2")), words


@pytest.mark.parametrize(
    ("seconds", "ticks"),
    [
        ([9.9], ["9.9 s"]),
        ([64.0, 101.0], ["1 min", "2 min"]),
        ([70.0, 75.0], ["1 min 10 s"]),
        ([29.0, 75.0], ["30 s", "1 min"]),
        ([0.5, 900.0], ["1 s", "10 s", "1 min", "10 min"]),
    ],
)
def test_times_are_read_off_round_ticks(seconds, ticks):
    dots = [Dot("m", second, 0.1, (0.0, 0.2)) for second in seconds]
    found = [words for *_, words in texts(time_chart(dots, y_label="x"), "tick")]
    assert [words for words in found if words.endswith(("s", "min", "h"))] == ticks
