"""The latest purchases of every user apart from those before them.

Axes: U users, N events, L later ones.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged


class HeldOut(NamedTuple):
    """Purchases of the fitted part in two: what was known at a moment, and what was bought next.

    Attributes:
        earlier: without the latest events of each user; a user with one event has it here.
        later: items of the latest events of each user, ascending, each once; U rows.
        begins: day of the first of these, int32 (U,), that of the last event of all where a user
            has none; None without time.
    """

    earlier: Interactions
    later: Ragged
    begins: Tensor | None

    def age(self) -> Tensor | None:
        """Days from each earlier event to the first later one of its user, float32; None without
        time.
        """
        if self.earlier.day is None or self.begins is None:
            return None
        lengths = self.earlier.history.lengths()
        return (torch.repeat_interleave(self.begins, lengths) - self.earlier.day).float()


def hold_out(interactions: Interactions, share: float) -> HeldOut:
    """Holds out the latest `share` of the events of each user: one at least, where there are two,
    and never all.
    """
    history, day, quantity = interactions.history, interactions.day, interactions.quantity
    lengths = history.lengths()
    held = (lengths * share).ceil().long().minimum((lengths - 1).clamp(min=0))  # (U,)
    user = torch.repeat_interleave(torch.arange(len(lengths)), lengths)  # (N,)
    border = history.indptr[1:] - held  # (U,): the first event that is held out
    is_later = torch.arange(len(user)) >= border[user]
    kept = lengths - held
    earlier = Interactions(
        Ragged(torch.cat([kept.new_zeros(1), kept.cumsum(0)]), history.values[~is_later]),
        interactions.num_items,
        None if day is None else day[~is_later],
        None if quantity is None else quantity[~is_later],
        interactions.columns,
    )
    pairs = torch.unique(user[is_later] * interactions.num_items + history.values[is_later])
    later = Ragged.from_sorted(
        (pairs // interactions.num_items).numpy(),
        (pairs % interactions.num_items).numpy(),
        len(lengths),
    )
    begins = None
    if day is not None:
        begins = torch.where(held > 0, day[border.clamp(max=max(0, len(day) - 1))], day.max())
    return HeldOut(earlier, later, begins)
