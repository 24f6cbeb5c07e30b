"""Cross-entropy of each purchase after those before it.

Axes: B segments of histories, L longest of them, P purchases to predict, N negatives of each, I
items, D factors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from recsys.data.interactions import Interactions
from recsys.data.shards import Shard
from recsys.ranges import Count, Whole
from recsys.training.batches.sequences import SequenceBatch, SequenceBatches
from recsys.training.losses.sampled_softmax import sampled_softmax


@runtime_checkable
class LearnsFromSequences(Protocol):
    """A recommender that predicts the next item at every place of a sequence; it has the attributes
    `max_length`, places that it reads, and `num_items`.
    """

    def states(self, recent: Tensor) -> Tensor:
        """State after each purchase in `recent` (B, L), padded on the left -> (B, L, D)."""
        ...

    def score(self, states: Tensor) -> Tensor:
        """Logits of the next item after states (P, D) -> (P, I)."""
        ...

    def score_some(self, states: Tensor, items: Tensor) -> Tensor:
        """Logits of `items` (P, C) after states (P, D) -> (P, C)."""
        ...


@dataclass(frozen=True)
class NextItem:
    """Cross-entropy of the next item among all items or a sample.

    Source: Klenitskiy and Vasilev, Turning Dross Into Gold Loss: is BERT4Rec really better than
    SASRec?, RecSys 2023: SASRec needs the whole catalogue, or many negatives.

    Attributes:
        batch_size: segments of histories.
        num_negatives: drawn for each purchase; 0: the whole catalogue.
    """

    batch_size: Count = 64
    num_negatives: Whole = 0

    name: ClassVar[str] = "next_item"
    trains: ClassVar[type] = LearnsFromSequences

    def objective(self, model: Any, data: Interactions, *, seed: int) -> "NextItemObjective":
        """See `recsys.training.objective.Loss`."""
        return NextItemObjective(
            data, self.batch_size, self.num_negatives, model.max_length, model.num_items, seed
        )


@dataclass(frozen=True)
class NextItemObjective:
    """Predicts every purchase but a user's first.

    Attributes:
        interactions: to fit on.
        batch_size, num_negatives: of `NextItem`.
        max_length: places that the model reads.
        num_items: I, the padding of sequences.
        seed: with the epoch and the process it decides order and negatives.
    """

    interactions: Interactions
    batch_size: int
    num_negatives: int
    max_length: int
    num_items: int
    seed: int

    def batches(
        self, device: torch.device, epoch: Callable[[], int], shard: Shard
    ) -> SequenceBatches:
        """Batches of segments."""
        return SequenceBatches(
            self.interactions,
            batch_size=self.batch_size,
            max_length=self.max_length,
            num_negatives=self.num_negatives,
            seed=self.seed,
            device=device,
            epoch=epoch,
            shard=shard,
        )

    def loss(self, model: LearnsFromSequences, batch: SequenceBatch) -> tuple[Tensor, int]:
        """Loss of a batch, a scalar, and its number of purchases."""
        read, bought = batch.items[:, :-1], batch.items[:, 1:]
        real = read < self.num_items  # (B, L - 1)
        states, bought = model.states(read)[real], bought[real]  # (P, D), (P,)
        if self.num_negatives:
            items = torch.cat([bought.unsqueeze(1), batch.negatives], dim=1)  # (P, 1 + N)
            return sampled_softmax(model.score_some(states, items)), len(bought)
        return functional.cross_entropy(model.score(states), bought), len(bought)
