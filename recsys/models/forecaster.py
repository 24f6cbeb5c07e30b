"""What every forecaster offers: learned networks, and methods that forecast a whole panel.

Axes: B windows, W origins, T steps of history, H steps of the horizon, F covariates, Q quantiles,
S series.
"""

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from recsys.data.panel import SalesPanel
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.data.windows import Window
from recsys.steps import Step

__all__ = ["Forecaster", "ForecastsPanel", "Window"]


@runtime_checkable
class Forecaster(Protocol):
    """A network that reads windows in units of y and answers in units of y.

    Attributes:
        num_series, num_covariates, horizon: S, F and H.
        quantiles: levels of the outputs, ascending, 0.5 among them, which is the point forecast.
        history_length: steps of history that make a difference; longer ones are cut, shorter ones
            count as missing before their start.
        step: hour, day, week or month.
    """

    if TYPE_CHECKING:  # issubclass takes protocols of methods alone
        num_series: int
        num_covariates: int
        horizon: int
        quantiles: tuple[float, ...]
        history_length: int
        step: Step

    def scale_covariates(self, scale: Tensor) -> None:
        """Takes how much each covariate usually moves, (F,), before training."""
        ...

    def forward(self, window: Window) -> Tensor:
        """Quantiles (B, H, Q), ascending along Q, in units of y."""
        ...


@runtime_checkable
class ForecastsPanel(Protocol):
    """A statistical method: forecasts a panel without training; it has no graph to export.

    Attributes:
        counts: of the last forecast, what was filled or replaced by a fallback.
        seconds: that the last forecast took to compute.
        cache_key: changes whenever the same panel would get other forecasts.
    """

    if TYPE_CHECKING:
        counts: dict[str, int]
        seconds: float

        @property
        def cache_key(self) -> str:
            """Settings that decide the numbers."""
            ...

    def forecast(
        self, panel: SalesPanel, phase: ForecastPhase, quantiles: tuple[float, ...]
    ) -> np.ndarray:
        """float32 (W, S, H, Q), in units of y; NaN where a series has no origin."""
        ...


def is_network(model: type[Any]) -> bool:
    """Whether a class is a learned forecaster."""
    protocol: Any = Forecaster
    return issubclass(model, protocol)


def is_statistical(model: type[Any]) -> bool:
    """Whether a class is a method that is fitted when it forecasts, and has no graph."""
    protocol: Any = ForecastsPanel
    return issubclass(model, protocol)
