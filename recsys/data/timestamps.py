"""Points in time: dates, date strings and numbers, on the clock of a shop."""

import zoneinfo
from typing import Any, Literal

import numpy as np
import pandas as pd

from recsys.errors import ConfigError, DataError

SECONDS_A_DAY = 86_400
TimeUnit = Literal["s", "ms", "us", "ns"]


def parse_timestamps(column: pd.Series, timezone: str, unit: TimeUnit | None = None) -> pd.Series:
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
        ConfigError: an unknown time zone.
    """
    require_timezone(timezone)
    if unit is not None:
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
        if parsed.isna().all() and pd.to_numeric(text, errors="coerce").notna().any():
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


def wall_clock(instant: pd.Series, timezone: str) -> np.ndarray:
    """Local seconds since 1970 as if UTC, int64 (N,); nonsense where there is no instant."""
    local = instant.dt.tz_convert(timezone).dt.tz_localize(None)
    return local.to_numpy(dtype="datetime64[s]").astype(np.int64)
