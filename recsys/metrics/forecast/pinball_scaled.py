"""Scaled pinball loss."""

from torch import Tensor

from recsys.metrics.forecast.sums import Errors, ratio
from recsys.metrics.registry import metric


@metric(
    "pinball_scaled",
    family="forecast",
    title="Scaled pinball loss",
    direction="min",
    meaning="Twice the quantile loss over sum of sales: WAPE, if all quantiles were the median.",
    order=90,
)
def pinball_scaled(sums: Errors) -> Tensor:
    """Twice the quantile loss / sum of |y|, its mean over quantiles: WAPE, if all were the median;
    NaN without sales.

    Source: Park et al., Learning Quantile Functions without Quantile Crossing, AISTATS 2022 (mean
    weighted quantile loss).
    """
    return ratio(2 * sums.pinball, sums.sales)
