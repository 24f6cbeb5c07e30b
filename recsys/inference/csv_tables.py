"""CSV in and out with the standard library alone: every cell stays the text it is."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

from recsys.errors import DataError
from recsys.inference.tables import (
    HISTORY_COLUMN,
    OUTPUT_COLUMNS,
    USER_COLUMN,
    Recommendations,
    UsersChunk,
    UsersFile,
    check_columns,
)

# A history stands in one cell; the standard limit of 128 KiB holds about ten thousand ids.
_LARGEST_CELL = 2**24


class _Line(NamedTuple):
    number: int
    cells: list[str]


def read_csv_users(path: Path, file: TextIO, rows: int, read_history: bool) -> UsersFile:
    """Users in chunks of `rows`; a history is a JSON list of strings, an empty cell is none.

    Raises:
        DataError: if there is no column user_id; while chunks are read, for a line that cannot be
            used.
    """
    csv.field_size_limit(_LARGEST_CELL)
    lines = _lines(path, file)
    header = next(lines, _Line(0, [])).cells
    if not header:
        raise DataError(f"{path} is empty: it needs a header with the column {USER_COLUMN!r}")
    check_columns(path, header)
    has_history = read_history and HISTORY_COLUMN in header
    return UsersFile(_chunks(path, lines, header, rows, has_history), None, has_history)


def _lines(path: Path, file: TextIO) -> Iterator[_Line]:
    """Lines that are not blank."""
    reader = csv.reader(file)
    try:
        for cells in reader:
            if cells:
                yield _Line(reader.line_num, cells)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: save it as UTF-8") from error
    except (csv.Error, OSError) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error


def _chunks(
    path: Path, lines: Iterator[_Line], header: list[str], rows: int, has_history: bool
) -> Iterator[UsersChunk]:
    user_place = header.index(USER_COLUMN)
    history_place = header.index(HISTORY_COLUMN) if has_history else 0
    users: list[str] = []
    history: list[list[str] | None] = []
    for number, cells in lines:
        if len(cells) != len(header):
            raise DataError(
                f"{path}, line {number}: {len(cells)} cells under {len(header)} columns"
            )
        if not cells[user_place]:
            raise DataError(f"{path}, line {number}: the {USER_COLUMN} is empty")
        users.append(cells[user_place])
        if has_history:
            history.append(_parse_history(cells[history_place], path, number))
        if len(users) == rows:
            yield UsersChunk(users, history if has_history else None)
            users, history = [], []
    if users:
        yield UsersChunk(users, history if has_history else None)


def _parse_history(text: str, path: Path, number: int) -> list[str] | None:
    """A JSON list, because ids may hold spaces, commas and semicolons."""
    if not text.strip():
        return None
    try:
        items = json.loads(text)
    except json.JSONDecodeError:
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise DataError(
            f"{path}, line {number}: the {HISTORY_COLUMN} is no JSON list of strings "
            'such as ["7", "8"]'
        )
    return items


class CsvRecommendations:
    """Writes recommendations as CSV."""

    def __init__(self, file: TextIO) -> None:
        """Writes the header to a file opened with newline=""."""
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(OUTPUT_COLUMNS)

    def write(self, rows: Recommendations) -> None:
        """Appends rows."""
        # Scores as text first: the shortest digits that give the float32 back, not a float64's.
        columns = rows._replace(scores=rows.scores.astype(np.str_))
        self._writer.writerows(zip(*(column.tolist() for column in columns), strict=True))
