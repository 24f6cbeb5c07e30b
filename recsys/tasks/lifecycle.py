"""A configuration in, a run folder out; a run folder in, a bundle out."""

import gc
import math
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from recsys.config.composition import command_line, instantiate
from recsys.data.panel import SalesPanel
from recsys.environment import differences, environment, process_rank
from recsys.errors import ConfigError, DataError
from recsys.reports.console import say
from recsys.reports.html import write_report
from recsys.runs.folder import RunFolder, begin
from recsys.tasks.recommendation import (
    export_recommender,
    load_recommender,
    run_recommender,
    validate_recommender,
)
from recsys.tracking.sending import send_bundle, send_run, trackers_of

if TYPE_CHECKING:
    # what only a training waits for
    import pytorch_lightning as pl

# that other processes of a training wait for the first to begin
FIRST_PROCESS_SECONDS = 300.0
# metrics that tell how long something took, and so differ from run to run
TIMINGS = ("seconds", "per_second")


def main(arguments: list[str] | None = None) -> None:
    """The command line of scripts/train.py; the run folder is the last line it prints."""
    others = {"train.resume": resume_run, "rerun": rerun}
    command_line(sys.argv[1:] if arguments is None else arguments, run_experiment, others)


def run_experiment(config: dict[str, Any], folder: Path, rerun_of: RunFolder | None = None) -> Path:
    """Reads, splits, trains, refits, judges and reports.

    Args:
        config: plain, as `recsys.config.composition.compose` returns it.
        folder: of the run; continued where it holds one with the same configuration.
        rerun_of: a run that this one repeats.

    Returns:
        The folder.
    """
    if not isinstance(config["seed"], int):
        raise ConfigError(f"seed={config['seed']!r} is not a whole number")
    trackers_of(config)  # a package that is missing is said before training, not after
    run = RunFolder(folder, writes=not (_together(config) and process_rank() > 0))
    if not run.writes:
        _wait_for_the_first(run)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "config.yaml").exists() and run.read_config() != config:
        raise ConfigError(
            f"{folder} already holds a run with another configuration; choose another hydra.run.dir"
        )
    _begin(config, run, rerun_of)
    start = time.perf_counter()
    data = instantiate(config["data"])
    metrics = {"data/seconds": time.perf_counter() - start}
    if rerun_of is not None:
        _require_same_data(rerun_of, data.report.fingerprint)
    if isinstance(data, SalesPanel):
        from recsys.tasks.forecasting import run_forecaster

        run_forecaster(config, data, run, metrics)
    else:
        run_recommender(config, data, run, metrics)
    if run.writes:
        send_run(run)
    gc.collect()  # Lightning leaves reference cycles, which would pile up over a multirun
    return folder


def _together(config: dict[str, Any]) -> bool:
    """Whether this process is one of several that all run the whole command; those that Lightning
    spawns only train.
    """
    strategy = str(config["trainer"].get("strategy", ""))
    return strategy.startswith("ddp") and not strategy.endswith(("spawn", "fork", "notebook"))


def _wait_for_the_first(run: RunFolder) -> None:
    """Until the process that writes has begun.

    Raises:
        ConfigError: it has not, in this folder.
    """
    deadline = time.monotonic() + FIRST_PROCESS_SECONDS
    while not (run.path / "run.json").exists():
        if time.monotonic() > deadline:
            raise ConfigError(
                f"the first process of this training has not begun in {run.path}: give all of them"
                " one folder, which all machines see, with hydra.run.dir=FOLDER"
            )
        time.sleep(0.1)


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
    if not (run.path / "metrics.json").exists():
        return run_experiment(run.read_config(), run.path)
    if not (run.path / "report.html").exists():
        write_report(run)
        send_run(run)
    elif not send_run(run):
        raise ConfigError(f"{folder} has finished; there is nothing to resume")
    return run.path


def rerun(folder: str, others: list[str]) -> Path:
    """Repeats a finished run in a new folder, with as many threads, and says whether its metrics
    are the same.

    Args:
        folder: of the run.
        others: hydra.run.dir=FOLDER for another place than runs/DATA/MODEL/TIME.

    Raises:
        ConfigError: the folder is no finished run, or other settings were given.
        DataError: the data are no longer the same.
    """
    run = RunFolder.open(folder)
    run.require_finished()
    key, _, chosen = others[0].partition("=") if len(others) == 1 else ("", "", "")
    if others and key != "hydra.run.dir":
        raise ConfigError(
            "rerun repeats a run as it was configured and takes no other setting than"
            f" hydra.run.dir=FOLDER (found {' '.join(others)})"
        )
    config = run.read_config()
    names = str(config["choices"]["data"]), str(config["choices"]["model"])
    default = Path("runs", *names, f"{datetime.now():%Y-%m-%d_%H-%M-%S_%f}")
    target = Path(chosen) if chosen else default
    try:
        again = RunFolder(run_experiment(config, target, run))
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(str(target)) from stop
    found = metrics_that_differ(run, again)
    before = len(run.read_json("metrics.json"))
    say(
        f"{len(found)} of {before} metrics differ from {folder}: {', '.join(found[:5])}"
        if found
        else f"the same metrics as {folder}, bit for bit"
    )
    return again.path


def metrics_that_differ(one: RunFolder, other: RunFolder) -> list[str]:
    """Names of the metrics whose values are not equal to the last bit; timings aside."""
    mine, its = one.read_json("metrics.json"), other.read_json("metrics.json")
    return [
        name
        for name in mine | its
        if not name.endswith(TIMINGS) and not _equal(mine.get(name), its.get(name))
    ]


def _equal(one: float | None, other: float | None) -> bool:
    both_undefined = one is not None and other is not None and math.isnan(one) and math.isnan(other)
    return one == other or both_undefined


def _begin(config: dict[str, Any], run: RunFolder, rerun_of: RunFolder | None) -> None:
    """Writes config.yaml and run.json; takes the threads of what is continued or repeated, because
    sums depend on them.
    """
    earlier = run.read_json("run.json")
    model = earlier or (rerun_of.read_json("run.json") if rerun_of else None)
    if model:
        if "threads" in model:
            torch.set_num_threads(model["threads"])
        if changed := differences(model, environment()):
            say(f"numbers may differ, because the run was made with other: {'; '.join(changed)}")
    begun = begin(config, earlier)
    if rerun_of is not None:
        begun["rerun_of"] = str(rerun_of.path)
    run.write_config(config)
    run.write_json("run.json", begun)


def _require_same_data(run: RunFolder, fingerprint: str) -> None:
    expected = run.read_json("run.json").get("data_fingerprint")
    if expected and fingerprint != expected:
        raise DataError(
            f"{run.path} was trained on other data (fingerprint {expected}, now {fingerprint}), so"
            " it cannot be repeated; bring the data back, or train anew with its command"
        )


def run_validation(
    config: dict[str, Any], folder: Path, report: Callable[[int, float], None]
) -> dict[str, Any]:
    """Trains and judges on validation alone, as one trial of a sweep; the test part is not looked
    at. A trial that was killed goes on where it was.

    Args:
        config: plain.
        folder: of the trial.
        report: called with the epoch, from 1, and the monitored value after every validation.

    Returns:
        "value" of the monitored metric, and of a training "epochs", the best one, and "seconds".

    Raises:
        ConfigError: the split has no validation part, or the monitor is no metric of it.
    """
    from recsys.tasks.forecasting import validate_forecaster
    from recsys.training.progress import ReportValidations

    folder.mkdir(parents=True, exist_ok=True)
    run, metrics = RunFolder(folder), dict[str, float]()
    if (known := run.read_json("result.json")) is not None:
        return known
    run.write_config(config, "trial.yaml")
    data = instantiate(config["data"])
    monitor = config["train"]["monitor"]
    # a process that training starts could not call back
    alone = config["trainer"].get("devices", 1) == 1
    callbacks: list[pl.Callback] = [ReportValidations(monitor, report)] if alone else []
    validate = validate_forecaster if isinstance(data, SalesPanel) else validate_recommender
    fitted = validate(config, data, run, metrics, callbacks)
    if fitted is not None:
        found = {"value": fitted.value, "epochs": fitted.epochs, "seconds": fitted.seconds}
    elif monitor in metrics:
        found = {"value": metrics[monitor]}
    else:
        raise ConfigError(
            f"train.monitor={monitor!r} is not among the metrics of this data: {', '.join(metrics)}"
        )
    run.write_json("result.json", found)
    return found


def load_run(folder: str | Path) -> tuple[nn.Module, RunFolder]:
    """The trained model of a finished run, on the CPU and in evaluation mode, and the run."""
    run = RunFolder.open(folder)
    run.require_finished()
    if not _is_forecaster(run):
        return load_recommender(run), run
    from recsys.tasks.forecasting import load_forecaster

    return load_forecaster(run), run


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
    if include_seen and _is_forecaster(run):
        raise ConfigError(f"seen=true is for recommenders, and {folder} is the run of a forecaster")
    if _is_forecaster(run):
        from recsys.tasks.forecasting import export_forecaster

        written = export_forecaster(run, bundle)
    else:
        written = export_recommender(run, bundle, include_seen)
    send_bundle(run, written)
    return written


def _is_forecaster(run: RunFolder) -> bool:
    return run.read_json("run.json").get("task") == "forecaster"
