"""Trials as a table: in a file, and on screen."""

import json
from collections.abc import Iterable
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

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
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    if ranked := study.ranked():
        table = Table(title="best trials", title_justify="left", box=box.SIMPLE_HEAD)
        columns = ("trial", study.metric, "epochs", "seconds", *study.space)
        for name in columns:
            table.add_column(Text(name.rpartition(".")[2] if "." in name else name))
        for trial in ranked[:_SHOWN]:
            table.add_row(*map(Text, cells(trial, study.space)))
        console.print(table)
    for trial in study.trials():
        if trial.state == TrialState.FAIL:
            console.print(Text(f"trial {trial.number} failed: {reason(trial)}"))


def reason(trial: FrozenTrial) -> str:
    """Why a trial has no value, or what is special about it; empty where nothing is."""
    return str(trial.user_attrs.get("reason", ""))


def _row(study: SweepStudy, trial: FrozenTrial) -> dict[str, Any]:
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
