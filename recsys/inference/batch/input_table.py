"""The table that a batch reads: a file, a folder of Parquet files, or a table in a database.

What training read is read here by the same code; what nobody sets is as the training table was,
which the manifest of the bundle says.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
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
        columns: name that the bundle reads to the table's name, where they differ.
    """

    separator: str | None = None
    encoding: str | None = None
    multiline: bool | None = None
    decimal: str | None = None
    thousands: str | None = None
    timestamp_unit: TimeUnit | None = None
    timestamp_format: str | None = None
    table: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_training(cls, manifest: Mapping[str, Any], name: str) -> "Dialect":
        """How the table was written that a bundle was trained on.

        Args:
            manifest: of the bundle.
            name: of the table that is read: that of the items is written as theirs was.
        """
        config, report = (_mapping(manifest.get(name)) for name in ("config", "data"))
        found = _mapping(config.get("data"))
        columns = _mapping(found.get("columns"))
        if name == "items" and (of_items := _mapping(found.get("items"))).get("path") is not None:
            found, columns = of_items, columns | _mapping(of_items.get("columns"))
        columns |= _prefixed("context", columns)
        columns |= _prefixed("users", _mapping(found.get("users")).get("columns"))
        names = {key: str(name) for key, name in columns.items() if name is not None}
        own = {each.name: found.get(each.name) for each in fields(cls) if each.name != "columns"}
        trained = cls(**own, columns=names)
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


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _prefixed(table: str, columns: object) -> dict[str, Any]:
    """Columns of a table as inputs of a graph are called: users.income, context.channel."""
    return {f"{table}.{key}": name for key, name in _mapping(columns).items()}


@dataclass(frozen=True)
class InputTable:
    """An opened table.

    Attributes:
        table: where it lies.
        where: what errors call it.
        numerals: how numbers are written in text.
        times: what is known of its times.
        columns: name that the bundle reads to the table's name, as far as somebody said.
        usual: the same of the training table; taken where this one has such a column, and none of
            the name that the bundle reads.
    """

    table: TableFile | DatabaseTable
    where: str
    numerals: Numerals
    times: TimeSettings
    columns: Mapping[str, str] = field(default_factory=dict)
    usual: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _sources(self) -> dict[str, str]:
        """Name that the bundle reads to the table's name, of every column."""
        own = self.table.names
        usual = {
            key: name
            for key, name in self.usual.items()
            if key not in own and name in own and name not in self.columns.values()
        }
        return {name: name for name in own} | usual | dict(self.columns)

    @property
    def names(self) -> list[str]:
        """Name of every column, as the bundle reads it."""
        return list(self._sources)

    def require_read(self, names: Sequence[str]) -> None:
        """Raises ConfigError where a column is named that nothing reads."""
        if unread := [name for name in self.columns if name not in names]:
            raise ConfigError(
                f"columns.{unread[0]}={self.columns[unread[0]]} has no effect: this bundle reads"
                f" {', '.join(names)}; leave it out"
            )

    def unread(self, names: Sequence[str]) -> list[str]:
        """Columns of the table that are read under none of some names."""
        read = {self._sources[name] for name in names}
        return [name for name in self.table.names if name not in read]

    @property
    def num_rows(self) -> int | None:
        """Number of rows, where the table says it."""
        return self.table.num_rows

    def type_of(self, name: str) -> pa.DataType | None:
        """Type of a column, None where its cells are text or tell themselves.

        Raises:
            DataError: the table lacks the column, or has it twice.
        """
        source, names = self._sources.get(name, name), self.table.names
        if source not in names:
            remedy = f"set columns.{name} to the column that holds it, or rename that"
            raise no_column(source, names, self.where, remedy, "")
        if (number := names.count(source)) > 1:
            raise DataError(
                f"{self.where} has {number} columns called {source!r}; rename all but one"
            )
        kind = dict(self.table.types)[source]
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
        sources = [self._sources[name] for name in names]
        read = list(dict.fromkeys(sources))
        if isinstance(self.table, DatabaseTable):
            by = [self._sources[name] for name in order]
            batches = self.table.batches(read, max_rows, by)
        else:
            batches = self.table.batches(read, max_rows)
        places = [read.index(source) for source in sources]
        with closing(batches):
            for batch in batches:
                columns = [batch.column(place) for place in places]
                yield pa.RecordBatch.from_arrays(columns, list(names))

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
        name: of the setting that holds the location: users, history or items.

    Raises:
        DataError: there is no such table, or it has the ending of none.
        ConfigError: a setting is wrong, or has no effect on such a table.
    """
    trained = Dialect.of_training(manifest, name)
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
    numerals = Numerals(dialect.decimal or ".", dialect.thousands, "")
    return InputTable(table, where, numerals, times, dialect.columns, trained.columns)


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
    if ":/" in str(output):
        raise DataError(f"output={output} looks like a URL: name a .csv or .parquet file to write")
    require_ending(output, str(output))
    if is_url(source):
        return
    path = Path(source)
    if not path.exists():
        require_ending(path, str(path))
        raise DataError(f"{name} file {path} does not exist")
    if output.exists() and output.samefile(path):
        raise DataError(f"output {output} is the {name} file itself: name another file")
