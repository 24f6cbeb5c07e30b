"""Transactions and sales tables become series on a regular grid."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recsys.data.panel import SalesPanel
from recsys.data.report import PanelReport
from recsys.data.resampling import Resampling, panel_from_transactions
from recsys.data.sales_tables import SalesTable, panel_from_sales
from recsys.errors import ConfigError, DataError

DAY = 86_400


def seconds(text: str) -> int:
    return int(np.datetime64(text, "s").astype(int))


def summed(rows: list[tuple[Any, ...]], names: str = "item timestamp quantity", **settings: Any):
    """A panel of rows, with the edge steps kept unless said otherwise."""
    columns = zip(*rows, strict=True)
    table = pa.table({n: list(c) for n, c in zip(names.split(), columns, strict=True)})
    settings = {"series": ("item",), "keep_partial": True} | settings
    return panel_from_transactions(table, PanelReport("shop.csv"), Resampling(**settings))


def laid(rows: list[tuple[Any, ...]], names: str = "series_id timestamp y", **settings: Any):
    columns = zip(*rows, strict=True)
    table = pa.table({n: list(c) for n, c in zip(names.split(), columns, strict=True)})
    settings = {"step": "day"} | settings
    return panel_from_sales(table, PanelReport("series.csv"), SalesTable(**settings))


def series(panel: SalesPanel) -> dict[str, tuple[str, list[float | None]]]:
    """Id to first step and values; None for missing ones."""
    return {
        name: (
            str(np.datetime64(int(start), "s")),
            [None if np.isnan(v) else float(v) for v in panel.y[a:b]],
        )
        for name, start, a, b in zip(
            panel.series_ids, panel.start, panel.indptr[:-1], panel.indptr[1:], strict=True
        )
    }


ROWS = [
    ("tea", "2024-01-01 09:00:00", 2),
    ("tea", "2024-01-01 17:30:00", 1),
    ("tea", "2024-01-04 10:00:00", 5),
    ("jam", "2024-01-02 12:00:00", 4),
]


def test_rows_of_a_day_are_summed_and_days_between_are_zero_from_the_first_sale_on() -> None:
    panel = summed(ROWS)
    assert series(panel) == {
        "jam": ("2024-01-02T00:00:00", [4, 0, 0]),
        "tea": ("2024-01-01T00:00:00", [3, 0, 0, 5]),
    }
    assert panel.y.dtype == np.float32
    assert panel.start.dtype == panel.indptr.dtype == np.int64
    assert panel.keys["item"].tolist() == ["jam", "tea"]


@pytest.mark.parametrize(
    ("measure", "tea"),
    [("quantity", [3, 0, 0, 5]), ("lines", [2, 0, 0, 1]), ("value", [7, 0, 0, 5])],
)
def test_measure_says_what_is_summed(measure: str, tea: list[float]) -> None:
    prices = [2.0, 3.0, 1.0, 9.0]
    rows = [(*row, price) for row, price in zip(ROWS, prices, strict=True)]
    panel = summed(rows, "item timestamp quantity price", measure=measure)
    assert series(panel)["tea"][1] == tea


def test_value_without_a_quantity_is_the_price_alone() -> None:
    rows = [("tea", "2024-01-01", 2.5), ("tea", "2024-01-01", 1.0)]
    panel = summed(rows, "item timestamp price", measure="value")
    assert series(panel)["tea"][1] == [3.5]


def test_several_columns_name_a_series_together() -> None:
    rows = [
        ("tea", "north", "2024-01-01"),
        ("tea", "south", "2024-01-01"),
        ("jam", "n", "2024-01-01"),
    ]
    names = "item store timestamp"
    panel = summed(rows, names, series=("item", "store"), measure="lines")
    assert panel.series_ids.tolist() == ["jam / n", "tea / north", "tea / south"]
    assert panel.keys["store"].tolist() == ["n", "north", "south"]
    numbers = summed(
        [(i, "n", "2024-01-01") for i in ("10", "9")],
        names,
        series=("item", "store"),
        measure="lines",
    )
    assert numbers.series_ids.tolist() == ["9 / n", "10 / n"]
    other = summed(rows, names, series=("store", "item"), measure="lines")
    assert other.series_ids.tolist() == ["n / jam", "north / tea", "south / tea"]


def test_names_that_would_be_the_same_are_refused() -> None:
    rows = [("a / b", "c", "2024-01-01"), ("a", "b / c", "2024-01-01")]
    with pytest.raises(DataError, match="two series would both be called 'a / b / c'"):
        summed(rows, "item store timestamp", series=("item", "store"), measure="lines")


def test_days_are_those_of_the_shops_clock() -> None:
    # half past three in London is still the day before in New York
    rows = [("tea", "2024-01-02 03:30:00", 1), ("tea", "2024-01-02 15:00:00", 1)]
    panel = summed(rows, timezone="America/New_York", naive_timezone="UTC")
    assert series(panel)["tea"] == ("2024-01-01T00:00:00", [1, 1])


def test_weeks_begin_on_monday() -> None:
    # 7 January 2024 was a Sunday, also before 1970 the first Monday is one
    rows = [("tea", "2024-01-07 23:59:59", 1), ("tea", "2024-01-08 00:00:00", 2)]
    panel = summed(rows, step="week")
    assert series(panel)["tea"] == ("2024-01-01T00:00:00", [1, 2])


def test_hour_that_the_clock_skips_is_missing_and_the_one_shown_twice_is_summed() -> None:
    spring = [("tea", "2024-03-31T00:30:00Z", 1), ("tea", "2024-03-31T01:30:00Z", 2)]
    panel = summed(spring, step="hour", timezone="Europe/Berlin")
    # 01:30 in winter time, then 03:30 in summer time
    assert series(panel)["tea"] == ("2024-03-31T01:00:00", [1, None, 2])
    assert panel.report.decisions["hours that the clock skips, missing"] == 1
    assert "steps without a sale, filled with zero" not in panel.report.decisions

    autumn = [
        ("tea", "2024-10-26T23:30:00Z", 1),
        ("tea", "2024-10-27T00:30:00Z", 2),
        ("tea", "2024-10-27T01:30:00Z", 4),
        ("tea", "2024-10-27T02:30:00Z", 8),
    ]
    panel = summed(autumn, step="hour", timezone="Europe/Berlin")
    assert series(panel)["tea"] == ("2024-10-27T01:00:00", [1, 6, 8])
    assert panel.report.decisions["hours that the clock shows twice, summed"] == 1


def test_series_ends_when_it_has_not_sold_for_long() -> None:
    rows = [("tea", "2024-01-01", 1), ("jam", "2024-01-01", 1), ("jam", "2024-01-10", 1)]
    panel = summed(rows, retire_after=3)
    assert series(panel) == {
        "jam": ("2024-01-01T00:00:00", [1, *[0] * 8, 1]),
        "tea": ("2024-01-01T00:00:00", [1, 0, 0, 0]),
    }
    assert panel.retire_after == 3


@pytest.mark.parametrize(("life", "ended"), [(7, 1), (8, 1), (9, 0)])
def test_series_that_ended_before_the_table_are_counted(life: int, ended: int) -> None:
    rows = [("tea", "2024-01-01", 1), ("jam", "2024-01-01", 1), ("jam", "2024-01-10", 1)]
    told = f"series that ended: {life} steps without a sale before the table did"
    assert summed(rows, retire_after=life).report.decisions.get(told, 0) == ended


@pytest.mark.parametrize(("step", "life"), [("hour", 672), ("day", 84), ("week", 26)])
def test_series_ends_after_a_time_that_fits_the_step(step: str, life: int) -> None:
    rows = [("tea", "2020-01-06", 1), ("jam", "2024-01-01", 1)]
    panel = summed(rows, step=step)
    assert panel.retire_after == life
    assert panel.lengths.tolist() == [1, 1 + life]


def test_steps_in_which_the_table_begins_and_ends_are_left_out_and_counted() -> None:
    panel = summed(ROWS, keep_partial=False)
    # what was sold once, on 1 or 4 January, is gone, and so is the series that sold only then
    assert series(panel) == {"jam": ("2024-01-02T00:00:00", [4, 0])}
    assert panel.report.dropped == {"a time in the partial first or last day": 3}
    assert panel.report.decisions["partial steps at the ends of the table, left out"] == 2


def test_dates_without_a_time_of_day_make_whole_days() -> None:
    rows = [(item, time[:10], quantity) for item, time, quantity in ROWS]
    panel = summed(rows, keep_partial=False)
    assert series(panel)["tea"] == ("2024-01-01T00:00:00", [3, 0, 0, 5])
    assert panel.report.dropped == {}


def test_table_that_begins_and_ends_with_the_minute_has_whole_hours() -> None:
    rows = [
        ("tea", "2024-01-01 09:00:00", 1),
        ("tea", "2024-01-01 10:30:00", 2),
        ("tea", "2024-01-01 11:59:00", 4),
        ("tea", "2024-01-01 12:58:00", 8),
    ]
    panel = summed(rows, keep_partial=False, step="hour")
    assert series(panel)["tea"] == ("2024-01-01T09:00:00", [1, 2, 4])


@pytest.mark.parametrize(
    ("first", "last", "weeks"),
    [
        ("2024-01-01 11:00:00", "2024-01-21 20:00:00", 3),  # Monday to Sunday
        ("2024-01-02 11:00:00", "2024-01-21 20:00:00", 2),  # from Tuesday
        ("2024-01-01 11:00:00", "2024-01-20 20:00:00", 2),  # until Saturday
    ],
)
def test_week_is_whole_where_the_table_reaches_its_first_or_last_day(
    first: str, last: str, weeks: int
) -> None:
    rows = [("tea", first, 1), ("tea", "2024-01-10 11:00:00", 1), ("tea", last, 1)]
    assert len(summed(rows, keep_partial=False, step="week").y) == weeks


def test_returns_are_left_out_or_subtracted() -> None:
    rows = [*ROWS, ("tea", "2024-01-03 10:00:00", -2), ("tea", "2024-01-04 11:00:00", -1)]
    dropped = summed(rows)
    assert series(dropped)["tea"][1] == [3, 0, 0, 5]
    assert dropped.report.dropped == {"a return (a quantity below 0)": 2}
    net = summed(rows, returns="net")
    assert series(net)["tea"][1] == [3, 0, -2, 4]
    assert net.report.decisions["returns subtracted"] == 2
    assert net.report.decisions["steps below zero"] == 1
    assert series(summed(rows, returns="net", measure="lines"))["tea"][1] == [2, 0, -1, 0]


def test_return_neither_begins_nor_prolongs_a_series() -> None:
    rows = [
        ("tea", "2024-01-01", -7),
        ("tea", "2024-01-02", 9),
        ("tea", "2024-01-05", -3),
        ("jam", "2024-01-01", -7),
        ("oat", "2024-01-09", 1),
    ]
    panel = summed(rows, returns="net", retire_after=2)
    assert series(panel) == {
        "oat": ("2024-01-09T00:00:00", [1]),
        "tea": ("2024-01-02T00:00:00", [9, 0, 0]),
    }
    assert panel.report.dropped == {"a return outside the life of its series": 3}
    assert panel.report.decisions["series of zeros only, left out"] == 1


def test_bad_rows_are_counted_reason_by_reason() -> None:
    rows = [
        ("tea", "2024-01-01", "1"),
        (None, "2024-01-01", "1"),
        ("tea", "yesterday", "1"),
        ("tea", "2199-01-01", "1"),
        ("tea", "2024-01-01", "many"),
        ("tea", "2024-01-01", "0"),
    ]
    panel = summed(rows)
    assert panel.report.rows_in == 6
    assert panel.report.rows == 1
    assert panel.report.dropped == {
        "no item": 1,
        "a timestamp that cannot be read": 1,
        "a timestamp in the future": 1,
        "a quantity that is not a number": 1,
        "a quantity of 0": 1,
    }
    assert series(panel) == {"tea": ("2024-01-01T00:00:00", [1])}
    with pytest.raises(DataError, match=r"shop\.csv: 1 row has no item .*data row 2\)"):
        summed(rows, on_bad_rows="error")


def test_bad_rows_do_not_say_where_the_table_ends() -> None:
    rows = [*ROWS, ("tea", "2199-01-01 00:00:00", 1), ("tea", "?", 1)]
    assert series(summed(rows, keep_partial=False)) == {"jam": ("2024-01-02T00:00:00", [4, 0])}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step": "quarter"}, "data.step='quarter': choose hour, day, week or month"),
        ({"measure": "weight"}, "data.measure='weight': choose quantity, value or lines"),
        ({"returns": "keep"}, "data.returns='keep': choose drop or net"),
        ({"retire_after": 0}, "data.retire_after=0"),
        ({"seasonality": 10**9}, "data.seasonality=1000000000"),
        ({"series": ()}, "data.series is empty"),
        ({"series": ("shop",)}, r"data.series names 'shop'.*\(it has item\)"),
        ({"measure": "value"}, "needs the column price of shop.csv: set data.columns.price"),
        ({"timezone": "Mars"}, "data.timezone='Mars'"),
        ({"on_bad_rows": "keep"}, "data.on_bad_rows='keep'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        summed(ROWS, **settings)


def test_table_of_which_nothing_is_left_says_why() -> None:
    with pytest.raises(DataError, match=r"none of the 1 rows can be used \(1 had no item\)"):
        summed([(None, "2024-01-01", 1)])
    with pytest.raises(DataError, match="none of the 1 rows.*partial first or last day"):
        summed([("tea", "2024-01-01 09:00:00", 1)], keep_partial=False)


def test_report_says_what_came_out() -> None:
    panel = summed([*ROWS, ("oat", "2024-01-01", 2)])
    told = panel.report.to_json()
    assert told["source"] == "shop.csv"
    assert (told["rows_in"], told["rows"], told["series"], told["steps"]) == (5, 5, 3, 11)
    assert (told["first"], told["last"]) == ("2024-01-01T00:00:00", "2024-01-04T00:00:00")
    assert told["decisions"] == {
        "steps without a sale, filled with zero": 7,
        "series shorter than 8 steps": 3,
    }
    assert len(told["fingerprint"]) == 16
    other = summed([*ROWS, ("oat", "2024-01-01", 3)])
    assert other.report.fingerprint != panel.report.fingerprint


@pytest.mark.parametrize(("days", "short"), [(7, 1), (8, 0)])
def test_series_of_one_season_is_short(days: int, short: int) -> None:
    panel = laid([("a", f"2024-01-0{day}", float(day)) for day in range(1, days + 1)])
    assert panel.report.decisions.get("series shorter than 8 steps", 0) == short


def test_constant_series_are_counted_and_kept() -> None:
    panel = laid([("a", f"2024-01-0{day}", 5) for day in range(1, 5)])
    assert panel.report.decisions["constant series"] == 1
    assert len(panel) == 1


SALES = [
    ("b", "2024-01-02", 1.0),
    ("a", "2024-01-03", 3.0),
    ("a", "2024-01-01", 2.0),
    ("b", "2024-01-01", 0.0),
    ("a", "2024-01-02", 1.0),
]


def test_rows_of_a_sales_table_come_in_any_order() -> None:
    panel = laid(SALES)
    assert series(panel) == {
        "a": ("2024-01-01T00:00:00", [2, 1, 3]),
        "b": ("2024-01-01T00:00:00", [0, 1]),
    }
    assert panel.retire_after is None
    assert panel.report.rows == 5


@pytest.mark.parametrize(
    ("gaps", "a", "told"),
    [
        ("missing", [2, 1, 3, None, None, 4], {"steps without a row, missing": 2}),
        ("zero", [2, 1, 3, 0, 0, 4], {"steps without a row, filled with zero": 2}),
    ],
)
def test_gap_is_missing_or_zero_and_counted(gaps: str, a: list, told: dict[str, int]) -> None:
    panel = laid([*SALES, ("a", "2024-01-06", 4.0)], gaps=gaps)
    assert series(panel)["a"][1] == a
    assert told.items() <= panel.report.decisions.items()


def test_repeated_timestamp_is_an_error_or_counted() -> None:
    rows = [*SALES, ("a", "2024-01-02", 7.0)]
    with pytest.raises(DataError, match="1 row has the series_id and timestamp of an earlier row"):
        laid(rows)
    panel = laid(rows, on_bad_rows="drop")
    assert series(panel)["a"][1] == [2, 1, 3]
    assert panel.report.dropped == {"the series_id and timestamp of an earlier row": 1}


def test_timestamp_between_the_steps_is_an_error_or_counted() -> None:
    rows = [("a", "2023-12-31 07:00:00", 9.0), *SALES]
    with pytest.raises(DataError, match=r"1 row has a timestamp between the steps.*data row 1\)"):
        laid(rows)
    panel = laid(rows, on_bad_rows="drop")
    assert series(panel)["a"] == ("2024-01-01T00:00:00", [2, 1, 3])


def test_most_rows_say_where_the_steps_of_a_series_begin() -> None:
    rows = [("a", "2024-01-01 00:00:00", 9.0)]
    rows += [("a", f"2024-01-0{day} 07:00:00", 1.0) for day in (2, 3, 4)]
    panel = laid(rows, on_bad_rows="drop")
    assert series(panel)["a"] == ("2024-01-02T07:00:00", [1, 1, 1])


def test_each_series_has_a_grid_of_its_own() -> None:
    rows = [("a", f"2024-01-{d:02}", 1.0) for d in (1, 8, 15)]
    rows += [("b", f"2024-01-{d:02}", 2.0) for d in (3, 10, 17)]
    panel = laid(rows, step="week")
    assert series(panel) == {
        "a": ("2024-01-01T00:00:00", [1, 1, 1]),
        "b": ("2024-01-03T00:00:00", [2, 2, 2]),
    }


def test_step_that_is_not_that_of_the_table_is_refused() -> None:
    weekly = [("a", f"2024-01-{d:02}", 1.0) for d in (1, 8, 15)]
    with pytest.raises(
        DataError, match="mostly 7 days apart, but data.step=day is 1 day.*gaps=zero"
    ):
        laid(weekly)
    with pytest.raises(
        DataError, match="mostly 1 day apart, but data.step=week is 7 days.*sum the"
    ):
        laid(SALES, step="week")
    assert series(laid(weekly, gaps="zero"))["a"][1][:8] == [1, 0, 0, 0, 0, 0, 0, 1]


def test_negative_sales_are_kept_and_counted_or_refused() -> None:
    rows = [*SALES, ("b", "2024-01-03", -4.0)]
    panel = laid(rows)
    assert series(panel)["b"][1] == [0, 1, -4]
    assert panel.report.decisions["steps below zero"] == 1
    with pytest.raises(DataError, match=r"1 rows have a y below 0 \(the first is data row 6\)"):
        laid(rows, negative="error")


def test_empty_y_is_missing_and_a_word_is_bad() -> None:
    rows = [("a", "2024-01-01", "1"), ("a", "2024-01-02", " "), ("a", "2024-01-03", "3")]
    panel = laid(rows)
    assert series(panel)["a"][1] == [1, None, 3]
    assert panel.report.decisions["steps with a row but no y, missing"] == 1
    for word in ("many", "inf"):
        with pytest.raises(DataError, match="1 row has a y that is not a number"):
            laid([*rows, ("a", "2024-01-04", word)])


def test_series_begins_with_its_first_known_y_and_without_any_is_left_out() -> None:
    rows = [
        ("a", "2024-01-01", None),
        ("a", "2024-01-02", 2.0),
        ("a", "2024-01-03", 3.0),
        ("b", "2024-01-01", None),
        ("b", "2024-01-02", None),
        ("c", "2024-01-01", 0.0),
        ("c", "2024-01-02", 0.0),
    ]
    panel = laid(rows)
    assert series(panel) == {"a": ("2024-01-02T00:00:00", [2, 3])}
    assert panel.report.decisions == {
        "series without any y, left out": 1,
        "rows before the first y of their series, left out": 1,
        "series of zeros only, left out": 1,
        "series shorter than 8 steps": 1,
    }
    with pytest.raises(DataError, match="y is empty in all of the 1 rows"):
        laid([("a", "2024-01-01", float("nan"))])
    with pytest.raises(DataError, match="no series has a sale"):
        laid([("a", "2024-01-01", 0.0)])


def test_rows_behind_the_last_sale_carry_covariates_known_ahead() -> None:
    rows = [
        ("a", "2024-01-01", 1.0, 0.5),
        ("a", "2024-01-02", 2.0, None),
        ("a", "2024-01-03", None, 0.25),
        ("a", "2024-01-05", None, 0.75),
        ("Z", "2024-01-04", 0.0, 0.9),
        ("b", "2024-01-04", 3.0, 0.1),
    ]
    panel = laid(rows, "series_id timestamp y promotion", covariates=("promotion",))
    assert series(panel)["a"][1] == [1, 2, None, None, None]
    assert panel.covariate_names == ("promotion",)
    expected = np.array([[0.5], [np.nan], [0.25], [np.nan], [0.75], [0.1]], dtype=np.float32)
    np.testing.assert_array_equal(panel.covariates, expected)
    assert panel.known.tolist() == [2, 1]
    assert panel.report.covariates == ["promotion"]
    assert panel.report.decisions["steps after the last y, known ahead"] == 3
    assert panel.report.decisions["unknown values of promotion"] == 2
    # the last sale, not the last row
    assert panel.report.last == "2024-01-04T00:00:00"
    assert "steps with a row but no y, missing" not in panel.report.decisions


def test_times_without_an_offset_stay_and_those_with_one_move_to_the_wall_clock() -> None:
    zone = "America/New_York"
    naive = [("a", f"2024-01-0{d} 00:00:00", 1.0) for d in (1, 2)]
    assert series(laid(naive, timezone=zone))["a"][0] == "2024-01-01T00:00:00"
    aware = [("a", f"2024-01-0{d}T05:00:00Z", 1.0) for d in (1, 2)]
    assert series(laid(aware, timezone=zone))["a"][0] == "2024-01-01T00:00:00"
    numbers = [("a", seconds(f"2024-01-0{d}T05:00:00"), 1.0) for d in (1, 2)]
    panel = laid(numbers, timezone=zone, timestamp_unit="s")
    assert series(panel)["a"][0] == "2024-01-01T00:00:00"


def test_hours_of_a_sales_table_follow_the_wall_clock() -> None:
    zone = "Europe/Berlin"
    spring = [("a", f"2024-03-31T0{h}:00:00Z", 1.0) for h in range(3)]
    panel = laid(spring, step="hour", timezone=zone, gaps="zero")
    assert series(panel)["a"][1] == [1, None, 1, 1]
    autumn = [("a", f"2024-10-27T0{h}:00:00Z", h + 1.0) for h in range(3)]
    panel = laid(autumn, step="hour", timezone=zone)
    assert series(panel)["a"][1] == [3, 3]
    assert panel.report.decisions["hours that the clock shows twice, summed"] == 1


def test_ids_keep_every_character_and_numbers_sort_as_numbers() -> None:
    rows = [(i, "2024-01-01", 1.0) for i in ("10", "007", "NA", "9")]
    assert laid(rows).series_ids.tolist() == ["9", "10", "007", "NA"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"gaps": "fill"}, "data.gaps='fill'"), ({"negative": "zero"}, "data.negative='zero'")],
)
def test_settings_of_a_sales_table_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        laid(SALES, **settings)


def test_many_rows_are_summed_as_pandas_would(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    size = 5_000
    frame = pd.DataFrame(
        {
            "item": generator.choice(["a", "b", "c", "d"], size),
            "store": generator.integers(0, 3, size).astype(str),
            "timestamp": pd.Timestamp("2024-01-01")
            + pd.to_timedelta(generator.integers(0, 60 * DAY, size), unit="s"),
            "quantity": generator.integers(1, 9, size),
        }
    )
    settings = Resampling(("item", "store"), keep_partial=True)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    panel = panel_from_transactions(table, PanelReport("rows"), settings)
    day = frame["timestamp"].dt.floor("D")
    expected = frame.groupby(["item", "store", day])["quantity"].sum().unstack(fill_value=0)
    assert panel.lengths.tolist() == [60] * 12
    np.testing.assert_array_equal(panel.y.reshape(12, 60), expected.to_numpy())
