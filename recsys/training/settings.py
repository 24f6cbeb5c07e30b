"""How a network is trained."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.optim import AdamW

if TYPE_CHECKING:
    # Lightning, which only a training loads
    from recsys.training.module import Evaluator


# A factor model has learned after about so many steps of AdamW, whatever the size of the data.
_STEPS = 1600
LEAST_EPOCHS, MOST_EPOCHS = 20, 80


def enough_epochs(steps: int) -> int:
    """How long to train where nothing is said: many epochs where an epoch has few steps."""
    return min(MOST_EPOCHS, max(LEAST_EPOCHS, -(-_STEPS // max(1, steps))))


@dataclass(frozen=True)
class Validation:
    """Decides which epoch is best.

    Attributes:
        evaluator: from a device to what evaluates the model on it.
        monitor: name of a logged metric ("val/new/ndcg@10").
        patience: validations without a better value before training stops.
        every: epochs between two validations.
        mode: "max" where a higher value is better, else "min".
    """

    evaluator: "Callable[[torch.device], Evaluator]"
    monitor: str
    patience: int = 5
    every: int = 1
    mode: Literal["max", "min"] = "max"


@dataclass(frozen=True)
class FitSettings:
    """Of one training.

    Attributes:
        max_epochs: at most; the schedule spans them, also where training stops earlier.
        seed: with the epoch and the process it decides dropout.
        optimizer: class with its settings, without parameters.
        schedule: class with its settings, without optimizer and number of steps; None: constant.
        stop_after: epochs to train; None: all.
        row_wise: whether only the rows of embeddings that a batch contains are updated; None: of
            tables where that saves time.
        gradient_clip: largest norm of the gradient; None: unclipped.
        trainer: arguments of `pytorch_lightning.Trainer` beside those that other settings decide.
    """

    max_epochs: int
    seed: int
    optimizer: "partial[Any]" = partial(AdamW, lr=0.005, weight_decay=0.1)
    schedule: "partial[Any] | None" = None
    stop_after: int | None = None
    row_wise: bool | None = None
    gradient_clip: float | None = None
    trainer: "partial[Any] | None" = None

    @property
    def epochs(self) -> int:
        """Epochs to train."""
        return self.stop_after or self.max_epochs

    def trainer_arguments(self) -> dict[str, object]:
        """Those of `trainer` that are set."""
        given = {} if self.trainer is None else self.trainer.keywords
        return {key: value for key, value in given.items() if value is not None}
