"""The tables of training: a file, a table in a database or in memory, of which the columns asked
for are read under their canonical names.
"""

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import pandas as pd
import pyarrow as pa

from recsys.errors import ConfigError, DataError
from recsys.tables.database import DatabaseTable, database_label, is_url, to_arrow
from recsys.tables.files import TableFile, no_column, open_file
from recsys.tables.text import TextFormat, is_parquet

ID_COLUMNS = ("user_id", "item_id")
_LONG = 100_000  # rows
# a .csv, .csv.gz, .tsv or .parquet file, a folder of .parquet files, a SQLAlchemy URL such as
# sqlite:///shop.db, or a table in memory
Location: TypeAlias = str | Path | pd.DataFrame | pa.Table


@dataclass(frozen=True)
class TableSource:
    """Where a table lies, and how it is read.

    Attributes:
        location: file, URL or table in memory.
        separator: of a text file, as in `recsys.tables.text.TextFormat`.
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
        if isinstance(self.location, str) and not self.location.strip():
            raise ConfigError(
                f"{self.setting}={self.location!r} names no table: write a file, a folder of"
                " Parquet files or an SQL URL"
            )
        text = self._format
        if self.is_typed:
            text.require_idle(self.label)
        if self.table is not None and not self.is_url:
            raise ConfigError(
                f"{self._section}table={self.table!r} has no effect on {self.label}, which is no"
                " SQL URL; leave it out"
            )

    @property
    def _section(self) -> str:
        return f"{self.setting.rpartition('.')[0] or 'data'}."

    @property
    def _format(self) -> TextFormat:
        return TextFormat(self.separator, self.encoding, self.multiline, self._section)

    def place(self, row: int) -> str:
        """What errors call a row, counted from 0: its line in a text file."""
        return f"data row {row + 1:,}" if self._stored is None else self._stored.place(row)

    @property
    def is_url(self) -> bool:
        """Whether the table lies in a database."""
        return is_url(self.location)

    @property
    def is_typed(self) -> bool:
        """Whether the source states the types of its columns; all cells of a text file are text."""
        in_file = isinstance(self.location, str | Path) and not self.is_url
        return not in_file or is_parquet(Path(str(self.location)))

    @property
    def label(self) -> str:
        """What reports call the table. Of a URL what names the database: neither user and password
        nor options, which may hold one.
        """
        if not isinstance(self.location, str | Path):
            return self.name
        location = str(self.location)
        return database_label(location) if self.is_url else Path(location).name

    @property
    def _name(self) -> str:
        """What errors call the table."""
        return f"table {self.table}" if self.is_url else self.label

    @cached_property
    def _stored(self) -> TableFile | DatabaseTable | None:
        """The table where it lies; None: in memory."""
        if not isinstance(self.location, str | Path):
            return None
        if self.is_url:
            return DatabaseTable(str(self.location), self.table, self.setting, self._section)
        path = Path(str(self.location))
        if not path.exists():
            raise DataError(
                f"{self.setting}: {path} does not exist (looked in {path.parent.absolute()})"
            )
        return open_file(path, self._format, f"{self.setting}: {self.label}")

    @cached_property
    def types(self) -> list[tuple[str, pa.DataType | None]]:
        """Name and type of every column, None where only its values tell.

        Raises:
            DataError: the source does not exist or cannot be read.
        """
        if self._stored is not None:
            return self._stored.types
        if isinstance(self.location, pa.Table):
            return list(zip(self.location.column_names, self.location.schema.types, strict=True))
        assert isinstance(self.location, pd.DataFrame)
        return [(str(name), _type_of(self.location[name])) for name in self.location.columns]

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
        if self._stored is not None:
            return self._stored.read(names, encoded)
        if isinstance(self.location, pa.Table):
            return self.location.select(list(names))
        assert isinstance(self.location, pd.DataFrame)
        return pa.table({name: _from_pandas(self.location[name]) for name in names})

    def spelled(self, name: str) -> str:
        """A name as `names` has it: blanks around the names of a header are no part of them."""
        return name if name in self.names or name.strip() not in self.names else name.strip()

    def require(self, wanted: Mapping[str, str], required: Sequence[str]) -> None:
        """Raises DataError where a column that is wanted is not there, or is there twice."""
        section, present, where = self._section, self.names, self._name
        for canonical, name in wanted.items():
            name = self.spelled(name)
            if present.count(name) > 1:
                raise DataError(
                    f"{where} has {present.count(name)} columns called {name!r}; rename all but one"
                )
            if name in present:
                continue
            setting = f"{section}columns.{canonical}"
            alike = [each for each in present if each.strip().lower() == name.strip().lower()]
            if alike:
                setting += f"='\"{alike[0]}\"'" if " " in alike[0] else f"={alike[0]}"
            hint = "" if canonical in required else f", or set {setting}=null if there is none"
            raise no_column(name, present, where, f"set {setting}{hint}", section)

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
                f"{source._section}columns.{canonical} is null, but every such table needs one:"
                " set it to the column's name"
            )
    wanted = {canonical: str(name) for canonical, name in columns.items() if name is not None}
    source.require(wanted, required)
    wanted = {canonical: source.spelled(name) for canonical, name in wanted.items()}
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
        return to_arrow(values.astype(object).where(values.notna(), None).tolist())


def release_memory(rows: int) -> None:
    """Gives back what reading a table of so many rows leaves behind: a column and its accessor
    (`.dt`) hold each other, and Arrow keeps what it has freed.
    """
    if rows < _LONG:
        return  # a search for cycles takes a tenth of a second
    gc.collect()
    pa.default_memory_pool().release_unused()
