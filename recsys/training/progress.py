"""Reports validation metrics while a model trains."""

from collections.abc import Callable

import pytorch_lightning as pl


class ReportValidations(pl.Callback):
    """Passes the epoch, from 1, and the monitored value to a function after every validation.

    Args:
        monitor: name of a logged metric.
        report: the function.
    """

    def __init__(self, monitor: str, report: Callable[[int, float], None]) -> None:
        self._monitor, self._report = monitor, report

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Passes them on, where the metric is defined."""
        if self._monitor in trainer.callback_metrics:
            self._report(trainer.current_epoch + 1, float(trainer.callback_metrics[self._monitor]))
