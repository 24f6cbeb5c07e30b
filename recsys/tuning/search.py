"""The search itself: trials in processes of their own until there are enough, then the test."""

import queue
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, Trial

from recsys.errors import TrainingError
from recsys.reports.console import say
from recsys.reports.formats import decimal, duration
from recsys.runs.folder import RunFolder
from recsys.tuning.settings import SweepSettings
from recsys.tuning.space import loaded, overrides_of
from recsys.tuning.study import SweepStudy
from recsys.tuning.workers import Message, Worker


@dataclass(frozen=True)
class Effort:
    """How much of a machine a sweep takes, which may change when it goes on.

    Attributes:
        trials: of the whole study, ended ones included.
        jobs: trials at the same time.
        threads: of each of them.
    """

    trials: int
    jobs: int
    threads: int


@dataclass
class Search:
    """Runs trials until the study has enough of them.

    Attributes:
        settings: of the sweep.
        study: its trials.
        folder: of the sweep; trials lie in trials/NUMBER.
        effort: see there.
        alone: whether nobody else works on the study.
    """

    settings: SweepSettings
    study: SweepStudy
    folder: Path
    effort: Effort
    alone: bool = True
    _inbox: "queue.Queue[Message]" = field(default_factory=queue.Queue)
    _running: dict[int, tuple[Trial, Worker]] = field(default_factory=dict)

    def run(self) -> None:
        """Goes on with what was abandoned, then draws; every trial ends with a value or a reason.

        Raises:
            KeyboardInterrupt: ^C; the trials that ran go on when the sweep is resumed.
        """
        waiting = self.study.abandoned(self.alone)
        try:
            while True:
                while len(self._running) < self.effort.jobs and (trial := self._next(waiting)):
                    self._start(trial)
                if not self._running:
                    return
                self._hear(self._inbox.get())
        finally:
            for _, worker in self._running.values():
                worker.end()

    def test(self, best: FrozenTrial) -> RunFolder:
        """Trains the best trial's settings anew, refits and tests them: an ordinary run.

        Raises:
            TrainingError: it failed.
        """
        run = RunFolder(self.folder / f"best-{best.number}")
        if (run.path / "metrics.json").is_file():
            return run
        overrides = [*self.settings.overrides, *overrides_of(best.params)]
        inbox: queue.Queue[Message] = queue.Queue()
        worker = Worker(best.number, overrides, run.path, self.effort.threads, inbox, True)
        try:
            while (message := inbox.get()).content is not None:
                if "failed" in message.content:
                    raise TrainingError(
                        f"the best trial, {best.number}, failed when it was trained anew:"
                        f" {message.content['failed']}"
                    )
        finally:
            worker.end()
        if not (run.path / "metrics.json").is_file():
            raise TrainingError(
                f"the best trial, {best.number}, was trained anew and {worker.why_it_ended()}"
            )
        record = run.read_json("run.json", {})
        trials = RunFolder(self.folder / "trials").read_json("data.json", {})
        found = record.get("data_fingerprint", "")
        expected = trials.get("fingerprint", found)
        columns = record.get("column_fingerprints", {})
        others = trials.get("column_fingerprints", columns)
        if found == expected:
            for table in ("users", "items"):
                if columns.get(table) != others.get(table):
                    raise TrainingError(
                        f"{run.path}: the attributes of {table} have changed since the trials, so"
                        " this test is not of what they chose; begin another sweep with"
                        " output=FOLDER"
                    )
        else:
            raise TrainingError(
                f"{run.path}: the data have changed since the trials (fingerprint {expected}, now"
                f" {found}), so this test is not of what they chose; begin another sweep with"
                " output=FOLDER"
            )
        return run

    def _next(self, waiting: list[Trial]) -> Trial | None:
        if waiting:
            return waiting.pop(0)
        while len(self.study.trials()) < self.effort.trials:
            trial = self.study.draw()
            twin = self.study.twin(trial)
            if twin is None:
                return trial
            self.study.complete(trial, {"value": twin.value, "reason": f"as trial {twin.number}"})
            self._say(trial)
        return None

    def _start(self, trial: Trial) -> None:
        folder = self._folder_of(trial)
        overrides = [*self.settings.overrides, *overrides_of(trial.params)]
        trial.set_user_attr("threads", self.effort.threads)
        worker = Worker(trial.number, overrides, folder, self.effort.threads, self._inbox)
        self._running[trial.number] = trial, worker

    def _folder_of(self, trial: Trial) -> Path:
        return self.folder / "trials" / f"{trial.number:04d}"

    def _hear(self, message: Message) -> None:
        if message.number not in self._running:
            return  # the last words of a trial that has been told
        trial, worker = self._running[message.number]
        content = message.content
        if content is None:
            self.study.fail(trial, worker.why_it_ended())
        elif "failed" in content:
            self.study.fail(trial, content["failed"])
        elif "done" in content:
            self.study.complete(trial, content["done"])
        elif self.study.report(trial, content["step"], content["value"]):
            self.study.prune(trial, content["step"])
        else:
            return
        worker.end()
        del self._running[message.number]
        # only a trial that goes on would need them
        shutil.rmtree(self._folder_of(trial) / "checkpoints", ignore_errors=True)
        self._say(trial)

    def _say(self, trial: Trial) -> None:
        found, best = self.study.frozen(trial), self.study.best()
        seconds = found.user_attrs.get("seconds")
        what = found.user_attrs.get("reason") or f"{decimal(found.value)} in {duration(seconds)}"
        if found.value is not None and "reason" in found.user_attrs:
            what = f"{decimal(found.value)}, {what}"
        words = f"trial {found.number}: {what}"
        say(words + (f"; best {decimal(best.value)}, trial {best.number}" if best else ""))


def settings_of(trial: FrozenTrial) -> dict[str, Any]:
    """What a trial was drawn with, by key, as it stands in configurations."""
    return {key: loaded(value) for key, value in trial.params.items()}
