"""Columns whose cells are lists of different lengths, kept as one flat array and offsets.

Axes: B rows, N values of all rows, W values in the longest row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ListColumn:
    """Row b is `values[offsets[b]:offsets[b + 1]]`.

    Attributes:
        values: strings, object (N,), or numbers, float32 (N,).
        offsets: int64 (B + 1,).
    """

    values: NDArray[Any]
    offsets: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Values in each row, int64 (B,)."""
        return np.diff(self.offsets)

    def block(self, start: int, stop: int) -> "ListColumn":
        """Rows `start` to `stop`."""
        offsets = self.offsets[start : stop + 1]
        return ListColumn(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])

    def padded(self) -> NDArray[Any]:
        """The rows as one array (B, W), padded on the left with "" or 0."""
        return left_padded(self.values, self.lengths, "" if self.values.dtype == object else 0)


class ListSource(Protocol):
    """A list column of which one block of rows at a time is in memory."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Values in each row, int64 (B,)."""
        ...

    def block(self, start: int, stop: int) -> ListColumn:
        """Rows `start` to `stop`."""
        ...


@dataclass(frozen=True)
class SelectedRows:
    """Some rows of a list column.

    Attributes:
        source: of all rows.
        rows: ascending, int64 (B,).
    """

    source: ListSource
    rows: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Values in each row, int64 (B,)."""
        return self.source.lengths[self.rows]

    def block(self, start: int, stop: int) -> ListColumn:
        """Rows `start` to `stop`."""
        rows = self.rows[start:stop]
        if not len(rows):
            return self.source.block(0, 0)
        span = self.source.block(int(rows[0]), int(rows[-1]) + 1)
        rows = rows - rows[0]
        lengths = span.lengths[rows]
        values = span.values[positions(span.offsets[rows], lengths)]
        return ListColumn(values, to_offsets(lengths))


def left_padded(values: NDArray[Any], lengths: NDArray[np.int64], fill: object) -> NDArray[Any]:
    """Rows of different lengths as one array that ends with the last value of each row.

    Args:
        values: rows one after the other (N, …).
        lengths: values of each row (B,).
        fill: what stands before the first value of a row.

    Returns:
        (B, W, …).
    """
    width = int(lengths.max(initial=0))
    array = np.full((len(lengths), width, *values.shape[1:]), fill, dtype=values.dtype)
    array[np.arange(width) >= width - lengths[:, None]] = values
    return array


def concatenated(parts: Sequence[ListColumn]) -> ListColumn:
    """Rows with the values of the first part, then of the second, and so on; one part or more."""
    lengths = np.sum([part.lengths for part in parts], axis=0)  # (B,)
    offsets = to_offsets(lengths)
    values = np.empty(offsets[-1], dtype=parts[0].values.dtype)
    starts = offsets[:-1].copy()
    for part in parts:
        values[positions(starts, part.lengths)] = part.values
        starts += part.lengths
    return ListColumn(values, offsets)


def to_offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where rows of these lengths start and end: (B,) -> (B + 1,)."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def positions(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row `lengths[b]` consecutive numbers from `starts[b]`, concatenated (N,)."""
    offsets = to_offsets(lengths)
    return np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
