"""Index batches, sliced from tensors that already lie on the device; no row ever becomes a Python
object.

Axes: B rows of a batch, N negatives a row, P positives of the users of a batch, U users, I items.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged

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
    """

    user: Tensor
    items: Tensor
    weight: Tensor | None
    log_q: Tensor | None = None


class UserBatch(NamedTuple):
    """A user a row with all positives.

    Attributes:
        user: (B,).
        row, item: the positives, flat: row of the batch (P,) and item (P,).
        weight: of each positive, (P,), or None where all weigh the same.
    """

    user: Tensor
    row: Tensor
    item: Tensor
    weight: Tensor | None

    def bags(self, pad: int) -> Tensor:
        """The positives of every user as a history (B, L), filled with `pad` on the right."""
        size = torch.bincount(self.row, minlength=len(self.user))
        before = (size.cumsum(0) - size)[self.row]
        bags = torch.full((len(size), int(size.max())), pad, device=size.device)
        bags[self.row, torch.arange(len(before), device=size.device) - before] = self.item
        return bags


@dataclass(frozen=True)
class Share:
    """Which part of every epoch this process sees."""

    rank: int = 0
    world_size: int = 1


ALONE = Share()


def epoch_generator(seed: int, epoch: int, rank: int, device: torch.device) -> torch.Generator:
    """A generator that depends on (seed, epoch, rank) alone, so that a resumed epoch draws what it
    would have drawn.
    """
    # odd multipliers spread the three numbers over 63 bits
    mixed = (seed * 0x9E3779B97F4A7C15 + epoch * 0xBF58476D1CE4E5B9 + rank * 0x94D049BB133111EB) % (
        1 << 63
    )
    return torch.Generator(device=device).manual_seed(mixed)


class NegativeSampler:
    """Draws from the items that a user never bought: exact, without a loop of rejections.

    Item i weighs w_i, a whole number, so that nothing is rounded on the way: 1, or in proportion to
    a power of its popularity. The d_u sorted positives p_0 < p_1 < … of a user leave gaps, and
    g_j = (weight before p_j) - (weight of p_0 … p_j-1) is the weight of the free items before p_j.
    The free item at weight r then lies at weight r + (weight of the positives with g_j <= r), and
    one binary search in the flat array of (user, g_j) finds those.

    Args:
        positives: ascending items of each user.
        num_items: I.
        popularity: how often each item was bought, int64 (I,), with `power`.
        power: 0: all items are as likely; else popularity to this power is, and an item that nobody
            bought is never drawn. Source: Mikolov et al., Distributed Representations of Words and
            Phrases and their Compositionality, NeurIPS 2013, section 2.2, with the power 0.75.
    """

    def __init__(
        self,
        positives: Ragged,
        num_items: int,
        popularity: Tensor | None = None,
        power: float = 0.0,
    ) -> None:
        items, device = positives.values, positives.values.device
        user = torch.repeat_interleave(
            torch.arange(len(positives), device=device), positives.lengths()
        )
        self._indptr = positives.indptr
        self._weight: Tensor | None = None
        if power == 0:
            taken = torch.arange(len(items) + 1, device=device)
            before, self._total = items, num_items
        else:
            assert popularity is not None
            self._weight = _whole_weights(popularity.to(device), power, len(positives))
            self._before_item = _summed_before(self._weight)  # (I + 1,)
            before, self._total = self._before_item[items], int(self._before_item[-1])
            # over all users the sum may wrap around, differences within a user stay right
            taken = _summed_before(self._weight[items])
        first = taken[positives.indptr]  # (U + 1,)
        self._stride = self._total + 1
        self._gap_keys = user * self._stride + before - (taken[:-1] - first[user])  # ascending
        self._free = self._total - first.diff()  # (U,)
        # (N + 1,); where all weigh 1, a place says it itself
        self._taken = taken if power else None

    def draw(self, user: Tensor, num_negatives: int, generator: torch.Generator) -> Tensor:
        """Negatives of `user` (B,) -> (B, N). A user who bought everything that may be drawn gets
        any of it: there is no negative to draw.
        """
        uniform = torch.rand(
            len(user), num_negatives, generator=generator, device=user.device, dtype=torch.float64
        )
        free = self._free[user].unsqueeze(1)  # (B, 1)
        rank = (uniform * free).long()  # (B, N)
        keys = user.unsqueeze(1) * self._stride + rank
        passed = torch.searchsorted(self._gap_keys, keys, right=True)
        first = self._indptr[user].unsqueeze(1)
        skipped = (
            passed - first if self._taken is None else self._taken[passed] - self._taken[first]
        )
        place = torch.where(free > 0, rank + skipped, (uniform * self._total).long())
        if self._weight is None:
            return place
        return torch.searchsorted(self._before_item, place, right=True) - 1

    def log_probability(self, user: Tensor, items: Tensor) -> Tensor:
        """Logarithm of the probability that one draw for `user` (B,) gives each of `items` (B, N),
        none of them a positive -> float32 (B, N).
        """
        free = self._free[user].unsqueeze(1)
        of_all = torch.where(free > 0, free, self._total).double().log()  # (B, 1)
        if self._weight is None:
            return (-of_all).float().expand(items.shape)
        return (self._weight[items].double().log() - of_all).float()


def _whole_weights(popularity: Tensor, power: float, num_users: int) -> Tensor:
    """Whole numbers in proportion to popularity ** power, int64 (I,): as fine as fits the keys of
    the sampler, at least 1 for whatever was bought, 0 else.
    """
    # keys are below users x total, and drawing multiplies with a float64
    finest = min(2**40, 2**62 // (num_users + 1))
    share = popularity.double() ** power * (popularity > 0)
    share = share / share.sum()
    return (share * (finest - len(popularity))).long() + (popularity > 0)


def _summed_before(values: Tensor) -> Tensor:
    """(N,) -> (N + 1,): the sum of what lies before each place; the last is the sum of all."""
    return torch.cat([values.new_zeros(1), values.cumsum(0)])


class PairBatches:
    """Every positive pair once an epoch, in a new order, with fresh negatives; `weight` stands
    beside `interactions.distinct`, `popularity_power` is that of `NegativeSampler`, and `log_q`
    says whether batches tell what their negatives were drawn with.
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
        share: Share,
        weight: Tensor | None = None,
        popularity_power: float = 0.0,
        log_q: bool = False,
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
        self._num_negatives = num_negatives
        self._order = EpochOrder(len(self._item), batch_size, seed, device, epoch, share)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[PairBatch]:
        generator = self._order.generator()
        size = self._order.batch_size
        # many batches at a time: with a few rows, an operation takes longer to begin than to run
        batches = max(1, _DRAWN_AT_ONCE // (size * self._num_negatives))
        for rows in self._order.stretches(batches):
            user = self._user[rows]  # (R,), the rows of all these batches
            negatives = self._sampler.draw(user, self._num_negatives, generator)  # (R, N)
            items = torch.cat([self._item[rows].unsqueeze(1), negatives], dim=1)
            weight = None if self._weight is None else self._weight[rows]
            log_q = self._sampler.log_probability(user, negatives) if self._log_q else None
            columns = (user, items, weight, log_q)
            split = (repeat(None) if c is None else c.split(size) for c in columns)
            yield from map(PairBatch, *split)


class UserBatches:
    """Every user with a positive once an epoch, in a new order, with all; `weight` stands beside
    `interactions.distinct`.
    """

    def __init__(
        self,
        interactions: Interactions,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
        epoch: Callable[[], int],
        share: Share,
        weight: Tensor | None = None,
    ) -> None:
        self._positives = interactions.distinct.to(device)
        self._weight = None if weight is None else Ragged(self._positives.indptr, weight.to(device))
        self._users = torch.nonzero(self._positives.lengths()).squeeze(1)
        self._order = EpochOrder(len(self._users), batch_size, seed, device, epoch, share)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[UserBatch]:
        for rows in self._order:
            user = self._users[rows]
            weight = None if self._weight is None else self._weight.take(user)[1]
            yield UserBatch(user, *self._positives.take(user), weight)


@dataclass(frozen=True)
class EpochOrder:
    """Shuffled row numbers in batches, the same number of batches for every process."""

    size: int
    batch_size: int
    seed: int
    device: torch.device
    epoch: Callable[[], int]
    share: Share

    def __len__(self) -> int:
        """Number of batches."""
        return -(-self._rows_per_process() // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        yield from self.stretches(1)

    def stretches(self, batches: int) -> Iterator[Tensor]:
        """The same rows, of several batches each."""
        # every process shuffles alike and takes its own stretch; the last rows wrap around so that
        # all have as many
        shared = epoch_generator(self.seed, self.epoch(), -1, self.device)
        order = torch.randperm(self.size, generator=shared, device=self.device)
        rows = self._rows_per_process()
        places = (
            torch.arange(self.share.rank * rows, (self.share.rank + 1) * rows, device=self.device)
            % self.size
        )
        yield from torch.split(order[places], batches * self.batch_size)

    def generator(self) -> torch.Generator:
        """What this process draws with in this epoch."""
        return epoch_generator(self.seed, self.epoch(), self.share.rank, self.device)

    def _rows_per_process(self) -> int:
        return -(-self.size // self.share.world_size)
