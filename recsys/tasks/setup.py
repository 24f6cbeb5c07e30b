"""What every task takes from a configuration: seed, trainer, loggers, device."""

import math
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import yaml

from recsys.config.composition import CONF, instantiate
from recsys.errors import ConfigError
from recsys.reports.console import say
from recsys.runs.folder import RunFolder, for_others
from recsys.tracking.sending import is_tracker
from recsys.training.optimization import Optimization

if TYPE_CHECKING:
    # Lightning, which only a training waits for
    from pytorch_lightning.loggers import Logger

    from recsys.training.fit import FitResult


def seed_everything(seed: int) -> None:
    """Seeds Python, numpy and torch, from which initial weights are drawn."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def trainer_options(config: dict[str, Any]) -> dict[str, Any]:
    """Arguments of Lightning's trainer."""
    options = {key: value for key, value in config["trainer"].items() if value is not None}
    options["gradient_clip_val"] = config["train"]["gradient_clip"]
    return options


def make_loggers(config: dict[str, Any], run: RunFolder, phase: str) -> "list[Logger]":
    """The configured loggers, in a folder of this attempt at this phase."""
    attempts = len(list((run.path / "logs" / phase).glob("*")))
    return [
        instantiate(logger, save_dir=str(run.path / "logs"), name=phase, version=str(attempts))
        for logger in config["logger"].values()
        if not is_tracker(logger)
    ]


def evaluation_device(config: dict[str, Any]) -> str:
    """Where models are judged: a GPU where the trainer may use one."""
    asks = config["trainer"]["accelerator"] in ("gpu", "auto")
    return "cuda" if asks and torch.cuda.is_available() else "cpu"


def optimization(config: dict[str, Any]) -> Optimization:
    """How parameters move."""
    train = config["train"]
    return Optimization(
        train["max_epochs"],
        train["lr"],
        train["weight_decay"],
        train["schedule"],
        train.get("row_wise"),
    )


def model_settings() -> dict[str, dict[str, Any]]:
    """Name of every model that comes with the project to its plain settings."""
    files = (CONF / "model").glob("*.yaml")
    return {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}


def require_validation(config: dict[str, Any], found: bool) -> None:
    """Raises ConfigError where a split has no validation part to choose on."""
    if not found:
        raise ConfigError(
            f"evaluation={config['choices']['evaluation']} has no validation part, and a sweep"
            " chooses on validation only: take another evaluation, or hold out more"
        )


def note_training(metrics: dict[str, float], phase: str, fitted: "FitResult", monitor: str) -> None:
    """Adds how a training went, and says it."""
    add_seconds(metrics, "train/seconds", fitted.seconds)
    metrics["train/samples_per_second"] = fitted.samples_per_second
    metrics["train/epochs"] = fitted.epochs
    found = "" if math.isnan(fitted.value) else f", {monitor} {fitted.value:.4f}"
    rows = ""
    if fitted.row_wise:
        rows = f"; only the rows that a batch touches moved in {', '.join(fitted.row_wise)}"
    say(f"{phase}: epoch {fitted.epochs} in {fitted.seconds:.1f} s{found}{rows}")


def optimizer_used(fitted: "FitResult | None") -> dict[str, Any] | None:
    """What moved the parameters, for run.json; None where nothing was trained."""
    if fitted is None:
        return None
    if not fitted.row_wise:
        return {"name": "AdamW"}
    return {"name": "RowWiseAdamW", "row_wise": list(fitted.row_wise)}


def add_seconds(metrics: dict[str, float], key: str, seconds: float) -> None:
    """Adds to what earlier phases took."""
    metrics[key] = metrics.get(key, 0.0) + seconds


def provenance(run: RunFolder) -> dict[str, Any]:
    """What a bundle says of the run that it comes from."""
    record, report = run.read_json("run.json"), run.read_json("data_report.json")
    return {
        "model": record["model"],
        "metrics": run.read_json("metrics.json"),
        "data": (
            {key: value for key, value in report.items() if key != "phases"}
            | {"name": record["data"]}
        ),
        "split": record["split"],
        "seed": record["seed"],
        "config": for_others(run.read_config()),
        "versions": record["versions"],
        "git_commit": record["git_commit"],
    }
