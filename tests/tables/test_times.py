"""How a column of times is read, whole or in chunks."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recsys.errors import ConfigError, DataError
from recsys.tables.times import TimeForm, TimeSettings, TimeUnit, find_form, wall_and_instant


def read(cells: list[Any], **settings: Any) -> list[str]:
    """Seconds of cells; "NaT" where one is no time."""
    column = pa.array(cells)
    return [str(each) for each in find_form([column], TimeSettings(**settings)).read(column)]


def test_week_dates_begin_on_the_monday_of_the_week() -> None:
    # 4 January is always in week 1; 2020 has 53 weeks, 2021 has not
    assert read(["2024-W05", "2024W053", "2020-W53-7", "2021-W53", "2024-W00"]) == [
        "2024-01-29T00:00:00", "2024-01-31T00:00:00", "2021-01-03T00:00:00", "NaT", "NaT",
    ]  # fmt: skip


def test_iso_8601_is_read_in_all_its_ways_and_what_is_no_day_is_not() -> None:
    cells = ["2024-01-31", "2024/1/31 5:06", "2024.01.31T0506", "20240131T050607.25", "2024-01",
             "2024-02-30", "2024-01-31T24:00", "2024-1", "2024/01.31", "202413T05"]  # fmt: skip
    assert read(cells) == [
        "2024-01-31T00:00:00", "2024-01-31T05:06:00", "2024-01-31T05:06:00", "2024-01-31T05:06:07",
        "2024-01-01T00:00:00", "NaT", "NaT", "2024-01-01T00:00:00", "NaT", "NaT",
    ]  # fmt: skip


def test_offsets_are_taken_off() -> None:
    cells = [
        "2024-01-31T05:00Z",
        "2024-01-31 05:00 +02:00",
        "2024-01-31T05-0130",
        "2024-01-31T05+02",
    ]
    assert [each[11:16] for each in read(cells)] == ["05:00", "03:00", "06:30", "03:00"]


@pytest.mark.parametrize(
    ("form", "cell", "want"),
    [
        ("%d %B %y", "31 january 24", "2024-01-31T00:00:00"),
        ("%d.%m.%y", "1.2.69", "1969-02-01T00:00:00"),
        ("%Y-%j", "2024-060", "2024-02-29T00:00:00"),
        ("%Y-%j", "2023-366", "NaT"),
        ("%Y/%d/%m %H.%M", "2024/31/01 23.05", "2024-01-31T23:05:00"),
        ("%a %d %b %Y %I:%M:%S %p", "Wed 31 Jan 2024 12:05:06 AM", "2024-01-31T00:05:06"),
        ("%d/%m/%Y %H:%M:%S.%f%z", "31/01/2024 05:00:00.5+0100", "2024-01-31T04:00:00"),
        ("%d%m%Y", "31012024", "2024-01-31T00:00:00"),
        ("%d/%m/%Y", "31/02/2024", "NaT"),
        ("%d/%m/%Y", "31/01/2024 x", "NaT"),
    ],
)
def test_formats_are_those_of_strftime(form: str, cell: str, want: str) -> None:
    assert read([cell], form=form) == [want]


@pytest.mark.parametrize("form", ["%Q", "plain", "%Y-%Y", "%d/%m/%Y %", ""])
def test_what_is_no_format_is_refused(form: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.timestamp_format=.* is no format of dates"):
        TimeSettings(form=form)


@pytest.mark.parametrize(
    ("unit", "number"),
    [("s", 1_706_659_201), ("ms", 1_706_659_201_999), ("us", 1_706_659_201_000_001),
     ("ns", 1_706_659_201_999_999_999), ("D", 19_753 + 1.5 / 86_400)],
)  # fmt: skip
def test_numbers_count_whole_seconds_from_1970(unit: TimeUnit, number: float) -> None:
    for cells in ([number, None], [f" {number}", "NA"]):
        assert read(cells, unit=unit) == ["2024-01-31T00:00:01", "NaT"]
    assert read(["86401.5", "soon", "1e300"], unit="s") == ["1970-01-02T00:00:01", "NaT", "NaT"]


def chunks(*parts: list[str]) -> Iterator[pa.Array]:
    yield from map(pa.array, parts)


def test_days_that_may_be_months_are_decided_by_a_later_chunk_and_no_more_are_read() -> None:
    column = chunks(["01/02/2024", ""], ["", "NA"], ["03/04/2024"], ["30/04/2024"], ["never"])
    assert find_form(column, TimeSettings()) == TimeForm("%d/%m/%Y")
    assert next(column).to_pylist() == ["never"]


@pytest.mark.parametrize(
    ("last", "sentence"),
    [("03/04/2024", "may be day first or month first"),
     ("04/30/2024", "are written day first and month first")],
)  # fmt: skip
def test_days_that_stay_in_doubt_are_an_error(last: str, sentence: str) -> None:
    column = chunks(["01/02/2024"], ["30/04/2024" if "written" in sentence else ""], [last])
    if "written" in sentence:
        column = chunks(["01/02/2024"], ["30/04/2024", last])
    with pytest.raises(DataError, match=f'{sentence}: set timestamp_format to "%d/%m/%Y" or'):
        find_form(column, TimeSettings(section=""))


def test_usual_form_is_taken_where_it_fits() -> None:
    usual = TimeSettings(form="%m/%d/%Y")
    assert read(["01/02/2024"], usual=usual) == ["2024-01-02T00:00:00"]
    assert read(["2024-03-01"], usual=usual) == ["2024-03-01T00:00:00"]
    assert read(["30/01/2024"], usual=usual) == ["2024-01-30T00:00:00"]
    assert read([20240131], usual=TimeSettings(unit="s")) == ["2024-01-31T00:00:00"]
    assert read([1_706_659_200], usual=TimeSettings(unit="s")) == ["2024-01-31T00:00:00"]


def test_clock_of_a_zone_is_shown_where_cells_carry_an_offset() -> None:
    july = np.array(["2024-07-01T12:00"], "datetime64[s]")
    wall, instant = wall_and_instant(july, True, "Europe/Berlin")
    assert (wall - instant).tolist() == [7200]
    assert wall_and_instant(july, False, "Europe/Berlin")[0].tolist() == instant.tolist()
    with pytest.raises(DataError, match="'Mars/Crater' is not known on this machine"):
        wall_and_instant(july, True, "Mars/Crater")
