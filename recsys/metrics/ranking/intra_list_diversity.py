"""Diversity within a list. Axes: B users, P pairs of an item shown and a term."""

import torch
from torch import Tensor

from recsys.metrics.ranking.lists import Lists
from recsys.metrics.registry import metric


@metric(
    "diversity",
    family="lists",
    title="Diversity",
    direction=None,
    meaning="How unlike the items of a list are: 0 where all have the same attributes, 1 where no"
    " two share one.",
    order=10,
)
def intra_list_diversity(lists: Lists, k: int) -> Tensor:
    """Mean of 1 - cosine over the pairs of items of a list, float64 (B,), where an item is the set
    of its categories and tags, which have equal weight. An item without any is unlike all others. A
    list of fewer than two items is NaN, and so are all where nothing is known of items.

    Source: Ziegler et al., Improving Recommendation Lists Through Topic Diversification, WWW 2005;
    the sum over pairs is |sum of unit vectors|² less the length of each.
    """
    shown = lists.shown[:, :k]
    if lists.indptr is None or lists.term is None:
        return torch.full((len(shown),), torch.nan, dtype=torch.float64, device=shown.device)
    num_items = len(lists.indptr) - 2
    item, row = shown.reshape(-1), torch.arange(len(shown), device=shown.device)
    row = row.repeat_interleave(shown.shape[1])
    length = lists.indptr[item + 1] - lists.indptr[item]
    end = length.cumsum(0)
    place = torch.arange(int(length.sum()), device=shown.device)
    place = place + (lists.indptr[item] - (end - length)).repeat_interleave(length)  # (P,)
    size = int(lists.term.max()) + 1 if len(lists.term) else 1
    key, inverse = torch.unique(
        row.repeat_interleave(length) * size + lists.term[place], return_inverse=True
    )
    part = length.double().clamp(min=1).rsqrt().repeat_interleave(length)
    sums = torch.zeros(len(key), dtype=torch.float64, device=shown.device)
    sums = sums.index_add(0, inverse, part)
    square = torch.zeros(len(shown), dtype=torch.float64, device=shown.device)
    square = square.index_add(0, key // size, sums**2)
    described = (length > 0).reshape(shown.shape).sum(dim=1)
    number = (shown < num_items).sum(dim=1)
    pairs = number * (number - 1)
    alike = (square - described) / pairs.clamp(min=1)
    return torch.where(pairs > 0, 1 - alike, torch.nan)
