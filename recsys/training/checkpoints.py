"""Checkpoints, written atomically."""

import os
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from recsys.stored_files import readable
from recsys.training.settings import Validation

# what to do about a file of checkpoints
DAMAGED = "it is damaged; delete the folder it is in, and what it holds is trained anew"


class KeepBestAndLast(Checkpoint):
    """Keeps `last.ckpt` (the state after the last whole epoch) and `best.ckpt` (best monitored
    value so far).

    `last.ckpt` also exists before the first epoch, so that an interrupted run can always be
    resumed. Files are written under another name and renamed.

    Args:
        folder: to write to.
        validation: says which epoch is best; None keeps only the last.
    """

    def __init__(self, folder: Path, validation: Validation | None) -> None:
        self.folder = folder
        self.monitor = None if validation is None else validation.monitor
        self._sign = -1 if validation is not None and validation.mode == "min" else 1
        self.best_value = -self._sign * float("inf")
        self.best_epoch = 0
        self._validated = False
        self._stopped = False
        self._earlier, self._start = 0.0, time.perf_counter()

    def state_dict(self) -> dict[str, float]:
        """Plain values in the checkpoint: the best epoch, whether training stopped early, and its
        seconds so far, of all attempts.
        """
        return {
            "best_value": self.best_value,
            "best_epoch": self.best_epoch,
            "stopped": self._stopped,
            "seconds": self._earlier + time.perf_counter() - self._start,
        }

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Restores what `state_dict` returned."""
        self.best_value, self.best_epoch = state_dict["best_value"], int(state_dict["best_epoch"])
        self._earlier = state_dict.get("seconds", 0.0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves the untrained state."""
        if not (self.folder / "last.ckpt").exists():
            self._save(trainer, "last.ckpt")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes that the monitored value is of this epoch."""
        self._validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves the epoch that has just ended."""
        if self.monitor is not None and self._validated:
            value = float(trainer.callback_metrics[self.monitor])
            if self._sign * value > self._sign * self.best_value:
                self.best_value, self.best_epoch = value, trainer.current_epoch + 1
                self._save(trainer, "best.ckpt")
        self._validated = False
        # checkpoint callbacks run last, after early stopping
        self._stopped = bool(trainer.should_stop)
        self._save(trainer, "last.ckpt")

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        temporary = self.folder / f"{name}.partial"
        trainer.save_checkpoint(temporary, weights_only=False)
        if trainer.is_global_zero:
            os.replace(temporary, self.folder / name)
        # other processes read it when training ends
        trainer.strategy.barrier()


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A Lightning checkpoint on the CPU, without pickle."""
    with readable(path, DAMAGED):
        return torch.load(path, map_location="cpu", weights_only=True)
