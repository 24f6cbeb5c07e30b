"""Negatives: items that a user never bought.

Axes: B rows of a batch, N negatives a row, U users, I items.
"""

import torch
from torch import Tensor

from recsys.data.ragged import Ragged


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
