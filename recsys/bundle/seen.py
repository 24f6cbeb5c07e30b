"""What each user has bought (seen.npz), looked up for many users at once.

Axes: U users in the file, I items, N purchases of all users, B users asked about.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.bundle.ragged import Ragged, positions, to_indptr
from recsys.errors import BundleError

SEEN = "seen.npz"


class Seen:
    """Purchases in the order of time, repeats included, by user id."""

    def __init__(self, path: Path) -> None:
        """Loads seen.npz as `write_seen` wrote it.

        Raises:
            BundleError: if the file is of another form.
        """
        self._path = path
        try:
            with np.load(path, allow_pickle=False) as arrays:
                self._user_ids = arrays["user_ids"]  # (U,), sorted
                self._indptr = arrays["indptr"].astype(np.int64)  # (U + 1,)
                self._items = arrays["items"]  # (N,)
                self._item_ids = arrays["item_ids"].astype(object)  # (I,)
                self._age = arrays.get("age")  # (N,), or None
        except (ValueError, KeyError) as error:
            raise BundleError(f"{path} is not of the form of a {SEEN}: {error}") from error

    def of(self, users: list[str]) -> "SeenRows":
        """Rows of these users, B of them; a user who is not in the file gets an empty row."""
        if not len(self._user_ids) or not users:
            return SeenRows(self, np.full(len(users), -1, dtype=np.int64))
        # One character more than stored ids have tells them apart, however long an id is.
        asked = np.array(users, dtype=f"U{self._user_ids.dtype.itemsize // 4 + 1}")  # (B,)
        # Searched in the stored width, else numpy widens all of the stored ids each time.
        rows = np.searchsorted(self._user_ids, asked.astype(self._user_ids.dtype))
        rows = np.minimum(rows, len(self._user_ids) - 1)
        return SeenRows(self, np.where(self._user_ids[rows] == asked, rows, -1))

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Purchases in each row, (B,); 0 for row -1."""
        return np.where(rows >= 0, self._indptr[rows + 1] - self._indptr[rows], 0)

    def take(self, rows: NDArray[np.int64]) -> Ragged:
        """Item ids of these rows, B of them; row -1 is empty."""
        lengths = self.lengths(rows)
        items = self._items[positions(self._indptr[rows], lengths)]
        return Ragged(self._item_ids[items], to_indptr(lengths))

    def take_ages(self, rows: NDArray[np.int64]) -> Ragged:
        """Days from each purchase of these rows to the end of the training data; row -1 is empty.

        Raises:
            BundleError: the file does not tell.
        """
        if self._age is None:
            raise BundleError(f"{self._path} does not tell the age of purchases: export it again")
        lengths = self.lengths(rows)
        ages = self._age[positions(self._indptr[rows], lengths)]
        return Ragged(ages.astype(np.float32), to_indptr(lengths))


@dataclass(frozen=True)
class SeenRows:
    """What some users have bought, read a block at a time.

    Attributes:
        seen: where it stands.
        rows: row of each user in there, -1 for nothing, int64 (B,).
        ages: whether to read how old the purchases are, instead of what was bought.
    """

    seen: Seen
    rows: NDArray[np.int64]
    ages: bool = False

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Purchases of each user, int64 (B,)."""
        return self.seen.lengths(self.rows)

    def block(self, start: int, stop: int) -> Ragged:
        """Purchases of users `start` to `stop`."""
        take = self.seen.take_ages if self.ages else self.seen.take
        return take(self.rows[start:stop])

    def only_where(self, wanted: NDArray[np.bool_]) -> "SeenRows":
        """The same with empty rows for the users who are not wanted, (B,)."""
        return replace(self, rows=np.where(wanted, self.rows, -1))


def write_seen(
    path: Path,
    user_ids: NDArray[np.str_],
    item_ids: NDArray[np.str_],
    indptr: NDArray[np.int64],
    items: NDArray[np.int64],
    age: NDArray[np.float32] | None = None,
) -> None:
    """Writes what each user bought, sorted by user id and in the smallest integers that hold it.

    Args:
        path: file to write.
        user_ids: ids in any order (U,).
        item_ids: ids (I,).
        indptr: user u bought `items[indptr[u]:indptr[u + 1]]`, (U + 1,).
        items: item indices in the order of time (N,).
        age: days since each purchase (N,), or None.
    """
    order = np.argsort(user_ids)
    lengths = np.diff(indptr)[order]
    place = positions(indptr[:-1][order], lengths)  # (N,)
    sorted_indptr = to_indptr(lengths)
    np.savez_compressed(
        path,
        user_ids=user_ids[order],
        item_ids=item_ids,
        indptr=sorted_indptr.astype(np.min_scalar_type(int(sorted_indptr[-1]))),
        items=items[place].astype(np.min_scalar_type(max(len(item_ids) - 1, 0))),
        **({} if age is None else {"age": age[place]}),  # type: ignore[arg-type]
    )
