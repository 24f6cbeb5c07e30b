"""What users bought, as the flat arrays that the exporter is given.

Axes: U users, N purchases of all users, B users of a query, L longest history among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recsys.data.ragged import Ragged


@dataclass(frozen=True)
class Histories:
    """User u bought `items[indptr[u]:indptr[u + 1]]`, in the order of time, repeats included.

    Attributes:
        indptr: int64 (U + 1,).
        items: item indices (N,).
        numbers: float32 (N,) of each purchase, by name of the model's input.
    """

    indptr: NDArray[np.int64]
    items: NDArray[np.int64]
    numbers: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def padded(self, users: NDArray[np.int64], values: NDArray[Any], pad: float) -> NDArray[Any]:
        """`items` or numbers of users (B,) as a table (B, L), L at least 1, padded on the right."""
        flat = torch.from_numpy(values.copy())
        rows = Ragged(torch.from_numpy(self.indptr), flat)
        table = rows.padded(torch.from_numpy(users), pad).numpy()
        return table if table.shape[1] else np.full((len(users), 1), pad, dtype=values.dtype)
