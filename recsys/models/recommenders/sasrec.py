"""Self-attention over the sequence of purchases.

Axes: B users, C candidates, I items, L length of a history, M places that are read, D factors, H
heads.
"""

import torch
from torch import Tensor, nn

from recsys.errors import ConfigError
from recsys.models.inputs import HISTORY, Query
from recsys.models.recommender import Reasons
from recsys.models.recommenders.bag_of_items import shared
from recsys.models.recommenders.dot_products import dot_products
from recsys.ranges import BelowOne, Depth, Positive, Width


class SASRec(nn.Module):
    """score(u, i) = s_u · e_i, s_u being the state of a causal transformer at the latest purchase.

    It reads the latest M purchases of a history; users are known by that alone, so one whom
    training never saw is served as any other.

    Source: Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018, section III, with
    one table of items for reading and scoring; places are counted from the latest purchase back, so
    that a history means the same however it is padded, and layers normalise their input (Xiong et
    al., On Layer Normalization in the Transformer Architecture, ICML 2020).

    Args:
        num_users, num_items: size of the vocabularies.
        embedding_dim: D, a multiple of `num_heads`.
        max_length: M.
        num_layers: blocks of attention and feed-forward layers.
        num_heads: H.
        dropout: share of the states that are zeroed in training.
        init_std: standard deviation of the initial factors.
    """

    inputs = (HISTORY,)
    supported_losses = ("next_item",)
    floats_per_pair = 1
    reasons_kind = "leave_one_out"

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: Width = 64,
        max_length: Width = 50,
        num_layers: Depth = 2,
        num_heads: Width = 1,
        dropout: BelowOne = 0.5,
        init_std: Positive = 0.05,
    ) -> None:
        super().__init__()
        if embedding_dim % num_heads:
            raise ConfigError(
                f"model.embedding_dim={embedding_dim} is not a multiple of"
                f" model.num_heads={num_heads}: change one of them"
            )
        self.num_users, self.num_items = num_users, num_items
        self.max_length = max_length
        self.floats_per_reason = (1, 8 * max_length * embedding_dim)
        self.item = nn.Embedding(num_items + 1, embedding_dim, padding_idx=num_items)
        self.place = nn.Parameter(torch.empty(max_length, embedding_dim))
        self.blocks = nn.ModuleList(
            _Block(embedding_dim, num_heads, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(embedding_dim)
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            for table in (self.item.weight[:num_items], self.place):
                table.normal_(std=init_std)

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> logits (B, C)."""
        return dot_products(self._user(query), self.item(items))

    def score_all(self, query: Query) -> Tensor:
        """-> logits (B, I)."""
        return self.score(self._user(query))

    def score(self, states: Tensor) -> Tensor:
        """Logits of the item that comes next after states (…, D) -> (…, I)."""
        return states @ self.item.weight[: self.num_items].T

    def score_some(self, states: Tensor, items: Tensor) -> Tensor:
        """Logits of `items`, (C,) or (P, C), after states (P, D) -> (P, C)."""
        if items.ndim == 1:
            return states @ self.item(items).T
        return dot_products(states, self.item(items))

    def states(self, recent: Tensor) -> Tensor:
        """What is known after each purchase in `recent` (B, M), padded with I on the left -> (B, M,
        D).
        """
        real = recent < self.num_items  # (B, M)
        length = recent.shape[1]
        # scaled as in Vaswani et al. 2017: places must not outweigh items
        state = self.item(recent) * self.item.embedding_dim**0.5 + self.place[-length:]
        state = self.dropout(state) * real.unsqueeze(2)
        place = torch.arange(length, device=recent.device)
        earlier = place.unsqueeze(1) >= place  # (M, M)
        # padding reads itself, so that no row of the attention is empty
        itself = place.unsqueeze(1) == place
        visible = (earlier & real.unsqueeze(1)) | itself  # (B, M, M)
        for block in self.blocks:
            state = block(state, visible)
        return self.norm(state)

    def reasons(self, query: Query, items: Tensor) -> Reasons:
        """What the score loses when an item is taken out of the M latest purchases, everywhere it
        stands and nothing older in its place; the rest is what remains.

        Source: Robnik-Šikonja and Kononenko, Explaining Classifications for Individual Instances,
        TKDE 2008.
        """
        column = _columns(query.history, self.max_length, self.num_items)  # (B, L)
        recent = latest(query.history, self.max_length, self.num_items)  # (B, M)
        same = recent.unsqueeze(2) == recent.unsqueeze(1)  # (B, M, M)
        without = recent.unsqueeze(1).masked_fill(same, self.num_items).flatten(0, 1)
        without = latest(without, self.max_length, self.num_items)  # closes the gaps
        states = self.states(without)[:, -1].view(*recent.shape, -1)  # (B, M, D)
        factors = self.item(items)  # (B, C, D)
        score = dot_products(self.states(recent)[:, -1], factors)
        lost = shared(
            score.unsqueeze(2) - factors @ states.transpose(1, 2), recent, self.num_items
        )  # (B, C, M)
        places = column.unsqueeze(1).expand(-1, items.shape[1], -1)
        purchases = nn.functional.pad(lost, (0, 1)).gather(2, places)  # (B, C, L)
        return Reasons(purchases, score - lost.sum(dim=2))

    def _user(self, query: Query) -> Tensor:
        """The state after the latest purchase of every user, (B, D)."""
        return self.states(latest(query.history, self.max_length, self.num_items))[:, -1]


class _Block(nn.Module):
    """Attention to earlier places, then a feed-forward layer, each beside what came in."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.attention_dropout = num_heads, dropout
        self.attention_norm, self.layer_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.read = nn.Linear(dim, 3 * dim)
        self.write = nn.Linear(dim, dim)
        self.layers = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(dim, dim)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, state: Tensor, visible: Tensor) -> Tensor:
        """(B, M, D), True where a place may read another (B, M, M) -> (B, M, D)."""
        batch, length, dim = state.shape
        heads = (batch, length, 3, self.num_heads, dim // self.num_heads)
        read = self.read(self.attention_norm(state)).view(heads).permute(2, 0, 3, 1, 4)
        query, key, value = read.unbind(0)  # (B, H, M, D / H)
        found = nn.functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=visible.unsqueeze(1),
            dropout_p=self.attention_dropout if self.training else 0.0,
        )
        found = found.transpose(1, 2).reshape(batch, length, dim)  # (B, M, D)
        state = state + self.dropout(self.write(found))
        return state + self.dropout(self.layers(self.layer_norm(state)))


def latest(history: Tensor, length: int, pad: int) -> Tensor:
    """The latest items of histories (B, L), wherever their padding stands -> (B, length), `pad` on
    the left.
    """
    column = _columns(history, length, pad)
    # what is padding or too old lands in one more column, which is cut off
    table = torch.full((history.shape[0], length + 1), pad, device=history.device)
    return table.scatter(1, column, history)[:, :length]


def _columns(history: Tensor, length: int, pad: int) -> Tensor:
    """The place of each purchase (B, L) among the latest; `length` for padding and older ones."""
    real = history < pad
    from_end = real.sum(dim=1, keepdim=True) - real.cumsum(dim=1)  # (B, L): 0 is the latest
    return torch.where(real & (from_end < length), length - 1 - from_end, length)
