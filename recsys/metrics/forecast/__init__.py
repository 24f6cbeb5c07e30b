"""Forecast metrics from sums of errors.

Axes: B forecasts (a series in a window), H steps of the horizon, Q quantiles, I intervals, W
windows, S series, N steps of all series together.

Conventions, the same for all: e = forecast - y in units of y, the forecast being the 0.5 quantile;
a step whose y is NaN is left out; a forecast that is NaN where y is known makes NaN of every metric
it enters. A metric is a ratio of two sums, and over what they run (the steps of a series, the
series of a window, all of it) is what `Errors.sum` or `Errors.by` was asked for; a denominator of
zero (no known step, no sales, a history that repeats itself) gives NaN and leaves every mean.
"""

from torch import Tensor

from recsys.metrics.forecast.scale import Scale, recent_sales, seasonal_scale, segment_sums
from recsys.metrics.forecast.sums import Errors, errors, intervals, mean_over_windows
from recsys.metrics.registry import metrics_of

__all__ = [
    "Errors",
    "Scale",
    "errors",
    "forecast_metrics",
    "intervals",
    "mean_over_windows",
    "recent_sales",
    "seasonal_scale",
    "segment_sums",
]


def forecast_metrics(
    sums: Errors, quantiles: tuple[float, ...], scale: Scale | None = None
) -> dict[str, Tensor]:
    """Every metric of these sums, float64 of their shape; those in units of a scale where there is
    one; the interval metrics under "coverage_80" and so on.
    """
    plain = metrics_of("forecast") | metrics_of("series")
    metrics = {name: metric.function(sums) for name, metric in plain.items()}
    if scale is not None:
        metrics |= {
            name: metric.function(sums, scale) for name, metric in metrics_of("scaled").items()
        }
    for name, metric in metrics_of("interval").items():
        levels = (level.replace("coverage", name) for level in intervals(quantiles))
        metrics |= dict(zip(levels, metric.function(sums).unbind(dim=-1), strict=True))
    return metrics
