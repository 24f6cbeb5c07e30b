"""statsforecast's methods on panels."""

import warnings

import numpy as np
import pytest

from recsys.data.panel import SalesPanel
from recsys.data.report import PanelReport
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.errors import ConfigError
from recsys.models.forecasters.statistical import METHODS, StatsForecastModel

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
POINT = QUANTILES.index(0.5)
INTERVALS = [name for name, method in METHODS.items() if method.intervals]
OTHERS = [name for name, method in METHODS.items() if not method.intervals]
NAN = float("nan")


def panel_of(*series: list[float] | np.ndarray, step: str = "day") -> SalesPanel:
    y = np.concatenate(series).astype(np.float32)
    indptr = np.cumsum([0, *map(len, series)])
    names = np.array([f"s{place}" for place in range(len(series))], dtype=object)
    start = np.zeros(len(series), dtype=np.int64)
    nothing = np.zeros((len(y), 0), dtype=np.float32)
    return SalesPanel(names, start, indptr, y, nothing, (), step, "UTC", PanelReport("test"))


def phase_of(*origin: list[int], horizon: int = 3) -> ForecastPhase:
    origins = np.array(origin)
    return ForecastPhase("test-1", np.maximum(origins[0], 0), origins, horizon)


def weekly(weeks: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.tile(np.arange(1.0, 8.0), weeks) + rng.normal(0, 0.3, 7 * weeks)


def settings_of(method: str) -> dict[str, int]:
    return {"window_size": 2} if METHODS[method].windowed else {}


def test_seasonal_naive_repeats_the_last_season_before_each_origin() -> None:
    y = np.arange(40.0)
    forecast = StatsForecastModel("SeasonalNaive").forecast(
        panel_of(y, y + 100), phase_of([14, 30], [21, -1], horizon=9), QUANTILES
    )
    assert forecast.shape == (2, 2, 9, 5)
    assert forecast.dtype == np.float32
    assert forecast[0, 0, :, POINT].tolist() == [*range(7, 14), 7, 8]
    assert forecast[0, 1, :, POINT].tolist() == [*range(123, 130), 123, 124]
    assert forecast[1, 0, :, POINT].tolist() == [*range(14, 21), 14, 15]
    assert np.isnan(forecast[1, 1]).all()


def test_weekday_mean_is_the_mean_of_the_same_weekday() -> None:
    y = np.concatenate([np.full(7, 1000.0), np.arange(7.0), np.arange(7.0) + 10])
    model = StatsForecastModel("SeasonalWindowAverage", season_length=7, window_size=2)
    forecast = model.forecast(panel_of(y), phase_of([21]), QUANTILES)
    assert forecast[0, 0, :, POINT].tolist() == [5, 6, 7]
    assert model.counts["shorter_window"] == 0


def test_window_longer_than_the_history_takes_what_there_is() -> None:
    model = StatsForecastModel("SeasonalWindowAverage", season_length=2, window_size=8)
    forecast = model.forecast(
        panel_of([1.0, 2.0, 3.0, 4.0, 5.0], [1.0]), phase_of([5, 1], horizon=2), QUANTILES
    )
    # two whole seasons of the last four steps; one step is no season
    assert forecast[0, 0, :, POINT].tolist() == [(2 + 4) / 2, (3 + 5) / 2]
    assert forecast[0, 1, :, POINT].tolist() == [1, 1]
    assert model.counts["shorter_window"] == 1
    assert model.counts["fallback"] == 1
    model = StatsForecastModel("WindowAverage", window_size=8)
    forecast = model.forecast(panel_of([1.0, 2.0, 6.0]), phase_of([3]), QUANTILES)
    assert forecast[0, 0, :, POINT].tolist() == [3, 3, 3]


@pytest.mark.parametrize("method", INTERVALS)
def test_quantiles_ascend_around_the_point(method: str) -> None:
    model = StatsForecastModel(method)
    y = weekly(8)
    forecast = model.forecast(panel_of(y), phase_of([len(y)], horizon=7), QUANTILES)[0, 0]
    assert np.isfinite(forecast).all()
    assert (np.diff(forecast, axis=1) > 0).all()
    assert model.counts["fallback"] == 0


@pytest.mark.parametrize("method", OTHERS)
def test_method_without_intervals_gives_the_point_alone(method: str) -> None:
    model = StatsForecastModel(method, **settings_of(method))
    forecast = model.forecast(panel_of(weekly(8)), phase_of([56], horizon=7), QUANTILES)[0, 0]
    assert np.isfinite(forecast[:, POINT]).all()
    assert np.isnan(np.delete(forecast, POINT, axis=1)).all()
    assert model.counts["fallback"] == 0


def test_quantile_is_the_end_of_its_interval() -> None:
    rng = np.random.default_rng(0)
    walk = rng.normal(0, 1, 4_000).cumsum()
    forecast = StatsForecastModel("Naive").forecast(
        panel_of(walk), phase_of([4_000], horizon=1), (0.05, 0.5, 0.7)
    )[0, 0, 0]
    # steps of a normal walk with deviation 1: quantiles of the normal distribution
    assert (forecast - walk[-1]).tolist() == pytest.approx([-1.645, 0, 0.524], abs=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_short_and_constant_series_get_a_number(method: str) -> None:
    series = [[3.0], [3.0, 4.0], [1.0] * 6, [0.0] * 9, list(range(10)), [0.0] * 30, [2.0] * 30]
    model = StatsForecastModel(method, **settings_of(method))
    origin = [len(values) for values in series]
    forecast = model.forecast(panel_of(*series), phase_of(origin), QUANTILES)
    asked = forecast if METHODS[method].intervals else forecast[..., POINT]
    assert np.isfinite(asked).all()
    assert model.counts["forecasts"] == 7


def test_series_too_short_for_the_method_falls_back_and_is_counted() -> None:
    model = StatsForecastModel("AutoETS", season_length=2)
    forecast = model.forecast(
        panel_of(weekly(8), [1, 2, 5, 4], [7], []), phase_of([56, 4, 1, 0]), QUANTILES
    )
    # the last season again, of less the last value, of nothing 0
    assert forecast[0, 1, :, POINT].tolist() == [5, 4, 5]
    assert (np.diff(forecast[0, 1], axis=1) > 0).all()
    assert forecast[0, 2].tolist() == [[7.0] * 5] * 3
    assert forecast[0, 3].tolist() == [[0.0] * 5] * 3
    assert np.isfinite(forecast).all()
    assert model.counts["fallback"] == 2
    assert model.counts["zero"] == 1


def test_missing_steps_are_filled_and_counted() -> None:
    gaps = [NAN, NAN, 1.0, NAN, 3.0, NAN, NAN]
    model = StatsForecastModel("HistoricAverage")
    forecast = model.forecast(panel_of(gaps, [NAN] * 7), phase_of([7, 7]), QUANTILES)
    # from the first known step: 1, 2, 3, 3, 3
    assert forecast[0, 0, :, POINT] == pytest.approx(12 / 5)
    assert forecast[0, 1, :, POINT].tolist() == [0, 0, 0]
    assert model.counts["filled_steps"] == 3
    assert model.counts["zero"] == 1


def test_history_is_cut_to_its_maximum() -> None:
    model = StatsForecastModel("HistoricAverage", max_history=2)
    forecast = model.forecast(panel_of([9.0, 1.0, 3.0, 7.0], [5.0]), phase_of([3, 1]), QUANTILES)
    assert forecast[0, :, 0, POINT].tolist() == [2, 5]


def test_what_comes_after_the_origin_is_not_read() -> None:
    y, other = weekly(9), weekly(9)
    other[56:] = -1000
    model = StatsForecastModel("AutoTheta")
    one, two = (model.forecast(panel_of(z), phase_of([56]), QUANTILES) for z in (y, other))
    np.testing.assert_array_equal(one, two)


def test_season_is_that_of_the_step() -> None:
    y = np.arange(60.0)
    for step, first in {"hour": 36, "day": 53, "week": 8}.items():
        panel = panel_of(y, step=step)
        forecast = StatsForecastModel("SeasonalNaive").forecast(panel, phase_of([60]), QUANTILES)
        assert forecast[0, 0, 0, POINT] == first


def test_processes_change_no_number() -> None:
    panel = panel_of(*(weekly(5, seed) for seed in range(9)))
    phase = phase_of([35] * 9, [28] * 8 + [-1])
    made = []
    for jobs in (1, 2):
        made.append(StatsForecastModel("AutoTheta", jobs=jobs).forecast(panel, phase, QUANTILES))
    np.testing.assert_array_equal(*made)
    assert np.isnan(made[0][1, 8]).all()


@pytest.mark.parametrize("method", ["SeasonalNaive", "AutoTheta", "RandomWalkWithDrift"])
@pytest.mark.parametrize("jobs", [1, 2])
def test_nothing_is_printed_or_warned(
    method: str, jobs: int, capfd: pytest.CaptureFixture[str]
) -> None:
    panel = panel_of(*([[0.0] * 30, [1.0], [1.0, 2.0], [2.0] * 40] * 3))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        StatsForecastModel(method, jobs=jobs).forecast(
            panel, phase_of([30, 1, 2, 40] * 3), QUANTILES
        )
    assert [str(warning.message) for warning in warned] == []
    assert capfd.readouterr() == ("", "")


def test_phase_that_asks_nothing_is_empty() -> None:
    nothing = phase_of([-1])
    forecast = StatsForecastModel("AutoETS").forecast(panel_of([1.0, 2.0]), nothing, QUANTILES)
    assert forecast.shape == (1, 1, 3, 5)
    assert np.isnan(forecast).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "WindowAverage"}, "model.window_size=None: WindowAverage needs one"),
        ({"method": "AutoETS", "window_size": 8}, "model.window_size=8: AutoETS has none"),
    ],
)
def test_settings_that_do_not_fit_are_told(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        StatsForecastModel(**settings)


def test_seasons_of_a_method_that_knows_none_say_so():
    with pytest.raises(ConfigError, match="season_length=7 has no effect: CrostonSBA"):
        StatsForecastModel("CrostonSBA", season_length=7)
