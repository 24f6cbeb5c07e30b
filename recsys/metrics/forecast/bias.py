"""Bias."""

from torch import Tensor

from recsys.metrics.forecast.sums import Errors, ratio
from recsys.metrics.registry import metric


@metric(
    "bias",
    family="forecast",
    title="Bias",
    direction=None,
    meaning="Sum of errors over sum of sales: above 0 forecasts are too high, below 0 too low.",
    order=50,
)
def bias(sums: Errors) -> Tensor:
    """Sum of e / sum of |y|: above 0 where too much is forecast; NaN without sales."""
    return ratio(sums.signed, sums.sales)
