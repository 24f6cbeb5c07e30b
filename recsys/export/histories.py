"""What users bought, as the flat arrays that the exporter is given.

Axes: U users, N purchases of all users, B users asked about, L longest history among them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Histories(NamedTuple):
    """User u bought `items[indptr[u]:indptr[u + 1]]`, in the order of time, repeats included.

    Attributes:
        indptr: int64 (U + 1,).
        items: item indices (N,).
    """

    indptr: NDArray[np.int64]
    items: NDArray[np.int64]

    def padded(self, users: NDArray[np.int64], pad: int) -> NDArray[np.int64]:
        """Histories of users (B,) as a table (B, L), L at least 1, `pad` before what is short."""
        starts = self.indptr[users]
        lengths = self.indptr[users + 1] - starts  # (B,)
        width = max(1, int(lengths.max(initial=0)))
        table = np.full((len(users), width), pad, dtype=np.int64)
        offset = np.arange(width) - (width - lengths[:, None])  # (B, L), below 0 in the padding
        table[offset >= 0] = self.items[(starts[:, None] + offset)[offset >= 0]]
        return table
