"""Run folders made up from a few numbers: ten customers, or six series in two windows."""

import copy
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from recsys.data.ids import Vocabulary
from recsys.data.ragged import Ragged
from recsys.runs.folder import RunFolder

CONFIG = {
    "seed": 1,
    "train": {"lr": 0.01, "pretrained": {"gmf": None, "mlp": None, "alpha": 0.5}},
    "choices": {"model": "mf", "overrides": []},
    "evaluation": {
        "split": {"_target_": "recsys.data.splits.global_time.GlobalTime", "test_days": 28},
        "min_buyers": 10,
        "ks": [5, 10],
        "views": ["new"],
        "baselines": [],
        "block_mb": 256,
    },
    "model": {"_target_": "recsys.models.mf.MF", "dim": 8},
    "logger": {},
}
CUSTOMERS = 10
PURCHASES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]


def set_in(settings, changes):
    """A copy with other values at dotted keys."""
    settings = copy.deepcopy(settings)
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        inner = settings
        for key in path:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return settings


def write_run(folder, config, record, metrics, table, table_name):
    run = RunFolder(folder)
    folder.mkdir(parents=True)
    run.write_config(config)
    run.write_table(table_name, table)
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return run


def stored_record(config, model, **changes):
    record = {
        "task": "recommender",
        "model": model,
        "data": "corner_shop",
        "data_fingerprint": "d1",
        "split_fingerprint": "s1",
        "seed": config["seed"],
        "monitor": "val/new/ndcg@10",
        "git_commit": "0123456789",
        "finished": "2026-03-01T12:00:00Z",
    } | changes
    return {key: value for key, value in record.items() if value is not None}


@pytest.fixture
def recommender(tmp_path):
    """Writes a run of a recommender; ndcg@10 of every customer, and dotted settings to change."""

    def write(
        name: str,
        ndcg,
        *,
        model: str = "mf",
        record=(),
        metrics=(),
        purchases=PURCHASES,
        head=None,
        customers=None,
        **settings,
    ) -> Path:
        config = set_in(CONFIG, {key.replace("__", "."): v for key, v in settings.items()})
        ids = customers or [f"u{number}" for number in range(len(ndcg))]
        table = pd.DataFrame(
            {"user_id": ids, "view": "new", "num_truth": 1, "ndcg@10": np.array(ndcg, float)}
        )
        other = table.assign(view="all", **{"ndcg@10": 1.0})
        for part, values in (head or {}).items():
            table[f"ndcg_{part}@10"] = np.array(values, float)
        measured = {
            "test/new/ndcg@10": float(np.mean(ndcg)),
            "test/new/recall@10": 0.5,
            "test/baselines/popularity/new/ndcg@10": 0.1,
            "train/seconds": 30.0,
            "evaluation/seconds": 1.5,
        } | dict(metrics)
        run = write_run(
            tmp_path / name,
            config,
            stored_record(config, model, **dict(record)),
            {key: value for key, value in measured.items() if value is not None},
            # in an order of its own, as blocks of users come
            pd.concat([table, other]).sample(frac=1.0, random_state=config["seed"]),
            "per_user.parquet",
        )
        # who bought nothing is not in the vocabulary
        bought = [count for count in purchases if count]
        users = [user for user, count in zip(ids, purchases, strict=False) if count]
        run.write_vocabulary(Vocabulary(np.array(users, object), np.array(["a", "b"], object)))
        indptr = torch.tensor(np.cumsum([0, *bought]))
        run.write_history(Ragged(indptr, torch.zeros(int(sum(bought)), dtype=torch.int64)))
        return run.path

    return write


@pytest.fixture
def forecaster(tmp_path):
    """Writes a run of a forecaster from its table per_series.parquet."""

    def write(name: str, table: pd.DataFrame, *, model: str = "lstm", **settings) -> Path:
        evaluation = {
            "split": {"_target_": "recsys.data.splits.rolling_origin.RollingOrigin", "horizon": 4}
        }
        config = set_in(CONFIG, {key.replace("__", "."): v for key, v in settings.items()})
        config["evaluation"] = evaluation | {"baselines": []}
        record = stored_record(config, model, task="forecaster", monitor="val/wape")
        metrics = {"test/wape": 0.3, "train/seconds": 5.0}
        return write_run(tmp_path / name, config, record, metrics, table, "per_series.parquet").path

    return write


@pytest.fixture
def sales():
    """Six series in two windows of four steps: absolute errors a step, sales, and a scale."""

    def build(errors=1.0, **columns) -> pd.DataFrame:
        table = pd.DataFrame(
            {
                "series_id": [f"s{number}" for number in range(6)] * 2,
                "window": [1] * 6 + [2] * 6,
                "num_steps": [4] * 11 + [2],
                "intermittent": [True, True, *[False] * 4] * 2,
                "short": False,
                "new": [False] * 6 + [True] + [False] * 5,
                "sum_y": [0.0, 4, 8, 12, 16, 20, 2, 4, 8, 12, 16, 38],
                "mae": np.broadcast_to(np.asarray(errors, float), 12),
            }
        )
        table["mase"] = table["mae"] / 2
        table["pinball"] = table["mae"] / 4
        return table.assign(**columns)

    return build
