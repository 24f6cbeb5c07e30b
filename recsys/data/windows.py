"""Windows of a sales panel, cut on the device from one tensor by (series, origin).

Axes: B windows, T steps of history, H steps of the horizon, F covariates, S series, N steps of all
series together.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recsys.data.loaders import Share, epoch_generator
from recsys.data.origins import ForecastPhase
from recsys.data.panel import SalesPanel
from recsys.errors import DataError


class Window(NamedTuple):
    """What a forecast is made from.

    Attributes:
        series: index of the series, int64 (B,); S (= num_series) for a series that training did not
            see.
        history: y so far, latest last, float32 (B, T), NaN where missing; of any length.
        start: local wall-clock seconds of the first step of the history, counted as if UTC, int64
            (B,).
        covariates: known ahead, float32 (B, T + H, F), NaN where unknown; F may be 0.
    """

    series: Tensor
    history: Tensor
    start: Tensor
    covariates: Tensor


class PanelTensors:
    """A panel on a device.

    Args:
        panel: what to cut from.
        device: where it lies.
        known: series that the model has an index for, bool (S,); the others get S.
        until: steps of every series that targets may be read from, int64 (S,); None: all.
    """

    def __init__(
        self,
        panel: SalesPanel,
        device: torch.device | str,
        known: np.ndarray | None = None,
        until: np.ndarray | None = None,
    ) -> None:
        lengths = panel.lengths
        self._y = torch.as_tensor(panel.y, dtype=torch.float32).to(device)
        self._covariates = torch.as_tensor(panel.covariates, dtype=torch.float32).to(device)
        self._first = torch.as_tensor(panel.indptr[:-1].copy()).to(device)
        self._length = torch.as_tensor(lengths).to(device)
        self._until = self._length if until is None else torch.as_tensor(until).to(device)
        self._start = torch.as_tensor(panel.start).to(device)
        index = np.arange(len(panel))
        if known is not None:
            index = np.where(known, index, len(panel))
        self._index = torch.as_tensor(index).to(device)
        self._step = panel.step_seconds
        self.device = torch.device(device)

    def window(
        self, series: Tensor, origin: Tensor, history_length: int, horizon: int
    ) -> tuple[Window, Tensor]:
        """Windows of `series` (B,) whose forecast starts at their steps `origin` (B,), and the y
        that follow, (B, H), NaN where missing.
        """
        offset = torch.arange(-history_length, horizon, device=self.device)  # (T + H,)
        step = origin.unsqueeze(1) + offset  # (B, T + H)
        inside = (step >= 0) & (step < self._length[series].unsqueeze(1))
        place = torch.where(inside, self._first[series].unsqueeze(1) + step, 0)
        y = torch.where(inside, self._y[place], torch.nan)
        future = (offset >= 0) & (step >= self._until[series].unsqueeze(1))
        y = y.masked_fill(future, torch.nan)
        covariates = torch.where(inside.unsqueeze(2), self._covariates[place], torch.nan)
        start = self._start[series] + (origin - history_length) * self._step
        window = Window(self._index[series], y[:, :history_length], start, covariates)
        return window, y[:, history_length:]


class WindowBatches:
    """Windows drawn anew every epoch: a series by its weight, then one of its origins.

    Args:
        panel, phase: what may be fitted.
        history_length, horizon: steps of a window before and after its origin.
        min_history: steps that lie before an origin at least, where a series is long enough.
        batch_size: windows of a batch.
        num_batches: of an epoch, over all processes together.
        evenness: series are drawn in proportion to their number of origins to the power of
            1 - evenness; 1: all alike, so that long series do not drown short ones.
        seed, device, epoch, share: as for `recsys.data.loaders.PairBatches`.
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
        evenness: float,
        seed: int,
        device: torch.device,
        epoch: Callable[[], int],
        share: Share,
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
        weight = np.where(origins > 0, origins.astype(float) ** (1.0 - evenness), 0.0)
        self._cumulative = torch.as_tensor(np.cumsum(weight) / weight.sum()).to(device)
        self._first = torch.as_tensor(first).to(device)
        self._origins = torch.as_tensor(origins).to(device)
        self._last_series = int(np.flatnonzero(origins)[-1])
        self._batch_size = batch_size
        self._num_batches = -(-num_batches // share.world_size)
        self._seed, self._epoch, self._share = seed, epoch, share

    def __len__(self) -> int:
        return self._num_batches

    def __iter__(self) -> Iterator[tuple[Window, Tensor]]:
        device = self._tensors.device
        generator = epoch_generator(self._seed, self._epoch(), self._share.rank, device)
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
