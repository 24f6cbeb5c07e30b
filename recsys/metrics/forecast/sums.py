"""Sums of errors, which the metrics are ratios of.

Axes: B forecasts, H steps of the horizon, Q quantiles, I intervals, W windows.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Errors(NamedTuple):
    """Sums of errors, float64 and all of one shape, but for the intervals of `inside`.

    Attributes:
        steps: known steps.
        absolute, squared, signed: of |e|, e² and e.
        sales: of |y|.
        symmetric: of 200 |e| / (|forecast| + |y|); 0 / 0 counts as 0.
        pinball: of the quantile loss, its mean over Q.
        inside: known steps within each interval of `intervals`, (…, I).
    """

    steps: Tensor
    absolute: Tensor
    squared: Tensor
    signed: Tensor
    sales: Tensor
    symmetric: Tensor
    pinball: Tensor
    inside: Tensor

    def sum(self, dim: int) -> "Errors":
        """Over one axis, counted from the front."""
        return Errors(*(values.sum(dim=dim) for values in self))

    def plus(self, other: "Errors") -> "Errors":
        """Both together."""
        return Errors(*(mine + its for mine, its in zip(self, other, strict=True)))

    def by(self, group: Tensor, num_groups: int) -> "Errors":
        """Over the rows of each group, int64 (B,): (B, …) -> (num_groups, …)."""
        return Errors(
            *(
                values.new_zeros(num_groups, *values.shape[1:]).index_add_(0, group, values)
                for values in self
            )
        )


def intervals(quantiles: tuple[float, ...]) -> dict[str, tuple[int, int]]:
    """Central intervals whose two ends are among the quantiles: "coverage_80" to the places of 0.1
    and 0.9.
    """
    place = {round(level, 6): index for index, level in enumerate(quantiles)}
    return {
        f"coverage_{100 * (1 - 2 * level):g}": (index, place[round(1 - level, 6)])
        for level, index in place.items()
        if level < 0.5 and round(1 - level, 6) in place
    }


def errors(forecast: Tensor, truth: Tensor, quantiles: tuple[float, ...]) -> Errors:
    """Errors of every step, (B, H, Q) and (B, H) -> (B, H): what the metrics are made of, summed.

    Sources: Koenker and Bassett, Regression Quantiles, Econometrica 1978 (pinball loss);
    Makridakis, Spiliotis and Assimakopoulos, The M4 Competition, IJF 2020 (sMAPE in 0 to 200).
    """
    known = ~truth.isnan()
    y = truth.double().nan_to_num(0.0)
    answer = torch.where(known.unsqueeze(2), forecast.double(), 0.0)  # (B, H, Q)
    point = answer[:, :, quantiles.index(0.5)]
    error = point - y
    size = point.abs() + y.abs()
    above = y.unsqueeze(2) - answer
    level = torch.as_tensor(quantiles, dtype=torch.float64, device=truth.device)
    pinball = torch.maximum(level * above, (level - 1) * above)
    ends = list(intervals(quantiles).values())
    low, high = (answer[:, :, [pair[side] for pair in ends]] for side in (0, 1))  # (B, H, I)
    inside = ((low <= y.unsqueeze(2)) & (y.unsqueeze(2) <= high)).double()
    inside = torch.where(low.isnan() | high.isnan(), torch.nan, inside)
    return Errors(
        known.double(),
        error.abs(),
        error.square(),
        error,
        y.abs(),
        torch.where(size == 0, 0.0, 200 * error.abs() / size),
        pinball.mean(dim=2),
        inside * known.unsqueeze(2),
    )


def mean_over_windows(values: Tensor, steps: Tensor) -> Tensor:
    """Mean over the windows that know a step, (W, …) -> (…); NaN where a metric is undefined in one
    of them, or there is none.
    """
    counted = steps > 0
    return ratio(torch.where(counted, values, 0.0).sum(dim=0), counted.sum(dim=0).double())


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Their quotient; NaN where the denominator is 0."""
    return torch.where(denominator > 0, numerator / denominator, torch.nan)
