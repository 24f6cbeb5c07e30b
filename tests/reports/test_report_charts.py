import math
import re
from xml.etree import ElementTree

import pytest

from recsys.reports.axes import shortened, text_width, tick_labels, ticks
from recsys.reports.charts import Bar, Mark, Series, bar_chart, histogram, line_chart

BROKEN = [math.nan, math.inf, -math.inf]


def texts(chart, style=None):
    """(left, right, baseline, words) of every text, by the width that the charts reckon with."""
    found = []
    for text in ElementTree.fromstring(chart).iter("text"):
        if style in (None, text.get("class")):
            size = 11 if text.get("class") == "small" else 13
            x, width = float(text.get("x")), text_width(text.text or "", size)
            left = x - {"start": 0, "middle": width / 2, "end": width}[text.get("text-anchor")]
            found.append((left, left + width, float(text.get("y")), text.text))
    return found


def assert_drawn_cleanly(chart):
    picture = ElementTree.fromstring(chart)
    assert "nan" not in re.sub(r">[^<]*<", "><", chart).lower()
    assert "inf" not in re.sub(r">[^<]*<", "><", chart).lower()
    _, _, width, height = map(float, picture.get("viewBox").split())
    for left, right, baseline, words in texts(chart):
        # coordinates are written with one decimal
        assert left >= -0.1, words
        assert right <= width + 0.1, words
        assert 9 <= baseline <= height, words
    for rectangle in picture.iter("rect"):
        assert float(rectangle.get("width")) >= 0
        assert float(rectangle.get("height")) >= 0


def loss_chart(losses, mark=None):
    epochs = list(range(1, len(losses) + 1))
    return line_chart([Series("loss", epochs, losses)], x_label="epoch", y_label="loss", mark=mark)


@pytest.mark.parametrize(
    "losses",
    [
        [0.7],
        [0.5, 0.5],
        [0.0, 0.0],
        [0.7, *BROKEN, 0.6],
        [1e9, 1e-9],
        [0.1234567] * 3,
        [3e-7, 2e-7],
    ],
)
def test_line_chart_is_clean(losses):
    assert_drawn_cleanly(loss_chart(losses, Mark(len(losses), f"epoch {len(losses)} chosen")))


@pytest.mark.parametrize("epochs", [1, 2, 9, 20, 123, 1000])
def test_ticks_of_epochs_do_not_run_into_each_other(epochs):
    chart = loss_chart([1 / (epoch + 1) for epoch in range(epochs)])
    assert_drawn_cleanly(chart)
    axis = [text for text in texts(chart, "tick") if text[2] == 226]
    assert all(after[0] - before[1] >= 4 for before, after in zip(axis, axis[1:], strict=False))
    assert all(float(words.replace(",", "")).is_integer() for *_, words in axis)


@pytest.mark.parametrize("chosen", [1, 10, 20])
def test_mark_stays_inside_the_picture(chosen):
    assert_drawn_cleanly(loss_chart([0.5] * 20, Mark(chosen, f"epoch {chosen} chosen")))


def test_points_that_are_not_numbers_are_left_out():
    assert loss_chart([0.7, math.nan, 0.6]).count("<circle") == 2


def test_nothing_to_draw_says_so():
    assert "nothing to show" in loss_chart(BROKEN)
    assert "nothing to show" in histogram(
        [math.nan], [0, 1], x_label="x", noun="y", description="z"
    )


def test_legend_of_several_lines_is_inside_the_picture():
    lines = [Series("a rather long name of a line " * 2, [1, 2], [i, 2]) for i in range(3)]
    chart = line_chart(lines, x_label="epoch", y_label="loss")
    assert_drawn_cleanly(chart)
    names = [text for text in texts(chart) if text[3].startswith("a rather")]
    assert len({baseline for _, _, baseline, _ in names}) == 3


def test_bars_are_proportional_and_undefined_ones_missing():
    chart = bar_chart([Bar("a", 0.4), Bar("b", 0.1), Bar("c", math.nan)], description="d")
    assert_drawn_cleanly(chart)
    widths = [float(bar.get("width")) for bar in ElementTree.fromstring(chart).iter("rect")]
    assert len(widths) == 2
    assert widths[0] == pytest.approx(4 * widths[1], abs=0.3)
    assert [words for *_, words in texts(chart, "value")] == ["0.4000", "0.1000", "–"]


@pytest.mark.parametrize("value", [0.0, 1e-12, 1.0, 1234567.0, *BROKEN])
def test_bar_chart_is_clean(value):
    bars = [Bar("a", value, "accent", (0.0, 2.0)), Bar("b", 0.0, interval=(math.nan, 1.0))]
    assert_drawn_cleanly(bar_chart(bars, description="d"))


def test_long_label_is_shortened_and_whole_under_the_pointer():
    name = "Weihnachtsgebäck mit Füllung " * 4
    chart = bar_chart([Bar(name, 1.0, detail="1,234 customers")], description="d")
    assert_drawn_cleanly(chart)
    (label,) = [text for text in texts(chart) if text[3].endswith("…")]
    (detail,) = texts(chart, "tick")
    assert label[1] < detail[0]
    assert name in ElementTree.fromstring(chart).find("g/title").text


def test_wide_letters_count_as_wide():
    assert len(shortened("商品" * 30, 100, 13)) < len(shortened("ab" * 30, 100, 13))


def test_histogram_counts_what_is_above_low_up_to_high():
    values = [0.0, 0.0, 0.05, 0.1, 0.1000001, 1.0]
    edges = [step / 10 for step in range(11)]
    chart = histogram(values, edges, x_label="x", noun="customer", description="d")
    assert_drawn_cleanly(chart)
    titles = [title.text for title in ElementTree.fromstring(chart).iter("title")]
    counts = [int(re.search(r": (\d+) ", title)[1]) for title in titles]
    # two at 0, apart; 0.05 and 0.1 in the first bin; 0.1000001 in the second; 1 in the last
    assert counts == [2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 1]


def test_histogram_labels_do_not_run_into_each_other():
    chart = histogram(
        [1.0], [step / 10 for step in range(11)], x_label="x", noun="y", description="d"
    )
    assert_drawn_cleanly(chart)
    axis = [text for text in texts(chart, "tick") if text[2] == 188]
    assert [words for *_, words in axis] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert all(after[0] > before[1] for before, after in zip(axis, axis[1:], strict=False))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 7.9), (0.1234, 0.1235), (0, 1e9), (5, 5)])
def test_ticks_are_few_and_inside(low, high):
    found = ticks(low, high)
    assert 1 <= len(found) <= 6
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in found)


def test_tick_labels_tell_apart():
    assert tick_labels([0.025, 0.05, 0.075]) == ["0.025", "0.050", "0.075"]
    assert tick_labels([1000.0, 2000.0]) == ["1,000", "2,000"]
