"""Dot products of users with a few candidates. Axes: B users, C candidates, D factors."""

import torch
from torch import Tensor

# Up to here the gradient of a product a user costs more than the (B, C, D) floats that it saves.
_FEW_CANDIDATES = 5


def dot_products(user: Tensor, items: Tensor) -> Tensor:
    """Factors of users (B, D) and of their candidates (B, C, D) -> (B, C)."""
    if torch.is_grad_enabled() and items.shape[1] <= _FEW_CANDIDATES:
        return (items * user.unsqueeze(1)).sum(dim=2)
    return (items @ user.unsqueeze(2)).squeeze(2)
