"""The LightningModule that trains any model on what its problem gives it."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from recsys.data.shards import Shard, epoch_generator
from recsys.training.loss_watch import LossWatch
from recsys.training.optimization import Optimization


class Problem(Protocol):
    """What a model learns from: data and an objective."""

    def batches(
        self, device: torch.device, epoch: Callable[[], int], shard: Shard
    ) -> Iterable[Any]:
        """Batches of an epoch, with a length, drawn on the device for the process of `share`."""
        ...

    def loss(self, model: Any, batch: Any) -> tuple[Tensor, int]:
        """The loss of a batch, a scalar, and how many samples were scored."""
        ...


class Evaluator(Protocol):
    """Judges a model block by block, over all processes."""

    def blocks(self, model: Any, shard: Shard) -> Iterable[Tensor]:
        """Blocks of questions, with a length, for the process of `share`."""
        ...

    def reset(self) -> None:
        """Forgets all answers."""
        ...

    def update(self, model: Any, block: Tensor) -> None:
        """Adds the answers to a block of questions."""
        ...

    def compute(self) -> dict[str, float]:
        """Metrics over all processes, by name."""
        ...


class TrainingModule(pl.LightningModule):
    """Trains `model` on batches that are made on the device.

    Args:
        model: with parameters.
        problem: what to learn from.
        optimization: how parameters move.
        seed: with the epoch and the process it decides dropout.
        evaluator: judges the model after an epoch; None: no validation.
    """

    def __init__(
        self,
        model: nn.Module,
        problem: Problem,
        optimization: Optimization,
        seed: int,
        evaluator: Evaluator | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self._problem = problem
        self._optimization = optimization
        self._loss = LossWatch(optimization.lr)
        self._seed = seed
        self._evaluator = evaluator
        self._batches: Any = None
        self.samples = 0
        self._row_wise: list[str] = []

    def train_dataloader(self) -> Any:
        """Batches of the whole training part, on the device of the model."""
        if self._batches is None:
            self._batches = self._problem.batches(
                self.device, lambda: self.current_epoch, self._shard()
            )
        return self._batches

    def val_dataloader(self) -> Any:
        """Blocks of questions."""
        return () if self._evaluator is None else self._evaluator.blocks(self.model, self._shard())

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of a batch, a scalar."""
        loss, samples = self._problem.loss(self.model, batch)
        self.samples += samples
        self._loss.add(loss, self.current_epoch, batch_idx)
        return loss

    def on_train_epoch_start(self) -> None:
        """Seeds dropout by (seed, epoch, process), so that a resumed epoch repeats it."""
        generator = epoch_generator(
            self._seed, self.current_epoch, self._shard().rank, torch.device("cpu")
        )
        torch.manual_seed(generator.initial_seed())
        self._loss.start(self.device)

    def on_validation_epoch_start(self) -> None:
        """Empties the evaluator; no model with a broken loss is judged, let alone kept."""
        if self._evaluator is not None:
            self._evaluator.reset()
        steps = self.trainer.fit_loop.epoch_loop.batch_idx
        if self.trainer.training or steps > 0:
            self._loss.check(self.current_epoch, steps)

    def validation_step(self, block: Tensor, batch_idx: int) -> None:
        """Adds a block of questions (B,)."""
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
        """Adds what all processes together have scored, and the parameters of which only touched
        rows move.
        """
        checkpoint["samples"] = self.samples * self.trainer.world_size
        checkpoint["row_wise"] = self._row_wise

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on counting."""
        self.samples = checkpoint["samples"] // self.trainer.world_size

    def configure_optimizers(self) -> Any:
        """As `Optimization` says."""
        self._row_wise = self._optimization.choose_tables(
            self.model,
            self._backward_once,
            processes=self.trainer.world_size,
            clipped=self.trainer.gradient_clip_val is not None,
        )
        row_wise = [self.model.get_parameter(name) for name in self._row_wise]
        steps = len(self.train_dataloader())
        no_weight_decay: Iterable[nn.Parameter] = getattr(self.model, "no_weight_decay", tuple)()
        parameters = self.parameters()
        return self._optimization.configure(
            parameters, steps, self.device, row_wise, no_weight_decay
        )

    def _backward_once(self) -> None:
        """The gradients of the first batch, without a trace in the random numbers to come."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            loss, _ = self._problem.loss(self.model, next(iter(self.train_dataloader())))
            loss.backward()

    def _shard(self) -> Shard:
        return Shard(self.global_rank, self.trainer.world_size)
