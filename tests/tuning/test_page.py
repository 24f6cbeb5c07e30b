"""The report of a sweep: what it says of few trials, of many, and of none that gave a value."""

import re
from pathlib import Path

import pytest
from optuna.trial import Trial

from recsys.tuning.page import importances, render_sweep
from recsys.tuning.settings import SweepSettings
from recsys.tuning.study import SweepStudy

SETTINGS = SweepSettings(
    "mine",
    ("model=gmf", "data.path=sqlite://me:secret@host/shop"),
    {"model.embedding_dim": {"choose": [4, 8]}, "train.lr": {"low": 0.001, "high": 0.1}},
    "random",
)
CONFIG = {
    "seed": 1,
    "choices": {"model": "gmf", "data": "shop"},
    "model": {"embedding_dim": 8},
    "train": {"lr": 0.05, "monitor": "val/new/ndcg@10", "max_epochs": 9},
    "evaluation": {"views": ["new"]},
}
RECORD = {
    "model": "gmf",
    "data": "shop",
    "seed": 1,
    "command": "sweep.py sweep=mine storage=postgresql://me:secret@host/sweeps",
    "memory_growth_mb": 1.5,
}


@pytest.fixture
def study(tmp_path: Path) -> SweepStudy:
    return SweepStudy(SETTINGS, CONFIG, "maximize", f"sqlite:///{tmp_path / 'study.db'}", "sweep")


def complete(study: SweepStudy, value: float) -> Trial:
    trial = study.draw()
    study.complete(trial, {"value": value, "epochs": 3, "seconds": 2.0})
    return trial


def words_of(study: SweepStudy) -> str:
    """The page without its markup."""
    page = render_sweep(study, SETTINGS, RECORD, None)
    return " ".join(re.sub("<[^>]*>", " ", page.partition("<body>")[2]).split())


def test_the_best_trial_stands_beside_the_configuration_as_it_was(study):
    complete(study, 0.2)
    words = words_of(study)
    assert "Trial 0 is best on validation with 0.2000." in words
    assert "Epochs Training embedding dim lr 0 0.2000 3 2.0 s 8 0.05" in words
    complete(study, 0.3)
    words = words_of(study)
    assert "with 0.3000, against 0.2000 of the configuration as it was." in words
    assert "A line a trial; the best in orange." in words
    assert "As configured" in words


def test_a_configuration_that_was_pruned_has_no_value_to_stand_beside(study):
    trial = study.draw()
    study.report(trial, 1, 0.9)
    study.prune(trial, 1)
    complete(study, 0.3)
    words = words_of(study)
    assert "Trial 1 is best on validation with 0.3000." in words
    assert "Hollow ones were stopped early" in words
    assert "Pruned trials, and why Trial 0 pruned after epoch 1 (embedding dim 8, lr 0.05)" in words


def test_a_sweep_that_gave_nothing_says_why(study):
    study.fail(study.draw(), "no <memory>")
    words = words_of(study)
    assert "No trial gave a value; the reasons are below." in words
    assert "no &lt;memory&gt;" in words
    assert "A dot a trial" not in words
    assert "Parallel coordinates" not in words


def test_a_tenth_of_many_trials_is_drawn_as_good_and_importances_sum_to_one(study):
    for number in range(7):
        complete(study, 0.1 + 0.01 * number)
    assert importances(study) == {}  # too few
    for number in range(13):
        complete(study, 0.2 + 0.01 * number)
    assert sum(importances(study).values()) == pytest.approx(1.0)
    page = render_sweep(study, SETTINGS, RECORD, None)
    assert len(re.findall(r"<title>trial \d+: 0.\d+ \(", page)) == 20  # a line for each
    assert "the best in orange, the next in blue." in page
    assert "Importance" in page


def test_the_best_comes_first_and_is_marked(study):
    for value in (0.1, 0.3, 0.2):
        complete(study, value)
    page = render_sweep(study, SETTINGS, RECORD, None)
    rows = re.findall(r"<tr( class=marked)?><th scope=.row.><bdi>(\d)</bdi>", page)
    assert rows == [(" class=marked", "1"), ("", "2"), ("", "0")]


def test_passwords_stay_out_of_the_page(study):
    complete(study, 0.2)
    page = render_sweep(study, SETTINGS, RECORD, None)
    assert "secret" not in page
    assert "postgresql://host/sweeps" in page
    assert "sqlite://host/shop" in page
