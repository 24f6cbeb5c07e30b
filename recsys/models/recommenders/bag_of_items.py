"""A history without order and repeats. Axes: B users, C candidates, L length of a history, I
items.
"""

import torch
from torch import Tensor


def times_bought(history: Tensor, num_items: int) -> Tensor:
    """How often each item stands in the history: (B, L), padded with I -> float32 (B, I)."""
    return _counts(history, num_items)[:, :num_items]


def bag_of_items(history: Tensor, num_items: int) -> Tensor:
    """1 where an item stands in the history, once or often: (B, L), padded with I -> float32
    (B, I).
    """
    return times_bought(history, num_items).clamp(max=1)


def repeats(history: Tensor, num_items: int) -> Tensor:
    """How often the item of each purchase stands in the history: (B, L), padded with I -> float32
    (B, L).
    """
    return _counts(history, num_items).gather(1, history)


def shared(of_item: Tensor, history: Tensor, num_items: int) -> Tensor:
    """What the item of each purchase adds (B, C, L), shared among its purchases; 0 for padding."""
    share = (history < num_items) / repeats(history, num_items)  # (B, L)
    return of_item * share.unsqueeze(1)


def _counts(history: Tensor, num_items: int) -> Tensor:
    """How often each item, and the padding, stands in the history: (B, I + 1)."""
    padded = torch.zeros(history.shape[0], num_items + 1, device=history.device)
    ones = torch.ones_like(history, dtype=padded.dtype)
    return padded.scatter_add(1, history, ones)
