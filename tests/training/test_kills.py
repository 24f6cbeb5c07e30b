"""kill -9 leaves the old checkpoint or the new one, and a resumed training loses nothing."""

import json
import random
import signal
from pathlib import Path

import pytest
import torch
from killed import process, train

from recsys.training.checkpoints import load_checkpoint

FILES = ("last.ckpt", "best.ckpt")


def run(folder: Path, moment: int | None = None) -> int:
    worker = process(train, folder, moment)
    worker.join()
    return worker.exitcode


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    assert run(folder) == 0
    return folder


def outcome(folder: Path) -> tuple[int, float]:
    found = json.loads((folder / "finished.json").read_text())
    return found["epochs"], found["value"]


def same_checkpoints(one: Path, other: Path) -> bool:
    for name in FILES:
        states = [load_checkpoint(folder / name) for folder in (one, other)]
        if [state["epoch"] for state in states] != [states[0]["epoch"]] * 2:
            return False
        weights = [state["state_dict"] for state in states]
        if not all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0]):
            return False
    return True


def test_the_training_stops_early(whole):
    assert load_checkpoint(whole / "last.ckpt")["epoch"] < 10


def test_killed_at_random_moments_and_resumed_it_equals_the_uninterrupted_one(whole, tmp_path):
    # before and after every renaming: the untrained state, an epoch each, the best ones, the end
    moments = random.Random(0).sample(range(2 * load_checkpoint(whole / "last.ckpt")["epoch"]), 3)
    for moment in moments:
        folder = tmp_path / str(moment)
        assert run(folder, moment) == -signal.SIGKILL
        for file in folder.glob("*.ckpt"):
            load_checkpoint(file)
        assert run(folder) == 0
        assert outcome(folder) == outcome(whole), moment
        assert same_checkpoints(folder, whole), moment


def test_stopped_early_and_killed_before_it_said_so_it_trains_no_further(whole, tmp_path):
    for name in FILES:
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    before = (tmp_path / "last.ckpt").stat().st_mtime_ns
    assert run(tmp_path) == 0
    assert (tmp_path / "last.ckpt").stat().st_mtime_ns == before
    assert outcome(tmp_path) == outcome(whole)


def test_time_and_samples_of_all_attempts_count(whole, tmp_path):
    assert run(tmp_path, 7) == -signal.SIGKILL
    stopped = load_checkpoint(tmp_path / "last.ckpt")
    assert run(tmp_path) == 0
    assert (
        load_checkpoint(tmp_path / "last.ckpt")["samples"]
        == (load_checkpoint(whole / "last.ckpt")["samples"])
    )
    (kept,) = (v for k, v in stopped["callbacks"].items() if k.startswith("KeepBestAndLast"))
    assert json.loads((tmp_path / "finished.json").read_text())["seconds"] > kept["seconds"] > 0
