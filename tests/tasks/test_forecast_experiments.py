"""Every experiment of forecasts composes, builds, trains and is judged."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kinds import forecaster_experiments, statistical_methods

from recsys.config.composition import compose
from recsys.errors import ConfigError
from recsys.inference import Forecaster, verify
from recsys.runs.folder import RunFolder
from recsys.tasks.lifecycle import export_run, load_run, resume_run, run_training

SMALL = [
    "train.max_epochs=2",
    "loss.batches=3",
    "loss.batch_size=16",
    "logger=none",
    "trainer.enable_progress_bar=false",
]
# where the experiment has an ensemble; tracing an LSTM takes time by the step
TWO = [
    "model.members=[{seasons_averaged: 1},{seasons_averaged: 2}]",
    "model.member.context_length=14",
]
DAYS = 290


@pytest.fixture
def tiny_shops(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package_groceries: Callable[[Mapping[str, pd.DataFrame]], None],
) -> Path:
    """A grocer, a gift retailer and hourly series, small, where the experiments look for them."""
    rng = np.random.default_rng(0)
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path))
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    size = 4_000
    seconds = np.sort(rng.integers(0, DAYS * 86_400, size))
    tables = {
        "transactions": pd.DataFrame(
            {
                "household_id": rng.integers(1, 25, size),
                "store_id": 1,
                "product_id": rng.integers(1, 4, size),
                "quantity": 1,
                "sales_value": 1.0,
                "transaction_timestamp": (
                    pd.Timestamp("2017-01-01") + pd.to_timedelta(seconds, unit="s")
                ),
                "week": 1 + (seconds // 86_400 + 6) // 7,
            }
        ),
        "products": pd.DataFrame(
            {
                "product_id": [1, 2, 3],
                "product_type": "MILK",
                "product_category": ["MILK", "CHEESE", "YOGURT"],
                "department": "GROCERY",
                "package_size": "1 GA",
            }
        ),
        "demographics": pd.DataFrame({"household_id": [1], "income": ["high"]}),
        "campaign_descriptions": pd.DataFrame(
            {
                "campaign_id": [1],
                "campaign_type": ["Type B"],
                "start_date": pd.to_datetime(["2017-03-01"]),
                "end_date": pd.to_datetime(["2017-04-01"]),
            }
        ),
        "coupons": pd.DataFrame({"product_id": [1], "campaign_id": [1], "coupon_upc": [1]}),
    }
    tables["promotions"] = pd.DataFrame(
        {
            "product_id": 1,
            "store_id": 1,
            "display_location": "0",
            "mailer_location": "D",
            "week": np.arange(2, 40, 3),
        }
    )
    package_groceries(tables)
    (tmp_path / "m4_hourly").mkdir()
    for part, first, length in (("train", 0, 220), ("test", 220, 48)):
        hours = np.arange(first, first + length)
        time = pd.Timestamp("2015-07-01") + pd.to_timedelta(hours, unit="h")
        rows = [
            pd.DataFrame(
                {"series_id": name, "timestamp": time, "y": 50 + 10 * (hours % 24.0) + noise}
            )
            for name, noise in (("H1", rng.random(length)), ("H2", rng.random(length)))
        ]
        pd.concat(rows).to_parquet(tmp_path / "m4_hourly" / f"{part}.parquet")
    weeks = np.arange(100 * 7)
    pd.DataFrame(
        {
            "InvoiceNo": "536365",
            "StockCode": np.where(weeks % 2 == 0, "85123A", "22423"),
            "Description": "WHITE HEART",
            "Quantity": rng.integers(1, 9, len(weeks)),
            "InvoiceDate": pd.Timestamp("2009-12-07") + pd.to_timedelta(weeks, unit="D"),
            "UnitPrice": 2.5,
            "CustomerID": pd.array([17850] * len(weeks), dtype="Int32"),
        }
    ).to_parquet(tmp_path / "online_retail_ii.parquet")
    return tmp_path


def metrics_of(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.parametrize("name", forecaster_experiments())
def test_every_experiment_composes_and_learns(tiny_shops, name):
    # one baseline is enough to see that it is asked the same
    baselines = "evaluation.baselines=[seasonal_naive]"
    command = [f"experiment={name}", baselines, *SMALL]
    command += TWO if "members" in compose(command).model.arguments else []
    folder = run_training(compose(command), tiny_shops / "run")
    metrics = metrics_of(folder)
    assert metrics["test/wape"] > 0
    assert metrics["test/baselines/seasonal_naive/mase"] > 0
    assert 1 <= metrics["train/epochs"] <= 2
    load_run(folder)


@pytest.mark.slow
def test_an_ensemble_that_knows_covariates_exports(tiny_shops):
    """Most of a minute: every LSTM is traced step by step; `make demo` exports one too."""
    overrides = ["experiment=complete_journey_sales", "evaluation.baselines=[]", *TWO, *SMALL]
    folder = run_training(compose(overrides), tiny_shops / "run")
    model, run = load_run(folder)
    bundle = export_run(folder, tiny_shops / "bundle")
    verify(bundle)
    forecaster = Forecaster(bundle)
    start = np.array([1_500_000_000 // 604_800 * 604_800])
    width = len(run.read_json("data_report.json")["covariates"])
    known = np.zeros((1, 30 + model.horizon, width)) if width else None
    got = forecaster.forecast(["nobody knows it"], np.full((1, 30), 7.0), start, known)
    assert got.shape == (1, model.horizon, len(model.quantiles))
    assert np.isfinite(got).all()


@pytest.mark.parametrize("model", statistical_methods())
def test_every_statistical_method_is_judged_and_refuses_to_export(tiny_shops, model):
    # nothing is trained: what is set for a loss would be refused
    small = [each for each in SMALL if not each.startswith("loss.")]
    overrides = ["experiment=m4_hourly", f"model={model}", *small]
    if model == "auto_arima":
        overrides += ["model.max_history=60", "data.seasonality=1"]
    folder = run_training(compose(overrides), tiny_shops / "run")
    assert metrics_of(folder)["test/smape"] >= 0
    assert (folder / "report.html").is_file()
    with pytest.raises(ConfigError, match=f"model={model} is fitted anew for every forecast"):
        export_run(folder, tiny_shops / "bundle")


def test_a_run_folder_holds_what_the_design_promises(tiny_shops):
    config = compose(
        ["experiment=complete_journey_sales", "evaluation.baselines=[weekday_mean]", *TWO, *SMALL]
    )
    folder = run_training(config, tiny_shops / "run")
    files = {file.name for file in folder.iterdir()}
    promised = """config.yaml metrics.json per_series.parquet forecasts.parquet horizon.json
        series.json data_report.json run.json examples.json windows.npz checkpoints report.html"""
    assert files >= set(promised.split())
    assert not list(folder.rglob("*partial*"))
    metrics = metrics_of(folder)
    assert all(type(value) in (int, float) for value in metrics.values())
    windows = [metrics[f"test/windows/{number}/wape"] for number in (1, 2, 3, 4)]
    assert metrics["test/wape"] == pytest.approx(np.mean(windows))
    table = pd.read_parquet(folder / "forecasts.parquet")
    assert len(table) == 3 * 4 * 28
    error = (table["0.5"] - table["y"]).abs().groupby(table["window"]).sum()
    by_hand = error / table["y"].groupby(table["window"]).sum()
    assert by_hand.to_list() == pytest.approx(windows, abs=1e-5)
    assert json.loads((folder / "run.json").read_text())["task"] == "forecasting"


def test_a_stopped_run_goes_on_to_the_same_numbers(tiny_shops):
    config = compose(["experiment=m4_hourly_lstm", *SMALL])
    whole = metrics_of(run_training(config, tiny_shops / "whole"))
    stopped = run_training(config, tiny_shops / "stopped")
    for name in ("metrics.json", "checkpoints/test-1/finished.json"):
        (stopped / name).unlink()
    again = metrics_of(resume_run(str(stopped), []))
    same = [key for key in whole if key.startswith(("val/", "test/")) and "seconds" not in key]
    assert same
    assert [again[key] for key in same] == [whole[key] for key in same]


def test_everything_is_fitted_for_shipping(tiny_shops):
    overrides = ["data=m4_hourly", "evaluation=ship_forecaster", *SMALL]
    folder = run_training(compose(overrides), tiny_shops / "run")
    assert not [key for key in metrics_of(folder) if key.startswith(("val/", "test/"))]
    assert RunFolder.open(folder).read_weights()


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["data=m4_hourly", "model=gmf"], "model=gmf is no forecaster, and data=m4_hourly"),
        (["data=complete_journey", "model=lstm"], "model=lstm is no recommender"),
        (["data=complete_journey", "model=auto_ets"], "model=auto_ets is no recommender"),
        (
            ["data=m4_hourly", "loss=bce"],
            "loss=bce trains recommenders, and model=lstm is a forecaster",
        ),
        (["data=m4_hourly", "train.monitor=val/mape"], "train.monitor: val/mape is no metric"),
        (
            ["data=m4_hourly", "evaluation.baselines=[lstm]"],
            "evaluation.baselines: lstm is no statistical method",
        ),
    ],
)
def test_what_does_not_belong_together_is_said(tiny_shops, overrides, sentence):
    config = compose(
        [*overrides, "train.max_epochs=1", "logger=none", "trainer.enable_progress_bar=false"]
    )
    with pytest.raises(ConfigError, match=sentence.replace("[", r"\[")):
        run_training(config, tiny_shops / "run")
