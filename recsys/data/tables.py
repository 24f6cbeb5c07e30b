"""One reader for CSV, Parquet and SQL: the columns asked for, under their canonical names."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from recsys.errors import DataError

ID_COLUMNS = ("user_id", "item_id")


def read_table(
    source: str | Path,
    columns: Mapping[str, str | None],
    *,
    separator: str = ",",
    table: str | None = None,
    setting: str = "data.path",
) -> pa.Table:
    """Reads some columns of a table.

    Args:
        source: a .csv, .csv.gz, .tsv or .parquet file, or a SQLAlchemy URL such as sqlite:///shop.db.
        columns: canonical name to the name in the source; None leaves the column out.
        separator: of a CSV file.
        table: name of the table behind a SQL URL.
        setting: the configuration key of `source`, for error messages.

    Returns:
        The columns asked for, under canonical names, typed as in the source; everything in a CSV file is a string.

    Raises:
        DataError: the source does not exist, cannot be read, lacks a column, or has no rows.
    """
    wanted = {canonical: str(name) for canonical, name in columns.items() if name is not None}
    location = str(source)
    if "://" in location:
        arrow = _read_sql(location, table, wanted, setting)
    else:
        arrow = _read_file(Path(location), wanted, separator, setting)
    if arrow.num_rows == 0:
        raise DataError(f"{location} has a header but no rows; point {setting} at a table with transactions")
    return pa.table({canonical: arrow.column(name) for canonical, name in wanted.items()})


def _read_file(path: Path, wanted: dict[str, str], separator: str, setting: str) -> pa.Table:
    if not path.exists():
        raise DataError(f"{setting}: {path} does not exist (looked in {path.parent.absolute()})")
    names = list(dict.fromkeys(wanted.values()))
    try:
        if path.suffix == ".parquet" or path.is_dir():
            present = pa.parquet.read_schema(path).names if path.is_file() else None
            _require(wanted, present, path.name)
            return pa.parquet.read_table(path, columns=names)
        if not {".csv", ".tsv", ".txt"} & set(path.suffixes):
            raise DataError(f"{setting}: {path.name} is neither .csv, .tsv nor .parquet, nor a SQL URL (scheme://…)")
        parse = pa.csv.ParseOptions(
            delimiter="\t" if ".tsv" in path.suffixes else separator, newlines_in_values=True
        )
        with pa.csv.open_csv(path, parse_options=parse) as reader:
            _require(wanted, reader.schema.names, path.name)
        # every cell is a string and none is null: "007" and "NA" are ids
        convert = pa.csv.ConvertOptions(
            include_columns=names,
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=False,
        )
        return pa.csv.read_csv(path, parse_options=parse, convert_options=convert)
    except pa.ArrowInvalid as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{setting}: {path.name} cannot be read as a table: {reason}") from error


def _read_sql(url: str, table: str | None, wanted: dict[str, str], setting: str) -> pa.Table:
    import sqlalchemy

    if table is None:
        raise DataError(f"{setting} is a SQL URL: name the table with {setting.rpartition('.')[0]}.table=NAME")
    try:
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as connection:
            reflected = sqlalchemy.Table(table, sqlalchemy.MetaData(), autoload_with=connection)
            _require(wanted, [c.name for c in reflected.columns], f"table {table}")
            query = sqlalchemy.select(*(reflected.c[name] for name in dict.fromkeys(wanted.values())))
            rows = pd.read_sql(query, connection)
    except sqlalchemy.exc.NoSuchTableError as error:
        raise DataError(f"{setting}: there is no table {table!r} in the database") from error
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        # a URL may carry a password: name the driver's complaint, not the URL
        raise DataError(f"{setting}: the database cannot be read: {str(error).splitlines()[0]}") from error
    finally:
        if "engine" in locals():
            engine.dispose()
    return pa.Table.from_pandas(rows, preserve_index=False)


def _require(wanted: dict[str, str], present: list[str] | None, where: str) -> None:
    for canonical, name in wanted.items():
        if present is not None and name not in present:
            has = ", ".join(present[:12]) + (", …" if len(present) > 12 else "")
            optional = "" if canonical in ID_COLUMNS else f", or set data.columns.{canonical}=null if there is none"
            raise DataError(
                f"column {name!r} is not in {where} (it has {has}); set data.columns.{canonical}{optional}"
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
        DataError: numbers without a unit, an unknown time zone, or times of which only some carry an offset.
    """
    if unit is not None:
        return pd.to_datetime(pd.to_numeric(column, errors="coerce"), unit=unit, errors="coerce", utc=True).dt.as_unit("s")
    if pd.api.types.is_numeric_dtype(column):
        raise DataError("the timestamp column holds numbers; set data.timestamp_unit to s, ms, us or ns")
    if pd.api.types.is_datetime64_any_dtype(column):
        parsed = column
    else:
        text = column.astype("str")
        has_offset = text.str.contains(r"\d:\d\d.*(?:[+-]\d\d:?\d\d|Z)$", regex=True, na=False)
        parsed = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
        unclear = has_offset[parsed.notna()]
        if unclear.any() and not unclear.all():
            raise DataError(f"{int(unclear.sum())} of {len(unclear)} timestamps carry an offset from UTC and the others do not")
        if not unclear.any():
            parsed = parsed.dt.tz_localize(None)
    if parsed.dt.tz is None:
        try:
            # twice-existing hours are read as summer time, missing hours as the first instant after the gap
            parsed = parsed.dt.tz_localize(timezone, ambiguous=[True] * len(parsed), nonexistent="shift_forward")
        except (KeyError, ValueError, OSError) as error:
            raise DataError(f"data.timezone={timezone!r} is not a time zone; use an IANA name such as Europe/Paris") from error
    return parsed.dt.tz_convert("UTC").dt.as_unit("s")


def to_numbers(column: pd.Series) -> pd.Series:
    """Numbers of a column, float64 (N,), NaN where a cell is empty or not a number."""
    return pd.to_numeric(column, errors="coerce").astype("float64")
