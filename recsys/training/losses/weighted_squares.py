"""Weighted squared error over all pairs of users and items.

Axes: B users, I items, P purchases of the B users.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from recsys.ranges import Count, NonNegative
from recsys.training.objectives.users import UserLoss
from recsys.training.objectives.weights import weighted_mean


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
class WeightedSquares(UserLoss):
    """Settings of `weighted_squares`: those of `UserLoss`, where `unobserved_weight` is also that
    of the loss; a pair with a purchase weighs 1 more.
    """

    batch_size: Count = 512
    regularization: NonNegative = 0.007

    name: ClassVar[str] = "weighted_squares"

    def score_loss(
        self, scores: Tensor, row: Tensor, item: Tensor, weight: Tensor | None
    ) -> Tensor:
        """`weighted_squares` with the unobserved weight."""
        assert self.unobserved_weight is not None  # decided with the objective
        return weighted_squares(scores, row, item, weight, unobserved_weight=self.unobserved_weight)
