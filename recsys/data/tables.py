"""One reader for CSV, Parquet and SQL: the columns asked for, under their canonical names."""

import gc
import zoneinfo
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from recsys.errors import ConfigError, DataError

ID_COLUMNS = ("user_id", "item_id")
TIME_UNITS = ("s", "ms", "us", "ns")


def read_table(
    source: str | Path,
    columns: Mapping[str, str | None],
    *,
    separator: str = ",",
    table: str | None = None,
    setting: str = "data.path",
    encode_ids: bool = False,
    required: Sequence[str] = ID_COLUMNS,
) -> pa.Table:
    """Reads some columns of a table.

    Args:
        source: a .csv, .csv.gz, .tsv or .parquet file, or a SQLAlchemy URL such as
            sqlite:///shop.db.
        columns: canonical name to the name in the source; None leaves the column out.
        separator: of a CSV file.
        table: name of the table behind a SQL URL.
        setting: the configuration key of `source`, for error messages.
        encode_ids: ids that are strings in a file come as a dictionary and places in it, which
            takes a tenth of the memory.
        required: canonical names that may not be left out.

    Returns:
        The columns asked for, under canonical names, typed as in the source; everything in a CSV
        file is a string.

    Raises:
        DataError: the source does not exist, cannot be read, lacks a column, or has no rows.
        ConfigError: a required column is mapped to null.
    """
    for canonical in required:
        if columns.get(canonical, canonical) is None:
            raise ConfigError(
                f"data.columns.{canonical} is null, but every such table needs one: set it to the"
                " column's name"
            )
    wanted = {canonical: str(name) for canonical, name in columns.items() if name is not None}
    location = str(source)
    if "://" in location:
        arrow = _read_sql(location, table, wanted, setting, required)
    else:
        encoded = [wanted[key] for key in ID_COLUMNS if encode_ids and key in wanted]
        arrow = _read_file(Path(location), wanted, separator, setting, encoded, required)
    if arrow.num_rows == 0:
        # a URL may carry a password
        where = f"table {table}" if "://" in location else location
        raise DataError(
            f"{where} has a header but no rows; point {setting} at a table with transactions"
        )
    return select_columns(arrow, wanted, location, required)


def select_columns(
    table: pa.Table, wanted: dict[str, str], where: str, required: Sequence[str] = ID_COLUMNS
) -> pa.Table:
    """Columns of a table under their canonical names; DataError where one is missing, `where` is
    what to call the table.
    """
    _require(wanted, table.column_names, where, required)
    return pa.table({canonical: table.column(name) for canonical, name in wanted.items()})


def _read_file(
    path: Path,
    wanted: dict[str, str],
    separator: str,
    setting: str,
    encoded: list[str],
    required: Sequence[str],
) -> pa.Table:
    if not path.exists():
        raise DataError(f"{setting}: {path} does not exist (looked in {path.parent.absolute()})")
    names = list(dict.fromkeys(wanted.values()))
    try:
        if path.suffix == ".parquet" or path.is_dir():
            present = (
                pa.parquet.read_schema(path).names
                if path.is_file()
                else pa.parquet.ParquetDataset(path).schema.names
            )
            _require(wanted, present, path.name, required)
            return pa.parquet.read_table(path, columns=names, read_dictionary=encoded)
        if not {".csv", ".tsv", ".txt"} & set(path.suffixes):
            raise DataError(
                f"{setting}: {path.name} is neither .csv, .tsv nor .parquet, nor a SQL URL"
                " (scheme://…)"
            )
        parse = pa.csv.ParseOptions(
            delimiter="\t" if ".tsv" in path.suffixes else separator, newlines_in_values=True
        )
        with pa.csv.open_csv(path, parse_options=parse) as reader:
            _require(wanted, reader.schema.names, path.name, required)
        # every cell is a string and none is null: "007" and "NA" are ids
        convert = pa.csv.ConvertOptions(
            include_columns=names,
            column_types={
                name: pa.dictionary(pa.int32(), pa.string()) if name in encoded else pa.string()
                for name in names
            },
            strings_can_be_null=False,
        )
        return pa.csv.read_csv(path, parse_options=parse, convert_options=convert)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{setting}: {path.name} cannot be read as a table: {reason}") from error


def _read_sql(
    url: str, table: str | None, wanted: dict[str, str], setting: str, required: Sequence[str]
) -> pa.Table:
    import sqlalchemy

    if table is None:
        raise DataError(
            f"{setting} is a SQL URL: name the table with {setting.rpartition('.')[0]}.table=NAME"
        )
    try:
        try:
            engine = sqlalchemy.create_engine(url)
        except ValueError as error:
            # what stands where the port belongs may be half a password: say nothing of it
            raise DataError(
                f"{setting}: the URL cannot be understood; in a user name or password write @ : / ?"
                " # as %40 %3A %2F %3F %23"
            ) from error
        with engine.connect() as connection:
            reflected = sqlalchemy.Table(table, sqlalchemy.MetaData(), autoload_with=connection)
            _require(wanted, [c.name for c in reflected.columns], f"table {table}", required)
            query = sqlalchemy.select(
                *(reflected.c[name] for name in dict.fromkeys(wanted.values()))
            )
            rows = connection.execute(query).fetchall()
            names = list(dict.fromkeys(wanted.values()))
    except sqlalchemy.exc.NoSuchTableError as error:
        raise DataError(f"{setting}: there is no table {table!r} in the database") from error
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        # a URL may carry a password: name the driver's complaint, not the URL
        raise DataError(
            f"{setting}: the database cannot be read: {str(error).splitlines()[0]}"
        ) from error
    finally:
        if "engine" in locals():
            engine.dispose()
    # not through pandas, where a null turns a column of integers into floats and long ids into
    # their neighbours
    return pa.table(
        {name: _to_arrow([row[place] for row in rows]) for place, name in enumerate(names)}
    )


def _to_arrow(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # SQLite keeps what it is given, numbers beside text: then all of it is text
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _require(
    wanted: dict[str, str], present: list[str], where: str, required: Sequence[str]
) -> None:
    for canonical, name in wanted.items():
        if present.count(name) > 1:
            raise DataError(
                f"{where} has {present.count(name)} columns called {name!r}; rename all but one"
            )
        if name not in present:
            has = ", ".join(present[:12]) + (", …" if len(present) > 12 else "")
            hint = (
                ""
                if canonical in required
                else f", or set data.columns.{canonical}=null if there is none"
            )
            if len(present) == 1 and any(separator in present[0] for separator in ";\t|"):
                hint += "; the whole header is one column: does data.separator fit?"
            raise DataError(
                f"column {name!r} is not in {where} (it has {has}); set"
                f" data.columns.{canonical}{hint}"
            )


def parse_timestamps(column: pd.Series, timezone: str, unit: str | None = None) -> pd.Series:
    """Points in time of a column of dates, date strings or numbers.

    Args:
        column: (N,); strings are ISO 8601 ("2017-01-31 18:05:00", "2017-01-31").
        timezone: IANA name of the clock that times without an offset were read from.
        unit: "s", "ms", "us" or "ns" where numbers count from 1970-01-01 UTC.

    Returns:
        datetime64[s, UTC] (N,), NaT where a cell is empty or cannot be parsed.

    Raises:
        DataError: numbers without a unit, dates with one, or times of which only some carry an
            offset.
        ConfigError: an unknown unit or time zone.
    """
    require_timezone(timezone)
    if unit is not None:
        if unit not in TIME_UNITS:
            raise ConfigError(
                f"data.timestamp_unit={unit!r}: choose {', '.join(TIME_UNITS[:-1])} or"
                f" {TIME_UNITS[-1]}"
            )
        if pd.api.types.is_datetime64_any_dtype(column):
            raise DataError(
                "the timestamp column holds dates, not numbers; leave"
                f" data.timestamp_unit={unit} out"
            )
        numbers_since: Any = pd.to_numeric(column, errors="coerce")
        known_unit: Any = unit
        parsed_numbers: pd.Series = pd.to_datetime(
            numbers_since, unit=known_unit, errors="coerce", utc=True
        )
        return parsed_numbers.dt.as_unit("s")
    numbers = "the timestamp column holds numbers; set data.timestamp_unit to s, ms, us or ns"
    if pd.api.types.is_numeric_dtype(column):
        raise DataError(numbers)
    if pd.api.types.is_datetime64_any_dtype(column):
        parsed = column
    else:
        text = column.astype("str")
        # +02:00, +0200, +02 or Z behind a time of day; a date alone also ends in -02
        has_offset = text.str.contains(
            r"[T ]\d\d.*(?:[+-]\d\d(?::?\d\d)?|Z)$", regex=True, na=False
        )
        parsed = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
        if parsed.isna().all() and to_numbers(text).notna().any():
            raise DataError(numbers)
        unclear = has_offset[parsed.notna()]
        if unclear.any() and not unclear.all():
            raise DataError(
                f"{int(unclear.sum()):,} of {len(unclear):,} timestamps carry an offset from UTC"
                " and the others do not; write all of them with one, or none (then data.timezone"
                " says which clock they were read from)"
            )
        if not unclear.any():
            parsed = parsed.dt.tz_localize(None)
    if parsed.dt.tz is None:
        # twice-existing hours are read as summer time, missing hours as the first instant after the
        # gap
        parsed = parsed.dt.tz_localize(
            timezone, ambiguous=np.ones(len(parsed), dtype=bool), nonexistent="shift_forward"
        )
    return parsed.dt.tz_convert("UTC").dt.as_unit("s")


def require_timezone(name: str) -> None:
    """Raises ConfigError where there is no such time zone."""
    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError) as error:
        raise ConfigError(
            f"data.timezone={name!r} is not a time zone; use an IANA name such as Europe/Paris"
        ) from error


def release_memory() -> None:
    """Gives back what reading a long table leaves behind: a column and its accessor (`.dt`) hold
    each other, and Arrow keeps what it has freed.
    """
    gc.collect()
    pa.default_memory_pool().release_unused()


def to_numbers(column: pd.Series) -> pd.Series:
    """Numbers of a column, float64 (N,), NaN where a cell is empty or not a number."""
    return pd.to_numeric(column, errors="coerce").astype("float64")
