"""RMSSE."""

from torch import Tensor

from recsys.metrics.forecast.scale import Scale
from recsys.metrics.forecast.sums import Errors, ratio
from recsys.metrics.registry import metric


@metric(
    "weighted_rmsse",
    family="weighted",
    title="Weighted RMSSE",
    direction="min",
    meaning="RMSSE, each series weighted by its recent sales.",
    order=45,
)
@metric(
    "rmsse",
    family="scaled",
    title="RMSSE",
    direction="min",
    meaning="As MASE, from squared errors: a few large misses weigh more.",
    order=40,
)
def rmsse(sums: Errors, scale: Scale) -> Tensor:
    """Root of: mean of e² / mean squared error of the seasonal naive forecast inside the history.

    Source: Makridakis, Spiliotis and Assimakopoulos, M5 Accuracy Competition, IJF 2022, with a
    season in place of one step.
    """
    return ratio(ratio(sums.squared, sums.steps), scale.squared).sqrt()
