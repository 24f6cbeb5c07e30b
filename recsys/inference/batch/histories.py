"""Reads a long table of histories: series_id, timestamp, y and covariates.

Axes: N rows of a chunk, R runs of rows of one series, F covariates.
"""

import time as clock
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.inference.batch.columns import (
    check_kinds,
    ids,
    numbers,
    row_errors,
    time_form,
    times,
)
from recsys.inference.batch.input_table import InputTable
from recsys.inference.inputs import RowError
from recsys.tables.cells import NumberColumn

SERIES_COLUMN = "series_id"
TIME_COLUMN = "timestamp"
VALUE_COLUMN = "y"
_DAY = 86_400  # seconds; clocks are wrong by less


class HistoryRows(NamedTuple):
    """Consecutive rows of a table of histories, cut where the series changes.

    Attributes:
        series: ids of the runs, R of them.
        offsets: run r has the rows `offsets[r]:offsets[r + 1]`, int64 (R + 1,).
        row: of the file, counted from 0, for errors, int64 (N,).
        time: local seconds, counted as if UTC, int64 (N,).
        instant: seconds since 1970 in UTC where the file tells, else as `time`, int64 (N,).
        y: NaN where missing, float64 (N,).
        covariates: NaN where unknown, float32 (N, F).
    """

    series: list[str]
    offsets: NDArray[np.int64]
    row: NDArray[np.int64]
    time: NDArray[np.int64]
    instant: NDArray[np.int64]
    y: NDArray[np.float64]
    covariates: NDArray[np.float32]


def read_histories(
    table: InputTable, covariate_names: Sequence[str], timezone: str, max_rows: int
) -> Iterator[HistoryRows]:
    """Histories in chunks of at most `max_rows`.

    Raises:
        DataError: a column is missing or of another type, or a row cannot be used.
    """
    kinds = {SERIES_COLUMN: "id", TIME_COLUMN: "time", VALUE_COLUMN: "number"}
    kinds |= dict.fromkeys(covariate_names, "number")
    table.require_read(list(kinds))
    check_kinds(table, kinds)
    form = time_form(table, TIME_COLUMN, max_rows)
    readers = {name: NumberColumn(table.numerals) for name in (VALUE_COLUMN, *covariate_names)}
    tomorrow = clock.time() + _DAY
    first = 0
    for batch in table.batches(list(kinds), max_rows, (SERIES_COLUMN, TIME_COLUMN)):
        with row_errors(table, first):
            series, starts = _runs(ids(batch[SERIES_COLUMN], SERIES_COLUMN))
            time, instant = times(batch[TIME_COLUMN], TIME_COLUMN, form, table, timezone)
            y = numbers(batch[VALUE_COLUMN], VALUE_COLUMN, readers[VALUE_COLUMN])
            if (future := (instant > tomorrow) & ~np.isnan(y)).any():
                raise RowError(int(future.argmax()), f"a {TIME_COLUMN} in the future, with a y")
            covariates = np.empty((len(batch), len(covariate_names)), dtype=np.float32)
            with np.errstate(over="ignore"):
                for place, name in enumerate(covariate_names):
                    covariates[:, place] = numbers(batch[name], name, readers[name])
        rows = np.arange(first, first + len(batch))
        first += len(batch)
        yield HistoryRows(series, np.append(starts, len(batch)), rows, time, instant, y, covariates)


def _runs(column: pa.Array) -> tuple[list[str], NDArray[np.int64]]:
    """Ids of the runs of equal values, and where the runs start."""
    encoded = column.dictionary_encode()
    codes = encoded.indices.to_numpy()
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1])[: len(codes)])
    return column.take(pa.array(starts)).to_pylist(), starts
