"""What every recommender offers, learned or closed-form, and what some can do beside.

Axes: B users in a block, C candidates, I items in the catalogue, L length of a history.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.models.inputs import HISTORY, ModelInput, Query, reads_age, reads_history

__all__ = [
    "ChoosesSettings",
    "DecidesWhomItServes",
    "ExemptsFromWeightDecay",
    "ExplainsScores",
    "FitsInteractions",
    "HasSquaredNorms",
    "LoadsPretrained",
    "ObservesInteractions",
    "Query",
    "Reasons",
    "Recommender",
    "reads_age",
    "reads_history",
    "reasons_inputs",
]


@runtime_checkable
class Recommender(Protocol):
    """A network, or a fitted table, that scores items; a higher score is recommended first.

    One that is not trained by every loss of its kind names those that train it in
    `supported_losses`; one whose weights are purchases of single users says `keeps_purchases`, and
    the card of its bundle then does.

    Attributes:
        inputs: what scores depend on.
        num_users, num_items: size of the vocabularies.
        floats_per_pair: width of the widest intermediate of `score_all` per (user, item) pair:
            blocks are sized by it; those of a bundle by `graph_floats_per_pair`, where a model says
            that its graph is wider.
    """

    if TYPE_CHECKING:  # issubclass takes protocols of methods alone

        @property
        def inputs(self) -> tuple[ModelInput, ...]:
            """What scores depend on."""
            ...

        num_users: int
        num_items: int
        floats_per_pair: int

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
    """A closed-form model: fitted at once, without a loss."""

    def fit(self, interactions: Interactions) -> None:
        """Fits on all interactions."""
        ...


class Reasons(NamedTuple):
    """What scores are made of: `purchases.sum(2) + rest` is the score.

    Attributes:
        purchases: what each purchase of the history adds to the score of each candidate, 0 in the
            padding, (B, C, L). What an item adds that was bought often is shared among its
            purchases.
        rest: what comes from elsewhere: the item itself, the season, the trained constants (B, C).
    """

    purchases: Tensor
    rest: Tensor


@runtime_checkable
class ExplainsScores(Protocol):
    """A recommender that can tell which purchases carry a score.

    Attributes:
        reasons_kind: how. "exact": the score, as far as it is a sum over the purchases; "gradient":
            integrated gradients, from an empty history to this one; "leave_one_out": what the score
            loses without the item, where the rest holds what several do together.
        floats_per_reason: width of the widest intermediates of `reasons`, per candidate and per
            pair of a candidate and a purchase: blocks are sized by them.
    """

    if TYPE_CHECKING:  # issubclass takes protocols of methods alone
        reasons_kind: Literal["exact", "gradient", "leave_one_out"]

        @property
        def floats_per_reason(self) -> tuple[int, int]:
            """See above."""
            ...

    def reasons(self, query: Query, items: Tensor) -> Reasons:
        """Of the scores of candidates `items` (B, C); the query also has the history where the
        scores do not depend on it.
        """
        ...


def reasons_inputs(model: Recommender) -> tuple[ModelInput, ...]:
    """What `ExplainsScores.reasons` reads: the inputs of the model, and the history."""
    return tuple(dict.fromkeys((*model.inputs, HISTORY)))


@runtime_checkable
class ChoosesSettings(Protocol):
    """A model, or the objective of a loss, that takes from the data what was not given."""

    def chosen(self) -> Mapping[str, float]:
        """Arguments that were not given and what they became."""
        ...


@runtime_checkable
class DecidesWhomItServes(Protocol):
    """A model that serves some users without their ids, or without their histories, though it reads
    both; an unknown user has the index U in its queries.
    """

    def serves(self, query: Query) -> Tensor:
        """False where it knows nothing of the user, bool (B,): a bundle then falls back on what is
        popular.
        """
        ...


@runtime_checkable
class ObservesInteractions(Protocol):
    """A model that takes statistics of the interactions before it is trained."""

    def observe(self, interactions: Interactions) -> None:
        """Takes them."""
        ...


@runtime_checkable
class LoadsPretrained(Protocol):
    """A model whose halves can start from trained models."""

    def load_pretrained(
        self, gmf: Mapping[str, Tensor], mlp: Mapping[str, Tensor], alpha: float = 0.5
    ) -> None:
        """Takes the states of a trained GMF, weighted by `alpha`, and MLP, by 1 - `alpha`."""
        ...


@runtime_checkable
class HasSquaredNorms(Protocol):
    """A model with factors of users and items, which a loss can regularise."""

    def squared_norms(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """Squared norms of the factors of users (B,) -> (B,), and of every item (I,)."""
        ...


@runtime_checkable
class ExemptsFromWeightDecay(Protocol):
    """A model with parameters that weight decay leaves alone."""

    def no_weight_decay(self) -> Iterable[nn.Parameter]:
        """These parameters."""
        ...
