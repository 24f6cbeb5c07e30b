"""Popularity lift of recommendation lists."""

from recsys.metrics.ranking.exposure import Exposure
from recsys.metrics.registry import metric


@metric(
    "popularity_lift",
    family="catalogue",
    title="Popularity lift",
    direction=None,
    meaning="How much more popular recommended items are than those the customers bought before: 0"
    " as popular, 1 twice as popular.",
    order=40,
)
def popularity_lift(exposure: Exposure) -> float:
    """Mean buyers of a recommended item, over the mean, over customers, of the mean buyers of what
    they bought before, less 1; NaN where that is not known.

    Source: Abdollahpouri et al., The Unfairness of Popularity Bias in Recommendation, RecSys
    Workshop on Recommendation in Multistakeholder Environments 2019 (ΔGAP, of all users).
    """
    if not exposure.bought > 0:
        return float("nan")
    shown = exposure.lists.double()
    mean = float((exposure.buyers * shown).sum() / shown.sum())
    return mean / exposure.bought - 1
