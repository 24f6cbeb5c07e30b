"""iALS that knows items nobody bought by what they are like. Axes: B users, C candidates, I items,
N items that nobody bought, W fitted items, D factors.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.models.inputs import InputVocabulary, ModelInput, Query
from recsys.models.recommenders.ials import IALS
from recsys.models.recommenders.item_profiles import item_profiles, profile_inputs
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
        columns, references, idf_power: of `Content`.
        num_neighbours: fitted items that stand for one that nobody bought.

    Raises:
        ConfigError: the data has no such columns.
    """

    inputs = IALS.inputs
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
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.idf_power, self.num_neighbours = idf_power, num_neighbours
        self._item_inputs = profile_inputs(num_categories, columns, references)
        self.factors = IALS(
            num_users, num_items, embedding_dim, epochs, regularization, unobserved_weight
        )

    def item_inputs(self) -> tuple[ModelInput, ...]:
        """Terms of its columns."""
        return self._item_inputs

    def chosen(self) -> Mapping[str, float]:
        """See `IALS.chosen`."""
        return self.factors.chosen()

    @torch.no_grad()
    def fit(self, interactions: Interactions) -> None:
        """Fits the factors, and gives their own to the items that nobody bought."""
        self.factors.fit(interactions)
        is_fitted = interactions.buyers > 0
        new, fitted = torch.nonzero(~is_fitted).squeeze(1), torch.nonzero(is_fitted).squeeze(1)
        if not len(new):
            return
        vectors = item_profiles(interactions, self._item_inputs, self.idf_power).matrix(
            self.num_items
        )
        alike = nearest_rows(
            vectors[new.numpy()], vectors[fitted.numpy()], min(self.num_neighbours, len(fitted))
        )  # (N, K)
        share = alike.similarity / alike.similarity.sum(dim=1, keepdim=True).clamp(min=1e-9)
        table = self.factors.item.weight
        table[new] = torch.einsum("nk,nkd->nd", share, table[fitted[alike.row]])

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return self.factors(query, items)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I)."""
        return self.factors.score_all(query)
