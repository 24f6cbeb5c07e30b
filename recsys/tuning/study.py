"""The trials of a sweep in Optuna's storage: drawn, continued, reported, told."""

import math
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from recsys.errors import ConfigError
from recsys.privacy import without_credentials
from recsys.training.settings import MOST_EPOCHS
from recsys.tuning.settings import SweepSettings
from recsys.tuning.space import Space, current_values, grid, holds

# trials before a median or a model of the space means something
STARTUP_TRIALS = 5
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class SamplerByNumber(BaseSampler):
    """Seeds a sampler anew for every trial by the trial's number, so that a sweep that goes on, or
    that several machines work on, draws nothing twice.

    Args:
        build: from a seed to a sampler.
        seed: of the sweep.
    """

    def __init__(self, build: Callable[[int], BaseSampler], seed: int) -> None:
        self._build, self._seed = build, seed
        self._sampler = build(seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Takes the trial's own sampler."""
        self._sampler = self._build(
            int(np.random.SeedSequence((self._seed, trial.number)).generate_state(1)[0])
        )
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Any:
        """As the sampler does."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> Any:
        """As the sampler does."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        """As the sampler does."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Any
    ) -> None:
        """As the sampler does."""
        self._sampler.after_trial(study, trial, state, values)


class SweepStudy:
    """Trials of one sweep; several processes and machines may share the storage.

    Args:
        settings: of the sweep; a storage that holds another sweep of that name is refused.
        config: what every trial changes, plain.
        direction: of the monitored metric.
        storage: URL that SQLAlchemy understands.
        name: of the study in the storage.

    Raises:
        ConfigError: the storage cannot be used, or holds another sweep of that name.
    """

    def __init__(
        self,
        settings: SweepSettings,
        config: Mapping[str, Any],
        direction: Literal["minimize", "maximize"],
        storage: str,
        name: str,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space: Space = settings.read_space()
        self.metric = str(config["train"]["monitor"])
        self._distributions = {key: part.distribution() for key, part in self.space.items()}
        self.direction = direction
        self._study = optuna.create_study(
            storage=_open(storage),
            study_name=name,
            sampler=_sampler(settings.sampler, config["seed"]),
            pruner=_pruner(settings.pruner, config["train"]["max_epochs"] or MOST_EPOCHS),
            direction=self.direction,
            load_if_exists=True,
        )
        self._require_same(settings, name)
        if not self._study.user_attrs.get("begun"):
            self._enqueue_first(settings, config)
            self._study.set_user_attr("begun", True)

    def trials(self) -> list[FrozenTrial]:
        """Every trial that has begun, by number."""
        found = self._study.get_trials(deepcopy=False)
        return [trial for trial in found if trial.state != TrialState.WAITING]

    @property
    def waiting(self) -> int:
        """Trials that were written down and not begun."""
        return len(self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    def ranked(self) -> list[FrozenTrial]:
        """Completed trials, the best first; of equals the first drawn."""
        sign = 1 if self.direction == "minimize" else -1
        done = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE]
        return sorted(done, key=lambda trial: (sign * value_of(trial), trial.number))

    def best(self) -> FrozenTrial | None:
        """The first of `ranked`; None without one."""
        return next(iter(self.ranked()), None)

    def abandoned(self, alone: bool) -> list[Trial]:
        """Trials of sweeps that were killed; they are this process's now.

        Args:
            alone: nobody else works on the study, so what runs is abandoned; False takes only what
                a process of this machine has left.
        """
        found = []
        for trial in self.trials():
            dead = alone or _is_dead(trial.user_attrs.get("owner", ""))
            if trial.state == TrialState.RUNNING and dead:
                again = Trial(self._study, trial._trial_id)
                for name, distribution in self._distributions.items():
                    again._suggest(name, distribution)  # what was not drawn yet
                again.set_user_attr("owner", _owner())
                found.append(again)
        return found

    def draw(self) -> Trial:
        """The next trial; a waiting one first."""
        trial = self._study.ask(self._distributions)
        trial.set_user_attr("owner", _owner())
        return trial

    def twin(self, trial: Trial) -> FrozenTrial | None:
        """An earlier trial that was completed with the same settings."""
        for other in self.trials():
            if other.state == TrialState.COMPLETE and other.params == trial.params:
                return other
        return None

    def report(self, trial: Trial, step: int, value: float) -> bool:
        """Keeps the value of a validation; True where the trial is not worth going on."""
        known = self.frozen(trial).intermediate_values
        if not math.isfinite(value) or step in known:
            return False  # a continued trial repeats its last epoch
        trial.report(value, step)
        return trial.should_prune()

    def complete(self, trial: Trial, found: dict[str, Any]) -> None:
        """Ends a trial with its value; with a reason instead, where that is not a number."""
        value = found.pop("value")
        for key, each in found.items():
            trial.set_user_attr(key, each)
        if math.isfinite(value):
            self._study.tell(trial.number, value)
        else:
            self.fail(trial, f"{self.metric} was not a number")

    def prune(self, trial: Trial, step: int) -> None:
        """Ends a trial that is not worth going on."""
        trial.set_user_attr("epochs", step)
        self._end(trial, TrialState.PRUNED, f"pruned after epoch {step}")

    def fail(self, trial: Trial, reason: str) -> None:
        """Ends a trial that gave no value."""
        self._end(trial, TrialState.FAIL, reason)

    def frozen(self, trial: Trial) -> FrozenTrial:
        """What the storage says of a trial."""
        return self._study._storage.get_trial(trial._trial_id)

    def to_study(self) -> optuna.Study:
        """For Optuna's own functions."""
        return self._study

    def _end(self, trial: Trial, state: TrialState, reason: str) -> None:
        trial.set_user_attr("reason", reason)
        self._study.tell(trial.number, state=state)

    def _require_same(self, settings: SweepSettings, name: str) -> None:
        mine = settings.to_json()
        found = self._study.user_attrs.get("settings")
        if found is None:
            self._study.set_user_attr("settings", mine)
            return
        different = [key for key in mine if key != "sweep" and mine[key] != found.get(key)]
        if different:
            key = different[0]
            raise ConfigError(
                f"the storage already holds a sweep {name} with another {key}: {found.get(key)},"
                f" not {mine[key]}; give this one another name= or output="
            )

    def _enqueue_first(self, settings: SweepSettings, config: Mapping[str, Any]) -> None:
        """Every point of a grid; else the configuration as it is, if the space holds it."""
        if settings.sampler == "grid":
            for params in grid(self.space):
                self._study.enqueue_trial(params, skip_if_exists=True)
            return
        params = current_values(self.space, config)
        if holds(self.space, params):
            attrs = {"as_configured": True}
            self._study.enqueue_trial(params, user_attrs=attrs, skip_if_exists=True)


def value_of(trial: FrozenTrial) -> float:
    """Of a completed trial."""
    assert trial.value is not None
    return trial.value


def _sampler(name: str, seed: int) -> BaseSampler:
    if name == "tpe":
        # of trials that run at the same time, each knows where the others look (constant_liar)
        return SamplerByNumber(lambda of_trial: TPESampler(seed=of_trial, constant_liar=True), seed)
    return SamplerByNumber(lambda of_trial: RandomSampler(seed=of_trial), seed)


def _pruner(name: str, max_epochs: int) -> optuna.pruners.BasePruner:
    # until then a one-cycle schedule has not reached its learning rate
    warmup = max(2, max_epochs // 4)
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=warmup)
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(warmup, max(warmup, max_epochs))
    return optuna.pruners.NopPruner()


def _open(storage: str) -> RDBStorage:
    try:
        return RDBStorage(storage)
    except Exception as error:  # of SQLAlchemy, of a driver, or an import that is missing
        raise ConfigError(
            f"storage={without_credentials(storage)} cannot be opened:"
            f" {without_credentials(' '.join(str(error).split()))[:200]}; write a URL such as"
            " postgresql://user@host/sweeps"
        ) from error


def _owner() -> str:
    """This process, in words that no later one shares."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def _is_dead(owner: str) -> bool:
    """Whether a process of this machine is gone; of others nothing is known."""
    process, _, started = owner.rpartition(":")
    host, _, pid = process.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    return _started(int(pid)) != started


def _started(pid: int) -> str:
    """When a process started, in clock ticks since the system did; empty for one that is gone."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return _alive(pid)
    return words[19]


def _alive(pid: int) -> str:
    """For systems without /proc: alive or nothing."""
    try:
        os.kill(pid, 0)
    except OSError:
        return ""
    return "alive" if not Path("/proc").is_dir() else ""
