"""Batches of positive pairs with negatives, sliced from tensors that already lie on the device; no
row ever becomes a Python object.

Axes: B rows of a batch, N negatives a row, R rows of several batches.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from typing import NamedTuple

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.shards import EpochOrder, Shard
from recsys.training.batches.negatives import NegativeSampler

# negatives of as many batches, a few MB
_DRAWN_AT_ONCE = 2**16


class PairBatch(NamedTuple):
    """A positive pair a row.

    Attributes:
        user: (B,).
        items: (B, 1 + N), of which column 0 was bought and the others never were.
        weight: of each row, (B,), or None where all weigh the same.
        log_q: logarithm of the probability that each negative was drawn with, (B, N), where asked
            for.
        columns: further inputs of the model by name, (B,) each, at the last event of the pair.
    """

    user: Tensor
    items: Tensor
    weight: Tensor | None
    log_q: Tensor | None = None
    columns: Mapping[str, Tensor] | None = None


class PairBatches:
    """Every positive pair once an epoch, in a new order, with fresh negatives; `weight` and each of
    `columns` stand beside `interactions.distinct`, `popularity_power` is that of
    `NegativeSampler`, and `log_q` says whether batches tell what their negatives were drawn with.
    """

    def __init__(
        self,
        interactions: Interactions,
        *,
        batch_size: int,
        num_negatives: int,
        seed: int,
        device: torch.device,
        epoch: Callable[[], int],
        shard: Shard,
        weight: Tensor | None = None,
        popularity_power: float = 0.0,
        log_q: bool = False,
        columns: Mapping[str, Tensor] | None = None,
    ) -> None:
        positives = interactions.distinct.to(device)
        self._weight = None if weight is None else weight.to(device)
        self._item = positives.values
        self._user = torch.repeat_interleave(
            torch.arange(len(positives), device=device), positives.lengths()
        )
        self._sampler = NegativeSampler(
            positives, interactions.num_items, interactions.buyers, popularity_power
        )
        self._log_q = log_q
        self._columns = {name: values.to(device) for name, values in (columns or {}).items()}
        self._num_negatives = num_negatives
        self._order = EpochOrder(len(self._item), batch_size, seed, device, epoch, shard)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[PairBatch]:
        generator = self._order.generator()
        size = self._order.batch_size
        # many batches at a time: with a few rows, an operation takes longer to begin than to run
        batches = max(1, _DRAWN_AT_ONCE // (size * self._num_negatives))
        for rows in self._order.segments(batches):
            user = self._user[rows]  # (R,), the rows of all these batches
            negatives = self._sampler.draw(user, self._num_negatives, generator)  # (R, N)
            items = torch.cat([self._item[rows].unsqueeze(1), negatives], dim=1)
            weight = None if self._weight is None else self._weight[rows]
            log_q = self._sampler.log_probability(user, negatives) if self._log_q else None
            split = [
                repeat(None) if part is None else part.split(size)
                for part in (user, items, weight, log_q)
            ]
            if self._columns:
                inputs = [values[rows].split(size) for values in self._columns.values()]
                named = (
                    dict(zip(self._columns, each, strict=True))
                    for each in zip(*inputs, strict=True)
                )
                split.append(named)
            yield from map(PairBatch, *split)
