"""The command line of `recsys sweep`."""

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from recsys.arguments import parse_arguments, setting
from recsys.config.composition import explain, explained
from recsys.config.settings import Settings
from recsys.environment import environment, resident_memory_mb, threads_of_all
from recsys.errors import ConfigError, TrainingError
from recsys.reports.console import say
from recsys.reports.formats import plural
from recsys.runs.folder import RunFolder, make_folder
from recsys.runs.record import utc_now as now
from recsys.tasks.lifecycle import checked_task
from recsys.tasks.task import Task
from recsys.tracking.sending import trackers_of
from recsys.tuning.lock import locked
from recsys.tuning.page import render_sweep
from recsys.tuning.search import Effort, Search
from recsys.tuning.settings import (
    SweepSettings,
    read_settings,
    read_written,
    write_settings,
)
from recsys.tuning.study import SweepStudy
from recsys.tuning.trial_table import print_trials, trial_table

TRIALS = 40


@dataclass(frozen=True, kw_only=True)
class SweepArguments:
    """Searches settings on validation, and trains and tests the best ones once. Every other
    argument is an override of each trial, as `recsys train` takes them.
    """

    sweep: str | None = setting("name in conf/sweep, or path of a .yaml file", default=None)
    resume: Path | None = setting("folder of a sweep to go on with", default=None)
    trials: int | None = setting("of the whole sweep; 40, if not given", default=None, minimum=1)
    jobs: int = setting("trials at the same time", default=1, minimum=1)
    threads: int | None = setting(
        "of each trial; the machine's, divided among the jobs, if not given",
        default=None,
        minimum=1,
    )
    sampler: str | None = setting("tpe, random or grid, instead of the file's", default=None)
    pruner: str | None = setting("median, hyperband or none", default=None)
    storage: str | None = setting(
        "URL of Optuna's storage, to share a sweep between machines; SQLite in the folder, if not"
        " given",
        default=None,
    )
    name: str = setting("of the sweep in the storage", default="sweep")
    output: Path | None = setting("folder; runs/sweeps/SWEEP/TIME, if not given", default=None)
    test: bool = setting("train the best trial anew and test it", default=True)


def sweep_command(arguments: Sequence[str], command: str) -> int:
    """Searches, and prints the folder on its last line; returns the exit code."""
    known = {field.name for field in fields(SweepArguments)} | {"help", "--help", "-h"}
    own = [argument for argument in arguments if argument.partition("=")[0] in known]
    overrides = [argument for argument in arguments if argument not in own]
    folder = Path()
    try:
        given = parse_arguments(SweepArguments, own, command)
        folder = _folder(given)
        settings, more = _settings(given, folder, overrides)
        _sweep(given, settings, more, folder, shlex.join([*command.split(), *arguments]))
    except explained() as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"error: interrupted; go on with {command} resume={folder}", file=sys.stderr)
        return 130
    print(folder)
    return 0


def _folder(given: SweepArguments) -> Path:
    if given.resume is not None:
        if given.output is not None:
            raise ConfigError("resume= goes on in its own folder; leave output= out")
        return given.resume
    if given.sweep is None:
        raise ConfigError("sweep= is missing: name a file of conf/sweep, or resume=FOLDER")
    name = Path(given.sweep).stem
    return given.output or Path("runs/sweeps") / name / time.strftime("%Y-%m-%d_%H-%M-%S")


def _settings(
    given: SweepArguments, folder: Path, overrides: list[str]
) -> tuple[SweepSettings, dict[str, Any]]:
    """Of the command line, or of the folder that is resumed; what else its sweep.json says."""
    if given.resume is None:
        assert given.sweep is not None
        settings, trials = read_settings(given.sweep, overrides, given.sampler, given.pruner)
        return settings, {"trials": given.trials or trials, "name": given.name}
    if overrides or given.sweep or given.sampler or given.pruner:
        raise ConfigError(
            "resume= goes on with a sweep as it was set up; only trials, jobs, threads, storage and"
            f" test may be given (found {' '.join(overrides) or 'sweep, sampler or pruner'})"
        )
    settings, written = read_written(folder)
    if written["shared"] and given.storage is None:
        raise ConfigError(
            f"{folder} keeps its trials in a shared storage: give its URL again with storage=URL"
        )
    written["trials"] = given.trials or written["trials"]
    return settings, written


def _sweep(
    given: SweepArguments,
    settings: SweepSettings,
    more: dict[str, Any],
    folder: Path,
    command: str,
) -> None:
    base = settings.base()
    task = checked_task(base)
    trackers_of(base.logger)  # a missing package is reported before the trials, not after
    make_folder(folder, "output")
    try:
        with locked(folder, wait=False):
            _search(given, settings, base, task, {"command": command} | more, folder)
    except BlockingIOError:
        raise ConfigError(
            f"another process works on {folder}; wait for it, or end it and go on with resume="
        ) from None


def _search(
    given: SweepArguments,
    settings: SweepSettings,
    base: Settings,
    task: Task,
    more: dict[str, Any],
    folder: Path,
) -> None:
    storage = given.storage or f"sqlite:///{(folder / 'study.db').resolve()}"
    better: Literal["maximize", "minimize"] = (
        "maximize" if task.direction(base.train.monitor) == "max" else "minimize"
    )
    study = SweepStudy(settings, base.plain, better, storage, more["name"])
    effort = _effort(given, settings, study, more["trials"])
    record = {
        "name": more["name"],
        "shared": given.storage is not None,
        **asdict(effort),
        "metric": study.metric,
        "direction": study.direction,
        "model": base.choices.model,
        "data": base.choices.data,
        "seed": base.seed,
        "command": more["command"],
        "started": more.get("started", now()),
        **environment(),
        "threads": effort.threads,
    }
    write_settings(folder, settings, record)
    say(
        f"{plural(effort.trials, 'trial')}, {effort.jobs} at a time with"
        f" {plural(effort.threads, 'thread')} each; trials of a killed sweep go on with"
        f" resume={folder}"
    )
    search = Search(settings, study, folder, effort, alone=not record["shared"])
    before = resident_memory_mb()
    search.run()
    best = study.best()
    tested = search.test(best) if given.test and best is not None else None
    growth = round(resident_memory_mb() - before, 1)
    record["memory_growth_mb"] = max(growth, more.get("memory_growth_mb", growth))
    record["finished"] = now()
    record["best"] = None if best is None else best.number
    write_settings(folder, settings, record)
    files = RunFolder(folder)
    files.write_text("trials.csv", trial_table(study).to_csv(index=False))
    files.write_text("report.html", render_sweep(study, settings, record, tested))
    print_trials(study)
    if best is None:
        raise TrainingError(
            f"no trial of {folder} gave a value; trials.csv has the reasons, and"
            " trials/NUMBER/log.txt what was printed"
        )


def _effort(
    given: SweepArguments, settings: SweepSettings, study: SweepStudy, trials: int | None
) -> Effort:
    if trials is None:
        whole_grid = study.waiting + len(study.trials())
        trials = whole_grid if settings.sampler == "grid" else TRIALS
    threads = given.threads or max(1, threads_of_all() // given.jobs)
    return Effort(trials, given.jobs, threads)
