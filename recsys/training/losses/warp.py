"""Weighted approximate-rank pairwise loss.

Axes: B users, I items, P purchases of the B users, N negatives a purchase.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from recsys.ranges import Count, Positive
from recsys.training.objectives.users import UserLoss
from recsys.training.objectives.weights import weighted_mean


def warp(
    scores: Tensor, row: Tensor, item: Tensor, negatives: Tensor, margin: float = 1.0
) -> Tensor:
    """Hinge of each purchase against the negatives that come within the margin of it, times the
    logarithm of the rank that their share tells: log(1 + rank) × mean hinge of those.

    The source draws negatives until one violates the margin, and estimates the rank by how many it
    took; here the share of violations in N draws tells it, without a loop. Gradients do not pass
    through the rank.

    Source: Weston, Bengio and Usunier, WSABIE: Scaling Up to Large Vocabulary Image Annotation,
    IJCAI 2011.

    Args:
        scores: (B, I).
        row, item: the purchases, (P,) each.
        negatives: items drawn for each purchase, (P, N); those that the user bought do not count.
        margin: by which a purchase has to score higher.

    Returns:
        A loss for each purchase, (P,).
    """
    bought = torch.zeros_like(scores, dtype=torch.bool)
    bought[row, item] = True
    rows = row.unsqueeze(1)
    hinge = functional.relu(margin - scores[row, item].unsqueeze(1) + scores[rows, negatives])
    hinge = hinge.masked_fill(bought[rows, negatives], 0.0)  # (P, N)
    violated = (hinge > 0).sum(dim=1)
    rank = violated / negatives.shape[1] * (scores.shape[1] - 1)
    return torch.log1p(rank) * hinge.sum(dim=1) / violated.clamp(min=1)


@dataclass(frozen=True)
class WARP(UserLoss):
    """Settings of `warp`, beside those of `UserLoss`.

    Attributes:
        num_negatives: drawn for each purchase, uniformly.
        margin: by which a purchase has to score higher.
    """

    num_negatives: Count = 64
    margin: Positive = 1.0

    name: ClassVar[str] = "warp"

    def score_loss(
        self, scores: Tensor, row: Tensor, item: Tensor, weight: Tensor | None
    ) -> Tensor:
        """`warp`, mean over the purchases, against items drawn anew."""
        size = len(item), self.num_negatives
        negatives = torch.randint(scores.shape[1], size, device=scores.device)
        return weighted_mean(warp(scores, row, item, negatives, self.margin), weight)
