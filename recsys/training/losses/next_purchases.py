"""Loss of purchases after a day of the past and of purchases hidden from the history.

Axes: B users of a batch, L longest history, N events of the batch, P purchases to predict, I items,
F features of an item.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.data.shards import EpochOrder, Shard
from recsys.errors import DataError
from recsys.features.item_trends import item_trends
from recsys.models.inputs import (
    HISTORY_QUANTITY,
    ModelInput,
    Query,
    query_of,
    required,
    user_columns,
)
from recsys.ranges import Count, Positive, Whole
from recsys.training.losses.full_softmax import full_softmax
from recsys.training.objectives.weights import purchase_weight

_DAYS_BETWEEN_CUTS = 7
# A user's hidden purchases: a share between these of all that was ever bought.
_LEAST_KEPT, _MOST_KEPT = 0.3, 0.9


@runtime_checkable
class LearnsFromHistories(Protocol):
    """A recommender that is trained on histories up to a day and the purchases after it."""

    if TYPE_CHECKING:  # issubclass takes protocols of methods alone

        @property
        def inputs(self) -> tuple[ModelInput, ...]:
            """What scores depend on."""
            ...

    def score_all(self, query: Query, trends: Tensor | None = None) -> Tensor:
        """Scores of the catalogue (B, I) on the day of `trends` (I, F)."""
        ...

    def score_unseen(self, query: Query, trends: Tensor | None = None) -> Tensor:
        """The same for items that are not in the history, -inf for those that are, (B, I)."""
        ...


def full_bce(scores: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """Binary cross-entropy over the whole catalogue: purchases (P,) are labelled 1, everything else
    0; the sum over all (B, I) pairs per purchase, 0 where there are none.

    Source: that of `recsys.training.losses.bce.bce`, without sampling.
    """
    # softplus(x) - x is -log sigmoid(x)
    return (functional.softplus(scores).sum() - scores[row, item].sum()) / max(1, len(item))


class HistoryBatch(NamedTuple):
    """A user a row.

    Attributes:
        user: (B,).
        history: item indices, latest last, (B, L), padded with I.
        age: days since each purchase, float32 (B, L), 0 in the padding.
        columns: further inputs of the model by name, those of a user as at the last event (B,), and
            units of purchases (B, L).
        row, item: what is to be predicted, flat: row of the batch (P,) and item (P,), each pair
            once.
        weight: of each of them, (P,), or None where all weigh the same.
        trends: features of every item on the day of the query, (I, F).
    """

    user: Tensor
    history: Tensor
    age: Tensor
    columns: Mapping[str, Tensor]
    row: Tensor
    item: Tensor
    weight: Tensor | None
    trends: Tensor


class LearningStep(NamedTuple):
    """The same users in two ways.

    Attributes:
        later: what they had bought on one day of the past, and what they bought in the weeks after.
        hidden: a random part of all they bought, and the items of the rest.
    """

    later: HistoryBatch
    hidden: HistoryBatch


@dataclass(frozen=True)
class NextPurchases:
    """The sum of three losses: `full_bce` of the purchases after a day, which learns who buys what
    again; `full_softmax` of those that were new to the user, which learns what is tried next; and
    `full_softmax` of purchases hidden from the history, which learns what goes with what.

    Attributes:
        batch_size: users.
        half_life_days: a hidden purchase weighs half as much for every so many days since it was
            last made; None: all weigh the same.
        horizon_days: how long after the day purchases are predicted; None: 28, or a third of the
            fitted part where that is shorter.
        lookback_days: the days lie at most so long before the last that has a whole horizon, and in
            the second half of the data where that is shorter.
    """

    batch_size: Count = 64
    half_life_days: Positive | None = 45
    horizon_days: Count | None = None
    lookback_days: Whole = 84

    name: ClassVar[str] = "next_purchases"
    trains: ClassVar[type] = LearnsFromHistories

    def objective(
        self, model: LearnsFromHistories, data: Interactions, *, seed: int
    ) -> "NextPurchasesObjective":
        """See `recsys.training.objective.Loss`."""
        # without days there are no batches either, which the batches report
        half_life = None if data.day is None else self.half_life_days
        quantity = None
        if HISTORY_QUANTITY in model.inputs:
            quantity = required(data.quantity, "quantity", "quantity")
        return NextPurchasesObjective(
            data,
            self,
            seed,
            purchase_weight(data, half_life),
            user_columns(model, data.columns),
            quantity,
        )


@dataclass(frozen=True)
class NextPurchasesObjective:
    """Purchases with days.

    Attributes:
        interactions: to fit on.
        settings: of the loss.
        seed: with the epoch and the process it decides order, days and what is hidden.
        weight: of every pair in `interactions.distinct` when it is hidden, or None.
        columns: further inputs of the model, see `user_columns`.
        quantity: of every event, where the model reads it.
    """

    interactions: Interactions
    settings: NextPurchases
    seed: int
    weight: Tensor | None
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    quantity: Tensor | None = None

    def batches(
        self, device: torch.device, epoch: Callable[[], int], shard: Shard
    ) -> "HistoryBatches":
        """Every user once an epoch, in a new order."""
        return HistoryBatches(self, device, epoch, shard)

    def loss(self, model: LearnsFromHistories, batch: LearningStep) -> tuple[Tensor, int]:
        """Loss of a batch, a scalar, and its number of purchases."""
        later, hidden = batch
        past, masked = (
            query_of(model, part.user, part.columns, part.history, part.age) for part in batch
        )
        loss = full_bce(model.score_all(past, later.trends), later.row, later.item)
        for query, part in ((past, later), (masked, hidden)):
            scores = model.score_unseen(query, part.trends)
            unseen = scores[part.row, part.item] > -torch.inf
            if bool(unseen.any()):
                weight = None if part.weight is None else part.weight[unseen]
                loss = loss + full_softmax(scores, part.row[unseen], part.item[unseen], weight)
        return loss, later.item.numel() + hidden.item.numel()


class HistoryBatches:
    """Every user once an epoch, in a new order; the day that a batch looks back to is drawn anew.

    Only users who bought both before that day and after it are in `later`.

    Raises:
        DataError: without days, or with fewer than two horizons of them.
    """

    def __init__(
        self,
        objective: NextPurchasesObjective,
        device: torch.device,
        epoch: Callable[[], int],
        shard: Shard,
    ) -> None:
        interactions = objective.interactions
        if interactions.day is None:
            raise DataError(
                "loss=next_purchases learns what is bought after a day, and the data has no"
                " timestamps; set data.columns.timestamp, or choose another loss"
            )
        settings, weight = objective.settings, objective.weight
        self._device = device
        history = interactions.history.to(device)
        self._indptr, self._item = history.indptr, history.values
        first, self._today = int(interactions.day.min()), int(interactions.day.max()) + 1
        horizon_days = settings.horizon_days or min(28, max(1, (self._today - first) // 3))
        self._num_items, self._horizon = interactions.num_items, horizon_days
        last_cut = self._today - horizon_days
        if last_cut - first < horizon_days:
            raise DataError(
                f"loss.horizon_days={horizon_days}: the fitted part covers"
                f" {self._today - first} days, and learning what comes next needs twice as many"
            )
        earliest = max(
            last_cut - settings.lookback_days, (first + self._today) // 2 - horizon_days // 2
        )
        cuts = range(last_cut, min(earliest, last_cut) - 1, -_DAYS_BETWEEN_CUTS)
        self._cuts = torch.tensor(cuts, device=device)
        self._trends = torch.stack([item_trends(interactions, day) for day in cuts]).to(device)
        self._trends_today = item_trends(interactions, self._today).to(device)
        self._day = interactions.day.to(device).long()
        user = torch.repeat_interleave(
            torch.arange(interactions.num_users, device=device), history.lengths()
        )
        # events are in order of time within a user: one ascending key finds a day of a user
        self._first, self._stride = first, self._today - first + horizon_days + 1
        self._key = user * self._stride + (self._day - first)
        distinct = interactions.distinct.to(device)
        self._distinct = distinct
        self._weight = None if weight is None else Ragged(distinct.indptr, weight.to(device))
        self._columns = {name: values.to(device) for name, values in objective.columns.items()}
        self._quantity = None if objective.quantity is None else objective.quantity.to(device)
        self._users = torch.nonzero(history.lengths()).squeeze(1)
        self._order = EpochOrder(
            len(self._users), settings.batch_size, objective.seed, device, epoch, shard
        )

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[LearningStep]:
        generator = self._order.generator()
        for rows in self._order:
            user = self._users[rows]
            place = torch.randint(len(self._cuts), (1,), generator=generator, device=self._device)
            yield LearningStep(self._later(user, place), self._hidden(user, generator))

    def _later(self, user: Tensor, place: Tensor) -> HistoryBatch:
        """What `user` (B,) had bought before one of the days, `place` (1,) among them, and what
        came within the horizon.
        """
        # selected, not indexed: an index of one number would be read by the CPU
        cut, trends = self._cuts.index_select(0, place), self._trends.index_select(0, place)[0]
        start, middle = self._indptr[user], self._before(user, cut)
        end = self._before(user, cut + self._horizon)
        both = (middle > start) & (end > middle)
        user, start, middle, end = (part[both] for part in (user, start, middle, end))
        read = self._padded(user, *_spans(start, middle), cut)
        row, event = _spans(middle, end)
        bought = torch.unique(row * self._num_items + self._item[event])
        row, item = bought // self._num_items, bought % self._num_items
        return HistoryBatch(user, *read, row, item, None, trends)

    def _hidden(self, user: Tensor, generator: torch.Generator) -> HistoryBatch:
        """A part of all that `user` (B,) bought, and the items that are left out of it."""
        row, item = self._distinct.take(user)  # (P,)
        share = torch.rand(len(user), generator=generator, device=self._device)
        share = _LEAST_KEPT + (_MOST_KEPT - _LEAST_KEPT) * share
        kept = torch.rand(len(item), generator=generator, device=self._device) < share[row]
        event_row, event = _spans(self._indptr[user], self._indptr[user + 1])
        pair = torch.searchsorted(row * self._num_items + item, self._own_key(event_row, event))
        event_row, event = event_row[kept[pair]], event[kept[pair]]
        read = self._padded(user, event_row, event, self._today)
        weight = None if self._weight is None else self._weight.take(user)[1][~kept]
        return HistoryBatch(user, *read, row[~kept], item[~kept], weight, self._trends_today)

    def _own_key(self, row: Tensor, event: Tensor) -> Tensor:
        return row * self._num_items + self._item[event]

    def _before(self, user: Tensor, day: Tensor) -> Tensor:
        """Number of the first event of each user that is not before `day` (1,)."""
        return torch.searchsorted(self._key, user * self._stride + (day - self._first))

    def _padded(
        self, user: Tensor, row: Tensor, event: Tensor, today: Tensor | int
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Events (N,), sorted by row, as items and ages (B, L); columns of `user` (B,)."""
        num_rows = len(user)
        lengths = torch.bincount(row, minlength=num_rows)
        width = max(1, int(lengths.max())) if num_rows else 1
        column = torch.arange(len(row), device=row.device) - (lengths.cumsum(0) - lengths)[row]
        history = torch.full((num_rows, width), self._num_items, device=row.device)
        age = torch.zeros(num_rows, width, device=row.device)
        history[row, column] = self._item[event]
        age[row, column] = (today - 1 - self._day[event]).float()
        columns = {name: values[user] for name, values in self._columns.items()}
        if self._quantity is not None:
            units = torch.zeros_like(age)
            units[row, column] = self._quantity[event]
            columns[HISTORY_QUANTITY.name] = units
        return history, age, columns


def _spans(start: Tensor, stop: Tensor) -> tuple[Tensor, Tensor]:
    """Row and number of every event in `start` (B,) to `stop` (B,), each (N,)."""
    length = stop - start
    row = torch.repeat_interleave(torch.arange(len(start), device=start.device), length)
    before = length.cumsum(0) - length
    return row, torch.arange(len(row), device=start.device) + (start - before)[row]
