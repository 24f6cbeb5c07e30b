"""Rows of strings or numbers of unequal length, kept flat: blocks are padded without a loop over
rows.

Axes: B rows, N values in all rows together, W width of the longest row of a block.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ragged:
    """Row b is `values[indptr[b]:indptr[b + 1]]`.

    Attributes:
        values: strings, object (N,), or numbers, float32 (N,).
        indptr: where rows start and end, int64 (B + 1,).
    """

    values: NDArray[Any]
    indptr: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Values in each row, int64 (B,)."""
        return np.diff(self.indptr)

    def block(self, start: int, stop: int) -> "Ragged":
        """Rows `start` to `stop`."""
        indptr = self.indptr[start : stop + 1]
        return Ragged(self.values[indptr[0] : indptr[-1]], indptr - indptr[0])

    def padded(self) -> NDArray[Any]:
        """The rows as one table (B, W), "" or 0 before what is short: the last stays the last."""
        lengths = self.lengths
        width = int(lengths.max(initial=0))
        fill = "" if self.values.dtype == object else 0
        table = np.full((len(lengths), width), fill, dtype=self.values.dtype)
        table[np.arange(width) >= width - lengths[:, None]] = self.values
        return table


class RaggedSource(Protocol):
    """Rows of unequal length, made a block at a time: no table holds a million users."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Values in each row, int64 (B,)."""
        ...

    def block(self, start: int, stop: int) -> Ragged:
        """Rows `start` to `stop`."""
        ...


def join(parts: Sequence[Ragged]) -> Ragged:
    """Rows with the values of the first part, then of the second, and so on; one part or more."""
    lengths = np.sum([part.lengths for part in parts], axis=0)  # (B,)
    indptr = to_indptr(lengths)
    values = np.empty(indptr[-1], dtype=parts[0].values.dtype)
    starts = indptr[:-1].copy()
    for part in parts:
        values[positions(starts, part.lengths)] = part.values
        starts += part.lengths
    return Ragged(values, indptr)


def to_indptr(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row lengths (B,) -> where rows start and end (B + 1,)."""
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])


def positions(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The runs starts[b], starts[b] + 1, … of `lengths[b]` numbers one after the other, (N,)."""
    indptr = to_indptr(lengths)
    return np.repeat(starts - indptr[:-1], lengths) + np.arange(indptr[-1])


def as_list(values: Iterable[Any], what: str) -> list[Any]:
    """A list of what a caller gave: list, tuple, numpy array, pandas or Arrow column.

    Raises:
        TypeError: for a single string, whose letters would else be taken for ids, and for what is
            no sequence.
    """
    if isinstance(values, str | bytes):
        raise TypeError(f"{what} is the single string {values!r}: give a list, [{values!r}]")
    if hasattr(values, "tolist"):
        values = values.tolist()
    try:
        return list(values)
    except TypeError:
        raise TypeError(f"{what} is of type {type(values).__name__}: give a list") from None


def as_strings(values: Iterable[Any], what: str) -> list[str]:
    """A list of ids, all of them strings.

    Raises:
        TypeError: for an id of another type: 7 and "007" must not be guessed to be the same.
    """
    found = as_list(values, what)
    for kind in set(map(type, found)):
        if not issubclass(kind, str):
            raise TypeError(f"{what} holds a {kind.__name__}: ids are strings, such as '007'")
    return found


def as_ragged(rows: Sequence[Iterable[str] | None], what: str) -> Ragged:
    """Lists of ids, one a row; None is an empty row.

    Raises:
        TypeError: for a row that is a single string, and for ids that are no strings.
    """
    lists = [[] if row is None else as_list(row, f"a row of {what}") for row in rows]
    flat = as_strings(chain.from_iterable(lists), what)
    values = np.empty(len(flat), dtype=object)
    values[:] = flat
    return Ragged(values, to_indptr(np.fromiter(map(len, lists), np.int64, len(lists))))


def as_days(rows: Sequence[Iterable[float] | None], items: Ragged) -> Ragged:
    """Lists of days since each of the items; None is an empty row.

    Args:
        rows: as many as `items` has.
        items: what the days belong to.

    Raises:
        TypeError: for what is no list of numbers.
        ValueError: for a list of another length than its items, and for a day that is below 0 or no
            finite number.
    """
    lists = [[] if row is None else as_list(row, "a row of history_age") for row in rows]
    lengths = np.fromiter(map(len, lists), np.int64, len(lists))
    if (wrong := np.flatnonzero(lengths != items.lengths)).size:
        row = wrong[0]
        raise ValueError(
            f"row {row} of history_age holds {lengths[row]} numbers for {items.lengths[row]} items"
            " of history: give the days since each purchase"
        )
    flat = list(chain.from_iterable(lists))
    try:
        days = np.array(flat, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise TypeError(f"history_age holds something else than numbers: {error}") from None
    # written so that NaN is found
    if (odd := np.flatnonzero(~((days >= 0) & (days < np.inf)))).size:
        row = np.searchsorted(items.indptr, odd[0], side="right") - 1
        raise ValueError(
            f"row {row} of history_age holds {flat[odd[0]]}: days since a purchase are 0 or more"
        )
    return Ragged(days, items.indptr)
