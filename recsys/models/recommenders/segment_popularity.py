"""Popularity within the segments of a user. Axes: B users, C candidates, I items, U users of the
vocabulary, S segments of all columns together.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.data.schema import names_of
from recsys.errors import ConfigError
from recsys.models.inputs import InputVocabulary, ModelInput, Query
from recsys.models.recommenders.column_fields import QueryValues
from recsys.ranges import NonNegative

# A column whose categories hold fewer users on average says who somebody is, not what they are
# like.
_USERS_OF_A_SEGMENT = 10


class SegmentPopularity(nn.Module):
    """score(u, i) = mean over columns of (n_i + m p_i) / (n + m), where n users of the fitted part
    are in u's segment (have u's value in the column), n_i of them bought i, and p_i is the share of
    all users who did.

    What a shop does for customers of whom it knows attributes and no purchase, and the plain
    baseline for them. A missing or unknown value counts as p_i, so a user of whom nothing is known
    gets what is popular.

    Args:
        num_users, num_items: size of the vocabularies.
        num_categories: categories of the users' columns.
        columns: categories and numbers of the users' table; numbers by ten equally frequent ranges;
            None: all numbers, and the categories of ten users each, or more, on average.
        smoothing: m, in users: a segment of so many counts as much as everybody.

    Raises:
        ConfigError: the data has no such columns.
    """

    share: Tensor
    floats_per_pair = 2

    def __init__(
        self,
        num_users: int,
        num_items: int,
        num_categories: InputVocabulary,
        columns: Sequence[str] | None = None,
        smoothing: NonNegative = 50.0,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items, self.smoothing = num_users, num_items, smoothing
        named = None if columns is None else names_of(columns, "model.columns")
        found = num_categories.user_inputs(named)
        if named is None:
            found = tuple(
                each
                for each in found
                if not each.is_category
                or num_categories[each.name] * _USERS_OF_A_SEGMENT <= num_users
            )
        if not found:
            raise ConfigError(
                "model=segment_popularity reads attributes of users, and the data has none that"
                " several share: set data.users.path to a table with some, name model.columns, or"
                " choose model=popularity"
            )
        self.values = QueryValues(found, num_categories)
        # the last segment of each column: unknown and missing values
        self._starts = np.cumsum([0, *(size + 1 for size in self.values.sizes)]).tolist()
        self.register_buffer("share", torch.zeros(self._starts[-1], num_items))

    @property
    def inputs(self) -> tuple[ModelInput, ...]:
        """Its columns."""
        return self.values.inputs

    def fit(self, interactions: Interactions) -> None:
        """Counts the buyers of every segment."""
        values = self.values.observe(interactions)
        matrix, is_fitted = interactions.matrix(), interactions.distinct.lengths() > 0
        overall = interactions.buyers / is_fitted.sum()  # (I,)
        user = torch.nonzero(is_fitted).squeeze(1)
        for place, each in enumerate(self.inputs):
            start, end = self._starts[place : place + 2]
            segment = self.values.places(each, values[each.name])[user]
            ones = np.ones(len(user), dtype=np.float32)
            members = csr_array(
                (ones, (segment.numpy(), user.numpy())), shape=(end - start, self.num_users)
            )
            buyers = torch.from_numpy((members @ matrix).toarray())
            size = torch.bincount(segment, minlength=end - start).unsqueeze(1)
            known = size + self.smoothing > 0
            mixed = (buyers + self.smoothing * overall) / (size + self.smoothing).clamp(min=1e-9)
            self.share[start:end] = torch.where(known, mixed, overall)
            self.share[end - 1] = overall

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C), in shares of users."""
        return self.score_all(query).gather(1, items)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I), in shares of users."""
        pairs = zip(self._starts, self.values(query), strict=False)
        return torch.stack([self.share[start + places] for start, places in pairs]).mean(dim=0)
