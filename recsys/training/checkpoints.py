"""Checkpoints that are whole or absent."""

import os
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint


class KeepBestAndLast(Checkpoint):
    """Keeps `last.ckpt` (the state after the last whole epoch) and `best.ckpt` (best monitored
    value so far).

    `last.ckpt` also exists before the first epoch, so that an interrupted run can always be
    resumed. Files are written beside and renamed.

    Args:
        folder: where to.
        monitor: metric that says which is best; None keeps only the last.
        mode: "max" or "min".
    """

    def __init__(self, folder: Path, monitor: str | None, mode: str = "max") -> None:
        self.folder = folder
        self.monitor = monitor
        self._sign = 1 if mode == "max" else -1
        self.best_value = -self._sign * float("inf")
        self.best_epoch = 0
        self._validated = False
        self._stopped = False
        self._earlier, self._start = 0.0, time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """Plain values, inside the checkpoint: the best epoch, whether the training has stopped by
        itself, and its seconds so far, of all attempts.
        """
        return {
            "best_value": self.best_value,
            "best_epoch": self.best_epoch,
            "stopped": self._stopped,
            "seconds": self._earlier + time.perf_counter() - self._start,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What `state_dict` gave."""
        self.best_value, self.best_epoch = state_dict["best_value"], state_dict["best_epoch"]
        self._earlier = state_dict.get("seconds", 0.0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keeps the untrained state."""
        if not (self.folder / "last.ckpt").exists():
            self._save(trainer, "last.ckpt")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remembers that the monitored value is of this epoch."""
        self._validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keeps the epoch that has just ended."""
        if self.monitor is not None and self._validated:
            value = float(trainer.callback_metrics[self.monitor])
            if self._sign * value > self._sign * self.best_value:
                self.best_value, self.best_epoch = value, trainer.current_epoch + 1
                self._save(trainer, "best.ckpt")
        self._validated = False
        # checkpoint callbacks come last: the others have decided
        self._stopped = bool(trainer.should_stop)
        self._save(trainer, "last.ckpt")

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        beside = self.folder / f"{name}.partial"
        trainer.save_checkpoint(beside, weights_only=False)
        if trainer.is_global_zero:
            os.replace(beside, self.folder / name)
        # the others read it when training ends
        trainer.strategy.barrier()


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A Lightning checkpoint on the CPU, without pickle."""
    return torch.load(path, map_location="cpu", weights_only=True)
