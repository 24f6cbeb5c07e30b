"""What a model of purchases to come learns from, and how it is judged.

Axes: B users of a batch, I items, F features of an item.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.shards import Shard
from recsys.errors import ConfigError
from recsys.models.recommender import Query
from recsys.training.batches.histories import HistoryBatch, HistoryBatches, LearningStep
from recsys.training.losses import full_bce, full_softmax, recency_weight
from recsys.training.optimization import require_numbers


@dataclass(frozen=True)
class NextPurchases:
    """The loss of models that read when things were bought.

    Attributes:
        name: "next_purchases".
        batch_size: users.
        half_life_days: a hidden purchase weighs half as much for every so many days since it was
            last made; None: all weigh the same.
        horizon_days, lookback_days: of `HistoryBatches`.
    """

    name: str
    batch_size: int
    half_life_days: float | None = None
    horizon_days: int = 28
    lookback_days: int = 84

    def __post_init__(self) -> None:
        if self.half_life_days is not None:
            require_numbers("loss", half_life_days=self.half_life_days)
            if not self.half_life_days > 0:
                raise ConfigError(
                    f"loss.half_life_days={self.half_life_days}: it has to be above 0, or null"
                )
        for setting, least in (("batch_size", 1), ("horizon_days", 1), ("lookback_days", 0)):
            value = getattr(self, setting)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"loss.{setting}={value!r}: a whole number of at least {least}")


class LearnsFromHistories(Protocol):
    """A recommender that is trained on the histories of one day and what came after."""

    def score_all(self, query: Query, trends: Tensor | None = None) -> Tensor:
        """Scores of the catalogue (B, I) on the day of `trends` (I, F)."""
        ...

    def score_unseen(self, query: Query, trends: Tensor | None = None) -> Tensor:
        """The same for items that are not in the history, -inf for those that are, (B, I)."""
        ...


class NextPurchasesProblem:
    """Purchases with days to learn from.

    Args:
        interactions: what to fit on.
        objective: see there.
        seed: with the epoch and the process it decides order, days and what is hidden.
    """

    def __init__(self, interactions: Interactions, objective: NextPurchases, seed: int) -> None:
        self._interactions, self._objective, self._seed = interactions, objective, seed

    def batches(
        self, device: torch.device, epoch: Callable[[], int], shard: Shard
    ) -> HistoryBatches:
        """Batches of users."""
        half_life, weight = self._objective.half_life_days, None
        days = self._interactions.days_since
        if half_life is not None and days is not None:
            weight = recency_weight(days, half_life)
        return HistoryBatches(
            self._interactions,
            batch_size=self._objective.batch_size,
            horizon_days=self._objective.horizon_days,
            lookback_days=self._objective.lookback_days,
            seed=self._seed,
            device=device,
            epoch=epoch,
            shard=shard,
            weight=weight,
        )

    def loss(self, model: LearnsFromHistories, batch: LearningStep) -> tuple[Tensor, int]:
        """The loss of a batch, a scalar, and its purchases.

        The sum of `full_bce` of what was bought after a day, `full_softmax` of what of that was new
        to the user, and `full_softmax` of what a part of the history leaves out: the first knows
        who buys what again, the second what is tried next, the third what goes with what.
        """
        later, hidden = batch
        loss = full_bce(model.score_all(_query(later), later.trends), later.row, later.item)
        for asked in (later, hidden):
            scores = model.score_unseen(_query(asked), asked.trends)
            unseen = scores[asked.row, asked.item] > -torch.inf
            if bool(unseen.any()):
                weight = None if asked.weight is None else asked.weight[unseen]
                loss = loss + full_softmax(scores, asked.row[unseen], asked.item[unseen], weight)
        return loss, later.item.numel() + hidden.item.numel()


def _query(batch: HistoryBatch) -> Query:
    return Query(batch.user, batch.history, batch.age)
