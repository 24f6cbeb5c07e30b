"""Index batches, sliced from tensors that already lie on the device; no row ever becomes a Python
object.

Axes: B rows of a batch, N negatives a row, P positives of the users of a batch, U users, I items.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged


class PairBatch(NamedTuple):
    """A positive pair a row.

    Attributes:
        user: (B,).
        items: (B, 1 + N), of which column 0 was bought and the others never were.
        weight: of each row, (B,), or None where all weigh the same.
    """

    user: Tensor
    items: Tensor
    weight: Tensor | None


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
    """Draws uniformly from the items that a user never bought: exact, without a loop of rejections.

    Of d_u sorted positives p_0 < p_1 < …, p_j - j items that are no positive lie before p_j. So the
    r-th item that is no positive is r + #{j : p_j - j <= r}, and one binary search in the flat
    array of (user, p_j - j) finds that count.
    """

    def __init__(self, positives: Ragged, num_items: int) -> None:
        user = torch.repeat_interleave(
            torch.arange(len(positives), device=positives.values.device), positives.lengths()
        )
        place = torch.arange(len(positives.values), device=user.device) - positives.indptr[user]
        self._stride = num_items + 1
        self._gap_keys = user * self._stride + (positives.values - place)  # ascending
        self._indptr = positives.indptr
        self._free = num_items - positives.lengths()
        self._num_items = num_items

    def draw(self, user: Tensor, num_negatives: int, generator: torch.Generator) -> Tensor:
        """Negatives of `user` (B,) -> (B, N). A user who bought everything gets any item: there is
        no negative to draw.
        """
        uniform = torch.rand(
            len(user), num_negatives, generator=generator, device=user.device, dtype=torch.float64
        )
        free = self._free[user].unsqueeze(1)  # (B, 1)
        anything = (uniform * self._num_items).long()
        rank = (uniform * free).long()  # (B, N)
        keys = user.unsqueeze(1) * self._stride + rank
        passed = torch.searchsorted(self._gap_keys, keys, right=True) - self._indptr[
            user
        ].unsqueeze(1)
        return torch.where(free > 0, rank + passed, anything)


class PairBatches:
    """Every positive pair once an epoch, in a new order, with fresh negatives; `weight` stands
    beside `interactions.distinct`.
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
    ) -> None:
        positives = interactions.distinct.to(device)
        self._weight = None if weight is None else weight.to(device)
        self._item = positives.values
        self._user = torch.repeat_interleave(
            torch.arange(len(positives), device=device), positives.lengths()
        )
        self._sampler = NegativeSampler(positives, interactions.num_items)
        self._num_negatives = num_negatives
        self._order = EpochOrder(len(self._item), batch_size, seed, device, epoch, share)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[PairBatch]:
        generator = self._order.generator()
        for rows in self._order:
            user = self._user[rows]  # (B,)
            negatives = self._sampler.draw(user, self._num_negatives, generator)  # (B, N)
            items = torch.cat([self._item[rows].unsqueeze(1), negatives], dim=1)
            yield PairBatch(user, items, None if self._weight is None else self._weight[rows])


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
        # every process shuffles alike and takes its own stretch; the last rows wrap around so that
        # all have as many
        shared = epoch_generator(self.seed, self.epoch(), -1, self.device)
        order = torch.randperm(self.size, generator=shared, device=self.device)
        rows = self._rows_per_process()
        places = (
            torch.arange(self.share.rank * rows, (self.share.rank + 1) * rows, device=self.device)
            % self.size
        )
        yield from torch.split(order[places], self.batch_size)

    def generator(self) -> torch.Generator:
        """What this process draws with in this epoch."""
        return epoch_generator(self.seed, self.epoch(), self.share.rank, self.device)

    def _rows_per_process(self) -> int:
        return -(-self.size // self.share.world_size)
