"""Converts columns of a table to ids, lists, numbers and times.

CSV cells are strings: numbers and times are parsed, lists are JSON, and an empty cell is missing.
In Parquet null is missing.

Axes: N rows.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.errors import DataError
from recsys.inference.inputs import RowError
from recsys.table_files import TableFile

# +02:00, +0200, +02 or Z after a time of day; a date alone also ends in -02.
_OFFSET = r"[T ]\d\d.*([+-]\d\d(:?\d\d)?|Z)$"


@contextmanager
def row_errors(file: TableFile, first_row: int) -> Iterator[None]:
    """Names the file and the line in errors of rows that are counted from `first_row`.

    Raises:
        DataError: in place of a `RowError`, or of a TypeError of a whole column.
    """
    try:
        yield
    except RowError as error:
        raise DataError(f"{file.place(first_row + error.row)}: {error.reason}") from error


def check_kinds(file: TableFile, kinds: dict[str, str]) -> None:
    """Refuses columns that are missing or of a type that cannot be converted.

    Args:
        file: opened.
        kinds: id, number, time, text, ids (a list) or numbers (a list), by column.

    Raises:
        DataError: naming the column and its type.
    """
    file.require(list(kinds))
    for name, kind in kinds.items():
        found = file.schema.field(name).type
        if pa.types.is_dictionary(found):
            found = found.value_type
        fits, wanted = _KINDS[kind]
        if not (_is_text(found) or fits(found)):
            raise DataError(f"{file.path}: {name} is of type {found}, and has to be {wanted}")


def ids(column: pa.Array, name: str) -> pa.Array:
    """Ids as strings (N,); integers become their digits.

    Raises:
        RowError: an id is null or empty.
    """
    texts = column.cast(pa.string())
    empty = pc.fill_null(pc.equal(texts, ""), True)
    if (wrong := np.flatnonzero(empty)).size:
        raise RowError(wrong[0], f"the {name} is empty")
    return texts


def texts(column: pa.Array) -> list[str]:
    """Categories as strings, "" where missing (N,)."""
    values: list[str] = column.cast(pa.string()).fill_null("").to_pylist()
    return values


def lists(column: pa.Array, name: str, kind: str) -> list[list[Any] | None]:
    """Lists of strings (`kind` "ids") or of numbers ("numbers"), None where missing (N,).

    Raises:
        RowError: a cell is not a JSON list, or a list holds a null or a value of another type.
    """
    column = _decoded(column)
    wanted, item = _KINDS[kind][1], pa.string() if kind == "ids" else pa.float32()
    if _is_text(column.type):
        parsed = _parse_json(column)
    elif pa.types.is_integer(column.type.value_type) and kind == "ids":
        parsed = column.cast(pa.list_(item)).to_pylist()
    else:
        parsed = column.to_pylist()
    if not _are_lists(parsed, item):
        row = next(row for row, value in enumerate(parsed) if not _are_lists([value], item))
        raise RowError(row, f"the {name} is not {wanted}")
    return parsed


def numbers(column: pa.Array, name: str) -> NDArray[np.float64]:
    """Numbers, NaN where missing (N,).

    Raises:
        RowError: a cell is not a number.
    """
    column = _decoded(column)
    if _is_text(column.type):
        column = pc.utf8_trim_whitespace(column)
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)
    elif pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    values = _cast(column, pa.float64(), lambda cell: f"{name} is {cell!r}, which is not a number")
    array: NDArray[np.float64] = values.to_numpy(zero_copy_only=False)
    return array


def times(
    column: pa.Array, name: str, timezone: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """ISO 8601 text, dates or timestamps as seconds.

    A timestamp without an offset is local time of the time zone, others are converted to it.

    Returns:
        local: seconds since 1970 by the clock of the zone, counted as if it showed UTC (N,).
        instant: seconds since 1970 in UTC; as `local` where there is no offset (N,).

    Raises:
        RowError: a cell is empty, or not a time in whole seconds.
        DataError: the time zone is not known on this machine.
    """
    column = _decoded(column)
    if column.null_count:
        raise RowError(np.flatnonzero(column.is_null())[0], f"the {name} is empty")
    if _is_text(column.type):
        column = pc.utf8_trim_whitespace(column)
        aware = pc.match_substring_regex(column, _OFFSET).to_numpy(zero_copy_only=False)
    else:
        with_zone = pa.types.is_timestamp(column.type) and column.type.tz is not None
        aware = np.full(len(column), with_zone)
    local = np.empty(len(column), dtype=np.int64)
    instant = np.empty(len(column), dtype=np.int64)
    for mask, zone in ((~aware, None), (aware, timezone)):
        rows = np.flatnonzero(mask)
        if not rows.size:
            continue
        moments = _cast(column.take(pa.array(rows)), pa.timestamp("s", zone), _no_time(name), rows)
        instant[rows] = moments.cast(pa.int64())
        try:
            local[rows] = (pc.local_timestamp(moments) if zone else moments).cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise DataError(
                f"the time zone {zone!r} is not known on this machine: install the system's tzdata,"
                " or give timestamps in local time, without offset"
            ) from error
    return local, instant


def _no_time(name: str) -> Callable[[Any], str]:
    return lambda cell: (
        f"the {name} is {str(cell)!r}, which is not a date or time in whole seconds such as"
        " 2024-01-31 or 2024-01-31T05:00"
    )


def _cast(
    column: pa.Array,
    kind: pa.DataType,
    reason: Callable[[Any], str],
    rows: NDArray[np.int64] | None = None,
) -> pa.Array:
    """The column in another type; RowError for the first cell that does not fit."""
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        for row, cell in enumerate(column):
            try:
                cell.cast(kind)
            except pa.ArrowInvalid:
                row = row if rows is None else int(rows[row])
                raise RowError(row, reason(cell.as_py())) from None
        raise


def _parse_json(column: pa.Array) -> list[Any]:
    """Values of JSON cells, None for empty ones."""
    cells = [cell.strip() or "null" for cell in column.fill_null("").to_pylist()]
    try:
        values: list[Any] = json.loads(f"[{','.join(cells)}]")
        if len(values) == len(cells):
            return values
    except json.JSONDecodeError:
        pass
    return list(map(_json_or_text, cells))


def _json_or_text(cell: str) -> Any:
    try:
        return json.loads(cell)
    except json.JSONDecodeError:
        return cell


def _are_lists(values: list[Any], item: pa.DataType) -> bool:
    """Whether all are lists of the type, or None."""
    # A string would be taken for a list of its letters.
    if not set(map(type, values)) <= {list, type(None)}:
        return False
    try:
        return not pa.array(values, pa.list_(item)).flatten().null_count
    except (pa.ArrowException, TypeError):
        return False


def _decoded(column: pa.Array) -> pa.Array:
    is_encoded = pa.types.is_dictionary(column.type)
    return column.dictionary_decode() if is_encoded else column


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_id(kind: pa.DataType) -> bool:
    return bool(_is_text(kind) or pa.types.is_integer(kind))


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    return pa.types.is_null(kind) or any(test(kind) for test in tests)


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _is_list_of(fits: Callable[[pa.DataType], bool]) -> Callable[[pa.DataType], bool]:
    def check(kind: pa.DataType) -> bool:
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        return is_list and (fits(kind.value_type) or pa.types.is_null(kind.value_type))

    return check


# Types that a column may have beside text, and what an error calls them.
_KINDS: dict[str, tuple[Callable[[pa.DataType], bool], str]] = {
    "id": (_is_id, "text or a whole number"),
    "text": (_is_id, "text or a whole number"),
    "number": (_is_number, "a number"),
    "time": (_is_time, "a timestamp, a date or text"),
    "ids": (_is_list_of(_is_id), 'a list of strings such as ["7", "8"]'),
    "numbers": (_is_list_of(_is_number), "a list of numbers such as [30, 2]"),
}
