"""Multi-layer perceptron on a user and an item. Axes: B users, C candidates, I items, H units of a
layer.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from recsys.models.inputs import USER, Query
from recsys.ranges import BelowOne, Positive, Width, Widths

# Floats of a layer's output, a thread, that stay in a core's cache while the next layer reads them.
_TILE_FLOATS = 2**17
# The same where the outputs of layers are kept for the gradients.
_FITTED_FLOATS = 2**19


class PairTower(nn.Module):
    """ReLU layers on the concatenation [p_u; q_i], without ever concatenating.

    W[p; q] = W_u p + W_i q: each part is computed once a user and once an item, and broadcasting
    adds them. The bias goes with the user's part.

    Args:
        num_users, num_items: size of the vocabularies.
        embedding_dim: width of p and of q.
        hidden_dims: units of each layer; the last is the width of the output.
        dropout: of each layer's output; over the catalogue of the same units for all items.
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
        self.widest = max(hidden_dims)
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
        user_part, item_weight = self._user_part(user), self._item_weight()
        if items is None:
            first = user_part.unsqueeze(1) + self.item.weight @ item_weight.T
            return self._layers(first, self._lose_units)
        if items.numel() < 2 * self.item.num_embeddings:
            item_part = self.item(items) @ item_weight.T  # (B, C, H)
        else:
            # many more pairs than items: transform the catalogue once, then look up
            item_part = nn.functional.embedding(
                items, self.item.weight @ item_weight.T
            )  # (B, C, H)
        # in place, here and below: nobody else needs what a layer had before
        return self._layers(item_part.add_(user_part.unsqueeze(1)), self.dropout)

    def logits(self, user: Tensor, output: nn.Linear) -> Tensor:
        """`output` of `forward` over the catalogue, (B,) -> (B, I), without gradients or dropout, a
        few pairs at a time: a whole block would pass through main memory between any two layers.

        What a layer adds is the same for all pairs of a user, and relu(x + b) = max(x, -b) + b: so
        b goes on to the next layer by itself, a row a user, and a pair is touched once a layer.
        """
        item_part = self.item.weight @ self._item_weight().T  # (I, H)
        added = [self._user_part(user)]
        for layer in self.layers:
            added.append(layer(added[-1]))  # (B, H of the layer)
        scores = output(added[-1]).repeat(1, len(item_part))
        first, *least = (-rows.unsqueeze(1) for rows in added)  # (B, 1, H of the layer)
        weights = [layer.get_parameter("weight").T for layer in self.layers]
        last = output.weight.squeeze(0)
        pairs = max(1, torch.get_num_threads() * _TILE_FLOATS // self.widest)
        for users, items in tiles(len(user), len(item_part), pairs):
            hidden = torch.maximum(item_part[items], first[users])  # (b, i, H of the layer)
            for weight, rows in zip(weights, least, strict=True):
                hidden = hidden @ weight
                torch.maximum(hidden, rows[users], out=hidden)
            scores[users, items].view(-1).addmv_(hidden.flatten(0, 1), last)
        return scores

    def fitted_logits(self, user: Tensor, output: nn.Linear) -> Tensor:
        """`output` of `forward` over the catalogue, (B,) -> (B, I), with gradients and dropout, a
        few users at a time. The items stand last, so that every operation runs through long rows:
        units are few.
        """
        item_part = self._item_weight() @ self.item.weight.T  # (H, I)
        users = max(1, _FITTED_FLOATS // (self.widest * item_part.shape[1]))
        scores = []
        for user_part in self._user_part(user).split(users):
            hidden = user_part.unsqueeze(2) + item_part  # (b, H, I)
            for layer in (*self.layers, output):
                weight = layer.get_parameter("weight")
                # a unit that is dropped is a column of the next weights
                weight = weight * self.dropout(torch.ones_like(hidden[:, :, 0])).unsqueeze(1)
                bias = layer.get_parameter("bias").unsqueeze(1)
                hidden = torch.baddbmm(bias, weight, hidden.relu_())
            scores.append(hidden.squeeze(1))
        return torch.cat(scores)

    def _user_part(self, user: Tensor) -> Tensor:
        """(B,) -> (B, H of the first layer)."""
        weight = self.first.weight[:, : self.user.embedding_dim]
        return nn.functional.linear(self.user(user), weight, self.first.bias)

    def _item_weight(self) -> Tensor:
        """(H of the first layer, D)."""
        return self.first.weight[:, self.user.embedding_dim :]

    def _layers(self, hidden: Tensor, dropout: Callable[[Tensor], Tensor]) -> Tensor:
        """What the first layer made (B, C, H), before it is rectified -> (B, C, H of the last)."""
        hidden = dropout(hidden.relu_())
        for layer in self.layers:
            hidden = dropout(layer(hidden).relu_())
        return hidden

    def _lose_units(self, hidden: Tensor) -> Tensor:
        """Dropout of the same units for all items of a user: random bits for every pair of a user
        and an item would cost more than all else together.
        """
        if not self.training or self.dropout.p == 0:
            return hidden
        return hidden * self.dropout(torch.ones_like(hidden[:, :1]))


def tiles(num_users: int, num_items: int, pairs: int) -> Iterator[tuple[slice, slice]]:
    """Users and items of equal tiles of at most so many pairs: several users only with all items,
    and all users before the next items, so that these stay in the cache.
    """
    width = -(-num_items // -(-num_items // pairs))
    height = max(1, pairs // width)
    for left in range(0, num_items, width):
        for top in range(0, num_users, height):
            yield slice(top, top + height), slice(left, left + width)


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

    inputs = (USER,)

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: Width = 32,
        hidden_dims: Widths = (32, 16),
        dropout: BelowOne = 0.0,
        init_std: Positive = 0.01,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.tower = PairTower(num_users, num_items, embedding_dim, hidden_dims, dropout, init_std)
        self.output = nn.Linear(hidden_dims[-1], 1)
        self.floats_per_pair = 2 * max(hidden_dims)

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> logits (B, C)."""
        return self.output(self.tower(query.user, items)).squeeze(2)

    def squared_norms(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """Of the embeddings of users (B,) -> (B,), and of every item (I,)."""
        users, items = self.tower.user(user), self.tower.item.weight
        return users.square().sum(dim=1), items.square().sum(dim=1)

    def score_all(self, query: Query) -> Tensor:
        """-> logits (B, I)."""
        # a loop does not export, and saves nothing without a cache to fit into
        if torch.compiler.is_exporting() or not query.user.is_cpu:
            return self.output(self.tower(query.user, None)).squeeze(2)
        if self.training or torch.is_grad_enabled():
            return self.tower.fitted_logits(query.user, self.output)
        with torch.autocast("cpu", enabled=False):
            return self.tower.logits(query.user, self.output)
