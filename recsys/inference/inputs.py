"""Converts what callers give a recommender: ids, lists of ids, attribute values, moments.

Axes: B users, N purchases of all users.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from recsys.bundle.list_columns import ListColumn, to_offsets


class RowError(ValueError):
    """A value of one row that cannot be used.

    Attributes:
        row: counted from 0.
        reason: what is wrong with it.
    """

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(f"row {row}: {reason}")
        self.row, self.reason = int(row), reason


def as_list(values: Iterable[Any], name: str, ordered: bool = True) -> list[Any]:
    """A list of the values of a list, tuple, iterator, numpy array, pandas or Arrow column.

    Raises:
        TypeError: for what iterates over something else: a single string (over its letters), a
            mapping (over its keys), a table (over its columns); for a set where the order counts
            (`ordered`); and for a value that is not iterable.
    """
    kind = type(values).__name__
    if isinstance(values, str | bytes):
        raise TypeError(f"{name} is the single string {values!r}: give a list, [{values!r}]")
    if isinstance(values, Mapping) or hasattr(values, "columns"):
        raise TypeError(f"{name} is a {kind}: give one of its columns, or a list")
    if isinstance(values, Set) and ordered:
        raise TypeError(f"{name} is a {kind}, which has no order: give a list")
    for method in ("to_pylist", "tolist"):  # Arrow's, numpy's and pandas'
        if hasattr(values, method):
            values = getattr(values, method)()
            break
    if isinstance(values, str | bytes):  # of an array without an axis
        raise TypeError(f"{name} is a {kind} of the single string {values!r}: give a list")
    try:
        return list(values)
    except TypeError:
        raise TypeError(f"{name} is of type {kind}: give a list") from None


def as_strings(values: Iterable[Any], name: str, ordered: bool = True) -> list[str]:
    """A list of ids.

    Raises:
        TypeError: an id is not a string: 7 and "007" must not be guessed to be the same.
    """
    found = as_list(values, name, ordered)
    for kind in set(map(type, found)):
        if not issubclass(kind, str):
            raise TypeError(f"{name} holds a {kind.__name__}: give strings, such as '007'")
    return found


def as_rows(values: Iterable[Any], name: str, num_users: int) -> list[Any]:
    """A list with one entry for each user.

    Raises:
        ValueError: there are more or fewer.
    """
    found = as_list(values, name)
    if len(found) != num_users:
        raise ValueError(f"{name} has {len(found)} rows for {num_users} users: give one each")
    return found


def as_id_lists(rows: Sequence[Any], name: str, ordered: bool = True) -> ListColumn:
    """Lists of item ids, one for each user; None is an empty list.

    Raises:
        TypeError: a row is a single string, or an id is not a string.
    """
    values, offsets = _flattened(rows, name, ordered)
    flat = np.empty(len(values), dtype=object)
    flat[:] = as_strings(values, name)
    return ListColumn(flat, offsets)


def as_number_lists(rows: Sequence[Any], name: str, items: ListColumn) -> ListColumn:
    """Lists of numbers, one for each purchase in `items`; None is an empty list.

    Raises:
        TypeError: a value is not a number.
        RowError: a list differs in length from the purchases, or holds NaN, infinity or a number
            below 0.
    """
    values, offsets = _flattened(rows, name)
    if (wrong := np.flatnonzero(np.diff(offsets) != items.lengths)).size:
        row = wrong[0]
        raise RowError(
            row,
            f"{name} holds {np.diff(offsets)[row]} numbers for {items.lengths[row]} items of "
            "history: give one for each purchase",
        )
    numbers = _floats(values, name)
    # written so that NaN is found
    if (wrong := np.flatnonzero(~((numbers >= 0) & (numbers < np.inf)))).size:
        row = np.searchsorted(offsets, wrong[0], side="right") - 1
        raise RowError(row, f"{name} holds {values[wrong[0]]}: give a number of 0 or more")
    return ListColumn(numbers, offsets)


def as_values(values: Iterable[Any], name: str, kind: str, num_users: int) -> NDArray[Any]:
    """One value of each user: object (B,) with "" for missing, or float32 (B,) with NaN.

    Args:
        values: None and NaN are missing.
        name: of the input.
        kind: string or float32.
        num_users: B.

    Raises:
        ValueError: there are more or fewer values than users, or one is infinite.
        TypeError: a value is of another type.
    """
    rows = as_rows(values, name, num_users)
    if kind == "float32":
        numbers = _floats(rows, name)
        if (wrong := np.flatnonzero(np.isinf(numbers))).size:
            raise RowError(wrong[0], f"{name} is infinite: NaN stands for a missing value")
        return numbers
    texts = np.empty(num_users, dtype=object)
    texts[:] = rows
    missing = np.frompyfunc(lambda value: value is None or value != value, 1, 1)
    texts[missing(texts).astype(bool)] = ""
    as_strings(texts, name)
    return texts


def missing_values(kind: str, num_users: int) -> NDArray[Any]:
    """What stands for unknown values of users: "" in an object array, or NaN (B,)."""
    if kind == "string":
        return np.full(num_users, "", dtype=object)
    return np.full(num_users, np.nan, dtype=np.float32)


def local_times(at: Any, timezone: str, num_users: int) -> NDArray[np.datetime64]:
    """Moments by the clock of a time zone, datetime64[s] (B,).

    Args:
        at: a datetime or datetime64 for all users, or one for each; None is now. Values without an
            offset are read as local time, others are converted.
        timezone: IANA name.
        num_users: B.

    Raises:
        TypeError: a value is not a moment.
        ValueError: there are neither one nor B.
    """
    if at is None:
        at = datetime.now(ZoneInfo(timezone))
    if isinstance(at, np.ndarray) and at.dtype.kind == "M":
        local = at
    else:
        moments = [at] if np.ndim(at) == 0 else as_list(at, "at")
        local = np.array([local_moment(each, timezone, "at") for each in moments], dtype="M8[s]")
    if local.shape not in {(), (1,), (num_users,)}:
        raise ValueError(f"at has the shape {local.shape} for {num_users} users: give one for each")
    if np.isnat(local).any():
        raise ValueError("at holds NaT: give the moment of the request")
    return np.broadcast_to(local.astype("datetime64[s]"), num_users)


def clock_value(source: str, times: NDArray[np.datetime64]) -> NDArray[np.float32]:
    """Hour (0 to 23) for "time.hour", day of the week (Monday is 0) for "time.weekday", (B,)."""
    if source == "time.hour":
        hours = times.astype("datetime64[h]").astype(np.int64)
        return (hours % 24).astype(np.float32)
    days = times.astype("datetime64[D]").astype(np.int64)
    return ((days + 3) % 7).astype(np.float32)  # 1970-01-01 was a Thursday


CLOCK_SOURCES = ("time.hour", "time.weekday")


def local_moment(moment: Any, timezone: str, name: str) -> Any:
    """A moment by the clock of a time zone, without an offset; TypeError where it is none."""
    if moment != moment:  # NaT of any library
        return np.datetime64("NaT")
    if isinstance(moment, datetime):
        aware = moment.tzinfo is not None
        return (moment.astimezone(ZoneInfo(timezone)) if aware else moment).replace(tzinfo=None)
    if isinstance(moment, np.datetime64):
        return moment
    raise TypeError(f"{name} holds a {type(moment).__name__}: give datetime or datetime64")


def _flattened(
    rows: Sequence[Any], name: str, ordered: bool = True
) -> tuple[list[Any], NDArray[np.int64]]:
    """The values of all rows, and where rows start and end."""
    lists = [[] if row is None else as_list(row, f"a row of {name}", ordered) for row in rows]
    lengths = np.fromiter(map(len, lists), np.int64, len(lists))
    return list(chain.from_iterable(lists)), to_offsets(lengths)


def _floats(values: list[Any], name: str) -> NDArray[np.float32]:
    """Numbers, NaN for None."""
    if any(issubclass(kind, str) for kind in set(map(type, values))):
        raise TypeError(f"{name} holds text: give numbers")
    try:
        with np.errstate(over="ignore"):
            return np.array(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} holds a value that is not a number: {error}") from None
