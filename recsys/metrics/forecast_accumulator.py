"""Errors of forecasts summed over blocks and over processes.

Axes: B forecasts (a series in a window), H steps, Q quantiles, W windows.
"""

import torch
from torch import Tensor
from torchmetrics import Metric

from recsys.metrics.forecast import (
    Errors,
    Scale,
    errors,
    forecast_metrics,
    intervals,
    mean_over_windows,
)
from recsys.metrics.forecast.sums import ratio
from recsys.metrics.registry import metrics_of

COUNTS = ("forecasts", "series_without_sales", "series_without_scale")


class ForecastMetrics(Metric):
    """Sums of errors over blocks of forecasts; `compute` adds the processes up and
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
        self.per_series = [*metrics_of("series"), *metrics_of("scaled"), *metrics_of("weighted")]
        for name in Errors._fields:
            shape = (num_windows, len(intervals(self.quantiles))) if name == "inside" else ()
            zeros = torch.zeros(shape or num_windows, dtype=torch.float64)
            self.add_state(f"sum_{name}", zeros, "sum")
        per_series = torch.zeros(num_windows, len(self.per_series), dtype=torch.float64)
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
        of_series = metrics_of("series").values()
        of_scaled, of_weighted = metrics_of("scaled").values(), metrics_of("weighted").values()
        values = [metric.function(sums) for metric in of_series]
        values += [metric.function(sums, scale) for metric in (*of_scaled, *of_weighted)]
        weights = torch.stack(
            [
                *[judged.double()] * len(of_series),
                *[scaled.double()] * len(of_scaled),
                *[scaled * weight] * len(of_weighted),
            ],
            dim=1,
        )  # (B, metrics averaged over series)
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
        per_series = ratio(self.series_sums, self.series_weights).unbind(dim=1)
        return (
            forecast_metrics(self._sums(), self.quantiles)
            | dict(zip(self.per_series, per_series, strict=True))
            | dict(zip(COUNTS, self.counts.unbind(dim=1), strict=True))
        )
