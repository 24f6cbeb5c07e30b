"""MAE."""

from torch import Tensor

from recsys.metrics.forecast.sums import Errors, ratio
from recsys.metrics.registry import metric


@metric(
    "mae",
    family="forecast",
    title="MAE",
    direction="min",
    meaning="Mean absolute error, in units of what is forecast.",
    order=60,
)
def mae(sums: Errors) -> Tensor:
    """Mean of |e|, in units of y."""
    return ratio(sums.absolute, sums.steps)
