"""How each item sells on a given day. Axes: I items, N events, P pairs of a user and an item, T
time scales, F features.
"""

import torch
from torch import Tensor

from recsys.data.interactions import Interactions

# Days after which a purchase counts 1/e: of the week, the month, the season, the year, and forever.
TIME_SCALES = (4.0, 14.0, 45.0, 150.0, float("inf"))
NUM_TRENDS = len(TIME_SCALES) + 3
_RECENT_DAYS = 28
# Buyers' worth of the average item that a rate of few buyers is mixed with.
_PRIOR_BUYERS = 5


def fading_counts(age: Tensor, scales: Tensor) -> Tensor:
    """What a purchase of `age` (N,) days counts on each time scale (T,): exp(-age / scale) (N, T).

    Source: Ding and Li, Time Weight Collaborative Filtering, CIKM 2005, equation 5.
    """
    return torch.exp(-age.unsqueeze(1) / scales)


def item_trends(interactions: Interactions, today: int) -> Tensor:
    """Features of every item from the purchases before `today` alone, float32 (I, F), each with a
    mean of 0.

    In logarithms: purchases on each time scale; buyers who came back for it in the last 28 days,
    among all who had bought it before, and among as many as their frequencies let expect; the
    share of its buyers who are recent.

    Args:
        interactions: with days.
        today: day since 1970.
    """
    assert interactions.day is not None
    items = interactions.num_items
    user = torch.repeat_interleave(
        torch.arange(interactions.num_users), interactions.history.lengths()
    )
    past = interactions.day < today
    item, user = interactions.history.values[past], user[past]
    age = (today - 1 - interactions.day[past]).float()  # (N,)
    fading = fading_counts(age, torch.tensor(TIME_SCALES))
    sold = torch.zeros(items, len(TIME_SCALES)).index_add_(0, item, fading)  # (I, T)
    pairs, pair = torch.unique(user * items + item, return_inverse=True)  # (P,), (N,)
    of_item = pairs % items
    frequency = torch.zeros(len(pairs)).index_add_(0, pair, fading[:, -2])
    last = torch.full((len(pairs),), torch.inf).scatter_reduce_(0, pair, age, "amin")
    first = torch.zeros(len(pairs)).scatter_reduce_(0, pair, age, "amax")
    recent, earlier = last < _RECENT_DAYS, first >= _RECENT_DAYS

    def buyers(pairs_that: Tensor) -> Tensor:
        return torch.bincount(of_item[pairs_that], minlength=items).float()

    again, before = buyers(earlier & recent), buyers(earlier)
    likely = frequency / (frequency + 3)  # a few purchases a season come back within the month
    expected = torch.zeros(items).index_add_(0, of_item[earlier], likely[earlier])
    prior = _PRIOR_BUYERS * again.sum() / before.sum().clamp(min=1)
    again = torch.log(again + prior + 1e-6)
    trends = [
        again - torch.log(before + _PRIOR_BUYERS),
        again - torch.log(expected + prior + 1e-6),
        torch.log1p(buyers(recent)) - torch.log1p(buyers(torch.ones_like(recent))),
    ]
    features = torch.cat([torch.log1p(sold), torch.stack(trends, dim=1)], dim=1)  # (I, F)
    return features - features.mean(dim=0)
