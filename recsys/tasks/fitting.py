"""What every task takes from the settings: seed, trainer, loggers, device."""

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recsys.config.settings import Settings
from recsys.runs.folder import RunFolder
from recsys.tracking.sending import is_tracker
from recsys.training.optimization import Optimization

if TYPE_CHECKING:
    # Lightning, which only a training loads
    from pytorch_lightning.loggers import Logger


def seed_everything(seed: int) -> None:
    """Seeds Python, numpy and torch, from which initial weights are drawn."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def trainer_options(settings: Settings) -> dict[str, Any]:
    """Arguments of Lightning's trainer."""
    options = {k: v for k, v in settings.trainer.arguments.items() if v is not None}
    return options | {"gradient_clip_val": settings.train.gradient_clip}


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


def optimization(settings: Settings) -> Optimization:
    """Optimizer and schedule."""
    train = settings.train
    return Optimization(
        train.max_epochs,
        train.lr,
        train.weight_decay,
        "constant" if settings.schedule is None else "one_cycle",
        train.row_wise,
    )
