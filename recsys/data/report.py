"""What was read, what was dropped and why: shown on screen, kept as JSON in the run."""

from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.data.schema import Schema
from recsys.data.timestamps import TimeUnit, parse_timestamps
from recsys.errors import DataError

OnBadRows = Literal["drop", "error"]


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
    fingerprint: str = ""
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
        timezone: zone of the wall clock.
        first, last: beginning of the first step and of the last one with a known y, ISO 8601 on the
            wall clock.
        decisions: what was decided about steps and series to how often.
        covariates: names of what is known ahead.
        fingerprint: changes when any value of the series does.
    """

    source: str
    rows_in: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    series: int = 0
    steps: int = 0
    step: str = "day"
    timezone: str = "UTC"
    first: str | None = None
    last: str | None = None
    decisions: dict[str, int] = field(default_factory=dict)
    covariates: list[str] = field(default_factory=list)
    fingerprint: str = ""
    phases: dict[str, dict[str, int]] = field(default_factory=dict)

    def decide(self, what: str, count: int) -> None:
        """Counts a decision; what never happened is not mentioned."""
        if count:
            self.decisions[what] = self.decisions.get(what, 0) + int(count)

    def to_json(self) -> dict[str, object]:
        """Plain values, for data_report.json."""
        return asdict(self)


class RowFilter:
    """Keeps one mask over the rows of a table and counts, reason by reason, what it loses.

    A row that is bad in several ways is counted under the first reason only.
    """

    def __init__(self, report: DataReport | PanelReport, on_bad_rows: OnBadRows) -> None:
        self.keep = np.ones(report.rows_in, dtype=bool)
        self._report = report
        self._on_bad_rows = on_bad_rows

    def bad(self, rows: np.ndarray, reason: str) -> None:
        """Leaves out rows (mask, (N,)) that no clean table has: a counted drop or an error, as
        configured.
        """
        rows = rows & self.keep
        if self._on_bad_rows == "error" and (count := int(rows.sum())):
            first = int(rows.argmax()) + 1
            have = "row has" if count == 1 else "rows have"
            raise DataError(
                f"{self._report.source}: {count:,} {have} {reason} (the first is data row"
                f" {first:,}); mend the table, or set data.on_bad_rows=drop to leave them out and"
                " count them"
            )
        self.leave_out(rows, reason)

    def leave_out(self, rows: np.ndarray, reason: str) -> None:
        """Leaves out rows (mask, (N,)) that the settings exclude, counted."""
        count = int((rows & self.keep).sum())
        if count:
            self._report.dropped[reason] = self._report.dropped.get(reason, 0) + count
            self.keep &= ~rows

    def require_any(self) -> None:
        """Raises DataError where no row is left."""
        if not self.keep.any():
            report = self._report
            reasons = ", ".join(f"{count:,} had {why}" for why, count in report.dropped.items())
            raise DataError(
                f"{report.source}: none of the {report.rows_in:,} rows can be used ({reasons})"
            )


def tomorrow() -> pd.Timestamp:
    """What lies later is no time of an event: clocks are wrong by less than a day."""
    return pd.Timestamp.now("UTC") + pd.Timedelta(days=1)


def past_times(table: pa.Table, rows: RowFilter, timezone: str, unit: TimeUnit | None) -> pd.Series:
    """Timestamps as `parse_timestamps` reads them; rows of unreadable and future ones are bad."""
    times = parse_timestamps(table.column("timestamp").to_pandas(), timezone, unit)
    rows.bad(times.isna().to_numpy(), "a timestamp that cannot be read")
    rows.bad((times > tomorrow()).to_numpy(dtype=bool), "a timestamp in the future")
    return times
