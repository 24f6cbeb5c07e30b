"""What every recommender offers, learned or closed-form, and what some can do beside.

Axes: B users in a block, C candidates, I items in the catalogue.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.models.inputs import ModelInput, Query, reads_age, reads_history

__all__ = [
    "ChoosesSettings",
    "DecidesWhomItServes",
    "ExemptsFromWeightDecay",
    "FitsInteractions",
    "HasSquaredNorms",
    "LoadsPretrained",
    "ObservesInteractions",
    "Query",
    "Recommender",
    "reads_age",
    "reads_history",
]


@runtime_checkable
class Recommender(Protocol):
    """A network, or a fitted table, that scores items; a higher score is recommended first.

    One that is not trained by every loss of its kind names those that train it in
    `supported_losses`.

    Attributes:
        inputs: what scores depend on.
        num_users, num_items: size of the vocabularies.
        floats_per_pair: width of the widest intermediate of `score_all` per (user, item) pair:
            blocks are sized by it.
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
        """False where it knows nothing of the user, bool (B,)."""
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
