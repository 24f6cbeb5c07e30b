"""Who bought alike, what was bought alike. Axes: R rows that are compared, K neighbours of each."""

from typing import NamedTuple

import torch
from scipy.sparse import csr_array
from torch import Tensor

# Pairs of rows compared at once; about 24 bytes each while the nearest are taken.
_PAIRS = 2**24


class Neighbours(NamedTuple):
    """The nearest other rows of every row, ties to the lower row.

    Attributes:
        row: int64 (R, K), ascending; any where fewer than K have something in common.
        similarity: float32 (R, K); 0 there.
    """

    row: Tensor
    similarity: Tensor


def cosine_neighbours(rows: csr_array, k: int, shrinkage: float) -> Neighbours:
    """The k rows with the highest a·b / (‖a‖ ‖b‖ + shrinkage), a row itself left out.

    Source: Ferrari Dacrema et al., A Troubling Analysis of Reproducibility and Progress in
    Recommender Systems Research, TOIS 2021.

    Args:
        rows: 0 or 1, (R, …).
        k: K, below R.
        shrinkage: takes weight from similarities that rest on few common entries.
    """
    number = rows.shape[0]
    norm = torch.from_numpy(rows.sum(axis=1)).sqrt()  # (R,)
    columns = rows.T.tocsr()
    found = []
    for block in torch.split(torch.arange(number), max(1, _PAIRS // number)):
        common = torch.from_numpy((rows[block.numpy()] @ columns).toarray())  # (B, R)
        common[torch.arange(len(block)), block] = 0
        similarity = common / (norm[block].unsqueeze(1) * norm + shrinkage).clamp(min=1e-9)
        nearest = _nearest(similarity, k)
        found.append(Neighbours(nearest, similarity.gather(1, nearest)))
    return Neighbours(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def nearest_rows(rows: csr_array, others: csr_array, k: int) -> Neighbours:
    """The k of the other rows with the highest dot product with every row, ties to the lower one.

    Args:
        rows, others: float32, sparse, (R, …) and (S, …), nothing below 0.
        k: K, up to S.

    Returns:
        Places in `others` and dot products, (R, K) each.
    """
    columns, found = others.T.tocsr(), []
    for block in torch.split(torch.arange(rows.shape[0]), max(1, _PAIRS // others.shape[0])):
        products = torch.from_numpy((rows[block.numpy()] @ columns).toarray())  # (B, S)
        nearest = _nearest(products, k)
        found.append(Neighbours(nearest, products.gather(1, nearest)))
    return Neighbours(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _nearest(similarity: Tensor, k: int) -> Tensor:
    """Columns of the k highest similarities (B, R), ascending (B, K).

    `torch.topk` breaks ties arbitrarily, so rows with a tie at the border, unless it is at nothing
    in common, are taken again by (similarity, column) in one integer.
    """
    values, nearest = similarity.topk(k)
    border = values[:, -1:]
    tied = ((similarity >= border).sum(dim=1) > k) & (border.squeeze(1) > 0)
    # the bits of floats that are not negative ascend as the floats do
    bits = similarity[tied].view(torch.int32).long()
    last_first = torch.arange(similarity.shape[1] - 1, -1, -1)
    nearest[tied] = (bits * (1 << 32) + last_first).topk(k).indices
    return nearest.sort(dim=1).values
