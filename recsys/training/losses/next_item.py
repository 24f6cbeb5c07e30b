"""Cross-entropy of each purchase after those before it.

Axes: B segments of histories, M places that a model reads, L longest segment of a batch, P
purchases to predict, N negatives, I items, D factors.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from recsys.data.interactions import Interactions
from recsys.data.shards import EpochOrder, Shard
from recsys.errors import ConfigError, DataError
from recsys.models.inputs import HISTORY, ModelInput
from recsys.ranges import Count, Whole

# Pairs of a purchase and an item: with more of them an epoch over the whole catalogue takes
# minutes, and there are so many purchases that the noise of a sample averages out.
_MOST_PAIRS = 4_000_000_000
_SAMPLE = 1024


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
        stands_for: log of the number of items that each of them stands for, float32 (N,).
    """

    items: Tensor
    negatives: Tensor
    stands_for: Tensor


@dataclass(frozen=True)
class NextItem:
    """Cross-entropy of the next item among all items or a sample.

    Source: Klenitskiy and Vasilev, Turning Dross Into Gold Loss: is BERT4Rec really better than
    SASRec?, RecSys 2023: SASRec needs the whole catalogue, or many negatives.

    Attributes:
        batch_size: segments of histories.
        num_negatives: drawn for each batch, half of them from all purchases, half from all items;
            0: the whole catalogue; None: that, or 1,024 where purchases times items are more than
            four billion.
    """

    batch_size: Count = 64
    num_negatives: Whole | None = None

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
        num_negatives, found = self.num_negatives, dict[str, float]()
        if num_negatives is None:
            is_large = len(data.history.values) * data.num_items > _MOST_PAIRS
            found["num_negatives"] = num_negatives = _SAMPLE if is_large else 0
        settings = replace(self, num_negatives=num_negatives)
        return NextItemObjective(data, settings, model.max_length, seed, found)


@dataclass(frozen=True)
class NextItemObjective:
    """Predicts every purchase but a user's first.

    Attributes:
        interactions: to fit on.
        settings: of the loss.
        max_length: M.
        seed: with the epoch and the process it decides order and negatives.
        found: see `chosen`.
    """

    interactions: Interactions
    settings: NextItem
    max_length: int
    seed: int
    found: Mapping[str, float] = field(default_factory=dict)

    def chosen(self) -> Mapping[str, float]:
        """What the loss was not given and takes from the data."""
        return self.found

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
            return self._sampled(model, states, bought, batch), len(bought)
        return functional.cross_entropy(model.score(states), bought), len(bought)

    def _sampled(
        self, model: LearnsFromSequences, states: Tensor, bought: Tensor, batch: SequenceBatch
    ) -> Tensor:
        """Each negative stands for as many items as were left out for it, so that the denominator
        is that of the whole catalogue on average.
        """
        others = model.score_some(states, batch.negatives) + batch.stands_for  # (P, N)
        others = others.masked_fill(batch.negatives == bought.unsqueeze(1), -torch.inf)
        own = model.score_some(states, bought.unsqueeze(1))  # (P, 1)
        return functional.cross_entropy(torch.cat([own, others], dim=1), torch.zeros_like(bought))


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
        max_length, num_negatives = objective.max_length, settings.num_negatives or 0
        # half of the negatives are of all purchases, where a model that has learned expects the
        # next one, and half of all items
        self._of_purchases = num_negatives // 2
        self._of_items = num_negatives - self._of_purchases
        share = torch.bincount(self._items, minlength=self._num_items) / max(1, len(self._items))
        drawn = self._of_purchases * share + self._of_items / self._num_items  # on average (I,)
        self._stands_for = -torch.log(drawn)
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
            negatives = self._negatives(generator)
            yield SequenceBatch(items, negatives, self._stands_for[negatives])

    def _negatives(self, generator: torch.Generator) -> Tensor:
        """Drawn items (N,)."""
        draw = partial(torch.randint, generator=generator, device=generator.device)
        place = draw(len(self._items), (self._of_purchases,))
        return torch.cat([self._items[place], draw(self._num_items, (self._of_items,))])
