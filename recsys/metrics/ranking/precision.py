"""Precision."""

from torch import Tensor

from recsys.metrics.ranking.truth import undefined_without_truth
from recsys.metrics.registry import metric


@metric(
    "precision",
    family="ranking",
    title="Precision",
    direction="max",
    meaning="Share of the recommendations that were bought.",
    order=40,
)
def precision(hits: Tensor, num_truth: Tensor, k: int) -> Tensor:
    """Hits among the first k / k, also where the truth is smaller than k. bool (B, K), int (B,) ->
    float64 (B,).

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, section 8.3.
    """
    return undefined_without_truth(hits[:, :k].sum(dim=1).double() / k, num_truth)
