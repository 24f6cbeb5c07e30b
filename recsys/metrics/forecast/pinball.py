"""Pinball loss."""

from torch import Tensor

from recsys.metrics.forecast.sums import Errors, ratio
from recsys.metrics.registry import metric


@metric(
    "pinball",
    family="forecast",
    title="Pinball loss",
    direction="min",
    meaning="Quantile loss, mean over quantiles and steps, in units of what is forecast.",
    order=80,
)
def pinball(sums: Errors) -> Tensor:
    """Mean of the quantile loss over quantiles and steps, in units of y.

    Source: Koenker and Bassett, Regression Quantiles, Econometrica 1978.
    """
    return ratio(sums.pinball, sums.steps)
