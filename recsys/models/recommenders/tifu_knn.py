"""TIFU-kNN. Axes: B users, C candidates, I items, L length of a history, V fitted users, K
neighbours, P pairs of a fitted user and an item bought.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recsys.data.integer_keys import run_starts
from recsys.data.interactions import Interactions
from recsys.errors import ConfigError
from recsys.models.buffers import make_room
from recsys.models.inputs import HISTORY, HISTORY_AGE, Query
from recsys.models.recommenders.weighted_sums import weighted_sums
from recsys.ranges import Count, Share

_OF_DATA = ("user", "item", "weight", "squared_norm", "bound")
_NEVER = 1e9  # days


class TIFUKNN(nn.Module):
    """score(u, i) = α p_u(i) + (1 - α) mean over the K nearest fitted users v of p_v(i), where p is
    the personalised item frequency: how often an item stands in the baskets of a user, baskets
    counting less the older they are, in two steps.

        p_u = 1/m Σ_g group_decay^(groups after g) · 1/|g| Σ_{basket in g}
              within_decay^(baskets after it in g) · (1 for its items, else 0)

    The baskets of a user are cut into m groups in the order of time; where the number does not
    divide, later groups are one basket longer, and of fewer than m baskets each is a group. A
    basket is what was bought on one day: purchases of equal age. Nearest is by Euclidean distance
    of p, ties to the lower user; a fitted user who is served is a neighbour of his own.

    The p of all fitted users are part of the model, and so of its bundle, without their ids.

    Source: Hu et al., Modeling Personalized Item Frequency Information for Next-basket
    Recommendation, SIGIR 2020; the default settings are those of the paper for Ta-Feng.

    Args:
        num_users, num_items: size of the vocabularies.
        num_neighbours: K.
        num_groups: m.
        within_decay, group_decay: what one more basket, one more group counts.
        alpha: α; 1: the own purchases alone.
    """

    user: Tensor
    item: Tensor
    weight: Tensor
    squared_norm: Tensor
    bound: Tensor
    by_item: Tensor
    inputs = (HISTORY, HISTORY_AGE)
    keeps_purchases = True

    def __init__(
        self,
        num_users: int,
        num_items: int,
        num_neighbours: Count = 300,
        num_groups: Count = 7,
        within_decay: Share = 0.9,
        group_decay: Share = 0.7,
        alpha: Share = 0.7,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.num_neighbours, self.num_groups = num_neighbours, num_groups
        self.within_decay, self.group_decay = within_decay, group_decay
        self.alpha = alpha
        self.register_buffer("user", torch.zeros(0, dtype=torch.int64))  # ascending
        self.register_buffer("item", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("weight", torch.zeros(0))
        self.register_buffer("squared_norm", torch.zeros(0, dtype=torch.float64))  # (V,)
        self.register_buffer("bound", torch.ones((), dtype=torch.float64))
        self.register_buffer("by_item", torch.zeros(0, dtype=torch.int64), persistent=False)

    @property
    def floats_per_pair(self) -> int:
        """Frequencies of items and distances of users, in double precision."""
        return 10 + 10 * len(self.squared_norm) // max(1, self.num_items)

    @property
    def graph_floats_per_pair(self) -> int:
        """Of a graph, which multiplies all pairs for each user of a block."""
        return self.floats_per_pair + 6 * len(self.item) // max(1, self.num_items)

    def fit(self, interactions: Interactions) -> None:
        """Takes the item frequencies of every user.

        Raises:
            ConfigError: the purchases have no days.
        """
        if interactions.day is None:
            raise ConfigError(
                "model=tifu_knn tells baskets apart by their days, and the data has no timestamps;"
                " set data.columns.timestamp, or choose another model"
            )
        history, num_users = interactions.history, interactions.num_users
        user = torch.repeat_interleave(torch.arange(num_users), history.lengths())
        _, fitted = user.unique_consecutive(return_inverse=True)  # without those who bought nothing
        counts = self._counts(*_baskets(user, interactions.day))
        pair = fitted * self.num_items + history.values
        pairs, place = pair.unique(return_inverse=True)
        summed = torch.zeros(len(pairs), dtype=torch.float64).scatter_add(0, place, counts)
        self.user, self.item = pairs // self.num_items, pairs % self.num_items
        self.weight = summed.float()
        exact = self.weight.double()
        size = int(fitted[-1]) + 1
        norms = torch.zeros(2, size, dtype=torch.float64)
        norms = norms.scatter_add(1, self.user.expand(2, -1), torch.stack([exact, exact**2]))
        self.squared_norm = norms[1]
        self.bound = 2 * norms[0].max() + norms[1].max()
        self._sort_by_item()

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return self.score_all(query).gather(1, items)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I)."""
        own = self._frequency(query)  # (B, I)
        if self.alpha == 1:
            return own.float()
        near = self._nearest(own)  # (B, K)
        share = self.weight.new_zeros(near.shape[0], len(self.squared_norm))
        share = share.scatter(1, near, torch.full_like(near, 1, dtype=torch.float32))  # (B, V)
        if torch.compiler.is_exporting():
            # no graph has sparse matrices
            summed = share.new_zeros(share.shape[0], self.num_items).scatter_add(
                1, self.item.expand(share.shape[0], -1), share[:, self.user] * self.weight
            )
        else:
            order = self.by_item
            summed = weighted_sums(
                self.item[order], self.user[order], self.weight[order], share.T, self.num_items
            ).T
        return (self.alpha * own + (1 - self.alpha) / near.shape[1] * summed).float()

    def _frequency(self, query: Query) -> Tensor:
        """Of the histories p, float64 (B, I): a runtime that rounds otherwise must not choose other
        neighbours.
        """
        padding = query.history == self.num_items
        age, order = query.days().masked_fill(padding, _NEVER).sort(dim=1)  # latest first
        one_before = (torch.arange(age.shape[1], device=age.device) - 1).clamp(min=0)
        older = (age != age[:, one_before]).long()  # 1 where another basket begins
        rank = torch.zeros_like(order).scatter(1, order, older.cumsum(dim=1))  # (B, L)
        real = (age < _NEVER).long()
        baskets = (older * real).sum(dim=1, keepdim=True) + real.sum(dim=1, keepdim=True).clamp(
            max=1
        )  # (B, 1)
        counts = self._counts(rank, baskets)
        padded = counts.new_zeros(rank.shape[0], self.num_items + 1)
        return padded.scatter_add(1, query.history, counts)[:, : self.num_items]

    def _counts(self, rank: Tensor, baskets: Tensor) -> Tensor:
        """What an item counts in the basket that `rank` others of `baskets` follow, float64."""
        short = baskets // self.num_groups  # length of the earlier groups
        num_long = baskets - short * self.num_groups  # the later ones have one basket more
        in_long = short + 1
        before = rank - num_long * in_long  # negative in the later groups
        is_long = before < 0
        size = torch.where(is_long, in_long, short.clamp(min=1))
        rest = torch.where(is_long, rank, before)
        groups = rest // size
        within = rest - groups * size
        after = torch.where(is_long, groups, groups + num_long)
        decay = self.within_decay ** within.double() * self.group_decay ** after.double()
        return decay / (size * baskets.clamp(min=1, max=self.num_groups))

    def _nearest(self, own: Tensor) -> Tensor:
        """The K fitted users at the least distance from p (B, I), ties to the lower, (B, K)."""
        size = len(self.squared_norm)
        if torch.compiler.is_exporting():
            products = own[:, self.item] * self.weight.double()  # (B, P)
            common = own.new_zeros(own.shape[0], size).scatter_add(
                1, self.user.expand(own.shape[0], -1), products
            )
        else:
            common = weighted_sums(self.user, self.item, self.weight.double(), own.T, size).T
        # ‖p_u - p_v‖² = ‖p_u‖² - closeness
        closeness = (2 * common - self.squared_norm).clamp(min=-self.bound, max=self.bound)
        # distance, then user, in one integer of 63 bits: topk breaks ties arbitrarily
        steps = 2.0 ** min(40, 61 - size.bit_length())
        grid = (closeness * (steps / self.bound)).round().long()
        last_first = torch.arange(size - 1, -1, -1, device=own.device)
        return (grid * size + last_first).topk(min(self.num_neighbours, size)).indices

    def _sort_by_item(self) -> None:
        self.by_item = torch.argsort(self.item, stable=True)

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Tensor], prefix: str, *args: Any
    ) -> None:
        make_room(self, _OF_DATA, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._sort_by_item()


def _baskets(user: Tensor, day: Tensor) -> tuple[Tensor, Tensor]:
    """Of every event, in order of user and time: how many baskets of its user follow its own, and
    how many there are; int64 (N,) each.
    """
    span = int(day.max() - day.min()) + 1
    starts = run_starts((user * span + day - day.min()).numpy())
    basket_of_event = torch.from_numpy(
        np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(user)]))
    )
    _, owner, baskets = user[starts].unique_consecutive(return_inverse=True, return_counts=True)
    after = baskets.cumsum(0)[owner] - 1 - torch.arange(len(starts))
    return after[basket_of_event], baskets[owner][basket_of_event]
