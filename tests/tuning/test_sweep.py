"""Whole sweeps: trials that fail, a sweep that is killed, the test looked at once."""

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from killed import process

from recsys.cli.sweep import sweep_command
from recsys.config.composition import CONF
from recsys.runs.folder import RunFolder
from recsys.tuning.lock import locked
from recsys.tuning.settings import read_settings
from recsys.tuning.trial_process import _end_with_the_sweep

SWEEPS = sorted(file.stem for file in (CONF / "sweep").glob("*.yaml"))
SPACE = {
    "loss.batch_size": {"choose": [64, 0]},
    "train.lr": {"choose": [0.01, 1e30]},
}


@pytest.mark.parametrize("name", SWEEPS)
def test_every_sweep_composes_and_its_space_is_of_its_model(name):
    settings, trials = read_settings(name, [], None, None)
    assert settings.base().choices.model == name
    assert trials >= 10


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Overrides of trials on a small table, in whose folder we are."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    size = 800
    days = np.sort(rng.integers(0, 100, size))
    pd.DataFrame(
        {
            "user_id": rng.integers(0, 20, size),
            "item_id": rng.integers(0, 25, size),
            "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D"),
        }
    ).to_csv("sales.csv", index=False)
    return [
        "data=transactions",
        "data.path=sales.csv",
        "evaluation.min_buyers=1",
        "model=gmf",
        "train.max_epochs=3",
        "schedule=constant",
        "loss.batch_size=64",
        "logger=none",
        "threads=1",
        "output=out",
    ]


def write_space(space: dict[str, object], file: str = "mine.yaml", **more: object) -> str:
    Path(file).write_text(yaml.safe_dump({"space": space} | more))
    return f"sweep={file}"


def test_failed_and_diverged_trials_are_recorded_and_the_rest_goes_on(shop, capsys):
    sweep = write_space(SPACE, sampler="grid", pruner="none")
    assert sweep_command([sweep, *shop, "jobs=2"], "sweep.py") == 0
    assert capsys.readouterr().out.strip().splitlines()[-1] == "out"
    table = pd.read_csv("out/trials.csv")
    assert table["state"].to_list() == ["finished", "failed", "failed", "failed"]
    assert "NaN or infinite" in table["reason"][1]
    assert table["reason"][2] == "loss.batch_size=0: it has to be at least 1 or null"
    record = json.loads(Path("out/sweep.json").read_text())
    assert record["memory_growth_mb"] < 50
    assert record["best"] == 0
    # trials know nothing of the test; the run of the best one does, and repeats the trial
    assert set(json.loads(Path("out/trials/0000/result.json").read_text())) == {
        "value",
        "epochs",
        "seconds",
    }
    assert not list(Path("out/trials").rglob("metrics.json"))
    assert not list(Path("out/trials").rglob("checkpoints"))
    tested = RunFolder.open("out/best-0").read_json("metrics.json")
    # what Lightning logs is of single precision
    assert tested["val/new/ndcg@10"] == pytest.approx(table["val/new/ndcg@10"][0], rel=1e-6)
    assert tested["test/new/ndcg@10"] > 0
    page = Path("out/report.html").read_text()
    assert "Parallel coordinates" in page
    assert "NaN or infinite" in page
    assert "http://" not in page
    assert "<script" not in page


@pytest.mark.slow
def test_a_killed_sweep_goes_on_where_it_was_and_repeats_nothing(shop, capsys):
    space = {"train.lr": {"low": 0.001, "high": 0.1, "log": True}}
    command = [write_space(space), *shop, "trials=5", "train.max_epochs=6", "test=false"]
    sweep = process(_sweep, command, Path.cwd())
    first = Path("out/trials/0001/result.json")
    until = time.monotonic() + 600  # of a machine that is busy
    while not first.exists() and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.join()
    assert first.exists()
    while writers_of(Path("out/trials")) and time.monotonic() < until:
        time.sleep(0.1)
    assert not writers_of(Path("out/trials"))  # the trial that ran has ended with its sweep
    stamps = {file: file.stat().st_mtime_ns for file in Path("out").rglob("result.json")}
    assert sweep_command(["resume=out", "test=false", "trials=6"], "sweep.py") == 0
    table = pd.read_csv("out/trials.csv")
    assert table["trial"].to_list() == list(range(6))
    assert set(table["state"]) <= {"finished", "pruned"}
    assert table["train.lr"].nunique() == 6
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in stamps.items())
    assert sweep_command(["resume=out", "seed=2"], "sweep.py") == 2
    assert "resume= goes on with a sweep as it was set up" in capsys.readouterr().err


def test_a_sweep_does_not_go_on_with_other_data(shop, capsys):
    space = {"train.lr": {"low": 0.001, "high": 0.1, "log": True}}
    assert sweep_command([write_space(space), *shop, "trials=1", "test=false"], "sweep.py") == 0
    pd.read_csv("sales.csv").iloc[:-9].to_csv("sales.csv", index=False)
    sweep_command(["resume=out", "trials=2", "test=false"], "sweep.py")
    table = pd.read_csv("out/trials.csv").set_index("trial")
    assert table["state"].to_list() == ["finished", "failed"]
    assert "earlier trials in out/trials were on other data" in table["reason"][1]
    assert "rows then 800, now 791" in table["reason"][1]
    assert sweep_command(["resume=out", "trials=2"], "sweep.py") == 2
    assert "the data have changed since the trials" in capsys.readouterr().err


def test_a_sweep_does_not_go_on_with_other_attributes(shop, capsys):
    items = pd.DataFrame({"item_id": range(25), "price": range(25)})
    items.to_csv("items.csv", index=False)
    space = {"train.lr": {"low": 0.001, "high": 0.1, "log": True}}
    command = [write_space(space), *shop, "data.items.path=items.csv", "trials=1", "test=false"]
    assert sweep_command(command, "sweep.py") == 0
    items.assign(price=1).to_csv("items.csv", index=False)
    sweep_command(["resume=out", "trials=2", "test=false"], "sweep.py")
    reason = pd.read_csv("out/trials.csv").set_index("trial")["reason"][1]
    assert "on data with other values in the columns of items" in reason
    assert not Path("out/trials/0001/trial.yaml").exists()
    assert sweep_command(["resume=out", "trials=2"], "sweep.py") == 2
    assert "the attributes of items have changed since the trials" in capsys.readouterr().err


def writers_of(folder: Path) -> set[str]:
    """Processes that have a file below the folder open."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if str(link.readlink()).startswith(str(folder.absolute())):
                found.add(link.parts[2])
    return found - {str(os.getpid())}


def test_a_trial_and_what_it_started_end_at_once_with_the_sweep(tmp_path):
    ours, theirs = multiprocessing.Pipe()
    trial = process(_trial_with_a_child, theirs, tmp_path / "pid")
    theirs.close()
    while not (tmp_path / "pid").exists():
        time.sleep(0.02)
    child = int((tmp_path / "pid").read_text())
    assert runs(child)
    ours.close()
    trial.join(60)
    assert trial.exitcode == -signal.SIGKILL
    until = time.monotonic() + 60
    while runs(child) and time.monotonic() < until:
        time.sleep(0.02)
    assert not runs(child)


def _trial_with_a_child(connection: Connection, file: Path) -> None:
    os.setsid()
    child = subprocess.Popen(["sleep", "600"])
    RunFolder(file.parent).write_text(file.name, str(child.pid))
    _end_with_the_sweep(connection)


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_two_processes_do_not_work_on_one_sweep(shop, capsys):
    command = [write_space(SPACE), *shop, "trials=1", "test=false"]
    Path("out").mkdir()
    with locked(Path("out"), wait=False):
        assert sweep_command(command, "sweep.py") == 2
    assert "another process works on out; wait for it" in capsys.readouterr().err
    assert not Path("out/study.db").exists()


def _sweep(command: list[str], folder: Path) -> None:
    os.chdir(folder)
    os._exit(sweep_command(command, "sweep.py"))


def test_what_makes_no_sweep_is_said(shop, capsys):
    misspelt = write_space({"train.lrr": {"choose": [1]}}, "misspelt.yaml")
    for arguments, sentence in (
        (shop, "sweep= is missing"),
        (["sweep=nothing", *shop], "sweep=nothing does not exist"),
        ([misspelt, *shop], "train.lrr is not a setting"),
        ([write_space(SPACE), *shop, "modle=gmf"], "modle"),
        (["resume=nowhere"], "nowhere holds no sweep"),
        (["sweep=gmf", "jobs=0"], "jobs=0 is too small"),
    ):
        assert sweep_command(arguments, "sweep.py") == 2
        assert sentence in capsys.readouterr().err


def test_without_a_validation_part_there_is_nothing_to_choose_on(shop, capsys):
    space = {"model.embedding_dim": {"choose": [4]}}
    command = [write_space(space), *shop, "evaluation=none", "trials=1"]
    assert sweep_command(command, "sweep.py") == 2
    assert "no trial of out gave a value" in capsys.readouterr().err
    assert "evaluation=none has no validation part" in pd.read_csv("out/trials.csv")["reason"][0]
