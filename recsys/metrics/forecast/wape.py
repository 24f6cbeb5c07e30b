"""WAPE."""

from torch import Tensor

from recsys.metrics.forecast.sums import Errors, ratio
from recsys.metrics.registry import metric


@metric(
    "wape",
    family="forecast",
    title="WAPE",
    direction="min",
    meaning="Sum of absolute errors over sum of sales: 0.25 is wrong by a quarter of them.",
    order=10,
)
def wape(sums: Errors) -> Tensor:
    """Sum of |e| / sum of |y|; NaN without sales.

    Source: Kolassa and Schütz, Advantages of the MAD/Mean Ratio over the MAPE, Foresight 2007.
    """
    return ratio(sums.absolute, sums.sales)
