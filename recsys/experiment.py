"""A configuration in, a run folder out; a run folder in, a bundle out."""

import gc
import sys
import time
from pathlib import Path
from typing import Any

from torch import nn

from recsys.composition import command_line, instantiate
from recsys.data.panel import SalesPanel
from recsys.errors import ConfigError
from recsys.runs import RunFolder
from recsys.tasks.forecasting import export_forecaster, load_forecaster, run_forecaster
from recsys.tasks.recommending import export_recommender, load_recommender, run_recommender


def main(arguments: list[str] | None = None) -> None:
    """The command line of scripts/train.py; the run folder is the last line it prints."""
    command_line(sys.argv[1:] if arguments is None else arguments, run_experiment, resume_run)


def run_experiment(config: dict[str, Any], folder: Path) -> Path:
    """Reads, splits, trains, refits, judges and reports.

    Args:
        config: plain, as `recsys.composition.compose` returns it.
        folder: of the run; continued where it holds one with the same configuration.

    Returns:
        The folder.
    """
    if not isinstance(config["seed"], int):
        raise ConfigError(f"seed={config['seed']!r} is not a whole number")
    run = RunFolder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "config.yaml").exists() and run.read_config() != config:
        raise ConfigError(
            f"{folder} already holds a run with another configuration; choose another hydra.run.dir"
        )
    run.write_config(config)
    start = time.perf_counter()
    data = instantiate(config["data"])
    metrics = {"data/seconds": time.perf_counter() - start}
    if isinstance(data, SalesPanel):
        run_forecaster(config, data, run, metrics)
    else:
        run_recommender(config, data, run, metrics)
    gc.collect()  # Lightning leaves reference cycles, which would pile up over a multirun
    return folder


def resume_run(folder: str, others: list[str]) -> Path:
    """Continues a run with its own configuration.

    Raises:
        ConfigError: the folder is no run, or other settings were given.
    """
    if others:
        raise ConfigError(
            "train.resume continues a run as it was configured and takes no other setting (found"
            f" {' '.join(others)})"
        )
    run = RunFolder.open(folder)
    if (run.path / "metrics.json").exists():
        raise ConfigError(f"{folder} has finished; there is nothing to resume")
    return run_experiment(run.read_config(), run.path)


def load_run(folder: str | Path) -> tuple[nn.Module, RunFolder]:
    """The trained model of a finished run, on the CPU and in evaluation mode, and the run."""
    run = RunFolder.open(folder)
    run.require_finished()
    return (load_forecaster if _is_forecaster(run) else load_recommender)(run), run


def export_run(folder: str | Path, bundle: Path, include_seen: bool = False) -> Path:
    """Exports the model of a finished run.

    Args:
        folder: of the run.
        bundle: folder to write; its name is the bundle's.
        include_seen: also ship what each user bought, so that it can be excluded or read as
            history.

    Returns:
        The bundle.
    """
    run = RunFolder.open(folder)
    run.require_finished()
    if not _is_forecaster(run):
        return export_recommender(run, bundle, include_seen)
    if include_seen:
        raise ConfigError(f"seen=true is for recommenders, and {folder} is the run of a forecaster")
    return export_forecaster(run, bundle)


def _is_forecaster(run: RunFolder) -> bool:
    return run.read_json("run.json").get("task") == "forecaster"
