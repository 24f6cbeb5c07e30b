"""iALS that knows items nobody bought by what they are like. Axes: B users, C candidates, I items,
N items that nobody bought, W fitted items, D factors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.models.inputs import InputVocabulary, ModelInput, Query
from recsys.models.item_tower import ItemTower, NewItems
from recsys.models.recommender import Reasons
from recsys.models.recommenders.content import Content
from recsys.models.recommenders.ials import IALS
from recsys.models.recommenders.neighbours import nearest_rows
from recsys.ranges import Count, Positive, Power, Width


class ContentIALS(nn.Module):
    """score(u, i) = w_u · h_i of `IALS`; an item that nobody bought has the mean factors of the
    `num_neighbours` fitted items that its terms are most like, weighted by the cosine.

    The vectors of terms are those of `Content`. An item without a term in common with a fitted
    one scores 0.

    Source: Gantner et al., Learning Attribute-to-Feature Mappings for Cold-Start Recommendations,
    ICDM 2010, section IV-A.

    Args:
        num_users, num_items: size of the vocabularies.
        num_categories: terms of the items' columns.
        embedding_dim, epochs, regularization, unobserved_weight: of `IALS`.
        columns, references, idf_power, ngrams: of `Content`.
        num_neighbours: fitted items that stand for one that nobody bought.

    Raises:
        ConfigError: the data has no such columns.
    """

    is_fitted: Tensor
    inputs = IALS.inputs
    reasons_kind = "exact"
    floats_per_pair = IALS.floats_per_pair

    def __init__(
        self,
        num_users: int,
        num_items: int,
        num_categories: InputVocabulary,
        embedding_dim: Width = 128,
        epochs: Count = 4,
        regularization: Positive | None = None,
        unobserved_weight: Positive | None = None,
        columns: Sequence[str] | None = None,
        references: Sequence[str] = (),
        idf_power: Power = 2.0,
        num_neighbours: Count = 10,
        ngrams: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.num_neighbours = num_neighbours
        self.content = Content(
            num_users, num_items, num_categories, columns, references, idf_power, ngrams
        )
        self.register_buffer("is_fitted", torch.zeros(num_items, dtype=torch.bool))
        self.factors = IALS(
            num_users, num_items, embedding_dim, epochs, regularization, unobserved_weight
        )

    @property
    def floats_per_reason(self) -> tuple[int, int]:
        """Those of `IALS`."""
        return self.factors.floats_per_reason

    def item_inputs(self) -> tuple[ModelInput, ...]:
        """Terms of its columns."""
        return self.content.item_inputs()

    def chosen(self) -> Mapping[str, float]:
        """See `IALS.chosen`."""
        return self.factors.chosen()

    @torch.no_grad()
    def fit(self, interactions: Interactions) -> None:
        """Fits the factors, and gives their own to the items that nobody bought."""
        self.factors.fit(interactions)
        self.content.fit(interactions)
        self.is_fitted.copy_(interactions.buyers > 0)
        new, fitted = (torch.nonzero(each).squeeze(1) for each in (~self.is_fitted, self.is_fitted))
        if not len(new):
            return
        vectors = self.content.profiles().matrix(self.num_items)
        alike = nearest_rows(
            vectors[new.numpy()], vectors[fitted.numpy()], min(self.num_neighbours, len(fitted))
        )  # (N, K)
        share = alike.similarity / alike.similarity.sum(dim=1, keepdim=True).clamp(min=1e-9)
        table = self.factors.item.weight
        table[new] = torch.einsum("nk,nkd->nd", share, table[fitted[alike.row]])

    def reasons(self, query: Query, items: Tensor) -> Reasons:
        """See `IALS.reasons`; items that came after the fit are no purchases to it."""
        history = query.history.clamp(max=self.factors.num_items)
        return self.factors.reasons(replace(query, history=history), items)

    def item_towers(self) -> tuple[ItemTower, ...]:
        """New items by the fitted ones that they are most like; none where it was fitted by a
        version that did not keep the terms.
        """
        if not len(self.content.rarity):
            return ()
        return (self.content.tower(self._new_rows, self.is_fitted, self.num_neighbours),)

    def _new_rows(self, new: NewItems) -> dict[str, Tensor]:
        factors = self.factors.item.weight[new.alike]  # (N, K, D)
        return {"factors.item.weight": (new.share.unsqueeze(2) * factors).sum(dim=1)}

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return self.factors(query, items)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I)."""
        return self.factors.score_all(query)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Earlier versions kept no terms."""
        state_dict.setdefault(f"{prefix}is_fitted", self.is_fitted)
        for name, empty in self.content.state_dict().items():
            state_dict.setdefault(f"{prefix}content.{name}", empty)
        super()._load_from_state_dict(state_dict, prefix, *args)
