"""Products with sparse matrices that have a gradient. Axes: R rows, C columns, P pairs of them,
B users.
"""

import torch
from torch import Tensor
from torch.nn import functional


def weighted_sums(
    row: Tensor, column: Tensor, weight: Tensor, values: Tensor, num_rows: int
) -> Tensor:
    """Of each row the sum over its pairs of weight × the row of `values` that the column names.

    Args:
        row: of every pair, ascending (P,).
        column, weight: of every pair, (P,) each.
        values: (C, B).
        num_rows: R.

    Returns:
        (R, B). No graph has it: exported code sums with `scatter_add`.
    """
    starts = torch.searchsorted(row, torch.arange(num_rows, device=row.device))
    return functional.embedding_bag(
        column, values.contiguous(), starts, per_sample_weights=weight, mode="sum"
    )
