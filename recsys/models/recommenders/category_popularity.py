"""Popularity within the categories that a user buys. Axes: B users, C candidates, I items, K
categories, L length of a history.
"""

import torch
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.errors import ConfigError
from recsys.models.inputs import HISTORY, InputVocabulary, ModelInput, Query, item_terms

# A column whose categories hold fewer items on average says too little of a new item.
_ITEMS_OF_A_CATEGORY = 10


class CategoryPopularity(nn.Module):
    """score(u, i) = share of the items of u's history that are in the category of i × buyers of i;
    an item that nobody bought counts as many as one of its category does on average.

    The plain baseline for items that are new. An item without a category scores 0.

    Args:
        num_users, num_items: size of the vocabularies.
        num_categories: terms of the items' columns.
        column: of the items' table, a category; None: the one with the most categories among those
            that have ten items a category on average, or else the one with the fewest.

    Raises:
        ConfigError: the data has no such column.
    """

    category: Tensor
    buyers: Tensor
    inputs = (HISTORY,)
    floats_per_pair = 3

    def __init__(
        self,
        num_users: int,
        num_items: int,
        num_categories: InputVocabulary,
        column: str | None = None,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self._column = item_terms(column or _chosen(num_categories, num_items))
        self.num_categories = num_categories[self._column.name]
        self.register_buffer("category", torch.full((num_items,), self.num_categories))
        self.register_buffer("buyers", torch.zeros(num_items))

    def item_inputs(self) -> tuple[ModelInput, ...]:
        """Its column."""
        return (self._column,)

    def fit(self, interactions: Interactions) -> None:
        """Counts buyers."""
        if interactions.columns is None:
            raise ConfigError(
                "these interactions come without columns: build them with index_phase"
            )
        terms = interactions.columns.of_items(self._column.source)
        some = terms.lengths() > 0
        self.category[some] = terms.values[terms.indptr[:-1][some]]  # of several the first
        buyers = interactions.buyers.float()
        fitted = (buyers > 0) & some
        size = self.num_categories + 1
        total = torch.bincount(self.category[fitted], buyers[fitted], minlength=size)
        mean = total / torch.bincount(self.category[fitted], minlength=size).clamp(min=1)
        self.buyers = torch.where(buyers > 0, buyers, mean.float()[self.category])

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return self.score_all(query).gather(1, items)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I)."""
        history = query.history
        pad = torch.full_like(self.category[:1], self.num_categories)
        bought = torch.cat([self.category, pad])[history]  # (B, L)
        known = (history < self.num_items).to(self.buyers.dtype)
        counts = torch.zeros(
            history.shape[0], self.num_categories + 1, device=history.device
        ).scatter_add(1, bought, known)  # (B, K + 1)
        share = counts / known.sum(dim=1, keepdim=True).clamp(min=1)
        share = torch.cat([share[:, :-1], torch.zeros_like(share[:, :1])], dim=1)
        return share[:, self.category] * self.buyers


def _chosen(num_categories: InputVocabulary, num_items: int) -> str:
    """See `column`."""
    sizes = {
        name: num_categories[item_terms(name).name] for name in num_categories.category_columns()
    }
    if not sizes:
        raise ConfigError(
            "model=category_popularity reads a category of items, and the data has none: set"
            " data.items.path to a table with one, or choose model=popularity"
        )
    coarse = {name: k for name, k in sizes.items() if k * _ITEMS_OF_A_CATEGORY <= num_items}
    if not coarse:
        return min(sizes, key=sizes.__getitem__)
    return max(coarse, key=coarse.__getitem__)
