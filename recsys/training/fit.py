"""One call that trains a LightningModule on one phase, or goes on where it was stopped."""

import json
import logging
import math
import os
import signal
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, RichProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import LightningEnvironment
from torch import nn

from recsys.errors import ConfigError, TrainingError
from recsys.training.checkpoints import KeepBestAndLast, load_checkpoint


class FitResult(NamedTuple):
    """How a training went.

    Attributes:
        epochs: the best epoch, from 1, where validation chose it, else the last.
        value: the monitored metric at that epoch; NaN without validation.
        seconds: of the training loop, validation included; of all attempts, where it was resumed.
        samples_per_second: scored pairs (purchases, with a full softmax) over these seconds.
        row_wise: parameters of which only the rows that a batch touches moved.
    """

    epochs: int
    value: float
    seconds: float
    samples_per_second: float
    row_wise: Sequence[str] = ()


@dataclass(frozen=True)
class Validation:
    """What decides which epoch is best.

    Attributes:
        monitor: name of a logged metric.
        patience: validations without a better value before training stops.
        every: epochs between two validations.
        mode: "max" where a higher value is better, else "min".
    """

    monitor: str
    patience: int = 5
    every: int = 1
    mode: Literal["max", "min"] = "max"


def fit_module(
    build: Callable[[torch.device], pl.LightningModule],
    network: nn.Module,
    *,
    max_epochs: int,
    folder: Path,
    trainer_options: dict[str, Any],
    validation: Validation | None = None,
    loggers: list[Logger] | None = None,
    callbacks: list[pl.Callback] | None = None,
) -> FitResult:
    """Trains in place; at the end the network holds the best epoch's weights, or the last one's
    without validation.

    Training continues from `folder`/last.ckpt if that exists, and does nothing if the folder says
    it has finished.

    Args:
        build: from the device to the module that trains `network`, which is its attribute `model`;
            its checkpoints say how many `samples` were scored.
        network: what is trained.
        max_epochs: epochs to train.
        folder: of the checkpoints.
        trainer_options: of `pytorch_lightning.Trainer`: accelerator, devices, strategy, precision,
            gradient_clip_val …
        validation: see there; None: every epoch is trained, the last one kept.
        loggers, callbacks: more of them.

    Raises:
        TrainingError: the loss is no longer a number, or the monitored metric never was one.
        KeyboardInterrupt: ^C; last.ckpt holds the last whole epoch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    finished, last = folder / "finished.json", folder / "last.ckpt"
    chosen = folder / ("best.ckpt" if validation else "last.ckpt")
    if finished.exists():
        network.load_state_dict(_weights(chosen))
        return FitResult(**json.loads(finished.read_text()))
    keep = KeepBestAndLast(
        folder,
        validation.monitor if validation else None,
        validation.mode if validation else "max",
    )
    own: list[pl.Callback] = [keep]
    if validation is not None:
        own.append(
            EarlyStopping(
                validation.monitor,
                patience=validation.patience,
                mode=validation.mode,
                check_on_train_epoch_end=False,
            )
        )
    if trainer_options.get("enable_progress_bar", True):
        own.append(RichProgressBar(refresh_rate=10, leave=False))
    _quieten()
    trainer = _trainer(
        max_epochs=max_epochs,
        logger=loggers or False,
        callbacks=own + (callbacks or []),
        enable_checkpointing=True,  # ours stands among the callbacks
        enable_model_summary=False,
        num_sanity_val_steps=0,
        # a training shorter than the interval is judged at its end
        check_val_every_n_epoch=min(validation.every, max_epochs) if validation else 1,
        limit_val_batches=None if validation else 0,
        use_distributed_sampler=False,
        log_every_n_steps=1,
        **trainer_options,
    )
    module = build(trainer.strategy.root_device)
    earlier = _earlier(last, keep.state_key)
    start = time.perf_counter()
    handler = signal.getsignal(signal.SIGINT)
    try:
        # a checkpoint of a finished schedule, or of a stopped training, has nothing left to resume
        if earlier.epochs < max_epochs and not earlier.stopped:
            trainer.fit(module, ckpt_path=last if last.exists() else None, weights_only=True)
    except SystemExit as stop:
        # what Lightning makes of ^C; it also leaves the signal ignored
        raise KeyboardInterrupt from stop
    finally:
        signal.signal(signal.SIGINT, handler)
    seconds = earlier.seconds + time.perf_counter() - start
    if validation is not None and not chosen.exists():
        raise TrainingError(
            f"{validation.monitor} (train.monitor) was undefined in every validation, so that no"
            " epoch is best: monitor another metric"
        )
    network.load_state_dict(_weights(chosen))
    # from the files, not from the callback: with several processes it lived in another one
    kept, ended = load_checkpoint(chosen), load_checkpoint(last)
    result = FitResult(
        kept["epoch"] + 1,
        kept["callbacks"][keep.state_key]["best_value"] if validation else math.nan,
        seconds,
        ended["samples"] / seconds,
        ended.get("row_wise", ()),
    )
    if trainer.is_global_zero:
        beside = finished.with_suffix(".partial")
        beside.write_text(json.dumps(result._asdict()))
        os.replace(beside, finished)
    return result


class _Earlier(NamedTuple):
    """What earlier attempts have done."""

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


def _trainer(**options: Any) -> pl.Trainer:
    if str(options.get("strategy", "")).endswith("spawn"):
        # these processes are Lightning's own; inside a job of Slurm each would take the job's rank
        # for its own, and wait for ever
        options.setdefault("plugins", [LightningEnvironment()])
    try:
        return pl.Trainer(**options)
    except TypeError as error:
        raise ConfigError(f"trainer: {str(error).rpartition('() ')[2]}") from error


def _weights(path: Path) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix("model."): value
        for name, value in load_checkpoint(path)["state_dict"].items()
    }


def _quieten() -> None:
    """Silences advice that does not apply: our loaders need no workers, and log once an epoch on
    purpose.
    """
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.accelerators").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
    # the evaluator has added the processes up already
    warnings.filterwarnings("ignore", message=".*recommended to use.*sync_dist=True.*")
