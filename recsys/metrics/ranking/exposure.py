"""How often items are shown, and which are bought most.

Axes: I items.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Exposure(NamedTuple):
    """What the recommendation lists of all users show.

    Attributes:
        lists: number of lists that contain each item, int64 (I,).
        buyers: distinct buyers of each item in the fitted part, int64 (I,).
        num_users: users of the fitted part.
        bought: mean over the users with a list of the mean buyers of what they bought before; NaN
            where it is not known.
        discounted: as `lists`, but a list counts 1 / log2(rank + 1), float64 (I,); None where
            nobody asks.
        group: supplier, brand or category of each item, int64 (I,); None where nobody asks.
    """

    lists: Tensor
    buyers: Tensor
    num_users: int
    bought: float = float("nan")
    discounted: Tensor | None = None
    group: Tensor | None = None


def head_items(buyers: Tensor) -> Tensor:
    """True for the most bought items, which together make up 80 % of all customer-item pairs; the
    others are the tail. int64 (I,) -> bool (I,); equally bought items: the lower index first.

    Source: Abdollahpouri, Burke and Mobasher, Controlling Popularity Bias in Learning-to-Rank
    Recommendation, RecSys 2017.
    """
    bought, item = buyers.sort(descending=True, stable=True)
    before = bought.cumsum(0) - bought
    head = torch.zeros_like(buyers, dtype=torch.bool)
    head[item] = 10 * before < 8 * buyers.sum()
    return head
