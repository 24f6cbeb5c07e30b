"""Series to look at."""

import json
from dataclasses import replace

import numpy as np
import pytest

from recsys.data.panel import SalesPanel
from recsys.data.report import PanelReport
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.evaluation.forecast_examples import example_series

DAY = 86_400
QUANTILES = (0.1, 0.5, 0.9)


def panel_of(sales: list[float], steps: int = 20) -> SalesPanel:
    """Series that sell the same every day."""
    y = np.repeat(np.array(sales, dtype=np.float32), steps)
    names = np.array([f"s{place}" for place in range(len(sales))], dtype=object)
    indptr = steps * np.arange(len(sales) + 1)
    start = np.full(len(sales), 3 * DAY)
    nothing = np.zeros((len(y), 0), dtype=np.float32)
    return SalesPanel(names, start, indptr, y, nothing, (), "day", "UTC", PanelReport("test"))


def phase_of(*origin: list[int]) -> ForecastPhase:
    origins = np.array(origin)
    return ForecastPhase("test-1", np.maximum(origins[0], 0), origins, 4)


def forecast_of(panel: SalesPanel, phase: ForecastPhase, off: list[float]) -> np.ndarray:
    """Off by a share of the sales, in the last window; the others are far off."""
    forecast = np.full((*phase.origin.shape, 4, 3), 1e6, dtype=np.float32)
    sales = panel.y[panel.indptr[:-1]]
    forecast[-1] = (sales * (1 + np.array(off)))[:, None, None] + np.array([-1, 0, 1])
    return forecast


def test_best_middling_and_worst_of_the_last_window_are_chosen() -> None:
    panel = panel_of([100.0] * 9)
    phase = phase_of([10] * 9, [14] * 9)
    off = [0.9, 0.1, 0.5, 0.2, 0.8, 0.3, 0.6, 0.4, 0.7]
    chosen = example_series(panel, phase, forecast_of(panel, phase, off), QUANTILES)
    # the middle two of nine stand at places 3 and 4
    assert [(row["series_id"], row["kind"]) for row in chosen] == [
        ("s1", "best"),
        ("s3", "best"),
        ("s7", "median"),
        ("s2", "median"),
        ("s4", "worst"),
        ("s0", "worst"),
    ]
    assert [row["wape"] for row in chosen] == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.8, 0.9])
    assert {row["window"] for row in chosen} == {2}


def test_series_that_hardly_sell_are_not_drawn() -> None:
    panel = panel_of([1.0, 100.0, 2.0, 100.0, 0.0, 100.0])
    phase = phase_of([14] * 6)
    off = [0.0, 0.1, 0.0, 0.2, 0.0, 0.3]
    forecast = forecast_of(panel, phase, off)
    chosen = example_series(panel, phase, forecast, QUANTILES, count=1)
    assert [row["series_id"] for row in chosen] == ["s1", "s3", "s5"]


def test_series_of_earlier_windows_alone_are_not_drawn() -> None:
    panel = panel_of([100.0, 100.0])
    phase = phase_of([10, 10], [14, -1])
    chosen = example_series(panel, phase, forecast_of(panel, phase, [0.1, 0.2]), QUANTILES)
    assert [row["series_id"] for row in chosen] == ["s0"]


@pytest.mark.parametrize(
    ("series", "kinds"),
    [
        (1, ["best"]),
        (3, ["best", "best", "worst"]),
        (5, ["best", "best", "median", "worst", "worst"]),
    ],
)
def test_no_series_is_drawn_twice(series: int, kinds: list[str]) -> None:
    panel = panel_of([100.0] * series)
    phase = phase_of([14] * series)
    forecast = forecast_of(panel, phase, [0.1 * place for place in range(series)])
    chosen = example_series(panel, phase, forecast, QUANTILES)
    assert [row["series_id"] for row in chosen] == [f"s{place}" for place in range(series)]
    assert [row["kind"] for row in chosen] == kinds


def test_example_holds_what_a_picture_needs() -> None:
    panel = panel_of([100.0], steps=16)
    panel.y[3] = np.nan
    panel.y[15] = np.nan
    panel = replace(panel, series_names={"s0": "Soup"})
    phase = phase_of([14])
    forecast = forecast_of(panel, phase, [0.5])
    baseline = np.full((1, 1, 4, 3), np.nan, dtype=np.float32)
    baseline[..., 1] = 7
    (row,) = example_series(panel, phase, forecast, QUANTILES, {"auto_ets": baseline}, window=3)
    assert row == {
        "series_id": "s0",
        "name": "Soup",
        "kind": "best",
        "wape": 0.5,
        "window": 3,
        "step": "day",
        # three horizons of four steps
        "history": {"start": (3 + 2) * DAY, "y": [100.0, None] + [100.0] * 10},
        "actual": [100.0, None, None, None],
        "forecast": {"0.1": [149.0] * 4, "0.5": [150.0] * 4, "0.9": [151.0] * 4},
        "baselines": {"auto_ets": [7.0] * 4},
    }
    json.dumps(row, allow_nan=False)


def test_history_of_a_young_series_is_as_long_as_it_is() -> None:
    panel = panel_of([100.0, 100.0])
    phase = phase_of([5, 14])
    rows = example_series(panel, phase, forecast_of(panel, phase, [0.1, 0.2]), QUANTILES)
    assert [len(row["history"]["y"]) for row in rows] == [5, 12]
    assert rows[0]["history"]["start"] == 3 * DAY


def test_nothing_to_draw_is_an_empty_list() -> None:
    panel = panel_of([0.0, 100.0])
    phase = phase_of([14, -1])
    assert example_series(panel, phase, forecast_of(panel, phase, [0, 0]), QUANTILES) == []
