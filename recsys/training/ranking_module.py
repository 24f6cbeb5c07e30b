"""The LightningModule that trains any recommender."""

from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.data.loaders import (
    PairBatch,
    PairBatches,
    Share,
    UserBatch,
    UserBatches,
    epoch_generator,
)
from recsys.errors import ConfigError
from recsys.evaluation.ranking import RankingEvaluator, UserBlocks
from recsys.models.recommender import Query, Recommender
from recsys.training.loss_watch import LossWatch
from recsys.training.losses import PAIR_LOSSES, USER_LOSSES, recency_weight
from recsys.training.optimization import Optimization, require_numbers


@dataclass(frozen=True)
class Objective:
    """What a batch holds and how it is judged.

    Attributes:
        name: a loss of `recsys.training.losses`.
        batch_size: rows of a batch: positives, or users where the loss is `full_softmax`.
        num_negatives: drawn for each positive; none for `full_softmax`.
        half_life_days: a positive weighs half as much for every so many days since its last
            purchase; None: all weigh the same.
    """

    name: str
    batch_size: int
    num_negatives: int = 0
    half_life_days: float | None = None

    def __post_init__(self) -> None:
        require_numbers("loss", batch_size=self.batch_size, num_negatives=self.num_negatives)
        if self.half_life_days is not None:
            require_numbers("loss", half_life_days=self.half_life_days)
        if self.name not in PAIR_LOSSES | USER_LOSSES:
            raise ConfigError(
                f"loss.name={self.name!r} is unknown; choose from"
                f" {', '.join(PAIR_LOSSES | USER_LOSSES)}"
            )
        if self.name in PAIR_LOSSES and self.num_negatives < 1:
            raise ConfigError(
                f"loss.num_negatives={self.num_negatives}: {self.name} needs at least 1"
            )
        if self.half_life_days is not None and not self.half_life_days > 0:
            raise ConfigError(
                f"loss.half_life_days={self.half_life_days}: it has to be above 0, or null"
            )
        if self.batch_size < 1:
            raise ConfigError(f"loss.batch_size={self.batch_size}: it has to be at least 1")


class RankingModule(pl.LightningModule):
    """Trains `model` on index batches; everything a batch needs lies on the device.

    Args:
        model: a recommender with parameters.
        interactions: what to fit on.
        objective, optimization: see there.
        seed: with the epoch and the process it decides order, negatives and dropout.
        evaluator: judges the model after an epoch; None: no validation.
    """

    def __init__(
        self,
        model: nn.Module,
        interactions: Interactions,
        objective: Objective,
        optimization: Optimization,
        seed: int,
        evaluator: RankingEvaluator | None = None,
    ) -> None:
        super().__init__()
        assert isinstance(model, Recommender)
        self.model = model
        self._interactions = interactions
        self._objective = objective
        self._optimization = optimization
        self._loss = LossWatch(optimization.lr)
        self._seed = seed
        self._evaluator = evaluator
        self._batches: PairBatches | UserBatches | None = None
        self.samples = 0

    def train_dataloader(self) -> PairBatches | UserBatches:
        """Batches of the whole training part, on the device of the model."""
        if self._batches is None:
            options: dict[str, Any] = {
                "batch_size": self._objective.batch_size,
                "seed": self._seed,
                "device": self.device,
                "epoch": lambda: self.current_epoch,
                "share": self._share(),
                "weight": self._weight(),
            }
            if self._objective.name in USER_LOSSES:
                self._batches = UserBatches(self._interactions, **options)
            else:
                negatives = self._objective.num_negatives
                self._batches = PairBatches(self._interactions, num_negatives=negatives, **options)
        return self._batches

    def val_dataloader(self) -> UserBlocks | tuple[()]:
        """Blocks of users to ask about."""
        if self._evaluator is None:
            return ()
        return self._evaluator.blocks(self.model, self._share())

    def training_step(self, batch: PairBatch | UserBatch, batch_idx: int) -> Tensor:
        """The loss of a batch, a scalar."""
        query = Query(batch.user, batch.user.new_zeros(len(batch.user), 0))
        if isinstance(batch, UserBatch):
            loss = USER_LOSSES[self._objective.name](
                self.model.score_all(query), batch.row, batch.item, batch.weight
            )
            self.samples += batch.item.numel()
        else:
            loss = PAIR_LOSSES[self._objective.name](self.model(query, batch.items), batch.weight)
            self.samples += batch.items.numel()
        self._loss.add(loss, self.current_epoch, batch_idx)
        return loss

    def on_train_epoch_start(self) -> None:
        """Seeds dropout by (seed, epoch, process), so that a resumed epoch repeats it."""
        share = self._share()
        torch.manual_seed(
            epoch_generator(
                self._seed, self.current_epoch, share.rank, torch.device("cpu")
            ).initial_seed()
        )
        self._loss.start(self.device)

    def on_validation_epoch_start(self) -> None:
        """Empties the evaluator; no model with a broken loss is judged, let alone kept."""
        if self._evaluator is not None:
            self._evaluator.reset()
        if self.trainer.training or self.trainer.fit_loop.epoch_loop.batch_idx > 0:
            self._loss.check(self.current_epoch, self.trainer.fit_loop.epoch_loop.batch_idx)

    def validation_step(self, users: Tensor, batch_idx: int) -> None:
        """Adds a block of users (B,)."""
        assert self._evaluator is not None
        self._evaluator.update(self.model, users)

    def on_validation_epoch_end(self) -> None:
        """Logs `val/view/metric@k`."""
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
        """Adds what all processes together have scored since the training started or resumed."""
        checkpoint["samples"] = self.samples * self.trainer.world_size

    def configure_optimizers(self) -> Any:
        """As `Optimization` says."""
        steps = len(self.train_dataloader())
        return self._optimization.configure(self.parameters(), steps, self.device)

    def _share(self) -> Share:
        return Share(self.global_rank, self.trainer.world_size)

    def _weight(self) -> Tensor | None:
        half_life = self._objective.half_life_days
        if half_life is None:
            return None
        days = self._interactions.days_since
        if days is None:
            raise ConfigError(
                f"loss.half_life_days={half_life:g} needs timestamps, which the data does not have;"
                " set it to null"
            )
        return recency_weight(days, half_life)
