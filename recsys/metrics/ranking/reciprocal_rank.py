"""MRR."""

import torch
from torch import Tensor

from recsys.metrics.ranking.truth import undefined_without_truth
from recsys.metrics.registry import metric


@metric(
    "mrr",
    family="ranking",
    title="MRR",
    direction="max",
    meaning="One over the place of the first hit: 1 first, 0.5 second, 0 if none.",
    order=60,
)
def reciprocal_rank(hits: Tensor, num_truth: Tensor, k: int) -> Tensor:
    """1 / rank of the first hit among the first k, 0 without one. bool (B, K), int (B,) -> float64
    (B,).

    Source: Voorhees, The TREC-8 Question Answering Track Report, 1999.
    """
    first = hits[:, :k].double()
    before = first.cumsum(dim=1) - first
    rank = torch.arange(1, first.shape[1] + 1, device=hits.device, dtype=torch.float64)
    return undefined_without_truth((first * (before == 0) / rank).sum(dim=1), num_truth)
