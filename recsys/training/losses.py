"""Losses of recommenders. Axes: B rows, N negatives a row, I items, P positives of the B users.

Pairwise losses read scores (B, 1 + N) with the positive in column 0; `full_softmax` reads the
scores of the catalogue. All take the weight of each positive, (B,) or (P,), or None where all weigh
the same, and return a weighted mean.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional


def bce(scores: Tensor, weight: Tensor | None = None) -> Tensor:
    """Binary cross-entropy: the positive is labelled 1, each negative 0; mean over all (B, 1 + N)
    pairs.

    Source: He et al., Neural Collaborative Filtering, WWW 2017, equation 7.
    """
    # softplus(x) - x is -log sigmoid(x)
    if weight is None:
        return (functional.softplus(scores).sum() - scores[:, 0].sum()) / scores.numel()
    return _mean(functional.softplus(scores).sum(dim=1) - scores[:, 0], weight) / scores.shape[1]


def bpr(scores: Tensor, weight: Tensor | None = None) -> Tensor:
    """Bayesian personalised ranking: -log sigmoid(positive - negative), mean over all (B, N)
    comparisons.

    Source: Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009.
    """
    return _mean(functional.softplus(scores[:, 1:] - scores[:, :1]).mean(dim=1), weight)


def sampled_softmax(scores: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of the positive among itself and its uniform negatives, mean over B.

    Source: Jean et al., On Using Very Large Target Vocabulary for Neural Machine Translation, ACL
    2015; with uniform negatives the correction is the same for all and cancels.
    """
    return _mean(scores.logsumexp(dim=1) - scores[:, 0], weight)


def full_softmax(scores: Tensor, row: Tensor, item: Tensor, weight: Tensor | None = None) -> Tensor:
    """Multinomial log-likelihood of all purchases of a user, a mean over the P purchases.

    Source: Liang et al., Variational Autoencoders for Collaborative Filtering, WWW 2018, section
    2.2.

    Args:
        scores: (B, I).
        row, item: the positives, (P,) each.
        weight: of the positives, (P,).
    """
    normaliser = scores.logsumexp(dim=1)  # (B,)
    return _mean(normaliser[row] - scores[row, item], weight)


def recency_weight(days_since: Tensor, half_life_days: float) -> Tensor:
    """Weight of a positive whose last purchase lies `days_since` days back: it halves every
    `half_life_days`.

    Source: Ding and Li, Time Weight Collaborative Filtering, CIKM 2005.
    """
    return 0.5 ** (days_since / half_life_days)


def _mean(losses: Tensor, weight: Tensor | None) -> Tensor:
    return losses.mean() if weight is None else (losses * weight).sum() / weight.sum()


PAIR_LOSSES: dict[str, Callable[..., Tensor]] = {
    "bce": bce,
    "bpr": bpr,
    "sampled_softmax": sampled_softmax,
}
USER_LOSSES: dict[str, Callable[..., Tensor]] = {"full_softmax": full_softmax}
