from datetime import UTC, datetime

import pytest
from recsys.reports.axes import Scale, log_ticks, text_width
from recsys.reports.dates import date_range, date_ticks, moment_name

HOUR, DAY = 3_600, 86_400


def at(*when):
    return datetime(*when, tzinfo=UTC).timestamp()


def ticks_of(start, seconds, step=HOUR):
    return date_ticks(Scale(start, start + seconds, 40, 296), 300, 13, step)


@pytest.mark.parametrize("start", [at(2016, 12, 27), at(2017, 3, 1, 13, 37), at(1970, 1, 1)])
@pytest.mark.parametrize(
    "seconds", [HOUR, 5 * HOUR, 48 * HOUR, 4 * DAY, 28 * DAY, 112 * DAY, 900 * DAY, 20_000 * DAY]
)
def test_dates_stand_side_by_side_inside_the_picture(start, seconds):
    across = Scale(start, start + seconds, 40, 296)
    found = date_ticks(across, 300, 13)
    assert found
    ends = [
        (across(when) - text_width(name, 13) / 2, across(when) + text_width(name, 13) / 2)
        for when, name in found
    ]
    assert ends[0][0] >= 0
    assert ends[-1][1] <= 300
    assert all(after[0] - before[1] >= 8 for before, after in zip(ends, ends[1:], strict=False))


def test_steps_fit_the_span():
    assert ticks_of(at(2017, 3, 1), 10 * HOUR)[:2] == [
        (at(2017, 3, 1), "1 Mar"),
        (at(2017, 3, 1, 3), "03:00"),
    ]
    # 2017-03-06 was a Monday
    assert ticks_of(at(2017, 3, 2), 28 * DAY)[0] == (at(2017, 3, 6), "6 Mar")
    assert [name for _, name in ticks_of(at(2016, 11, 15), 120 * DAY)] == [
        "Dec",
        "Jan 2017",
        "Feb",
        "Mar",
    ]
    assert [name for _, name in ticks_of(at(2012, 6, 1), 2000 * DAY)][0] == "2013"


def test_ticks_are_not_closer_than_steps():
    assert [name for _, name in ticks_of(at(2017, 3, 1), 2 * DAY, DAY)] == [
        "1 Mar",
        "2 Mar",  # 3 Mar would not fit at the edge
    ]


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (at(2017, 3, 12), at(2017, 3, 12, 5), "12 Mar 2017"),
        (at(2017, 3, 12), at(2017, 3, 19), "12 to 19 Mar 2017"),
        (at(2017, 3, 12), at(2017, 4, 2), "12 Mar to 2 Apr 2017"),
        (at(2016, 12, 12), at(2017, 1, 2), "12 Dec 2016 to 2 Jan 2017"),
    ],
)
def test_range_says_what_differs(first, last, words):
    assert date_range(first, last) == words


def test_time_of_day_where_steps_are_short():
    assert moment_name(at(2017, 3, 12, 5), HOUR) == "12 Mar 2017, 05:00"
    assert moment_name(at(2017, 3, 12), DAY) == "12 Mar 2017"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.5, 200, [1, 10, 100]), (3, 40, [5, 10, 20]), (1e-3, 1e9, None), (7, 7, [7])],
)
def test_logarithmic_ticks_are_few_and_inside(low, high, expected):
    found = log_ticks(low, high)
    assert 1 <= len(found) <= 6
    assert all(low <= value <= high for value in found)
    assert expected is None or found == pytest.approx(expected)
