"""What this user buys most often. Axes: B users, C candidates, I items, L length of a history."""

import torch
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.models.recommender import Query


class PersonalFrequency(nn.Module):
    """Scores an item by how often it stands in the user's history; the more popular item goes first
    among equals.

    The unit is days with a purchase (purchases, where the data has no timestamps). The hardest
    baseline there is where people buy the same things again.
    """

    tie_break: Tensor
    reads_history = True
    floats_per_pair = 1

    def __init__(self, num_users: int, num_items: int) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.register_buffer("tie_break", torch.zeros(num_items))

    def fit(self, interactions: Interactions) -> None:
        """Ranks the items by buyers, as a fraction of one purchase: items bought by equally many
        share it.
        """
        _, level = interactions.buyers.unique(return_inverse=True)
        self.tie_break.copy_(level / (level.max() + 1))

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C), in purchases."""
        return self.score_all(query).gather(1, items)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I), in purchases."""
        padded = self.tie_break.new_zeros(len(query.user), self.num_items + 1)
        counts = padded.scatter_add(
            1, query.history, torch.ones_like(query.history, dtype=padded.dtype)
        )
        return counts[:, : self.num_items] + self.tie_break
