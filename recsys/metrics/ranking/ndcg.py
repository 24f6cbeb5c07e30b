"""NDCG."""

import torch
from torch import Tensor

from recsys.metrics.ranking.truth import undefined_without_truth
from recsys.metrics.registry import metric


@metric(
    "ndcg",
    family="ranking",
    title="NDCG",
    direction="max",
    meaning="How many hits, and how far up in the list; 1 is a perfect list.",
    order=10,
)
def ndcg(hits: Tensor, num_truth: Tensor, k: int) -> Tensor:
    """Discounted gain over the gain of the best list of length k: min(|truth|, k) hits in front.
    (B, K), (B,) -> float64 (B,).

    Source: Järvelin and Kekäläinen, Cumulated Gain-Based Evaluation of IR Techniques, TOIS 2002,
    with gain 1 and log2(rank + 1).
    """
    discount = 1.0 / torch.arange(2, k + 2, device=hits.device, dtype=torch.float64).log2()
    gain = (hits[:, :k].double() * discount[: hits.shape[1]]).sum(dim=1)
    best = discount.cumsum(0)[num_truth.clamp(min=1, max=k) - 1]
    return undefined_without_truth(gain / best, num_truth)
