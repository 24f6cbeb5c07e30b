"""DeepFM: a factorization machine and a deep tower over the same fields. Axes: … any leading axes,
F fields, D numbers of a field.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from recsys.ranges import BelowOne, Width


class DeepFM(nn.Module):
    """logit = Σ_f w_f + Σ_{f<g} e_fᵀe_g + MLP(e_1 … e_F), where of the D numbers of a field the
    last is its first-order weight w_f and the others are its factors e_f.

    Source: Guo et al., DeepFM: A Factorization-Machine based Neural Network for CTR Prediction,
    IJCAI 2017; the pairs in one pass: Rendle, Factorization Machines, ICDM 2010, lemma 3.1.

    Args:
        num_fields: F.
        field_dim: D, at least 2.
        hidden_dims: width of the layers of the deep tower.
        dropout: share of the units of every layer that is left out in training.
    """

    def __init__(
        self,
        num_fields: int,
        field_dim: int,
        hidden_dims: Sequence[Width] = (64, 32),
        dropout: BelowOne = 0.2,
    ) -> None:
        super().__init__()
        self.deep = tower(num_fields * (field_dim - 1), hidden_dims, dropout)
        self.out = nn.Linear(hidden_dims[-1] if hidden_dims else num_fields * (field_dim - 1), 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, fields: Tensor) -> Tensor:
        """(…, F, D) -> logits (…)."""
        factors = fields[..., :-1]
        first_order = fields[..., -1].sum(dim=-1)
        return (
            first_order + pairwise(factors) + self.out(self.deep(factors.flatten(-2))).squeeze(-1)
        )


def pairwise(factors: Tensor) -> Tensor:
    """Σ_{f<g} e_fᵀe_g of (…, F, D) -> (…), as half of (Σ e)² - Σ e²."""
    squares = factors.square().sum(dim=-2)
    return (factors.sum(dim=-2).square() - squares).sum(dim=-1) / 2


def tower(num_inputs: int, hidden_dims: Sequence[int], dropout: float) -> nn.Sequential:
    """Layers with ReLU and dropout; nothing where there are none."""
    layers: list[nn.Module] = []
    for size, width in zip((num_inputs, *hidden_dims), hidden_dims, strict=False):
        layers += [nn.Linear(size, width), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)
