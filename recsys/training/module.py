"""The LightningModule that trains any model on any objective."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from recsys.data.shards import Shard, epoch_generator
from recsys.errors import ConfigError
from recsys.models.recommender import ExemptsFromWeightDecay
from recsys.training.loss_watch import LossWatch
from recsys.training.objective import TrainingObjective
from recsys.training.optimizer import (
    can_update_rows,
    make_optimizer,
    make_schedule,
    parameter_groups,
)
from recsys.training.row_wise import row_wise_tables, set_sparse_gradients
from recsys.training.settings import FitSettings


class Evaluator(Protocol):
    """Evaluates a model block by block, over all processes."""

    def metric_names(self) -> Sequence[str]:
        """Names of what `compute` returns."""
        ...

    def blocks(self, model: Any, shard: Shard) -> Iterable[Tensor]:
        """Blocks of queries, with a length, for the process of `shard`."""
        ...

    def reset(self) -> None:
        """Forgets all blocks."""
        ...

    def update(self, model: Any, block: Tensor) -> None:
        """Adds a block of queries."""
        ...

    def compute(self) -> dict[str, float]:
        """Metrics over all processes, by name."""
        ...


class TrainingModule(pl.LightningModule):
    """Trains `model` on batches that are made on the device.

    Args:
        model: with parameters.
        objective: batches and loss.
        settings: of the training.
        evaluator: evaluates the model after an epoch; None: no validation.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: TrainingObjective,
        settings: FitSettings,
        evaluator: Evaluator | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self._objective = objective
        self._settings = settings
        self._loss = LossWatch(settings.optimizer.keywords.get("lr"))
        self._evaluator = evaluator
        self._batches: Any = None
        self.samples = 0
        self._row_wise: list[str] = []

    def train_dataloader(self) -> Any:
        """Batches of the whole training part, on the device of the model."""
        if self._batches is None:
            self._batches = self._objective.batches(
                self.device, lambda: self.current_epoch, self._shard()
            )
        return self._batches

    def val_dataloader(self) -> Any:
        """Blocks of queries."""
        return () if self._evaluator is None else self._evaluator.blocks(self.model, self._shard())

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of a batch, a scalar."""
        loss, samples = self._objective.loss(self.model, batch)
        self.samples += samples
        self._loss.add(loss, self.current_epoch, batch_idx)
        return loss

    def on_train_epoch_start(self) -> None:
        """Seeds dropout by (seed, epoch, process), so that a resumed epoch repeats it."""
        generator = epoch_generator(
            self._settings.seed, self.current_epoch, self._shard().rank, torch.device("cpu")
        )
        torch.manual_seed(generator.initial_seed())
        self._loss.start(self.device)

    def on_validation_epoch_start(self) -> None:
        """Resets the evaluator; a model with a broken loss is neither evaluated nor kept."""
        if self._evaluator is not None:
            self._evaluator.reset()
        steps = self.trainer.fit_loop.epoch_loop.batch_idx
        if self.trainer.training or steps > 0:
            self._loss.check(self.current_epoch, steps)

    def validation_step(self, block: Tensor, batch_idx: int) -> None:
        """Adds a block of queries (B,)."""
        assert self._evaluator is not None
        self._evaluator.update(self.model, block)

    def on_validation_epoch_end(self) -> None:
        """Logs `val/…`."""
        if self._evaluator is not None:
            found = self._evaluator.compute()
            self.log_dict(
                {f"val/{name}": value for name, value in found.items()}, rank_zero_only=False
            )

    def on_train_epoch_end(self) -> None:
        """Logs the mean loss of the epoch."""
        steps = self.trainer.fit_loop.epoch_loop.batch_idx + 1
        self._loss.check(self.current_epoch, steps - 1)
        self.log("train/loss", self._loss.mean(steps), prog_bar=True, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the samples scored by all processes, and the names of row-wise tables."""
        checkpoint["samples"] = self.samples * self.trainer.world_size
        checkpoint["row_wise"] = self._row_wise

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continues the count of samples."""
        self.samples = checkpoint["samples"] // self.trainer.world_size

    def configure_optimizers(self) -> Any:
        """Optimizer and schedule of the settings."""
        settings = self._settings
        self._row_wise = self._choose_row_wise()
        set_sparse_gradients(self.model, self._row_wise)
        exempt: Iterable[nn.Parameter] = ()
        if isinstance(self.model, ExemptsFromWeightDecay):
            exempt = self.model.no_weight_decay()
        tables = [self.model.get_parameter(name) for name in self._row_wise]
        groups = parameter_groups(self.parameters(), exempt, tables)
        optimizer = make_optimizer(settings.optimizer, groups, self.device)
        if settings.schedule is None:
            return optimizer
        # a refit stops earlier than the schedule that it follows
        epochs = self.trainer.max_epochs or settings.max_epochs
        steps = int(self.trainer.estimated_stepping_batches) * settings.max_epochs // epochs
        schedule = make_schedule(settings.schedule, optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def teardown(self, stage: str) -> None:
        """Leaves the model with dense gradients, as it came."""
        set_sparse_gradients(self.model, ())

    def _choose_row_wise(self) -> list[str]:
        """Tables to update row by row; ConfigError where this is asked for and impossible."""
        asked, needs = self._settings.row_wise, None
        if not can_update_rows(self._settings.optimizer):
            needs = "optimizer=adamw without amsgrad and maximize"
        elif self.trainer.gradient_clip_val is not None:
            needs = "train.gradient_clip=null"  # by a norm that sparse gradients do not have
        elif self.trainer.world_size > 1:
            needs = "one process (trainer.devices=1)"  # several exchange dense gradients
        if asked and needs:
            raise ConfigError(f"train.row_wise=true needs {needs}; or set it to null")
        if needs or asked is False:
            return []
        return row_wise_tables(self.model, self._backward_once, every_table=asked is True)

    def _backward_once(self) -> None:
        """The gradients of the first batch, without a trace in the random numbers to come."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            loss, _ = self._objective.loss(self.model, next(iter(self.train_dataloader())))
            loss.backward()

    def _shard(self) -> Shard:
        return Shard(self.global_rank, self.trainer.world_size)
