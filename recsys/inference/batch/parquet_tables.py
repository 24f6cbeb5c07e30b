"""Parquet in and out; it needs pyarrow, so import it only where a Parquet file is asked for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys.errors import DataError
from recsys.inference.batch.tables import (
    AGE_COLUMN,
    HISTORY_COLUMN,
    SERIES_COLUMN,
    TIME_COLUMN,
    USER_COLUMN,
    VALUE_COLUMN,
    ColumnKind,
    HistoryFile,
    HistoryRows,
    UsersChunk,
    UsersFile,
    check_ages,
    check_columns,
    check_history_columns,
    users_columns,
)
from recsys.inference.batch.times import local_seconds, parse_times

_TYPES = {
    "string": pa.string(),
    "int32": pa.int32(),
    "float32": pa.float32(),
    "timestamp": pa.timestamp("ms"),
}


def read_parquet_users(
    path: Path, file: BinaryIO, rows: int, read_history: bool, read_age: bool
) -> UsersFile:
    """Users in chunks of at most `rows`; a history is a list of strings, null is none; the days
    since its purchases are a list of numbers.

    Raises:
        DataError: if there is no column user_id, history_age is missing, or a column is of another
            type; while chunks are read, for a null where an id or a number belongs.
    """
    table = _open(path, file, [USER_COLUMN])
    schema = table.schema_arrow
    columns = users_columns(path, schema.names, read_history, read_age)
    _check_types(path, schema, columns)
    chunks = _chunks(path, table, rows, columns)
    return UsersFile(chunks, table.metadata.num_rows, HISTORY_COLUMN in columns)


def read_parquet_histories(
    path: Path, file: BinaryIO, rows: int, covariate_names: Sequence[str], zone: str
) -> HistoryFile:
    """Histories in chunks of at most `rows`; null is a missing y or an unknown covariate.

    Raises:
        DataError: if a column is missing, or of another type; while chunks are read, for a null
            where an id or a timestamp belongs.
    """
    needed = [SERIES_COLUMN, TIME_COLUMN, VALUE_COLUMN, *covariate_names]
    table = _open(path, file, needed)
    schema = table.schema_arrow
    check_history_columns(path, schema.names, needed)
    for name, fits, wanted in (
        (SERIES_COLUMN, _holds_ids, "ids are strings"),
        (TIME_COLUMN, _holds_times, "it is a timestamp, a date or text"),
        *((name, _holds_numbers, "it is a number") for name in needed[2:]),
    ):
        if not fits(kind := schema.field(name).type):
            raise DataError(f"{path}: {name} is of type {kind}: {wanted}")
    chunks = _history_chunks(path, table, rows, needed, zone)
    return HistoryFile(chunks, table.metadata.num_rows, "row")


def _open(path: Path, file: BinaryIO, needed: Sequence[str]) -> pq.ParquetFile:
    try:
        table = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    check_columns(path, table.schema_arrow.names, needed)
    return table


def _holds_times(kind: pa.DataType) -> bool:
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind) or is_text)


def _holds_numbers(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def _history_chunks(
    path: Path, table: pq.ParquetFile, rows: int, needed: list[str], zone: str
) -> Iterator[HistoryRows]:
    before = 1
    try:
        for batch in table.iter_batches(batch_size=rows, columns=needed):
            number = np.arange(before, before + len(batch))
            before += len(batch)
            for name in (SERIES_COLUMN, TIME_COLUMN):
                if batch.column(name).null_count:
                    row = number[np.flatnonzero(batch.column(name).is_null())[0]]
                    raise DataError(f"{path}, row {row}: the {name} is null")
            series, starts = _runs(batch.column(SERIES_COLUMN))
            if "" in series:
                row = number[starts[series.index("")]]
                raise DataError(f"{path}, row {row}: the {SERIES_COLUMN} is empty")
            time, instant = _times(path, batch.column(TIME_COLUMN), number, zone)
            y, *covariates = (_floats(batch.column(name)) for name in needed[2:])
            yield HistoryRows(
                series,
                np.append(starts, len(number)),
                number,
                time,
                instant,
                y,
                np.stack([y, *covariates], axis=1)[:, 1:].astype(np.float32),
            )
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error


def _runs(column: pa.Array) -> tuple[list[str], NDArray[np.int64]]:
    """Ids of the runs of equal values, and where the runs start."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    codes = column.indices.to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1])[: len(codes)])
    return column.take(pa.array(starts)).cast(pa.string()).to_pylist(), starts


def _times(
    path: Path, column: pa.Array, number: NDArray[np.int64], zone: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Local seconds and instants, each (N,)."""
    kind = column.type
    if not pa.types.is_timestamp(kind) and not pa.types.is_date(kind):
        return parse_times(column.to_pylist(), zone, lambda row: f"{path}, row {number[row]}")
    aware = pa.types.is_timestamp(kind) and kind.tz is not None
    fine = column.cast(pa.timestamp("ms")) if pa.types.is_date(kind) else column
    values = fine.to_numpy(zero_copy_only=False)
    seconds = values.astype("datetime64[s]")
    if (odd := np.flatnonzero(seconds != values)).size:
        raise DataError(
            f"{path}, row {number[odd[0]]}: the {TIME_COLUMN} {values[odd[0]]} is no whole second"
        )
    instant = seconds.astype(np.int64)
    return (local_seconds(instant, zone) if aware else instant), instant


def _floats(column: pa.Array) -> NDArray[np.float64]:
    """Numbers of a column, NaN for null."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _check_types(path: Path, schema: pa.Schema, columns: list[str]) -> None:
    kind = schema.field(USER_COLUMN).type
    if not _holds_ids(kind):
        raise DataError(f"{path}: {USER_COLUMN} is of type {kind}: ids are strings")
    for name in columns[1:]:
        kind = schema.field(name).type
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        fits, what = _LISTS[name]
        if not is_list or not fits(kind.value_type):
            raise DataError(f"{path}: {name} is of type {kind}: it is a list of {what}")


def _holds_ids(kind: pa.DataType) -> bool:
    """Whether the values are strings, or integers, whose digits are the id."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(is_text or pa.types.is_integer(kind))


def _chunks(
    path: Path, table: pq.ParquetFile, rows: int, columns: list[str]
) -> Iterator[UsersChunk]:
    before = 0
    try:
        for batch in table.iter_batches(batch_size=rows, columns=columns):
            users = batch.column(USER_COLUMN).cast(pa.string())
            if users.null_count:
                row = before + users.is_null().to_pylist().index(True) + 1
                raise DataError(f"{path}, row {row}: the {USER_COLUMN} is null")
            lists = [_lists(path, batch, name) for name in columns[1:]]
            if AGE_COLUMN in columns:
                for row, (history, age) in enumerate(zip(*lists, strict=True), before + 1):
                    check_ages(f"{path}, row {row}", history, age)
            yield UsersChunk(users.to_pylist(), *(lists + [None, None])[:2])
            before += len(users)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error


# What the lists of a users file hold: whether a type fits, and its name for people.
_LISTS: dict[str, tuple[Callable[[pa.DataType], bool], str]] = {
    HISTORY_COLUMN: (_holds_ids, "strings"),
    AGE_COLUMN: (_holds_numbers, "numbers"),
}


def _lists(path: Path, batch: pa.RecordBatch, name: str) -> list[list[Any] | None]:
    kind = pa.string() if name == HISTORY_COLUMN else pa.float32()
    lists = batch.column(name).cast(pa.large_list(kind))
    if lists.flatten().null_count:
        raise DataError(f"{path}: a list in the column {name} holds a null")
    values: list[list[Any] | None] = lists.to_pylist()
    return values


class ParquetTable:
    """Writes a table as Parquet."""

    def __init__(self, path: Path, columns: Mapping[str, ColumnKind]) -> None:
        """Creates the file."""
        self._schema = pa.schema([(name, _TYPES[kind]) for name, kind in columns.items()])
        self._writer = pq.ParquetWriter(path, self._schema)

    def write(self, columns: Sequence[NDArray[Any]]) -> None:
        """Appends rows."""
        arrays = [
            pa.array(column, kind) for column, kind in zip(columns, self._schema.types, strict=True)
        ]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))

    def close(self) -> None:
        """Writes the footer, without which the file is no Parquet."""
        self._writer.close()
