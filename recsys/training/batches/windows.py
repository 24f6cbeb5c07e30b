"""Batches of windows of a sales panel, drawn anew every epoch.

Axes: B windows, T steps of history, H steps of the horizon, S series.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from recsys.data.panel import SalesPanel
from recsys.data.shards import Shard, epoch_generator
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.data.windows import PanelTensors, Window
from recsys.errors import DataError


class WindowBatches:
    """Windows drawn anew every epoch: a series by its weight, then one of its origins.

    Args:
        panel, phase: what may be fitted.
        history_length, horizon: steps of a window before and after its origin.
        min_history: steps that lie before an origin at least, where a series is long enough.
        batch_size: windows of a batch.
        num_batches: of an epoch, over all processes together.
        series_balance: series are drawn in proportion to their number of origins to the power of
            1 - series_balance; 1: all alike, so that long series do not drown short ones.
        seed, device, epoch, shard: as for `recsys.training.batches.pairs.PairBatches`.
    """

    def __init__(
        self,
        panel: SalesPanel,
        phase: ForecastPhase,
        *,
        history_length: int,
        min_history: int,
        batch_size: int,
        num_batches: int,
        series_balance: float,
        seed: int,
        device: torch.device,
        epoch: Callable[[], int],
        shard: Shard,
    ) -> None:
        self._tensors = PanelTensors(panel, device, phase.learned, phase.fit_until)
        self._history_length, self._horizon = history_length, phase.horizon
        until = phase.fit_until
        # a series that is too short for a whole horizon is asked for what it has
        last = np.maximum(until - phase.horizon, np.minimum(until - 1, 1))
        first = np.minimum(min_history, last)
        origins = np.where(phase.learned, last - first + 1, 0)
        if not origins.any():
            raise DataError(
                f"no series has two steps before the first origin of phase {phase.name}: there is"
                " nothing to fit on; hold out fewer windows (evaluation.split) or read a longer"
                " table"
            )
        weight = np.where(origins > 0, origins.astype(float) ** (1.0 - series_balance), 0.0)
        self._cumulative = torch.as_tensor(np.cumsum(weight) / weight.sum()).to(device)
        self._first = torch.as_tensor(first).to(device)
        self._origins = torch.as_tensor(origins).to(device)
        self._last_series = int(np.flatnonzero(origins)[-1])
        self._batch_size = batch_size
        self._num_batches = -(-num_batches // shard.world_size)
        self._seed, self._epoch, self._shard = seed, epoch, shard

    def __len__(self) -> int:
        return self._num_batches

    def __iter__(self) -> Iterator[tuple[Window, Tensor]]:
        device = self._tensors.device
        generator = epoch_generator(self._seed, self._epoch(), self._shard.rank, device)
        shape = (self._num_batches, 2, self._batch_size)
        uniform = torch.rand(shape, generator=generator, device=device, dtype=torch.float64)
        series = torch.searchsorted(self._cumulative, uniform[:, 0].contiguous(), right=True)
        series = series.clamp(max=self._last_series)
        # (num_batches, B)
        origin = self._first[series] + (uniform[:, 1] * self._origins[series]).long()
        for batch_series, batch_origin in zip(series, origin, strict=True):
            yield self._tensors.window(
                batch_series, batch_origin, self._history_length, self._horizon
            )
