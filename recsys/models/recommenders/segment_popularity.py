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
from recsys.models.inputs import InputVocabulary, ModelInput, Query, user_columns
from recsys.ranges import NonNegative

# A column whose categories hold fewer users on average says who somebody is, not what they are
# like; and a number is read by which of so many equally frequent ranges it lies in.
_USERS_OF_A_SEGMENT, _RANGES = 10, 10


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
    edges: Tensor
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
        self._columns = found
        # the last segment of each column: unknown and missing values
        sizes = [num_categories[each.name] if each.is_category else _RANGES for each in found]
        self._starts = np.cumsum([0, *(size + 1 for size in sizes)]).tolist()
        self.register_buffer("share", torch.zeros(self._starts[-1], num_items))
        numbers = [each for each in found if not each.is_category]
        self.register_buffer("edges", torch.zeros(len(numbers), _RANGES - 1))

    @property
    def inputs(self) -> tuple[ModelInput, ...]:
        """Its columns."""
        return self._columns

    def fit(self, interactions: Interactions) -> None:
        """Counts the buyers of every segment."""
        values = user_columns(self, interactions.columns)
        matrix, is_fitted = interactions.matrix(), interactions.distinct.lengths() > 0
        numbers = [each for each in self._columns if not each.is_category]
        quantiles = torch.arange(1, _RANGES) / _RANGES
        for row, each in enumerate(numbers):
            self.edges[row] = torch.nanquantile(values[each.name][is_fitted], quantiles)
        overall = interactions.buyers / is_fitted.sum()  # (I,)
        user = torch.nonzero(is_fitted).squeeze(1)
        for place, each in enumerate(self._columns):
            start, end = self._starts[place : place + 2]
            segment = self._segment(each, values[each.name])[user]
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
        total: Tensor | None = None
        for place, each in enumerate(self._columns):
            row = self.share[self._starts[place] + self._segment(each, query[each.name])]
            total = row if total is None else total + row
        assert total is not None
        return total / len(self._columns)

    def _segment(self, each: ModelInput, values: Tensor) -> Tensor:
        """Segment of a column that each of the users is in, (B,)."""
        if each.is_category:
            return values
        numbers = [other for other in self._columns if not other.is_category]
        within = (values.unsqueeze(1) > self.edges[numbers.index(each)]).sum(dim=1)
        return torch.where(values.isnan(), _RANGES, within)
