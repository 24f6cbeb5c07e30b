"""What a forecaster learns from, and how it is judged."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recsys.data.panel import SalesPanel
from recsys.data.shards import Shard
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.data.windows import Window
from recsys.errors import ConfigError
from recsys.models.forecaster import Forecaster
from recsys.training.batches.windows import WindowBatches
from recsys.training.forecast_losses import quantile_loss, student_t_loss, window_weight
from recsys.training.optimization import require_numbers

UNITS = ("seasonal", "level", "typical")


@dataclass(frozen=True)
class ForecastObjective:
    """What a batch holds and how it is judged.

    Attributes:
        name: "quantile" (errors in units of y), or "student_t" (likelihood on the model's scale).
        batch_size: windows of a batch.
        batches: of an epoch.
        min_history: steps before an origin at least, where a series is long enough; None: two
            seasons.
        series_balance: 1: every series is drawn as often; 0: every origin is.
        units: of `recsys.training.forecast_losses.window_weight`, for "quantile".
    """

    name: str
    batch_size: int = 128
    batches: int = 100
    min_history: int | None = None
    series_balance: float = 1.0
    units: dict[str, float] = field(default_factory=lambda: {"seasonal": 1.0, "level": 1.0})

    def __post_init__(self) -> None:
        require_numbers(
            "loss",
            batch_size=self.batch_size,
            batches=self.batches,
            series_balance=self.series_balance,
        )
        require_numbers("loss.units", **self.units)
        if self.name not in ("quantile", "student_t"):
            raise ConfigError(f"loss.name={self.name!r}: a forecaster has quantile or student_t")
        if self.batch_size < 1 or self.batches < 1:
            raise ConfigError(
                f"loss.batch_size={self.batch_size}, loss.batches={self.batches}: both have to be"
                " at least 1"
            )
        if not 0 <= self.series_balance <= 1:
            raise ConfigError(f"loss.series_balance={self.series_balance}: it lies between 0 and 1")
        if unknown := sorted(set(self.units) - set(UNITS)):
            raise ConfigError(f"loss.units.{unknown[0]} is unknown; choose from {', '.join(UNITS)}")
        if not sum(self.units.values()) > 0:
            raise ConfigError("loss.units: at least one has to be above 0")


class ForecastProblem:
    """Windows of a panel to learn from, cut on the device.

    Args:
        panel, phase: what to fit on.
        objective: see there.
        model: that is trained; its quantiles and its length of history are read.
        seasonality: steps after which sales repeat.
        seed: with the epoch and the process it decides windows.

    Raises:
        ConfigError: a likelihood is asked of a model without that distribution.
    """

    def __init__(
        self,
        panel: SalesPanel,
        phase: ForecastPhase,
        objective: ForecastObjective,
        model: Forecaster,
        seasonality: int,
        seed: int,
    ) -> None:
        if objective.name == "student_t" and not getattr(model, "is_student_t", False):
            raise ConfigError("loss=student_t needs model.distribution=student_t")
        self._panel, self._phase, self._objective = panel, phase, objective
        self._history_length, self._quantiles = model.history_length, model.quantiles
        self._units = dict.fromkeys(UNITS, 0.0) | dict(objective.units)
        fitted = np.abs(panel.y[panel.before(phase.fit_until) & ~np.isnan(panel.y)])
        self._typical = float(fitted.mean()) or 1.0 if len(fitted) else 1.0
        self._seasonality, self._seed = seasonality, seed

    def batches(
        self, device: torch.device, epoch: Callable[[], int], shard: Shard
    ) -> WindowBatches:
        """Windows of the fitted part."""
        objective = self._objective
        least = objective.min_history
        self._levels = torch.tensor(self._quantiles, device=device)
        return WindowBatches(
            self._panel,
            self._phase,
            history_length=self._history_length,
            min_history=2 * self._seasonality if least is None else least,
            batch_size=objective.batch_size,
            num_batches=objective.batches,
            series_balance=objective.series_balance,
            seed=self._seed,
            device=device,
            epoch=epoch,
            shard=shard,
        )

    def loss(self, model: Any, batch: tuple[Window, Tensor]) -> tuple[Tensor, int]:
        """The mean over the steps that are known, a scalar, and the windows of the batch."""
        window, target = batch
        known = ~torch.isnan(target)
        target = torch.where(known, target, 0.0)
        if self._objective.name == "quantile":
            weight = window_weight(window.history, self._seasonality, self._typical, self._units)
            losses = weight * quantile_loss(model(window), target, self._levels)
        else:
            z, scaling = model.scaled(window)
            losses = student_t_loss(z, scaling.apply(target), model.student_t)
        loss = torch.where(known, losses, 0.0).sum() / known.sum().clamp(min=1)
        return loss, len(target)
