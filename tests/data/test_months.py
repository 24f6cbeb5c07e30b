"""Series of calendar months: from tables, cut at origins, in windows."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from recsys.data.panel import SalesPanel
from recsys.data.report import PanelReport
from recsys.data.resampling import Resampling, panel_from_transactions
from recsys.data.sales_tables import SalesTable, panel_from_sales
from recsys.data.splits.rolling_origin import RollingOrigin
from recsys.data.windows import PanelTensors
from recsys.errors import DataError

MONTH_ENDS = ["2023-11-30", "2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31"]


def laid(rows: list[tuple[str, str, float]], **settings: Any) -> SalesPanel:
    """A panel of (series, date, y)."""
    columns = zip(*rows, strict=True)
    names = ("series_id", "timestamp", "y")
    table = pa.table({n: list(c) for n, c in zip(names, columns, strict=True)})
    return panel_from_sales(
        table, PanelReport("series.csv"), SalesTable(**({"step": "month"} | settings))
    )


def summed(rows: list[tuple[str, str, float]], **settings: Any) -> SalesPanel:
    """A panel of (item, moment, quantity)."""
    columns = zip(*rows, strict=True)
    names = ("item", "timestamp", "quantity")
    table = pa.table({n: list(c) for n, c in zip(names, columns, strict=True)})
    settings = {"series": ("item",), "step": "month"} | settings
    return panel_from_transactions(table, PanelReport("shop.csv"), Resampling(**settings))


def dates(seconds: np.ndarray) -> list[str]:
    assert not (seconds % 86_400).any()
    return seconds.astype("datetime64[s]").astype("datetime64[D]").astype(str).tolist()


def monthly(first: str, values: list[float], name: str = "a") -> list[tuple[str, str, float]]:
    months = np.datetime64(first, "M") + np.arange(len(values))
    return [(name, f"{month}-01", value) for month, value in zip(months, values, strict=True)]


@pytest.mark.parametrize(
    "written",
    [
        MONTH_ENDS,
        [date[:8] + "01" for date in MONTH_ENDS],
        [date[:7] for date in MONTH_ENDS],
        ["2023-11-07", "2023-12-31", "2024-01-01", "2024-02-15", "2024-03-30"],
    ],
)
def test_any_day_of_a_month_stands_for_it(written: list[str]) -> None:
    panel = laid([("a", date, place) for place, date in enumerate(written, 1)])
    assert panel.y.tolist() == [1, 2, 3, 4, 5]
    assert dates(panel.seconds) == [date[:8] + "01" for date in MONTH_ENDS]
    assert (panel.season, panel.report.season) == (12, 12)
    assert panel.report.last == "2024-03-01T00:00:00"


def test_a_month_is_that_of_the_shops_clock() -> None:
    rows = [("a", "2023-12-31T23:30:00+00:00", 1.0), ("a", "2024-01-31T23:30:00+00:00", 2.0)]
    panel = laid(rows, timezone="Europe/Berlin")
    assert dates(panel.seconds) == ["2024-01-01", "2024-02-01"]
    assert panel.y.tolist() == [1, 2]


@pytest.mark.parametrize(("gaps", "y"), [("zero", 0.0), ("missing", None)])
def test_a_month_without_a_row_is_missing_or_zero(gaps: str, y: float | None) -> None:
    rows = monthly("2023-01", [1.0] * 14)
    del rows[3]
    panel = laid(rows, gaps=gaps)
    assert len(panel.y) == 14
    assert panel.y[3] == y or (y is None and np.isnan(panel.y[3]))


def test_two_rows_of_a_month_are_an_error_or_counted() -> None:
    rows = [*monthly("2023-01", [1.0] * 6), ("a", "2023-02-20", 9.0)]
    with pytest.raises(DataError, match="1 row has the series_id and month of an earlier row"):
        laid(rows)
    panel = laid(rows, on_bad_rows="drop")
    assert panel.report.dropped == {"the series_id and month of an earlier row": 1}
    assert panel.y.tolist() == [1] * 6


def test_a_table_of_another_step_is_refused() -> None:
    days = pd.date_range("2024-01-01", periods=60).astype(str)
    with pytest.raises(DataError, match="mostly 1 day apart, but data.step=month is a calendar mo"):
        laid([("a", day, 1.0) for day in days])
    quarters = [row for row in monthly("2020-01", [1.0] * 24) if row[1][5:7] in "01 04 07 10"]
    with pytest.raises(DataError, match="set data.step to .* or month.*or data.gaps=zero"):
        laid(quarters)
    assert len(laid(quarters, gaps="zero").y) == 22
    with pytest.raises(DataError, match="mostly 31 days apart, but data.step=day"):
        laid(monthly("2020-01", [1.0] * 24), step="day")


def test_transactions_are_summed_by_true_months() -> None:
    days = pd.date_range("2023-12-01", "2024-04-30")
    panel = summed([("a", str(day.date()), 1.0) for day in days])
    assert panel.y.tolist() == [31, 31, 29, 31, 30]
    assert dates(panel.seconds)[0] == "2023-12-01"
    assert panel.retire_after == 12


def test_months_in_which_the_table_begins_and_ends_are_left_out_and_counted() -> None:
    days = pd.date_range("2024-01-02", "2024-04-29")
    rows = [("a", str(day.date()), 1.0) for day in days]
    panel = summed(rows)
    assert panel.y.tolist() == [29, 31]
    assert panel.report.dropped == {"a time in the partial first or last month": 30 + 29}
    assert summed(rows, keep_partial=True).y.tolist() == [30, 29, 31, 29]


def test_the_last_day_of_a_month_makes_it_whole_at_any_hour() -> None:
    rows = [("a", "2024-01-01 09:00:00", 1.0), ("a", "2024-02-29 10:17:00", 2.0)]
    assert summed(rows).y.tolist() == [1, 2]


def test_windows_are_months_before_the_end_whatever_their_lengths() -> None:
    rows = [*monthly("2020-02", [1.0] * 47, "a"), *monthly("2023-01", [2.0] * 12, "b")]
    panel = laid(rows)  # both end with 2023-12
    phases = RollingOrigin(horizon=3, windows=2, validation_windows=1)(panel, seed=1)
    assert [phase.origin.tolist() for phase in phases] == [[[38, 3]], [[41, 6]], [[44, 9]]]
    with pytest.raises(DataError, match=r"covers 47 steps \(of a month\)"):
        RollingOrigin(horizon=28)(panel, seed=1)


def test_a_window_begins_with_a_month_though_before_the_series() -> None:
    panel = laid(monthly("2024-01", [1.0, 2.0, 3.0]))
    tensors = PanelTensors(panel, "cpu")
    window, target = tensors.window(torch.tensor([0, 0]), torch.tensor([2, 1]), 4, 1)
    assert dates(window.start.numpy()) == ["2023-11-01", "2023-10-01"]
    assert target.tolist() == [[3.0], [2.0]]
