"""Runs as a table: what is listed, filtered, sorted and written."""

from pathlib import Path

import pandas as pd
import pytest

from recsys.cli.runs import COLUMNS, runs_command
from recsys.runs.folder import RunFolder


def make(folder: Path, *, model: str, seed: int, started: str, finished: bool = True) -> None:
    folder.mkdir(parents=True)
    run = RunFolder(folder)
    names = {"model": model, "data": "shop", "evaluation": "global_time", "experiment": None}
    monitor = "val/new/ndcg@10"
    run.write_config({"seed": seed, "choices": names, "train": {"monitor": monitor}})
    record = {"started": started, "threads": 2, "monitor": monitor, "peak_memory_mb": 812.0}
    run.write_json("run.json", record)
    if finished:
        metrics = {"val/new/ndcg@10": 0.1 * seed, "test/new/ndcg@10": 0.01 * seed}
        run.write_json("metrics.json", metrics | {"train/seconds": 61.0, "test/all/ndcg@10": 0.5})


@pytest.fixture(autouse=True)
def _runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "runs/shop/gmf/a", model="gmf", seed=1, started="2026-01-01T10:00:00Z")
    make(tmp_path / "runs/shop/gmf/b", model="gmf", seed=2, started="2026-01-03T10:00:00Z")
    make(
        tmp_path / "runs/shop/mf/c",
        model="mf",
        seed=1,
        started="2026-01-02T10:00:00Z",
        finished=False,
    )
    monkeypatch.chdir(tmp_path)


def listed(*arguments: str) -> pd.DataFrame:
    assert runs_command([*arguments, "output=table.csv"], "runs.py") == 0
    return pd.read_csv("table.csv")


def test_every_run_is_listed_the_latest_first_with_all_columns():
    table = listed()
    assert [Path(run).name for run in table["run"]] == ["b", "c", "a"]
    assert list(table.columns) == list(COLUMNS)
    assert table["status"].to_list() == ["finished", "unfinished", "finished"]
    assert table["metric"].unique().tolist() == ["new/ndcg@10"]
    first = table.iloc[0]
    assert (first["val"], first["test"], first["data"]) == (0.2, 0.02, "shop")
    assert (first["train_seconds"], first["peak_memory_mb"], first["threads"]) == (61, 812, 2)
    assert pd.isna(table["test"][1])


def test_filters_sorting_and_limits():
    assert set(listed("model=gmf")["model"]) == {"gmf"}
    assert len(listed("model=gmf,mf", "seed=1")) == 2
    assert listed("status=unfinished")["model"].to_list() == ["mf"]
    assert listed("sort=test", "limit=1")["seed"].to_list() == [2]
    assert listed("sort=-started")["run"].map(lambda run: Path(run).name).to_list() == list("acb")
    assert len(listed("runs=[runs/shop/mf,runs/shop/gmf/a]")) == 2


def test_more_metrics_become_columns(capsys):
    assert listed("metrics=[test/all/ndcg@10]", "model=gmf")["test/all/ndcg@10"].eq(0.5).all()
    assert "test/all/ndcg@10" in capsys.readouterr().out


def test_the_screen_shows_people_what_they_look_for(capsys):
    assert runs_command(["model=gmf"], "runs.py") == 0
    shown = capsys.readouterr().out
    for words in ("runs/shop/gmf/a", "0.0100", "1 min 1 s", "812 MB", "2026-01-03 10:00", "2 runs"):
        assert words in shown


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("model=gfm", "model='gfm' is not a known model; did you mean gmf?"),
        ("sort=tets", "sort='tets' is not a known column; did you mean test?"),
        ("runs=nowhere", "runs= names nowhere, which is neither a run folder nor holds one"),
        ("colour=red", "'colour' is not a known setting"),
    ],
)
def test_what_does_not_exist_is_named(argument, sentence, capsys):
    assert runs_command([argument], "runs.py") == 2
    assert sentence in capsys.readouterr().err
