"""Content-based recommendation. Axes: B users, C candidates, I items, L length of a history,
F terms, P pairs of an item and a term, T most terms of an item.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.models.buffers import make_room
from recsys.models.inputs import HISTORY, InputVocabulary, ModelInput, Query
from recsys.models.item_tower import ItemTower, NewItems, Postings
from recsys.models.recommender import Reasons
from recsys.models.recommenders.bag_of_items import bag_of_items, repeats, shared
from recsys.models.recommenders.item_profiles import ItemProfiles, item_profiles, profile_inputs
from recsys.models.recommenders.weighted_sums import weighted_sums
from recsys.ranges import Power

_OF_DATA = ("item", "term", "weight", "rarity")


class Content(nn.Module):
    """score(u, i) = mean over j∈history of x_jᵀx_i, where x are the terms of an item, weighted by
    how rare they are and of length 1: what is like what the user bought, sold before or not.

    The weight of a term is log(I / items that have it) to the power `idf_power`. Terms that no
    fitted item has do not count, as nobody who is served can have bought them.

    Source: Lops, de Gemmis and Semeraro, Content-based Recommender Systems, Recommender Systems
    Handbook 2011, section 3.3.1: the profile of a user is the mean of TF-IDF vectors.

    Args:
        num_users, num_items: size of the vocabularies.
        num_categories: terms of the items' columns.
        columns: of the items' table; None: all that have terms, which numbers have only where they
            are named: by ten equally frequent ranges.
        references: those of them that name other items by their ids, such as citations or sets; an
            item stands among its own references, so that what names it is like it.
        idf_power: 1: TF-IDF; higher: rare terms count more.
        ngrams: columns of text whose words are read by their characters too, three in a row, so
            that compounds and misspellings are like what they come from.

    Raises:
        ConfigError: the data has no such columns.
    """

    item: Tensor
    term: Tensor
    weight: Tensor
    terms: Tensor
    term_weights: Tensor
    rarity: Tensor
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
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.idf_power = idf_power
        self._item_inputs = profile_inputs(num_categories, columns, references, ngrams)
        self.sizes = tuple(num_categories[each.name] for each in self._item_inputs)
        self.num_terms = sum(self.sizes)
        self.register_buffer("item", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("term", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("weight", torch.zeros(0))
        self.register_buffer("rarity", torch.zeros(0))
        self.register_buffer("terms", torch.zeros(num_items, 0).long(), persistent=False)
        self.register_buffer("term_weights", torch.zeros(num_items, 0), persistent=False)

    @property
    def floats_per_pair(self) -> int:
        """Terms of a user and of an item, for each pair of the two."""
        return 2 + (self.num_terms + len(self.term)) // max(1, self.num_items)

    @property
    def floats_per_reason(self) -> tuple[int, int]:
        """All terms for a candidate, those of the purchase for each pair of the two."""
        return 1 + self.num_terms, 2 * self.terms.shape[1]

    def item_inputs(self) -> tuple[ModelInput, ...]:
        """Terms of its columns."""
        return self._item_inputs

    def fit(self, interactions: Interactions) -> None:
        """Weighs the terms of every item by how few of the fitted ones have them."""
        profiles = item_profiles(interactions, self._item_inputs, self.idf_power)
        self.item, self.term, self.weight = profiles.item, profiles.term, profiles.weight
        self.rarity = profiles.rarity
        self._spread()

    def profiles(self) -> ItemProfiles:
        """The terms of the items, as they were fitted."""
        return ItemProfiles(self.item, self.term, self.weight, self.rarity)

    def item_towers(self) -> tuple[ItemTower, ...]:
        """New items by their terms; none where it was fitted by a version that did not keep how
        rare terms are.
        """
        tower = self.tower(self.new_rows)
        return (replace(tower, pads={"terms": self.num_terms}),) if len(self.rarity) else ()

    def tower(
        self,
        rows: Callable[[NewItems], Mapping[str, Tensor]],
        fitted: Tensor | None = None,
        num_neighbours: int = 0,
    ) -> ItemTower:
        """The tower of a model that weighs terms as this one.

        Args:
            rows: see `ItemTower`.
            fitted: among which items neighbours are looked for, bool (I,); None: all.
            num_neighbours: see `ItemTower`.
        """
        postings = Postings(self.item, self.term, self.weight)
        if fitted is not None:
            postings = Postings(*(each[fitted[self.item]] for each in postings))
        return ItemTower(self._item_inputs, self.sizes, self.rarity, postings, num_neighbours, rows)

    def new_rows(self, new: NewItems) -> dict[str, Tensor]:
        """New items and their terms, as pairs and in rows."""
        pairs = torch.nonzero(new.weight)  # (P', 2)
        term, weight = (each[pairs[:, 0], pairs[:, 1]] for each in (new.term, new.weight))
        return {
            "item": pairs[:, 0] + new.first,
            "term": term,
            "weight": weight,
            "terms": new.term,
            "term_weights": new.weight,
        }

    def has_terms(self) -> Tensor:
        """Cosine of every item with itself: 1, or 0 where no term counts. float32 (I,)."""
        return torch.zeros(self.num_items, device=self.item.device).index_fill(0, self.item, 1.0)

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return self.score_all(query).gather(1, items)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I)."""
        bag = bag_of_items(query.history, self.num_items)  # (B, I)
        bag = bag / bag.sum(dim=1, keepdim=True).clamp(min=1)
        if torch.compiler.is_exporting():
            # no graph has sparse matrices, and ONNX Runtime adds index_add's ScatterND in parallel
            # without locks: sums come out wrong
            size = bag.shape[0]
            profile = bag.new_zeros(size, self.num_terms).scatter_add(
                1, self.term.expand(size, -1), bag[:, self.item] * self.weight
            )  # (B, F)
            of_item = profile[:, self.term] * self.weight  # (B, P)
            return torch.zeros_like(bag).scatter_add(1, self.item.expand(size, -1), of_item)
        by_term = torch.argsort(self.term, stable=True)
        profiles = weighted_sums(
            self.term[by_term], self.item[by_term], self.weight[by_term], bag.T, self.num_terms
        )
        return weighted_sums(self.item, self.term, self.weight, profiles, self.num_items).T

    def reasons(self, query: Query, items: Tensor) -> Reasons:
        """The likeness of each purchase over the number of items; the rest is 0."""
        history = query.history
        known = history.clamp(max=self.num_items - 1)
        batch, candidates = items.shape
        by_term = torch.zeros(batch, candidates, self.num_terms + 1, device=items.device)
        by_term = by_term.scatter(2, self.terms[items], self.term_weights[items])  # (B, C, F + 1)
        of_purchases = self.terms[known].reshape(batch, -1).unsqueeze(1).expand(-1, candidates, -1)
        both = by_term.gather(2, of_purchases).view(
            batch, candidates, history.shape[1], -1
        ) * self.term_weights[known].unsqueeze(1)  # (B, C, L, T)
        real = history < self.num_items
        distinct = (real / repeats(history, self.num_items)).sum(dim=1).round()  # (B,)
        of_item = both.sum(dim=3) / distinct.clamp(min=1).view(-1, 1, 1)
        return Reasons(shared(of_item, history, self.num_items), torch.zeros_like(by_term[:, :, 0]))

    def _spread(self) -> None:
        """The pairs as one row of terms an item, padded with term F, of weight 0."""
        lengths = torch.bincount(self.item, minlength=self.num_items)
        place = torch.arange(len(self.item), device=self.item.device)
        place = place - (lengths.cumsum(0) - lengths)[self.item]  # of the term among the item's
        size = (self.num_items, max(1, int(lengths.max())))
        self.terms = torch.full(size, self.num_terms, device=self.item.device)
        self.terms[self.item, place] = self.term
        self.term_weights = torch.zeros(size, device=self.item.device)
        self.term_weights[self.item, place] = self.weight

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        # earlier versions kept no rarity
        state_dict.setdefault(f"{prefix}rarity", torch.zeros(0))
        make_room(self, _OF_DATA, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._spread()
