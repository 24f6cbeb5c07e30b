"""What a multirun says of runs that failed or were cut short."""

from pathlib import Path

import pytest

from recsys.cli.train import train_command as main
from recsys.config.multirun import (
    begin_again,
    cut_short,
    fail,
    failures,
    require_launcher,
    threads_of_a_run,
)
from recsys.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of twelve runs, of which 0 to 8 have finished and two are going on."""
    for number in range(12):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "config.yaml").touch()
        if number < 9:
            (tmp_path / str(number) / "metrics.json").touch()
    return tmp_path


def test_runs_that_failed_are_named_in_order_with_their_choices_and_reasons(folder):
    assert failures(folder) == ""
    fail(folder / "10", ["model=lstm", "seed=2"], "it forecasts sales")
    said = fail(folder / "9", [], "no disk")
    assert said == "run 9: no disk"
    assert failures(folder) == (
        f"2 of 12 runs in {folder} failed: run 9: no disk; run 10 (model=lstm, seed=2): it"
        " forecasts sales"
    )
    begin_again(folder / "10")
    begin_again(folder / "0")
    assert failures(folder).startswith("1 of 12 runs")


def test_a_multirun_that_was_cut_short_says_what_to_resume(folder):
    (folder / "9" / "metrics.json").touch()
    said = cut_short(folder)
    assert said.endswith(f"with train.resume={folder / '10'} or {folder / '11'}")
    fail(folder / "3", [], "no disk")
    assert cut_short(folder).endswith("failed: run 3: no disk")


@pytest.mark.parametrize(
    ("launcher", "threads"),
    [
        ({}, None),
        ({"n_jobs": 2}, 4),
        ({"n_jobs": 16}, 1),
        ({"n_jobs": -1}, 1),
        ({"ray": {"init": {}, "remote": {}}}, 1),
        ({"ray": {"remote": {"num_cpus": 3}}}, 3),
        ({"ray": {"remote": {"num_cpus": 0.5}}}, 1),
    ],
)
def test_threads_are_divided_among_runs_at_the_same_time(launcher, threads):
    assert threads_of_a_run(launcher, 8) == threads


@pytest.mark.parametrize("name", ["joblib", "ray"])
def test_a_launcher_that_is_missing_is_said_before_anything_runs(name, monkeypatch, capsys):
    monkeypatch.setattr("recsys.config.multirun.find_spec", lambda package: None)
    with pytest.raises(SystemExit) as stop:
        main(["-m", f"hydra/launcher={name}", "seed=1,2", "data=transactions", "data.path=none"])
    assert stop.value.code == 2
    sentence = f"hydra/launcher={name} needs the package hydra-{name}-launcher: pip install"
    assert sentence in capsys.readouterr().err


def test_launchers_of_others_are_not_asked_for(monkeypatch):
    monkeypatch.setattr("recsys.config.multirun.find_spec", lambda package: None)
    require_launcher(["hydra/launcher=basic", "model=gmf"])
    with pytest.raises(ConfigError, match="needs the package hydra-ray-launcher"):
        require_launcher(["hydra/launcher=ray"])
