"""What was read, what was dropped and why: shown on screen, kept as JSON in the run."""

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.data.schema import Schema
from recsys.data.timestamps import Times, read_timestamps
from recsys.errors import DataError
from recsys.tables.cells import POINT
from recsys.tables.times import TimeSettings

OnBadRows = Literal["drop", "error"]
UNREADABLE_TIME = "a timestamp that cannot be read"
_YEAR = 366 * 86_400  # seconds
# rows fewer than which none lies far from all others
_ENOUGH = 20
# share of rows that cannot be read beyond which it is more than a slip here and there
_MANY = 0.01


@dataclass
class DataReport:
    """Counts of one table on its way from the file to the model.

    Attributes:
        source: file, URL or package that was read.
        rows_in: rows read.
        dropped: reason to number of rows dropped, in the order of the checks.
        rows, users, items: what is left.
        duplicate_rows: rows that repeat an earlier row in every column read (kept or dropped, as
            `data.duplicates` says).
        density: distinct (user, item) pairs / (users x items).
        first, last: first and last timestamp, ISO 8601 in `timezone`; None without timestamps.
        timestamp_form: how the timestamps were written, as `Times.form`; None without them.
        fingerprint: changes when any user, item or timestamp of any row does.
        column_fingerprints: table ("events", "users", "items") to what changes when any quantity,
            or any value of its attributes, does.
        phases: counts of every phase ("val", "test", "full_data"): what was fitted, what is
            evaluated, what was left out.
        attributes: table ("users", "items") to how its rows met the ids of the events.
        schema: every column with its role and kind.
    """

    source: str
    rows_in: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    duplicate_rows: int = 0
    rows: int = 0
    users: int = 0
    items: int = 0
    density: float = 0.0
    timezone: str = "UTC"
    first: str | None = None
    last: str | None = None
    timestamp_form: str | None = None
    fingerprint: str = ""
    column_fingerprints: dict[str, str] = field(default_factory=dict)
    phases: dict[str, dict[str, int]] = field(default_factory=dict)
    attributes: dict[str, dict[str, int]] = field(default_factory=dict)
    schema: Schema | None = None

    def to_json(self) -> dict[str, object]:
        """Plain values, for data_report.json; the schema, as far as columns have been read, is
        "columns".
        """
        plain = asdict(replace(self, schema=None))
        del plain["schema"]
        return plain | {"columns": {} if self.schema is None else self.schema.to_json()}


@dataclass
class PanelReport:
    """Counts of one table on its way from the file to series of sales.

    Attributes:
        source, rows_in, dropped, phases: as in `DataReport`.
        rows: rows that went into the series.
        series, steps: series, and steps of all of them together.
        season: steps of a season.
        timezone: zone of the wall clock.
        first, last: beginning of the first step and of the last one with a known y, ISO 8601 on the
            wall clock.
        timestamp_form: as in `DataReport`.
        decisions: what was decided about steps and series to how often.
        covariates: names of what is known ahead.
        fingerprint: changes when any value of the series or of a covariate does.
        column_fingerprints: none: a panel has no further columns.
    """

    source: str
    rows_in: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    series: int = 0
    steps: int = 0
    step: str = "day"
    season: int | None = None
    timezone: str = "UTC"
    first: str | None = None
    last: str | None = None
    timestamp_form: str | None = None
    decisions: dict[str, int] = field(default_factory=dict)
    covariates: list[str] = field(default_factory=list)
    fingerprint: str = ""
    column_fingerprints: dict[str, str] = field(default_factory=dict)
    phases: dict[str, dict[str, int]] = field(default_factory=dict)

    def decide(self, what: str, count: int) -> None:
        """Counts a decision; what never happened is not mentioned."""
        if count:
            self.decisions[what] = self.decisions.get(what, 0) + int(count)

    def to_json(self) -> dict[str, object]:
        """Plain values, for data_report.json."""
        return asdict(self)


def data_row(row: int) -> str:
    """What errors call a row, counted from 0, of a table that has no lines."""
    return f"data row {row + 1:,}"


def _remedy(reason: str, report: DataReport | PanelReport, count: int) -> str:
    """What to set where so many cells of a column cannot be read."""
    if reason == UNREADABLE_TIME:
        if count < report.rows_in and report.timestamp_form:
            return f"; the others are read as {report.timestamp_form}, and a column has one form"
        return TimeSettings().advice
    return POINT.advice if reason.endswith("that is not a number") else ""


class RowFilter:
    """Keeps one mask over the rows of a table and counts, reason by reason, what it loses.

    A row that is bad in several ways is counted under the first reason only.
    """

    def __init__(
        self,
        report: DataReport | PanelReport,
        on_bad_rows: OnBadRows,
        place: Callable[[int], str] = data_row,
    ) -> None:
        self.keep = np.ones(report.rows_in, dtype=bool)
        self.report = report
        self.place = place
        self._on_bad_rows = on_bad_rows
        self._firsts: dict[str, str] = {}

    def bad(
        self, rows: np.ndarray, reason: str, cells: pa.ChunkedArray | pa.Array | None = None
    ) -> None:
        """Leaves out rows that no clean table has: a counted drop or an error, as configured.

        Args:
            rows: mask, (N,).
            reason: what such a row has.
            cells: (N,), of which errors show the first bad one.
        """
        rows = rows & self.keep
        if not rows.any():
            return
        row, count = int(rows.argmax()), int(rows.sum())
        first = f"the first is {self.place(row)}"
        if cells is not None:
            cell = cells[row].as_py()
            first += ", which is empty" if cell in (None, "") else f": {str(cell)!r}"
        if self._on_bad_rows == "error":
            have = "row has" if count == 1 else "rows have"
            raise DataError(
                f"{self.report.source}: {count:,} {have} {reason} ({first})"
                f"{_remedy(reason, self.report, count)}; mend the table, or set"
                " data.on_bad_rows=drop to leave them out and count them"
            )
        if cells is not None:
            self._firsts.setdefault(reason, first)
        self.leave_out(rows, reason)

    def leave_out(self, rows: np.ndarray, reason: str) -> None:
        """Leaves out rows (mask, (N,)) that the settings exclude, counted."""
        count = int((rows & self.keep).sum())
        if count:
            self.report.dropped[reason] = self.report.dropped.get(reason, 0) + count
            self.keep &= ~rows

    def require_any(self) -> None:
        """Raises DataError where no row is left, and warns where many could not be read."""
        if not self.keep.any():
            report = self.report
            reasons = ", ".join(
                f"{count:,} had {why}"
                + (
                    f", {self._firsts[why]}{_remedy(why, report, count)}"
                    if why in self._firsts
                    else ""
                )
                for why, count in report.dropped.items()
            )
            raise DataError(
                f"{report.source}: none of the {report.rows_in:,} rows can be used ({reasons})"
            )
        for why, first in self._firsts.items():
            count = self.report.dropped[why]
            remedy = _remedy(why, self.report, count)
            if remedy and count > _MANY * self.report.rows_in:
                warnings.warn(
                    f"{self.report.source}: {count:,} of {self.report.rows_in:,} rows are left out,"
                    f" because they have {why} ({first}){remedy}",
                    stacklevel=2,
                )


def tomorrow() -> pd.Timestamp:
    """What lies later is no time of an event: clocks are wrong by less than a day."""
    return pd.Timestamp.now("UTC") + pd.Timedelta(days=1)


def past_times(
    table: pa.Table,
    rows: RowFilter,
    timezone: str,
    settings: TimeSettings,
    ahead: np.ndarray | None = None,
) -> Times:
    """Timestamps as `read_timestamps` reads them; rows of unreadable and future ones are bad, and
    dates far from all others are warned of.

    Args:
        table: with a column timestamp, (N,).
        rows: learns which rows are bad.
        timezone, settings: as in `read_timestamps`.
        ahead: rows that may lie in the future (mask, (N,)); None: none.
    """
    column = table.column("timestamp")
    times = read_timestamps(column, timezone, settings)
    rows.report.timestamp_form = times.form
    instant = times.instant
    rows.bad(instant.isna().to_numpy(), UNREADABLE_TIME, column)
    future = (instant > tomorrow()).to_numpy(dtype=bool)
    future = future if ahead is None else future & ~ahead
    rows.bad(future, "a timestamp in the future", column)
    _warn_of_outliers(instant, column, rows)
    return times


def _warn_of_outliers(instant: pd.Series, column: pa.ChunkedArray, rows: RowFilter) -> None:
    """Warns where a gap as long as the rest of the table, and of a year at least, parts the few
    first or last times from all others.
    """
    seconds = instant.to_numpy(dtype="datetime64[s]").astype(np.int64)
    kept = np.flatnonzero(rows.keep)
    if len(kept) < _ENOUGH:
        return
    few = len(kept) // _ENOUGH
    ends = np.partition(seconds[kept], [few, len(kept) - 1 - few])
    low, high = int(ends[few]), int(ends[len(kept) - 1 - few])
    reach = max(high - low, _YEAR)
    far = kept[(seconds[kept] < low - reach) | (seconds[kept] > high + reach)]
    if len(far):
        first, last = (str(np.datetime64(edge, "s"))[:10] for edge in (low, high))
        warnings.warn(
            f"{rows.report.source}: {len(far):,} of {len(kept):,} rows lie far from all others,"
            f" which are from {first} to {last}; the first is {rows.place(int(far[0]))}, timestamp"
            f" {str(column[int(far[0])].as_py())!r}: mend the table if that is a mistake",
            stacklevel=2,
        )
