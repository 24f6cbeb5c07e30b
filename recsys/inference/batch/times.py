"""Timestamps as local wall-clock seconds, counted as if the clock showed UTC.

Axes: N rows.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from recsys.errors import DataError

# Clocks are only ever set forward or back at a quarter of an hour.
_QUARTER = 900


def local_seconds(instant: NDArray[np.int64], zone: str) -> NDArray[np.int64]:
    """What the wall clock of a zone shows at instants, seconds since 1970 in UTC: (N,) -> (N,)."""
    clock = _zone(zone)
    # As many turns as the table covers quarters of an hour, however many rows it has.
    quarters, place = np.unique(instant // _QUARTER, return_inverse=True)
    offsets = [
        _offset(datetime.fromtimestamp(quarter * _QUARTER, UTC).astimezone(clock))
        for quarter in quarters.tolist()
    ]
    return instant + np.array(offsets, dtype=np.int64)[place]


def parse_times(
    texts: Sequence[str], zone: str, where: Callable[[int], str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Reads ISO 8601: 2024-01-31, 2024-01-31T05:00, 2024-01-31 05:00:00+01:00.

    A timestamp without an offset is what the wall clock of the zone shows.

    Args:
        texts: N of them.
        zone: IANA name.
        where: says where a row stands, for errors.

    Returns:
        time: local wall-clock seconds, counted as if UTC (N,).
        instant: seconds since 1970 in UTC; as `time` where there is no offset (N,).

    Raises:
        DataError: naming the first row that is no timestamp, or no whole second.
    """
    # Series share their grid, so that few of the texts are unlike each other.
    known = {text: _parse(text) for text in set(texts)}
    if None in known.values():
        row = next(row for row, text in enumerate(texts) if known[text] is None)
        raise DataError(
            f"{where(row)}: the timestamp is {texts[row]!r}, which is no date or time to the second"
            " such as 2024-01-31 or 2024-01-31T05:00"
        )
    seconds = {text: moment[0] for text, moment in known.items() if moment is not None}
    instant = np.fromiter(map(seconds.__getitem__, texts), np.int64, len(texts))
    with_offset = {text for text, moment in known.items() if moment is not None and moment[1]}
    time = instant.copy()
    if with_offset:
        aware = np.fromiter(map(with_offset.__contains__, texts), np.bool_, len(texts))
        time[aware] = local_seconds(instant[aware], zone)
    return time, instant


def _parse(text: str) -> tuple[int, bool] | None:
    """Seconds and whether they are an instant; None for what is no timestamp."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if moment.microsecond:
        return None
    aware = moment.tzinfo is not None
    return int((moment if aware else moment.replace(tzinfo=UTC)).timestamp()), aware


def _offset(moment: datetime) -> int:
    offset = moment.utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _zone(zone: str) -> ZoneInfo:
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise DataError(
            f"the time zone {zone!r} is not known here: pip install tzdata, or give timestamps by "
            "that clock, without offset"
        ) from error
