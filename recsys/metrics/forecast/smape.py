"""sMAPE."""

from torch import Tensor

from recsys.metrics.forecast.sums import Errors, ratio
from recsys.metrics.registry import metric


@metric(
    "smape",
    family="series",
    title="sMAPE",
    direction="min",
    meaning="Absolute error over the mean of forecast and sales, in percent; 200 is the worst.",
    order=30,
)
def smape(sums: Errors) -> Tensor:
    """Mean of 200 |e| / (|forecast| + |y|), from 0 to 200; a step where both are 0 counts as 0.

    Source: Makridakis, Spiliotis and Assimakopoulos, The M4 Competition, IJF 2020.
    """
    return ratio(sums.symmetric, sums.steps)
