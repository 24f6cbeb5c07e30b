"""Writes CSV and Parquet files batch by batch; a file appears when it is complete."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from recsys.errors import DataError
from recsys.tables.text import TextFormat, compression, is_parquet


class TableWriter:
    """Appends rows to a CSV or Parquet file that `create_table` opened."""

    def __init__(
        self, writer: "pa.csv.CSVWriter | pa.parquet.ParquetWriter", schema: pa.Schema
    ) -> None:
        self._writer, self._schema = writer, schema

    def write(self, columns: Sequence[object]) -> None:
        """Appends rows, given as arrays of equal length in the order of the schema."""
        arrays = map(pa.array, columns, self._schema.types)
        batch = pa.record_batch(list(arrays), schema=self._schema)
        if isinstance(self._writer, pa.csv.CSVWriter):
            batch = _times_as_text(batch)
        self._writer.write_batch(batch)


@contextmanager
def create_table(path: Path, schema: pa.Schema) -> Iterator[TableWriter]:
    """Writes a table beside `path` and renames it when it is complete; an error leaves no file.

    Args:
        path: .csv, .tsv or .txt (each may be compressed) or .parquet; missing folders are made, an
            existing file is replaced.
        schema: of the columns; timestamps become ISO 8601 in a CSV file.

    Raises:
        DataError: the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    missing = [each for each in path.absolute().parents if not each.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with pa.output_stream(partial, compression(path)) as stream:
            if is_parquet(path):
                with pa.parquet.ParquetWriter(stream, schema) as parquet:
                    yield TableWriter(parquet, schema)
            else:
                options = pa.csv.WriteOptions(delimiter=TextFormat().delimiter(path))
                header = _times_as_text(pa.RecordBatch.from_pylist([], schema)).schema
                with pa.csv.CSVWriter(stream, header, write_options=options) as text:
                    yield TableWriter(text, schema)
        partial.replace(path)
    except OSError as error:
        raise DataError(f"output {path} cannot be written: {error}") from error
    finally:
        with suppress(OSError):
            partial.unlink()
        with suppress(OSError):  # they hold the file
            for each in missing:
                each.rmdir()


def _times_as_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Timestamps as ISO 8601, to the second."""
    columns = [
        pc.strftime(column.cast(pa.timestamp("s")), format="%Y-%m-%dT%H:%M:%S")
        if pa.types.is_timestamp(column.type)
        else column
        for column in batch.columns
    ]
    return pa.record_batch(columns, names=batch.schema.names)
