"""What users bought, as the flat arrays that the exporter is given.

Axes: U users, N purchases of all users, B users asked about, L longest history among them.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Histories(NamedTuple):
    """User u bought `items[indptr[u]:indptr[u + 1]]`, in the order of time, repeats included.

    Attributes:
        indptr: int64 (U + 1,).
        items: item indices (N,).
        age: days since each purchase, float32 (N,), or None where there is no time.
    """

    indptr: NDArray[np.int64]
    items: NDArray[np.int64]
    age: NDArray[np.float32] | None = None

    def padded(self, users: NDArray[np.int64], pad: int) -> NDArray[np.int64]:
        """Histories of users (B,) as a table (B, L), L at least 1, `pad` before what is short."""
        return self._table(users, self.items, pad)

    def padded_age(self, users: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """The ages of `padded` (B, L), 0 before what is short; None where there is no time."""
        return None if self.age is None else self._table(users, self.age, 0)

    def _table(self, users: NDArray[np.int64], values: NDArray[Any], pad: int) -> NDArray[Any]:
        starts = self.indptr[users]
        lengths = self.indptr[users + 1] - starts  # (B,)
        width = max(1, int(lengths.max(initial=0)))
        table = np.full((len(users), width), pad, dtype=values.dtype)
        offset = np.arange(width) - (width - lengths[:, None])  # (B, L), below 0 in the padding
        table[offset >= 0] = values[(starts[:, None] + offset)[offset >= 0]]
        return table
