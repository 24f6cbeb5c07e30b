"""The command line of scripts/runs.py: which runs there are, as a table."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recsys.arguments import parse_arguments, setting
from recsys.comparison.reading import find_runs
from recsys.errors import ConfigError, UserError, unknown
from recsys.reports.console import print_table
from recsys.reports.formats import MISSING, decimal, duration, moment, plural, whole
from recsys.runs.folder import RunFolder, make_folder

COLUMNS = (
    "run",
    "status",
    "task",
    "experiment",
    "data",
    "split",
    "model",
    "seed",
    "metric",
    "val",
    "test",
    "epochs",
    "train_seconds",
    "evaluation_seconds",
    "peak_memory_mb",
    "threads",
    "started",
    "finished",
    "git_commit",
    "git_dirty",
    "data_fingerprint",
)
# on screen, as far as they hold anything
SHOWN = (
    "run",
    "status",
    "data",
    "model",
    "seed",
    "metric",
    "val",
    "test",
    "epochs",
    "train_seconds",
    "peak_memory_mb",
    "started",
)
HEADERS = {"train_seconds": "training", "peak_memory_mb": "memory"}
# a log file has no width; eighty columns would cut the numbers off
_WIDTH = 200


@dataclass(frozen=True, kw_only=True)
class ListArguments:
    """Lists runs, the latest first; every filter may name several values: model=gmf,neumf."""

    runs: str = setting(
        "[A,B,…]: run folders, folders of them, or patterns such as runs/*/*", default="runs"
    )
    model: str | None = setting("only these models", default=None)
    data: str | None = setting("only these data", default=None)
    split: str | None = setting("only these evaluations, such as global_time", default=None)
    experiment: str | None = setting("only these experiments", default=None)
    seed: str | None = setting("only these seeds", default=None)
    task: str | None = setting("only of this task: recommendation, forecasting", default=None)
    status: str | None = setting("only finished or unfinished", default=None)
    metrics: str = setting("[test/all/ndcg@10,…]: more columns, of metrics.json", default="[]")
    sort: str = setting("column; one that begins with - ascends", default="started")
    limit: int | None = setting("rows to show", default=None, minimum=1)
    output: Path | None = setting("CSV file to write, with every column", default=None)


def runs_command(arguments: Sequence[str], command: str) -> int:
    """Prints the table, and with output= the file it wrote; returns the exit code."""
    try:
        settings = parse_arguments(ListArguments, arguments, command)
        if settings.output is not None and settings.output.suffix.lower() != ".csv":
            raise ConfigError(f"output={settings.output}: a CSV file is written; end it with .csv")
        table = list_runs(settings)
        if settings.output is not None:
            make_folder(settings.output.parent, "output")
            text = table.to_csv(index=False)
            RunFolder(settings.output.parent).write_text(settings.output.name, text)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_runs(table, _words(settings.metrics))
    if settings.output is not None:
        print(settings.output)
    return 0


def list_runs(settings: ListArguments) -> pd.DataFrame:
    """A row a run with `COLUMNS` and the metrics asked for; what a run does not hold is missing.

    Raises:
        ConfigError: a filter names what no run has, or a column does not exist.
    """
    metrics = _words(settings.metrics)
    rows = [_row(RunFolder(folder), metrics) for folder in find_runs(settings.runs)]
    table = pd.DataFrame(rows, columns=[*COLUMNS, *metrics])
    if rows and (missing := [name for name in metrics if table[name].isna().all()]):
        raise ConfigError(f"metrics={missing[0]}: none of the {len(rows)} runs has it")
    for column in ("model", "data", "split", "experiment", "seed", "task", "status"):
        if (wanted := getattr(settings, column)) is not None:
            table = _only(table, column, _words(wanted))
    column = settings.sort.removeprefix("-")
    if column not in table:
        raise ConfigError(f"sort={unknown(column, table.columns, 'column')}")
    ascending = settings.sort.startswith("-")
    table = table.sort_values(column, ascending=ascending, kind="stable", na_position="last")
    table = table.reset_index(drop=True)
    return table if settings.limit is None else table.head(settings.limit)


def print_runs(table: pd.DataFrame, metrics: Sequence[str] = ()) -> None:
    """The table on screen."""
    columns = [name for name in (*SHOWN, *metrics) if name == "run" or table[name].notna().any()]
    words = {"run", "status", "data", "model", "metric", "started"}
    left = [place for place, name in enumerate(columns) if name in words]
    rows = [[_cell(name, row[name]) for name in columns] for row in table.to_dict("records")]
    print_table("", [HEADERS.get(name, name) for name in columns], rows, left=left, width=_WIDTH)
    print(plural(len(table), "run"))


def _row(run: RunFolder, metrics: Iterable[str]) -> dict[str, object]:
    config, record = run.read_config(), run.read_json("run.json", {})
    found = run.read_json("metrics.json")
    values = found or {}
    choices = config.get("choices") or {}
    monitor = str(record.get("monitor") or (config.get("train") or {}).get("monitor"))
    metric = monitor.partition("/")[2]
    keys = {
        "val": f"val/{metric}",
        "test": f"test/{metric}",
        "epochs": "train/epochs",
        "train_seconds": "train/seconds",
        "evaluation_seconds": "evaluation/seconds",
    }
    return {
        "run": str(run.path),
        "status": "unfinished" if found is None else "finished",
        "experiment": choices.get("experiment"),
        "data": choices.get("data"),
        "split": choices.get("evaluation"),
        "model": choices.get("model"),
        "seed": config.get("seed"),
        "metric": metric,
        **{name: values.get(key) for name, key in keys.items()},
        # runs of earlier versions only say when they finished
        "started": record.get("started") or record.get("finished"),
        **{name: record[name] for name in COLUMNS if name in record},
        **{name: values.get(name) for name in metrics},
    }


def _only(table: pd.DataFrame, column: str, wanted: list[str]) -> pd.DataFrame:
    known = table[column].astype(str)
    for name in wanted:
        if not (known == name).any():
            raise ConfigError(f"{column}={unknown(name, sorted(set(known)), column)}")
    return table[known.isin(wanted)]


def _words(text: str) -> list[str]:
    inner = text.strip().removeprefix("[").removesuffix("]")
    return [word for word in (part.strip().strip("'\"") for part in inner.split(",")) if word]


def _cell(name: str, value: Any) -> str:
    if pd.isna(value):
        return MISSING
    if name == "started":
        return moment(value).removesuffix(" UTC")
    if name == "train_seconds":
        return duration(value)
    if name == "peak_memory_mb":
        return f"{whole(value)} MB"
    if name in ("seed", "epochs"):
        return whole(value).replace(",", "")
    return decimal(value) if isinstance(value, float) else str(value)
