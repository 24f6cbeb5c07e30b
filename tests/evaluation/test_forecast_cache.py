"""Forecasts on disk: read again, told apart by all they depend on, repaired where damaged."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.data.panel import SalesPanel
from recsys.data.report import PanelReport
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.errors import ConfigError
from recsys.evaluation.forecast_cache import cached_forecast
from recsys.models.forecasters.statistical import StatsForecastModel

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


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


def test_forecast_is_kept_and_read_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panel, phase = panel_of(weekly(8), [1.0]), phase_of([56, 1])
    first = StatsForecastModel("SeasonalNaive")
    made = cached_forecast(first, panel, phase, QUANTILES)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(StatsForecastModel, "_compute", None)
    again = StatsForecastModel("SeasonalNaive")
    np.testing.assert_array_equal(cached_forecast(again, panel, phase, QUANTILES), made)
    assert again.counts == first.counts
    assert again.counts["fallback"] == 1
    assert again.seconds == first.seconds > 0


def test_every_setting_and_value_makes_a_forecast_of_its_own(cache: Path) -> None:
    y = weekly(8)
    changed = y.copy()
    changed[3] += 1
    cases = [
        (StatsForecastModel("SeasonalNaive"), panel_of(y), phase_of([40]), QUANTILES),
        (
            StatsForecastModel("SeasonalNaive"),
            replace(panel_of(y), seasonality=6),
            phase_of([40]),
            QUANTILES,
        ),
        (
            StatsForecastModel("SeasonalNaive", max_history=20),
            panel_of(y),
            phase_of([40]),
            QUANTILES,
        ),
        (StatsForecastModel("SeasonalNaive"), panel_of(y, step="hour"), phase_of([40]), QUANTILES),
        (StatsForecastModel("SeasonalNaive"), panel_of(changed), phase_of([40]), QUANTILES),
        (StatsForecastModel("SeasonalNaive"), panel_of(y), phase_of([41]), QUANTILES),
        (StatsForecastModel("SeasonalNaive"), panel_of(y), phase_of([40], horizon=4), QUANTILES),
        (StatsForecastModel("SeasonalNaive"), panel_of(y), phase_of([40]), (0.1, 0.5, 0.9)),
        (StatsForecastModel("Naive"), panel_of(y), phase_of([40]), QUANTILES),
        (
            StatsForecastModel("WindowAverage", window_size=2),
            panel_of(y),
            phase_of([40]),
            QUANTILES,
        ),
        (
            StatsForecastModel("WindowAverage", window_size=3),
            panel_of(y),
            phase_of([40]),
            QUANTILES,
        ),
    ]
    for count, (model, panel, phase, quantiles) in enumerate(cases, 1):
        cached_forecast(model, panel, phase, quantiles)
        assert len(list(cache.iterdir())) == count


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 torn", b"no archive at all"])
def test_damaged_cache_is_written_anew(cache: Path, damage: bytes) -> None:
    panel, phase = panel_of(weekly(8)), phase_of([56])
    made = cached_forecast(StatsForecastModel("SeasonalNaive"), panel, phase, QUANTILES)
    (file,) = cache.iterdir()
    whole = file.stat().st_size
    file.write_bytes(damage)
    again = cached_forecast(StatsForecastModel("SeasonalNaive"), panel, phase, QUANTILES)
    np.testing.assert_array_equal(again, made)
    assert list(cache.iterdir()) == [file]
    assert abs(file.stat().st_size - whole) < 20


def test_torn_cache_is_written_anew(cache: Path) -> None:
    panel, phase = panel_of(weekly(8)), phase_of([56])
    made = cached_forecast(StatsForecastModel("SeasonalNaive"), panel, phase, QUANTILES)
    (file,) = cache.iterdir()
    kept = bytearray(file.read_bytes())
    kept[len(kept) // 3] ^= 0xFF  # a flipped bit inside the archive
    file.write_bytes(kept)
    again = cached_forecast(StatsForecastModel("SeasonalNaive"), panel, phase, QUANTILES)
    np.testing.assert_array_equal(again, made)


def test_cache_of_another_shape_is_written_anew(cache: Path) -> None:
    panel, phase = panel_of(weekly(8)), phase_of([56])
    made = cached_forecast(StatsForecastModel("SeasonalNaive"), panel, phase, QUANTILES)
    (file,) = cache.iterdir()
    with np.load(file) as kept:
        about = kept["about"]
    np.savez(file, forecast=np.zeros((1, 1, 5), dtype=np.float32), about=about)
    again = cached_forecast(StatsForecastModel("SeasonalNaive"), panel, phase, QUANTILES)
    np.testing.assert_array_equal(again, made)


def test_nothing_is_left_of_a_file_that_could_not_be_written(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space left"):
        cached_forecast(StatsForecastModel("Naive"), panel_of([1.0]), phase_of([1]), QUANTILES)
    assert list(cache.iterdir()) == []


def test_cache_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="set RECSYS_CACHE to a folder"):
        cached_forecast(StatsForecastModel("Naive"), panel_of([1.0]), phase_of([1]), QUANTILES)
