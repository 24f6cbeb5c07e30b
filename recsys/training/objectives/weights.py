"""Weights of purchases in a loss."""

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.errors import ConfigError


def recency_weight(days_since: Tensor, half_life_days: float) -> Tensor:
    """Weight of a positive whose last purchase was `days_since` days ago: it halves every
    `half_life_days`.

    Source: Ding and Li, Time Weight Collaborative Filtering, CIKM 2005.
    """
    return 0.5 ** (days_since / half_life_days)


def quantity_weight(quantity: Tensor, alpha: float) -> Tensor:
    """Weight of positives of which `quantity` (P,) units were bought: 1 + alpha log(1 + quantity).

    Source: Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM
    2008, equation 6 with epsilon 1.
    """
    return 1 + alpha * quantity.log1p()


def purchase_weight(
    interactions: Interactions, half_life_days: float | None, quantity_alpha: float = 0.0
) -> Tensor | None:
    """Weight of every pair in `interactions.distinct`: recency times quantity, (P,).

    Args:
        interactions: with days and quantities, where these are used.
        half_life_days: of `recency_weight`; None: recency is ignored.
        quantity_alpha: of `quantity_weight`; 0: quantity is ignored.

    Returns:
        None where all weigh the same.

    Raises:
        ConfigError: the data has no timestamps, or no quantities.
    """
    weights = []
    if half_life_days is not None:
        if interactions.days_since is None:
            raise ConfigError(
                f"loss.half_life_days={half_life_days:g} needs timestamps, which the data does not"
                " have; set it to null"
            )
        weights.append(recency_weight(interactions.days_since, half_life_days))
    if quantity_alpha:
        if interactions.units is None:
            raise ConfigError(
                f"loss.quantity_alpha={quantity_alpha:g} needs quantities, which the data does not"
                " have; set data.columns.quantity, or loss.quantity_alpha=0"
            )
        weights.append(quantity_weight(interactions.units, quantity_alpha))
    return torch.stack(weights).prod(dim=0) if weights else None


def weighted_mean(losses: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of `losses` (N,) with weights (N,); None: all weigh the same."""
    return losses.mean() if weight is None else (losses * weight).sum() / weight.sum()
