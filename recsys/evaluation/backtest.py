"""Forecasts of a phase in blocks, and what they are worth.

Axes: B forecasts in a block, M forecasts judged (a series in a window), W windows, S series, H
steps of the horizon, Q quantiles.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from recsys.data.panel import SalesPanel
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.data.windows import PanelTensors
from recsys.errors import TrainingError
from recsys.evaluation.forecast_cache import cached_forecast
from recsys.metrics.forecast import (
    Scale,
    errors,
    forecast_metrics,
    mean_over_windows,
    recent_sales,
    seasonal_scale,
    segment_sums,
)
from recsys.metrics.forecast_accumulator import ForecastMetrics
from recsys.models.forecaster import Forecaster, ForecastsPanel
from recsys.steps import later, mean_seconds

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
SLICES = ("intermittent", "short", "new")
# mean steps from sale to sale above which demand counts as intermittent (Syntetos, Boylan and
# Croston, On the Categorization of Demand Patterns, JORS 2005)
INTERMITTENT_INTERVAL = 1.32
YEAR_SECONDS = 360 * 86_400
# forecasts judged at once, so that memory does not grow with them
BLOCK = 8_192


@torch.inference_mode()
def forecast_phase(
    model: Forecaster | ForecastsPanel,
    panel: SalesPanel,
    phase: ForecastPhase,
    *,
    device: torch.device | str = "cpu",
    block: int = 1024,
    quantiles: tuple[float, ...] = QUANTILES,
) -> np.ndarray:
    """Forecasts every series that is evaluated in a phase.

    Args:
        model: fitted; one of statsforecast's methods needs no fitting.
        panel, phase: what is forecast.
        device: where a network computes.
        block: windows at once.
        quantiles: of statsforecast's methods; a network has its own.

    Returns:
        float32 (W, S, H, Q), in units of y, NaN where not evaluated.

    Raises:
        TrainingError: a forecast is NaN or infinite.
    """
    window, series = np.nonzero(phase.origin >= 0)
    if isinstance(model, ForecastsPanel):
        forecast = cached_forecast(model, panel, phase, quantiles)
        # some methods have no other quantile
        require_numbers(forecast[window, series, :, quantiles.index(0.5)], panel, phase, series)
        return forecast
    assert isinstance(model, nn.Module)
    assert model.horizon == phase.horizon
    model.to(device).eval()
    tensors = PanelTensors(panel, device, phase.learned)
    origin = torch.from_numpy(phase.origin[window, series]).to(device)
    places = torch.from_numpy(series).to(device)
    made = [
        model(tensors.window(*evaluated, model.history_length, phase.horizon)[0]).float().cpu()
        for evaluated in zip(places.split(block), origin.split(block), strict=True)
        if len(evaluated[0])
    ]
    shape = (*phase.origin.shape, phase.horizon, len(model.quantiles))
    forecast = np.full(shape, np.nan, dtype=np.float32)
    if made:
        values = torch.cat(made).numpy()
        require_numbers(values, panel, phase, series)
        forecast[window, series] = values
    return forecast


def require_numbers(
    values: np.ndarray, panel: SalesPanel, phase: ForecastPhase, series: np.ndarray
) -> None:
    """Raises TrainingError where a forecast (M, …) of these series (M,) is NaN or infinite."""
    lost = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if lost.any():
        raise TrainingError(
            f"phase {phase.name}: {int(lost.sum()):,} of {len(lost):,} forecasts are NaN or"
            f" infinite (the first is of series {panel.series_ids[series[lost][0]]!r}); lower"
            " train.lr, set train.gradient_clip, or look for values of y far beyond the others"
        )


class BacktestResult(NamedTuple):
    """What forecasts are worth.

    Attributes:
        metrics: flat: "wape" (mean over windows), "windows/1/wape", "slices/new/wape"; what is
            undefined is left out.
        per_series: one row a series and window.
        by_horizon: metric to its value at every step, mean over windows; None where no y is known.
    """

    metrics: dict[str, float]
    per_series: pd.DataFrame
    by_horizon: dict[str, list[float | None]]


def judge(
    panel: SalesPanel,
    phases: Sequence[ForecastPhase],
    forecasts: Sequence[np.ndarray],
    quantiles: tuple[float, ...] = QUANTILES,
) -> BacktestResult:
    """Judges the forecasts of one or more phases together.

    Slices, by what is known before the origin: `intermittent`, on average more than 1.32 steps from
    sale to sale; `short`, fewer steps than two seasons (one, where a season is a year) or two
    horizons; `new`, not fitted, or on fewer steps than a horizon. A slice without series is left
    out.

    Args:
        panel: the truth; its season scales MASE and RMSSE.
        phases: in order of time; their windows are counted through, from 1.
        forecasts: of each phase, (W, S, H, Q).
        quantiles: levels of the forecasts.

    Returns:
        See `BacktestResult`. Counts: `series` are distinct ones; `forecasts`,
        `series_without_sales` and `series_without_scale` count a series once a window.
    """
    evaluated = _evaluated(panel, phases, forecasts)
    horizon = phases[0].horizon
    scale = seasonal_scale(panel.y, panel.indptr, evaluated.series, evaluated.origin, panel.season)
    weight = recent_sales(panel.y, panel.indptr, evaluated.series, evaluated.origin, horizon)
    slices = _slices(panel, evaluated, horizon)
    parts = {"": np.ones(len(evaluated.series), dtype=bool)} | {
        f"slices/{name}/": inside for name, inside in slices.items()
    }
    collected = {prefix: ForecastMetrics(quantiles, evaluated.num_windows) for prefix in parts}
    per_forecast, by_step = [], None
    for rows in np.array_split(
        np.arange(len(evaluated.series)), len(evaluated.series) // BLOCK + 1
    ):
        block = _block(evaluated, scale, weight, rows)
        sums = errors(block.forecast, block.truth, quantiles)  # (B, H)
        per_forecast.append(forecast_metrics(sums.sum(dim=1), quantiles, block.scale))
        of_block = sums.by(block.window, evaluated.num_windows)  # (W, H)
        by_step = of_block if by_step is None else by_step.plus(of_block)
        for prefix, inside in parts.items():
            collected[prefix].update(*_block(evaluated, scale, weight, rows[inside[rows]]))
    assert by_step is not None

    judged = ~evaluated.truth.isnan().all(dim=1).numpy()
    metrics: dict[str, float] = {}
    for prefix, inside in parts.items():
        if (inside & judged).any():
            count = len(np.unique(evaluated.series[inside & judged]))
            told = _defined(collected[prefix].compute()) | {"series": float(count)}
            metrics |= {f"{prefix}{name}": value for name, value in told.items()}
    for number, values in enumerate(collected[""].windows(), 1):
        metrics |= {f"windows/{number}/{name}": value for name, value in _defined(values).items()}

    per_series = pd.DataFrame(
        {
            "series_id": panel.series_ids[evaluated.series],
            "window": evaluated.window + 1,
            "num_steps": (~evaluated.truth.isnan()).sum(dim=1).numpy(),
            **slices,
            "sum_y": evaluated.truth.double().nansum(dim=1).numpy(),
        }
        | {
            name: torch.cat([block[name] for block in per_forecast]).numpy()
            for name in per_forecast[0]
        }
    )
    by_horizon = {
        name: [value if np.isfinite(value) else None for value in steps.tolist()]
        for name, values in forecast_metrics(by_step, quantiles).items()
        if bool((steps := mean_over_windows(values, by_step.steps)).isfinite().any())
    }
    return BacktestResult(metrics, per_series[judged].reset_index(drop=True), by_horizon)


def forecast_table(
    panel: SalesPanel,
    phases: Sequence[ForecastPhase],
    forecasts: Sequence[np.ndarray],
    quantiles: tuple[float, ...] = QUANTILES,
) -> pd.DataFrame:
    """One row a series, window and step: series_id, window (from 1), timestamp (beginning of the
    step on the wall clock, datetime64[s]), y (NaN where unknown) and a column a quantile ("0.5").
    """
    evaluated = _evaluated(panel, phases, forecasts)
    horizon = phases[0].horizon
    steps = evaluated.origin[:, None] + np.arange(horizon)  # (M, H)
    seconds = later(panel.start[evaluated.series, None], steps, panel.step)
    values = evaluated.forecast.reshape(-1, len(quantiles)).numpy()
    return pd.DataFrame(
        {
            "series_id": np.repeat(panel.series_ids[evaluated.series], horizon),
            "window": np.repeat(evaluated.window + 1, horizon),
            "timestamp": seconds.reshape(-1).astype("datetime64[s]"),
            "y": evaluated.truth.reshape(-1).numpy(),
        }
        | {str(level): values[:, place] for place, level in enumerate(quantiles)}
    )


class _Evaluated(NamedTuple):
    """Forecasts of all phases, one after the other, of the series that were evaluated."""

    num_windows: int
    window: np.ndarray  # (M,), from 0
    series: np.ndarray  # (M,)
    origin: np.ndarray  # (M,)
    fit_steps: np.ndarray  # (M,), 0 where not fitted
    truth: Tensor  # (M, H)
    forecast: Tensor  # (M, H, Q)


class _Block(NamedTuple):
    """What `ForecastMetrics.update` takes."""

    forecast: Tensor
    truth: Tensor
    scale: Scale
    weight: Tensor
    window: Tensor


def _block(evaluated: _Evaluated, scale: Scale, weight: np.ndarray, rows: np.ndarray) -> _Block:
    return _Block(
        evaluated.forecast[rows],
        evaluated.truth[rows],
        Scale(scale.absolute[rows], scale.squared[rows]),
        torch.from_numpy(weight[rows]),
        torch.from_numpy(evaluated.window[rows]),
    )


def _evaluated(
    panel: SalesPanel, phases: Sequence[ForecastPhase], forecasts: Sequence[np.ndarray]
) -> _Evaluated:
    origins = np.concatenate([phase.origin for phase in phases])  # (W, S)
    fitted = np.concatenate(
        [np.broadcast_to(phase.fit_until, phase.origin.shape) for phase in phases]
    )
    window, series = np.nonzero(origins >= 0)
    origin = origins[window, series]
    step = origin[:, None] + np.arange(phases[0].horizon)  # (M, H)
    inside = step < panel.lengths[series, None]
    place = np.where(inside, panel.indptr[series, None] + step, 0)
    truth = np.where(inside, panel.y[place], np.nan).astype(np.float32)
    return _Evaluated(
        len(origins),
        window,
        series,
        origin,
        fitted[window, series],
        torch.from_numpy(truth),
        torch.from_numpy(np.concatenate(list(forecasts))[window, series]),
    )


def _slices(panel: SalesPanel, evaluated: _Evaluated, horizon: int) -> dict[str, np.ndarray]:
    """Slice to its forecasts, bool (M,)."""
    begin = panel.indptr[evaluated.series]
    end = begin + evaluated.origin
    known = segment_sums(~np.isnan(panel.y), begin, end)
    sales = segment_sums(panel.y > 0, begin, end)
    seasons = 1 if panel.season * mean_seconds(panel.step) >= YEAR_SECONDS else 2
    masks = (
        known > INTERMITTENT_INTERVAL * sales,
        evaluated.origin < max(seasons * panel.season, 2 * horizon),
        evaluated.fit_steps < horizon,
    )
    return dict(zip(SLICES, masks, strict=True))


def _defined(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if np.isfinite(value)}
