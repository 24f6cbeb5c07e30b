"""Windows of a sales panel, cut on the device from one tensor by (series, origin).

Axes: B windows, T steps of history, H steps of the horizon, F covariates, S series, N steps of all
series together.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recsys.data.panel import SalesPanel
from recsys.steps import later


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
        self._step = panel.step
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
        start = later(self._start[series], origin - history_length, self._step)
        window = Window(self._index[series], y[:, :history_length], start, covariates)
        return window, y[:, history_length:]
