"""CSV in and out with the standard library alone: every cell stays the text it is."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from recsys.errors import DataError
from recsys.inference.batch.tables import (
    AGE_COLUMN,
    HISTORY_COLUMN,
    SERIES_COLUMN,
    TIME_COLUMN,
    USER_COLUMN,
    VALUE_COLUMN,
    ColumnKind,
    HistoryFile,
    HistoryRows,
    UsersChunk,
    UsersFile,
    check_ages,
    check_columns,
    check_history_columns,
    users_columns,
)
from recsys.inference.batch.times import parse_times

# A history stands in one cell; the standard limit of 128 KiB holds about ten thousand ids.
_LARGEST_CELL = 2**24
# What the lists of a users file hold, and how they are written.
_LISTS: dict[str, tuple[Any, str]] = {
    HISTORY_COLUMN: (str, 'strings such as ["7", "8"]'),
    AGE_COLUMN: (int | float, "numbers of days such as [30, 2]"),
}


class _Line(NamedTuple):
    number: int
    cells: list[str]


def read_csv_users(
    path: Path, file: TextIO, rows: int, read_history: bool, read_age: bool
) -> UsersFile:
    """Users in chunks of `rows`; a history is a JSON list of strings, an empty cell is none; days
    since its purchases are a JSON list of numbers.

    Raises:
        DataError: if there is no column user_id, or history_age is missing; while chunks are read,
            for a line that cannot be used.
    """
    lines = _lines(path, file)
    header = next(lines, _Line(0, [])).cells
    _check_header(path, header, [USER_COLUMN])
    columns = users_columns(path, header, read_history, read_age)
    chunks = _chunks(path, lines, header, rows, columns)
    return UsersFile(chunks, None, HISTORY_COLUMN in columns)


def _check_header(path: Path, header: list[str], needed: Sequence[str]) -> None:
    if not header:
        raise DataError(f"{path} is empty: it needs a header with the column {needed[0]!r}")
    check_columns(path, header, needed)


def _lines(path: Path, file: TextIO) -> Iterator[_Line]:
    """Lines that are not blank."""
    reader = csv.reader(file)
    with _reading(path):
        for cells in reader:
            if cells:
                yield _Line(reader.line_num, cells)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    csv.field_size_limit(_LARGEST_CELL)
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: save it as UTF-8") from error
    except (csv.Error, OSError) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error


def _chunks(
    path: Path, lines: Iterator[_Line], header: list[str], rows: int, columns: list[str]
) -> Iterator[UsersChunk]:
    user_place, *list_places = (header.index(name) for name in columns)
    users: list[str] = []
    lists: list[list[list[Any] | None]] = [[] for _ in list_places]
    for number, cells in lines:
        _check_width(path, number, cells, header)
        if not cells[user_place]:
            raise DataError(f"{path}, line {number}: the {USER_COLUMN} is empty")
        users.append(cells[user_place])
        for name, place, column in zip(columns[1:], list_places, lists, strict=True):
            column.append(_parse_list(cells[place], name, path, number))
        if AGE_COLUMN in columns:
            check_ages(f"{path}, line {number}", *(column[-1] for column in lists))
        if len(users) == rows:
            yield UsersChunk(users, *(lists + [None, None])[:2])
            users, lists = [], [[] for _ in list_places]
    if users:
        yield UsersChunk(users, *(lists + [None, None])[:2])


def _check_width(path: Path, number: int, cells: list[str], header: list[str]) -> None:
    if len(cells) != len(header):
        raise DataError(f"{path}, line {number}: {len(cells)} cells under {len(header)} columns")


def read_csv_histories(
    path: Path, file: TextIO, rows: int, covariate_names: Sequence[str], zone: str
) -> HistoryFile:
    """Histories in chunks of `rows`; an empty cell is a missing y or an unknown covariate.

    Raises:
        DataError: if a column is missing; while chunks are read, for a line that cannot be used.
    """
    needed = [SERIES_COLUMN, TIME_COLUMN, VALUE_COLUMN, *covariate_names]
    tables = _tables(path, file, rows)
    header = next(tables, (np.empty(0, dtype=np.int64), [[]]))[1][0]
    _check_header(path, header, needed)
    check_history_columns(path, header, needed)
    return HistoryFile(_history_chunks(path, tables, header, needed, zone), None, "line")


def _tables(
    path: Path, file: TextIO, rows: int
) -> Iterator[tuple[NDArray[np.int64], list[list[str]]]]:
    """The header, then at most `rows` lines at a time without the blank ones, and their numbers."""
    reader = csv.reader(file)
    size, before = 1, 0
    with _reading(path):
        while lines := list(islice(reader, size)):
            number = np.arange(before + 1, reader.line_num + 1)
            if len(number) != len(lines):
                # Some cells hold line breaks.
                heights = [1 + sum(cell.count("\n") for cell in cells) for cells in lines]
                number = before + np.cumsum(heights)
            before = reader.line_num
            kept = [place for place, cells in enumerate(lines) if cells]
            if kept:
                size = rows
                yield number[kept], [lines[place] for place in kept]


def _history_chunks(
    path: Path,
    tables: Iterator[tuple[NDArray[np.int64], list[list[str]]]],
    header: list[str],
    needed: Sequence[str],
    zone: str,
) -> Iterator[HistoryRows]:
    places = [header.index(name) for name in needed]
    for number, lines in tables:
        if set(map(len, lines)) != {len(header)}:
            for line, cells in zip(number.tolist(), lines, strict=True):
                _check_width(path, line, cells, header)
        columns = list(zip(*lines, strict=True))
        series, times, *values = (columns[place] for place in places)
        if "" in series:
            line = number[series.index("")]
            raise DataError(f"{path}, line {line}: the {SERIES_COLUMN} is empty")
        names = np.array(series, dtype=object)
        starts = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
        time, instant = parse_times(times, zone, partial(_place, path, number))
        y, *covariates = (
            _numbers(path, column, name, number)
            for column, name in zip(values, needed[2:], strict=True)
        )
        yield HistoryRows(
            names[starts].tolist(),
            np.append(starts, len(names)),
            number,
            time,
            instant,
            y,
            np.stack([y, *covariates], axis=1)[:, 1:].astype(np.float32),
        )


def _place(path: Path, number: NDArray[np.int64], row: int) -> str:
    return f"{path}, line {number[row]}"


def _numbers(
    path: Path, column: Sequence[str], name: str, number: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Numbers of a column, NaN for an empty cell."""
    try:
        return np.array([cell or "nan" for cell in column], dtype=np.float64)
    except ValueError:
        row = next(row for row, cell in enumerate(column) if not _is_number(cell))
        raise DataError(
            f"{path}, line {number[row]}: {name} is {column[row]!r}, which is no number (an empty "
            "cell is a missing one)"
        ) from None


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True


def _parse_list(text: str, name: str, path: Path, number: int) -> list[Any] | None:
    """A JSON list, because ids may hold spaces, commas and semicolons."""
    if not text.strip():
        return None
    try:
        values = json.loads(text)
    except json.JSONDecodeError:
        values = None
    kind, what = _LISTS[name]
    if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
        raise DataError(f"{path}, line {number}: the {name} is no JSON list of {what}")
    return values


class CsvTable:
    """Writes a table as CSV."""

    def __init__(self, file: TextIO, columns: Mapping[str, ColumnKind]) -> None:
        """Writes the header to a file opened with newline=""."""
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(columns)
        self._kinds = list(columns.values())

    def write(self, columns: Sequence[NDArray[Any]]) -> None:
        """Appends rows."""
        texts = map(_cells, columns, self._kinds)
        self._writer.writerows(zip(*texts, strict=True))


def _cells(column: NDArray[Any], kind: ColumnKind) -> list[Any]:
    """Cells of a column, as csv writes them."""
    if kind == "float32":
        # The shortest digits that give the float32 back, not a float64's.
        return column.astype(np.str_).tolist()
    if kind == "timestamp":
        return np.datetime_as_string(column, unit="s").tolist()
    return column.tolist()
