"""Coverage."""

from torch import Tensor

from recsys.metrics.forecast.sums import Errors, ratio
from recsys.metrics.registry import metric


@metric(
    "coverage",
    family="interval",
    title="Coverage",
    direction=None,
    meaning="Share of the sales inside the interval.",
    order=100,
)
def coverage(sums: Errors) -> Tensor:
    """Share of steps inside each interval, ends included, (…, I)."""
    return ratio(sums.inside, sums.steps.unsqueeze(-1))
