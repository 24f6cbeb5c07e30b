"""Hit rate."""

from torch import Tensor

from recsys.metrics.ranking.truth import undefined_without_truth
from recsys.metrics.registry import metric


@metric(
    "hit_rate",
    family="ranking",
    title="Hit rate",
    direction="max",
    meaning="Share of customers with at least one hit.",
    order=30,
)
def hit_rate(hits: Tensor, num_truth: Tensor, k: int) -> Tensor:
    """1 where at least one of the first k is a hit. bool (B, K), int (B,) -> float64 (B,).

    Source: Deshpande and Karypis, Item-Based Top-N Recommendation Algorithms, TOIS 2004.
    """
    return undefined_without_truth(hits[:, :k].any(dim=1).double(), num_truth)
