"""Likelihood of forecasts under a Student-t distribution.

Axes: B windows, H steps of the horizon, Q quantiles.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from recsys.data.windows import Window
from recsys.errors import ConfigError
from recsys.models.forecasters.lstm import STUDENT_T_FREEDOM
from recsys.training.forecaster_data import FittedPanel
from recsys.training.objectives.windows import WindowLoss, WindowObjective


@runtime_checkable
class ForecastsScaled(Protocol):
    """A forecaster whose outputs on its own scale are quantiles of a Student-t distribution where
    its attribute `is_student_t` is True; `student_t` holds those of the standard one, (Q,).
    """

    def scaled(self, window: Window) -> tuple[Tensor, Any]:
        """Quantiles (B, H, Q) on the model's scale, and that scale, whose `apply` maps y to it."""
        ...


def student_t_loss(forecast: Tensor, target: Tensor, standard: Tensor) -> Tensor:
    """Negative log-likelihood of a Student-t distribution, up to a constant.

    Args:
        forecast: its quantiles, from which location and scale are recovered, (B, H, Q).
        target: (B, H).
        standard: the same quantiles of the standard distribution, (Q,), more than one.

    Returns:
        (B, H). Source: Salinas et al., DeepAR, IJF 2020, with the likelihood of Lange, Little and
        Taylor, JASA 1989, at fixed degrees of freedom.
    """
    scale = (forecast[..., -1] - forecast[..., 0]) / (standard[-1] - standard[0])  # (B, H)
    location = forecast[..., -1] - standard[-1] * scale
    distance = ((target - location) / scale).square()
    freedom = STUDENT_T_FREEDOM
    return scale.log() + (freedom + 1) / 2 * torch.log1p(distance / freedom)


@dataclass(frozen=True)
class StudentT(WindowLoss):
    """Settings of `student_t_loss`, on the model's scale: those of `WindowLoss`."""

    name: ClassVar[str] = "student_t"
    trains: ClassVar[type] = ForecastsScaled

    def objective(self, model: Any, data: FittedPanel, *, seed: int) -> WindowObjective:
        """See `recsys.training.objective.Loss`; ConfigError where the model has quantiles only."""
        if not model.is_student_t:
            raise ConfigError("loss=student_t needs model.distribution=student_t")
        return WindowObjective(data, self, model.history_length, _step_loss, seed)


def _step_loss(model: Any, window: Window, target: Tensor) -> Tensor:
    """Loss of every step, (B, H)."""
    z, scaling = model.scaled(window)
    return student_t_loss(z, scaling.apply(target), model.student_t)
