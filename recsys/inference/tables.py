"""What a batch reads and writes, whatever the kind of file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.errors import DataError

USER_COLUMN = "user_id"
HISTORY_COLUMN = "history"
OUTPUT_COLUMNS = ("user_id", "rank", "item_id", "score")


class UsersChunk(NamedTuple):
    """Some rows of a users file.

    Attributes:
        users: ids as they stand in the file.
        history: item ids of each user, None for a user without; None where the file has no such
            column.
    """

    users: list[str]
    history: list[list[str] | None] | None


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


class RecommendationsWriter(Protocol):
    """A file of recommendations that is being written."""

    def write(self, rows: Recommendations) -> None:
        """Appends rows."""
        ...


def check_columns(path: Path, columns: Sequence[str]) -> None:
    """Refuses a users file without users.

    Raises:
        DataError: naming the columns that are there.
    """
    if USER_COLUMN not in columns:
        raise DataError(
            f"{path} has no column {USER_COLUMN!r} (it has {', '.join(columns) or 'none'})"
        )
