"""Binary cross-entropy of purchases and sampled negatives.

Axes: B rows of a batch, N negatives a row.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from recsys.training.objectives.pairs import PairLoss
from recsys.training.objectives.weights import weighted_mean


def bce(scores: Tensor, weight: Tensor | None = None) -> Tensor:
    """Binary cross-entropy: the positive is labelled 1, each negative 0; mean over all (B, 1 + N)
    pairs.

    Source: He et al., Neural Collaborative Filtering, WWW 2017, equation 7.

    Args:
        scores: logits with the positive in column 0, (B, 1 + N).
        weight: of the rows, (B,); None: all weigh the same.
    """
    # softplus(x) - x is -log sigmoid(x)
    if weight is None:
        return (functional.softplus(scores).sum() - scores[:, 0].sum()) / scores.numel()
    rows = functional.softplus(scores).sum(dim=1) - scores[:, 0]  # (B,)
    return weighted_mean(rows, weight) / scores.shape[1]


@dataclass(frozen=True)
class BCE(PairLoss):
    """Settings of `bce`: those of `PairLoss`."""

    name: ClassVar[str] = "bce"
    score_loss = staticmethod(bce)
