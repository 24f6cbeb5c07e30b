"""Instants of events, on the clock of a shop."""

import zoneinfo
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.errors import ConfigError
from recsys.tables.times import TimeSettings, find_form

SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Times:
    """Points in time of a column.

    Attributes:
        instant: datetime64[s, UTC] (N,), NaT where a cell is empty or cannot be read.
        form: how the cells are written, as `recsys.tables.times.TimeForm.name`.
        has_offset: whether the cells say how far they are from UTC.
    """

    instant: pd.Series
    form: str
    has_offset: bool = False


def parse_timestamps(column: pa.Array | pa.ChunkedArray | pd.Series, timezone: str) -> pd.Series:
    """`Times.instant` of `read_timestamps`."""
    return read_timestamps(column, timezone).instant


def read_timestamps(
    column: pa.Array | pa.ChunkedArray | pd.Series,
    timezone: str,
    settings: TimeSettings | None = None,
) -> Times:
    """Points in time of a column of dates, text or numbers, all of one form, which is decided from
    all cells, as `recsys.tables.times.find_form` says.

    Args:
        column: (N,).
        timezone: IANA name of the clock that times without an offset were read from.
        settings: what is known of the times.

    Raises:
        DataError: as `find_form`, or times of which only some carry an offset.
        ConfigError: an unknown time zone.
    """
    require_timezone(timezone)
    cells = pa.array(column, from_pandas=True) if isinstance(column, pd.Series) else column
    form = find_form([cells], settings or TimeSettings())
    parsed = pd.Series(form.read(cells))
    if form.has_offset:
        return Times(parsed.dt.tz_localize("UTC"), form.name, has_offset=True)
    # twice-existing hours are read as summer time, missing hours as the first instant after the gap
    parsed = parsed.dt.tz_localize(
        timezone, ambiguous=np.ones(len(parsed), dtype=bool), nonexistent="shift_forward"
    )
    return Times(parsed.dt.tz_convert("UTC").dt.as_unit("s"), form.name)


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
