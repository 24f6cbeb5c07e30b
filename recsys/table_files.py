"""CSV and Parquet files as streams of Arrow record batches, in memory that does not grow with them.

Every cell of a CSV file is a string and none is null: "007" and "NA" stay what they are.
"""

import codecs
import csv
import gzip
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from recsys.errors import DataError

_ENDINGS = (".csv", ".tsv", ".txt", ".parquet")
_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
# Bytes of CSV parsed at once; no row may be longer.
_CSV_BLOCK = 2**24


@dataclass(frozen=True)
class TableFile:
    """A table on disk.

    Attributes:
        path: .csv, .tsv or .txt (each also .gz), or .parquet.
        schema: columns of the file; all of type string in a CSV file.
        num_rows: rows of a Parquet file, None for CSV.
    """

    path: Path
    schema: pa.Schema
    num_rows: int | None

    def require(self, columns: Sequence[str]) -> None:
        """Raises DataError where the file lacks one of these columns, or has one twice."""
        for name in columns:
            if name not in self.schema.names:
                has = ", ".join(self.schema.names)
                raise DataError(f"{self.path} has no column {name!r} (it has {has})")
            if self.schema.names.count(name) > 1:
                raise DataError(f"{self.path} has the column {name!r} twice: rename one")

    def batches(self, columns: Sequence[str], max_rows: int) -> Iterator[pa.RecordBatch]:
        """Some columns of all rows, at most `max_rows` at a time.

        Raises:
            DataError: a row has too many or too few cells, a cell has several lines, or the file is
                damaged.
        """
        with _read_errors(self.path):
            if _is_parquet(self.path):
                with pa.parquet.ParquetFile(self.path) as file:
                    yield from file.iter_batches(batch_size=max_rows, columns=list(columns))
                return
            rows = 0
            with _csv_reader(self.path, columns) as reader:
                for block in reader:
                    rows += len(block)
                    for start in range(0, len(block), max_rows):
                        yield block.slice(start, max_rows)
            require_lines(self.path, rows, _delimiter(self.path))

    def place(self, row: int) -> str:
        """Where a row, counted from 0, stands: the file and the line of CSV or row of Parquet."""
        if _is_parquet(self.path):
            return f"{self.path}, row {row + 1}"
        return f"{self.path}, line {_line_number(self.path, row + 2)}"


def open_table(path: Path) -> TableFile:
    """Reads the names and types of a table's columns.

    Raises:
        DataError: the file does not exist, is empty, has another ending, or cannot be read.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist (looked in {path.parent.absolute()})")
    with _read_errors(path):
        if _is_parquet(path):
            with pa.parquet.ParquetFile(path) as file:
                return TableFile(path, file.schema_arrow, file.metadata.num_rows)
        with _csv_reader(path, []) as reader:
            names = reader.schema.names
    return TableFile(path, pa.schema([(name, pa.string()) for name in names]), None)


def require_lines(
    path: Path, rows: int, delimiter: str, encoding: str = "utf-8", advice: str = ""
) -> None:
    """Raises DataError where a text file has more lines than a header and its rows: a quote that is
    not closed makes one cell of all that follows.

    Args:
        path: of the file.
        rows: that were read from it.
        delimiter, encoding: of the file.
        advice: what to set if cells of several lines are meant.
    """
    if _filled_lines(path, encoding) == rows + 1:
        return
    with open_text(path, encoding) as file:
        csv.field_size_limit(sys.maxsize)
        reader, before = csv.reader(file, delimiter=delimiter), 0
        for cells in reader:
            if reader.line_num > before + 1:
                name = next((cell for cell in cells if "\n" in cell or "\r" in cell), "")
                shown = name.splitlines()[0][:40] if name else ""
                raise DataError(
                    f"{path}, line {before + 1}: the cell that begins with {shown!r} ends in line"
                    f" {reader.line_num}: close its quote, or double a quote inside it{advice}"
                )
            before = reader.line_num


def require_closed(path: Path, delimiter: str, encoding: str) -> None:
    """Raises DataError where a quote is never closed."""
    with open_text(path, encoding) as file:
        csv.field_size_limit(sys.maxsize)
        reader, line = csv.reader(file, delimiter=delimiter, strict=True), 0
        try:
            for _ in reader:
                line = reader.line_num
        except csv.Error as error:
            raise DataError(
                f"{path}, line {line + 1}: a quote that is not closed, or stands inside a cell"
                f" ({error}): close it, or double a quote inside a cell"
            ) from error


def open_text(path: Path, encoding: str = "utf-8") -> TextIO:
    """A text file, which may be compressed, with its line ends as they are."""
    stream = pa.input_stream(str(path), compression="detect")
    return io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="")


def _filled_lines(path: Path, encoding: str) -> int:
    """Lines that are not empty."""
    lines, at_end = 0, True
    with pa.input_stream(str(path), compression="detect") as file:
        utf8 = codecs.lookup(encoding).name == "utf-8"
        stream = file if utf8 else pa.transcoding_input_stream(file, encoding, "utf-8")
        while block := stream.read(_CSV_BLOCK):
            character = np.frombuffer(block, np.uint8)
            is_end = (character == 10) | (character == 13)
            lines += int((~is_end[1:] & is_end[:-1]).sum()) + int(at_end and not is_end[0])
            at_end = bool(is_end[-1])
    return lines


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
        path: ending as `TableFile.path`; missing folders are made, an existing file is replaced.
        schema: of the columns; timestamps become ISO 8601 in a CSV file.

    Raises:
        DataError: the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        compression = "gzip" if path.suffix.lower() == ".gz" else None
        with pa.output_stream(partial, compression) as stream:
            if _is_parquet(path):
                with pa.parquet.ParquetWriter(stream, schema) as parquet:
                    yield TableWriter(parquet, schema)
            else:
                options = pa.csv.WriteOptions(delimiter=_delimiter(path))
                header = _times_as_text(pa.RecordBatch.from_pylist([], schema)).schema
                with pa.csv.CSVWriter(stream, header, write_options=options) as text:
                    yield TableWriter(text, schema)
        partial.replace(path)
    except OSError as error:
        raise DataError(f"output {path} cannot be written: {error}") from error
    finally:
        with suppress(OSError):
            partial.unlink()


def check_paths(source: Path, output: Path, name: str) -> None:
    """Refuses an input that does not exist, and an output that is a folder or the input.

    Args:
        source: to be read.
        output: to be written.
        name: of the source in errors: users or history.

    Raises:
        DataError: one of them cannot be used.
    """
    for path in (source, output):
        _is_parquet(path)
    if not source.is_file():
        raise DataError(f"{name} file {source} does not exist")
    if output.is_dir():
        raise DataError(f"output {output} is a folder: name a file in it")
    if output.exists() and output.samefile(source):
        raise DataError(f"output {output} is the {name} file itself: name another file")


def _is_parquet(path: Path) -> bool:
    """Whether the ending is that of Parquet; DataError where it is not that of CSV either."""
    compressed = path.suffix.lower() == ".gz"
    ending = (path.with_suffix("") if compressed else path).suffix.lower()
    if ending not in _ENDINGS or (compressed and ending == ".parquet"):
        raise DataError(
            f"{path} has the ending {path.suffix!r}: use {', '.join(_ENDINGS[:-1])} (each also"
            f" .gz) or {_ENDINGS[-1]}"
        )
    return ending == ".parquet"


def _delimiter(path: Path) -> str:
    return "\t" if ".tsv" in map(str.lower, path.suffixes) else ","


@contextmanager
def _csv_reader(path: Path, columns: Sequence[str]) -> Iterator["pa.csv.CSVStreamingReader"]:
    """A reader of some columns, or of all where none is named."""
    try:
        with pa.csv.open_csv(
            path,
            # Rows are numbered by one thread only.
            pa.csv.ReadOptions(block_size=_CSV_BLOCK, use_threads=False),
            pa.csv.ParseOptions(delimiter=_delimiter(path), newlines_in_values=True),
            pa.csv.ConvertOptions(
                include_columns=list(columns),
                column_types=dict.fromkeys(columns, pa.string()),
                strings_can_be_null=False,
            ),
        ) as reader:
            yield reader
    except pa.ArrowInvalid as error:
        # told by its text: a handler of such rows is never called where one is no UTF-8
        if (ragged := _RAGGED.search(str(error))) is None:
            raise
        require_lines(path, -1, _delimiter(path))  # a quote that is not closed explains it better
        row, expected, actual = ragged.groups()
        raise DataError(
            f"{path}, line {_line_number(path, int(row))}: {actual} cells under {expected} columns"
        ) from error


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    """Turns errors of pyarrow into a sentence."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        reason = " ".join(str(error).split())
        if isinstance(error, UnicodeDecodeError) or "invalid UTF8" in reason:
            raise DataError(f"{path} is not UTF-8 text: save it as UTF-8") from error
        if "Empty CSV file" in reason:
            raise DataError(f"{path} is empty: it needs a header") from error
        kind = "Parquet" if _is_parquet(path) else "CSV"
        raise DataError(f"{path} cannot be read as {kind}: {reason}") from error


def _line_number(path: Path, record: int) -> int:
    """Last line of a record, the header being record 1; cells may hold line breaks, and blank lines
    are no records.
    """
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    csv.field_size_limit(_CSV_BLOCK)
    with opener(path, "rt", encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=_delimiter(path))
        next(islice(filter(None, reader), record - 1, None), None)
        return reader.line_num


def _times_as_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Timestamps as ISO 8601, to the second."""
    columns = [
        pc.strftime(column.cast(pa.timestamp("s")), format="%Y-%m-%dT%H:%M:%S")
        if pa.types.is_timestamp(column.type)
        else column
        for column in batch.columns
    ]
    return pa.record_batch(columns, names=batch.schema.names)
