"""What a model of sequences learns from, and how it is judged.

Axes: B stretches of a batch, L longest of them, P purchases to predict, N negatives of each, I
items, D factors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from recsys.data.interactions import Interactions
from recsys.data.shards import Shard
from recsys.errors import ConfigError
from recsys.training.batches.sequences import SequenceBatch, SequenceBatches
from recsys.training.losses import sampled_softmax


@dataclass(frozen=True)
class NextItem:
    """Cross-entropy of each purchase after those before it, among all items or a sample.

    Source: Klenitskiy and Vasilev, Turning Dross Into Gold Loss: is BERT4Rec really better than
    SASRec?, RecSys 2023: the whole catalogue, or many negatives, is what it needs.

    Attributes:
        name: "next_item".
        batch_size: stretches of histories.
        num_negatives: N; 0: the whole catalogue competes.
    """

    name: str
    batch_size: int
    num_negatives: int = 0

    def __post_init__(self) -> None:
        for setting, least in (("batch_size", 1), ("num_negatives", 0)):
            value = getattr(self, setting)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"loss.{setting}={value!r}: a whole number of at least {least}")


class LearnsFromSequences(Protocol):
    """A recommender that says what comes next at every place of a sequence."""

    max_length: int
    num_items: int

    def states(self, recent: Tensor) -> Tensor:
        """What is known after each purchase in `recent` (B, L), padded on the left -> (B, L, D)."""
        ...

    def score(self, states: Tensor) -> Tensor:
        """Logits of the item that comes next after states (P, D) -> (P, I)."""
        ...

    def score_some(self, states: Tensor, items: Tensor) -> Tensor:
        """Logits of `items` (P, C) after states (P, D) -> (P, C)."""
        ...


class NextItemProblem:
    """Purchases in order to learn from.

    Args:
        interactions: what to fit on.
        objective: see there.
        max_length: places that the model reads.
        seed: with the epoch and the process it decides order and negatives.
    """

    def __init__(
        self, interactions: Interactions, objective: NextItem, max_length: int, seed: int
    ) -> None:
        self._interactions, self._objective = interactions, objective
        self._max_length, self._seed = max_length, seed

    def batches(
        self, device: torch.device, epoch: Callable[[], int], shard: Shard
    ) -> SequenceBatches:
        """Batches of stretches."""
        return SequenceBatches(
            self._interactions,
            batch_size=self._objective.batch_size,
            max_length=self._max_length,
            num_negatives=self._objective.num_negatives,
            seed=self._seed,
            device=device,
            epoch=epoch,
            shard=shard,
        )

    def loss(self, model: LearnsFromSequences, batch: SequenceBatch) -> tuple[Tensor, int]:
        """The loss of a batch, a scalar, and its purchases."""
        read, bought = batch.items[:, :-1], batch.items[:, 1:]
        real = read < model.num_items  # (B, L - 1)
        states, bought = model.states(read)[real], bought[real]  # (P, D), (P,)
        if self._objective.num_negatives:
            items = torch.cat([bought.unsqueeze(1), batch.negatives], dim=1)  # (P, 1 + N)
            return sampled_softmax(model.score_some(states, items)), len(bought)
        return functional.cross_entropy(model.score(states), bought), len(bought)
