"""Lightning's Trainer, with what the project decides itself."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, RichProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from recsys.errors import ConfigError
from recsys.training.settings import FitSettings, Validation

# arguments that are no settings of the trainer, and what to set instead
OWNED = {
    "max_epochs": "set train.max_epochs",
    "check_val_every_n_epoch": "set train.validate_every",
    "val_check_interval": "set train.validate_every",
    "gradient_clip_val": "set train.gradient_clip",
    "callbacks": "choose callbacks=NAME",
    "logger": "choose logger=NAME",
    "enable_checkpointing": "the last and the best epoch are always kept",
    "limit_val_batches": "the whole validation part is evaluated",
    "num_sanity_val_steps": "an untrained model is not evaluated",
    "use_distributed_sampler": "batches are already divided between processes",
}

# what Lightning raises at an argument
_REFUSALS = TypeError, ValueError, RuntimeError, ImportError, MisconfigurationException


def make_trainer(
    settings: FitSettings,
    validation: Validation | None,
    *,
    loggers: Sequence[Logger],
    callbacks: Sequence[pl.Callback],
) -> pl.Trainer:
    """Builds the trainer of one training.

    Raises:
        ConfigError: an argument that it does not have, or that another setting decides.
    """
    given = settings.trainer_arguments()
    bar = bool(given.get("enable_progress_bar", True))
    return _build(
        given,
        max_epochs=settings.epochs,
        gradient_clip_val=settings.gradient_clip,
        logger=list(loggers) or False,
        callbacks=[*_own_callbacks(bar, validation), *callbacks],
        # a training shorter than the interval is evaluated at its end
        check_val_every_n_epoch=min(validation.every, settings.epochs) if validation else 1,
        limit_val_batches=None if validation else 0,
    )


def try_out(given: Mapping[str, Any]) -> None:
    """Builds a trainer of these arguments, to see whether it can be had on this machine.

    Raises:
        ConfigError: an argument that it does not have, that another setting decides, or whose value
            Lightning refuses.
    """
    _build(given, logger=False)


def _build(given: Mapping[str, Any], **ours: Any) -> pl.Trainer:
    _require_free(given)
    options: dict[str, Any] = {"enable_model_summary": False, "log_every_n_steps": 1, **given}
    if str(options.get("strategy", "")).endswith("spawn"):
        # these processes are Lightning's own; inside a job of Slurm each would take the job's rank
        # for its own, and wait for ever
        options.setdefault("plugins", [LightningEnvironment()])
    _quieten()
    try:
        return pl.Trainer(
            **options,
            **ours,
            enable_checkpointing=True,  # ours is among the callbacks
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
    except _REFUSALS as error:
        raise ConfigError(f"trainer: {str(error).rpartition('() ')[2]}") from error


def _require_free(arguments: Mapping[str, Any]) -> None:
    if owned := next((name for name in OWNED if name in arguments), None):
        raise ConfigError(f"trainer.{owned} is no setting: {OWNED[owned]}")
    if arguments.get("limit_train_batches", 1) == 0:
        raise ConfigError("trainer.limit_train_batches=0: nothing would be trained; leave it out")
    batches = arguments.get("accumulate_grad_batches", 1)
    if isinstance(batches, int) and batches < 1:
        raise ConfigError(
            f"trainer.accumulate_grad_batches={batches}: it has to be a whole number of at least 1"
        )


def _own_callbacks(progress_bar: bool, validation: Validation | None) -> list[pl.Callback]:
    own: list[pl.Callback] = []
    if validation is not None:
        own.append(
            EarlyStopping(
                validation.monitor,
                patience=validation.patience,
                mode=validation.mode,
                check_on_train_epoch_end=False,
            )
        )
    if progress_bar:
        own.append(RichProgressBar(refresh_rate=10, leave=False))
    return own


def _quieten() -> None:
    """Silences advice that does not apply: our loaders need no workers, and log once an epoch on
    purpose.
    """
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.accelerators").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*GPU available but not used.*",
        ".*LeafSpec.*is deprecated",
        # the evaluator has already summed over processes
        ".*recommended to use.*sync_dist=True.*",
    ):
        warnings.filterwarnings("ignore", message=message)
