"""Changes to scores before a softmax."""

import math

import torch
from torch import Tensor


def tempered(scores: Tensor, temperature: float) -> Tensor:
    """Scores of any shape / temperature: below 1, the negatives that score highest count for more.

    Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, section 2;
    for recommenders: Yi et al., RecSys 2019, section 3.
    """
    return scores if temperature == 1 else scores / temperature


def log_q_correction(scores: Tensor, log_q: Tensor) -> Tensor:
    """Corrects sampled negatives for their sampling probability: each of the N scores less
    log(N q), so that the sum of their exponentials has the expectation of the sum over all items
    that could have been drawn.

    The positive was not sampled and stays as it is.

    Args:
        scores: (B, 1 + N).
        log_q: logarithm of the probability of each negative in one draw, (B, N).

    Returns:
        (B, 1 + N). Source: Bengio and Senécal, Adaptive Importance Sampling to Accelerate Training
        of a Neural Probabilistic Language Model, IEEE TNN 2008, section III; for recommenders: Yi
        et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations,
        RecSys 2019, whose positives are sampled too and therefore corrected.
    """
    corrected = scores[:, 1:] - log_q - math.log(log_q.shape[1])
    return torch.cat([scores[:, :1], corrected], dim=1)
