"""A forecaster judged on a phase while it trains, on its own device.

Axes: M queries (a series in a window), B queries of a block, H steps, Q quantiles.
"""

import warnings
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from recsys.data.panel import SalesPanel
from recsys.data.shards import Shard
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.data.windows import PanelTensors
from recsys.errors import DataError
from recsys.evaluation.backtest import require_numbers
from recsys.metrics.forecast import Scale, recent_sales, seasonal_scale
from recsys.metrics.forecast_accumulator import ForecastMetrics


class OriginBlocks:
    """Questions 0 … M - 1 in blocks on the device; every process takes every n-th block."""

    def __init__(self, size: int, block: int, device: torch.device, shard: Shard) -> None:
        self._blocks = torch.arange(size, device=device).split(block)[
            shard.rank :: shard.world_size
        ]

    def __len__(self) -> int:
        return len(self._blocks)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._blocks)


class BacktestEvaluator:
    """Holds the queries of a phase, and the sums of the forecasts' errors.

    Args:
        panel, phase: what is forecast.
        quantiles: of the model.
        device: where the model runs.
        block: queries at once.

    Raises:
        DataError: no series can be evaluated.
    """

    def __init__(
        self,
        panel: SalesPanel,
        phase: ForecastPhase,
        quantiles: tuple[float, ...],
        device: torch.device,
        block: int = 1024,
    ) -> None:
        window, series = np.nonzero(phase.origin >= 0)
        if not len(series):
            raise DataError(
                f"no series can be evaluated in phase {phase.name}: none has begun, or still sells,"
                " before its origins; hold out fewer steps (evaluation.split) or keep more series"
            )
        origin = phase.origin[window, series]
        scale = seasonal_scale(panel.y, panel.indptr, series, origin, panel.season)
        weight = recent_sales(panel.y, panel.indptr, series, origin, phase.horizon)
        self._scale = Scale(scale.absolute.to(device), scale.squared.to(device))
        self._weight = torch.from_numpy(weight).to(device)
        self._window = torch.from_numpy(window).to(device)
        self._series = torch.from_numpy(series).to(device)
        self._origin = torch.from_numpy(origin).to(device)
        self._tensors = PanelTensors(panel, device, phase.learned)
        self._panel, self._phase = panel, phase
        self._horizon, self._block, self._device = phase.horizon, block, device
        self._metrics = ForecastMetrics(quantiles, len(phase.origin)).to(device)

    def blocks(self, model: nn.Module, shard: Shard) -> OriginBlocks:
        """What a process asks."""
        return OriginBlocks(len(self._series), self._block, self._device, shard)

    def reset(self) -> None:
        """Forgets all forecasts."""
        self._metrics.reset()

    def update(self, model: nn.Module, queries: Tensor) -> None:
        """Adds the forecasts of a block of queries (B,)."""
        window, truth = self._tensors.window(
            self._series[queries],
            self._origin[queries],
            model.history_length,  # type: ignore[arg-type]
            self._horizon,
        )
        scale = Scale(self._scale.absolute[queries], self._scale.squared[queries])
        weight, number = self._weight[queries], self._window[queries]
        forecast = model(window).float()
        require_numbers(
            forecast.cpu().numpy(), self._panel, self._phase, self._series[queries].cpu().numpy()
        )
        self._metrics.update(forecast, truth, scale, weight, number)

    def metric_names(self) -> list[str]:
        """What `compute` gives."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*was called before the ``update``.*")
            names = list(self._metrics.compute())
        self.reset()
        return names

    def compute(self) -> dict[str, float]:
        """Metrics over all processes, by name; the mean over windows."""
        return self._metrics.compute()
