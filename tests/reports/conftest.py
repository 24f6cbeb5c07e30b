"""A run folder made up from a few numbers: four customers, three items."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from recsys.data.ids import Vocabulary
from recsys.data.ragged import Ragged
from recsys.runs import RunFolder

CONFIG = {
    "seed": 7,
    "evaluation": {
        "split": {"_target_": "recsys.data.splits.GlobalTime", "test_days": 14},
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

    def write(run, phase, attempt, first_epoch, losses, values=None):
        folder = run.path / "logs" / phase / str(attempt)
        folder.mkdir(parents=True)
        lines = ["epoch,step,train/loss" + (",val/new/ndcg@10" if values else "")]
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
