"""Generalised matrix factorisation. Axes: B users, C candidates, I items, D factors."""

import torch
from torch import Tensor, nn

from recsys.models.inputs import USER, Query
from recsys.models.recommenders.dot_products import dot_products
from recsys.ranges import BelowOne, Positive, Width


class GMF(nn.Module):
    """logit(u, i) = h · (p_u ⊙ q_i) + b.

    Source: He et al., Neural Collaborative Filtering, WWW 2017, section 3.2.

    Args:
        num_users, num_items: size of the vocabularies.
        embedding_dim: D, the paper's predictive factors.
        dropout: share of each user vector's factors that are zeroed in training.
        init_std: standard deviation of the initial factors.
        output_init: where every weight of h starts; None: at random. From 1, training starts as
            matrix factorisation (the source, section 3.2).
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
        output_init: float | None = 1.0,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.user = nn.Embedding(num_users, embedding_dim)
        self.item = nn.Embedding(num_items, embedding_dim)
        self.output = nn.Linear(embedding_dim, 1)
        self.dropout = nn.Dropout(dropout)
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=init_std)
        if output_init is not None:
            nn.init.constant_(self.output.weight, output_init)

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> logits (B, C)."""
        return dot_products(self._weighted(query), self.item(items)) + self.output.bias

    def squared_norms(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """Of the factors of users (B,) -> (B,), and of every item (I,), with √|h| in each: what h
        takes over from the factors is not spared.
        """
        weight = self.output.weight[0].abs()  # (D,)
        return self.user(user).square() @ weight, self.item.weight.square() @ weight

    def score_all(self, query: Query) -> Tensor:
        """-> logits (B, I)."""
        return torch.addmm(self.output.bias, self._weighted(query), self.item.weight.T)

    def _weighted(self, query: Query) -> Tensor:
        # h · (p ⊙ q) = (h ⊙ p) · q: a matrix product over the catalogue
        return self.dropout(self.user(query.user)) * self.output.weight  # (B, D)
