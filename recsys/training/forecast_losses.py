"""Losses of forecasts.

Axes: B windows, T steps of history, H steps of the horizon, Q quantiles.
"""

import torch
from torch import Tensor

from recsys.models.forecasters.lstm import STUDENT_T_FREEDOM

# a window that repeats its last season exactly does not weigh without end
SMALLEST_SEASONAL_SHARE = 0.05


def quantile_loss(forecast: Tensor, target: Tensor, quantiles: Tensor) -> Tensor:
    """Twice the pinball loss, its mean over Q: |error| where Q is the median alone.

    Args:
        forecast: (B, H, Q).
        target: (B, H).
        quantiles: (Q,).

    Returns:
        (B, H), in units of y. Source: Koenker and Bassett, Regression Quantiles, Econometrica 1978.
    """
    error = target.unsqueeze(2) - forecast  # (B, H, Q)
    return 2 * torch.maximum(quantiles * error, (quantiles - 1) * error).mean(dim=2)


def student_t_loss(forecast: Tensor, target: Tensor, standard: Tensor) -> Tensor:
    """Negative log-likelihood of a Student-t distribution, up to a constant.

    Args:
        forecast: its quantiles, from which location and scale are read back, (B, H, Q).
        target: (B, H).
        standard: the same quantiles of the standard distribution, (Q,), more than one.

    Returns:
        (B, H). Source: Salinas et al., DeepAR, IJF 2020, with the likelihood of Lange, Little and
        Taylor, JASA 1989, at fixed degrees of freedom.
    """
    scale = (forecast[..., -1] - forecast[..., 0]) / (standard[-1] - standard[0])  # (B, H)
    location = forecast[..., -1] - standard[-1] * scale
    distance = ((target - location) / scale).square()
    freedom = STUDENT_T_FREEDOM
    return scale.log() + (freedom + 1) / 2 * torch.log1p(distance / freedom)


def window_weight(
    history: Tensor, seasonality: int, typical: float, units: dict[str, float]
) -> Tensor:
    """What an error of one unit of y counts in each window: the sum of `units` over what they name.

    Args:
        history: NaN where missing, (B, T).
        seasonality: steps.
        typical: mean of y over all that is fitted.
        units: how much an error counts that is as large as the window's seasonal difference
            ("seasonal", as MASE counts), its level ("level", as sMAPE does) and the mean of all
            series ("typical", as WAPE does).

    Returns:
        (B, 1). A window without sales is taken for one of the typical level.
    """
    level = _known_mean(history.abs())
    level = torch.where(level > 0, level, typical)
    seasonal = _known_mean((history[:, seasonality:] - history[:, :-seasonality]).abs())
    seasonal = torch.maximum(seasonal, SMALLEST_SEASONAL_SHARE * level)
    return units["seasonal"] / seasonal + units["level"] / level + units["typical"] / typical


def _known_mean(values: Tensor) -> Tensor:
    """(B, T) -> (B, 1); 0 where nothing is known."""
    known = ~torch.isnan(values)
    total = torch.where(known, values, 0.0).sum(dim=1, keepdim=True)
    return total / known.sum(dim=1, keepdim=True).clamp(min=1)
