"""Weighted squared error over all pairs of users and items.

Axes: B users, I items, P purchases of the B users.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.models.inputs import user_columns
from recsys.models.recommender import Recommender
from recsys.ranges import Count, NonNegative, Positive
from recsys.training.objectives.users import FrequencyPenalty, UserObjective
from recsys.training.objectives.weights import purchase_weight, weighted_mean


def weighted_squares(
    scores: Tensor,
    row: Tensor,
    item: Tensor,
    weight: Tensor | None = None,
    *,
    unobserved_weight: float,
) -> Tensor:
    """Squared distance of purchases from 1, and with `unobserved_weight` of all pairs from 0; a sum
    over the (B, I) pairs, per purchase.

    Source: Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM
    2008, in the form of Rendle et al., Revisiting the Performance of iALS on Item Recommendation
    Benchmarks, RecSys 2022, equation 1; here by gradient instead of in closed form.

    Args:
        scores: (B, I).
        row, item: the purchases, (P,) each.
        weight: of the purchases, (P,); None: all weigh 1.
        unobserved_weight: of every pair.
    """
    purchases = len(item) if weight is None else weight.sum()
    everywhere = unobserved_weight * scores.square().sum() / purchases
    return weighted_mean((scores[row, item] - 1).square(), weight) + everywhere


@dataclass(frozen=True)
class WeightedSquares:
    """Settings of `weighted_squares`.

    Attributes:
        batch_size: users of a batch, each with all purchases.
        unobserved_weight: of a pair without a purchase; one with a purchase weighs 1 more.
        regularization: L2 penalty of factors, see `FrequencyPenalty`.
        half_life_days: a purchase weighs half as much for every so many days since it was last
            made; None: all weigh the same.
        quantity_alpha: a purchase weighs 1 + quantity_alpha log(1 + units bought).
    """

    batch_size: Count = 512
    unobserved_weight: NonNegative = 0.3
    regularization: NonNegative = 0.007
    half_life_days: Positive | None = None
    quantity_alpha: NonNegative = 0.0

    name: ClassVar[str] = "weighted_squares"
    trains: ClassVar[type] = Recommender

    def objective(self, model: Recommender, data: Interactions, *, seed: int) -> UserObjective:
        """See `recsys.training.objective.Loss`."""
        penalty = None
        if self.regularization:
            penalty = FrequencyPenalty(data, model, self.regularization, self.unobserved_weight)
        weight = purchase_weight(data, self.half_life_days, self.quantity_alpha)
        loss = partial(weighted_squares, unobserved_weight=self.unobserved_weight)
        columns = user_columns(model, data.columns)
        return UserObjective(data, loss, self.batch_size, seed, weight, penalty, columns)
