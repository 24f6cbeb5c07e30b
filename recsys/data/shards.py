"""Which rows each process sees in an epoch, in which order, and what it draws with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Shard:
    """Which part of every epoch this process sees."""

    rank: int = 0
    world_size: int = 1


ALONE = Shard()


def epoch_generator(seed: int, epoch: int, rank: int, device: torch.device) -> torch.Generator:
    """A generator that depends on (seed, epoch, rank) alone, so that a resumed epoch draws what it
    would have drawn.
    """
    # odd multipliers spread the three numbers over 63 bits
    mixed = (seed * 0x9E3779B97F4A7C15 + epoch * 0xBF58476D1CE4E5B9 + rank * 0x94D049BB133111EB) % (
        1 << 63
    )
    return torch.Generator(device=device).manual_seed(mixed)


@dataclass(frozen=True)
class EpochOrder:
    """Shuffled row numbers in batches, the same number of batches for every process."""

    size: int
    batch_size: int
    seed: int
    device: torch.device
    epoch: Callable[[], int]
    shard: Shard

    def __len__(self) -> int:
        """Number of batches."""
        return -(-self._rows_per_process() // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        yield from self.segments(1)

    def segments(self, batches: int) -> Iterator[Tensor]:
        """The same rows, of several batches each."""
        # every process shuffles alike and takes its own stretch; the last rows wrap around so that
        # all have as many
        shared = epoch_generator(self.seed, self.epoch(), -1, self.device)
        order = torch.randperm(self.size, generator=shared, device=self.device)
        rows = self._rows_per_process()
        places = (
            torch.arange(self.shard.rank * rows, (self.shard.rank + 1) * rows, device=self.device)
            % self.size
        )
        yield from torch.split(order[places], batches * self.batch_size)

    def generator(self) -> torch.Generator:
        """What this process draws with in this epoch."""
        return epoch_generator(self.seed, self.epoch(), self.shard.rank, self.device)

    def _rows_per_process(self) -> int:
        return -(-self.size // self.shard.world_size)
