"""Every bad row is a counted drop or an error, as configured; days are the days of the shop."""

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recsys.data.cleaning import Cleaning, clean_transactions
from recsys.data.dataset import Dataset
from recsys.data.report import DataReport
from recsys.errors import ConfigError, DataError

Purchases = Callable[..., Dataset]


def clean(columns: dict[str, list[object] | pa.Array], **cleaning: object) -> Dataset:
    return clean_transactions(pa.table(columns), DataReport("sales.csv"), Cleaning(**cleaning))  # type: ignore[arg-type]


def seconds(text: str) -> int:
    return int(pd.Timestamp(text).timestamp())


def days(*dates: str) -> list[int]:
    return [(date.fromisoformat(day) - date(1970, 1, 1)).days for day in dates]


BAD_ROWS = [
    ({"user_id": ["a", None, "", " "]}, "no user_id", 3),
    ({"item_id": ["x", "y", None, "\t"]}, "no item_id", 2),
    ({"quantity": ["1", "2", "two", ""]}, "a quantity that is not a number", 2),
    ({"quantity": ["1", "0", "-1", "2"]}, "a quantity of 0 or less", 2),
    ({"quantity": [1, None, 3, 4]}, "a quantity that is not a number", 1),
    ({"price": ["1.5", "0", "-0.01", "2"]}, "a price below 0", 1),
    ({"price": ["1,5", "1", "1", "1"]}, "a price that is not a number", 1),
    (
        {"timestamp": ["2024-01-01", "2024-13-01", "31/01/2024", ""]},
        "a timestamp that cannot be read",
        3,
    ),
    (
        {"timestamp": ["2024-01-01", None, "2024-01-02", "2024-01-03"]},
        "a timestamp that cannot be read",
        1,
    ),
    (
        {"timestamp": ["2024-01-01", "2199-01-01", "2024-01-02", "2024-01-03"]},
        "a timestamp in the future",
        1,
    ),
]
FOUR = {"user_id": ["a", "b", "c", "d"], "item_id": ["x", "y", "z", "x"]}


@pytest.mark.parametrize(("column", "reason", "count"), BAD_ROWS)
def test_bad_rows_are_dropped_and_counted(
    column: dict[str, list[object]], reason: str, count: int
) -> None:
    cleaned = clean(FOUR | column)
    assert cleaned.report.dropped == {reason: count}
    assert (cleaned.report.rows_in, cleaned.report.rows, len(cleaned)) == (4, 4 - count, 4 - count)


@pytest.mark.parametrize(("column", "reason", "count"), BAD_ROWS)
def test_bad_rows_are_an_error_that_names_the_first(
    column: dict[str, list[object]], reason: str, count: int
) -> None:
    with pytest.raises(DataError) as caught:
        clean(FOUR | column, on_bad_rows="error")
    sentence = str(caught.value)
    have = "row has" if count == 1 else "rows have"
    assert sentence.startswith(f"sales.csv: {count} {have} {reason} (the first is data row ")
    assert "data.on_bad_rows=drop" in sentence


def test_error_names_the_first_bad_row_counted_from_one() -> None:
    with pytest.raises(DataError, match=r"the first is data row 3\)"):
        clean(FOUR | {"user_id": ["a", "b", "", "d"]}, on_bad_rows="error")


def test_row_that_is_bad_twice_is_counted_once() -> None:
    cleaned = clean(
        {"user_id": ["", "a", "b"], "item_id": ["", "x", "y"], "quantity": ["-1", "1", "1"]}
    )
    assert cleaned.report.dropped == {"no user_id": 1}
    assert cleaned.report.rows == 2


def test_nothing_left_says_why() -> None:
    with pytest.raises(DataError) as caught:
        clean({"user_id": [None, "a"], "item_id": ["x", ""]})
    assert str(caught.value) == (
        "sales.csv: none of the 2 rows can be used (1 had no user_id, 1 had no item_id)"
    )


@pytest.mark.parametrize("setting", [{"on_bad_rows": "ignore"}, {"duplicates": "maybe"}])
def test_unknown_decision_is_refused(setting: dict[str, str]) -> None:
    ((name, value),) = setting.items()
    with pytest.raises(ConfigError, match=f"data.{name}='{value}': choose"):
        clean(FOUR, **setting)


def test_price_of_zero_is_a_gift_and_stays() -> None:
    assert len(clean(FOUR | {"price": [0, 0.0, 1, 2]})) == 4


def test_ids_that_only_dropped_rows_have_are_gone() -> None:
    cleaned = clean(FOUR | {"quantity": [1, 1, 1, 0]})
    assert cleaned.user_ids.tolist() == ["a", "b", "c"]
    assert cleaned.item_ids.tolist() == ["x", "y", "z"]
    assert (cleaned.report.users, cleaned.report.items) == (3, 3)


def test_density_is_the_share_of_pairs_that_occur() -> None:
    cleaned = clean({"user_id": ["a", "a", "b", "b"], "item_id": ["x", "x", "x", "y"]})
    assert cleaned.report.density == 3 / 4


def test_rows_rated_below_the_threshold_do_not_count() -> None:
    rows = FOUR | {"rating": ["4", "3.5", "5", "four"]}
    cleaned = clean(rows, min_rating=4)
    assert cleaned.report.dropped == {"a rating that is not a number": 1, "a rating below 4": 1}
    assert cleaned.user_ids.tolist() == ["a", "c"]
    assert len(clean(rows)) == 4, "without a threshold every row is a purchase"


REPEATED = {
    "user_id": ["a", "a", "a", "b"],
    "item_id": ["x", "x", "x", "x"],
    "quantity": [1, 1, 2, 1],
}


def test_repeated_rows_are_counted_and_kept() -> None:
    cleaned = clean(REPEATED)
    assert (cleaned.report.duplicate_rows, len(cleaned)) == (1, 4)
    assert cleaned.report.dropped == {}


def test_repeated_rows_are_counted_and_dropped_where_configured() -> None:
    cleaned = clean(REPEATED, duplicates="drop")
    assert (cleaned.report.duplicate_rows, len(cleaned)) == (1, 3)
    assert cleaned.report.dropped == {"a repeated row": 1}


def test_repeats_are_told_in_columns_of_every_type() -> None:
    # row 1 repeats row 0 but for the sign of a zero; each other row differs in one column only
    columns: dict[str, list[object] | pa.Array] = {
        "user_id": ["a", "a", "b", "a", "a", "a", "a", "a"],
        "item_id": ["x", "x", "x", "y", "x", "x", "x", "x"],
        "timestamp": pa.array([5, 5, 5, 5, 6, 5, 5, 5]).cast(pa.timestamp("s")),
        "quantity": [1, 1, 1, 1, 1, 2, 1, 1],
        "price": [0.0, -0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0],
        "coupon": ["no", "no", "no", "no", "no", "no", "no", None],
    }
    assert clean(columns).report.duplicate_rows == 1


def test_repeats_are_those_of_a_table_compared_row_by_row() -> None:
    rng = np.random.default_rng(3)
    size = 3000
    frame = pd.DataFrame(
        {
            "user_id": rng.integers(0, 20, size).astype(str),
            "item_id": rng.integers(0, 20, size).astype(str),
            "quantity": rng.integers(1, 3, size),
            "price": rng.integers(0, 4, size) / 4,
        }
    )
    table = {name: pa.array(column) for name, column in frame.items()}
    expected = frame.duplicated()
    cleaned = clean(table, duplicates="drop")
    assert 0 < cleaned.report.duplicate_rows == expected.sum() < size / 2
    assert cleaned.user_ids[cleaned.user].tolist() == frame["user_id"][~expected].tolist()


def test_quantities_of_the_rows_that_stay_are_kept() -> None:
    columns: dict[str, list[object] | pa.Array] = {
        "user_id": ["a", "b", "c"],
        "item_id": ["x", "y", "z"],
    }
    assert clean(columns).quantity is None
    cleaned = clean(columns | {"quantity": ["2", "0", "1.5"]})
    assert cleaned.quantity is not None
    assert cleaned.quantity.tolist() == [2.0, 1.5]


def test_bad_row_that_repeats_is_no_duplicate() -> None:
    cleaned = clean({"user_id": ["a", "", ""], "item_id": ["x", "y", "y"]})
    assert cleaned.report.duplicate_rows == 0


@pytest.mark.parametrize(
    "times",
    [
        ["2024-03-01 23:30:00", "2024-03-02 00:30:00"],
        ["2024-03-01T23:30", "2024-03-02T00:30"],
        ["2024-03-01 23:30:00-05:00", "2024-03-02 00:30:00-05:00"],
        ["2024-03-02T04:30:00Z", "2024-03-02T05:30:00Z"],
        ["2024-03-02 04:30:00+00", "2024-03-02 05:30:00+00"],  # as PostgreSQL writes it
        ["20240302T043000Z", "20240302T053000Z"],
        ["2024-03-02 05:30:00+0100", "2024-03-02T06:30:00.000+01:00"],
        pa.array([pd.Timestamp("2024-03-01 23:30"), pd.Timestamp("2024-03-02 00:30")]),
        pa.array(
            [seconds("2024-03-02 04:30:00Z"), seconds("2024-03-02 05:30:00Z")],
            pa.timestamp("s", "UTC"),
        ),
        pa.array(
            [seconds("2024-03-02 04:30:00Z"), seconds("2024-03-02 05:30:00Z")],
            pa.timestamp("s", "Asia/Tokyo"),
        ),
    ],
    ids=[
        "naive",
        "minutes",
        "offset",
        "Z",
        "hours only",
        "basic",
        "other offset",
        "dates",
        "UTC dates",
        "Tokyo dates",
    ],
)
def test_a_late_purchase_belongs_to_the_day_of_the_shop(times: list[object] | pa.Array) -> None:
    cleaned = clean(
        {"user_id": ["a", "b"], "item_id": ["x", "y"], "timestamp": times},
        timezone="America/New_York",
    )
    assert cleaned.timestamp is not None
    assert cleaned.day is not None
    assert cleaned.timestamp.tolist() == [
        seconds("2024-03-02 04:30:00Z"),
        seconds("2024-03-02 05:30:00Z"),
    ]
    assert cleaned.day.tolist() == days("2024-03-01", "2024-03-02")
    assert cleaned.report.first == "2024-03-01T23:30:00-05:00"
    assert cleaned.report.last == "2024-03-02T00:30:00-05:00"


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("as_text", [True, False])
def test_numbers_count_from_1970_in_the_declared_unit(unit: str, as_text: bool) -> None:
    factor = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    numbers = [seconds(time) * factor for time in ("2024-03-02 04:30:00Z", "2024-03-02 05:30:00Z")]
    column: list[object] = [str(number) for number in numbers] if as_text else list(numbers)
    rows = {"user_id": ["a", "b"], "item_id": ["x", "y"], "timestamp": column}
    cleaned = clean(rows, timestamp_unit=unit, timezone="America/New_York")
    assert cleaned.timestamp is not None
    assert cleaned.day is not None
    assert cleaned.timestamp.tolist() == [
        seconds("2024-03-02 04:30:00Z"),
        seconds("2024-03-02 05:30:00Z"),
    ]
    assert cleaned.day.tolist() == days("2024-03-01", "2024-03-02")


def test_days_before_1970_are_days_too() -> None:
    cleaned = clean({"user_id": ["a"], "item_id": ["x"], "timestamp": ["1969-12-31 23:00:00"]})
    assert cleaned.day is not None
    assert cleaned.day.tolist() == [-1]


def test_hour_that_exists_twice_is_summer_time_and_a_missing_one_the_end_of_the_gap() -> None:
    times = ["2024-11-03 01:30:00", "2024-03-10 02:30:00"]
    cleaned = clean(
        {"user_id": ["a", "b"], "item_id": ["x", "y"], "timestamp": times},
        timezone="America/New_York",
    )
    assert cleaned.timestamp is not None
    assert cleaned.timestamp.tolist() == [
        seconds("2024-11-03 05:30:00Z"),
        seconds("2024-03-10 07:00:00Z"),
    ]


TWO = {"user_id": ["a", "b"], "item_id": ["x", "y"]}


@pytest.mark.parametrize("numbers", [[1483228800, 1483228801], ["1483228800", "1483228801"]])
def test_numbers_without_a_unit_are_refused_and_not_dropped(numbers: list[object]) -> None:
    with pytest.raises(
        DataError, match=r"holds numbers; set data\.timestamp_unit to s, ms, us or ns"
    ):
        clean(TWO | {"timestamp": numbers})


def test_times_of_which_only_some_carry_an_offset_are_refused() -> None:
    with pytest.raises(
        DataError,
        match="1 of 2 timestamps carry an offset from UTC and the others do not; write all",
    ):
        clean(TWO | {"timestamp": ["2024-01-01 10:00:00+00", "2024-01-01 10:00:00"]})


def test_unreadable_time_does_not_count_among_those_without_an_offset() -> None:
    cleaned = clean(TWO | {"timestamp": ["2024-01-01 10:00:00+01:00", "soon"]})
    assert cleaned.report.dropped == {"a timestamp that cannot be read": 1}


def test_unknown_unit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.timestamp_unit='sec': choose s, ms, us, ns or D"):
        Cleaning(timestamp_unit="sec")  # type: ignore[arg-type]


def test_unit_for_a_column_of_dates_is_refused_and_not_misread() -> None:
    dates = pa.array([pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02")])
    with pytest.raises(
        DataError, match=r"holds dates, not numbers; leave data\.timestamp_unit=s out"
    ):
        clean(TWO | {"timestamp": dates}, timestamp_unit="s")


@pytest.mark.parametrize("time", ["2024-01-01 10:00:00", "2024-01-01 10:00:00+00:00"])
@pytest.mark.parametrize("zone", ["Mars/Base", "", None])
def test_unknown_time_zone_is_refused_whether_or_not_times_carry_an_offset(
    time: str, zone: str | None
) -> None:
    with pytest.raises(
        ConfigError, match=r"data\.timezone=.* is not a time zone; use an IANA name"
    ):
        clean(TWO | {"timestamp": [time, time]}, timezone=zone)


def test_the_future_begins_after_a_day_so_that_clocks_may_differ() -> None:
    now = pd.Timestamp.now("UTC")
    times = [str(now + pd.Timedelta(hours=hours)) for hours in (12, 36)]
    cleaned = clean(TWO | {"timestamp": times})
    assert cleaned.report.dropped == {"a timestamp in the future": 1}
    assert cleaned.user_ids.tolist() == ["a"]


def test_order_of_the_rows_is_kept(purchases: Purchases) -> None:
    cleaned = purchases(
        [("b", "y", "2024-01-02"), ("a", "x", "2024-01-01"), ("b", "x", "2024-01-03")]
    )
    assert [cleaned.user_ids[code] for code in cleaned.user] == ["b", "a", "b"]
    assert np.diff(cleaned.timestamp).tolist() == [-86400, 2 * 86400]


ROWS = [("a", "x", "2024-01-01"), ("b", "y", "2024-01-02"), ("a", "y", "2024-01-03")]


@pytest.mark.parametrize(
    "changed",
    [
        [("A", "x", "2024-01-01"), *ROWS[1:]],
        [("a", "z", "2024-01-01"), *ROWS[1:]],
        [("a", "x", "2024-01-01 00:00:01"), *ROWS[1:]],
        ROWS[::-1],
        ROWS[:2],
    ],
    ids=["user", "item", "time", "order", "fewer rows"],
)
def test_fingerprint_changes_with_every_value(
    purchases: Purchases, changed: list[tuple[str, ...]]
) -> None:
    fingerprint = purchases(ROWS).report.fingerprint
    assert purchases(list(ROWS)).report.fingerprint == fingerprint
    assert purchases(changed).report.fingerprint != fingerprint


def test_report_is_plain_json(purchases: Purchases) -> None:
    report = purchases(ROWS).report.to_json()
    assert report["rows"] == 3
    assert {type(value) for value in report.values()} <= {str, int, float, dict, type(None)}
