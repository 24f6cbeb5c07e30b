"""Novelty of recommendation lists."""

from recsys.metrics.ranking.exposure import Exposure
from recsys.metrics.registry import metric


@metric(
    "novelty",
    family="catalogue",
    title="Novelty",
    direction=None,
    meaning="Mean surprise of a recommendation, in bits: high where few customers bought the item.",
    order=30,
)
def novelty(exposure: Exposure) -> float:
    """Mean surprise of a recommendation in bits, -log2(buyers / users); an item nobody bought
    counts as bought by one.

    Source: Zhou et al., Solving the Apparent Diversity-Accuracy Dilemma of Recommender Systems,
    PNAS 2010.
    """
    bits = -(exposure.buyers.double().clamp(min=1) / exposure.num_users).log2()
    return float((bits * exposure.lists).sum() / exposure.lists.sum())
