"""Loss of purchases after a day of the past and of purchases hidden from the history.

Axes: B users of a batch, I items, P purchases to predict, F features of an item.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from recsys.data.interactions import Interactions
from recsys.data.shards import Shard
from recsys.models.recommender import Query
from recsys.ranges import Count, Positive, Whole
from recsys.training.batches.histories import HistoryBatch, HistoryBatches, LearningStep
from recsys.training.losses.full_softmax import full_softmax
from recsys.training.objectives.weights import purchase_weight


@runtime_checkable
class LearnsFromHistories(Protocol):
    """A recommender that is trained on histories up to a day and the purchases after it."""

    def score_all(self, query: Query, trends: Tensor | None = None) -> Tensor:
        """Scores of the catalogue (B, I) on the day of `trends` (I, F)."""
        ...

    def score_unseen(self, query: Query, trends: Tensor | None = None) -> Tensor:
        """The same for items that are not in the history, -inf for those that are, (B, I)."""
        ...


def full_bce(scores: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """Binary cross-entropy over the whole catalogue: purchases (P,) are labelled 1, everything else
    0; the sum over all (B, I) pairs per purchase, 0 where there are none.

    Source: that of `recsys.training.losses.bce.bce`, without sampling.
    """
    # softplus(x) - x is -log sigmoid(x)
    return (functional.softplus(scores).sum() - scores[row, item].sum()) / max(1, len(item))


@dataclass(frozen=True)
class NextPurchases:
    """The sum of three losses: `full_bce` of the purchases after a day, which learns who buys what
    again; `full_softmax` of those that were new to the user, which learns what is tried next; and
    `full_softmax` of purchases hidden from the history, which learns what goes with what.

    Attributes:
        batch_size: users.
        half_life_days: a hidden purchase weighs half as much for every so many days since it was
            last made; None: all weigh the same.
        horizon_days, lookback_days: of `HistoryBatches`.
    """

    batch_size: Count = 64
    half_life_days: Positive | None = None
    horizon_days: Count = 28
    lookback_days: Whole = 84

    name: ClassVar[str] = "next_purchases"
    trains: ClassVar[type] = LearnsFromHistories

    def objective(
        self, model: LearnsFromHistories, data: Interactions, *, seed: int
    ) -> "NextPurchasesObjective":
        """See `recsys.training.objective.Loss`."""
        # without days there are no batches either, which the batches report
        half_life = None if data.day is None else self.half_life_days
        return NextPurchasesObjective(data, self, seed, purchase_weight(data, half_life))


@dataclass(frozen=True)
class NextPurchasesObjective:
    """Purchases with days.

    Attributes:
        interactions: to fit on.
        settings: of the loss.
        seed: with the epoch and the process it decides order, days and what is hidden.
        weight: of every pair in `interactions.distinct` when it is hidden, or None.
    """

    interactions: Interactions
    settings: NextPurchases
    seed: int
    weight: Tensor | None

    def batches(
        self, device: torch.device, epoch: Callable[[], int], shard: Shard
    ) -> HistoryBatches:
        """Batches of users."""
        return HistoryBatches(
            self.interactions,
            batch_size=self.settings.batch_size,
            horizon_days=self.settings.horizon_days,
            lookback_days=self.settings.lookback_days,
            seed=self.seed,
            device=device,
            epoch=epoch,
            shard=shard,
            weight=self.weight,
        )

    def loss(self, model: LearnsFromHistories, batch: LearningStep) -> tuple[Tensor, int]:
        """Loss of a batch, a scalar, and its number of purchases."""
        later, hidden = batch
        loss = full_bce(model.score_all(_query(later), later.trends), later.row, later.item)
        for part in (later, hidden):
            scores = model.score_unseen(_query(part), part.trends)
            unseen = scores[part.row, part.item] > -torch.inf
            if bool(unseen.any()):
                weight = None if part.weight is None else part.weight[unseen]
                loss = loss + full_softmax(scores, part.row[unseen], part.item[unseen], weight)
        return loss, later.item.numel() + hidden.item.numel()


def _query(batch: HistoryBatch) -> Query:
    return Query(batch.user, batch.history, batch.age)
