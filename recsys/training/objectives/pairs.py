"""Purchases beside sampled negatives, sliced from tensors that already lie on the device; no row
ever becomes a Python object.

Axes: B rows of a batch, N negatives a row, P distinct purchases, R rows of several batches.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.shards import EpochOrder, Shard
from recsys.models.inputs import pair_columns, query_of
from recsys.models.recommender import Recommender
from recsys.ranges import Count, NonNegative, Positive, Power
from recsys.training.objectives.negatives import NegativeSampler
from recsys.training.objectives.scores import log_q_correction, tempered
from recsys.training.objectives.weights import purchase_weight

# negatives of as many batches, a few MB
_DRAWN_AT_ONCE = 2**16


class PairBatch(NamedTuple):
    """A purchase a row.

    Attributes:
        user: (B,).
        items: (B, 1 + N), of which column 0 was bought and the others never were.
        weight: of each row, (B,), or None where all weigh the same.
        log_q: logarithm of the probability that each negative was drawn with, (B, N), or None.
        columns: further inputs of the model by name, (B,) each, at the last event of the pair.
    """

    user: Tensor
    items: Tensor
    weight: Tensor | None
    log_q: Tensor | None = None
    columns: Mapping[str, Tensor] | None = None


@dataclass(frozen=True)
class PairObjective:
    """Scores every purchase beside its negatives.

    Attributes:
        interactions: to fit on.
        score_loss: from scores (B, 1 + N), the positive in column 0, and weights (B,) or None to a
            scalar.
        batch_size: purchases of a batch.
        num_negatives: N.
        seed: with the epoch and the process it decides order and negatives.
        weight: of every purchase in `interactions.distinct`, (P,); None: all weigh the same.
        popularity_power: of `NegativeSampler`.
        temperature: scores are divided by it.
        log_q: whether negatives are corrected for their sampling probability.
        columns: further inputs of the model, see `pair_columns`.
    """

    interactions: Interactions
    score_loss: Callable[[Tensor, Tensor | None], Tensor]
    batch_size: int
    num_negatives: int
    seed: int
    weight: Tensor | None = None
    popularity_power: float = 0.0
    temperature: float = 1.0
    log_q: bool = False
    columns: Mapping[str, Tensor] = field(default_factory=dict)

    def batches(
        self, device: torch.device, epoch: Callable[[], int], shard: Shard
    ) -> "PairBatches":
        """Every purchase once an epoch."""
        return PairBatches(self, device, epoch, shard)

    def loss(self, model: Recommender, batch: PairBatch) -> tuple[Tensor, int]:
        """Loss of a batch, a scalar, and its number of scored pairs."""
        query = query_of(model, batch.user, batch.columns)
        scores = tempered(model(query, batch.items), self.temperature)  # type: ignore[operator]
        if batch.log_q is not None:
            scores = log_q_correction(scores, batch.log_q)
        return self.score_loss(scores, batch.weight), batch.items.numel()


class PairBatches:
    """Every purchase once an epoch, in a new order, with fresh negatives."""

    def __init__(
        self,
        objective: PairObjective,
        device: torch.device,
        epoch: Callable[[], int],
        shard: Shard,
    ) -> None:
        interactions = objective.interactions
        positives = interactions.distinct.to(device)
        self._weight = None if objective.weight is None else objective.weight.to(device)
        self._item = positives.values
        self._user = torch.repeat_interleave(
            torch.arange(len(positives), device=device), positives.lengths()
        )
        self._sampler = NegativeSampler(
            positives, interactions.num_items, interactions.buyers, objective.popularity_power
        )
        self._log_q, self._num_negatives = objective.log_q, objective.num_negatives
        self._columns = {name: values.to(device) for name, values in objective.columns.items()}
        self._order = EpochOrder(
            len(self._item), objective.batch_size, objective.seed, device, epoch, shard
        )

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[PairBatch]:
        generator = self._order.generator()
        size = self._order.batch_size
        # many batches at a time: with a few rows, an operation takes longer to begin than to run
        batches = max(1, _DRAWN_AT_ONCE // (size * self._num_negatives))
        for rows in self._order.segments(batches):
            user = self._user[rows]  # (R,), the rows of all these batches
            negatives = self._sampler.draw(user, self._num_negatives, generator)  # (R, N)
            items = torch.cat([self._item[rows].unsqueeze(1), negatives], dim=1)
            weight = None if self._weight is None else self._weight[rows]
            log_q = self._sampler.log_probability(user, negatives) if self._log_q else None
            split: list[Any] = [
                repeat(None) if part is None else part.split(size)
                for part in (user, items, weight, log_q)
            ]
            if self._columns:
                inputs = [values[rows].split(size) for values in self._columns.values()]
                split.append(
                    dict(zip(self._columns, each, strict=True))
                    for each in zip(*inputs, strict=True)
                )
            yield from map(PairBatch, *split)


@dataclass(frozen=True)
class PairLoss:
    """Settings that losses over purchases and their negatives share.

    Attributes:
        batch_size: purchases of a batch; None: a fortieth of them, between 256 and 4,096.
        num_negatives: drawn for each purchase.
        half_life_days: a purchase weighs half as much for every so many days since it was last
            made; None: all weigh the same.
        popularity_power: negatives are drawn in proportion to the buyers of an item to this power;
            0: uniformly.
        quantity_alpha: a purchase weighs 1 + quantity_alpha log(1 + units bought).
    """

    batch_size: Count | None = None
    num_negatives: Count = 4
    half_life_days: Positive | None = None
    popularity_power: Power = 0.0
    quantity_alpha: NonNegative = 0.0

    trains: ClassVar[type] = Recommender

    def objective(self, model: Recommender, data: Interactions, *, seed: int) -> PairObjective:
        """See `recsys.training.objective.Loss`."""
        purchases = len(data.distinct.values)
        return PairObjective(
            data,
            self.score_loss,
            self.batch_size or min(4096, max(256, purchases // 40)),
            self.num_negatives,
            seed,
            weight=purchase_weight(data, self.half_life_days, self.quantity_alpha),
            popularity_power=self.popularity_power,
            columns=pair_columns(model, data.columns),
        )

    @staticmethod
    def score_loss(scores: Tensor, weight: Tensor | None = None) -> Tensor:
        """See `PairObjective`."""
        raise NotImplementedError
