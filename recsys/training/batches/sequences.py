"""Batches of histories in the order of time.

Axes: B segments of a batch, M places that a model reads, L longest segment of a batch, P purchases
to predict, N negatives of each, I items.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.shards import EpochOrder, Shard
from recsys.errors import DataError


class SequenceBatch(NamedTuple):
    """Segments of histories, of which every purchase but the first is predicted from those before.

    Attributes:
        items: (B, L), at most M + 1 wide, padded with I on the left.
        negatives: other items than the one bought, for each purchase to predict, row by row (P, N).
    """

    items: Tensor
    negatives: Tensor


class SequenceBatches:
    """Every purchase but a user's first is predicted once an epoch, in a new order of segments.

    A history longer than M + 1 is cut from its end, each segment beginning with the purchase that
    the one before ends with.

    Args:
        interactions: what to learn from.
        batch_size: segments.
        max_length: M.
        num_negatives: N.
        seed, epoch: decide order and negatives.

    Raises:
        DataError: nobody bought twice.
    """

    def __init__(
        self,
        interactions: Interactions,
        *,
        batch_size: int,
        max_length: int,
        num_negatives: int,
        seed: int,
        device: torch.device,
        epoch: Callable[[], int],
        shard: Shard,
    ) -> None:
        history = interactions.history.to(device)
        self._items, self._num_items = history.values, interactions.num_items
        self._num_negatives = num_negatives
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
        self._order = EpochOrder(len(user), batch_size, seed, device, epoch, shard)

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
            bought = items[:, 1:][inside[:, :-1]]  # (P,)
            yield SequenceBatch(items, self._others(bought, generator))

    def _others(self, bought: Tensor, generator: torch.Generator) -> Tensor:
        """Items drawn uniformly among all but the one bought (P,), each (P, N)."""
        size = (len(bought), self._num_negatives)
        drawn = torch.randint(self._num_items - 1, size, generator=generator, device=bought.device)
        return drawn + (drawn >= bought.unsqueeze(1))
