"""Optuna's storage behind a sweep: draws nothing twice, goes on, refuses another sweep."""

import math
import os
import socket
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import Trial, TrialState

from recsys.errors import ConfigError
from recsys.tuning.settings import SweepSettings
from recsys.tuning.study import SweepStudy

SPACE = {
    "model.embedding_dim": {"choose": [4, 8]},
    "train.lr": {"low": 0.001, "high": 0.1, "log": True},
}
SETTINGS = SweepSettings("mine", ("model=gmf",), SPACE, "random", "median")
CONFIG = {
    "seed": 1,
    "choices": {"model": "gmf", "data": "shop"},
    "model": {"embedding_dim": 8},
    "train": {"lr": 0.5, "monitor": "val/new/ndcg@10", "max_epochs": 9},
    "evaluation": {"views": ["new"]},
}


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


def open_study(storage: str, settings: SweepSettings = SETTINGS, **changes: object) -> SweepStudy:
    direction = changes.pop("direction", "maximize")
    return SweepStudy(settings, CONFIG | changes, direction, storage, "sweep")


def test_a_reopened_study_draws_what_it_would_have_drawn(tmp_path):
    drawn = []
    for name in ("whole", "stopped"):
        study = open_study(f"sqlite:///{tmp_path / name}.db")
        params = []
        for number in range(4):
            if name == "stopped" and number == 2:
                study = open_study(f"sqlite:///{tmp_path / name}.db")
            trial = study.draw()
            study.complete(trial, {"value": 0.1 * number})
            params.append(trial.params)
        drawn.append(params)
    assert drawn[0] == drawn[1]
    assert len({params["train.lr"] for params in drawn[0]}) == 4
    other = open_study(f"sqlite:///{tmp_path / 'other.db'}", seed=2)
    assert other.draw().params != drawn[0][0]


def test_the_first_trial_is_the_configuration_as_it_is_where_the_space_holds_it(tmp_path, storage):
    study = open_study(storage, train=CONFIG["train"] | {"lr": 0.05})
    trial = study.draw()
    assert trial.params == {"model.embedding_dim": 8, "train.lr": 0.05}
    assert study.trials()[0].user_attrs["as_configured"]
    # a learning rate of .5 is outside
    assert open_study(f"sqlite:///{tmp_path / 'other.db'}").waiting == 0


GRID = {"model.embedding_dim": {"choose": [4, 8]}, "train.lr": {"choose": [0.1, 0.2]}}


def test_a_grid_waits_as_a_whole_and_is_not_enqueued_twice(storage):
    settings = replace(SETTINGS, space=GRID, sampler="grid")
    assert open_study(storage, settings).waiting == 4
    study = open_study(storage, settings)
    assert study.waiting == 4
    drawn = [tuple(study.draw().params.values()) for _ in range(4)]
    assert sorted(drawn) == [(4, 0.1), (4, 0.2), (8, 0.1), (8, 0.2)]


def test_a_grid_is_whole_where_the_sweep_was_killed_while_it_was_enqueued(storage, monkeypatch):
    settings = replace(SETTINGS, space=GRID, sampler="grid")
    enqueue, calls = optuna.Study.enqueue_trial, []

    def killed(study: optuna.Study, *arguments: object, **more: object) -> None:
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(arguments)
        enqueue(study, *arguments, **more)

    monkeypatch.setattr(optuna.Study, "enqueue_trial", killed)
    with pytest.raises(KeyboardInterrupt):
        open_study(storage, settings)
    monkeypatch.undo()
    assert open_study(storage, settings).waiting == 4


def test_a_trial_that_was_killed_while_it_was_drawn_gets_the_rest(storage, monkeypatch):
    study = open_study(storage)
    suggest = Trial._suggest

    def killed(trial: Trial, name: str, distribution: object) -> None:
        if name == "train.lr":
            raise KeyboardInterrupt
        suggest(trial, name, distribution)

    monkeypatch.setattr(Trial, "_suggest", killed)
    with pytest.raises(KeyboardInterrupt):
        study.draw()
    monkeypatch.undo()
    assert set(study.trials()[0].params) == {"model.embedding_dim"}
    study = open_study(storage)
    assert study.abandoned(alone=False) == []  # nobody wrote down whose it is
    (found,) = study.abandoned(alone=True)
    assert set(study.frozen(found).params) == set(SPACE)
    assert study.trials()[0].user_attrs["owner"]
    assert study.draw().number == 1


def test_what_another_host_left_in_a_storage_of_our_own_goes_on(storage):
    # a container that was started anew has another name
    study = open_study(storage)
    ended, killed = study.draw(), study.draw()
    for trial in (ended, killed):
        trial.set_user_attr("owner", "the-old-container:1:1")
    study.complete(ended, {"value": 0.1})
    assert [trial.number for trial in study.abandoned(alone=True)] == [killed.number]
    assert study.trials()[killed.number].user_attrs["owner"] != "the-old-container:1:1"


def test_trials_of_a_dead_process_are_continued_and_those_of_others_are_not(storage):
    study = open_study(storage)
    dead, alive, elsewhere = (study.draw() for _ in range(3))
    dead.set_user_attr("owner", f"{socket.gethostname()}:{os.getpid()}:1")
    elsewhere.set_user_attr("owner", "another-machine:1:1")
    (found,) = open_study(storage).abandoned(alone=False)
    assert (found.number, found.params) == (dead.number, dead.params)
    assert found.number != alive.number
    study.complete(found, {"value": 0.5})
    assert study.best().number == dead.number


def test_a_value_that_is_no_number_is_a_failure_with_its_reason(storage):
    study = open_study(storage)
    study.complete(study.draw(), {"value": math.nan})
    study.fail(study.draw(), "no memory")
    first, second = study.trials()
    assert first.state == second.state == TrialState.FAIL
    assert first.user_attrs["reason"] == "val/new/ndcg@10 was not a number"
    assert second.user_attrs["reason"] == "no memory"
    assert study.best() is None


def test_a_trial_below_the_median_is_pruned_and_a_repeated_step_counts_once(storage):
    study = open_study(storage)
    for _ in range(5):
        trial = study.draw()
        assert not study.report(trial, 1, 0.5)
        assert not study.report(trial, 2, 0.5)
        study.complete(trial, {"value": 0.5, "epochs": 2})
    poor = study.draw()
    assert not study.report(poor, 1, 0.1)  # the first epoch says too little
    assert not study.report(poor, 1, 0.9)
    assert not study.report(poor, 2, math.nan)
    assert study.report(poor, 2, 0.1)
    study.prune(poor, 2)
    found = study.trials()[-1]
    assert found.state == TrialState.PRUNED
    assert found.user_attrs == found.user_attrs | {"epochs": 2, "reason": "pruned after epoch 2"}
    assert found.intermediate_values == {1: 0.1, 2: 0.1}
    assert study.best().number == 0


def test_the_median_waits_until_a_one_cycle_schedule_has_reached_its_rate(storage):
    study = open_study(storage, train=CONFIG["train"] | {"max_epochs": 20})
    for value in (0.5, 0.5, 0.5, 0.5, 0.5, 0.1):
        trial = study.draw()
        pruned = [study.report(trial, epoch, value) for epoch in range(1, 6)]
        study.complete(trial, {"value": value})
    assert pruned == [False, False, False, False, True]


@pytest.mark.parametrize(("pruner", "prunes"), [("hyperband", True), ("none", False)])
def test_hyperband_stops_what_falls_behind_and_none_stops_nothing(storage, pruner, prunes):
    study = open_study(storage, replace(SETTINGS, pruner=pruner))
    stopped = False
    for number in range(8):
        trial = study.draw()
        stopped |= any(study.report(trial, epoch, 0.5 - 0.05 * number) for epoch in range(1, 10))
        study.complete(trial, {"value": 0.5 - 0.05 * number})
    assert stopped == prunes


def test_the_best_of_forecasts_is_the_lowest(storage):
    study = open_study(storage, direction="minimize")
    for value in (0.3, 0.2, 0.2):
        study.complete(study.draw(), {"value": value})
    assert study.best().number == 1
    assert [trial.number for trial in study.ranked()] == [1, 2, 0]


def test_the_best_of_rankings_is_the_highest_and_of_equals_the_first(storage):
    study = open_study(storage)
    for value in (0.2, 0.3, 0.3):
        study.complete(study.draw(), {"value": value})
    assert [trial.number for trial in study.ranked()] == [1, 2, 0]


def test_the_same_settings_again_are_recognised(storage):
    space = {"model.embedding_dim": {"choose": [4]}}
    study = open_study(storage, replace(SETTINGS, space=space))
    first = study.draw()
    assert study.twin(first) is None
    study.complete(first, {"value": 0.3})
    assert study.twin(study.draw()).number == first.number


def test_another_sweep_of_that_name_is_refused(storage):
    open_study(storage)
    open_study(storage, replace(SETTINGS, sweep="the/same/in/another/place.yaml"))
    with pytest.raises(ConfigError, match="already holds a sweep sweep with another overrides"):
        open_study(storage, replace(SETTINGS, overrides=("model=mf",)))


def test_a_storage_that_cannot_be_opened_is_said_without_its_password():
    with pytest.raises(ConfigError, match="cannot be opened") as caught:
        open_study("nonsense://user:secret@host/sweeps")
    assert "secret" not in str(caught.value)
