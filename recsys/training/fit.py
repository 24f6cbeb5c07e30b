"""Trains a network, or continues a training that was interrupted."""

import json
import math
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import nn

from recsys.errors import ConfigError, TrainingError
from recsys.stored_files import readable
from recsys.training.checkpoints import KeepBestAndLast, load_checkpoint
from recsys.training.loss_watch import require_finite
from recsys.training.module import Evaluator, TrainingModule
from recsys.training.objective import TrainingObjective
from recsys.training.settings import FitSettings, Validation
from recsys.training.trainer import make_trainer


class FitResult(NamedTuple):
    """How a training went.

    Attributes:
        epochs: the best epoch, from 1, where validation chose it, else the last.
        value: the monitored metric at that epoch; NaN without validation.
        seconds: of the training loop, validation included; of all attempts, where it was resumed.
        samples_per_second: scored pairs (purchases, with a full softmax) over these seconds.
        row_wise: tables of which only the rows that a batch contains were updated.
    """

    epochs: int
    value: float
    seconds: float
    samples_per_second: float
    row_wise: Sequence[str] = ()


def fit(
    model: nn.Module,
    objective: TrainingObjective,
    settings: FitSettings,
    folder: Path,
    *,
    validation: Validation | None = None,
    loggers: Sequence[Logger] = (),
    callbacks: Sequence[pl.Callback] = (),
) -> FitResult:
    """Trains in place; at the end the model holds the weights of the best epoch, or of the last one
    without validation.

    Training continues from `folder`/last.ckpt if that exists, and does nothing if the folder says
    that it has finished.

    Args:
        model: with parameters.
        objective: batches and loss.
        settings: of the training.
        folder: of the checkpoints.
        validation: chooses the best epoch and stops early; None: every epoch is trained.
        loggers, callbacks: of Lightning, beside the project's own.

    Raises:
        ConfigError: the monitor is not among the metrics, or settings that Lightning refuses.
        TrainingError: the loss or a weight is NaN or infinite, or the monitored metric was
            always undefined.
        KeyboardInterrupt: ^C; last.ckpt holds the last whole epoch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    finished, last = folder / "finished.json", folder / "last.ckpt"
    chosen = folder / "best.ckpt" if validation else last
    if finished.exists():
        model.load_state_dict(_weights(chosen))
        with readable(
            finished, "it is damaged; delete the folder it is in, to train that part anew"
        ):
            return FitResult(**json.loads(finished.read_text()))
    keep = KeepBestAndLast(folder, validation)
    trainer = make_trainer(settings, validation, loggers=loggers, callbacks=[keep, *callbacks])
    evaluator = None if validation is None else _evaluator(validation, trainer)
    module = TrainingModule(model, objective, settings, evaluator)
    seconds = _train(trainer, module, last, keep, settings.epochs)
    if validation is not None and not chosen.exists():
        raise TrainingError(
            f"{validation.monitor} (train.monitor) was undefined in every validation, so that no"
            " epoch is best: monitor another metric"
        )
    model.load_state_dict(_weights(chosen))
    require_finite(model, settings.optimizer.keywords.get("lr"))
    # from the files, not from the callback, which with several processes lived in another one
    kept, ended = load_checkpoint(chosen), load_checkpoint(last)
    result = FitResult(
        kept["epoch"] + 1,
        kept["callbacks"][keep.state_key]["best_value"] if validation else math.nan,
        seconds,
        ended["samples"] / seconds,
        ended.get("row_wise", ()),
    )
    if trainer.is_global_zero:
        partial_file = finished.with_suffix(".partial")
        partial_file.write_text(json.dumps(result._asdict()))
        os.replace(partial_file, finished)
    return result


def _evaluator(validation: Validation, trainer: pl.Trainer) -> Evaluator:
    evaluator = validation.evaluator(trainer.strategy.root_device)
    known = [f"val/{name}" for name in evaluator.metric_names()]
    if validation.monitor not in known:
        raise ConfigError(
            f"train.monitor={validation.monitor!r} is not among the metrics: {', '.join(known)}"
        )
    return evaluator


def _train(
    trainer: pl.Trainer, module: TrainingModule, last: Path, keep: KeepBestAndLast, epochs: int
) -> float:
    """Trains from `last` where it exists; the seconds of all attempts."""
    earlier = _earlier(last, keep.state_key)
    start = time.perf_counter()
    handler = signal.getsignal(signal.SIGINT)
    try:
        # a checkpoint of a finished schedule, or of a stopped training, has nothing left to resume
        if earlier.epochs < epochs and not earlier.stopped:
            trainer.fit(module, ckpt_path=last if last.exists() else None, weights_only=True)
    except SystemExit as stop:
        # Lightning turns ^C into it, and leaves the signal ignored
        raise KeyboardInterrupt from stop
    finally:
        signal.signal(signal.SIGINT, handler)
    return earlier.seconds + time.perf_counter() - start


class _Earlier(NamedTuple):
    """State after earlier attempts."""

    epochs: int = 0
    stopped: bool = False
    seconds: float = 0.0


def _earlier(last: Path, state_key: str) -> _Earlier:
    if not last.exists():
        return _Earlier()
    state = load_checkpoint(last)
    kept = state["callbacks"].get(state_key, {})
    return _Earlier(
        # the untrained state also says epoch 0
        state["epoch"] + 1 if state["global_step"] else 0,
        kept.get("stopped", False),
        kept.get("seconds", 0.0),
    )


def _weights(path: Path) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix("model."): value
        for name, value in load_checkpoint(path)["state_dict"].items()
    }
