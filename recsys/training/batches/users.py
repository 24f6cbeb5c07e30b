"""Batches of users with all their positives.

Axes: B users of a batch, L most positives of one of them, P positives of all of them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.data.shards import EpochOrder, Shard


class UserBatch(NamedTuple):
    """A user a row with all positives.

    Attributes:
        user: (B,).
        row, item: the positives, flat: row of the batch (P,) and item (P,).
        weight: of each positive, (P,), or None where all weigh the same.
        columns: further inputs of the model by name, (B,) each, at the user's last event.
    """

    user: Tensor
    row: Tensor
    item: Tensor
    weight: Tensor | None
    columns: Mapping[str, Tensor] | None = None

    def bags(self, pad: int) -> Tensor:
        """The positives of every user as a history (B, L), filled with `pad` on the right."""
        size = torch.bincount(self.row, minlength=len(self.user))
        before = (size.cumsum(0) - size)[self.row]
        bags = torch.full((len(size), int(size.max())), pad, device=size.device)
        bags[self.row, torch.arange(len(before), device=size.device) - before] = self.item
        return bags


class UserBatches:
    """Every user with a positive once an epoch, in a new order, with all; `weight` stands beside
    `interactions.distinct`, each of `columns` has a value per user, (U,).
    """

    def __init__(
        self,
        interactions: Interactions,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
        epoch: Callable[[], int],
        shard: Shard,
        weight: Tensor | None = None,
        columns: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._positives = interactions.distinct.to(device)
        self._weight = None if weight is None else Ragged(self._positives.indptr, weight.to(device))
        self._columns = {name: values.to(device) for name, values in (columns or {}).items()}
        self._users = torch.nonzero(self._positives.lengths()).squeeze(1)
        self._order = EpochOrder(len(self._users), batch_size, seed, device, epoch, shard)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[UserBatch]:
        for rows in self._order:
            user = self._users[rows]
            weight = None if self._weight is None else self._weight.take(user)[1]
            columns = {name: values[user] for name, values in self._columns.items()}
            yield UserBatch(user, *self._positives.take(user), weight, columns)
