"""Settings in, a run folder out; a run folder in, a bundle out: the same steps for every task."""

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from recsys.config.settings import Settings
from recsys.environment import differences, environment, process_rank
from recsys.errors import ConfigError, DataError
from recsys.reports.console import say
from recsys.reports.page import write_report
from recsys.runs.folder import RunFolder, make_folder, without_trace
from recsys.runs.record import RunRecord, finished_now
from recsys.tasks.fitting import MONITOR, TRAINING, explained_memory, note_training, say_idle
from recsys.tasks.registry import task_of, task_of_run
from recsys.tasks.task import Prepared, Report, Task
from recsys.tracking.sending import send_bundle, send_run, trackers_of

if TYPE_CHECKING:
    # Lightning, which only a training loads
    import pytorch_lightning as pl

    from recsys.training.fit import FitResult

# seconds that the other processes of a training wait for rank 0
RANK_0_SECONDS = 300.0
# metrics that tell how long something took, and so differ from run to run
TIMINGS = ("seconds", "per_second")


def run_training(
    settings: Settings, folder: Path, *, data: Any = None, rerun_of: RunFolder | None = None
) -> Path:
    """Reads, splits, trains, refits, judges and reports.

    Args:
        settings: of the run.
        folder: of the run; continued where it holds one with the same configuration.
        data: a table to read in place of `data.path`, such as a DataFrame; None: as configured.
        rerun_of: a run that this one repeats.

    Returns:
        The folder.

    Raises:
        ConfigError: settings that do not fit each other, or the folder holds another run.
        DataError: the data cannot be used, or are not those of `rerun_of`.
        TrainingError: the training cannot go on.
    """
    run = RunFolder(folder, writes=not (_is_distributed(settings) and process_rank() > 0))
    # other processes of the training leave the folder to the first one
    trace = without_trace(folder) if run.writes else nullcontext()
    with trace:
        task = checked_task(settings)
        trackers_of(settings.logger)  # a missing package is reported before training, not after
        if run.writes:
            make_folder(folder, "hydra.run.dir")
        record, prepared, metrics = _begin(task, settings, run, rerun_of, data)
        with explained_memory():
            fitted = _fit_and_judge(prepared, settings, run, metrics)
    is_trained = fitted is not None or any(part.loss for part in settings.parts.values())
    _say_idle(settings, prepared.phases, is_trained, metrics)
    if run.writes:
        record = replace(record, optimizer=optimizer_used(fitted, settings), **finished_now())
        _finish(task, settings, run, record, metrics)
        send_run(run)
    gc.collect()  # Lightning leaves reference cycles, which would pile up over a multirun
    return folder


def checked_task(settings: Settings) -> Task:
    """The task of the settings, once these fit it and each other; nothing has been read yet.

    Raises:
        ConfigError: a source, an evaluation, a model, a loss or a monitor that does not fit.
    """
    task = task_of(settings)
    evaluation = settings.evaluation.resolve()
    if evaluation is not task.evaluation:
        raise ConfigError(
            f"evaluation={settings.choices.evaluation} is not for task={task.name}, which"
            f" data={settings.choices.data} is read for: choose another evaluation, or other data"
        )
    task.check(settings)
    monitor = settings.train.monitor
    try:
        direction = task.direction(monitor)
    except ConfigError as error:
        raise ConfigError(f"train.monitor: {error}") from error
    if direction is None:
        raise ConfigError(
            f"train.monitor={monitor}: neither a higher nor a lower value of it is better, so it"
            " cannot choose an epoch; monitor another metric"
        )
    return task


def resume_run(folder: str, others: Sequence[str]) -> Path:
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
    settings = Settings.from_plain(run.read_config())
    if not (run.path / "metrics.json").exists():
        return run_training(settings, run.path)
    if not (run.path / "report.html").exists():
        write_report(run, task_of_run(run).page(run))
        send_run(run)
    elif not send_run(run):
        raise ConfigError(f"{folder} has finished; there is nothing to resume")
    return run.path


def rerun(folder: str, others: Sequence[str]) -> Path:
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
    settings = Settings.from_plain(run.read_config())
    default = new_run_folder(settings)
    target = Path(chosen) if chosen else default
    try:
        again = RunFolder(run_training(settings, target, rerun_of=run))
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


def new_run_folder(settings: Settings) -> Path:
    """runs/DATA/MODEL/TIME, as a command line would choose it."""
    names = settings.choices.data, settings.choices.model
    return Path("runs", *names, f"{datetime.now():%Y-%m-%d_%H-%M-%S_%f}")


def metrics_that_differ(one: RunFolder, other: RunFolder) -> list[str]:
    """Names of the metrics whose values are not equal to the last bit; timings aside."""
    mine, its = one.read_json("metrics.json"), other.read_json("metrics.json")
    return [
        name
        for name in mine | its
        if not name.endswith(TIMINGS) and not _equal(mine.get(name), its.get(name))
    ]


def run_validation(
    settings: Settings,
    folder: Path,
    report: Callable[[int, float], None],
    shared: Path | None = None,
) -> dict[str, float]:
    """Trains and judges on validation alone, as one trial of a sweep; the test is not evaluated. A
    trial that was killed continues where it was.

    Args:
        settings: of the trial.
        folder: of the trial.
        report: called with the epoch, from 1, and the monitored value after every validation.
        shared: folder of all trials, which are on the same data; None: the trial's own.

    Returns:
        "value" of the monitored metric, and of a training "epochs", the best one, and "seconds".

    Raises:
        ConfigError: the split has no validation part, or the monitor is no metric of it.
        DataError: earlier trials, or an earlier attempt, were on other data.
    """
    task = checked_task(settings)
    make_folder(folder, "hydra.run.dir")
    run, metrics = RunFolder(folder), dict[str, float]()
    if (known := run.read_json("result.json")) is not None:
        return known
    read = _read(settings)
    _require_data_of_trials(RunFolder(shared or folder), read.report)
    run.write_config(dict(settings.plain), "trial.yaml")
    prepared = task.prepare(settings, read, run, metrics)
    if "val" not in prepared.phases:
        raise ConfigError(
            f"evaluation={settings.choices.evaluation} has no validation part, and a sweep chooses"
            " on validation only: choose an evaluation with a validation split"
        )
    with explained_memory():
        model, fitted = prepared.fit("val", epochs=None, callbacks=_reporting(settings, report))
    if fitted is not None:
        found = {"value": fitted.value, "epochs": fitted.epochs, "seconds": fitted.seconds}
    else:
        judged = prepared.judge("val", model)
        if settings.train.monitor not in judged:
            raise ConfigError(
                f"train.monitor={settings.train.monitor!r} is not among the metrics of this data:"
                f" {', '.join(judged)}"
            )
        found = {"value": judged[settings.train.monitor]}
    run.write_json("result.json", found)
    return found


def load_run(folder: str | Path) -> tuple[nn.Module, RunFolder]:
    """The trained model of a finished run, on the CPU and in evaluation mode, and the run."""
    run = RunFolder.open(folder)
    run.require_finished()
    return task_of_run(run).load(run), run


def export_run(
    folder: str | Path, bundle: Path, include_seen: bool = False, because: bool = False
) -> Path:
    """Exports the model of a finished run.

    Args:
        folder: of the run.
        bundle: folder to write; its name is the bundle's.
        include_seen: also ship what each user bought, so that it can be excluded or read as
            history.
        because: also ship a graph that tells which purchases carry a recommendation.

    Returns:
        The bundle.
    """
    run = RunFolder.open(folder)
    run.require_finished()
    written = task_of_run(run).export(run, bundle, seen=include_seen, because=because)
    send_bundle(run, written)
    return written


def optimizer_used(fitted: "FitResult | None", settings: Settings) -> dict[str, object] | None:
    """What updated the parameters, for run.json; None where nothing was trained."""
    if fitted is None:
        return None
    name = settings.optimizer.path.rpartition(".")[2]
    if not fitted.row_wise:
        return {"name": name}
    return {"name": f"RowWise{name}", "row_wise": list(fitted.row_wise)}


def _fit_and_judge(
    prepared: Prepared, settings: Settings, run: RunFolder, metrics: dict[str, float]
) -> "FitResult | None":
    """All phases in order; the last trained one says how it went."""
    epochs: int | None = None
    fitted: FitResult | None = None
    model: Any = None
    for phase in prepared.phases:
        model, fitted = prepared.fit(phase, epochs=epochs, callbacks=())
        if isinstance(model, nn.Module):
            run.write_weights(phase, model)
        if fitted is not None:
            epochs = fitted.epochs
            note_training(metrics, phase, fitted, settings.train.monitor)
        metrics |= prepared.judge(phase, model)
    if run.writes:
        metrics |= prepared.finish(model)
    return fitted


def _finish(
    task: Task, settings: Settings, run: RunFolder, record: RunRecord, metrics: dict[str, float]
) -> None:
    """Writes run.json and then metrics.json: a run that has it has finished."""
    record.write(run)
    run.write_json("metrics.json", metrics)
    task.print_board(metrics, settings)
    write_report(run, task.page(run))


def _read(settings: Settings, data: Any = None) -> Any:
    return settings.data.build() if data is None else settings.data.build(path=data)


def _is_distributed(settings: Settings) -> bool:
    """Whether this process is one of several that all run the whole command; those that Lightning
    spawns only train.
    """
    strategy = str(settings.trainer.arguments.get("strategy", ""))
    return strategy.startswith("ddp") and not strategy.endswith(("spawn", "fork", "notebook"))


def _wait_for_rank_0(run: RunFolder) -> None:
    """Raises ConfigError where rank 0 has not begun in this folder."""
    deadline = time.monotonic() + RANK_0_SECONDS
    while not (run.path / "run.json").exists():
        if time.monotonic() > deadline:
            raise ConfigError(
                f"the first process of this training has not begun in {run.path}: give all of them"
                " one folder, which all machines see, with hydra.run.dir=FOLDER"
            )
        time.sleep(0.1)


def _begin(
    task: Task, settings: Settings, run: RunFolder, rerun_of: RunFolder | None, data: Any
) -> tuple[RunRecord, Prepared, dict[str, float]]:
    """Reads and splits; then writes config.yaml and run.json, with which a run can be continued."""
    _require_own(run, settings)
    earlier = RunRecord.read(run)
    _take_threads(earlier or (RunRecord.read(rerun_of) if rerun_of else None))
    start = time.perf_counter()
    read = _read(settings, data)
    metrics = {"data/seconds": time.perf_counter() - start}
    before = [(rerun_of, "repeated")] if rerun_of is not None else []
    before.append((run, "continued"))
    for other, verb in before:
        _require_same_data(other, read.report, verb)
    prepared = task.prepare(settings, read, run, metrics)
    for other, verb in before:
        _require_same_split(other, prepared.split_fingerprint, verb)
        _require_same_columns(other, read.report, verb)
    record = replace(
        RunRecord.begin(settings, earlier, str(rerun_of.path) if rerun_of else None),
        task=task.name,
        data_fingerprint=read.report.fingerprint,
        split_fingerprint=prepared.split_fingerprint,
        column_fingerprints=read.report.column_fingerprints,
    )
    if run.writes:
        run.write_config(dict(settings.plain))
        record.write(run)
    else:
        _wait_for_rank_0(run)
        _require_own(run, settings)
    return record, prepared, metrics


def _say_idle(
    settings: Settings, phases: Sequence[str], is_trained: bool, metrics: Mapping[str, float]
) -> None:
    """Says which settings had no effect on this model and the phases that there were."""
    chosen = f"evaluation={settings.choices.evaluation}"
    if not is_trained:
        model = f"model={settings.choices.model}"
        say_idle(settings, TRAINING, f"{model} is not trained step by step")
        say_idle(settings, ("data.covariates",), f"{model} reads none")
    elif "parts" in settings.model.arguments:
        why = f"each part of model={settings.choices.model} has its own, parts.NAME.loss"
        say_idle(settings, ("loss",), why)
    if is_trained and "val" not in phases:
        idle = ("train.patience", "train.validate_every")
        say_idle(settings, idle, f"{chosen} has no validation part")
    if not any(phase == "val" or phase.startswith("test") for phase in phases):
        keys = tuple(f"evaluation.{name}" for name in ("views", "ks", "baselines", "max_users"))
        say_idle(settings, (*keys, MONITOR), f"{chosen} evaluates nothing")
    elif not is_trained and "val" in phases and settings.train.monitor not in metrics:
        say_idle(settings, (MONITOR,), "it is not among the metrics, see metrics.json")


def _require_own(run: RunFolder, settings: Settings) -> None:
    """Raises ConfigError where a folder holds another run."""
    if (run.path / "config.yaml").exists() and run.read_config() != settings.plain:
        raise ConfigError(
            f"{run.path} already holds a run with another configuration; choose another"
            " hydra.run.dir"
        )


def _take_threads(template: RunRecord | None) -> None:
    """Takes the threads of what is continued or repeated, because sums depend on them."""
    if template is None:
        return
    if template.threads:
        torch.set_num_threads(template.threads)
    if changed := differences(vars(template), environment()):
        say(f"numbers may differ, because the run was made with other: {'; '.join(changed)}")


def _require_same_data(run: RunFolder, report: Report, verb: str) -> None:
    """Raises DataError where a run was on other data, and says what has changed."""
    record, found = RunRecord.read(run), report.fingerprint
    expected = record.data_fingerprint if record else ""
    if expected and found != expected:
        raise DataError(
            f"{run.path} was trained on other data (fingerprint {expected}, now {found};"
            f" {_changes(run.read_json('data_report.json', {}), report.to_json())}), so it cannot"
            f" be {verb}; bring the data back, or train anew in another folder"
        )


def _require_same_split(run: RunFolder, found: str, verb: str) -> None:
    record = RunRecord.read(run)
    expected = record.split_fingerprint if record else ""
    if expected and found != expected:
        raise DataError(
            f"{run.path} fitted and evaluated other rows of the same data (fingerprint of the split"
            f" {expected}, now {found}), so it cannot be {verb}; train anew in another folder"
        )


def _require_same_columns(run: RunFolder, report: Report, verb: str) -> None:
    """Raises DataError where quantities or attributes have changed since a run."""
    record, found = RunRecord.read(run), report.column_fingerprints
    if changed := _changed_tables(record.column_fingerprints if record else {}, found):
        raise DataError(
            f"{run.path} was trained with other values in the columns of {changed}, so it cannot be"
            f" {verb}; bring the data back, or train anew in another folder"
        )


def _changed_tables(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Tables whose columns have changed; runs of earlier versions do not say what they had."""
    names = before.keys() | now.keys() if before else ()
    return " and ".join(sorted(name for name in names if before.get(name) != now.get(name)))


def _require_data_of_trials(trials: RunFolder, report: Report) -> None:
    """Raises DataError where the first trial read other data."""
    first = trials.read_json("data.json")
    if first is None:
        trials.write_json("data.json", report.to_json())
    elif first["fingerprint"] != report.fingerprint:
        raise DataError(
            f"earlier trials in {trials.path} were on other data (fingerprint"
            f" {first['fingerprint']}, now {report.fingerprint};"
            f" {_changes(first, report.to_json())}), and values on different data cannot be"
            " compared; bring the data back, or begin another sweep with output=FOLDER"
        )
    elif changed := _changed_tables(
        first.get("column_fingerprints", {}), report.column_fingerprints
    ):
        raise DataError(
            f"earlier trials in {trials.path} were on data with other values in the columns of"
            f" {changed}, and values on different data cannot be compared; bring the data back, or"
            " begin another sweep with output=FOLDER"
        )


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What two reports of data count differently, in words."""
    counted = ("rows", "users", "items", "series", "steps", "first", "last")
    changed = [
        f"{name} then {before[name]}, now {now[name]}"
        for name in counted
        if name in before and name in now and before[name] != now[name]
    ]
    return ", ".join(changed) or "with the same counts, but other values"


def _reporting(settings: Settings, report: Callable[[int, float], None]) -> "list[pl.Callback]":
    """Calls `report` after validations; a process that training starts could not call back."""
    from recsys.training.progress import ReportValidations

    alone = settings.trainer.arguments.get("devices", 1) == 1
    return [ReportValidations(settings.train.monitor, report)] if alone else []


def _equal(one: float | None, other: float | None) -> bool:
    both_undefined = one is not None and other is not None and math.isnan(one) and math.isnan(other)
    return one == other or both_undefined
