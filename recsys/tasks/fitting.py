"""What every task takes from the settings: seed, trainer, loggers, device."""

import math
import random
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from recsys.config.checking import check_arguments
from recsys.config.settings import Settings
from recsys.config.targets import Target
from recsys.data.shards import ALONE
from recsys.errors import ConfigError, TrainingError
from recsys.reports.console import say
from recsys.runs.folder import RunFolder
from recsys.tracking.sending import is_tracker
from recsys.training.objective import TrainingObjective
from recsys.training.settings import FitSettings, Validation, enough_epochs

if TYPE_CHECKING:
    # Lightning, which only a training loads
    import pytorch_lightning as pl
    from pytorch_lightning.loggers import Logger

    from recsys.training.fit import FitResult
    from recsys.training.module import Evaluator


def seed_everything(seed: int) -> None:
    """Seeds Python, numpy and torch, from which initial weights are drawn."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def required_loss(settings: Settings) -> Target:
    """What the model is trained with.

    Raises:
        ConfigError: nothing was chosen, and the model names none.
    """
    if settings.loss is None:
        raise ConfigError(
            f"model={settings.choices.model} does not say what it is trained with: choose"
            " loss=NAME, such as loss=full_softmax for a recommender or loss=quantile for a"
            " forecaster"
        )
    return settings.loss


def make_loggers(settings: Settings, run: RunFolder, phase: str) -> "list[Logger]":
    """The configured loggers, in a folder of this attempt at this phase."""
    attempts = len(list((run.path / "logs" / phase).glob("*")))
    return [
        logger.build(save_dir=str(run.path / "logs"), name=phase, version=str(attempts))
        for logger in settings.logger.values()
        if not is_tracker(logger)
    ]


def evaluation_device(settings: Settings) -> str:
    """Where models are judged: a GPU where the trainer may use one."""
    asks = settings.trainer.arguments.get("accelerator", "auto") in ("gpu", "auto")
    return "cuda" if asks and torch.cuda.is_available() else "cpu"


@contextmanager
def explained_memory() -> Iterator[None]:
    """Turns memory that cannot be had into a TrainingError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = " ".join(str(error).split())
        is_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not is_memory and "can't allocate memory" not in text:
            raise
        raise TrainingError(
            f"not enough memory ({text[:200]}): lower model.embedding_dim, loss.batch_size,"
            " loss.num_negatives or evaluation.block_mb, or what else sizes the model"
        ) from error


# sections that decide how a network is trained, and what else reads some of their keys
TRAINING = ("train", "loss", "optimizer", "schedule", "callbacks", "trainer")
MONITOR = "train.monitor"
_READ_ELSEWHERE = (MONITOR, "trainer", "trainer.accelerator", "trainer.devices")


def say_idle(settings: Settings, idle: Sequence[str], why: str) -> None:
    """Says which of some keys and sections somebody has typed though they have no effect; a file of
    configuration may hold them for another model.
    """
    typed = [each.lstrip("+~").partition("=")[0] for each in settings.choices.overrides]
    found = [
        key
        for key in dict.fromkeys(typed)
        if (key not in _READ_ELSEWHERE or (key == MONITOR and key in idle))
        and any(key == each or key.startswith(f"{each}.") for each in idle)
    ]
    if found:
        verb = "has" if len(found) == 1 else "have"
        say(f"{', '.join(found)} {verb} no effect: {why}")


def check_training(settings: Settings) -> None:
    """Refuses settings of the trainer, the optimizer or the schedule that cannot be; nothing has
    been read yet.
    """
    # Lightning takes as long to load as a closed form to fit
    from recsys.training import trainer
    from recsys.training.optimizer import try_out

    arguments = {k: v for k, v in settings.trainer.arguments.items() if v is not None}
    check_arguments("trainer", settings.trainer.resolve(), arguments)
    trainer.try_out(arguments)
    schedule = settings.schedule
    try_out(_partial(settings.optimizer), None if schedule is None else _partial(schedule))


def fit_network(
    model: nn.Module,
    settings: Settings,
    run: RunFolder,
    phase: str,
    *,
    objective: TrainingObjective,
    evaluator: "Callable[[torch.device], Evaluator] | None",
    mode: Literal["max", "min"],
    epochs: int | None,
    callbacks: "Sequence[pl.Callback]",
) -> "FitResult":
    """Trains as the settings say.

    Args:
        model, objective: see `recsys.training.fit.fit`.
        settings: of the run.
        run: folder of checkpoints and logs.
        phase: names them.
        evaluator: of `Validation`; None: no validation.
        mode: direction of the monitored metric.
        epochs: to train; None: as long as validation says.
        callbacks: beside those of the settings.
    """
    # Lightning takes as long to load as a closed form to fit
    from recsys.training.fit import fit

    train, validation = settings.train, None
    max_epochs = train.max_epochs
    if max_epochs is None:
        batches: Any = objective.batches(torch.device("cpu"), lambda: 0, ALONE)
        max_epochs = enough_epochs(len(batches))
    if evaluator is not None:
        every = train.validate_every or -(-max_epochs // 10)
        validation = Validation(evaluator, train.monitor, train.patience, every, mode)
    return fit(
        model,
        objective,
        FitSettings(
            # a refit on more data may need more steps an epoch
            max_epochs=max(max_epochs, epochs or 0),
            seed=settings.seed,
            optimizer=_partial(settings.optimizer),
            schedule=None if settings.schedule is None else _partial(settings.schedule),
            stop_after=epochs,
            row_wise=train.row_wise,
            gradient_clip=train.gradient_clip,
            trainer=_partial(settings.trainer),
        ),
        run.path / "checkpoints" / phase,
        validation=validation,
        loggers=make_loggers(settings, run, phase),
        callbacks=[*(each.build() for each in settings.callbacks.values()), *callbacks],
    )


def note_training(
    metrics: MutableMapping[str, float],
    phase: str,
    fitted: "FitResult",
    monitor: str,
    part: str = "",
) -> None:
    """Adds how a training, or that of one part of the model, went, and prints it."""
    metrics["train/seconds"] = metrics.get("train/seconds", 0.0) + fitted.seconds
    of_part = f"parts/{part}/" if part else ""
    metrics[f"train/{of_part}samples_per_second"] = fitted.samples_per_second
    metrics[f"train/{of_part}epochs"] = fitted.epochs
    found = "" if math.isnan(fitted.value) else f", {monitor} {fitted.value:.4f}"
    rows = ""
    if fitted.row_wise:
        rows = f"; only the rows that a batch touches were updated in {', '.join(fitted.row_wise)}"
    named = f"{phase}: {part}" if part else phase
    say(f"{named}: epoch {fitted.epochs} in {fitted.seconds:.1f} s{found}{rows}")


def _partial(target: Target) -> "partial[Any]":
    return partial(target.resolve(), **target.arguments)
