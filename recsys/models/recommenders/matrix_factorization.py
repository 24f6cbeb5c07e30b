"""Matrix factorisation. Axes: B users, C candidates, I items, D factors."""

import torch
from torch import Tensor, nn

from recsys.models.inputs import USER, Query
from recsys.models.recommenders.dot_products import dot_products
from recsys.ranges import BelowOne, Positive, Width


class MatrixFactorization(nn.Module):
    """score(u, i) = p_u · q_i + b_i.

    Source: Koren, Bell and Volinsky, Matrix Factorization Techniques for Recommender Systems, 2009,
    without user bias and mean, which do not change a user's order.

    Args:
        num_users, num_items: size of the vocabularies.
        embedding_dim: D.
        dropout: share of each user vector's factors that are zeroed in training.
        init_std: standard deviation of the initial factors.
        bias: whether items have b; without, b is 0.
    """

    inputs = (USER,)
    floats_per_pair = 1

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: Width = 64,
        dropout: BelowOne = 0.4,
        init_std: Positive = 0.1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.user = nn.Embedding(num_users, embedding_dim)
        self.item = nn.Embedding(num_items, embedding_dim)
        self.item_bias = nn.Parameter(torch.zeros(num_items), requires_grad=bias)
        self.dropout = nn.Dropout(dropout)
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=init_std)

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        user = self.dropout(self.user(query.user))  # (B, D)
        return dot_products(user, self.item(items)) + self.item_bias[items]

    def squared_norms(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """Of the factors of users (B,) -> (B,), and of every item (I,)."""
        return self.user(user).square().sum(dim=1), self.item.weight.square().sum(dim=1)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I)."""
        user = self.dropout(self.user(query.user))  # (B, D)
        return torch.addmm(self.item_bias, user, self.item.weight.T)
