"""One reader for CSV, Parquet, SQL and tables in memory: the columns asked for, under their
canonical names.
"""

import codecs
import csv
import gc
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from recsys.errors import ConfigError, DataError
from recsys.table_files import open_text, require_closed, require_lines

ID_COLUMNS = ("user_id", "item_id")
_LONG = 100_000  # rows
_SEPARATORS = {"\\t": "\t", "tab": "\t"}
_NO_SEPARATORS = ('"', "\n", "\r")
# a .csv, .csv.gz, .tsv or .parquet file, a folder of .parquet files, a SQLAlchemy URL such as
# sqlite:///shop.db, or a table in memory
Location: TypeAlias = str | Path | pd.DataFrame | pa.Table


@dataclass(frozen=True)
class TableSource:
    """Where a table lies, and how it is read.

    Attributes:
        location: file, URL or table in memory.
        separator: of a text file: one character, or "tab"; None: a comma, a tab in .tsv.
        table: name of the table behind a URL, schema.table where it has a schema.
        setting: the configuration key of `location`, for error messages.
        name: what to call a table in memory.
        encoding: of a text file, as Python calls it: utf-8, latin-1, cp1252, utf-16.
        multiline: cells of a text file may hold line breaks.
    """

    location: Location
    separator: str | None = None
    table: str | None = None
    setting: str = "data.path"
    name: str = "a table in memory"
    encoding: str | None = None
    multiline: bool = False

    def __post_init__(self) -> None:
        if self.separator is not None and len(_SEPARATORS.get(self.separator, self.separator)) != 1:
            raise ConfigError(
                f"{self._section}.separator={self.separator!r}: it has to be one character, such as"
                " , ; or |, or tab"
            )
        if self._delimiter in _NO_SEPARATORS:
            raise ConfigError(
                f"{self._section}.separator={self.separator!r}: a quote or a line end cannot"
                " separate cells; choose , ; | or tab"
            )
        try:
            codecs.lookup(self.encoding or "utf-8").incrementaldecoder("strict")
        except (LookupError, TypeError) as error:
            raise ConfigError(
                f"{self._section}.encoding={self.encoding!r} is not known; choose utf-8, latin-1,"
                " cp1252 or utf-16"
            ) from error
        idle = {
            "separator": self.separator is not None and self.is_typed,
            "encoding": self.encoding is not None and self.is_typed,
            "multiline": self.multiline and self.is_typed,
            "table": self.table is not None and not self.is_url,
        }
        for name, has_no_effect in idle.items():
            if has_no_effect:
                raise ConfigError(
                    f"{self._section}.{name}={getattr(self, name)!r} has no effect on {self.label},"
                    f" which is no {'SQL URL' if name == 'table' else 'text file'}; leave it out"
                )

    @property
    def _section(self) -> str:
        return self.setting.rpartition(".")[0] or "data"

    @property
    def _delimiter(self) -> str:
        if self.separator is not None:
            return _SEPARATORS.get(self.separator, self.separator)
        is_file = isinstance(self.location, str | Path) and not self.is_url
        return "\t" if is_file and ".tsv" in Path(str(self.location)).suffixes else ","

    def place(self, row: int) -> str:
        """What errors call a row, counted from 0: its line in a text file."""
        if self.is_typed:
            return f"data row {row + 1:,}"
        with open_text(Path(str(self.location)), self.encoding or "utf-8") as file:
            csv.field_size_limit(sys.maxsize)
            reader = csv.reader(file, delimiter=self._delimiter)
            next(islice(filter(None, reader), row + 1, None), None)
            return f"line {reader.line_num:,}"

    @property
    def is_url(self) -> bool:
        """Whether the table lies in a database."""
        return isinstance(self.location, str) and "://" in self.location

    @property
    def is_typed(self) -> bool:
        """Whether the source states the types of its columns; all cells of a text file are text."""
        if self.is_url or not isinstance(self.location, str | Path):
            return True
        return self._is_parquet(Path(self.location))

    @property
    def label(self) -> str:
        """What reports call the table. Of a URL what names the database: neither user and password
        nor options, which may hold one.
        """
        if not isinstance(self.location, str | Path):
            return self.name
        location = str(self.location)
        return location.rpartition("@")[2].partition("?")[0] if self.is_url else Path(location).name

    @property
    def _name(self) -> str:
        """What errors call the table."""
        return f"table {self.table}" if self.is_url else self.label

    @cached_property
    def types(self) -> list[tuple[str, pa.DataType | None]]:
        """Name and type of every column, None where only its values tell.

        Raises:
            DataError: the source does not exist or cannot be read.
        """
        if isinstance(self.location, pa.Table):
            return list(zip(self.location.column_names, self.location.schema.types, strict=True))
        if isinstance(self.location, pd.DataFrame):
            return [(str(name), _type_of(self.location[name])) for name in self.location.columns]
        if self.is_url:
            return self._sql_types()
        path = self._existing()
        with self._readable():
            if self._is_parquet(path):
                schema = (
                    pa.parquet.read_schema(path)
                    if path.is_file()
                    else pa.parquet.ParquetDataset(path).schema
                )
                return list(zip(schema.names, schema.types, strict=True))
            with pa.csv.open_csv(path, self._read_options, self._parse_options) as reader:
                return [(name, None) for name in reader.schema.names]

    @property
    def names(self) -> list[str]:
        """Name of every column."""
        return [name for name, _ in self.types]

    def read(self, names: Sequence[str], encoded: Sequence[str] = ()) -> pa.Table:
        """Some columns; `encoded` ones that are strings in a file come as a dictionary and places
        in it, which takes a tenth of the memory.

        Returns:
            Columns typed as in the source; everything in a CSV file is a string.
        """
        if isinstance(self.location, pa.Table):
            return self.location.select(list(names))
        if isinstance(self.location, pd.DataFrame):
            return pa.table({name: _from_pandas(self.location[name]) for name in names})
        if self.is_url:
            return self._read_sql(names)
        path = self._existing()
        with self._readable():
            if self._is_parquet(path):
                return pa.parquet.read_table(
                    path, columns=list(names), read_dictionary=list(encoded)
                )
            # every cell is a string and none is null: "007" and "NA" are ids
            convert = pa.csv.ConvertOptions(
                include_columns=list(names),
                column_types={
                    name: pa.dictionary(pa.int32(), pa.string()) if name in encoded else pa.string()
                    for name in names
                },
                strings_can_be_null=False,
            )
            read = pa.csv.read_csv(path, self._read_options, self._parse_options, convert)
        self._require_lines(len(read))
        return read

    def require(self, wanted: Mapping[str, str], required: Sequence[str]) -> None:
        """Raises DataError where a column that is wanted is not there, or is there twice."""
        section, present, where = self._section, self.names, self._name
        for canonical, name in wanted.items():
            if present.count(name) > 1:
                raise DataError(
                    f"{where} has {present.count(name)} columns called {name!r}; rename all but one"
                )
            if name in present:
                continue
            has = ", ".join(map(repr, present[:12])) + (", …" if len(present) > 12 else "")
            setting = f"{section}.columns.{canonical}"
            alike = [each for each in present if each.strip().lower() == name.strip().lower()]
            if alike:
                setting += f"='\"{alike[0]}\"'" if " " in alike[0] else f"={alike[0]}"
            hint = "" if canonical in required else f", or set {setting}=null if there is none"
            if len(present) == 1 and any(separator in present[0] for separator in ",;\t|"):
                hint += f"; the whole header is one column: does {section}.separator fit?"
            raise DataError(
                f"column {name!r} is not in {where} (it has {has}); set {setting}{hint}"
            )

    def require_rows(self, table: pa.Table) -> None:
        """Raises DataError where there are none."""
        if table.num_rows == 0:
            # a URL may carry a password
            where = self._name if self.is_url else str(self.location)
            where = where if isinstance(self.location, str | Path) else self.label
            raise DataError(
                f"{where} has a header but no rows; point {self.setting} at a table with"
                " transactions"
            )

    def _is_parquet(self, path: Path) -> bool:
        return path.suffix == ".parquet" or path.is_dir()

    def _existing(self) -> Path:
        path = Path(str(self.location))
        if not path.exists():
            raise DataError(
                f"{self.setting}: {path} does not exist (looked in {path.parent.absolute()})"
            )
        if not self._is_parquet(path) and not {".csv", ".tsv", ".txt"} & set(path.suffixes):
            raise DataError(
                f"{self.setting}: {path.name} is neither .csv, .tsv nor .parquet, nor a SQL URL"
                " (scheme://…)"
            )
        if not self._is_parquet(path) and self.encoding is None:
            with self._readable(), pa.input_stream(str(path), compression="detect") as file:
                if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                    raise DataError(
                        f"{self.setting}: {self.label} is UTF-16: set"
                        f" {self._section}.encoding=utf-16, or save it as UTF-8"
                    )
        return path

    def _require_lines(self, rows: int) -> None:
        path, encoding = Path(str(self.location)), self.encoding or "utf-8"
        if self.multiline:
            require_closed(path, self._delimiter, encoding)
            return
        advice = f", or set {self._section}.multiline=true if the cell has these lines"
        require_lines(path, rows, self._delimiter, encoding, advice)

    @property
    def _parse_options(self) -> pa.csv.ParseOptions:
        return pa.csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True)

    @property
    def _read_options(self) -> pa.csv.ReadOptions:
        return pa.csv.ReadOptions(encoding=self.encoding or "utf8")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, UnicodeError) as error:
            reason = " ".join(str(error).split())
            if isinstance(error, UnicodeError) or "invalid UTF8" in reason:
                raise DataError(f"{self.setting}: {self._encoding_error()}") from error
            if "CSV parse error" in reason:
                self._require_lines(-1)  # a quote that is not closed explains it better
            if "Expected 1 columns" in reason:
                raise DataError(
                    f"{self.setting}: {self.label} has one column in its header and several in its"
                    f" rows, so {self._delimiter!r} does not separate its cells: set"
                    f" '{self._section}.separator=\";\"', or to tab, or to what does"
                ) from error
            raise DataError(
                f"{self.setting}: {self.label} cannot be read as a table: {reason}"
            ) from error

    def _encoding_error(self) -> str:
        """What is wrong with the bytes of a text file, and where."""
        choose = f"set {self._section}.encoding to latin-1, cp1252 or another, or save it as UTF-8"
        encoding = self.encoding or "utf-8"
        with pa.input_stream(str(self.location), compression="detect") as file:
            content = file.read()
        try:
            content.decode(encoding)
        except UnicodeError as error:
            start = getattr(error, "start", 0)
            line = content[:start].count(b"\n") + 1
            return f"{self.label}, line {line:,} is not {encoding} text: {choose}"
        return f"{self.label} is not {encoding} text: {choose}"

    @contextmanager
    def _reflected(self) -> Iterator[tuple[Any, Any]]:
        """A connection and the table in the database."""
        import sqlalchemy

        if self.table is None:
            raise DataError(
                f"{self.setting} is a SQL URL: name the table with"
                f" {self.setting.rpartition('.')[0]}.table=NAME"
            )
        engine = None
        try:
            try:
                engine = sqlalchemy.create_engine(str(self.location))
            except ValueError as error:
                # what stands where the port belongs may be half a password: say nothing of it
                raise DataError(
                    f"{self.setting}: the URL cannot be understood; in a user name or password"
                    " write @ : / ? # as %40 %3A %2F %3F %23"
                ) from error
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

    def _reflect(self, connection: Any) -> Any:
        """The table of the whole name, or else of a schema: shop.sales."""
        import sqlalchemy

        schema, _, name = str(self.table).rpartition(".")
        try:
            return sqlalchemy.Table(
                str(self.table), sqlalchemy.MetaData(), autoload_with=connection
            )
        except sqlalchemy.exc.NoSuchTableError:
            if not schema:
                raise
            metadata = sqlalchemy.MetaData()
            return sqlalchemy.Table(name, metadata, schema=schema, autoload_with=connection)

    def _sql_types(self) -> list[tuple[str, pa.DataType | None]]:
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

    def _read_sql(self, names: Sequence[str]) -> pa.Table:
        import sqlalchemy

        with self._reflected() as (connection, table):
            query = sqlalchemy.select(*(table.c[name] for name in names))
            rows = connection.execute(query).fetchall()
        # not through pandas, where a null turns a column of integers into floats and long ids into
        # their neighbours
        return pa.table(
            {name: _to_arrow([row[place] for row in rows]) for place, name in enumerate(names)}
        )


def read_table(
    source: TableSource | Location,
    columns: Mapping[str, str | None],
    *,
    encode_ids: bool = False,
    required: Sequence[str] = ID_COLUMNS,
) -> pa.Table:
    """Reads some columns of a table.

    Args:
        source: the table, or where it lies.
        columns: canonical name to the name in the source; None leaves the column out.
        encode_ids: ids that are strings in a file come as a dictionary and places in it.
        required: canonical names that may not be left out.

    Returns:
        The columns asked for, under canonical names.

    Raises:
        DataError: the source does not exist, cannot be read, lacks a column, or has no rows.
        ConfigError: a required column is mapped to null.
    """
    source = source if isinstance(source, TableSource) else TableSource(source)
    for canonical in required:
        if columns.get(canonical, canonical) is None:
            raise ConfigError(
                f"{source._section}.columns.{canonical} is null, but every such table needs one:"
                " set it to the column's name"
            )
    wanted = {canonical: str(name) for canonical, name in columns.items() if name is not None}
    source.require(wanted, required)
    encoded = [wanted[key] for key in ID_COLUMNS if encode_ids and key in wanted]
    read = source.read(list(dict.fromkeys(wanted.values())), encoded)
    source.require_rows(read)
    found = {canonical: _without_bytes(read, name, source) for canonical, name in wanted.items()}
    return pa.table(found)


def _without_bytes(table: pa.Table, name: str, source: TableSource) -> pa.ChunkedArray:
    """A column; DataError where it holds bytes that are no text."""
    values = table.column(name)
    try:
        return values.cast(pa.string()) if pa.types.is_binary(values.type) else values
    except pa.ArrowInvalid as error:
        raise DataError(
            f"column {name!r} of {source.label} holds bytes that are no UTF-8 text: write text"
        ) from error


def _type_of(values: pd.Series) -> pa.DataType | None:
    """Arrow type of a column of pandas, None where only its values tell."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return pa.dictionary(pa.int32(), pa.string())
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return pa.timestamp("us", "UTC")
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return pa.timestamp("us")
    if pd.api.types.is_bool_dtype(values.dtype):
        return pa.bool_()
    if pd.api.types.is_integer_dtype(values.dtype):
        return pa.int64()
    return pa.float64() if pd.api.types.is_float_dtype(values.dtype) else None


def _from_pandas(values: pd.Series) -> pa.Array | pa.ChunkedArray:
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return _to_arrow(values.astype(object).where(values.notna(), None).tolist())


def _to_arrow(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # SQLite keeps what it is given, numbers beside text: then all of it is text
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def release_memory(rows: int) -> None:
    """Gives back what reading a table of so many rows leaves behind: a column and its accessor
    (`.dt`) hold each other, and Arrow keeps what it has freed.
    """
    if rows < _LONG:
        return  # a search for cycles takes a tenth of a second
    gc.collect()
    pa.default_memory_pool().release_unused()


@dataclass(frozen=True)
class Numerals:
    """How numbers are written in text.

    Attributes:
        decimal: between whole and part.
        thousands: between groups of three digits; None: nothing.
    """

    decimal: str = "."
    thousands: str | None = None

    def __post_init__(self) -> None:
        if len(self.decimal) != 1 or self.decimal.isalnum():
            raise ConfigError(f"data.decimal={self.decimal!r}: it has to be one sign, such as ,")
        if self.thousands is None:
            return
        if len(self.thousands) != 1 or self.thousands.isalnum() or self.thousands == self.decimal:
            raise ConfigError(
                f"data.thousands={self.thousands!r}: it has to be one sign, such as . or a blank,"
                f" and not that of data.decimal ({self.decimal})"
            )

    def plain(self, text: pd.Series) -> pd.Series:
        """Cells (N,) as Python writes numbers; what is written otherwise is no number."""
        if self == Numerals() or not pd.api.types.is_string_dtype(text):
            return text
        text = text.astype("str").str.strip()
        whole = r"\d+"
        if self.thousands is not None:
            whole = rf"(?:\d{{1,3}}(?:{re.escape(self.thousands)}\d{{3}})+|\d+)"
        form = rf"[+-]?(?:{whole}(?:{re.escape(self.decimal)}\d*)?|{re.escape(self.decimal)}\d+)"
        written = text.str.fullmatch(form, na=False)
        plain = (
            text if self.thousands is None else text.str.replace(self.thousands, "", regex=False)
        )
        return plain.str.replace(self.decimal, ".", regex=False).where(written, "?" + text)


POINT = Numerals()


def to_numbers(column: pd.Series, numerals: Numerals = POINT) -> pd.Series:
    """Numbers of a column, float64 (N,), NaN where a cell is empty or not a number."""
    return pd.to_numeric(numerals.plain(column), errors="coerce").astype("float64")
