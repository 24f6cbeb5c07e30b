"""MASE."""

from torch import Tensor

from recsys.metrics.forecast.mae import mae
from recsys.metrics.forecast.scale import Scale
from recsys.metrics.forecast.sums import Errors, ratio
from recsys.metrics.registry import metric


@metric(
    "mase",
    family="scaled",
    title="MASE",
    direction="min",
    meaning=(
        "Absolute error in units of what repeating the last season was wrong by in the history, "
        "every series alike; below 1 is better than that."
    ),
    order=20,
)
def mase(sums: Errors, scale: Scale) -> Tensor:
    """Mean of |e| / what the seasonal naive forecast errs inside the history (`seasonal_scale`).

    Source: Hyndman and Koehler, Another Look at Measures of Forecast Accuracy, IJF 2006.
    """
    return ratio(mae(sums), scale.absolute)
