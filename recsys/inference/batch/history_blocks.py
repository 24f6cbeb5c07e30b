"""Cuts a long table of histories into windows, a block of series at a time.

Axes: N rows, B series of a block, T steps of history, H steps of the horizon, F covariates.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.errors import DataError
from recsys.inference.batch.tables import TIME_COLUMN, VALUE_COLUMN, HistoryFile, HistoryRows

# Short histories stand in a table as wide as the longest of their block.
_BLOCK_SERIES = 2**12


@dataclass(frozen=True)
class Grid:
    """The steps of a forecaster.

    Attributes:
        seconds: length of a step.
        offset: where steps begin, in seconds after a multiple of a step since 1970; None where
            every series has a beginning of its own.
        length: steps of history that make a difference.
        horizon: steps that are forecast, H.
        covariate_names: F names.
    """

    seconds: int
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
    """What was found in a table beside what it was read for.

    Attributes:
        rows: read.
        series: read.
        without_value: ids of series without a single y, which get no forecast.
        missing_steps: steps between the first and the last y that have no row.
        added_up: rows that were added to another, because the clock showed their hour twice.
        unknown_covariates: values of covariates in the horizon that are not known.
        beyond: rows after the horizon, which are not read.
    """

    rows: int = 0
    series: int = 0
    without_value: list[str] = field(default_factory=list)
    missing_steps: int = 0
    added_up: int = 0
    unknown_covariates: int = 0
    beyond: int = 0


def window_blocks(
    path: Path, file: HistoryFile, grid: Grid, counts: Counts
) -> Iterator[WindowBlock]:
    """Windows that end with the last y of each series, in the order of the table.

    Rows of a series stand together, in any order; the rows after its last y tell covariates ahead.
    Memory holds a chunk of rows, the longest series and the ids of all.

    Args:
        path: of the file, for errors.
        file: opened.
        grid: of the forecaster.
        counts: is counted up while blocks are taken.

    Raises:
        DataError: for a series that comes back after another, a timestamp that comes twice or is
            off the grid, and a value that is infinite.
    """
    finished: set[str] = set()
    held: list[HistoryRows] = []
    for chunk in filter(lambda rows: len(rows.time), file.chunks):
        counts.rows += len(chunk.time)
        if held and chunk.series[0] == held[0].series[0]:
            if len(chunk.series) == 1:
                held.append(chunk)
                continue
        elif held:
            # The series that was held ended with the chunk before.
            yield from _block(path, file.unit, _joined(held), grid, counts, finished)
            held = []
        whole = _joined([*held, chunk])
        last = len(whole.series) - 1
        for first in range(0, last, _BLOCK_SERIES):
            rows = _runs(whole, first, min(first + _BLOCK_SERIES, last))
            yield from _block(path, file.unit, rows, grid, counts, finished)
        held = [_runs(whole, last, last + 1)]
    if held:
        yield from _block(path, file.unit, _joined(held), grid, counts, finished)


def _joined(parts: list[HistoryRows]) -> HistoryRows:
    """Parts in one; the last run of a part and the first of the next are of the same series."""
    if len(parts) == 1:
        return parts[0]
    series, starts, rows = list(parts[0].series), [parts[0].indptr[:-1]], len(parts[0].time)
    for part in parts[1:]:
        series += part.series[1:]
        starts.append(part.indptr[1:-1] + rows)
        rows += len(part.time)
    columns = [np.concatenate(column) for column in zip(*(part[2:] for part in parts), strict=True)]
    return HistoryRows(series, np.concatenate([*starts, [rows]]), *columns)


def _runs(rows: HistoryRows, first: int, last: int) -> HistoryRows:
    """The rows of runs `first` to `last`."""
    begin, end = rows.indptr[[first, last]]
    columns = (column[begin:end] for column in rows[2:])
    return HistoryRows(rows.series[first:last], rows.indptr[first : last + 1] - begin, *columns)  # type: ignore[arg-type]


def _block(
    path: Path, unit: str, rows: HistoryRows, grid: Grid, counts: Counts, finished: set[str]
) -> Iterator[WindowBlock]:
    """The windows of whole series; none where no series has a y."""
    _check_apart(path, unit, rows, finished)
    counts.series += len(rows.series)
    run = np.repeat(np.arange(len(rows.series)), np.diff(rows.indptr))  # (N,)
    for name, values in (
        (VALUE_COLUMN, rows.y),
        *zip(grid.covariate_names, rows.covariates.T, strict=True),
    ):
        if (odd := np.flatnonzero(np.isinf(values))).size:
            raise DataError(f"{path}, {unit} {rows.number[odd[0]]}: {name} is infinite")
    if (np.diff(run * 2**40 + rows.time) <= 0).any():
        order = np.lexsort([rows.time, run])
        rows = HistoryRows(rows.series, rows.indptr, *(column[order] for column in rows[2:]))  # type: ignore[arg-type]
        rows, run = _added_up(path, unit, rows, run, counts)
    _check_grid(path, unit, rows, run, grid)
    never = np.iinfo(np.int64).min
    ends = np.maximum.reduceat(np.where(np.isnan(rows.y), never, rows.time), rows.indptr[:-1])
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
    """Puts rows into their places beside the last y of their series."""
    step = np.where(served[run], (rows.time - ends[run]) // grid.seconds, np.iinfo(np.int64).max)
    past, ahead = step <= 0, (step > 0) & (step <= grid.horizon)
    counts.beyond += int((served[run] & ~past & ~ahead).sum())
    oldest = np.minimum.reduceat(step, rows.indptr[:-1])  # (B,), 0 or below where served
    known = np.bincount(run[past], minlength=len(served))
    counts.missing_steps += int((1 - oldest - known)[served].sum())
    width = min(grid.length, 1 - int(oldest[served].min()))
    place = np.cumsum(served) - 1  # (B,), row of a series in the block
    number, names = int(served.sum()), np.array(rows.series, dtype=object)[served]
    history = np.full((number, width), np.nan, dtype=np.float32)
    shape = (number, width + grid.horizon, len(grid.covariate_names))
    covariates = np.full(shape, np.nan, dtype=np.float32)
    read = past & (step > -width)
    with np.errstate(over="ignore"):
        history[place[run[read]], step[read] + width - 1] = rows.y[read]
    read |= ahead
    covariates[place[run[read]], step[read] + width - 1] = rows.covariates[read]
    counts.unknown_covariates += int(np.isnan(covariates[:, width:]).sum())
    start = ends[served] - (width - 1) * grid.seconds
    return WindowBlock(names.tolist(), history, start, covariates)


def _check_apart(path: Path, unit: str, rows: HistoryRows, finished: set[str]) -> None:
    """Refuses a series whose rows do not stand together; afterwards all of them are finished."""
    new = set(rows.series)
    if len(new) == len(rows.series) and finished.isdisjoint(new):
        finished |= new
        return
    for name, first in zip(rows.series, rows.indptr.tolist(), strict=False):
        if name in finished:
            raise DataError(
                f"{path}, {unit} {rows.number[first]}: the series {name!r} comes back after "
                "another one: sort the table by series_id, so that its rows stand together"
            )
        finished.add(name)


def _added_up(
    path: Path, unit: str, rows: HistoryRows, run: NDArray[np.int64], counts: Counts
) -> tuple[HistoryRows, NDArray[np.int64]]:
    """Adds up hours that the clock showed twice when it was set back; other repeats are refused."""
    again = np.append(False, (np.diff(rows.time) == 0) & (np.diff(run) == 0))  # (N,)
    if not again.any():
        return rows, run
    wrong = again & np.append(False, np.diff(rows.instant) == 0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{path}, {unit} {max(rows.number[row - 1 : row + 1])}: the series "
            f"{rows.series[run[row]]!r} has {_shown(rows.time[row])} twice: add its rows up"
        )
    counts.added_up += int(again.sum())
    first = np.flatnonzero(~again)
    kept, run = [column[first] for column in rows[2:]], run[first]
    kept[3] = np.add.reduceat(rows.y, first)
    lengths = np.bincount(run, minlength=len(rows.series))
    indptr = np.append(0, np.cumsum(lengths))
    return HistoryRows(rows.series, indptr, *kept), run  # type: ignore[arg-type]


def _check_grid(
    path: Path, unit: str, rows: HistoryRows, run: NDArray[np.int64], grid: Grid
) -> None:
    offset = grid.offset if grid.offset is not None else rows.time[rows.indptr[:-1]][run]
    off = (rows.time - offset) % grid.seconds != 0
    if off.any():
        row = int(np.flatnonzero(off)[0])
        before = rows.time[row] - int((rows.time - offset)[row] % grid.seconds)
        raise DataError(
            f"{path}, {unit} {rows.number[row]}: the {TIME_COLUMN} {_shown(rows.time[row])} of the "
            f"series {rows.series[run[row]]!r} is off the grid: a step begins at {_shown(before)} "
            f"and the next {grid.seconds} s later"
        )


def _shown(seconds: int) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None).isoformat(" ")
