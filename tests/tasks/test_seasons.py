"""One season for models, baselines, losses and metrics; what an experiment says of another one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys.config.composition import compose
from recsys.config.targets import Target
from recsys.data.panel import SalesPanel
from recsys.data.report import PanelReport
from recsys.errors import ConfigError
from recsys.inference import Forecaster, verify
from recsys.inference.batch.forecast import forecast_file
from recsys.tasks.lifecycle import export_run, load_run, run_training
from recsys.tasks.seasons import fit_seasons, with_settings

LSTM = "recsys.models.forecasters.lstm.LSTMForecaster"
SMALL = [
    "train.max_epochs=1",
    "loss.batches=3",
    "loss.batch_size=16",
    "model.hidden_size=4",
    "logger=none",
    "trainer.enable_progress_bar=false",
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))


def panel_of(length: int = 100, step: str = "day", season: int | None = None) -> SalesPanel:
    return SalesPanel(
        np.array(["a", "b"], dtype=object),
        np.zeros(2, dtype=np.int64),
        np.array([0, length, length + 30]),
        np.ones(length + 30, dtype=np.float32),
        np.zeros((length + 30, 0), dtype=np.float32),
        (),
        step,
        "UTC",
        PanelReport("sales.csv"),
        seasonality=season,
    )


def lstm(**settings: Any) -> Target:
    return Target(LSTM, {"lags": None, "seasons_averaged": 2} | settings)


def test_what_fits_stays_and_is_not_mentioned() -> None:
    for settings in ({}, {"lags": [1, 7], "seasons_averaged": [8, 14]}, {"seasons_averaged": 14}):
        fitted = fit_seasons(lstm(**settings), panel_of())
        assert (fitted.settings, fitted.warnings, fitted.decisions) == ({}, [], {})
    # two, as by default, are as many as there are
    assert fit_seasons(lstm(), panel_of(10)).settings == {}


def test_averages_for_other_lags_give_way() -> None:
    fitted = fit_seasons(lstm(seasons_averaged=[7, 3]), panel_of())
    assert fitted.settings == {"seasons_averaged": 2}
    (warning,) = fitted.warnings
    assert (
        "model.seasons_averaged=[7, 3] is for other seasons than 7 days: 2 are averaged" in warning
    )
    assert list(fitted.decisions.values()) == [2]


def test_lags_without_the_season_give_way_and_take_their_averages_along() -> None:
    model = lstm(lags=[1, 52], seasons_averaged=[8, 1])
    assert fit_seasons(model, panel_of(step="week")).settings == {}
    # of hours as many lags, but others
    fitted = fit_seasons(model, panel_of(1_000, step="hour"))
    assert fitted.settings == {"lags": None, "seasons_averaged": 2}
    assert (
        "lags=[1, 52] leaves out the season of 24 hours: the usual lags (24 and 168)"
        in fitted.warnings[0]
    )


def test_no_more_seasons_are_averaged_than_a_series_has() -> None:
    fitted = fit_seasons(lstm(seasons_averaged=20), panel_of(100))
    assert fitted.settings == {"seasons_averaged": 14}
    assert (
        "reaches 140 days back, and the longest series of sales.csv has 100" in fitted.warnings[0]
    )
    hours = fit_seasons(lstm(seasons_averaged=[7, 9]), panel_of(300, step="hour"))
    assert hours.settings == {"seasons_averaged": [7, 1]}


def test_members_of_an_ensemble_give_way_one_by_one() -> None:
    ensemble = Target(
        "recsys.models.forecasters.ensemble.ForecasterEnsemble",
        {
            "member": {"_target_": LSTM, "lags": [52], "seasons_averaged": 2},
            "members": [{"seasons_averaged": 4}, {"seasons_averaged": 20}],
        },
    )
    fitted = fit_seasons(ensemble, panel_of(100))
    assert fitted.settings == {"member.lags": None, "members.1.seasons_averaged": 14}
    used = with_settings(ensemble, fitted.settings).arguments
    assert used["member"] == {"_target_": LSTM, "lags": None, "seasons_averaged": 2}
    assert used["members"] == [{"seasons_averaged": 4}, {"seasons_averaged": 14}]
    assert ensemble.arguments["members"][1] == {"seasons_averaged": 20}


def test_a_calendar_of_days_gives_way_to_the_year_where_steps_are_months() -> None:
    model = lstm(calendar=["weekday", "month"])
    assert fit_seasons(model, panel_of()).settings == {}
    fitted = fit_seasons(model, panel_of(step="month"))
    assert fitted.settings == {"calendar": ["year"]}
    assert "reads weekday and month, by which whole months do not differ" in fitted.warnings[0]
    for settings, typed in ((["year"], []), ([], []), (["hour"], ["model.calendar=[hour]"])):
        assert not fit_seasons(lstm(calendar=settings), panel_of(step="month"), typed).settings


def test_what_was_typed_is_refused_and_not_replaced() -> None:
    typed = ["model.seasons_averaged=20"]
    with pytest.raises(ConfigError, match=r"averaged=20 reaches 140 days.*set .*averaged=14$"):
        fit_seasons(lstm(seasons_averaged=20), panel_of(100), typed)
    # the network says what is wrong
    for model, typed in (
        (lstm(seasons_averaged=[7, 3]), ["model.seasons_averaged=[7,3]"]),
        (lstm(lags=[1, 52]), ["model.lags=[1,52]"]),
    ):
        fitted = fit_seasons(model, panel_of(), typed)
        assert fitted.settings == {}
        with pytest.raises(ConfigError, match="one for each lag|leaves out the season of 7 days"):
            model.build(num_series=2, num_covariates=0, horizon=3, step="day", season=7)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("evaluation.seasonality=1", "evaluation.seasonality is not a setting; set data.seasonali"),
        ("model.season_length=1", "model.season_length is not a setting; set data.seasonality"),
    ],
)
def test_no_other_key_says_a_season(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        compose(["data=sales", "data.path=x", "data.step=day", "model=seasonal_naive", override])


def daily(folder: Path, days: int = 60) -> Path:
    """Series that repeat after three days, and not after a week."""
    dates = pd.date_range("2024-01-01", periods=days).astype(str)
    rows = [(name, date, [1.0, 5.0, 9.0][at % 3]) for name in "ab" for at, date in enumerate(dates)]
    path = folder / "daily.csv"
    pd.DataFrame(rows, columns=["series_id", "timestamp", "y"]).to_csv(path, index=False)
    return path


def trained(folder: Path, *overrides: str) -> dict[str, float]:
    """The metrics of a run in a folder of its own."""
    config = compose(["logger=none", *overrides])
    run = run_training(config, folder / f"run{len(list(folder.iterdir()))}")
    return json.loads((run / "metrics.json").read_text())


def test_one_setting_decides_the_season_of_models_baselines_and_metrics(tmp_path: Path) -> None:
    data = ["data=sales", f"data.path={daily(tmp_path)}", "data.step=day", "model=seasonal_naive"]
    how = ["evaluation.split.horizon=3", "evaluation.baselines=[seasonal_mean]"]
    week = trained(tmp_path, *data, *how)
    assert week["test/wape"] > 0
    assert week["test/mase"] == pytest.approx(1, abs=0.05)  # it errs as its season did before
    three = trained(tmp_path, *data, *how, "data.seasonality=3")
    assert three["test/wape"] == 0
    assert three["test/baselines/seasonal_mean/wape"] == 0
    assert "test/mase" not in three  # a history that repeats itself has no scale
    one = trained(tmp_path, *data, *how, "data.seasonality=1")
    assert one["test/wape"] != week["test/wape"]


@pytest.mark.slow
def test_an_experiment_of_hours_runs_on_days_and_its_bundle_has_what_was_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["experiment=m4_hourly_lstm", "data=sales", f"data.path={daily(tmp_path)}"]
    overrides += ["data.step=day", "evaluation.split.horizon=3", "model.context_length=7", *SMALL]
    run = run_training(compose(overrides), tmp_path / "run")
    said = " ".join(capsys.readouterr().err.split())
    assert "warning: model.seasons_averaged=[7, 3] is for other seasons than 7 days" in said
    report = json.loads((run / "data_report.json").read_text())
    assert any("model.seasons_averaged=[7, 3]" in decision for decision in report["decisions"])
    assert "for other seasons than 7 days" in (run / "report.html").read_text()
    model, _ = load_run(run)
    assert model.history_length == 7 + 2 * 7
    verify(export_run(run, tmp_path / "bundle"))


def test_months_go_from_the_table_to_forecasts_of_the_next_ones(tmp_path: Path) -> None:
    months = pd.date_range("2019-01-31", periods=60, freq="ME")
    rows = [
        (name, str(date.date()), size * (2 + np.sin(at * np.pi / 6)))
        for name, size in (("a", 10.0), ("b", 50.0))
        for at, date in enumerate(months)
    ]
    path = tmp_path / "months.csv"
    pd.DataFrame(rows, columns=["series_id", "timestamp", "y"]).to_csv(path, index=False)
    overrides = ["data=sales", f"data.path={path}", "data.step=month", "model=lstm", *SMALL]
    overrides += ["evaluation.split.horizon=3", "evaluation.split.windows=2"]
    overrides += ["evaluation.baselines=[seasonal_naive,auto_ets]", "model.seasons_averaged=1"]
    run = run_training(compose(overrides), tmp_path / "run")
    metrics = json.loads((run / "metrics.json").read_text())
    # y repeats after twelve months
    assert metrics["test/baselines/seasonal_naive/wape"] == pytest.approx(0, abs=1e-6)
    table = pd.read_parquet(run / "forecasts.parquet")
    begins = pd.date_range("2023-07-01", periods=6, freq="MS")
    assert sorted(table["timestamp"].unique()) == begins.to_list()
    page = (run / "report.html").read_text()
    assert "Jul 2023" in page
    assert "months ahead" in page

    bundle = export_run(run, tmp_path / "bundle")
    verify(bundle)
    forecaster = Forecaster(bundle)
    result = forecast_file(forecaster, path, tmp_path / "next.csv")
    assert result.counts.missing_steps == 0
    told = pd.read_csv(tmp_path / "next.csv")
    assert told["timestamp"].tolist() == 2 * [
        "2024-01-01T00:00:00",
        "2024-02-01T00:00:00",
        "2024-03-01T00:00:00",
    ]
    assert np.isfinite(told["0.5"]).all()


def test_a_panel_of_another_season_is_another_forecast() -> None:
    panel = panel_of()
    assert (panel.season, replace(panel, seasonality=30).season) == (7, 30)
    seasons = {step: panel_of(step=step).season for step in ("hour", "day", "week", "month")}
    assert seasons == {"hour": 24, "day": 7, "week": 52, "month": 12}
