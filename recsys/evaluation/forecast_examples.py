"""A few series to look at: what was sold, what was forecast, what was then sold."""

from typing import TypedDict

import numpy as np

from recsys.data.panel import SalesPanel
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.evaluation.backtest import QUANTILES, judge
from recsys.steps import later

KINDS = ("best", "median", "worst")


class Steps(TypedDict, total=False):
    """Values from `start` on, in local wall-clock seconds; null where missing."""

    start: int
    y: list[float | None]


class SeriesExample(TypedDict, total=False):
    """An entry of a forecaster's examples.json; `forecast` by level, `baselines` by name."""

    series_id: str
    name: str
    kind: str
    wape: float
    window: int
    step: str
    history: Steps
    actual: list[float | None]
    forecast: dict[str, list[float | None]]
    baselines: dict[str, list[float | None]]


def example_series(
    panel: SalesPanel,
    phase: ForecastPhase,
    forecast: np.ndarray,
    quantiles: tuple[float, ...] = QUANTILES,
    baselines: dict[str, np.ndarray] | None = None,
    count: int = 2,
    window: int | None = None,
) -> list[SeriesExample]:
    """Series whose last window was forecast best, middling and worst by WAPE, out of the half that
    sells most in it.

    Args:
        panel, phase: what was forecast.
        forecast: (W, S, H, Q), in units of y.
        quantiles: levels of the forecasts.
        baselines: name to forecasts to draw beside it, (W, S, H, Q).
        count: series of each kind; fewer where there are not as many.
        window: number of the last window among those of all phases; None: W.

    Returns:
        What examples.json holds: the history is three horizons long, unknown values are None.
    """
    last = ForecastPhase(phase.name, phase.fit_until, phase.origin[-1:], phase.horizon)
    rows = judge(panel, [last], [forecast[-1:]], quantiles).per_series
    rows = rows[rows["wape"].notna()]
    rows = rows[rows["sum_y"] >= rows["sum_y"].median()].sort_values("wape", kind="stable")
    number = len(phase.origin) if window is None else window
    median = quantiles.index(0.5)

    def example(row: int, kind: str) -> SeriesExample:
        series_id = str(rows["series_id"].iloc[row])
        series = int(np.flatnonzero(panel.series_ids == series_id)[0])
        origin = int(phase.origin[-1, series])
        first = max(origin - 3 * phase.horizon, 0)
        y = panel.y[panel.indptr[series] : panel.indptr[series + 1]]
        actual = np.full(phase.horizon, np.nan)
        known = y[origin : origin + phase.horizon]
        actual[: len(known)] = known
        return {
            "series_id": series_id,
            "name": panel.series_names.get(series_id, series_id),
            "kind": kind,
            "wape": float(rows["wape"].iloc[row]),
            "window": number,
            "step": panel.step,
            "history": {
                "start": int(later(panel.start[series], first, panel.step)),
                "y": _plain(y[first:origin]),
            },
            "actual": _plain(actual),
            "forecast": {
                str(level): _plain(forecast[-1, series, :, index])
                for index, level in enumerate(quantiles)
            },
            "baselines": {
                name: _plain(values[-1, series, :, median])
                for name, values in (baselines or {}).items()
            },
        }

    return [example(row, kind) for row, kind in _choose(len(rows), count)]


def _choose(num_rows: int, count: int) -> list[tuple[int, str]]:
    """Places of the best, middling and worst rows of an ascending order, none twice."""
    middle = (num_rows - count) // 2
    groups = (
        range(count),
        range(middle, middle + count),
        range(num_rows - count, num_rows),
    )
    chosen: dict[int, str] = {}
    # the ends are told first where there are too few rows for three kinds
    for kind in ("best", "worst", "median"):
        for row in groups[KINDS.index(kind)]:
            if 0 <= row < num_rows:
                chosen.setdefault(row, kind)
    return sorted(chosen.items())


def _plain(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(f"{value:.6g}") for value in values]
