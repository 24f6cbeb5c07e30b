"""Softmax over each purchase and its sampled negatives.

Axes: B rows of a batch, N negatives a row.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.models.inputs import pair_columns
from recsys.models.recommender import Recommender
from recsys.ranges import Count, NonNegative, Positive
from recsys.training.objectives.pairs import PairObjective
from recsys.training.objectives.weights import purchase_weight, weighted_mean


def sampled_softmax(scores: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of the positive among itself and its negatives, mean over B.

    Source: Jean et al., On Using Very Large Target Vocabulary for Neural Machine Translation, ACL
    2015; after `log_q_correction` it approximates the softmax over the catalogue.

    Args:
        scores: with the positive in column 0, (B, 1 + N).
        weight: of the rows, (B,); None: all weigh the same.
    """
    return weighted_mean(scores.logsumexp(dim=1) - scores[:, 0], weight)


@dataclass(frozen=True)
class SampledSoftmax:
    """Settings of `sampled_softmax`.

    Attributes:
        batch_size: purchases of a batch.
        num_negatives: drawn for each purchase.
        half_life_days: a purchase weighs half as much for every so many days since it was last
            made; None: all weigh the same.
        popularity_power: negatives are drawn in proportion to the buyers of an item to this power;
            0: uniformly.
        temperature: scores are divided by it.
        log_q: whether negatives are corrected for their sampling probability.
        quantity_alpha: a purchase weighs 1 + quantity_alpha log(1 + units bought).
    """

    batch_size: Count = 4096
    num_negatives: Count = 64
    half_life_days: Positive | None = None
    popularity_power: NonNegative = 0.0
    temperature: Positive = 1.0
    log_q: bool = False
    quantity_alpha: NonNegative = 0.0

    name: ClassVar[str] = "sampled_softmax"
    trains: ClassVar[type] = Recommender

    def objective(self, model: Recommender, data: Interactions, *, seed: int) -> PairObjective:
        """See `recsys.training.objective.Loss`."""
        return PairObjective(
            data,
            sampled_softmax,
            self.batch_size,
            self.num_negatives,
            seed,
            weight=purchase_weight(data, self.half_life_days, self.quantity_alpha),
            popularity_power=self.popularity_power,
            columns=pair_columns(model, data.columns),
            temperature=self.temperature,
            log_q=self.log_q,
        )
