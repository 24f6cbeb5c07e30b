"""Softmax over the whole catalogue, for users with all their purchases.

Axes: B users, I items, P purchases of the B users.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.models.inputs import user_columns
from recsys.models.recommender import Recommender
from recsys.ranges import Count, NonNegative, Positive
from recsys.training.objectives.scores import tempered
from recsys.training.objectives.users import FrequencyPenalty, UserObjective
from recsys.training.objectives.weights import purchase_weight, weighted_mean


def full_softmax(scores: Tensor, row: Tensor, item: Tensor, weight: Tensor | None = None) -> Tensor:
    """Multinomial log-likelihood of all purchases of a user, a mean over the P purchases.

    Source: Liang et al., Variational Autoencoders for Collaborative Filtering, WWW 2018, section
    2.2.

    Args:
        scores: (B, I).
        row, item: the purchases, (P,) each.
        weight: of the purchases, (P,); None: all weigh the same.
    """
    normaliser = scores.logsumexp(dim=1)  # (B,)
    return weighted_mean(normaliser[row] - scores[row, item], weight)


@dataclass(frozen=True)
class FullSoftmax:
    """Settings of `full_softmax`.

    Attributes:
        batch_size: users of a batch, each with all purchases.
        half_life_days: a purchase weighs half as much for every so many days since it was last
            made; None: all weigh the same.
        temperature: scores are divided by it.
        quantity_alpha: a purchase weighs 1 + quantity_alpha log(1 + units bought).
        regularization: L2 penalty of factors, see `FrequencyPenalty`.
        unobserved_weight: of a pair without a purchase, in that penalty.
    """

    batch_size: Count = 256
    half_life_days: Positive | None = None
    temperature: Positive = 1.0
    quantity_alpha: NonNegative = 0.0
    regularization: NonNegative = 0.0
    unobserved_weight: NonNegative = 0.3

    name: ClassVar[str] = "full_softmax"
    trains: ClassVar[type] = Recommender

    def objective(self, model: Recommender, data: Interactions, *, seed: int) -> UserObjective:
        """See `recsys.training.objective.Loss`."""
        penalty = None
        if self.regularization:
            penalty = FrequencyPenalty(data, model, self.regularization, self.unobserved_weight)
        weight = purchase_weight(data, self.half_life_days, self.quantity_alpha)
        columns = user_columns(model, data.columns)
        return UserObjective(data, self.score_loss, self.batch_size, seed, weight, penalty, columns)

    def score_loss(
        self, scores: Tensor, row: Tensor, item: Tensor, weight: Tensor | None
    ) -> Tensor:
        """`full_softmax` at the temperature."""
        return full_softmax(tempered(scores, self.temperature), row, item, weight)
