"""Forecasts of a phase and what they are worth."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from recsys.data.panel import SalesPanel
from recsys.data.report import PanelReport
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.errors import TrainingError
from recsys.evaluation import backtest
from recsys.evaluation.backtest import forecast_phase, forecast_table, judge
from recsys.models.forecaster import Window
from recsys.models.forecasters.statistical import StatsForecastModel

POINT = (0.5,)
THREE = (0.1, 0.5, 0.9)
NAN = float("nan")
DAY = 86_400


class LastValue(nn.Module):
    """Forecasts the last value, and the index and start of the series as its other quantiles."""

    num_covariates, history_length, step = 0, 4, "day"
    quantiles = THREE

    def __init__(self, num_series: int, horizon: int) -> None:
        super().__init__()
        self.num_series, self.horizon = num_series, horizon
        self.asked: list[int] = []

    def forward(self, window: Window) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.asked.append(len(window.series))
        assert window.history.shape[1] == self.history_length
        told = [window.series.float(), window.history[:, -1], (window.start // DAY).float()]
        return torch.stack(told, dim=1).unsqueeze(1).expand(-1, self.horizon, -1)


def panel_of(
    *series: list[float] | np.ndarray, step: str = "day", season: int | None = None
) -> SalesPanel:
    y = np.concatenate(series).astype(np.float32)
    indptr = np.cumsum([0, *map(len, series)])
    names = np.array([f"s{place}" for place in range(len(series))], dtype=object)
    start = DAY * np.arange(len(series), dtype=np.int64)
    nothing = np.zeros((len(y), 0), dtype=np.float32)
    report = PanelReport("test")
    return SalesPanel(names, start, indptr, y, nothing, (), step, "UTC", report, seasonality=season)


def phase_of(
    *origin: list[int], horizon: int = 2, fit_until: list[int] | None = None
) -> ForecastPhase:
    origins = np.array(origin)
    fitted = np.maximum(origins[0], 0) if fit_until is None else np.array(fit_until)
    return ForecastPhase("test-1", fitted, origins, horizon)


def repeated(phase: ForecastPhase, *values: list[float]) -> np.ndarray:
    """The same forecast at every step: values[window][series] -> (W, S, H, 1)."""
    whole = np.repeat(np.array(values, dtype=np.float32)[:, :, None], phase.horizon, axis=2)
    return np.where(phase.origin[:, :, None] >= 0, whole, np.nan)[..., None].astype(np.float32)


# two series, two windows each of two steps
PANEL = panel_of([1, 3, 1, 3, 2, 4, 6, 2], [5, 5, 6, 5, 5, 0, 0, 9], season=2)
PHASE = phase_of([4, 4], [6, 6])
FORECAST = repeated(PHASE, [3, 4], [5, 10])


def test_network_is_asked_in_blocks_and_answers_in_place() -> None:
    panel = panel_of(np.arange(10.0), np.arange(100.0, 106.0), np.arange(200.0, 210.0))
    phase = phase_of([8, 2, -1], [9, 3, 5], fit_until=[8, 0, 0])
    model = LastValue(3, 2).train()
    forecast = forecast_phase(model, panel, phase, block=2)
    assert model.asked == [2, 2, 1]
    assert forecast.shape == (2, 3, 2, 3)
    assert forecast.dtype == np.float32
    assert forecast[0, :, 0, 1].tolist() == pytest.approx([7, 101, NAN], nan_ok=True)
    assert forecast[1, :, 1, 1].tolist() == [8, 102, 204]
    # the second series was not fitted, nor the third, of which nothing lay before the first origin
    assert forecast[1, :, 0, 0].tolist() == [0, 3, 3]
    assert forecast[1, :, 0, 2].tolist() == [0 + 9 - 4, 1 + 3 - 4, 2 + 5 - 4]


def test_statistical_method_is_asked_as_it_is(
    tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path))
    forecast = forecast_phase(StatsForecastModel("Naive"), PANEL, PHASE, quantiles=THREE)
    assert forecast.shape == (2, 2, 2, 3)
    assert forecast[:, :, 0, 1].tolist() == [[3, 5], [4, 0]]


def test_forecast_that_is_no_number_is_told() -> None:
    panel = panel_of([1.0, NAN, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0])
    with pytest.raises(TrainingError, match=r"1 of 2 forecasts are NaN or infinite \(.*'s0'\)"):
        forecast_phase(LastValue(2, 2), panel, phase_of([2, 2]))


def test_phase_that_asks_nothing_has_no_forecast() -> None:
    nothing = ForecastPhase("full_data", np.ones(2), np.empty((0, 2), dtype=np.int64), 2)
    assert forecast_phase(LastValue(2, 2), PANEL, nothing).shape == (0, 2, 2, 3)


def test_metrics_are_means_over_windows() -> None:
    metrics = judge(PANEL, [PHASE], [FORECAST], POINT).metrics
    # truths 2 4 | 5 0, then 6 2 | 0 9
    first = (1 + 1 + 1 + 4) / (2 + 4 + 5 + 0)
    second = (1 + 3 + 10 + 1) / (6 + 2 + 0 + 9)
    assert metrics["windows/1/wape"] == pytest.approx(first)
    assert metrics["windows/2/wape"] == pytest.approx(second)
    assert metrics["wape"] == pytest.approx((first + second) / 2)
    assert metrics["windows/1/bias"] == pytest.approx((1 - 1 - 1 + 4) / 11)
    # seasonal differences: none, then 1 1 | 1 0, then those and 1 1 | 1 5: the first series has no
    # scale in the first window
    assert metrics["windows/1/mase"] == pytest.approx(2.5 / (1 / 2))
    assert metrics["windows/2/mase"] == pytest.approx((2 / (2 / 4) + 5.5 / (7 / 4)) / 2)
    rmsse = [(5 / (2 / 4)) ** 0.5, (50.5 / (27 / 4)) ** 0.5]
    assert metrics["windows/2/rmsse"] == pytest.approx(sum(rmsse) / 2)
    # by the sales of the two steps before: 2 + 4 and 5 + 0
    assert metrics["windows/2/weighted_rmsse"] == pytest.approx((6 * rmsse[0] + 5 * rmsse[1]) / 11)
    assert metrics["series"] == 2
    assert metrics["forecasts"] == 4
    assert metrics["windows/2/forecasts"] == 2
    assert metrics["series_without_scale"] == 1
    assert metrics["series_without_sales"] == 0


def test_phases_are_judged_as_their_windows_together() -> None:
    phases = [phase_of([4, 4]), phase_of([6, 6])]
    apart = judge(PANEL, phases, [FORECAST[:1], FORECAST[1:]], POINT)
    together = judge(PANEL, [PHASE], [FORECAST], POINT)
    assert apart.metrics == pytest.approx(together.metrics)
    assert apart.by_horizon == together.by_horizon
    pd.testing.assert_frame_equal(apart.per_series, together.per_series)


def test_rows_of_series_say_what_was_judged() -> None:
    rows = judge(PANEL, [PHASE], [FORECAST], POINT).per_series
    assert rows["series_id"].tolist() == ["s0", "s1"] * 2
    assert rows["window"].tolist() == [1, 1, 2, 2]
    assert rows["num_steps"].tolist() == [2] * 4
    assert rows["sum_y"].tolist() == [6, 5, 8, 9]
    assert rows["wape"].tolist() == pytest.approx([2 / 6, 5 / 5, 4 / 8, 11 / 9])
    assert rows["mase"].tolist() == pytest.approx([NAN, 5, 4, 22 / 7], nan_ok=True)
    expected = ["series_id", "window", "num_steps", "intermittent", "short", "new", "sum_y"]
    assert rows.columns[:7].tolist() == expected
    assert {rows[name].dtype for name in ("intermittent", "short", "new")} == {np.dtype(bool)}
    assert rows["window"].dtype == rows["num_steps"].dtype == np.int64


def test_steps_of_the_horizon_are_means_over_windows() -> None:
    by_horizon = judge(PANEL, [PHASE], [FORECAST], POINT).by_horizon
    # |e| of both series / y of both, step by step, of two windows
    assert by_horizon["wape"] == pytest.approx([(2 / 7 + 11 / 6) / 2, (5 / 4 + 4 / 11) / 2])
    assert by_horizon["bias"] == pytest.approx([(0 / 7 + 9 / 6) / 2, (3 / 4 + 4 / 11) / 2])


def test_truth_beyond_the_end_of_a_series_is_not_judged() -> None:
    phase = phase_of([7, -1], [8, 7])
    forecast = repeated(phase, [4, 0], [1, 10])
    result = judge(PANEL, [phase], [forecast], POINT)
    assert result.per_series["series_id"].tolist() == ["s0", "s1"]
    assert result.per_series["num_steps"].tolist() == [1, 1]
    assert result.metrics["wape"] == pytest.approx((2 / 2 + 1 / 9) / 2)
    assert result.metrics["forecasts"] == 2
    assert result.by_horizon["wape"] == [pytest.approx((2 / 2 + 1 / 9) / 2), None]
    json.dumps(result.by_horizon, allow_nan=False)


def test_window_without_truth_leaves_the_mean() -> None:
    phase = phase_of([6, 6], [8, 8])
    metrics = judge(PANEL, [phase], [repeated(phase, [5, 10], [1, 1])], POINT).metrics
    assert metrics["wape"] == metrics["windows/1/wape"]
    assert "windows/2/wape" not in metrics
    assert metrics["windows/2/forecasts"] == 0


def test_undefined_metrics_are_left_out() -> None:
    forecast = np.full((2, 2, 2, 3), np.nan, dtype=np.float32)
    forecast[..., 1:2] = FORECAST
    result = judge(PANEL, [PHASE], [forecast], THREE)
    assert not {"coverage_80", "pinball", "pinball_scaled"} & set(result.metrics)
    assert not {"coverage_80", "pinball"} & set(result.by_horizon)
    assert result.metrics["wape"] > 0
    assert np.isfinite(list(result.metrics.values())).all()


def test_series_without_sales_are_counted() -> None:
    panel = panel_of([1, 2, 3, 0, 0], [1, 2, 3, 0, 1], season=1)
    phase = phase_of([3, 3])
    metrics = judge(panel, [phase], [repeated(phase, [1, 1])], POINT).metrics
    assert metrics["series_without_sales"] == 1
    assert metrics["wape"] == pytest.approx((1 + 1 + 1 + 0) / 1)


def slices_of(panel: SalesPanel, phase: ForecastPhase) -> list[str]:
    """Slices of the last series, which stands beside one of every kind's opposite."""
    forecast = repeated(phase, *np.ones(phase.origin.shape))
    rows = judge(panel, [phase], [forecast], POINT).per_series.set_index("series_id")
    flags = rows[["intermittent", "short", "new"]]
    assert not flags.loc["s0"].any()
    return flags.columns[flags.loc[panel.series_ids[-1]]].tolist()


def test_series_that_sells_now_and_then_is_intermittent() -> None:
    usual = np.ones(40)
    # 33 steps: 25 sales are 1.32 steps apart, 24 more
    often, seldom = np.ones(40), np.ones(40)
    often[:8], seldom[:9] = 0, 0
    for last, expected in ((often, []), (seldom, ["intermittent"]), (usual * 0, ["intermittent"])):
        assert slices_of(panel_of(usual, last), phase_of([33, 33])) == expected


def test_sales_after_the_origin_do_not_count_for_slices() -> None:
    later = np.concatenate([np.tile([0.0, 1.0], 10), np.ones(30)])
    assert slices_of(panel_of(np.ones(50), later), phase_of([20, 20])) == ["intermittent"]


def test_series_of_less_than_two_seasons_or_horizons_is_short() -> None:
    panel = panel_of(np.ones(70), np.ones(70))
    assert slices_of(panel, phase_of([14, 14])) == []
    assert slices_of(panel, phase_of([14, 13])) == ["short"]
    assert slices_of(panel, phase_of([40, 40], horizon=20)) == []
    assert slices_of(panel, phase_of([40, 39], horizon=20)) == ["short"]


def test_series_of_weeks_is_short_under_a_year() -> None:
    panel = panel_of(np.ones(70), np.ones(70), step="week")
    assert slices_of(panel, phase_of([52, 52])) == []
    assert slices_of(panel, phase_of([52, 51])) == ["short"]


def test_series_of_months_is_short_under_a_year() -> None:
    panel = panel_of(np.ones(30), np.ones(30), step="month")
    assert slices_of(panel, phase_of([12, 12])) == []
    assert slices_of(panel, phase_of([12, 11])) == ["short"]


def test_table_of_months_names_their_first_days() -> None:
    panel, phase = panel_of(np.ones(40), step="month"), phase_of([13], horizon=3)
    table = forecast_table(panel, [phase], [repeated(phase, [1])], POINT)
    found = table["timestamp"].to_numpy().astype("datetime64[D]").astype(str)
    assert found.tolist() == ["1971-02-01", "1971-03-01", "1971-04-01"]


def test_series_that_was_hardly_fitted_is_new() -> None:
    panel = panel_of(np.ones(70), np.ones(70))
    for fit_until, expected in (([20, 2], []), ([20, 1], ["new"]), ([20, 0], ["new"])):
        assert slices_of(panel, phase_of([20, 20], fit_until=fit_until)) == expected


def test_slices_have_metrics_of_their_own() -> None:
    panel = panel_of(np.ones(40), np.tile([0.0, 2.0], 20), np.tile([0.0, 2.0], 20))
    phase = phase_of([20, 20, -1], [30, 30, 30])
    metrics = judge(panel, [phase], [repeated(phase, [1, 2, 0], [1, 2, 2])], POINT).metrics
    assert metrics["slices/intermittent/wape"] == pytest.approx(1)
    assert metrics["wape"] == pytest.approx((2 / 4 + 4 / 6) / 2)
    assert metrics["slices/intermittent/forecasts"] == 3
    assert metrics["slices/intermittent/series"] == 2
    # the third series was not fitted, and is asked in the second window alone
    assert metrics["slices/new/wape"] == pytest.approx(1)
    assert metrics["slices/new/forecasts"] == 1
    assert not any(name.startswith("slices/short") for name in metrics)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    panel = panel_of(*(rng.poisson(1, size).astype(float) for size in range(30, 40)))
    phase = phase_of([20] * 10, [25] * 9 + [-1], horizon=4)
    forecast = np.sort(rng.random((2, 10, 4, 3)), axis=3).astype(np.float32)
    whole = judge(panel, [phase], [forecast], THREE)
    monkeypatch.setattr(backtest, "BLOCK", 3)
    parts = judge(panel, [phase], [forecast], THREE)
    assert parts.metrics == pytest.approx(whole.metrics)
    pd.testing.assert_frame_equal(parts.per_series, whole.per_series)
    for name, values in parts.by_horizon.items():
        assert values == pytest.approx(whole.by_horizon[name])


def test_table_has_a_row_for_every_step_asked() -> None:
    phase = phase_of([4, -1], [7, 6])
    forecast = np.arange(24, dtype=np.float32).reshape(2, 2, 2, 3)
    table = forecast_table(PANEL, [phase], [forecast], THREE)
    expected = ["series_id", "window", "timestamp", "y", "0.1", "0.5", "0.9"]
    assert table.columns.tolist() == expected
    assert table["series_id"].tolist() == ["s0", "s0", "s0", "s0", "s1", "s1"]
    assert table["window"].tolist() == [1, 1, 2, 2, 2, 2]
    assert table["timestamp"].dtype == "datetime64[s]"
    days = ["1970-01-05", "1970-01-06", "1970-01-08", "1970-01-09", "1970-01-08", "1970-01-09"]
    assert table["timestamp"].dt.strftime("%Y-%m-%d").tolist() == days
    assert table["y"].tolist() == pytest.approx([2, 4, 2, NAN, 0, 9], nan_ok=True)
    assert table["0.5"].tolist() == [1, 4, 13, 16, 19, 22]
    assert table["0.9"].tolist() == [2, 5, 14, 17, 20, 23]
