"""Many runs in one process."""

import csv
import gc
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.cli.train import train_command as main
from recsys.training.module import TrainingModule


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    size = 800
    days = np.sort(rng.integers(0, 100, size))
    frame = pd.DataFrame(
        {
            "user_id": rng.integers(0, 20, size),
            "item_id": rng.integers(0, 25, size),
            "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D"),
        }
    )
    frame.to_csv(tmp_path / "sales.csv", index=False)
    return tmp_path / "sales.csv"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def multirun(table: Path, *overrides: str) -> list[Path]:
    common = [
        "data=transactions",
        f"data.path={table}",
        "evaluation.min_buyers=1",
        "train.max_epochs=2",
        "trainer.enable_progress_bar=false",
    ]
    main(["-m", *common, *overrides])
    return sorted(
        path.parent for path in Path("runs/transactions/multirun").glob("*/*/metrics.json")
    )


def test_a_multirun_leaves_a_run_for_every_choice(table, capsys):
    runs = multirun(table, "model=gmf,neumf", "seed=1,2", "logger=none")
    records = [json.loads((run / "run.json").read_text()) for run in runs]
    found = {(record["model"], record["seed"]) for record in records}
    assert found == {("gmf", 1), ("gmf", 2), ("neumf", 1), ("neumf", 2)}
    assert len({record["split_fingerprint"] for record in records}) == 1
    assert capsys.readouterr().out.strip().endswith(str(runs[-1]))


def test_a_run_that_fails_is_named_and_leaves_the_others(table, capsys):
    with pytest.raises(SystemExit) as stop:
        multirun(table, "model=popularity,lstm,personal_frequency", "seed=7")
    assert stop.value.code == 2
    runs = Path("runs/transactions/multirun").glob("*/*/metrics.json")
    assert sorted(file.parent.name for file in runs) == ["0", "2"]
    said = capsys.readouterr().err
    # at once, and at the end
    assert said.count("run 1 (model=lstm): model=lstm is no recommender") == 2
    assert said.splitlines()[-1].startswith("error: 1 of 3 runs in ")
    assert "Error executing job" not in said


def test_no_model_outlives_its_run(table):
    multirun(table, "model=gmf", "seed=1,2", "logger=none")
    gc.collect()
    assert not [kept for kept in gc.get_objects() if type(kept) is TrainingModule]


def test_csv_and_tensorboard_logs_hold_the_curves(table):
    (run,) = multirun(table, "model=gmf", "train.validate_every=1")
    rows = list(csv.DictReader((run / "logs" / "val" / "0" / "metrics.csv").open()))
    assert len([row for row in rows if row["train/loss"]]) == 2
    assert len([row for row in rows if row["val/new/ndcg@10"]]) == 2
    assert list((run / "logs" / "val" / "0").glob("events.out.tfevents.*"))
