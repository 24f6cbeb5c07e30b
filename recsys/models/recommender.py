"""What every recommender offers, learned or closed-form.

Axes: B users in a block, C candidates, I items in the catalogue, L length of a history.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from recsys.data.interactions import Interactions


class Query(NamedTuple):
    """Who is asked about.

    Attributes:
        user: index of the user, int64 (B,).
        history: item indices bought so far, latest last, int64 (B, L), padded with I (= num_items).
        age: days from each purchase to the question, float32 (B, L), any number in the padding;
            for models that say `reads_age = True`.
    """

    user: Tensor
    history: Tensor
    age: Tensor | None = None

    def days(self) -> Tensor:
        """`age`, for a model that needs it.

        Raises:
            ValueError: there is none.
        """
        if self.age is None:
            raise ValueError(
                "the model weighs purchases by their age, and the query has none: give Query.age,"
                " the days since each purchase in Query.history"
            )
        return self.age


@runtime_checkable
class Recommender(Protocol):
    """A network, or a fitted table, that scores items; a higher score is recommended first.

    One that reads the age of purchases has the attribute `reads_age`, which is True; one that is
    trained by losses of its own names them in `supported_losses`.

    Every recommender also has the attributes `num_users` and `num_items`, sizes of the vocabularies;
    `reads_history`, True where scores come from `Query.history` and `Query.user` is ignored, else
    the reverse; and `floats_per_pair`, width of the widest intermediate of `score_all` per (user,
    item) pair, by which blocks are sized. (Attributes in the Protocol would rule out `issubclass`.)
    """

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """Scores of candidates `items` (B, C) -> (B, C)."""
        ...

    def score_all(self, query: Query) -> Tensor:
        """Scores of the whole catalogue -> (B, I): the numbers of `forward` over every item,
        factorised.
        """
        ...


@runtime_checkable
class FitsInteractions(Protocol):
    """A closed-form model."""

    def fit(self, interactions: Interactions) -> None:
        """Fits at once."""
        ...


@runtime_checkable
class ObservesInteractions(Protocol):
    """A trained model that first reads what is fitted."""

    def observe(self, interactions: Interactions) -> None:
        """Reads it."""
        ...


@runtime_checkable
class LoadsPretrained(Protocol):
    """A model that starts from the states of two others."""

    def load_pretrained(
        self, gmf: Mapping[str, Tensor], mlp: Mapping[str, Tensor], alpha: float
    ) -> None:
        """Takes the weights; `alpha` weighs the output of the first."""
        ...


@runtime_checkable
class HasSquaredNorms(Protocol):
    """A model with factors of users and items that can be regularised by frequency."""

    def squared_norms(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """Squared norms of the factors of `user` (B,), and of all items -> (B,), (I,)."""
        ...


@runtime_checkable
class ExemptsFromWeightDecay(Protocol):
    """A model with matrices that do not decay."""

    def no_weight_decay(self) -> Iterable[nn.Parameter]:
        """These."""
        ...


def reads_age(model: object) -> bool:
    """Whether the model is asked with `Query.age`."""
    return getattr(model, "reads_age", False)
