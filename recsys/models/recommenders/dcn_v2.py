"""DCN-v2: explicit crosses of fields, and a deep tower. Axes: … any leading axes, F fields, D
numbers of a field, N = F D.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from recsys.models.recommenders.deepfm import tower
from recsys.ranges import BelowOne, Depth, Width

Structure = Literal["parallel", "stacked"]


class CrossLayer(nn.Module):
    """x_{l+1} = x_0 ⊙ (W x_l + b) + x_l; begins as the identity.

    Args:
        size: N.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, size)
        nn.init.normal_(self.linear.weight, std=0.1 / size**0.5)
        nn.init.zeros_(self.linear.bias)

    def forward(self, first: Tensor, value: Tensor) -> Tensor:
        """x_0 and x_l, (…, N) each -> (…, N)."""
        crossed: Tensor = first * self.linear(value) + value
        return crossed


class DCNv2(nn.Module):
    """logit = wᵀ[cross layers; deep tower], side by side, or the tower on top of the cross layers.

    Source: Wang et al., DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale
    Learning to Rank Systems, WWW 2021, equation 1.

    Args:
        num_fields: F.
        field_dim: D.
        num_cross_layers: l.
        hidden_dims: width of the layers of the deep tower; []: no tower.
        structure: "parallel" or "stacked".
        dropout: share of the units of every layer that is left out in training.
    """

    def __init__(
        self,
        num_fields: int,
        field_dim: int,
        num_cross_layers: Depth = 2,
        hidden_dims: Sequence[Width] = (64, 32),
        structure: Structure = "parallel",
        dropout: BelowOne = 0.2,
    ) -> None:
        super().__init__()
        size = num_fields * field_dim
        self.structure = structure
        self.cross = nn.ModuleList(CrossLayer(size) for _ in range(num_cross_layers))
        self.deep = tower(size, hidden_dims, dropout)
        of_deep = hidden_dims[-1] if hidden_dims else 0
        self.out = nn.Linear((of_deep or size) if structure == "stacked" else size + of_deep, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, fields: Tensor) -> Tensor:
        """(…, F, D) -> logits (…)."""
        first = value = fields.flatten(-2)
        for layer in self.cross:
            value = layer(first, value)
        if self.structure == "stacked":
            value = self.deep(value)
        elif self.deep:
            value = torch.cat([value, self.deep(first)], dim=-1)
        logits: Tensor = self.out(value).squeeze(-1)
        return logits
