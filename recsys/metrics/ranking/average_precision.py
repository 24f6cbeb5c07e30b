"""MAP."""

import torch
from torch import Tensor

from recsys.metrics.ranking.truth import undefined_without_truth
from recsys.metrics.registry import metric


@metric(
    "map",
    family="ranking",
    title="MAP",
    direction="max",
    meaning="Precision at the place of every hit, averaged: rewards early hits.",
    order=50,
)
def average_precision(hits: Tensor, num_truth: Tensor, k: int) -> Tensor:
    """Mean over min(|truth|, k) of the precision at the rank of each hit. bool (B, K), int (B,) ->
    float64 (B,).

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, section 8.4, cut
    at k.
    """
    first = hits[:, :k].double()
    rank = torch.arange(1, first.shape[1] + 1, device=hits.device, dtype=torch.float64)
    total = (first * first.cumsum(dim=1) / rank).sum(dim=1)
    return undefined_without_truth(total / num_truth.clamp(min=1, max=k), num_truth)
