"""What a batch reads and writes, whatever the kind of file."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.errors import DataError

USER_COLUMN = "user_id"
HISTORY_COLUMN = "history"
AGE_COLUMN = "history_age"
SERIES_COLUMN = "series_id"
TIME_COLUMN = "timestamp"
VALUE_COLUMN = "y"

ColumnKind = Literal["string", "int32", "float32", "timestamp"]


class UsersChunk(NamedTuple):
    """Some rows of a users file.

    Attributes:
        users: ids as they stand in the file.
        history: item ids of each user, None for a user without; None where the file has no such
            column.
        age: days since each purchase, likewise; None where they are not read.
    """

    users: list[str]
    history: list[list[str] | None] | None
    age: list[list[float] | None] | None


class UsersFile(NamedTuple):
    """An opened users file.

    Attributes:
        chunks: its rows, read as they are asked for.
        total: number of rows, or None where the file does not tell.
        has_history: whether histories are read from it.
    """

    chunks: Iterator[UsersChunk]
    total: int | None
    has_history: bool


class HistoryRows(NamedTuple):
    """Consecutive rows of a table of histories, cut where the series changes.

    Attributes:
        series: ids of the runs of rows, R of them.
        indptr: run r has the rows `indptr[r]:indptr[r + 1]`, int64 (R + 1,).
        number: of each row in the file, for errors, int64 (N,).
        time: local wall-clock seconds, counted as if UTC, int64 (N,).
        instant: seconds since 1970 in UTC where the file tells, else as `time`, int64 (N,).
        y: NaN where missing, float64 (N,).
        covariates: NaN where unknown, float32 (N, F).
    """

    series: list[str]
    indptr: NDArray[np.int64]
    number: NDArray[np.int64]
    time: NDArray[np.int64]
    instant: NDArray[np.int64]
    y: NDArray[np.float64]
    covariates: NDArray[np.float32]


class HistoryFile(NamedTuple):
    """An opened file of histories.

    Attributes:
        chunks: its rows, read as they are asked for.
        total: number of rows, or None where the file does not tell.
        unit: "line" or "row": what the numbers of rows count.
    """

    chunks: Iterator[HistoryRows]
    total: int | None
    unit: str


class Recommendations(NamedTuple):
    """Rows of recommendations, as columns of equal length.

    Attributes:
        users: user ids, object.
        ranks: 1 for the best item of a user, int32.
        items: item ids, object.
        scores: float32.
    """

    users: NDArray[np.object_]
    ranks: NDArray[np.int32]
    items: NDArray[np.object_]
    scores: NDArray[np.float32]


RECOMMENDATION_COLUMNS: dict[str, ColumnKind] = {
    "user_id": "string",
    "rank": "int32",
    "item_id": "string",
    "score": "float32",
}


class TableWriter(Protocol):
    """A table that is being written."""

    def write(self, columns: Sequence[NDArray[Any]]) -> None:
        """Appends rows, given as columns of equal length in the declared order."""
        ...


def check_columns(path: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    """Refuses a file without the columns it is read for.

    Raises:
        DataError: naming the columns that are there.
    """
    for name in needed:
        if name not in columns:
            raise DataError(
                f"{path} has no column {name!r} (it has {', '.join(columns) or 'none'})"
            )


def check_history_columns(path: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    """Refuses a file of histories that lacks a column, or has one twice.

    Raises:
        DataError: naming it.
    """
    check_columns(path, columns, needed)
    for name in needed:
        if list(columns).count(name) > 1:
            raise DataError(f"{path} has the column {name!r} twice: rename one")


def users_columns(
    path: Path, columns: Sequence[str], read_history: bool, read_age: bool
) -> list[str]:
    """Which of the columns of a users file are read: user_id, history, history_age.

    Args:
        path: for errors.
        columns: of the file.
        read_history, read_age: whether the bundle asks for them.

    Raises:
        DataError: there is no user_id, or a history without the days since its purchases where
            those are asked for.
    """
    check_columns(path, columns, [USER_COLUMN])
    if not read_history or HISTORY_COLUMN not in columns:
        return [USER_COLUMN]
    if not read_age:
        return [USER_COLUMN, HISTORY_COLUMN]
    if AGE_COLUMN not in columns:
        raise DataError(
            f"{path} has a column {HISTORY_COLUMN!r} and no column {AGE_COLUMN!r}, which this"
            " bundle needs: the days since each purchase, as a list beside the list of items"
        )
    return [USER_COLUMN, HISTORY_COLUMN, AGE_COLUMN]


def check_ages(place: str, history: list[str] | None, age: list[float] | None) -> None:
    """Refuses days that do not belong to purchases.

    Args:
        place: line or row of a file, for the error.
        history: item ids of a user.
        age: days since each.

    Raises:
        DataError: they are not as many, or one is below 0 or no finite number.
    """
    items, days = history or [], age or []
    if len(days) != len(items):
        raise DataError(
            f"{place}: {AGE_COLUMN} holds {len(days)} numbers for {len(items)} items of"
            f" {HISTORY_COLUMN}"
        )
    for day in days:
        # written so that NaN fails
        if not 0 <= day < math.inf:
            raise DataError(f"{place}: {AGE_COLUMN} holds {day}: days since are 0 or more")
