"""Softmax over the whole catalogue, for users with all their purchases.

Axes: B users, I items, P purchases of the B users.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.errors import ConfigError
from recsys.models.recommender import HasSquaredNorms, Recommender
from recsys.ranges import Positive
from recsys.training.objectives.scores import tempered
from recsys.training.objectives.users import UserLoss, UserObjective
from recsys.training.objectives.weights import weighted_mean


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
class FullSoftmax(UserLoss):
    """Settings of `full_softmax`, beside those of `UserLoss`.

    Attributes:
        temperature: scores are divided by it.
    """

    temperature: Positive = 1.0

    name: ClassVar[str] = "full_softmax"

    def require_fits(self, model: type) -> None:
        """See `recsys.training.objective.ChecksModel`."""
        super().require_fits(model)
        is_penalised = self.regularization != 0 and issubclass(model, HasSquaredNorms)
        if self.unobserved_weight is not None and not is_penalised:
            raise ConfigError(
                f"loss.unobserved_weight={self.unobserved_weight:g} has no effect without a penalty"
                " of factors: leave it out, or set loss.regularization for a model that has some"
            )

    def objective(self, model: Recommender, data: Interactions, *, seed: int) -> UserObjective:
        """See `recsys.training.objective.Loss`."""
        objective = super().objective(model, data, seed=seed)
        return objective if objective.penalty is not None else replace(objective, found={})

    def score_loss(
        self, scores: Tensor, row: Tensor, item: Tensor, weight: Tensor | None
    ) -> Tensor:
        """`full_softmax` at the temperature."""
        return full_softmax(tempered(scores, self.temperature), row, item, weight)
