"""What every recommender offers, learned or closed-form.

Axes: B users in a block, C candidates, I items in the catalogue, L length of a history.
"""

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor


class Query(NamedTuple):
    """Who is asked about.

    Attributes:
        user: index of the user, int64 (B,).
        history: item indices bought so far, latest last, int64 (B, L), padded with I (= num_items).
    """

    user: Tensor
    history: Tensor


@runtime_checkable
class Recommender(Protocol):
    """A network, or a fitted table, that scores items; a higher score is recommended first.

    Attributes:
        num_users, num_items: size of the vocabularies.
        reads_history: True where scores come from `Query.history` and `Query.user` is ignored, else
            the reverse.
        floats_per_pair: width of the widest intermediate of `score_all` per (user, item) pair:
            blocks are sized by it.
    """

    num_users: int
    num_items: int
    reads_history: bool
    floats_per_pair: int

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """Scores of candidates `items` (B, C) -> (B, C)."""
        ...

    def score_all(self, query: Query) -> Tensor:
        """Scores of the whole catalogue -> (B, I): the numbers of `forward` over every item,
        factorised.
        """
        ...
