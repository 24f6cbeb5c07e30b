"""Exposure of suppliers, brands or categories against what is bought of them."""

import torch
from torch import Tensor

from recsys.metrics.ranking.exposure import Exposure
from recsys.metrics.registry import metric


@metric(
    "exposure_gap",
    family="catalogue",
    title="Exposure gap",
    direction="min",
    meaning="How far what lists show of each supplier (evaluation.exposure_column) is from what"
    " customers bought of each: 0 the same shares, 1 nothing of what was bought.",
    order=50,
)
def exposure_gap(exposure: Exposure) -> float:
    """Half the L1 distance of two distributions over groups of items: the exposure of each, where a
    place weighs 1 / log2(rank + 1), and its share of the customer-item pairs of the fitted part;
    NaN where items have no groups, nothing was shown or nothing was bought. Items of which the
    group is not known are a group of their own.

    Source: disparity of exposure and merit, with the discount of DCG as exposure: Singh and
    Joachims, Fairness of Exposure in Rankings, KDD 2018; amortized over many lists: Biega, Gummadi
    and Weikum, Equity of Attention, SIGIR 2018.
    """
    if exposure.group is None or exposure.discounted is None:
        return float("nan")
    shares = group_shares(exposure.group, exposure.buyers, exposure.discounted)
    return float((shares[0] - shares[1]).abs().sum() / 2)


def group_shares(group: Tensor, buyers: Tensor, discounted: Tensor) -> Tensor:
    """Share of each group in purchases and in exposure, float64 (2, G); NaN where there are none.

    Args:
        group: of every item, from 0, int64 (I,).
        buyers: distinct buyers of every item (I,).
        discounted: exposure of every item, summed over lists (I,).
    """
    sums = torch.stack([torch.bincount(group, each.double()) for each in (buyers, discounted)])
    return sums / sums.sum(dim=1, keepdim=True)
