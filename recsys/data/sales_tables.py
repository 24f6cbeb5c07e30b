"""From a table that is series already (series_id, timestamp, y, covariates) to a panel.

Axes: N rows of the table; S series and M steps of all series together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.data.ids import encode_ids
from recsys.data.panel import SalesPanel, complete_panel, with_covariates
from recsys.data.report import OnBadRows, PanelReport, RowFilter, data_row, past_times
from recsys.data.resampling import clock_changes
from recsys.data.timestamps import require_timezone, wall_clock
from recsys.errors import ConfigError, DataError
from recsys.ranges import Season, require_declared
from recsys.steps import STEP_SECONDS, Step, month_number, month_start, steps_between
from recsys.tables.cells import POINT, NumberColumn, Numerals
from recsys.tables.times import TimeSettings, TimeUnit

Gaps = Literal["missing", "zero"]
Negative = Literal["keep", "error"]


@dataclass(frozen=True)
class SalesTable:
    """How a sales table is read, as the configuration states it.

    Attributes:
        step: hour, day, week or month; a week begins where the rows of its series say, and any day
            of a month stands for it.
        covariates: columns that are known ahead; rows behind the last y carry their future.
        timezone: IANA zone of the wall clock. Times without an offset are that clock's and stay as
            they are, times with one are converted.
        timestamp_unit, timestamp_format, numerals: as in `recsys.data.cleaning.Cleaning`.
        gaps: a step without a row is "missing" (NaN) or "zero".
        negative: a y below 0 is kept ("keep") or stops the reading ("error").
        on_bad_rows: "drop" counts and leaves out, "error" stops.
        seasonality: as in `recsys.data.resampling.Resampling`.
    """

    step: Step
    covariates: tuple[str, ...] = ()
    timezone: str = "UTC"
    timestamp_unit: TimeUnit | None = None
    gaps: Gaps = "missing"
    negative: Negative = "keep"
    on_bad_rows: OnBadRows = "error"
    timestamp_format: str | None = None
    numerals: Numerals = POINT
    seasonality: Season | None = None

    def __post_init__(self) -> None:
        require_declared(self, "data")
        require_timezone(self.timezone)
        for name in ("y", "series_id", "timestamp"):
            if name in self.covariates:
                raise ConfigError(
                    f"data.covariates names {name!r}, which is what is forecast or tells the rows"
                    " apart; name columns that are known ahead"
                )


def panel_from_sales(
    table: pa.Table,
    report: PanelReport,
    settings: SalesTable,
    place: Callable[[int], str] = data_row,
) -> SalesPanel:
    """Lays every series on its grid of steps.

    Args:
        table: series_id, timestamp, y and the covariates of `settings`.
        report: filled in as a side effect.
        settings: the step and what to do with gaps.
        place: what errors call a row.

    Raises:
        DataError: the rows of a series are not one step apart, nothing is left, or a row is bad and
            `on_bad_rows` is "error".
    """
    report.rows_in, report.step, report.timezone = table.num_rows, settings.step, settings.timezone
    rows = RowFilter(report, settings.on_bad_rows, place)
    ids = encode_ids(table.column("series_id"))
    code = ids.codes.astype(np.int64)
    rows.bad(code == -1, "no series_id")
    y = _numbers(table, "y", rows, settings.numerals)
    seconds, instant = _times(table, rows, np.isnan(y), settings)
    covariates = [_numbers(table, name, rows, settings.numerals) for name in settings.covariates]
    negative = rows.keep & (y < 0)
    if settings.negative == "error":
        _refuse_negative(negative, report.source)
    rows.bad(_repeats(code, instant, rows.keep), "the series_id and timestamp of an earlier row")
    _require_step(code[rows.keep], seconds[rows.keep], report.source, settings)
    if settings.step == "month":
        seconds = month_start(month_number(seconds))
        rows.bad(_repeats(code, seconds, rows.keep), "the series_id and month of an earlier row")
    else:
        off_grid = _off_grid(code, seconds, rows.keep, STEP_SECONDS[settings.step])
        rows.bad(off_grid, f"a timestamp between the steps (of a {settings.step}) of its series")
    rows.require_any()
    report.decide("steps below zero", int((negative & rows.keep).sum()))

    kept = rows.keep
    values = np.stack([y, *covariates], axis=1)[kept]
    return _lay(
        ids.categories.to_numpy(dtype=object), code[kept], seconds[kept], values, report, settings
    )


def _times(
    table: pa.Table, rows: RowFilter, ahead: np.ndarray, settings: SalesTable
) -> tuple[np.ndarray, np.ndarray]:
    """Wall-clock seconds and instants, int64 (N,) each; nonsense where a time cannot be read."""
    known = TimeSettings(settings.timestamp_unit, settings.timestamp_format)
    times = past_times(table, rows, "UTC", known, ahead)
    instant = wall_clock(times.instant, "UTC")
    return (wall_clock(times.instant, settings.timezone) if times.has_offset else instant), instant


def _numbers(table: pa.Table, name: str, rows: RowFilter, numerals: Numerals) -> np.ndarray:
    """Values of a column, float64 (N,), NaN where a cell is empty; true is 1 and false 0."""
    cells = table.column(name)
    values, unclear = NumberColumn(numerals).read(cells)
    rows.bad(np.isinf(values) | unclear, f"a {name} that is not a number", cells)
    return values


def _refuse_negative(negative: np.ndarray, source: str) -> None:
    if negative.any():
        raise DataError(
            f"{source}: {int(negative.sum()):,} rows have a y below 0 (the first is data row"
            f" {int(np.flatnonzero(negative)[0]) + 1:,}); mend the table, or set"
            " data.negative=keep"
        )


def _repeats(code: np.ndarray, moment: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Kept rows (N,) of the series and moment of an earlier one."""
    repeated = np.zeros(len(keep), dtype=bool)
    pairs = pd.DataFrame({"code": code, "moment": moment})[keep]
    repeated[keep] = pairs.duplicated().to_numpy()
    return repeated


def _require_step(code: np.ndarray, seconds: np.ndarray, source: str, settings: SalesTable) -> None:
    """Raises DataError where most rows do not follow each other by one step."""
    order = np.lexsort((seconds, code))
    before, after = (seconds[order[part]] for part in (slice(None, -1), slice(1, None)))
    follows = (np.diff(code[order]) == 0) & (after > before)
    if not follows.any():
        return
    before, after = before[follows], after[follows]
    common = int(np.sort(after - before)[follows.sum() // 2])
    if settings.step == "month":
        months = int(np.sort(steps_between(before, after, "month"))[follows.sum() // 2])
        step, whole, one = "a calendar month", months > 0, months == 1
    else:
        length = STEP_SECONDS[settings.step]
        step, whole, one = _duration(length), common % length == 0, common == length
    if one or (settings.gaps == "zero" and whole):
        return
    raise DataError(
        f"{source}: the rows of a series are mostly {_duration(common)} apart, but data.step="
        f"{settings.step} is {step}; set data.step to the step of the table (hour, day, week or"
        " month)"
        + (
            ", or data.gaps=zero if steps without sales have no row"
            if whole
            else ", or sum the table to such a step first"
        )
    )


def _duration(seconds: int) -> str:
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds % size == 0:
            return f"{seconds // size:,} {unit}{'' if seconds == size else 's'}"
    return f"{seconds:,} seconds"


def _off_grid(code: np.ndarray, seconds: np.ndarray, keep: np.ndarray, step: int) -> np.ndarray:
    """Rows (N,) that lie between the steps of their series; most rows say where those are."""
    rows = np.flatnonzero(keep)
    series, offset = code[rows], seconds[rows] % step
    pairs, place, count = np.unique(series * step + offset, return_inverse=True, return_counts=True)
    # the most frequent offset of each series, the earliest of several
    order = np.lexsort((-count, pairs // step))
    first = np.concatenate([[True], np.diff(pairs[order] // step) > 0]) if len(pairs) else order
    on_grid = np.zeros(len(pairs), dtype=bool)
    on_grid[order[first]] = True
    off = np.zeros(len(keep), dtype=bool)
    off[rows] = ~on_grid[place]
    return off


def _lay(
    ids: np.ndarray,
    code: np.ndarray,
    seconds: np.ndarray,
    values: np.ndarray,
    report: PanelReport,
    settings: SalesTable,
) -> SalesPanel:
    """Rows (N,) with y and covariates (N, 1 + F) to series; a series begins with its first y."""
    has_y = ~np.isnan(values[:, 0])
    never = np.iinfo(np.int64).max
    begin, end = np.full(len(ids), never), np.full(len(ids), -never)
    np.minimum.at(begin, code[has_y], seconds[has_y])
    np.maximum.at(end, code, seconds)
    kept = seconds >= begin[code]
    without = np.unique(code[begin[code] == never])
    report.decide("series without any y, left out", len(without))
    early = ~kept & (begin[code] != never)
    report.decide("rows before the first y of their series, left out", int(early.sum()))
    if not kept.any():
        raise DataError(f"{report.source}: y is empty in all of the {report.rows_in:,} rows")
    series, code = np.unique(code[kept], return_inverse=True)
    begin = begin[series]
    length = steps_between(begin, end[series], settings.step) + 1
    indptr = np.concatenate([[0], np.cumsum(length)])
    place = indptr[code] + steps_between(begin[code], seconds[kept], settings.step)
    covariates = np.full((indptr[-1], len(settings.covariates)), np.nan)
    covariates[place] = values[kept, 1:]
    report.rows = len(place)
    panel = SalesPanel(
        series_ids=ids[series],
        start=begin,
        indptr=indptr,
        y=_fill(place, values[kept, 0], begin, indptr, report, settings).astype(np.float32),
        covariates=covariates.astype(np.float32),
        covariate_names=settings.covariates,
        step=settings.step,
        timezone=settings.timezone,
        report=report,
        seasonality=settings.seasonality,
    )
    panel = complete_panel(panel)
    return with_covariates(panel, settings.covariates, panel.covariates)


def _fill(
    place: np.ndarray,
    y: np.ndarray,
    begin: np.ndarray,
    indptr: np.ndarray,
    report: PanelReport,
    settings: SalesTable,
) -> np.ndarray:
    """The y of every step, float64 (M,), of rows (N,) at their places; what has none is decided."""
    has_y, size = ~np.isnan(y), int(indptr[-1])
    rows = np.bincount(place, minlength=size)
    known = np.bincount(place[has_y], minlength=size) > 0
    # rows of one step are two hours of one name, when clocks go back: their sales are summed
    report.decide("hours that the clock shows twice, summed", int((rows > 1).sum()))
    total = np.bincount(place[has_y], weights=y[has_y], minlength=size)
    step = np.arange(size)
    last = np.maximum.reduceat(np.where(known, step, 0), indptr[:-1])
    length = np.diff(indptr)
    future = step > np.repeat(last, length)
    absent = (rows == 0) & ~future
    if settings.step == "hour":
        hour = np.repeat(begin // STEP_SECONDS["hour"] - indptr[:-1], length) + step
        skipped = clock_changes(hour, settings.timezone)[0] & absent
        report.decide("hours that the clock skips, missing", int(skipped.sum()))
        absent &= ~skipped
    if settings.gaps == "zero":
        known |= absent
        report.decide("steps without a row, filled with zero", int(absent.sum()))
    else:
        report.decide("steps without a row, missing", int(absent.sum()))
    empty = (rows > 0) & ~known & ~future
    report.decide("steps with a row but no y, missing", int(empty.sum()))
    report.decide("steps after the last y, known ahead", int(future.sum()))
    return np.where(known, total, np.nan)
