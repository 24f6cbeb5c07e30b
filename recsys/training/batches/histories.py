"""Batches of histories and of what was bought after or beside them.

Axes: B users of a batch, L longest history, N events of the batch, P purchases to predict, I items,
F features of an item.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.data.shards import EpochOrder, Shard
from recsys.errors import DataError
from recsys.features.item_trends import item_trends

_DAYS_BETWEEN_CUTS = 7
# A user's hidden purchases: a share between these of all that was ever bought.
_LEAST_KEPT, _MOST_KEPT = 0.3, 0.9


class HistoryBatch(NamedTuple):
    """A user a row.

    Attributes:
        user: (B,).
        history: item indices, latest last, (B, L), padded with I.
        age: days since each purchase, float32 (B, L), 0 in the padding.
        row, item: what is to be predicted, flat: row of the batch (P,) and item (P,), each pair
            once.
        weight: of each of them, (P,), or None where all weigh the same.
        trends: features of every item on the day that is asked, (I, F).
    """

    user: Tensor
    history: Tensor
    age: Tensor
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


class HistoryBatches:
    """Every user once an epoch, in a new order; the day that a batch looks back to is drawn anew.

    Only users who bought both before that day and after it are in `later`.

    Args:
        interactions: with days.
        batch_size: users.
        horizon_days: how long after the day purchases are predicted.
        lookback_days: the days lie at most so long before the last that has a whole horizon, and in
            the second half of the data where that is shorter.
        seed, epoch: decide order, days and what is hidden.
        weight: of each pair in `interactions.distinct` when it is hidden.

    Raises:
        DataError: without days, or with fewer than two horizons of them.
    """

    def __init__(
        self,
        interactions: Interactions,
        *,
        batch_size: int,
        horizon_days: int,
        lookback_days: int,
        seed: int,
        device: torch.device,
        epoch: Callable[[], int],
        shard: Shard,
        weight: Tensor | None = None,
    ) -> None:
        if interactions.day is None:
            raise DataError(
                "loss=next_purchases learns what is bought after a day, and the data has no"
                " timestamps; set data.columns.timestamp, or choose another loss"
            )
        self._device = device
        self._num_items, self._horizon = interactions.num_items, horizon_days
        history = interactions.history.to(device)
        self._indptr, self._item = history.indptr, history.values
        first, self._today = int(interactions.day.min()), int(interactions.day.max()) + 1
        last_cut = self._today - horizon_days
        if last_cut - first < horizon_days:
            raise DataError(
                f"loss.horizon_days={horizon_days}: the fitted part covers"
                f" {self._today - first} days, and learning what comes next needs twice as many"
            )
        earliest = max(last_cut - lookback_days, (first + self._today) // 2 - horizon_days // 2)
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
        self._users = torch.nonzero(history.lengths()).squeeze(1)
        self._order = EpochOrder(len(self._users), batch_size, seed, device, epoch, shard)

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
        history, age = self._padded(*_spans(start, middle), len(user), cut)
        row, event = _spans(middle, end)
        bought = torch.unique(row * self._num_items + self._item[event])
        row, item = bought // self._num_items, bought % self._num_items
        return HistoryBatch(user, history, age, row, item, None, trends)

    def _hidden(self, user: Tensor, generator: torch.Generator) -> HistoryBatch:
        """A part of all that `user` (B,) bought, and the items that are left out of it."""
        row, item = self._distinct.take(user)  # (P,)
        share = torch.rand(len(user), generator=generator, device=self._device)
        share = _LEAST_KEPT + (_MOST_KEPT - _LEAST_KEPT) * share
        kept = torch.rand(len(item), generator=generator, device=self._device) < share[row]
        event_row, event = _spans(self._indptr[user], self._indptr[user + 1])
        pair = torch.searchsorted(row * self._num_items + item, self._own_key(event_row, event))
        event_row, event = event_row[kept[pair]], event[kept[pair]]
        history, age = self._padded(event_row, event, len(user), self._today)
        weight = None if self._weight is None else self._weight.take(user)[1][~kept]
        return HistoryBatch(user, history, age, row[~kept], item[~kept], weight, self._trends_today)

    def _own_key(self, row: Tensor, event: Tensor) -> Tensor:
        return row * self._num_items + self._item[event]

    def _before(self, user: Tensor, day: Tensor) -> Tensor:
        """Number of the first event of each user that is not before `day` (1,)."""
        return torch.searchsorted(self._key, user * self._stride + (day - self._first))

    def _padded(
        self, row: Tensor, event: Tensor, num_rows: int, today: Tensor | int
    ) -> tuple[Tensor, Tensor]:
        """Events (N,), sorted by row, as items and ages (B, L)."""
        lengths = torch.bincount(row, minlength=num_rows)
        width = max(1, int(lengths.max())) if num_rows else 1
        column = torch.arange(len(row), device=row.device) - (lengths.cumsum(0) - lengths)[row]
        history = torch.full((num_rows, width), self._num_items, device=row.device)
        age = torch.zeros(num_rows, width, device=row.device)
        history[row, column] = self._item[event]
        age[row, column] = (today - 1 - self._day[event]).float()
        return history, age


def _spans(start: Tensor, stop: Tensor) -> tuple[Tensor, Tensor]:
    """Row and number of every event in `start` (B,) to `stop` (B,), each (N,)."""
    length = stop - start
    row = torch.repeat_interleave(torch.arange(len(start), device=start.device), length)
    before = length.cumsum(0) - length
    return row, torch.arange(len(row), device=start.device) + (start - before)[row]
