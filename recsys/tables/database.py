"""Tables behind a SQLAlchemy URL, whole or as streams of Arrow record batches."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from recsys.errors import DataError

# what URLs of files begin with
_NO_DATABASES = ("http", "https", "ftp", "s3", "s3a", "gs", "gcs", "az", "abfs", "hdfs", "file")


def is_url(location: object) -> bool:
    """Whether a location is that of a database."""
    return isinstance(location, str) and "://" in location


def database_label(url: str) -> str:
    """What names the database in a URL: neither user and password nor options, which may hold
    them.
    """
    return url.rpartition("@")[2].partition("?")[0]


@dataclass(frozen=True)
class DatabaseTable:
    """A table in a database.

    Attributes:
        url: of the database, as SQLAlchemy writes it.
        table: its name, schema.table where it has a schema; None: nobody said.
        setting: that holds the URL, for errors.
        section: what stands before the names of other settings in errors.
    """

    url: str
    table: str | None
    setting: str = "data.path"
    section: str = "data."

    is_typed = True
    num_rows = None

    @property
    def where(self) -> str:
        """What errors call it."""
        return f"table {self.table}"

    @cached_property
    def types(self) -> list[tuple[str, pa.DataType | None]]:
        """Name and type of every column, None where only its values tell.

        Raises:
            DataError: the table does not exist or cannot be read.
        """
        import sqlalchemy

        kinds = (
            (sqlalchemy.Boolean, pa.bool_()),
            (sqlalchemy.Integer, pa.int64()),
            (sqlalchemy.Numeric, pa.float64()),
            (sqlalchemy.DateTime, pa.timestamp("us")),
            (sqlalchemy.Date, pa.date32()),
        )
        with self._reflected() as (_, table):
            return [
                (c.name, next((type_ for kind, type_ in kinds if isinstance(c.type, kind)), None))
                for c in table.columns
            ]

    @property
    def names(self) -> list[str]:
        """Name of every column."""
        return [name for name, _ in self.types]

    def read(self, names: Sequence[str], encoded: Sequence[str] = ()) -> pa.Table:  # noqa: ARG002
        """Some columns of all rows.

        Raises:
            DataError: the table cannot be read.
        """
        import sqlalchemy

        with self._reflected() as (connection, table):
            query = sqlalchemy.select(*(table.c[name] for name in names))
            rows = connection.execute(query).fetchall()
        return pa.table(_columns(rows, names))

    def batches(
        self, names: Sequence[str], max_rows: int, order: Sequence[str] = ()
    ) -> Generator[pa.RecordBatch, None, None]:
        """Some columns of all rows, at most `max_rows` at a time, in the order of some columns.

        Raises:
            DataError: the table cannot be read.
        """
        import sqlalchemy

        with self._reflected() as (connection, table):
            query = sqlalchemy.select(*(table.c[name] for name in names))
            query = query.order_by(*(table.c[name] for name in order))
            streaming = connection.execution_options(yield_per=max_rows)
            for rows in streaming.execute(query).partitions():
                yield pa.record_batch(_columns(rows, names))

    def place(self, row: int) -> str:
        """What errors call a row, counted from 0."""
        return f"data row {row + 1:,}"

    @contextmanager
    def _reflected(self) -> Iterator[tuple[Any, Any]]:
        """A connection and the table in the database."""
        kind = self.url.partition("://")[0].lower()
        if kind in _NO_DATABASES:
            raise DataError(
                f"{self.setting}: {kind}:// is not read; download the file and give its path, or"
                " the URL of a database, such as postgresql://…"
            )
        try:
            import sqlalchemy
        except ImportError as error:
            raise DataError(
                f"{self.setting} is a SQL URL, which SQLAlchemy reads: pip install sqlalchemy and"
                " the driver of the database, or write the table to a file"
            ) from error
        if self.table is None:
            raise DataError(
                f"{self.setting} is a SQL URL: name the table with {self.section}table=NAME"
            )
        engine = None
        try:
            try:
                engine = sqlalchemy.create_engine(self.url)
            except ValueError as error:
                # what stands where the port belongs may be half a password: say nothing of it
                raise DataError(
                    f"{self.setting}: the URL cannot be understood; in a user name or password"
                    " write @ : / ? # as %40 %3A %2F %3F %23"
                ) from error
            self._require_file(engine.url)
            with engine.connect() as connection:
                yield connection, self._reflect(connection)
        except sqlalchemy.exc.NoSuchTableError as error:
            raise DataError(
                f"{self.setting}: there is no table {self.table!r} in the database"
            ) from error
        except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
            # a URL may carry a password: name the driver's complaint, not the URL
            raise DataError(
                f"{self.setting}: the database cannot be read: {str(error).splitlines()[0]}"
            ) from error
        finally:
            if engine is not None:
                engine.dispose()

    def _require_file(self, url: Any) -> None:
        """Raises DataError where a file of SQLite is missing, which SQLite would make."""
        file = url.database
        if url.get_backend_name() != "sqlite" or not file or file.startswith((":", "file:")):
            return
        if not Path(file).exists():
            raise DataError(f"{self.setting}: the database {file} does not exist")

    def _reflect(self, connection: Any) -> Any:
        """The table of the whole name, or else of a schema: shop.sales; either may hold points."""
        import sqlalchemy

        parts, inspector = str(self.table).split("."), sqlalchemy.inspect(connection)
        names: list[tuple[str | None, str]] = [(None, str(self.table))]
        names += [
            (".".join(parts[:size]), ".".join(parts[size:]))
            for size in range(len(parts) - 1, 0, -1)
        ]
        for schema, name in names:
            if inspector.has_table(name, schema):
                metadata = sqlalchemy.MetaData()
                return sqlalchemy.Table(name, metadata, schema=schema, autoload_with=connection)
        raise sqlalchemy.exc.NoSuchTableError(self.table)


def _columns(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> dict[str, pa.Array]:
    # not through pandas, where a null turns a column of integers into floats and long ids into
    # their neighbours
    return {name: to_arrow([row[place] for row in rows]) for place, name in enumerate(names)}


def to_arrow(values: list[Any]) -> pa.Array:
    """Python values as a column; numbers beside text are text."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # SQLite keeps what it is given, numbers beside text: then all of it is text
        return pa.array([None if value is None else str(value) for value in values], pa.string())
