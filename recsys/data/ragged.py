"""Rows of different length in two flat tensors.

Axes: R rows, N values in all rows together, B rows of a block, P values of a block, L longest row
of a block.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Ragged:
    """Values of row r are `values[indptr[r]:indptr[r + 1]]`.

    Attributes:
        indptr: int64 (R + 1,), starts at 0, never falls.
        values: (N,).
    """

    indptr: Tensor
    values: Tensor

    @classmethod
    def from_sorted(cls, row: np.ndarray, values: np.ndarray, num_rows: int) -> "Ragged":
        """Builds the rows from pairs (row (N,), values (N,)) that are sorted by row."""
        indptr = np.zeros(num_rows + 1, dtype=np.int64)
        np.cumsum(np.bincount(row, minlength=num_rows), out=indptr[1:])
        return cls(torch.from_numpy(indptr), torch.from_numpy(np.array(values, dtype=np.int64)))

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def to(self, device: torch.device | str) -> "Ragged":
        """The same rows on another device."""
        return Ragged(self.indptr.to(device), self.values.to(device))

    def followed_by(self, other: "Ragged") -> "Ragged":
        """These rows, and those of another below them."""
        indptr = torch.cat([self.indptr, other.indptr[1:] + self.indptr[-1]])
        return Ragged(indptr, torch.cat([self.values, other.values]))

    @classmethod
    def empty(cls, num_rows: int) -> "Ragged":
        """Rows without values."""
        none = torch.zeros(num_rows + 1, dtype=torch.int64)
        return cls(none, none[:0])

    def lengths(self) -> Tensor:
        """Number of values of every row, int64 (R,)."""
        return self.indptr.diff()

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Values of `rows` (B,), flat.

        Returns:
            Position in `rows` (P,) and value (P,), in the order of `rows`.
        """
        start = self.indptr[rows]  # (B,)
        length = self.indptr[rows + 1] - start  # (B,)
        row = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), length)  # (P,)
        before = length.cumsum(0) - length  # (B,)
        offset = torch.arange(len(row), device=rows.device) + (start - before)[row]  # (P,)
        return row, self.values[offset]

    def padded(self, rows: Tensor, pad: float) -> Tensor:
        """Values of `rows` (B,) as a rectangle (B, L), filled with `pad` on the right."""
        start = self.indptr[rows]
        length = self.indptr[rows + 1] - start
        width = int(length.max()) if len(rows) else 0
        column = torch.arange(width, device=rows.device)  # (L,)
        if len(self.values) == 0:
            empty = (len(rows), width)
            return torch.full(empty, pad, dtype=self.values.dtype, device=rows.device)
        inside = column < length[:, None]  # (B, L)
        offset = torch.where(inside, start[:, None] + column, 0)
        return torch.where(inside, self.values[offset], pad)

    def mask(self, rows: Tensor, width: int) -> Tensor:
        """True where a value stands in its row: bool (B, width); values are column numbers below
        `width`.
        """
        row, value = self.take(rows)
        mask = torch.zeros(len(rows), width, dtype=torch.bool, device=rows.device)
        mask[row, value] = True
        return mask
