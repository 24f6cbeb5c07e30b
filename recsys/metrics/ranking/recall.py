"""Recall."""

from torch import Tensor

from recsys.metrics.ranking.truth import undefined_without_truth
from recsys.metrics.registry import metric


@metric(
    "recall",
    family="ranking",
    title="Recall",
    direction="max",
    meaning="Share of what the customer bought that the list contained.",
    order=20,
)
def recall(hits: Tensor, num_truth: Tensor, k: int) -> Tensor:
    """Hits among the first k / |truth|. bool (B, K), int (B,) -> float64 (B,).

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, section 8.3.
    """
    return undefined_without_truth(
        hits[:, :k].sum(dim=1).double() / num_truth.clamp(min=1), num_truth
    )
