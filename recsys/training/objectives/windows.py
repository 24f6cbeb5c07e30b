"""Objectives over windows of a sales panel.

Axes: B windows, T steps of history, H steps of the horizon.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recsys.data.shards import Shard
from recsys.data.windows import Window
from recsys.training.batches.windows import WindowBatches
from recsys.training.forecaster_data import FittedPanel


@dataclass(frozen=True)
class WindowSampling:
    """Which windows are drawn.

    Attributes:
        batch_size: windows of a batch.
        batches: of an epoch.
        min_history: least steps before an origin, where a series is long enough; None: two seasons.
        series_balance: of `WindowBatches`.
    """

    batch_size: int
    batches: int
    min_history: int | None
    series_balance: float


@dataclass(frozen=True)
class WindowObjective:
    """Forecasts windows of the fitted part.

    Attributes:
        data: to fit on.
        sampling: see there.
        history_length: T, of the model.
        step_loss: from model, window and target (B, H), 0 where missing, to the loss of every step
            (B, H).
        seed: with the epoch and the process it decides which windows.
    """

    data: FittedPanel
    sampling: WindowSampling
    history_length: int
    step_loss: Callable[[Any, Window, Tensor], Tensor]
    seed: int

    def batches(
        self, device: torch.device, epoch: Callable[[], int], shard: Shard
    ) -> WindowBatches:
        """Windows drawn anew every epoch."""
        least = self.sampling.min_history
        return WindowBatches(
            self.data.panel,
            self.data.phase,
            history_length=self.history_length,
            min_history=2 * self.data.season if least is None else least,
            batch_size=self.sampling.batch_size,
            num_batches=self.sampling.batches,
            series_balance=self.sampling.series_balance,
            seed=self.seed,
            device=device,
            epoch=epoch,
            shard=shard,
        )

    def loss(self, model: Any, batch: tuple[Window, Tensor]) -> tuple[Tensor, int]:
        """Mean over the known steps, a scalar, and the number of windows."""
        window, target = batch
        known = ~torch.isnan(target)
        losses = self.step_loss(model, window, torch.where(known, target, 0.0))
        loss = torch.where(known, losses, 0.0).sum() / known.sum().clamp(min=1)
        return loss, len(target)
