"""Multi-layer perceptron on a user and an item. Axes: B users, C candidates, I items, H units of a
layer.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recsys.models.recommender import Query


class PairTower(nn.Module):
    """ReLU layers on the concatenation [p_u; q_i], without ever concatenating.

    W[p; q] = W_u p + W_i q: each part is computed once a user and once an item, and broadcasting
    adds them. The bias goes with the user's part.

    Args:
        num_users, num_items: size of the vocabularies.
        embedding_dim: width of p and of q.
        hidden_dims: units of each layer; the last is the width of the output.
        dropout: of each layer's output.
        init_std: standard deviation of the initial embeddings.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: int,
        hidden_dims: Sequence[int],
        dropout: float,
        init_std: float,
    ) -> None:
        super().__init__()
        self.user = nn.Embedding(num_users, embedding_dim)
        self.item = nn.Embedding(num_items, embedding_dim)
        self.first = nn.Linear(2 * embedding_dim, hidden_dims[0])
        self.layers = nn.ModuleList(
            nn.Linear(width, next_width)
            for width, next_width in zip(hidden_dims, hidden_dims[1:], strict=False)
        )
        self.dropout = nn.Dropout(dropout)
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=init_std)
        for layer in (self.first, *self.layers):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, user: Tensor, items: Tensor | None) -> Tensor:
        """Users (B,) and candidates (B, C), or None for the catalogue -> (B, C or I, H of the last
        layer).
        """
        user_weight, item_weight = self.first.weight.chunk(2, dim=1)
        user_part = nn.functional.linear(self.user(user), user_weight, self.first.bias)  # (B, H)
        if items is None:
            item_part = self.item.weight @ item_weight.T  # (I, H)
        elif items.numel() < self.item.num_embeddings:
            item_part = self.item(items) @ item_weight.T  # (B, C, H)
        else:
            # more pairs than items: transform the catalogue once, then look up
            item_part = nn.functional.embedding(
                items, self.item.weight @ item_weight.T
            )  # (B, C, H)
        hidden = self.dropout(torch.relu(user_part.unsqueeze(1) + item_part))
        for layer in self.layers:
            hidden = self.dropout(torch.relu(layer(hidden)))
        return hidden


class MLP(nn.Module):
    """logit(u, i) = h · tower([p_u; q_i]) + b.

    Source: He et al., Neural Collaborative Filtering, WWW 2017, section 3.3.

    Args:
        num_users, num_items: size of the vocabularies.
        embedding_dim: width of the user's and of the item's embedding.
        hidden_dims: units of each layer.
        dropout: of each layer's output, in training.
        init_std: standard deviation of the initial embeddings.
    """

    reads_history = False

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: int = 32,
        hidden_dims: Sequence[int] = (32, 16),
        dropout: float = 0.0,
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.tower = PairTower(num_users, num_items, embedding_dim, hidden_dims, dropout, init_std)
        self.output = nn.Linear(hidden_dims[-1], 1)
        self.floats_per_pair = 2 * max(hidden_dims)

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> logits (B, C)."""
        return self.output(self.tower(query.user, items)).squeeze(2)

    def squared_lengths(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """Of the embeddings of users (B,) -> (B,), and of every item (I,)."""
        users, items = self.tower.user(user), self.tower.item.weight
        return users.square().sum(dim=1), items.square().sum(dim=1)

    def score_all(self, query: Query) -> Tensor:
        """-> logits (B, I)."""
        return self.output(self.tower(query.user, None)).squeeze(2)
