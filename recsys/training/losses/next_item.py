"""Cross-entropy of each purchase after those before it.

Axes: B segments of histories, M places that a model reads, L longest segment of a batch, P
purchases to predict, N negatives, I items, D factors.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from recsys.data.interactions import Interactions
from recsys.data.shards import EpochOrder, Shard
from recsys.errors import ConfigError, DataError
from recsys.models.inputs import HISTORY, ModelInput
from recsys.ranges import Count, Whole
from recsys.training.losses.sampled_softmax import sampled_softmax


@runtime_checkable
class LearnsFromSequences(Protocol):
    """A recommender that predicts the next item at every place of a sequence."""

    if TYPE_CHECKING:  # issubclass takes protocols of methods alone

        @property
        def inputs(self) -> tuple[ModelInput, ...]:
            """Only the history."""
            ...

        @property
        def max_length(self) -> int:
            """M."""
            ...

        @property
        def num_items(self) -> int:
            """I."""
            ...

    def states(self, recent: Tensor) -> Tensor:
        """State after each purchase in `recent` (B, L), padded on the left -> (B, L, D)."""
        ...

    def score(self, states: Tensor) -> Tensor:
        """Logits of the next item after states (P, D) -> (P, I)."""
        ...

    def score_some(self, states: Tensor, items: Tensor) -> Tensor:
        """Logits of `items`, (C,) or (P, C), after states (P, D) -> (P, C)."""
        ...


class SequenceBatch(NamedTuple):
    """Segments of histories, of which every purchase but the first is predicted from those before.

    Attributes:
        items: (B, L), at most M + 1 wide, padded with I on the left.
        negatives: items that all purchases of the batch are compared with (N,).
    """

    items: Tensor
    negatives: Tensor


@dataclass(frozen=True)
class NextItem:
    """Cross-entropy of the next item among all items or a sample.

    Source: Klenitskiy and Vasilev, Turning Dross Into Gold Loss: is BERT4Rec really better than
    SASRec?, RecSys 2023: SASRec needs the whole catalogue, or many negatives.

    Attributes:
        batch_size: segments of histories.
        num_negatives: drawn for each purchase; 0: the whole catalogue.
    """

    batch_size: Count = 64
    num_negatives: Whole = 0

    name: ClassVar[str] = "next_item"
    trains: ClassVar[type] = LearnsFromSequences

    def objective(
        self, model: LearnsFromSequences, data: Interactions, *, seed: int
    ) -> "NextItemObjective":
        """See `recsys.training.objective.Loss`.

        Raises:
            ConfigError: the model reads more than the history.
        """
        if others := [each.name for each in model.inputs if each is not HISTORY]:
            raise ConfigError(
                f"loss=next_item shows a model nothing but histories, and {type(model).__name__}"
                f" reads {', '.join(others)}: choose another loss, such as full_softmax"
            )
        return NextItemObjective(data, self, model.max_length, seed)


@dataclass(frozen=True)
class NextItemObjective:
    """Predicts every purchase but a user's first.

    Attributes:
        interactions: to fit on.
        settings: of the loss.
        max_length: M.
        seed: with the epoch and the process it decides order and negatives.
    """

    interactions: Interactions
    settings: NextItem
    max_length: int
    seed: int

    def batches(
        self, device: torch.device, epoch: Callable[[], int], shard: Shard
    ) -> "SequenceBatches":
        """Every purchase but a user's first once an epoch, in a new order of segments."""
        return SequenceBatches(self, device, epoch, shard)

    def loss(self, model: LearnsFromSequences, batch: SequenceBatch) -> tuple[Tensor, int]:
        """Loss of a batch, a scalar, and its number of purchases."""
        read, bought = batch.items[:, :-1], batch.items[:, 1:]
        real = read < model.num_items  # (B, L - 1)
        states, bought = model.states(read)[real], bought[real]  # (P, D), (P,)
        if self.settings.num_negatives:
            return self._sampled(model, states, bought, batch.negatives), len(bought)
        return functional.cross_entropy(model.score(states), bought), len(bought)

    def _sampled(
        self, model: LearnsFromSequences, states: Tensor, bought: Tensor, negatives: Tensor
    ) -> Tensor:
        """Each negative stands for as many items as were left out for it, so that the denominator
        is that of the whole catalogue on average.
        """
        others = model.score_some(states, negatives)  # (P, N)
        others = others + math.log(model.num_items / len(negatives))
        others = others.masked_fill(negatives == bought.unsqueeze(1), -torch.inf)
        own = model.score_some(states, bought.unsqueeze(1))  # (P, 1)
        return sampled_softmax(torch.cat([own, others], dim=1))


class SequenceBatches:
    """Batches of segments: a history longer than M + 1 is cut from its end, each segment beginning
    with the purchase that the one before ends with.

    Raises:
        DataError: nobody bought twice.
    """

    def __init__(
        self,
        objective: NextItemObjective,
        device: torch.device,
        epoch: Callable[[], int],
        shard: Shard,
    ) -> None:
        settings, history = objective.settings, objective.interactions.history.to(device)
        self._items, self._num_items = history.values, objective.interactions.num_items
        self._num_negatives, max_length = settings.num_negatives, objective.max_length
        lengths = history.lengths()
        segments = (lengths + max_length - 2) // max_length  # of a purchase or none: 0
        user = torch.repeat_interleave(torch.arange(len(lengths), device=device), segments)
        before = segments.cumsum(0) - segments
        number = torch.arange(len(user), device=device) - before[user]
        self._stop = history.indptr[user + 1] - number * max_length
        self._start = torch.maximum(history.indptr[user], self._stop - max_length - 1)
        if len(user) == 0:
            raise DataError(
                "loss=next_item predicts a purchase from those before it, and no user of the fitted"
                " part has two; choose another loss"
            )
        self._order = EpochOrder(
            len(user), settings.batch_size, objective.seed, device, epoch, shard
        )

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[SequenceBatch]:
        generator = self._order.generator()
        for rows in self._order:
            start, stop = self._start[rows], self._stop[rows]
            width = int((stop - start).max())
            place = stop.unsqueeze(1) + torch.arange(-width, 0, device=stop.device)  # (B, L)
            inside = place >= start.unsqueeze(1)
            items = torch.where(inside, self._items[place.clamp(min=0)], self._num_items)
            size = (self._num_negatives,)
            negatives = torch.randint(
                self._num_items, size, generator=generator, device=items.device
            )
            yield SequenceBatch(items, negatives)
