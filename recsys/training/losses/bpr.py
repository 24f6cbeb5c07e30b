"""Bayesian personalised ranking.

Axes: B rows of a batch, N negatives a row.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from recsys.ranges import Count
from recsys.training.objectives.pairs import PairLoss
from recsys.training.objectives.weights import weighted_mean


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
class BPR(PairLoss):
    """Settings of `bpr`: those of `PairLoss`."""

    num_negatives: Count = 1

    name: ClassVar[str] = "bpr"
    score_loss = staticmethod(bpr)
