"""Run folders made up: a recommender's of four customers and three items; a forecaster's of a dozen
series with a season, a trend and noise.
"""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from recsys.data.ids import Vocabulary
from recsys.data.panel import SEASONALITY, SalesPanel
from recsys.data.ragged import Ragged
from recsys.data.report import PanelReport
from recsys.data.splits.rolling_origin import RollingOrigin
from recsys.evaluation.backtest import QUANTILES, forecast_table, judge
from recsys.evaluation.forecast_examples import example_series
from recsys.runs.folder import RunFolder

CONFIG = {
    "seed": 7,
    "evaluation": {
        "split": {"_target_": "recsys.data.splits.global_time.GlobalTime", "test_days": 14},
        "ks": [5, 10],
    },
}
RECORD = {
    "model": "gmf",
    "data": "corner_shop",
    "data_fingerprint": "0123abcd",
    "split_fingerprint": "4567ef01",
    "seed": 7,
    "monitor": "val/new/ndcg@10",
    "versions": {"python": "3.11.7"},
    "git_commit": "0123456789abcdef",
    "finished": "2026-03-01T12:30:59Z",
    "command": "python scripts/train.py model=gmf",
}
DATA = {
    "source": "shop.csv",
    "rows_in": 10,
    "dropped": {"no item": 2},
    "duplicate_rows": 1,
    "rows": 8,
    "users": 4,
    "items": 3,
    "density": 0.5,
    "first": "2026-01-01T00:00:00+01:00",
    "last": "2026-02-28T10:00:00+01:00",
    "phases": {"val": {"fit_rows": 5, "truth_users": 2}, "test": {"fit_rows": 7, "truth_users": 4}},
}
EXAMPLES = [
    {
        "user_id": "anna",
        "purchases": 12,
        "history": [{"item_id": "1", "name": "bread"}],
        "new": [
            {"item_id": "2", "name": "milk", "score": 1.5},
            {"item_id": "3", "name": "jam", "score": 0.5},
            {"item_id": "1", "name": "bread", "score": -np.inf},
        ],
        "all": [{"item_id": "1", "name": "bread", "score": 2.5}],
        "bought": ["3"],
    }
]
# as many purchases as the place says, so that light and heavy customers are known
PURCHASES = {"anna": 1, "ben": 2, "carla": 3, "dan": 4}
PER_USER = {"dan": 0.8, "carla": 0.0, "ben": 0.4, "anna": 0.0}


def ranking_values(new=0.3, everything=0.4, **baselines):
    """Metrics of a model and of baselines, as name=(new, all)."""
    rows = {"test/": (new, everything)} | {
        f"test/baselines/{name}/": values for name, values in baselines.items()
    }
    metrics = {}
    for prefix, values in rows.items():
        for view, value in zip(("new", "all"), values, strict=True):
            for name in ("ndcg", "recall", "hit_rate", "precision", "map", "mrr"):
                metrics[f"{prefix}{view}/{name}@10"] = value
            metrics[f"{prefix}{view}/users"] = 4.0
        beyond = {"coverage@10": 0.25, "gini@10": 0.5, "novelty@10": 1.5}
        metrics |= {f"{prefix}new/{name}": value for name, value in beyond.items()}
    return metrics


@pytest.fixture
def metrics():
    return ranking_values


@pytest.fixture
def log_attempt():
    """Writes what the CSV logger leaves: two rows an epoch, each with some of the columns."""

    def write(run, phase, attempt, first_epoch, losses, values=None, name="val/new/ndcg@10"):
        folder = run.path / "logs" / phase / str(attempt)
        folder.mkdir(parents=True)
        lines = ["epoch,step,train/loss" + (f",{name}" if values else "")]
        for place, loss in enumerate(losses):
            epoch = first_epoch + place
            if values:
                lines.append(f"{epoch},{epoch},,{values[place]}")
            lines.append(f"{epoch},{epoch},{loss}" + ("," if values else ""))
        (folder / "metrics.csv").write_text("\n".join(lines) + "\n")

    return write


@pytest.fixture
def make_run(tmp_path):
    """A run folder with all its files; pass a file's content to change it, None to leave it out."""

    def make(**changes):
        run = RunFolder(tmp_path)
        run.write_config(changes.pop("config", CONFIG))
        files = {
            "run": RECORD,
            "metrics": ranking_values(popularity=(0.1, 0.2)),
            "data_report": DATA,
            "examples": EXAMPLES,
        } | changes
        for name, content in files.items():
            if content is not None:
                (tmp_path / f"{name}.json").write_text(json.dumps(content))
        users = np.array(list(PURCHASES), dtype=object)
        run.write_vocabulary(Vocabulary(users, np.array(["1", "2", "3"], dtype=object)))
        owners = np.repeat(np.arange(4), list(PURCHASES.values()))
        run.write_history(Ragged(torch.tensor([0, 1, 3, 6, 10]), torch.zeros(len(owners)).long()))
        rows = [
            {"user_id": user, "view": view, "num_truth": 1, "ndcg@10": value}
            for view in ("new", "all")
            for user, value in PER_USER.items()
        ]
        run.write_table("per_user.parquet", pd.DataFrame(rows))
        return run

    return make


@pytest.fixture
def config():
    return yaml.safe_load(yaml.safe_dump(CONFIG))


FORECAST_RECORD = RECORD | {
    "task": "forecaster",
    "model": "lstm",
    "monitor": "val/wape",
    "command": "python scripts/train.py model=lstm",
}
# standard normal quantiles of QUANTILES
NORMAL = np.array([-1.2816, -0.6745, 0.0, 0.6745, 1.2816])


def sales_panel(names, step="day", steps=400, level=30.0):
    """Series that repeat themselves, the smaller ones with steps without a sale."""
    draw = np.random.default_rng(3)
    season = {"hour": 24, "day": 7, "week": 52}[step]
    sizes = level * np.geomspace(0.02, 12, len(names))
    phase = 2 * math.pi * np.arange(steps) / season
    shape = 1 + 0.45 * np.sin(phase) + 0.2 * np.cos(2 * phase) + 0.0006 * np.arange(steps)
    y = draw.poisson(sizes[:, None] * shape * draw.gamma(12, 1 / 12, (len(names), steps)))
    # the last but one begins late
    begin = np.where(np.arange(len(names)) == len(names) - 2, steps * 4 // 5, 0)
    kept = [row[first:] for row, first in zip(y, begin, strict=True)]
    seconds = {"hour": 3_600, "day": 86_400, "week": 604_800}[step]
    report = PanelReport(
        "shop.csv", rows_in=9_000, dropped={"no product": 120}, rows=8_880, step=step
    )
    report.series, report.steps = len(names), sum(map(len, kept))
    report.timezone, report.covariates = "Europe/Berlin", ["promotion"]
    report.timestamp_form = "%d/%m/%Y"
    report.first, report.last = "2016-11-28T00:00:00", "2018-01-01T00:00:00"
    report.decide("steps without a sale, filled with zero", sum(int((x == 0).sum()) for x in kept))
    return SalesPanel(
        series_ids=np.array([f"P-{place:03d}" for place in range(len(names))], dtype=object),
        start=1_480_291_200 + begin.astype(np.int64) * seconds,
        indptr=np.concatenate([[0], np.cumsum([len(x) for x in kept])]),
        y=np.concatenate(kept).astype(np.float32),
        covariates=np.empty((sum(map(len, kept)), 0), dtype=np.float32),
        covariate_names=(),
        step=step,
        timezone="Europe/Berlin",
        report=report,
        series_names={f"P-{place:03d}": name for place, name in enumerate(names)},
    )


def season_means(panel, phase, seasons, width=1.0):
    """Mean of the last seasons, step by step, with intervals of a Poisson's width."""
    season = min(SEASONALITY[panel.step], 52)
    shape = (*phase.origin.shape, phase.horizon, len(QUANTILES))
    forecast = np.full(shape, np.nan, dtype=np.float32)
    for window, series in zip(*np.nonzero(phase.origin >= 0), strict=True):
        y = panel.y[panel.indptr[series] : panel.indptr[series + 1]]
        past = y[: phase.origin[window, series]]
        ahead = np.arange(phase.horizon) % season
        rows = [past[-season * back :][:season] for back in range(1, seasons + 1)]
        mean = np.mean([row for row in rows if len(row) == season] or [past[:1].repeat(season)], 0)
        middle = mean[ahead]
        spread = width * np.sqrt(middle + (0.3 * middle) ** 2)
        forecast[window, series] = np.maximum(middle[:, None] + spread[:, None] * NORMAL, 0)
    return forecast


def forecast_files(
    names, step="day", horizon=28, windows=4, baselines=("seasonal_naive",), count=2, level=30.0
):
    """Contents of the files that a forecaster leaves: JSON by name, and tables."""
    panel = sales_panel(names, step, steps=horizon * 10 + 160, level=level)
    phases = RollingOrigin(horizon=horizon, windows=windows)(panel, 0)
    panel.report.phases = {phase.name: dict(phase.counts) for phase in phases}
    tests = [phase for phase in phases if phase.name.startswith("test")]
    seasons = {"lstm": (6, 1.0), "seasonal_naive": (1, 1.4), "weekday_mean": (8, 0.3)}
    seasons["auto_ets"] = (3, 1.0)
    forecasts = {
        name: [season_means(panel, phase, *seasons[name]) for phase in tests]
        for name in ("lstm", *baselines)
    }
    results = {name: judge(panel, tests, made) for name, made in forecasts.items()}
    metrics = {"train/seconds": 75.0, "train/samples_per_second": 1100.0, "train/epochs": 2}
    for name, result in results.items():
        prefix = "test/" if name == "lstm" else f"test/baselines/{name}/"
        metrics |= {prefix + key: value for key, value in result.metrics.items()}
    beside = {name: made[-1] for name, made in forecasts.items() if name != "lstm"}
    examples = example_series(
        panel, tests[-1], forecasts["lstm"][-1], QUANTILES, beside, count, len(tests)
    )
    contents = {
        "run": FORECAST_RECORD,
        "metrics": metrics,
        "data_report": panel.report.to_json(),
        "horizon": {name: result.by_horizon for name, result in results.items()},
        "examples": examples,
    }
    tables = {
        "per_series": results["lstm"].per_series,
        "forecasts": forecast_table(panel, tests, forecasts["lstm"]),
    }
    return contents, tables


PRODUCTS = [f"{kind} {place}" for place in range(1, 5) for kind in ("bread", "milk", "soap")]


@pytest.fixture(scope="session")
def forecast_contents():
    """JSON contents and tables of a run with two baselines; not to be changed."""
    return forecast_files(PRODUCTS, baselines=("seasonal_naive", "auto_ets"))


@pytest.fixture
def make_forecast_run(tmp_path, forecast_contents):
    """As `make_run`; `changes` are by name of the JSON file or of the table."""

    def make(files=None, **changes):
        contents, tables = files or forecast_contents
        run = RunFolder(tmp_path)
        config = {"seed": 7, "data": {"measure": "quantity"}, "evaluation": {}}
        run.write_config(changes.pop("config", config))
        for name, table in tables.items():
            chosen = changes.pop(name, table)
            if chosen is not None:
                run.write_table(f"{name}.parquet", chosen)
        for name, content in (contents | changes).items():
            if content is not None:
                (tmp_path / f"{name}.json").write_text(json.dumps(content))
        return run

    return make
