"""Serendipity of a list."""

import torch
from torch import Tensor

from recsys.metrics.ranking.lists import Lists
from recsys.metrics.registry import metric


@metric(
    "serendipity",
    family="lists",
    title="Serendipity",
    direction="max",
    meaning="Share of the places of a list that hold an item that was bought and that a list of the"
    " most bought items would not have shown.",
    order=20,
)
def serendipity(lists: Lists, k: int) -> Tensor:
    """Hits at the first k places that are not among the k most bought items of the fitted part, as
    a share of k, float64 (B,); NaN without truth. Useful and unexpected, where expected is what the
    primitive recommender of most bought items shows.

    Source: Ge, Delgado-Battenfeld and Jannach, Beyond Accuracy: Evaluating Recommender Systems by
    Coverage and Serendipity, RecSys 2010, section 3.2.
    """
    unexpected = lists.popularity_rank[lists.shown[:, :k]] >= k
    share = (lists.hits[:, :k] & unexpected).sum(dim=1).double() / k
    return torch.where(lists.num_truth > 0, share, torch.nan)
