"""What a recommender learns from, and how it is judged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.loaders import PairBatch, PairBatches, Share, UserBatch, UserBatches
from recsys.errors import ConfigError
from recsys.models.recommender import Query
from recsys.training.losses import PAIR_LOSSES, USER_LOSSES, recency_weight
from recsys.training.optimization import require_numbers


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


class RankingProblem:
    """Purchases to learn from; everything a batch needs lies on the device.

    Args:
        interactions: what to fit on.
        objective: see there.
        seed: with the epoch and the process it decides order and negatives.
    """

    def __init__(self, interactions: Interactions, objective: Objective, seed: int) -> None:
        self._interactions, self._objective, self._seed = interactions, objective, seed

    def batches(
        self, device: torch.device, epoch: Callable[[], int], share: Share
    ) -> PairBatches | UserBatches:
        """Batches of pairs, or of users where the loss is one of users."""
        options: dict[str, Any] = {
            "batch_size": self._objective.batch_size,
            "seed": self._seed,
            "device": device,
            "epoch": epoch,
            "share": share,
            "weight": self._weight(),
        }
        if self._objective.name in USER_LOSSES:
            return UserBatches(self._interactions, **options)
        negatives = self._objective.num_negatives
        return PairBatches(self._interactions, num_negatives=negatives, **options)

    def loss(self, model: Any, batch: PairBatch | UserBatch) -> tuple[Tensor, int]:
        """The loss of a batch, a scalar, and its scored pairs (purchases, with a full softmax)."""
        query = Query(batch.user, batch.user.new_zeros(len(batch.user), 0))
        if isinstance(batch, UserBatch):
            if model.reads_history:
                query = Query(batch.user, batch.bags(model.num_items))
            of_users = USER_LOSSES[self._objective.name]
            scores = model.score_all(query)
            return of_users(scores, batch.row, batch.item, batch.weight), batch.item.numel()
        of_pairs = PAIR_LOSSES[self._objective.name]
        return of_pairs(model(query, batch.items), batch.weight), batch.items.numel()

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
