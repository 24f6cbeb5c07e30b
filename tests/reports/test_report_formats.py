import math
from dataclasses import replace

import pytest

from recsys.data.report import DataReport
from recsys.reports.console import print_data_report
from recsys.reports.formats import (
    date_range,
    decimal,
    duration,
    form_words,
    listed,
    moment,
    moment_name,
    percent,
    plural,
    quantity,
    signed_percent,
    whole,
)


@pytest.mark.parametrize("write", [decimal, percent, whole, duration])
@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_missing_and_undefined_are_a_dash(write, value):
    assert write(value) == "–"


@pytest.mark.parametrize(
    ("share", "places", "words"),
    [
        (0.0, 1, "0.0 %"),
        (0.088, 1, "8.8 %"),
        (1e-5, 1, "<0.1 %"),
        (0.004, 0, "<1 %"),
        (1.0, 0, "100 %"),
    ],
)
def test_share_above_zero_never_reads_as_zero(share, places, words):
    assert percent(share, places).replace("\N{NO-BREAK SPACE}", " ") == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.25, "0.2 s"), (57.1, "57 s"), (59.6, "1 min 0 s"), (7500, "2 h 5 min")],
)
def test_duration_in_two_units(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("timestamp", "words"),
    [
        ("2026-03-01T12:30:59Z", "2026-03-01 12:30 UTC"),
        ("2026-03-01T12:30:59.123456+00:00", "2026-03-01 12:30 UTC"),
        ("2026-03-01T12:30:59.123456-05:00", "2026-03-01 12:30 -05:00"),
        ("2026-03-01", "2026-03-01"),
        (None, "–"),
    ],
)
def test_moment_keeps_its_offset(timestamp, words):
    assert moment(timestamp) == words


@pytest.mark.parametrize(
    ("step", "name", "words"),
    [
        ("hour", "1 Feb 2024, 00:00", "31 Dec 2023 to 1 Feb 2024"),
        ("week", "1 Feb 2024", "31 Dec 2023 to 1 Feb 2024"),
        ("month", "Feb 2024", "Dec 2023 to Feb 2024"),
    ],
)
def test_steps_are_named_as_exactly_as_they_begin(step, name, words):
    december, february = 1_703_980_800, 1_706_745_600
    assert moment_name(february, step) == name
    assert date_range(december, february, step) == words
    assert date_range(february, february, "month") == "Feb 2024"


def test_one_is_singular():
    assert [plural(1, "row"), plural(0, "row"), plural(1200, "row")] == [
        "1 row",
        "0 rows",
        "1,200 rows",
    ]


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.012, "+1.2 %"), (-0.5, "\N{MINUS SIGN}50.0 %"), (-0.0001, "0.0 %"), (math.nan, "–")],
)
def test_sign_stands_on_both_sides_of_zero(share, words):
    assert signed_percent(share).replace("\N{NO-BREAK SPACE}", " ") == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(12345.6, "12,346"), (123.4, "123"), (12.34, "12.3"), (3.0, "3"), (0.1234, "0.123")],
)
def test_quantity_in_three_digits(value, words):
    assert quantity(value) == words


@pytest.mark.parametrize(
    ("words", "sentence"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_last_of_a_list_has_an_and(words, sentence):
    assert listed(words) == sentence


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M (day first)"),
        ("%m/%d/%Y", "%m/%d/%Y (month first)"),
        ("%b %d, %Y", "%b %d, %Y (month first)"),
        ("%d %B %y", "%d %B %y (day first)"),
        ("%Y-%d-%m", "%Y-%d-%m"),
        ("%Y%m%d", "%Y%m%d"),
        ("ISO 8601", "ISO 8601"),
        ("numbers in s", "numbers in s"),
    ],
)
def test_a_form_of_times_says_which_of_day_and_month_comes_first(form, words):
    assert form_words(form) == words


def test_the_summary_of_purchases_says_how_times_were_read(capsys):
    report = DataReport("shop.csv", first="2024-01-01", last="2024-02-01")
    print_data_report(replace(report, timestamp_form="%m/%d/%Y"))
    assert "timestamps were read as" in (printed := capsys.readouterr().out)
    assert "%m/%d/%Y (month first)" in printed
    print_data_report(DataReport("shop.csv"))
    assert "timestamps" not in capsys.readouterr().out
