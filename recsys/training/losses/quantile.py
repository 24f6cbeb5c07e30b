"""Quantile loss of forecasts, in units that make series comparable.

Axes: B windows, T steps of history, H steps of the horizon, Q quantiles.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from recsys.data.windows import Window
from recsys.errors import ConfigError, closest
from recsys.models.forecaster import Forecaster
from recsys.ranges import NonNegative
from recsys.training.forecaster_data import FittedPanel
from recsys.training.objectives.windows import WindowLoss, WindowObjective

UNITS = ("seasonal", "level", "typical")
# bounds the weight of a window that repeats its last season exactly
SMALLEST_SEASONAL_SHARE = 0.05


def quantile_loss(forecast: Tensor, target: Tensor, quantiles: Tensor) -> Tensor:
    """Twice the pinball loss, its mean over Q: |error| where Q is the median alone.

    Args:
        forecast: (B, H, Q).
        target: (B, H).
        quantiles: (Q,).

    Returns:
        (B, H), in units of y. Source: Koenker and Bassett, Regression Quantiles, Econometrica 1978.
    """
    error = target.unsqueeze(2) - forecast  # (B, H, Q)
    return 2 * torch.maximum(quantiles * error, (quantiles - 1) * error).mean(dim=2)


def window_weight(
    history: Tensor, seasonality: int, typical: float, units: Mapping[str, float]
) -> Tensor:
    """Weight of an error of one unit of y in each window: the sum of `units` over their scales.

    Args:
        history: NaN where missing, (B, T).
        seasonality: steps.
        typical: mean of y over all that is fitted.
        units: weight of an error as large as the window's seasonal difference ("seasonal", as in
            MASE), its level ("level", as in sMAPE) and the mean of all series ("typical", as in
            WAPE).

    Returns:
        (B, 1). A window without sales gets the typical level.
    """
    level = _known_mean(history.abs())
    level = torch.where(level > 0, level, typical)
    seasonal = _known_mean((history[:, seasonality:] - history[:, :-seasonality]).abs())
    seasonal = torch.maximum(seasonal, SMALLEST_SEASONAL_SHARE * level)
    return units["seasonal"] / seasonal + units["level"] / level + units["typical"] / typical


def _known_mean(values: Tensor) -> Tensor:
    """(B, T) -> (B, 1); 0 where nothing is known."""
    known = ~torch.isnan(values)
    total = torch.where(known, values, 0.0).sum(dim=1, keepdim=True)
    return total / known.sum(dim=1, keepdim=True).clamp(min=1)


@dataclass(frozen=True)
class Quantile(WindowLoss):
    """Settings of `quantile_loss`, beside those of `WindowLoss`.

    Attributes:
        units: of `window_weight`; what is left out weighs 0.
    """

    units: Mapping[str, NonNegative] = field(
        default_factory=lambda: {"seasonal": 1.0, "level": 1.0, "typical": 0.0}
    )

    name: ClassVar[str] = "quantile"
    trains: ClassVar[type] = Forecaster

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.units) - set(UNITS)):
            raise ConfigError(
                f"loss.units.{unknown[0]} does not exist; {closest(unknown[0], UNITS)}"
            )
        if not sum(self.units.values()) > 0:
            raise ConfigError("loss.units: at least one has to be above 0")

    def objective(self, model: Forecaster, data: FittedPanel, *, seed: int) -> WindowObjective:
        """See `recsys.training.objective.Loss`."""
        units = dict.fromkeys(UNITS, 0.0) | dict(self.units)
        step_loss = QuantileStepLoss(
            model.quantiles, data.panel.season, data.typical_level(), units
        )
        return WindowObjective(data, self, model.history_length, step_loss, seed)


class QuantileStepLoss:
    """`quantile_loss` times `window_weight`.

    Args:
        quantiles: of the model.
        seasonality, typical, units: of `window_weight`.
    """

    def __init__(
        self,
        quantiles: tuple[float, ...],
        seasonality: int,
        typical: float,
        units: Mapping[str, float],
    ) -> None:
        self._levels = torch.tensor(quantiles)  # (Q,)
        self._seasonality, self._typical, self._units = seasonality, typical, units

    def __call__(self, model: Forecaster, window: Window, target: Tensor) -> Tensor:
        """Loss of every step, (B, H)."""
        if self._levels.device != target.device:
            self._levels = self._levels.to(target.device)
        weight = window_weight(window.history, self._seasonality, self._typical, self._units)
        return weight * quantile_loss(model(window), target, self._levels)  # type: ignore[operator]
