"""RMSE."""

from torch import Tensor

from recsys.metrics.forecast.sums import Errors, ratio
from recsys.metrics.registry import metric


@metric(
    "rmse",
    family="forecast",
    title="RMSE",
    direction="min",
    meaning="Root of the mean squared error: a few large misses weigh more.",
    order=70,
)
def rmse(sums: Errors) -> Tensor:
    """Root of the mean of e², in units of y."""
    return ratio(sums.squared, sums.steps).sqrt()
