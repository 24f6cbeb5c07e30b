"""A whole run, killed with -9 at twenty random moments, ends as the uninterrupted one:
`pytest -m slow`.
"""

import json
import random
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from killed import process

from recsys.config.composition import compose
from recsys.runs.folder import RunFolder
from recsys.tasks.lifecycle import metrics_that_differ, run_training

pytestmark = pytest.mark.slow


def run_here(overrides: list[str], folder: Path) -> None:
    torch.set_num_threads(1)
    run_training(compose(overrides), folder)


def run(overrides: list[str], folder: Path, seconds: float | None = None) -> int:
    """Runs, or continues, and is killed after so many seconds if it still runs then."""
    worker = process(run_here, overrides, folder)
    worker.join(seconds)
    if worker.exitcode is None:
        worker.kill()
        worker.join()
    return worker.exitcode


@pytest.fixture
def overrides(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    size = 4_000
    days = np.sort(rng.integers(0, 100, size))
    pd.DataFrame(
        {
            "user_id": rng.integers(0, 60, size),
            "item_id": rng.integers(0, 80, size),
            "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D"),
        }
    ).to_csv(tmp_path / "sales.csv", index=False)
    return [
        "data=transactions",
        f"data.path={tmp_path / 'sales.csv'}",
        "evaluation.min_buyers=1",
        "evaluation.baselines=[popularity]",
        "model=neumf",
        "loss.batch_size=64",
        "train.max_epochs=8",
        "train.patience=2",
        "train.lr=0.01",
        "trainer.enable_progress_bar=false",
    ]


def test_twenty_of_twenty_equal_the_uninterrupted_run(overrides, tmp_path):
    whole = RunFolder(tmp_path / "whole")
    run(overrides, tmp_path / "warm-up")
    start = time.perf_counter()
    assert run(overrides, whole.path) == 0
    duration = time.perf_counter() - start
    moments, killed = random.Random(0), 0
    for number in range(20):
        folder = tmp_path / str(number)
        moment = moments.uniform(0, duration)
        killed += run(overrides, folder, moment) != 0
        assert run(overrides, folder) == 0
        again = RunFolder(folder)
        assert metrics_that_differ(whole, again) == [], moment
        weights = [each.read_weights() for each in (whole, again)]
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0]), moment
        for name in ("per_user.parquet", "examples.json"):
            assert (folder / name).read_bytes() == (whole.path / name).read_bytes(), moment
        assert json.loads((folder / "run.json").read_text())["finished"]
        assert (folder / "report.html").is_file()
        assert not list(folder.rglob("*.partial")) + list(folder.rglob(".partial-*")), moment
    assert killed >= 10
