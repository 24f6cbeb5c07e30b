"""Neighbours by what items are. Axes: B users, C candidates, I items, K neighbours, L length of a
history.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.data.interactions import Interactions
from recsys.models.buffers import make_room
from recsys.models.inputs import HISTORY, InputVocabulary, ModelInput, Query
from recsys.models.item_tower import ItemTower, NewItems
from recsys.models.recommender import Reasons
from recsys.models.recommenders.bag_of_items import bag_of_items, shared
from recsys.models.recommenders.content import Content
from recsys.ranges import Count, Power


class ContentKNN(nn.Module):
    """score(u, i) = Σ_k s_ik [u bought k] over the `num_neighbours` fitted items k that the terms
    of i are most like, where the shares s are cosines that add up to 1: how much of what is like an
    item the user has bought.

    `Content` asks what is like the user, this what is like the item: one of a kind of which there
    are few needs fewer purchases to be recommended. The vectors of terms are those of `Content`. An
    item without a term in common with a fitted one scores 0.

    Source: Lops, de Gemmis and Semeraro, Content-based Recommender Systems, Recommender Systems
    Handbook 2011, section 3.3.2 (nearest neighbours).

    Args:
        num_users, num_items: size of the vocabularies.
        num_categories: terms of the items' columns.
        columns, references, idf_power, ngrams: of `Content`.
        num_neighbours: K.

    Raises:
        ConfigError: the data has no such columns.
    """

    alike: Tensor
    share: Tensor
    is_fitted: Tensor
    inputs = (HISTORY,)
    reasons_kind = "exact"

    def __init__(
        self,
        num_users: int,
        num_items: int,
        num_categories: InputVocabulary,
        columns: Sequence[str] | None = None,
        references: Sequence[str] = (),
        idf_power: Power = 2.0,
        ngrams: Sequence[str] = (),
        num_neighbours: Count = 50,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items, self.num_neighbours = num_users, num_items, num_neighbours
        size = num_users, num_items
        self.content = Content(*size, num_categories, columns, references, idf_power, ngrams)
        self.register_buffer("alike", torch.zeros(num_items, 0, dtype=torch.int64))
        self.register_buffer("share", torch.zeros(num_items, 0))
        self.register_buffer("is_fitted", torch.zeros(num_items, dtype=torch.bool))

    @property
    def floats_per_pair(self) -> int:
        """Bags, and scores of either order."""
        return 4

    @property
    def graph_floats_per_pair(self) -> int:
        """Whether each neighbour was bought, for every pair."""
        return 2 + 2 * self.num_neighbours

    @property
    def floats_per_reason(self) -> tuple[int, int]:
        """All items for a candidate, one number for each pair of it and a purchase."""
        return 1 + self.num_items, 2

    def item_inputs(self) -> tuple[ModelInput, ...]:
        """Terms of its columns."""
        return self.content.item_inputs()

    def fit(self, interactions: Interactions) -> None:
        """Finds the neighbours."""
        self.content.fit(interactions)
        self.is_fitted = interactions.buyers > 0
        profiles = self.content.profiles()
        self.alike, self.share = profiles.nearest(self.is_fitted, self.num_neighbours)

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return self.score_all(query).gather(1, items)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I)."""
        bag = bag_of_items(query.history, self.num_items)
        if torch.compiler.is_exporting():  # no graph has sparse matrices
            bought = bag[:, self.alike.reshape(-1)].reshape(bag.shape[0], self.num_items, -1)
            return (bought * self.share).sum(dim=2)
        return functional.embedding_bag(
            self.alike, bag.T.contiguous(), per_sample_weights=self.share, mode="sum"
        ).T

    def serves(self, query: Query) -> Tensor:
        """Whether anything was bought that can be a neighbour, (B,): items that came after the fit,
        or that nobody had bought then, are recommended and are no neighbours.
        """
        counts = functional.pad(self.is_fitted, (0, 1))
        return counts[query.history].any(dim=1)

    def reasons(self, query: Query, items: Tensor) -> Reasons:
        """The share of each purchase in the item; the rest is 0."""
        batch, candidates = items.shape
        by_item = torch.zeros(batch, candidates, self.num_items + 1, device=items.device)
        by_item = by_item.scatter_add(2, self.alike[items], self.share[items])
        places = query.history.unsqueeze(1).expand(-1, candidates, -1)
        of_item = by_item.gather(2, places)  # (B, C, L)
        rest = torch.zeros_like(by_item[:, :, 0])
        return Reasons(shared(of_item, query.history, self.num_items), rest)

    def item_towers(self) -> tuple[ItemTower, ...]:
        """New items by their neighbours."""
        return (self.content.tower(self._new_rows, self.is_fitted, self.num_neighbours),)

    def _new_rows(self, new: NewItems) -> dict[str, Tensor]:
        nobody = torch.zeros_like(new.share[:, 0], dtype=torch.bool)
        alike = torch.where(new.share > 0, new.alike, 0)
        return {"alike": alike, "share": new.share, "is_fitted": nobody}

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Tensor], prefix: str, *args: Any
    ) -> None:
        make_room(self, ("alike", "share"), state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)
