"""Losses of recommenders. Axes: B rows, N negatives a row, I items, P positives of the B users.

Pairwise losses read scores (B, 1 + N) with the positive in column 0; those of users read the scores
of the catalogue. All take the weight of each positive, (B,) or (P,), or None where all weigh
the same, and return a weighted mean. What changes scores or weights beforehand stands behind them.
"""

import math
from collections.abc import Callable

import torch
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
    """Cross-entropy of the positive among itself and its negatives, mean over B.

    Source: Jean et al., On Using Very Large Target Vocabulary for Neural Machine Translation, ACL
    2015; it comes close to the softmax over the catalogue where `log_q_correction` went before.
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


def full_bce(scores: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """Binary cross-entropy over the whole catalogue: purchases (P,) are labelled 1, everything else
    0; the sum over all (B, I) pairs for each of the P purchases, 0 where there are none.

    Source: that of `bce`, without sampling.
    """
    # softplus(x) - x is -log sigmoid(x)
    return (functional.softplus(scores).sum() - scores[row, item].sum()) / max(1, len(item))


def weighted_squares(
    scores: Tensor,
    row: Tensor,
    item: Tensor,
    weight: Tensor | None = None,
    *,
    unobserved_weight: float,
) -> Tensor:
    """Squared distance of purchases from 1, and with `unobserved_weight` of all pairs from 0; a sum
    over the (B, I) pairs, a purchase.

    Source: Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM
    2008, in the form of Rendle et al., Revisiting the Performance of iALS on Item Recommendation
    Benchmarks, RecSys 2022, equation 1; here by gradient instead of in closed form.

    Args:
        scores, row, item, weight: see `full_softmax`.
        unobserved_weight: of every pair.
    """
    purchases = len(item) if weight is None else weight.sum()
    everywhere = unobserved_weight * scores.square().sum() / purchases
    return _mean((scores[row, item] - 1).square(), weight) + everywhere


def frequency_scale(count: Tensor, others: int, unobserved_weight: float) -> Tensor:
    """What the L2 penalty of each row of factors is multiplied by, so that it keeps pace with what
    the row is fitted to: its `count` of positives (R,) and all `others` on the other side, each of
    which weighs `unobserved_weight`.

    Source: Rendle et al., Revisiting the Performance of iALS on Item Recommendation Benchmarks,
    RecSys 2022, section 3.2, with the exponent 1.
    """
    return count + unobserved_weight * others


def tempered(scores: Tensor, temperature: float) -> Tensor:
    """Scores of any shape / temperature: below 1, the negatives that score highest count for more.

    Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, section 2;
    of recommenders: Yi et al., RecSys 2019, section 3.
    """
    return scores / temperature


def log_q_correction(scores: Tensor, log_q: Tensor) -> Tensor:
    """Scores (B, 1 + N) whose N negatives stand for all items that could have been drawn: each
    score less log(N q), so that the sum of exp over them has the expectation of the sum over those
    items.

    The positive was not drawn and stays as it is.

    Args:
        scores: (B, 1 + N).
        log_q: logarithm of the probability of each negative in one draw, (B, N).

    Returns:
        (B, 1 + N). Source: Bengio and Senécal, Adaptive Importance Sampling to Accelerate Training
        of a Neural Probabilistic Language Model, IEEE TNN 2008, section III; for recommenders: Yi
        et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations,
        RecSys 2019, whose positives are drawn too and therefore corrected.
    """
    corrected = scores[:, 1:] - log_q - math.log(log_q.shape[1])
    return torch.cat([scores[:, :1], corrected], dim=1)


def quantity_weight(quantity: Tensor, alpha: float) -> Tensor:
    """Weight of positives of which `quantity` (P,) units were bought: 1 + alpha log(1 + quantity).

    Source: Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM
    2008, equation 6 with epsilon 1.
    """
    return 1 + alpha * quantity.log1p()


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
USER_LOSSES: dict[str, Callable[..., Tensor]] = {
    "full_softmax": full_softmax,
    "weighted_squares": weighted_squares,
}
