"""What most users buy. Axes: B users, C candidates, I items."""

import torch
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.models.inputs import ModelInput, Query


class Popularity(nn.Module):
    """Scores an item by its number of buyers, the same for every user."""

    buyers: Tensor
    inputs: tuple[ModelInput, ...] = ()
    floats_per_pair = 1

    def __init__(self, num_users: int, num_items: int) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.register_buffer("buyers", torch.zeros(num_items))

    def fit(self, interactions: Interactions) -> None:
        """Counts distinct buyers."""
        self.buyers.copy_(interactions.buyers)

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C), in buyers."""
        return self.buyers[items]

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I), in buyers."""
        return self.buyers.expand(query.user.shape[0], -1)
