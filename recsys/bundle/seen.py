"""The purchases of each user in a bundle (seen.npz), looked up for many users at once.

Axes: U users in the file, I items, N purchases of all users, B users of a query.
"""

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.bundle.list_columns import ListColumn, positions, to_offsets
from recsys.errors import BundleError

SEEN = "seen.npz"
# Array of the file that holds a value of each purchase, by the source of the graph's input.
_ARRAYS = {"history": "items", "history.age": "age", "history.quantity": "weight"}


class Seen:
    """Purchases by user id, in the order of time, repeats included."""

    def __init__(self, content: bytes, path: Path) -> None:
        """Loads seen.npz as `write_seen` wrote it.

        Args:
            content: of the file.
            path: what errors call it.

        Raises:
            BundleError: the file lacks an array, or is damaged.
        """
        self._path = path
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                self._user_ids = arrays["user_ids"]  # (U,), sorted
                self._offsets = arrays["indptr"].astype(np.int64)  # (U + 1,)
                self._item_ids = arrays["item_ids"].astype(object)  # (I,)
                self._arrays = {
                    name: arrays[name]  # (N,)
                    for name in _ARRAYS.values()
                    if name == "items" or name in arrays
                }
        except (ValueError, KeyError) as error:
            raise BundleError(f"{path} is not a valid {SEEN}: {error}") from error

    def of(self, users: list[str]) -> "SeenRows":
        """Purchases of these users, B of them; none for a user who is not in the file."""
        if not len(self._user_ids) or not users:
            return SeenRows(self, np.full(len(users), -1, dtype=np.int64))
        # One character more than stored ids have tells them apart, however long an id is.
        wanted = np.array(users, dtype=f"U{self._user_ids.dtype.itemsize // 4 + 1}")  # (B,)
        # Searched in the stored width, else numpy widens all of the stored ids each time.
        rows = np.searchsorted(self._user_ids, wanted.astype(self._user_ids.dtype))
        rows = np.minimum(rows, len(self._user_ids) - 1)
        return SeenRows(self, np.where(self._user_ids[rows] == wanted, rows, -1))

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Purchases in each row, (B,); 0 for row -1."""
        return np.where(rows >= 0, self._offsets[rows + 1] - self._offsets[rows], 0)

    def take(self, rows: NDArray[np.int64], source: str) -> ListColumn:
        """A value of each purchase in these rows (B,); row -1 has none.

        Args:
            rows: of the file, int64 (B,).
            source: "history" for item ids, "history.age" for days from the purchase to the end of
                the training data, "history.quantity" for units.

        Raises:
            BundleError: the file does not hold this value.
        """
        name = _ARRAYS.get(source)
        if name not in self._arrays:
            raise BundleError(
                f"{self._path} holds no {source.removeprefix('history.')} of purchases, which the "
                "graph reads: export the bundle again, or give history"
            )
        lengths = self.lengths(rows)
        values = self._arrays[name][positions(self._offsets[rows], lengths)]
        values = self._item_ids[values] if source == "history" else values.astype(np.float32)
        return ListColumn(values, to_offsets(lengths))


@dataclass(frozen=True)
class SeenRows:
    """A value of each purchase of some users, read a block at a time.

    Attributes:
        seen: the file.
        rows: row of each user in it, -1 for no purchases, int64 (B,).
        source: which value, as in `Seen.take`.
    """

    seen: Seen
    rows: NDArray[np.int64]
    source: str = "history"

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Purchases of each user, int64 (B,)."""
        return self.seen.lengths(self.rows)

    def block(self, start: int, stop: int) -> ListColumn:
        """Purchases of users `start` to `stop`."""
        return self.seen.take(self.rows[start:stop], self.source)

    def where(self, mask: NDArray[np.bool_]) -> "SeenRows":
        """The same, without purchases of the users that the mask (B,) leaves out."""
        return replace(self, rows=np.where(mask, self.rows, -1))


def write_seen(
    path: Path,
    user_ids: NDArray[np.str_],
    item_ids: NDArray[np.str_],
    indptr: NDArray[np.int64],
    items: NDArray[np.int64],
    age: NDArray[np.float32] | None = None,
    weight: NDArray[np.float32] | None = None,
) -> None:
    """Writes the purchases of each user, sorted by user id, in the smallest integer types.

    Args:
        path: file to write.
        user_ids: ids in any order (U,).
        item_ids: ids (I,).
        indptr: user u bought `items[indptr[u]:indptr[u + 1]]`, (U + 1,).
        items: item indices in the order of time (N,).
        age: days since each purchase (N,), or None.
        weight: quantity of each purchase (N,), or None.
    """
    order = np.argsort(user_ids)
    lengths = np.diff(indptr)[order]
    place = positions(indptr[:-1][order], lengths)  # (N,)
    offsets = to_offsets(lengths)
    arrays: dict[str, NDArray[Any]] = {
        "user_ids": user_ids[order],
        "item_ids": item_ids,
        "indptr": offsets.astype(np.min_scalar_type(int(offsets[-1]))),
        "items": items[place].astype(np.min_scalar_type(max(len(item_ids) - 1, 0))),
    }
    optional = {"age": age, "weight": weight}
    arrays |= {name: values[place] for name, values in optional.items() if values is not None}
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
