"""Multiruns through joblib and Ray, as a user calls them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def multirun(*overrides: str, threads: int | None = None) -> subprocess.CompletedProcess[str]:
    common = ["data=transactions", "data.path=sales.csv", "evaluation.min_buyers=1"]
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    environment["RAY_USAGE_STATS_ENABLED"] = "0"
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "-m", *common, *overrides]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=600, env=environment, check=False
    )


def records_of(shop: Path) -> dict[str, dict]:
    """run.json of every finished run of the multirun, by its number."""
    files = shop.glob("runs/transactions/multirun/*/*/metrics.json")
    return {file.parent.name: json.loads((file.parent / "run.json").read_text()) for file in files}


@pytest.mark.extras
def test_joblib_divides_the_threads_and_a_run_that_fails_is_named_and_leaves_the_others(shop):
    pytest.importorskip("joblib", reason="joblib is not installed: make test-trackers")
    done = multirun(
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        "model=popularity,lstm,gmf",
        "train.max_epochs=1",
        "logger=none",
        threads=4,
    )
    assert done.returncode == 2, done.stderr
    found = records_of(shop)
    assert {number: each["model"] for number, each in found.items()} == {
        "0": "popularity",
        "2": "gmf",
    }
    assert [each["threads"] for each in found.values()] == [2, 2]
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: 1 of 3 runs in ")
    assert "failed: run 1 (model=lstm): " in last
    assert "is no recommender, and the data are purchases of customers" in last


@pytest.mark.extras
def test_ray_runs_every_choice_with_the_threads_of_its_cores(shop):
    pytest.importorskip("ray", reason="ray is not installed: make test-trackers")
    done = multirun(
        "hydra/launcher=ray",
        "hydra.launcher.ray.init.num_cpus=2",
        "model=popularity,personal_frequency",
        "seed=1,2",
        threads=2,
    )
    assert done.returncode == 0, done.stderr
    found = records_of(shop).values()
    assert {(each["model"], each["seed"]) for each in found} == {
        ("popularity", 1),
        ("popularity", 2),
        ("personal_frequency", 1),
        ("personal_frequency", 2),
    }
    assert {each["threads"] for each in found} == {1}
    assert len({each["split_fingerprint"] for each in found}) == 1
