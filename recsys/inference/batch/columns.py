"""Converts columns of a table to ids, lists, numbers and times, as training reads them.

Text cells of lists are JSON; in Parquet null is missing.

Axes: N rows.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.errors import DataError
from recsys.inference.batch.input_table import InputTable
from recsys.inference.inputs import RowError
from recsys.tables.cells import (
    NumberColumn,
    decoded,
    id_texts,
    is_missing,
    is_numeric,
    is_text,
    without,
)
from recsys.tables.times import TimeForm, find_form, wall_and_instant


@contextmanager
def row_errors(table: InputTable, first_row: int) -> Iterator[None]:
    """Names the table and the line in errors of rows that are counted from `first_row`.

    Raises:
        DataError: in place of a `RowError`.
    """
    try:
        yield
    except RowError as error:
        raise DataError(f"{table.place(first_row + error.row)}: {error.reason}") from error


def check_kinds(table: InputTable, kinds: dict[str, str]) -> None:
    """Refuses columns that are missing or of a type that cannot be converted.

    Args:
        table: opened.
        kinds: id, number, time, text, ids (a list) or numbers (a list), by column.

    Raises:
        DataError: naming the column and its type.
        ConfigError: signs of numbers in text are set, and there are none.
    """
    for name, kind in kinds.items():
        found = table.type_of(name)
        fits, wanted = _KINDS[kind]
        if not (found is None or is_text(found) or fits(found)):
            raise DataError(f"{table.where}: {name} is of type {found}, and has to be {wanted}")
    if table.table.is_typed:
        numeric = [table.type_of(name) for name, kind in kinds.items() if kind == "number"]
        table.numerals.require_text(numeric, table.where)


def ids(column: pa.Array, name: str) -> pa.Array:
    """Ids as strings (N,); whole numbers become their digits.

    Raises:
        RowError: an id is null or empty.
    """
    texts = id_texts(decoded(column))
    if texts.null_count:
        raise RowError(np.flatnonzero(texts.is_null())[0], f"the {name} is empty")
    return texts


def texts(column: pa.Array) -> list[str]:
    """Categories as strings, "" where missing (N,)."""
    values: list[str] = id_texts(decoded(column)).fill_null("").to_pylist()
    return values


def lists(column: pa.Array, name: str, kind: str) -> list[list[Any] | None]:
    """Lists of strings (`kind` "ids") or of numbers ("numbers"), None where missing (N,).

    Raises:
        RowError: a cell is not a JSON list, or a list holds a null or a value of another type.
    """
    column = decoded(column)
    wanted, item = _KINDS[kind][1], pa.string() if kind == "ids" else pa.float32()
    if is_text(column.type):
        parsed = _parse_json(column.cast(pa.string()))
    elif kind == "ids" and is_numeric(column.type.value_type):
        parsed = _id_lists(column).to_pylist()
    else:
        parsed = column.to_pylist()
    if not _are_lists(parsed, item):
        row = next(row for row, value in enumerate(parsed) if not _are_lists([value], item))
        raise RowError(row, f"the {name} is not {wanted}")
    return parsed


def numbers(column: pa.Array, name: str, reader: NumberColumn) -> NDArray[np.float64]:
    """Numbers, NaN where missing (N,).

    Raises:
        RowError: a cell is not a number.
    """
    values, wrong = reader.read(column)
    if wrong.any():
        row = int(wrong.argmax())
        cell = column[row].as_py()
        raise RowError(row, f"{name} is {cell!r}, which is not a number{reader.numerals.advice}")
    return values


def time_form(table: InputTable, name: str, max_rows: int) -> TimeForm:
    """How a column writes times; reads as much of it as leaves no doubt.

    Raises:
        DataError: its cells do not tell.
    """
    with closing(table.batches([name], max_rows)) as batches:
        try:
            return find_form((batch.column(0) for batch in batches), table.times)
        except DataError as error:
            if str(error).startswith(table.where):
                raise
            raise DataError(f"{table.where}: {error}") from error


def times(
    column: pa.Array, name: str, form: TimeForm, table: InputTable, timezone: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Times of a form as seconds.

    A timestamp without an offset is local time of the time zone, others are converted to it.

    Returns:
        local: seconds since 1970 by the clock of the zone, counted as if it showed UTC (N,).
        instant: seconds since 1970 in UTC; as `local` where there is no offset (N,).

    Raises:
        RowError: a cell is empty, or not a time.
        DataError: only some cells carry an offset, or the time zone is not known on this machine.
    """
    try:
        read = form.read(column)
        if (unread := np.isnat(read)).any():
            row = int(unread.argmax())
            if is_missing(column)[row]:
                raise RowError(row, f"the {name} is empty")
            cell = str(column[row].as_py())
            advice = table.times.advice
            raise RowError(
                row, f"the {name} is {cell!r}, which is not of the form {form.name}{advice}"
            )
        return wall_and_instant(read, form.has_offset, timezone)
    except DataError as error:
        raise DataError(f"{table.where}: {error}") from error


def _id_lists(column: pa.Array) -> pa.Array:
    """Lists of whole numbers as lists of ids."""
    lengths = pc.list_value_length(column)
    offsets = np.append(0, np.cumsum(lengths.fill_null(0).to_numpy(zero_copy_only=False)))
    missing = np.append(lengths.is_null().to_numpy(zero_copy_only=False), False)
    places = pa.array(offsets.astype(np.int32), mask=missing)
    return pa.ListArray.from_arrays(places, id_texts(column.flatten()))


def _parse_json(column: pa.Array) -> list[Any]:
    """Values of JSON cells, None for empty ones."""
    filled = without(pc.utf8_trim_whitespace(column), pa.array(is_missing(column)))
    cells = filled.fill_null("null").to_pylist()
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


def _is_id(kind: pa.DataType) -> bool:
    return bool(_is_number(kind) or _is_time(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(is_numeric(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind))


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _is_list_of(fits: Callable[[pa.DataType], bool]) -> Callable[[pa.DataType], bool]:
    def check(kind: pa.DataType) -> bool:
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        return is_list and (is_text(kind.value_type) or fits(kind.value_type))

    return check


# Types that a column may have beside text, and what an error calls them.
_KINDS: dict[str, tuple[Callable[[pa.DataType], bool], str]] = {
    "id": (_is_id, "text or a whole number"),
    "text": (_is_id, "text or a whole number"),
    "number": (_is_number, "a number"),
    "time": (
        lambda kind: _is_time(kind) or _is_number(kind),
        "a timestamp, a date, text or a number",
    ),
    "ids": (_is_list_of(_is_number), 'a list of strings such as ["7", "8"]'),
    "numbers": (_is_list_of(_is_number), "a list of numbers such as [30, 2]"),
}
