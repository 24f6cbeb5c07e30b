"""Users without truth."""

import torch
from torch import Tensor


def undefined_without_truth(value: Tensor, num_truth: Tensor) -> Tensor:
    """NaN for users whose truth is empty, (B,)."""
    return torch.where(num_truth > 0, value, torch.nan)
