"""Softmax over each purchase and its sampled negatives.

Axes: B rows of a batch, N negatives a row.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.models.recommender import Recommender
from recsys.ranges import Count, Positive
from recsys.training.objectives.pairs import PairLoss, PairObjective
from recsys.training.objectives.weights import weighted_mean


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
class SampledSoftmax(PairLoss):
    """Settings of `sampled_softmax`, beside those of `PairLoss`.

    Attributes:
        temperature: scores are divided by it.
        log_q: whether negatives are corrected for their sampling probability.
    """

    num_negatives: Count = 64
    temperature: Positive = 1.0
    log_q: bool = False

    name: ClassVar[str] = "sampled_softmax"
    score_loss = staticmethod(sampled_softmax)

    def objective(self, model: Recommender, data: Interactions, *, seed: int) -> PairObjective:
        """See `recsys.training.objective.Loss`."""
        plain = super().objective(model, data, seed=seed)
        return replace(plain, temperature=self.temperature, log_q=self.log_q)
