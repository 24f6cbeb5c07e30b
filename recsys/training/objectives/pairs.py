"""Objectives over pairs of a purchase and its negatives.

Axes: B rows of a batch, N negatives a row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.shards import Shard
from recsys.models.inputs import query_of
from recsys.models.recommender import Recommender
from recsys.training.batches.pairs import PairBatch, PairBatches
from recsys.training.objectives.scores import log_q_correction, tempered


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

    def batches(self, device: torch.device, epoch: Callable[[], int], shard: Shard) -> PairBatches:
        """Every purchase once an epoch."""
        return PairBatches(
            self.interactions,
            batch_size=self.batch_size,
            num_negatives=self.num_negatives,
            seed=self.seed,
            device=device,
            epoch=epoch,
            shard=shard,
            weight=self.weight,
            popularity_power=self.popularity_power,
            log_q=self.log_q,
            columns=self.columns,
        )

    def loss(self, model: Recommender, batch: PairBatch) -> tuple[Tensor, int]:
        """Loss of a batch, a scalar, and its number of scored pairs."""
        query = query_of(model, batch.user, batch.columns)
        scores = tempered(model(query, batch.items), self.temperature)  # type: ignore[operator]
        if batch.log_q is not None:
            scores = log_q_correction(scores, batch.log_q)
        return self.score_loss(scores, batch.weight), batch.items.numel()
