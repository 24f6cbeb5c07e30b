"""What this user buys most often. Axes: B users, C candidates, I items, L length of a history."""

import torch
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.models.inputs import HISTORY, HISTORY_AGE, Query
from recsys.models.recommender import Reasons
from recsys.ranges import Positive

# Ten half-lives: an older purchase still counts more than none.
_LEAST = 2.0**-10


class PersonalTopFrequency(nn.Module):
    """Personal top frequency (P-TopFreq): scores an item by how often it stands in the user's
    history; among equals the more popular item goes first.

    The unit is days with a purchase (purchases, where the data has no timestamps). The hardest
    baseline there is where people buy the same things again.

    Source: Hu et al., Modeling Personalized Item Frequency Information for Next-basket
    Recommendation, SIGIR 2020; of the half-life: Ding and Li, Time Weight Collaborative Filtering,
    CIKM 2005.

    Args:
        num_users, num_items: size of the vocabularies.
        half_life_days: a purchase counts half as much for every so many days that it is old; None:
            all count the same.
    """

    tie_break: Tensor
    floats_per_pair = 1
    reasons_kind = "exact"
    floats_per_reason = (1, 3)

    def __init__(
        self, num_users: int, num_items: int, half_life_days: Positive | None = None
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.half_life_days = half_life_days
        self.inputs = (HISTORY,) if half_life_days is None else (HISTORY, HISTORY_AGE)
        self.register_buffer("tie_break", torch.zeros(num_items))

    def fit(self, interactions: Interactions) -> None:
        """Ranks the items by buyers, as a fraction of the least purchase there is: items bought by
        equally many share it.
        """
        _, level = interactions.buyers.unique(return_inverse=True)
        self.tie_break.copy_(level / (level.max() + 1))
        if self.half_life_days is not None:
            self.tie_break *= _LEAST

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C), in purchases."""
        return self.score_all(query).gather(1, items)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I), in purchases."""
        padded = self.tie_break.new_zeros(query.user.shape[0], self.num_items + 1)
        counts = padded.scatter_add(1, query.history, self._weight(query))
        return counts[:, : self.num_items] + self.tie_break

    def reasons(self, query: Query, items: Tensor) -> Reasons:
        """What each purchase of the item itself counts; the rest breaks ties."""
        same = query.history.unsqueeze(1) == items.unsqueeze(2)  # (B, C, L)
        return Reasons(same * self._weight(query).unsqueeze(1), self.tie_break[items])

    def _weight(self, query: Query) -> Tensor:
        """What each purchase counts, (B, L)."""
        if self.half_life_days is None:
            return torch.ones_like(query.history, dtype=self.tie_break.dtype)
        return (0.5 ** (query.days() / self.half_life_days)).clamp(min=_LEAST)
