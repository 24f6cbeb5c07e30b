"""Bayesian personalised ranking.

Axes: B rows of a batch, N negatives a row.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from recsys.data.interactions import Interactions
from recsys.models.inputs import pair_columns
from recsys.models.recommender import Recommender
from recsys.ranges import Count, NonNegative, Positive
from recsys.training.objectives.pairs import PairObjective
from recsys.training.objectives.weights import purchase_weight, weighted_mean


def bpr(scores: Tensor, weight: Tensor | None = None) -> Tensor:
    """Bayesian personalised ranking: -log sigmoid(positive - negative), mean over all (B, N)
    comparisons.

    Source: Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009.

    Args:
        scores: with the positive in column 0, (B, 1 + N).
        weight: of the rows, (B,); None: all weigh the same.
    """
    return weighted_mean(functional.softplus(scores[:, 1:] - scores[:, :1]).mean(dim=1), weight)


@dataclass(frozen=True)
class BPR:
    """Settings of `bpr`.

    Attributes:
        batch_size: purchases of a batch.
        num_negatives: drawn for each purchase.
        half_life_days: a purchase weighs half as much for every so many days since it was last
            made; None: all weigh the same.
        popularity_power: negatives are drawn in proportion to the buyers of an item to this power;
            0: uniformly.
        quantity_alpha: a purchase weighs 1 + quantity_alpha log(1 + units bought).
    """

    batch_size: Count = 4096
    num_negatives: Count = 1
    half_life_days: Positive | None = None
    popularity_power: NonNegative = 0.0
    quantity_alpha: NonNegative = 0.0

    name: ClassVar[str] = "bpr"
    trains: ClassVar[type] = Recommender

    def objective(self, model: Recommender, data: Interactions, *, seed: int) -> PairObjective:
        """See `recsys.training.objective.Loss`."""
        return PairObjective(
            data,
            bpr,
            self.batch_size,
            self.num_negatives,
            seed,
            weight=purchase_weight(data, self.half_life_days, self.quantity_alpha),
            popularity_power=self.popularity_power,
            columns=pair_columns(model, data.columns),
        )
