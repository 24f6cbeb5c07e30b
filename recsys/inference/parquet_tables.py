"""Parquet in and out; it needs pyarrow, so import it only where a Parquet file is asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.errors import DataError
from recsys.inference.tables import (
    HISTORY_COLUMN,
    OUTPUT_COLUMNS,
    USER_COLUMN,
    Recommendations,
    UsersChunk,
    UsersFile,
    check_columns,
)

_KINDS = (pa.string(), pa.int32(), pa.string(), pa.float32())
_SCHEMA = pa.schema(list(zip(OUTPUT_COLUMNS, _KINDS, strict=True)))


def read_parquet_users(path: Path, file: BinaryIO, rows: int, read_history: bool) -> UsersFile:
    """Users in chunks of at most `rows`; a history is a list of strings, null is none.

    Raises:
        DataError: if there is no column user_id, or a column of another type; while chunks are
            read, for a null where an id belongs.
    """
    try:
        table = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    schema = table.schema_arrow
    check_columns(path, schema.names)
    has_history = read_history and HISTORY_COLUMN in schema.names
    _check_types(path, schema, has_history)
    chunks = _chunks(path, table, rows, has_history)
    return UsersFile(chunks, table.metadata.num_rows, has_history)


def _check_types(path: Path, schema: pa.Schema, has_history: bool) -> None:
    kind = schema.field(USER_COLUMN).type
    if not _holds_ids(kind):
        raise DataError(f"{path}: {USER_COLUMN} is of type {kind}: ids are strings")
    if not has_history:
        return
    kind = schema.field(HISTORY_COLUMN).type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not is_list or not _holds_ids(kind.value_type):
        raise DataError(f"{path}: {HISTORY_COLUMN} is of type {kind}: it is a list of strings")


def _holds_ids(kind: pa.DataType) -> bool:
    """Whether the values are strings, or integers, whose digits are the id."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(is_text or pa.types.is_integer(kind))


def _chunks(
    path: Path, table: pq.ParquetFile, rows: int, has_history: bool
) -> Iterator[UsersChunk]:
    columns = [USER_COLUMN, HISTORY_COLUMN] if has_history else [USER_COLUMN]
    before = 0
    try:
        for batch in table.iter_batches(batch_size=rows, columns=columns):
            users = batch.column(USER_COLUMN).cast(pa.string())
            if users.null_count:
                row = before + users.is_null().to_pylist().index(True) + 1
                raise DataError(f"{path}, row {row}: the {USER_COLUMN} is null")
            history = _history(path, batch) if has_history else None
            yield UsersChunk(users.to_pylist(), history)
            before += len(users)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error


def _history(path: Path, batch: pa.RecordBatch) -> list[list[str] | None]:
    lists = batch.column(HISTORY_COLUMN).cast(pa.large_list(pa.string()))
    if lists.flatten().null_count:
        raise DataError(f"{path}: a list in the column {HISTORY_COLUMN} holds a null")
    history: list[list[str] | None] = lists.to_pylist()
    return history


class ParquetRecommendations:
    """Writes recommendations as Parquet."""

    def __init__(self, path: Path) -> None:
        """Creates the file."""
        self._writer = pq.ParquetWriter(path, _SCHEMA)

    def write(self, rows: Recommendations) -> None:
        """Appends rows."""
        columns = [pa.array(column, kind) for column, kind in zip(rows, _KINDS, strict=True)]
        self._writer.write_batch(pa.record_batch(columns, schema=_SCHEMA))

    def close(self) -> None:
        """Writes the footer, without which the file is no Parquet."""
        self._writer.close()
