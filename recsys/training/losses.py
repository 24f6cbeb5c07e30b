"""Losses of recommenders. Axes: B rows, N negatives a row, I items, P positives of the B users.

Pairwise losses read scores (B, 1 + N) with the positive in column 0; `full_softmax` reads the scores of the catalogue.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional


def bce(scores: Tensor) -> Tensor:
    """Binary cross-entropy: the positive is labelled 1, each negative 0; mean over all (B, 1 + N) pairs.

    Source: He et al., Neural Collaborative Filtering, WWW 2017, equation 7.
    """
    # softplus(x) - x is -log sigmoid(x)
    return (functional.softplus(scores).sum() - scores[:, 0].sum()) / scores.numel()


def bpr(scores: Tensor) -> Tensor:
    """Bayesian personalised ranking: -log sigmoid(positive - negative), mean over all (B, N) comparisons.

    Source: Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009.
    """
    return functional.softplus(scores[:, 1:] - scores[:, :1]).mean()


def sampled_softmax(scores: Tensor) -> Tensor:
    """Cross-entropy of the positive among itself and its uniform negatives, mean over B.

    Source: Jean et al., On Using Very Large Target Vocabulary for Neural Machine Translation, ACL 2015; with uniform
    negatives the correction is the same for all and cancels.
    """
    return (scores.logsumexp(dim=1) - scores[:, 0]).mean()


def full_softmax(scores: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """Multinomial log-likelihood of all purchases of a user, a mean over the P purchases.

    Source: Liang et al., Variational Autoencoders for Collaborative Filtering, WWW 2018, section 2.2.

    Args:
        scores: (B, I).
        row, item: the positives, (P,) each.
    """
    normaliser = scores.logsumexp(dim=1)  # (B,)
    return (normaliser[row] - scores[row, item]).mean()


PAIR_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {"bce": bce, "bpr": bpr, "sampled_softmax": sampled_softmax}
USER_LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"full_softmax": full_softmax}

