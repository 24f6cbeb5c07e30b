"""The table that a batch reads: a file, a folder of Parquet files, or a table in a database.

What training read is read here by the same code; what nobody sets is as the training table was,
which the manifest of the bundle says.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from recsys.errors import ConfigError, DataError
from recsys.tables.cells import Numerals
from recsys.tables.database import DatabaseTable, database_label, is_url
from recsys.tables.files import TableFile, no_column, open_file, readable
from recsys.tables.text import TextFile, TextFormat, is_parquet, require_ending
from recsys.tables.times import TimeSettings, TimeUnit, is_time_format

_ROWS = 2**16  # of a batch of which nothing is kept


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a table is written; None: as the training table was, where it is a text file too.

    Attributes:
        separator, encoding, multiline: as in `recsys.tables.text.TextFormat`.
        decimal, thousands: as in `recsys.tables.cells.Numerals`.
        timestamp_unit, timestamp_format: as in `recsys.tables.times.TimeSettings`.
        table: name of the table behind a SQL URL.
    """

    separator: str | None = None
    encoding: str | None = None
    multiline: bool | None = None
    decimal: str | None = None
    thousands: str | None = None
    timestamp_unit: TimeUnit | None = None
    timestamp_format: str | None = None
    table: str | None = None

    @classmethod
    def of_training(cls, manifest: Mapping[str, Any]) -> "Dialect":
        """How the table was written that a bundle was trained on."""
        config, report = (_mapping(manifest.get(name)) for name in ("config", "data"))
        found = _mapping(config.get("data"))
        trained = cls(**{each.name: found.get(each.name) for each in fields(cls)})
        # a format that training found by itself
        form = trained.timestamp_format or str(report.get("timestamp_form", ""))
        known = trained.timestamp_unit is None and is_time_format(form)
        return replace(trained, timestamp_format=form if known else None)

    @property
    def text(self) -> TextFormat:
        """How a text file is written."""
        return TextFormat(self.separator, self.encoding, bool(self.multiline), "")

    def over(self, usual: "Dialect") -> "Dialect":
        """This dialect, and another one where this one says nothing."""
        numerals = self if self.decimal or self.thousands else usual
        return replace(
            self,
            separator=self.separator or usual.separator,
            multiline=usual.multiline if self.multiline is None else self.multiline,
            decimal=numerals.decimal,
            thousands=numerals.thousands,
        )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


@dataclass(frozen=True)
class InputTable:
    """An opened table.

    Attributes:
        table: where it lies.
        where: what errors call it.
        numerals: how numbers are written in text.
        times: what is known of its times.
    """

    table: TableFile | DatabaseTable
    where: str
    numerals: Numerals
    times: TimeSettings

    @property
    def names(self) -> list[str]:
        """Name of every column."""
        return self.table.names

    @property
    def num_rows(self) -> int | None:
        """Number of rows, where the table says it."""
        return self.table.num_rows

    def type_of(self, name: str) -> pa.DataType | None:
        """Type of a column, None where its cells are text or tell themselves.

        Raises:
            DataError: the table lacks the column, or has it twice.
        """
        names = self.names
        if name not in names:
            raise no_column(name, names, self.where, "rename the column that holds it", "")
        if (number := names.count(name)) > 1:
            raise DataError(
                f"{self.where} has {number} columns called {name!r}; rename all but one"
            )
        kind = dict(self.table.types)[name]
        return kind.value_type if kind is not None and pa.types.is_dictionary(kind) else kind

    def batches(
        self, names: Sequence[str], max_rows: int, order: Sequence[str] = ()
    ) -> Generator[pa.RecordBatch, None, None]:
        """Some columns of all rows, at most `max_rows` at a time.

        Args:
            names: of the columns.
            max_rows: of a batch.
            order: columns by which a database sorts its rows, which have no order of their own.

        Raises:
            DataError: the table cannot be read.
        """
        if isinstance(self.table, DatabaseTable):
            return self.table.batches(names, max_rows, order)
        return self.table.batches(names, max_rows)

    @contextmanager
    def sound(self) -> Iterator[None]:
        """Says first that a quote is not closed where an error may come of it."""
        try:
            yield
        except DataError:
            if isinstance(self.table, TableFile) and not self.table.is_typed:
                for _ in self.batches(self.names[:1], _ROWS):
                    pass
            raise

    def place(self, row: int) -> str:
        """What errors call a row, counted from 0."""
        return f"{self.where}, {self.table.place(row)}"


def open_input(
    location: str | Path, dialect: Dialect, manifest: Mapping[str, Any], name: str
) -> InputTable:
    """Opens the table of a batch.

    Args:
        location: of the file or folder, or a SQL URL.
        dialect: how it is written, as far as somebody said.
        manifest: of the bundle.
        name: of the setting that holds the location, for errors: users or history.

    Raises:
        DataError: there is no such table, or it has the ending of none.
        ConfigError: a setting is wrong, or has no effect on such a table.
    """
    trained = Dialect.of_training(manifest)
    usual = TimeSettings(trained.timestamp_unit, trained.timestamp_format)
    times = TimeSettings(dialect.timestamp_unit, dialect.timestamp_format, "", usual)
    table: TableFile | DatabaseTable
    if is_url(location):
        where = f"{name} {database_label(str(location))}"
        dialect.text.require_idle(where)
        table = DatabaseTable(str(location), dialect.table, name, "")
    else:
        path, where = Path(location), str(location)
        require_ending(path, where)
        if dialect.table is not None:
            raise ConfigError(
                f"table={dialect.table!r} has no effect on {where}, which is no SQL URL; leave it"
                " out"
            )
        dialect = dialect if is_parquet(path) else _completed(path, dialect, trained)
        table = open_file(path, dialect.text, where)
    return InputTable(table, where, Numerals(dialect.decimal or ".", dialect.thousands, ""), times)


def _completed(path: Path, dialect: Dialect, trained: Dialect) -> Dialect:
    """The dialect of a text file, with what nobody set from the training table, if the file looks
    like it.
    """
    file = TextFile(path, dialect.text, str(path))
    with readable(file):
        if dialect.encoding is None and trained.encoding is not None:
            encoding = None if file.is_encoded("utf-8") else trained.encoding
            dialect = replace(dialect, encoding=encoding)
        usual = replace(trained, encoding=dialect.encoding).text
        if dialect.separator is not None:
            alike = file.delimiter == usual.delimiter(path)
        else:
            alike = usual.separator is None or usual.delimiter(path) in file.header(usual.encoding)
    return dialect.over(trained) if alike else dialect


def check_paths(source: str | Path, output: Path, name: str) -> None:
    """Refuses an input that does not exist, and an output that is a folder or the input.

    Args:
        source: to be read.
        output: to be written.
        name: of the source in errors: users or history.

    Raises:
        DataError: one of them cannot be used.
    """
    if output.is_dir():
        raise DataError(f"output {output} is a folder: name a file in it")
    require_ending(output, str(output))
    if is_url(source):
        return
    path = Path(source)
    if not path.exists():
        require_ending(path, str(path))
        raise DataError(f"{name} file {path} does not exist")
    if output.exists() and output.samefile(path):
        raise DataError(f"output {output} is the {name} file itself: name another file")
