"""Reads a long table of histories: series_id, timestamp, y and covariates.

Axes: N rows of a chunk, R runs of rows of one series, F covariates.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.inference.batch.columns import check_kinds, ids, numbers, row_errors, times
from recsys.table_files import TableFile

SERIES_COLUMN = "series_id"
TIME_COLUMN = "timestamp"
VALUE_COLUMN = "y"


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
    file: TableFile, covariate_names: Sequence[str], timezone: str, max_rows: int
) -> Iterator[HistoryRows]:
    """Histories in chunks of at most `max_rows`.

    Raises:
        DataError: a column is missing or of another type, or a row cannot be used.
    """
    kinds = {SERIES_COLUMN: "id", TIME_COLUMN: "time", VALUE_COLUMN: "number"}
    kinds |= dict.fromkeys(covariate_names, "number")
    check_kinds(file, kinds)
    first = 0
    for batch in file.batches(list(kinds), max_rows):
        with row_errors(file, first):
            series, starts = _runs(ids(batch[SERIES_COLUMN], SERIES_COLUMN))
            time, instant = times(batch[TIME_COLUMN], TIME_COLUMN, timezone)
            y = numbers(batch[VALUE_COLUMN], VALUE_COLUMN)
            covariates = np.empty((len(batch), len(covariate_names)), dtype=np.float32)
            with np.errstate(over="ignore"):
                for place, name in enumerate(covariate_names):
                    covariates[:, place] = numbers(batch[name], name)
        rows = np.arange(first, first + len(batch))
        first += len(batch)
        yield HistoryRows(series, np.append(starts, len(batch)), rows, time, instant, y, covariates)


def _runs(column: pa.Array) -> tuple[list[str], NDArray[np.int64]]:
    """Ids of the runs of equal values, and where the runs start."""
    encoded = column.dictionary_encode()
    codes = encoded.indices.to_numpy()
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1])[: len(codes)])
    return column.take(pa.array(starts)).to_pylist(), starts
