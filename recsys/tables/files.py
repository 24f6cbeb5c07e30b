"""Tables on disk, whole or as streams of Arrow record batches in memory that does not grow with
them.

Every cell of a text file is a string and none is null: "007" and "NA" stay what they are.
"""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet

from recsys.errors import DataError
from recsys.tables.text import SEPARATORS, TextFile, TextFormat, is_parquet, require_ending

# Bytes of text parsed at once; no row may be longer.
_CSV_BLOCK = 2**24
# how Arrow says that a row has more or fewer cells than the header; one thread knows its number
_UNEVEN = re.compile(r"CSV parse error: (?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")


def no_column(
    name: str, present: Sequence[str], where: str, remedy: str, section: str
) -> DataError:
    """The error for a column that is not there."""
    has = ", ".join(map(repr, present[:12])) + (", …" if len(present) > 12 else "")
    hint = ""
    if len(present) == 1:
        marks = [word for word, mark in SEPARATORS.items() if mark in present[0].strip()]
        if marks:
            hint = f"; the whole header is one column: set {section}separator={marks[0]}?"
    return DataError(f"column {name!r} is not in {where} (it has {has}); {remedy}{hint}")


@dataclass(frozen=True)
class TableFile:
    """A table on disk.

    Attributes:
        path: .csv, .tsv or .txt (each may be compressed), .parquet, or a folder of Parquet files.
        format: of a text file.
        where: what errors call it.
    """

    path: Path
    format: TextFormat
    where: str

    @cached_property
    def is_typed(self) -> bool:
        """Whether the file states the types of its columns; all cells of a text file are text."""
        return is_parquet(self.path)

    @cached_property
    def types(self) -> list[tuple[str, pa.DataType | None]]:
        """Name and type of every column, None where all cells are text.

        Raises:
            DataError: the file is empty or cannot be read.
        """
        bare = [name.strip() for name in self._written]
        shown = [
            each if bare.count(each) == 1 else name
            for each, name in zip(bare, self._written, strict=True)
        ]
        types = self._dataset.schema.types if self.is_typed else [None] * len(shown)
        return list(zip(shown, types, strict=True))

    @cached_property
    def _written(self) -> list[str]:
        """The names as the file writes them, with the blanks around them."""
        if self.is_typed:
            with readable(self._text):
                return list(self._dataset.schema.names)
        with readable(self._text):
            self._text.require_encoding()
            with self._stream([]) as reader:
                return list(reader.schema.names)

    def _as_written(self, names: Sequence[str]) -> list[str]:
        written = dict(zip(self.names, self._written, strict=True))
        return [written[name] for name in names]

    @property
    def names(self) -> list[str]:
        """Name of every column."""
        return [name for name, _ in self.types]

    @cached_property
    def num_rows(self) -> int | None:
        """Rows of Parquet, None of a text file."""
        with readable(self._text):
            return self._dataset.count_rows() if self.is_typed else None

    def read(self, names: Sequence[str], encoded: Sequence[str] = ()) -> pa.Table:
        """Some columns of all rows; `encoded` ones that are strings come as a dictionary and places
        in it, which takes a tenth of the memory.

        Raises:
            DataError: as `batches`.
        """
        written, encoded = self._as_written(names), self._as_written(encoded)
        with readable(self._text):
            if self.is_typed:
                read = pa.parquet.read_table(self.path, columns=written, read_dictionary=encoded)
                return read.rename_columns(list(names))
            dictionary = pa.dictionary(pa.int32(), pa.string())
            types = {name: dictionary if name in encoded else pa.string() for name in written}
            options = self._read_options(threads=True), self._parse_options
            try:
                with self._text.binary() as file:
                    read = pa.csv.read_csv(file, *options, _convert(types))
            except pa.ArrowInvalid as error:
                if _UNEVEN.search(str(error)):
                    self._require_even()
                raise
        self._text.require_lines(len(read))
        return read.rename_columns(list(names))

    def batches(self, names: Sequence[str], max_rows: int) -> Generator[pa.RecordBatch, None, None]:
        """Some columns of all rows, at most `max_rows` at a time.

        Raises:
            DataError: a row has too many or too few cells, a cell has several lines, or the file is
                damaged.
        """
        rows, columns = 0, list(names)
        with readable(self._text):
            for block in self._blocks(self._as_written(names), max_rows):
                rows += len(block)
                named = pa.RecordBatch.from_arrays(block.columns, columns)
                for start in range(0, len(block), max_rows):
                    yield named.slice(start, max_rows)
        if not self.is_typed:
            self._text.require_lines(rows)

    def _blocks(self, names: Sequence[str], max_rows: int) -> Iterator[pa.RecordBatch]:
        if self.is_typed:
            for part in self._dataset.get_fragments():
                yield from self._rows_of(part, names, max_rows)
            return
        with self._stream(names) as reader:
            yield from reader

    def _rows_of(
        self, part: "pa.dataset.Fragment", names: Sequence[str], max_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Columns of one Parquet file; not by a scan of Arrow's, which reads far ahead."""
        folders = pa.dataset.get_partition_keys(part.partition_expression)
        types = {name: self._dataset.schema.field(name).type for name in names}
        with pa.parquet.ParquetFile(part.path) as file:
            own = [name for name in names if name in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=max_rows, columns=own):
                found = {name: pa.repeat(folders.get(name), len(batch)) for name in names}
                found |= dict(zip(own, (batch.column(name) for name in own), strict=True))
                columns = [
                    found[name] if pa.types.is_dictionary(kind) else found[name].cast(kind)
                    for name, kind in types.items()
                ]
                yield pa.RecordBatch.from_arrays(columns, list(names))

    def place(self, row: int) -> str:
        """What errors call a row, counted from 0: its line in a text file."""
        return f"data row {row + 1:,}" if self.is_typed else f"line {self._text.line(row):,}"

    @property
    def _text(self) -> TextFile:
        return TextFile(self.path, self.format, self.where)

    @cached_property
    def _dataset(self) -> "pa.dataset.Dataset":
        folders = pa.dataset.HivePartitioning.discover(infer_dictionary=True)
        if self.path.is_dir():
            self._require_parquet_files()
        return pa.dataset.dataset(
            self.path, format="parquet", partitioning=folders if self.path.is_dir() else None
        )

    def _require_parquet_files(self) -> None:
        """Raises DataError where a folder holds no Parquet file, or another file."""
        inside = ((each, each.relative_to(self.path).parts) for each in self.path.rglob("*"))
        # Arrow, too, leaves out what begins so, as the logs of Spark and Delta do
        files = [
            each
            for each, parts in inside
            if each.is_file() and not any(part[0] in "._" for part in parts)
        ]
        if not files:
            raise DataError(f"{self.where} is a folder without a Parquet file in it")
        for file in files:
            with file.open("rb") as content:
                if content.read(4) != b"PAR1":
                    raise DataError(
                        f"{file} is no Parquet file, and all in the folder {self.where} have to be:"
                        " move it elsewhere"
                    )

    @contextmanager
    def _stream(self, names: Sequence[str]) -> Iterator["pa.csv.CSVStreamingReader"]:
        """A reader of some columns of a text file, or of all where none is named."""
        types = dict.fromkeys(names, pa.string())
        options = self._read_options(threads=False), self._parse_options, _convert(types)
        try:
            with self._text.binary() as file, pa.csv.open_csv(file, *options) as reader:
                yield reader
        except pa.ArrowInvalid as error:
            uneven = _UNEVEN.search(str(error))
            if uneven is None:
                raise
            self._text.require_lines(-1)  # a quote that is not closed explains it better
            raise self._uneven(*map(int, uneven.groups())) from error

    def _require_even(self) -> None:
        """Raises DataError where a row has too many or too few cells, with its line."""
        with self._stream(self.names) as reader:
            for _ in reader:
                pass

    def _uneven(self, row: int, columns: int, cells: int) -> DataError:
        if columns == 1:
            with self._text.text() as file:
                header, second = islice(filter(str.strip, file), 2)
            header = header.strip()[:60]
            begins = (
                f"{self.where} begins with the line {header!r}, which is one column, and goes on"
            )
            marks = (mark for mark in SEPARATORS.values() if mark != " ")
            if any(mark in header for mark in marks) or self._text.delimiter not in second:
                return DataError(
                    f"{begins} with several, so {self._text.delimiter!r} does not separate its"
                    f" cells: set {self.format.section}separator=semicolon, or to tab, pipe, space"
                    " or what does"
                )
            return DataError(
                f"{begins} with rows of several: take out lines above the header, or set"
                f" {self.format.section}separator to what separates its cells"
            )
        return DataError(
            f"{self.where}, line {self._text.line(row - 2):,}: {cells} cells under {columns}"
            " columns"
        )

    def _read_options(self, threads: bool) -> "pa.csv.ReadOptions":
        # rows are numbered by one thread only
        block = {} if threads else {"block_size": _CSV_BLOCK}
        return pa.csv.ReadOptions(
            encoding=self.format.encoding or "utf8", use_threads=threads, **block
        )

    @property
    def _parse_options(self) -> "pa.csv.ParseOptions":
        return pa.csv.ParseOptions(delimiter=self._text.delimiter, newlines_in_values=True)


@contextmanager
def readable(text: TextFile) -> Iterator[None]:
    """Turns errors of pyarrow in reading a file, which may be another than a text file, into a
    sentence.
    """
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeError) as error:
        reason = " ".join(str(error).split())
        if isinstance(error, UnicodeError) or "invalid UTF8" in reason:
            raise DataError(text.encoding_error()) from error
        if "Empty CSV file" in reason:
            what = "has a header but no rows" if text.header() else "is empty: it needs a header"
            raise DataError(f"{text.where} {what}") from error
        raise DataError(f"{text.where} cannot be read as a table: {reason}") from error


def _convert(types: Mapping[str, pa.DataType]) -> "pa.csv.ConvertOptions":
    # every cell is a string and none is null: "007" and "NA" are ids
    return pa.csv.ConvertOptions(
        include_columns=list(types), column_types=types, strings_can_be_null=False
    )


def open_file(path: Path, text: TextFormat, where: str) -> TableFile:
    """A table on disk, which exists.

    Raises:
        DataError: it has the ending of no table.
        ConfigError: settings of text files are given for another file.
    """
    require_ending(path, where)
    file = TableFile(path, text, where)
    if file.is_typed:
        text.require_idle(where)
    return file
