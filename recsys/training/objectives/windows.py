"""Windows of a sales panel, drawn anew every epoch.

Axes: B windows, T steps of history, H steps of the horizon, S series.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recsys.data.shards import Shard, epoch_generator
from recsys.data.windows import PanelTensors, Window
from recsys.errors import DataError
from recsys.ranges import Count, Share, Whole
from recsys.training.forecaster_data import FittedPanel


@dataclass(frozen=True)
class WindowLoss:
    """Settings that losses of forecasters share: which windows are drawn.

    Attributes:
        batch_size: windows of a batch.
        batches: of an epoch, over all processes together.
        min_history: least steps before an origin, where a series is long enough; None: two seasons.
        series_balance: series are drawn in proportion to their number of origins to the power of
            1 - series_balance. 1: every series equally often, so that long ones do not drown short
            ones; 0: every origin.
    """

    batch_size: Count = 128
    batches: Count = 50
    min_history: Whole | None = None
    series_balance: Share = 1.0


@dataclass(frozen=True)
class WindowObjective:
    """Forecasts windows of the fitted part.

    Attributes:
        data: to fit on.
        sampling: which windows are drawn.
        history_length: T, of the model.
        step_loss: from model, window and target (B, H), 0 where missing, to the loss of every step
            (B, H).
        seed: with the epoch and the process it decides which windows.
    """

    data: FittedPanel
    sampling: WindowLoss
    history_length: int
    step_loss: Callable[[Any, Window, Tensor], Tensor]
    seed: int

    def batches(
        self, device: torch.device, epoch: Callable[[], int], shard: Shard
    ) -> "WindowBatches":
        """Windows drawn anew every epoch."""
        return WindowBatches(self, device, epoch, shard)

    def loss(self, model: Any, batch: tuple[Window, Tensor]) -> tuple[Tensor, int]:
        """Mean over the known steps, a scalar, and the number of windows."""
        window, target = batch
        known = ~torch.isnan(target)
        losses = self.step_loss(model, window, torch.where(known, target, 0.0))
        loss = torch.where(known, losses, 0.0).sum() / known.sum().clamp(min=1)
        return loss, len(target)


class WindowBatches:
    """Windows drawn anew every epoch: a series by its weight, then one of its origins.

    Raises:
        DataError: no series has two fitted steps.
    """

    def __init__(
        self,
        objective: WindowObjective,
        device: torch.device,
        epoch: Callable[[], int],
        shard: Shard,
    ) -> None:
        sampling, phase = objective.sampling, objective.data.phase
        least, until = sampling.min_history, phase.fit_until
        self._tensors = PanelTensors(objective.data.panel, device, phase.learned, until)
        self._lengths = objective.history_length, phase.horizon
        # a series that is too short for a whole horizon forecasts what it has
        last = np.maximum(until - phase.horizon, np.minimum(until - 1, 1))
        first = np.minimum(2 * objective.data.panel.season if least is None else least, last)
        origins = np.where(phase.learned, last - first + 1, 0)
        if not origins.any():
            raise DataError(
                f"no series has two steps before the first origin of phase {phase.name}: there is"
                " nothing to fit on; hold out fewer windows (evaluation.split) or read a longer"
                " table"
            )
        balance = 1.0 - sampling.series_balance
        weight = np.where(origins > 0, origins.astype(float) ** balance, 0.0)
        self._cumulative = torch.as_tensor(np.cumsum(weight) / weight.sum()).to(device)
        self._first = torch.as_tensor(first).to(device)
        self._origins = torch.as_tensor(origins).to(device)
        self._last_series = int(np.flatnonzero(origins)[-1])
        self._shape = (-(-sampling.batches // shard.world_size), 2, sampling.batch_size)
        self._seed, self._epoch, self._shard = objective.seed, epoch, shard

    def __len__(self) -> int:
        return self._shape[0]

    def __iter__(self) -> Iterator[tuple[Window, Tensor]]:
        device = self._tensors.device
        generator = epoch_generator(self._seed, self._epoch(), self._shard.rank, device)
        uniform = torch.rand(self._shape, generator=generator, device=device, dtype=torch.float64)
        series = torch.searchsorted(self._cumulative, uniform[:, 0].contiguous(), right=True)
        series = series.clamp(max=self._last_series)
        # (batches, B)
        origin = self._first[series] + (uniform[:, 1] * self._origins[series]).long()
        for batch_series, batch_origin in zip(series, origin, strict=True):
            yield self._tensors.window(batch_series, batch_origin, *self._lengths)
