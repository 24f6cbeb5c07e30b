"""What models reach as they stand, beside the best of settings around the defaults."""

import io
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from recsys.arguments import setting
from recsys.config.composition import compose
from recsys.errors import ConfigError, UserError
from recsys.runs.folder import RunFolder
from recsys.tasks.lifecycle import run_training, run_validation

# data set: what reads it, and the file in RECSYS_DATA that it needs
DATA: Mapping[str, tuple[Sequence[str], str]] = {
    "complete_journey": (["data=complete_journey"], ""),
    "movielens_100k": (
        ["data=movielens_100k", "evaluation=leave_last_out"],
        "movielens_100k/interactions.parquet",
    ),
    "movielens_1m": (["experiment=ncf_movielens_1m"], "movielens_1m_ncf/train.parquet"),
    "online_retail": (["data=online_retail"], "online_retail_ii.parquet"),
    "citeulike": (
        [
            "data=presplit",
            "data.train_path={folder}/citeulike_cold/train.parquet",
            "data.test_path={folder}/citeulike_cold/warm_test.parquet",
        ],
        "citeulike_cold/train.parquet",
    ),
    "m4_hourly": (["experiment=m4_hourly"], "m4_hourly/train.parquet"),
    "complete_journey_sales": (["data=complete_journey_sales"], ""),
    # the windows of experiment=online_retail_sales
    "online_retail_sales": (
        [
            "data=online_retail_sales",
            "evaluation.split.horizon=4",
            "evaluation.split.windows=4",
            "evaluation.split.validation_windows=4",
            "evaluation.split.min_steps=52",
        ],
        "online_retail_ii.parquet",
    ),
}
FACTORS = (
    ["loss.regularization=0.004"],
    ["loss.regularization=0.02"],
    ["model.dropout=0.2"],
    ["model.dropout=0.65"],
    ["model.embedding_dim=128"],
    ["train.lr=0.02"],
)
# model: overrides that are tried beside none, the ones that matter most first
AROUND: Mapping[str, Sequence[Sequence[str]]] = {
    "ease": [[f"model.regularization={value}"] for value in (100, 2000, 20, 5000)],
    "item_knn": [
        ["model.num_neighbours=50", "model.shrinkage=0"],
        ["model.num_neighbours=400"],
        ["model.shrinkage=100"],
    ],
    "ials": [
        *([f"model.regularization={value}"] for value in (0.01, 0.02, 0.005, 0.04)),
        ["model.embedding_dim=256"],
        ["model.embedding_dim=64"],
    ],
    "mf": FACTORS,
    "gmf": FACTORS,
    "neumf": FACTORS[:4],
    "autoencoder": (
        ["train.weight_decay=0.2"],
        ["train.weight_decay=1.0"],
        ["train.lr=0.005"],
        ["model.dropout=0.4"],
    ),
    "sasrec": (
        ["train.max_epochs=8"],
        ["model.dropout=0.2"],
        ["train.lr=0.005"],
        ["model.embedding_dim=128"],
    ),
    "next_purchase": (
        ["loss.half_life_days=20"],
        ["train.weight_decay=0.3"],
        ["train.max_epochs=32"],
    ),
    "lstm": (["train.lr=0.002"], ["train.lr=0.01"], ["train.weight_decay=1.0"]),
}
FORECASTERS = ("lstm",)
SALES = ("m4_hourly", "complete_journey_sales", "online_retail_sales")
WITHOUT_TIME = ("movielens_1m", "citeulike")


@dataclass(frozen=True, kw_only=True)
class DefaultsArguments:
    """Trains models as they stand and with settings around their defaults, chosen on validation,
    and compares both on the test.
    """

    data: str = setting("comma-separated data sets", default=",".join(DATA))
    models: str = setting("comma-separated models", default=",".join(AROUND))
    trials: int = setting("settings tried beside the defaults, at most", default=6, minimum=0)
    threads: int = setting("threads of torch", default=2, minimum=1)
    folder: Path | None = setting("where results are kept, to go on from", default=None)


def defaults(arguments: DefaultsArguments) -> None:
    """Measures and prints."""
    torch.set_num_threads(arguments.threads)
    names, models = arguments.data.split(","), arguments.models.split(",")
    for name, known in [(name, DATA) for name in names] + [(name, AROUND) for name in models]:
        if name not in known:
            raise ConfigError(f"{name} is not known; it is one of: {', '.join(known)}")
    console = Console(highlight=False)
    table = Table(title="as they stand / tuned, on the test", title_justify="left")
    for column in ("", *names):
        table.add_column(column, justify="left" if not column else "right")
    with tempfile.TemporaryDirectory() as nowhere:
        kept = arguments.folder or Path(nowhere)
        for model in models:
            cells = [_cell(kept, name, model, arguments.trials, console) for name in names]
            table.add_row(model, *cells)
    console.print(table)


def _cell(kept: Path, name: str, model: str, trials: int, console: Console) -> str:
    """Both values and their ratio, or why there are none."""
    folder = Path(os.environ.get("RECSYS_DATA", "data"))
    read, needed = DATA[name]
    if (name in SALES) != (model in FORECASTERS):
        return ""
    if model == "next_purchase" and name in WITHOUT_TIME:
        return "no time"
    if not (folder / needed).exists():
        return "no data"
    base = [each.format(folder=folder) for each in read] + [f"model={model}", "logger=none"]
    base += ["evaluation.baselines=[]", "trainer.enable_progress_bar=false"]
    place = kept / name / model
    try:
        found = [_validated(place / "0", base)]
        tried = list(AROUND[model][:trials])
        for number, overrides in enumerate(tried, 1):
            found.append(_validated(place / str(number), [*base, *overrides]))
        monitor = compose(base).monitor()
        best = _best(found, monitor)
        values = [
            _tested(place / f"test-{number}", [*base, *([] if number == 0 else tried[number - 1])])
            for number in dict.fromkeys((0, best))
        ]
    except UserError as error:
        return f"refused: {str(error)[:60]}"
    stands, tuned = values[0], values[-1]
    words = "as it stands" if best == 0 else " ".join(tried[best - 1])
    console.print(f"{name} {model}: {stands:.4f}, tuned {tuned:.4f} ({words}); validation {found}")
    return f"{stands:.4f} / {tuned:.4f}"


def _best(found: Sequence[float], monitor: str) -> int:
    least = "ndcg" not in monitor
    return min(range(len(found)), key=lambda number: found[number] * (1 if least else -1))


def _validated(folder: Path, overrides: Sequence[str]) -> float:
    folder.mkdir(parents=True, exist_ok=True)
    with redirect_stdout(io.StringIO()):
        return run_validation(compose(overrides), folder, lambda epoch, value: None)["value"]


def _tested(folder: Path, overrides: Sequence[str]) -> float:
    settings = compose(overrides)
    if not (folder / "metrics.json").exists():
        with redirect_stdout(io.StringIO()):
            run_training(settings, folder)
    metrics = json.loads((RunFolder(folder).path / "metrics.json").read_text())
    return float(metrics["test/" + settings.monitor().partition("/")[2]])
