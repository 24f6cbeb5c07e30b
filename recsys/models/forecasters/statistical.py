"""statsforecast's methods, one series at a time.

Axes: W windows, S series, H steps of the horizon, Q quantiles, M forecasts (a series in a window).
"""

import os
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import numpy as np

from recsys.data.panel import SalesPanel
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.errors import ConfigError
from recsys.ranges import Count


class Method(NamedTuple):
    """What a class of statsforecast.models takes and gives.

    Attributes:
        seasonal, windowed: takes season_length, window_size.
        intervals: gives intervals of its own.
    """

    seasonal: bool = False
    windowed: bool = False
    intervals: bool = False


MethodName = Literal[
    "Naive",
    "SeasonalNaive",
    "HistoricAverage",
    "RandomWalkWithDrift",
    "WindowAverage",
    "SeasonalWindowAverage",
    "SimpleExponentialSmoothingOptimized",
    "SeasonalExponentialSmoothingOptimized",
    "HoltWinters",
    "AutoETS",
    "AutoTheta",
    "DynamicOptimizedTheta",
    "AutoCES",
    "AutoARIMA",
    "CrostonClassic",
    "CrostonSBA",
    "CrostonOptimized",
    "ADIDA",
    "IMAPA",
]
METHODS: dict[str, Method] = {
    "Naive": Method(intervals=True),
    "SeasonalNaive": Method(seasonal=True, intervals=True),
    "HistoricAverage": Method(intervals=True),
    "RandomWalkWithDrift": Method(intervals=True),
    "WindowAverage": Method(windowed=True),
    "SeasonalWindowAverage": Method(seasonal=True, windowed=True),
    "SimpleExponentialSmoothingOptimized": Method(),
    "SeasonalExponentialSmoothingOptimized": Method(seasonal=True),
    "HoltWinters": Method(seasonal=True, intervals=True),
    "AutoETS": Method(seasonal=True, intervals=True),
    "AutoTheta": Method(seasonal=True, intervals=True),
    "DynamicOptimizedTheta": Method(seasonal=True, intervals=True),
    "AutoCES": Method(seasonal=True, intervals=True),
    "AutoARIMA": Method(seasonal=True, intervals=True),
    "CrostonClassic": Method(),
    "CrostonSBA": Method(),
    "CrostonOptimized": Method(),
    "ADIDA": Method(),
    "IMAPA": Method(),
}
COUNTS = ("forecasts", "filled_steps", "shorter_window", "fallback", "zero")


class Plan(NamedTuple):
    """What is computed for every series."""

    method: str
    season_length: int
    window_size: int | None
    horizon: int
    quantiles: tuple[float, ...]


class Block(NamedTuple):
    """Histories y[begin:end] out of a stretch of the panel's values."""

    y: np.ndarray
    begin: np.ndarray
    end: np.ndarray


class StatsForecastModel:
    """A method of statsforecast, fitted anew on the history of every series before every origin,
    with the season of the panel.

    Missing steps are filled: those before the first known one are cut off, those between two get
    the line between them, those at the end the last known value. A moving average whose window is
    longer than the history takes what there is, in whole seasons. Where a method fails (mostly on a
    short series) the seasonal naive forecast takes its place, then the naive one; without a known
    step it is 0. All of it is counted in `counts`. There is no graph to export.

    Args:
        method: any of `METHODS`.
        window_size: steps (WindowAverage) or seasons (SeasonalWindowAverage) that are averaged.
        max_history: steps before an origin that are read; None: all.
        jobs: processes; None: one a core.

    Attributes:
        counts: of the last forecast: forecasts made, steps filled, forecasts with a shorter window,
            with a fallback, and of 0 for want of a history.
        seconds: that it took to compute.
        cache_key: changes whenever the same panel would get other forecasts.

    Raises:
        ConfigError: `window_size` is missing, or it or `season_length` is given to a method that
            has none.
    """

    def __init__(
        self,
        method: MethodName,
        window_size: Count | None = None,
        max_history: Count | None = None,
        jobs: Count | None = None,
    ) -> None:
        if METHODS[method].windowed != (window_size is not None):
            raise ConfigError(
                f"model.window_size={window_size}: {method} "
                + ("needs one" if METHODS[method].windowed else "has none")
            )
        self.method = method
        self.window_size, self.max_history = window_size, max_history
        self.jobs = jobs
        self.counts = dict.fromkeys(COUNTS, 0)
        self.seconds = 0.0

    @property
    def cache_key(self) -> str:
        """Settings that decide the numbers, and the version of statsforecast."""
        settings = (self.method, self.window_size, self.max_history)
        return repr((*settings, _statsforecast().__version__))

    def forecast(
        self, panel: SalesPanel, phase: ForecastPhase, quantiles: tuple[float, ...]
    ) -> np.ndarray:
        """float32 (W, S, H, Q), in units of y; NaN where not evaluated, and for every quantile but
        0.5 where the method has no intervals.
        """
        plan = Plan(self.method, panel.season, self.window_size, phase.horizon, tuple(quantiles))
        window, series = np.nonzero(phase.origin >= 0)
        origin = phase.origin[window, series]
        first = 0 if self.max_history is None else np.maximum(origin - self.max_history, 0)
        begin, end = panel.indptr[series] + first, panel.indptr[series] + origin
        shape = (len(origin), phase.horizon, len(quantiles))

        started = time.perf_counter()
        values, counts = self._compute(plan, panel.y, begin, end)
        self.seconds = time.perf_counter() - started
        self.counts = dict(zip(COUNTS, counts.tolist(), strict=True))
        forecast = np.full((*phase.origin.shape, *shape[1:]), np.nan, dtype=np.float32)
        forecast[window, series] = values
        return forecast

    def _compute(
        self, plan: Plan, y: np.ndarray, begin: np.ndarray, end: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Forecasts (M, H, Q) and what was counted."""
        _statsforecast()  # says what is missing before there are processes, which inherit it
        jobs = self.jobs or _cores()
        # a start of processes costs as much as a few hundred averages
        if len(begin) < 2 * jobs or (not plan.method.startswith("Auto") and len(begin) < 2_000):
            jobs = 1
        num_blocks = max(1, min(len(begin) // 2, jobs * 8), len(begin) // 256)
        blocks = [
            _block(y, begin[part], end[part])
            for part in np.array_split(np.arange(len(begin)), num_blocks)
        ]
        if jobs == 1:
            made = [_forecast_block(plan, block) for block in blocks]
        else:
            with warnings.catch_warnings():
                # torch's threads do not matter to processes that only run statsforecast
                warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork.*")
                with ProcessPoolExecutor(jobs) as executor:
                    made = list(executor.map(_forecast_block, [plan] * len(blocks), blocks))
        values, counts = zip(*made, strict=True)
        return np.concatenate(values), np.sum(counts, axis=0)


def _block(y: np.ndarray, begin: np.ndarray, end: np.ndarray) -> Block:
    low, high = (begin.min(), end.max()) if len(begin) else (0, 0)
    return Block(y[low:high], begin - low, end - low)


def _forecast_block(plan: Plan, block: Block) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts (M, H, Q) of a block and what was counted; statsforecast takes one series at a
    time.
    """
    values = np.empty((len(block.begin), plan.horizon, len(plan.quantiles)), dtype=np.float32)
    counts = np.zeros(len(COUNTS), dtype=np.int64)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for place, (begin, end) in enumerate(zip(block.begin, block.end, strict=True)):
            values[place], counted = _forecast_series(plan, block.y[begin:end])
            counts += counted
    return values, counts


def _forecast_series(plan: Plan, y: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Forecast (H, Q) of one history and what was counted."""
    history, filled = _fill(y)
    window_size, shorter = plan.window_size, False
    if window_size is not None:
        steps = plan.season_length if METHODS[plan.method].seasonal else 1
        window_size = min(window_size, len(history) // steps)
        shorter = 0 < window_size < (plan.window_size or 0)
    intervals = METHODS[plan.method].intervals
    levels = _levels(plan.quantiles) if intervals else {}
    for rank, method in enumerate((plan.method, "SeasonalNaive", "Naive") if len(history) else ()):
        # statsforecast's errors on short series are of many kinds (IndexError, ZeroDivisionError,
        # Exception), and what is too short differs from method to method
        with suppress(Exception):
            model = _model(method, plan.season_length, window_size)
            made = model.forecast(
                y=history, h=plan.horizon, level=sorted(set(levels.values())) or None
            )
            values = _columns(made, plan.quantiles, levels)
            asked = values if intervals else values[:, [plan.quantiles.index(0.5)]]
            if np.isfinite(asked).all():
                return values, (1, filled, int(shorter and rank == 0), int(rank > 0), 0)
    values = np.full((plan.horizon, len(plan.quantiles)), np.nan)
    values[:, slice(None) if intervals else plan.quantiles.index(0.5)] = 0.0
    return values, (1, filled, 0, 0, 1)


def _fill(y: np.ndarray) -> tuple[np.ndarray, int]:
    """The history from its first known step on, without gaps, and how many steps were filled."""
    known = np.flatnonzero(~np.isnan(y))
    if not len(known):
        return np.zeros(0), 0
    steps = np.arange(known[0], len(y))
    return np.interp(steps, known, y[known].astype(np.float64)), len(steps) - len(known)


def _levels(quantiles: tuple[float, ...]) -> dict[float, float]:
    """Quantile to the level, in percent, of the interval that it ends."""
    levels = {q: round(100 * abs(2 * q - 1), 6) for q in quantiles if q != 0.5}
    return {q: int(level) if level == int(level) else level for q, level in levels.items()}


def _columns(
    made: dict[str, np.ndarray], quantiles: tuple[float, ...], levels: dict[float, float]
) -> np.ndarray:
    """The mean and the intervals that statsforecast gave as quantiles, (H, Q)."""
    names = {q: f"{'lo' if q < 0.5 else 'hi'}-{level}" for q, level in levels.items()} | {
        0.5: "mean"
    }
    unknown = np.full_like(made["mean"], np.nan)
    return np.stack([made[names[q]] if q in names else unknown for q in quantiles], axis=1)


def _model(method: str, season_length: int, window_size: int | None) -> Any:
    settings = METHODS[method]
    arguments = {"season_length": season_length} if settings.seasonal else {}
    if settings.windowed and window_size is not None:
        arguments["window_size"] = window_size
    return getattr(_statsforecast().models, method)(**arguments)


def _statsforecast() -> Any:
    try:
        import statsforecast.models
    except ImportError as error:
        raise ConfigError(
            "the statistical methods need the package statsforecast: pip install '.[train]'"
        ) from error
    return statsforecast


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
