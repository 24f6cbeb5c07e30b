"""Forecast metrics from sums of errors.

Axes: B forecasts (a series in a window), H steps of the horizon, Q quantiles, I intervals, W
windows, S series, N steps of all series together.

Conventions, the same for all: e = forecast - y in units of y, the forecast being the 0.5 quantile;
a step whose y is NaN is left out; a forecast that is NaN where y is known makes NaN of every metric
it enters. A metric is a ratio of two sums, and over what they run (the steps of a series, the
series of a window, all of it) is what `Errors.sum` or `Errors.by` was asked for; a denominator of
zero (no known step, no sales, a history that repeats itself) gives NaN and leaves every mean.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

COUNTS = ("forecasts", "series_without_sales", "series_without_scale")
# what is averaged over series, each scaled to its own size; the others weigh a series by its sales
SERIES_METRICS = ("smape", "mase", "rmsse", "weighted_rmsse")


class Errors(NamedTuple):
    """Sums of errors, float64 and all of one shape, but for the intervals of `inside`.

    Attributes:
        steps: known steps.
        absolute, squared, signed: of |e|, e² and e.
        sales: of |y|.
        symmetric: of 200 |e| / (|forecast| + |y|); 0 / 0 counts as 0.
        pinball: of the quantile loss, its mean over Q.
        inside: known steps within each interval of `intervals`, (…, I).
    """

    steps: Tensor
    absolute: Tensor
    squared: Tensor
    signed: Tensor
    sales: Tensor
    symmetric: Tensor
    pinball: Tensor
    inside: Tensor

    def sum(self, dim: int) -> "Errors":
        """Over one axis, counted from the front."""
        return Errors(*(values.sum(dim=dim) for values in self))

    def plus(self, other: "Errors") -> "Errors":
        """Both together."""
        return Errors(*(mine + its for mine, its in zip(self, other, strict=True)))

    def by(self, group: Tensor, num_groups: int) -> "Errors":
        """Over the rows of each group, int64 (B,): (B, …) -> (num_groups, …)."""
        return Errors(
            *(
                values.new_zeros(num_groups, *values.shape[1:]).index_add_(0, group, values)
                for values in self
            )
        )


def intervals(quantiles: tuple[float, ...]) -> dict[str, tuple[int, int]]:
    """Central intervals whose two ends are among the quantiles: "coverage_80" to the places of 0.1
    and 0.9.
    """
    place = {round(level, 6): index for index, level in enumerate(quantiles)}
    return {
        f"coverage_{100 * (1 - 2 * level):g}": (index, place[round(1 - level, 6)])
        for level, index in place.items()
        if level < 0.5 and round(1 - level, 6) in place
    }


def errors(forecast: Tensor, truth: Tensor, quantiles: tuple[float, ...]) -> Errors:
    """Errors of every step, (B, H, Q) and (B, H) -> (B, H): what the metrics are made of, summed.

    Sources: Koenker and Bassett, Regression Quantiles, Econometrica 1978 (pinball loss);
    Makridakis, Spiliotis and Assimakopoulos, The M4 Competition, IJF 2020 (sMAPE in 0 to 200).
    """
    known = ~truth.isnan()
    y = truth.double().nan_to_num(0.0)
    answer = torch.where(known.unsqueeze(2), forecast.double(), 0.0)  # (B, H, Q)
    point = answer[:, :, quantiles.index(0.5)]
    error = point - y
    size = point.abs() + y.abs()
    above = y.unsqueeze(2) - answer
    level = torch.as_tensor(quantiles, dtype=torch.float64, device=truth.device)
    pinball = torch.maximum(level * above, (level - 1) * above)
    ends = list(intervals(quantiles).values())
    low, high = (answer[:, :, [pair[side] for pair in ends]] for side in (0, 1))  # (B, H, I)
    inside = ((low <= y.unsqueeze(2)) & (y.unsqueeze(2) <= high)).double()
    inside = torch.where(low.isnan() | high.isnan(), torch.nan, inside)
    return Errors(
        known.double(),
        error.abs(),
        error.square(),
        error,
        y.abs(),
        torch.where(size == 0, 0.0, 200 * error.abs() / size),
        pinball.mean(dim=2),
        inside * known.unsqueeze(2),
    )


def mae(sums: Errors) -> Tensor:
    """Mean of |e|, in units of y."""
    return _ratio(sums.absolute, sums.steps)


def rmse(sums: Errors) -> Tensor:
    """Root of the mean of e², in units of y."""
    return _ratio(sums.squared, sums.steps).sqrt()


def wape(sums: Errors) -> Tensor:
    """Sum of |e| / sum of |y|; NaN without sales.

    Source: Kolassa and Schütz, Advantages of the MAD/Mean Ratio over the MAPE, Foresight 2007.
    """
    return _ratio(sums.absolute, sums.sales)


def smape(sums: Errors) -> Tensor:
    """Mean of 200 |e| / (|forecast| + |y|), from 0 to 200; a step where both are 0 counts as 0.

    Source: Makridakis, Spiliotis and Assimakopoulos, The M4 Competition, IJF 2020.
    """
    return _ratio(sums.symmetric, sums.steps)


def bias(sums: Errors) -> Tensor:
    """Sum of e / sum of |y|: above 0 where too much is forecast; NaN without sales."""
    return _ratio(sums.signed, sums.sales)


def pinball(sums: Errors) -> Tensor:
    """Mean of the quantile loss over quantiles and steps, in units of y.

    Source: Koenker and Bassett, Regression Quantiles, Econometrica 1978.
    """
    return _ratio(sums.pinball, sums.steps)


def pinball_scaled(sums: Errors) -> Tensor:
    """Twice the quantile loss / sum of |y|, its mean over quantiles: WAPE, if all were the median;
    NaN without sales.

    Source: Park et al., Learning Quantile Functions without Quantile Crossing, AISTATS 2022 (mean
    weighted quantile loss).
    """
    return _ratio(2 * sums.pinball, sums.sales)


def coverage(sums: Errors) -> Tensor:
    """Share of steps inside each interval, ends included, (…, I)."""
    return _ratio(sums.inside, sums.steps.unsqueeze(-1))


def mase(sums: Errors, scale: Tensor) -> Tensor:
    """Mean of |e| / what the seasonal naive forecast errs inside the history (`seasonal_scale`).

    Source: Hyndman and Koehler, Another Look at Measures of Forecast Accuracy, IJF 2006.
    """
    return _ratio(mae(sums), scale)


def rmsse(sums: Errors, square_scale: Tensor) -> Tensor:
    """Root of: mean of e² / mean squared error of the seasonal naive forecast inside the history.

    Source: Makridakis, Spiliotis and Assimakopoulos, M5 Accuracy Competition, IJF 2022, with a
    season in place of one step.
    """
    return _ratio(_ratio(sums.squared, sums.steps), square_scale).sqrt()


class Scale(NamedTuple):
    """What MASE and RMSSE divide by: mean of |d| and of d², where d is the seasonal difference."""

    absolute: Tensor
    squared: Tensor


def forecast_metrics(
    sums: Errors, quantiles: tuple[float, ...], scale: Scale | None = None
) -> dict[str, Tensor]:
    """Every metric of these sums, float64 of their shape; MASE and RMSSE where there is a scale."""
    functions = (mae, rmse, wape, smape, bias, pinball, pinball_scaled)
    metrics = {function.__name__: function(sums) for function in functions}
    if scale is not None:
        metrics["mase"] = mase(sums, scale.absolute)
        metrics["rmsse"] = rmsse(sums, scale.squared)
    return metrics | dict(zip(intervals(quantiles), coverage(sums).unbind(dim=-1), strict=True))


def seasonal_scale(
    y: np.ndarray, indptr: np.ndarray, series: np.ndarray, origin: np.ndarray, seasonality: int
) -> Scale:
    """Mean of |y_t - y_(t - seasonality)| and of its square over all steps before an origin.

    Args:
        y: of all series, one after the other, (N,), NaN where missing: such differences are left
            out.
        indptr: where they begin, (S + 1,).
        series, origin: whose history, and up to which step, int64 (B,).
        seasonality: steps.

    Returns:
        float64 (B,), NaN where no difference is known.
    """
    difference = np.full(len(y), np.nan)
    difference[seasonality:] = y[seasonality:].astype(np.float64) - y[: len(y) - seasonality]
    known = ~np.isnan(difference)
    difference[~known] = 0.0
    end = indptr[series] + origin
    begin = indptr[series] + seasonality  # before it the difference reaches into another series
    count = segment_sums(known, begin, end)
    absolute = segment_sums(np.abs(difference), begin, end)
    squared = segment_sums(np.square(difference), begin, end)
    with np.errstate(invalid="ignore"):
        means = absolute / count, squared / count
    return Scale(*map(torch.from_numpy, means))


def recent_sales(
    y: np.ndarray, indptr: np.ndarray, series: np.ndarray, origin: np.ndarray, steps: int
) -> np.ndarray:
    """Sum of y over the last `steps` before an origin, float64 (B,), at least 0: what RMSSE is
    weighted by. Arguments as of `seasonal_scale`.

    Source: Makridakis, Spiliotis and Assimakopoulos, M5 Accuracy Competition, IJF 2022.
    """
    end = indptr[series] + origin
    begin = indptr[series] + np.maximum(origin - steps, 0)
    return np.maximum(segment_sums(np.nan_to_num(y), begin, end), 0.0)


def segment_sums(values: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Sums of values[begin:end], float64 (B,); 0 where that is empty."""
    # a place to point to behind the last value
    padded = np.append(values.astype(np.float64), 0.0)
    begin = np.minimum(begin, len(values))
    # every other segment lies between two that are asked for
    bounds = np.stack([begin, np.maximum(end, begin)], axis=1).reshape(-1)
    sums = np.add.reduceat(padded, bounds)[::2] if len(begin) else np.zeros(0)
    return np.where(end > begin, sums, 0.0)


def mean_over_windows(values: Tensor, steps: Tensor) -> Tensor:
    """Mean over the windows that know a step, (W, …) -> (…); NaN where a metric is undefined in one
    of them, or there is none.
    """
    asked = steps > 0
    return _ratio(torch.where(asked, values, 0.0).sum(dim=0), asked.sum(dim=0).double())


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    return torch.where(denominator > 0, numerator / denominator, torch.nan)


class ForecastMetrics(Metric):
    """Sums of the errors above over blocks of forecasts; `compute` adds the processes up and
    divides.

    MAE, RMSE, WAPE, bias, pinball loss and coverage are over all series and steps of a window;
    sMAPE, MASE and RMSSE are means over its series, the weighted RMSSE one by weight. Then the mean
    over windows is taken.

    Args:
        quantiles: levels of the forecasts, 0.5 among them.
        num_windows: W.
    """

    full_state_update = False
    series_sums: Tensor
    series_weights: Tensor
    counts: Tensor

    def __init__(self, quantiles: tuple[float, ...], num_windows: int = 1) -> None:
        super().__init__()
        self.quantiles, self.num_windows = tuple(quantiles), num_windows
        for name in Errors._fields:
            shape = (num_windows, len(intervals(self.quantiles))) if name == "inside" else ()
            zeros = torch.zeros(shape or num_windows, dtype=torch.float64)
            self.add_state(f"sum_{name}", zeros, "sum")
        per_series = torch.zeros(num_windows, len(SERIES_METRICS), dtype=torch.float64)
        self.add_state("series_sums", per_series, "sum")
        self.add_state("series_weights", per_series.clone(), "sum")
        counts = torch.zeros(num_windows, len(COUNTS), dtype=torch.float64)
        self.add_state("counts", counts, "sum")

    def update(
        self,
        forecast: Tensor,
        truth: Tensor,
        scale: Scale,
        weight: Tensor | None = None,
        window: Tensor | None = None,
    ) -> None:
        """Adds a block.

        Args:
            forecast: (B, H, Q), in units of y.
            truth: (B, H), NaN where unknown.
            scale: of each history, (B,), NaN or 0 where undefined.
            weight: of each series in the weighted RMSSE, (B,), see `recent_sales`; None: it stays
                undefined.
            window: of each forecast, int64 (B,); None: 0.
        """
        if window is None:
            window = torch.zeros(len(truth), dtype=torch.int64, device=truth.device)
        sums = errors(forecast, truth, self.quantiles).sum(dim=1)  # (B,)
        for name, added in zip(Errors._fields, sums.by(window, self.num_windows), strict=True):
            setattr(self, f"sum_{name}", getattr(self, f"sum_{name}") + added)

        judged = sums.steps > 0
        scaled = judged & (scale.absolute > 0)  # the squared scale is above 0 where this one is
        weight = torch.zeros_like(sums.steps) if weight is None else weight.double()
        scaled_error = rmsse(sums, scale.squared)
        values = [smape(sums), mase(sums, scale.absolute), scaled_error, scaled_error]
        weights = torch.stack(
            [judged.double(), scaled.double(), scaled.double(), scaled * weight], dim=1
        )  # (B, 4)
        weighted = torch.where(weights > 0, torch.stack(values, dim=1) * weights, 0.0)
        self.series_sums = self.series_sums.index_add(0, window, weighted)
        self.series_weights = self.series_weights.index_add(0, window, weights)
        counted = torch.stack([judged, judged & (sums.sales == 0), judged & ~scaled], dim=1)
        self.counts = self.counts.index_add(0, window, counted.double())

    def compute(self) -> dict[str, float]:
        """Means over the windows, NaN where undefined, and counts of all windows together:
        forecasts judged, those whose y is 0 throughout, those without a scale.
        """
        return {
            name: float(
                values.sum() if name in COUNTS else mean_over_windows(values, self._sums().steps)
            )
            for name, values in self._by_window().items()
        }

    def windows(self) -> list[dict[str, float]]:
        """What `compute` gives, of every window on its own."""
        columns = {name: values.tolist() for name, values in self._by_window().items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _sums(self) -> Errors:
        return Errors(*(getattr(self, f"sum_{name}") for name in Errors._fields))

    def _by_window(self) -> dict[str, Tensor]:
        """Name to (W,)."""
        per_series = _ratio(self.series_sums, self.series_weights).unbind(dim=1)
        return (
            forecast_metrics(self._sums(), self.quantiles)
            | dict(zip(SERIES_METRICS, per_series, strict=True))
            | dict(zip(COUNTS, self.counts.unbind(dim=1), strict=True))
        )
