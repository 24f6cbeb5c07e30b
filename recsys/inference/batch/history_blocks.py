"""Cuts a long table of histories into windows, one block of series at a time.

Axes: N rows, B series of a block, T steps of history, H steps of the horizon, F covariates.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.errors import DataError
from recsys.inference.batch.histories import TIME_COLUMN, HistoryRows
from recsys.steps import STEP_SECONDS, later, month_number, month_start, steps_between

# Windows of a block are as wide as its longest history.
_BLOCK_SERIES = 2**12


@dataclass(frozen=True)
class Grid:
    """The steps of a forecaster.

    Attributes:
        step: hour, day, week or month.
        offset: where steps begin, in seconds after a multiple of a step since 1970; None where
            each series defines its own, and of months.
        length: steps of history that the model reads.
        horizon: steps that are forecast, H.
        covariate_names: F names.
    """

    step: str
    offset: int | None
    length: int
    horizon: int
    covariate_names: tuple[str, ...]


class WindowBlock(NamedTuple):
    """Windows of some series, as `Forecaster.forecast` takes them.

    Attributes:
        series: B ids.
        history: float32 (B, T).
        start: int64 (B,).
        covariates: float32 (B, T + H, F).
    """

    series: list[str]
    history: NDArray[np.float32]
    start: NDArray[np.int64]
    covariates: NDArray[np.float32]


@dataclass
class Counts:
    """Counts of a table, for warnings.

    Attributes:
        rows: read.
        series: read.
        without_value: ids of series without any y, which get no forecast.
        missing_steps: steps between the first and the last y without a row.
        added_up: rows added to the previous one because the clock was set back.
        unknown_covariates: missing values of covariates in the horizon.
        beyond: rows after the horizon, which are ignored.
    """

    rows: int = 0
    series: int = 0
    without_value: list[str] = field(default_factory=list)
    missing_steps: int = 0
    added_up: int = 0
    unknown_covariates: int = 0
    beyond: int = 0


def window_blocks(
    chunks: Iterator[HistoryRows], place: Callable[[int], str], grid: Grid, counts: Counts
) -> Iterator[WindowBlock]:
    """Windows that end with the last y of each series, in the order of the table.

    Rows of a series are consecutive, in any order; those after its last y hold the covariates of
    the horizon. Memory holds a chunk of rows, the longest series and the ids of all.

    Args:
        chunks: rows of the table.
        place: file and line of a row, for errors.
        grid: of the forecaster.
        counts: incremented while blocks are taken.

    Raises:
        DataError: the rows of a series are not consecutive, or a timestamp is repeated or off
            the grid.
    """
    finished: set[str] = set()
    held: list[HistoryRows] = []
    for chunk in filter(lambda rows: len(rows.time), chunks):
        counts.rows += len(chunk.time)
        if grid.step == "month":
            chunk = _of_months(chunk)
        if held and chunk.series[0] == held[0].series[0]:
            if len(chunk.series) == 1:
                held.append(chunk)
                continue
        elif held:
            # The series that was held ended with the chunk before.
            yield from _block(place, _joined(held), grid, counts, finished)
            held = []
        whole = _joined([*held, chunk])
        last = len(whole.series) - 1
        for first in range(0, last, _BLOCK_SERIES):
            rows = _runs(whole, first, min(first + _BLOCK_SERIES, last))
            yield from _block(place, rows, grid, counts, finished)
        held = [_runs(whole, last, last + 1)]
    if held:
        yield from _block(place, _joined(held), grid, counts, finished)


def _joined(parts: list[HistoryRows]) -> HistoryRows:
    """Concatenates parts; the last run of each is of the same series as the first of the next."""
    if len(parts) == 1:
        return parts[0]
    series, starts, rows = list(parts[0].series), [parts[0].offsets[:-1]], len(parts[0].time)
    for part in parts[1:]:
        series += part.series[1:]
        starts.append(part.offsets[1:-1] + rows)
        rows += len(part.time)
    columns = [np.concatenate(column) for column in zip(*(part[2:] for part in parts), strict=True)]
    return HistoryRows(series, np.concatenate([*starts, [rows]]), *columns)


def _runs(rows: HistoryRows, first: int, last: int) -> HistoryRows:
    """The rows of runs `first` to `last`."""
    begin, end = rows.offsets[[first, last]]
    columns = (column[begin:end] for column in rows[2:])
    return HistoryRows(rows.series[first:last], rows.offsets[first : last + 1] - begin, *columns)  # type: ignore[arg-type]


def _block(
    place: Callable[[int], str],
    rows: HistoryRows,
    grid: Grid,
    counts: Counts,
    finished: set[str],
) -> Iterator[WindowBlock]:
    """The windows of whole series; none where no series has a y."""
    _check_apart(place, rows, finished)
    counts.series += len(rows.series)
    run = np.repeat(np.arange(len(rows.series)), np.diff(rows.offsets))  # (N,)
    if (np.diff(run * 2**40 + rows.time) <= 0).any():
        order = np.lexsort([rows.time, run])
        rows = HistoryRows(rows.series, rows.offsets, *(column[order] for column in rows[2:]))  # type: ignore[arg-type]
        rows, run = _added_up(place, rows, run, grid.step, counts)
    _check_grid(place, rows, run, grid)
    never = np.iinfo(np.int64).min
    ends = np.maximum.reduceat(np.where(np.isnan(rows.y), never, rows.time), rows.offsets[:-1])
    served = ends > never  # (B,)
    counts.without_value += [name for name, has in zip(rows.series, served, strict=True) if not has]
    if served.any():
        yield _windows(rows, run, ends, served, grid, counts)


def _windows(
    rows: HistoryRows,
    run: NDArray[np.int64],
    ends: NDArray[np.int64],
    served: NDArray[np.bool_],
    grid: Grid,
    counts: Counts,
) -> WindowBlock:
    """Windows of the series in the block, aligned at the last y of each."""
    step = steps_between(ends[run], rows.time, grid.step)
    step = np.where(served[run], step, np.iinfo(np.int64).max)
    past, ahead = step <= 0, (step > 0) & (step <= grid.horizon)
    counts.beyond += int((served[run] & ~past & ~ahead).sum())
    oldest = np.minimum.reduceat(step, rows.offsets[:-1])  # (B,), 0 or below where served
    known = np.bincount(run[past], minlength=len(served))
    counts.missing_steps += int((1 - oldest - known)[served].sum())
    width = min(grid.length, 1 - int(oldest[served].min()))
    window = np.cumsum(served) - 1  # (B,), row of a series in the block
    number, names = int(served.sum()), np.array(rows.series, dtype=object)[served]
    history = np.full((number, width), np.nan, dtype=np.float32)
    shape = (number, width + grid.horizon, len(grid.covariate_names))
    covariates = np.full(shape, np.nan, dtype=np.float32)
    read = past & (step > -width)
    with np.errstate(over="ignore"):
        history[window[run[read]], step[read] + width - 1] = rows.y[read]
    read |= ahead
    covariates[window[run[read]], step[read] + width - 1] = rows.covariates[read]
    counts.unknown_covariates += int(np.isnan(covariates[:, width:]).sum())
    start = later(ends[served], 1 - width, grid.step)
    return WindowBlock(names.tolist(), history, start, covariates)


def _check_apart(place: Callable[[int], str], rows: HistoryRows, finished: set[str]) -> None:
    """Refuses a series whose rows are not consecutive; afterwards all of them are finished."""
    new = set(rows.series)
    if len(new) == len(rows.series) and finished.isdisjoint(new):
        finished |= new
        return
    for name, first in zip(rows.series, rows.offsets.tolist(), strict=False):
        if name in finished:
            raise DataError(
                f"{place(rows.row[first])}: the series {name!r} continues after another one: sort "
                "the table by series_id"
            )
        finished.add(name)


def _added_up(
    place: Callable[[int], str],
    rows: HistoryRows,
    run: NDArray[np.int64],
    step: str,
    counts: Counts,
) -> tuple[HistoryRows, NDArray[np.int64]]:
    """Adds up hours that the clock showed twice when it was set back; refuses other repeats."""
    again = np.append(False, (np.diff(rows.time) == 0) & (np.diff(run) == 0))  # (N,)
    if not again.any():
        return rows, run
    wrong = again & np.append(False, np.diff(rows.instant) == 0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{place(max(rows.row[row - 1 : row + 1]))}: the series "
            f"{rows.series[run[row]]!r} has {_shown(rows.time[row], step)} twice: add its rows up"
        )
    counts.added_up += int(again.sum())
    first = np.flatnonzero(~again)
    kept, run = [column[first] for column in rows[2:]], run[first]
    kept[3] = np.add.reduceat(rows.y, first)
    lengths = np.bincount(run, minlength=len(rows.series))
    offsets = np.append(0, np.cumsum(lengths))
    return HistoryRows(rows.series, offsets, *kept), run  # type: ignore[arg-type]


def _check_grid(
    place: Callable[[int], str], rows: HistoryRows, run: NDArray[np.int64], grid: Grid
) -> None:
    if grid.step == "month":
        return  # they are where months begin
    length = STEP_SECONDS[grid.step]
    offset = grid.offset if grid.offset is not None else rows.time[rows.offsets[:-1]][run]
    off = (rows.time - offset) % length != 0
    if off.any():
        row = int(np.flatnonzero(off)[0])
        before = rows.time[row] - int((rows.time - offset)[row] % length)
        raise DataError(
            f"{place(rows.row[row])}: the {TIME_COLUMN} {_shown(rows.time[row])} of the "
            f"series {rows.series[run[row]]!r} is off the grid: a step begins at {_shown(before)} "
            f"and the next {length} s later"
        )


def _of_months(rows: HistoryRows) -> HistoryRows:
    """The rows with the beginnings of their months, so that two of one month are a repetition."""
    begin = month_start(month_number(rows.time))
    return rows._replace(time=begin, instant=begin)


def _shown(seconds: int, step: str = "") -> str:
    if step == "month":
        return f"the month {datetime.fromtimestamp(int(seconds), UTC):%Y-%m}"
    return datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None).isoformat(" ")
