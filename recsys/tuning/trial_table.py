"""Trials as a table: in a file, and on screen."""

import json
from collections.abc import Iterable
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from recsys.reports.console import print_table
from recsys.reports.formats import MISSING, decimal, duration
from recsys.tuning.search import settings_of
from recsys.tuning.study import SweepStudy

STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}
# rows on screen; the file has all
_SHOWN = 10
_WIDTH = 150


def trial_table(study: SweepStudy) -> pd.DataFrame:
    """A row a trial: number, state, value, its settings, epochs, seconds, memory, reason."""
    return pd.DataFrame([_row(study, trial) for trial in study.trials()])


def shown(value: Any) -> str:
    """A setting for people: numbers in few digits, lists as they are written."""
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.3g}"
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


def cells(trial: FrozenTrial, keys: Iterable[str]) -> list[str]:
    """A completed trial for people: number, value, epochs, seconds, settings."""
    facts, settings = trial.user_attrs, settings_of(trial)
    return [
        str(trial.number),
        decimal(trial.value),
        str(facts.get("epochs", MISSING)),
        duration(facts.get("seconds")),
        *(shown(settings[key]) for key in keys),
    ]


def print_trials(study: SweepStudy) -> None:
    """The best trials, and those that failed."""
    if ranked := study.ranked():
        header = ("trial", study.metric, "epochs", "seconds", *study.space)
        names = [name.rpartition(".")[2] if "." in name else name for name in header]
        rows = [cells(trial, study.space) for trial in ranked[:_SHOWN]]
        print_table("best trials", names, rows, width=_WIDTH)
    for trial in study.trials():
        if trial.state == TrialState.FAIL:
            print(f"trial {trial.number} failed: {reason(trial)}")


def reason(trial: FrozenTrial) -> str:
    """Why a trial has no value, or what is special about it; empty where nothing is."""
    return str(trial.user_attrs.get("reason", ""))


def _row(study: SweepStudy, trial: FrozenTrial) -> dict[str, object]:
    facts = trial.user_attrs
    settings = {key: _plain(value) for key, value in settings_of(trial).items()}
    return {
        "trial": trial.number,
        "state": STATES.get(trial.state, trial.state.name.lower()),
        study.metric: trial.value,
        **settings,
        "epochs": facts.get("epochs"),
        "seconds": facts.get("seconds"),
        "peak_memory_mb": facts.get("peak_memory_mb"),
        "threads": facts.get("threads"),
        "reason": reason(trial),
    }


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value
