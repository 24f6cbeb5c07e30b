import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from recsys.reports.axes import shortened, text_width, tick_labels, ticks
from recsys.reports.fan_chart import Fan, fan_chart
from recsys.reports.scatter_chart import scatter_chart

from recsys.reports.charts import Bar, Level, Mark, Series, bar_chart, histogram, line_chart

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


def test_histogram_with_an_open_end_counts_what_is_beyond_in_grey():
    chart = histogram(
        [0.0, 0.5, 1.0, 1.5, 7.0],
        [0.0, 1.0, 2.0, math.inf],
        x_label="x",
        noun="series",
        description="d",
        apart=False,
        accent_until=1.0,
    )
    assert_drawn_cleanly(chart)
    titles = [title.text for title in ElementTree.fromstring(chart).iter("title")]
    assert [title.partition(" (")[0] for title in titles] == [
        "above 0 to 1: 3 series",
        "above 1 to 2: 1 series",
        "above 2: 1 series",
    ]
    bars = [bar.get("class") for bar in ElementTree.fromstring(chart).iter("rect")]
    assert [style for style in bars if style.startswith("bar")] == [
        "bar accent",
        "bar quiet",
        "bar quiet",
    ]
    assert [words for *_, words in texts(chart, "tick")] == ["0", "1", "2"]


@pytest.mark.parametrize("level", [-5.0, 0.5, 80.0])
def test_level_lies_inside_and_is_named(level):
    line = Series("LSTM", [1, 2], [0.4, 0.6])
    chart = line_chart([line], x_label="x", y_label="y", level=Level(level, "as promised"))
    assert_drawn_cleanly(chart)
    (height,) = {
        float(line.get("y1"))
        for line in ElementTree.fromstring(chart).iter("line")
        if line.get("class") == "mark"
    }
    assert 28 <= height <= 206
    assert [words for *_, words in texts(chart, "tick")][-2:] == ["LSTM", "as promised"]


def test_lines_of_one_name_stand_once_in_the_legend():
    lines = [Series("val", [1, 2], [1, 2], "quiet"), Series("final", [1, 2], [2, 3])]
    lines.append(Series("final", [1, 2], [3, 4], named=False))
    chart = line_chart(lines, x_label="x", y_label="y")
    assert [words for *_, words in texts(chart)].count("final") == 1


def a_fan(sold, horizon=3, quantiles=(0.1, 0.25, 0.5, 0.75, 0.9), step=86_400, beside=()):
    return Fan(
        start=1_483_228_800.0,  # 2017-01-01
        step_seconds=step,
        sold=np.array(sold, dtype=float),
        quantiles={level: 10 * level + np.arange(horizon, dtype=float) for level in quantiles},
        beside=np.array(beside, dtype=float),
    )


def drawn(fan, width=300):
    chart = fan_chart(fan, y_label="units sold a day", description="d", width=width)
    assert_drawn_cleanly(chart)
    picture = ElementTree.fromstring(chart)
    for shape in [*picture.iter("polygon"), *picture.iter("polyline")]:
        for point in shape.get("points").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= 171
    return picture


@pytest.mark.parametrize(
    "sold",
    [
        [1, 2, 3, 4, 5, 6],
        [0, 0, 0, 0, 0, 0],
        [math.nan, 2, math.nan, 4, math.nan, math.nan],
        [1e6, 1e6 + 1, 1e6, 1e6, 1e6, 1e6],
        [-3, 2, 1, 4, -5, 6],
        [4, 5, 6],
        [1, 2, *BROKEN, 3],
    ],
)
@pytest.mark.parametrize("step", [3_600, 86_400, 604_800])
def test_fan_is_clean(sold, step):
    drawn(a_fan(sold, step=step, beside=[1, math.nan, 2]))


@pytest.mark.parametrize("horizon", [1, 2, 48])
def test_fan_of_any_length_is_clean(horizon):
    picture = drawn(a_fan(range(horizon + 5), horizon, beside=range(horizon)))
    titles = [title.text for title in picture.iter("title")]
    assert len(titles) == horizon
    assert titles[0].startswith("6 Jan 2017: sold 5, forecast 5, 80")


def test_widest_interval_lies_below_the_others():
    styles = [polygon.get("class") for polygon in drawn(a_fan(range(6))).iter("polygon")]
    assert styles == ["band wide", "band middle"]
    points = [polygon.get("points").split() for polygon in drawn(a_fan(range(6))).iter("polygon")]
    # the upper edge comes first; up is a smaller y
    assert float(points[0][0].split(",")[1]) < float(points[1][0].split(",")[1])


def test_forecast_without_intervals_has_its_median_only():
    picture = drawn(a_fan(range(6), quantiles=(0.5,)))
    assert not list(picture.iter("polygon"))
    assert [line.get("class") for line in picture.iter("polyline")] == ["line median", "line sold"]


def test_gap_in_the_sales_is_a_gap_in_the_line():
    picture = drawn(a_fan([1, 2, math.nan, 4, 5, 6]))
    sold = [line for line in picture.iter("polyline") if line.get("class") == "line sold"]
    assert [len(line.get("points").split()) for line in sold] == [2, 3]


def test_forecast_begins_after_the_border():
    picture = drawn(a_fan(range(6)))
    (border,) = [line for line in picture.iter("line") if line.get("class") == "border"]
    median, sold = (line.get("points").split() for line in picture.iter("polyline"))
    # three steps before, three after
    assert float(sold[2].split(",")[0]) < float(border.get("x1")) < float(sold[3].split(",")[0])
    assert median[0].split(",")[0] == sold[3].split(",")[0]


def test_fan_of_nothing_says_so():
    chart = fan_chart(a_fan([math.nan] * 2, 0, ()), y_label="y", description="d")
    assert_drawn_cleanly(chart)
    assert "nothing to show" in chart


@pytest.mark.parametrize("sizes", [[1, 10, 100], [5, 5, 5], [0.001, 1, 1e7], [0, math.nan, 3]])
def test_scatter_is_clean(sizes):
    chart = scatter_chart(
        ["a", "b", "c"],
        np.array(sizes, dtype=float),
        np.array([0.1, 3.0, 0.2]),
        x_label="units sold a day",
        y_label="WAPE",
        ceiling=0.5,
        description="d",
    )
    assert_drawn_cleanly(chart)
    dots = list(ElementTree.fromstring(chart).iter("circle"))
    assert len(dots) == sum(size > 0 for size in sizes)
    for dot in dots:
        assert 0 <= float(dot.get("cx")) <= 380
        assert 0 <= float(dot.get("cy")) <= 206
    hollow = [dot for dot in dots if dot.get("class") == "hollow"]
    # what is above the ceiling lies on it
    assert [float(dot.get("cy")) for dot in hollow] == [32.0] * (sizes[1] > 0)
    axis = [text for text in texts(chart, "tick") if text[2] == 226]
    assert axis
    assert all(after[0] - before[1] >= 4 for before, after in zip(axis, axis[1:], strict=False))


def test_scatter_without_sales_says_so():
    nothing = scatter_chart(
        ["a"],
        np.array([0.0]),
        np.array([1.0]),
        x_label="x",
        y_label="y",
        ceiling=1.0,
        description="d",
    )
    assert "nothing to show" in nothing
