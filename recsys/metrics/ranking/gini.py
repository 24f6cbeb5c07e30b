"""Gini index of recommendation lists."""

import torch

from recsys.metrics.ranking.exposure import Exposure
from recsys.metrics.registry import metric


@metric(
    "gini",
    family="catalogue",
    title="Gini index",
    direction=None,
    meaning="How unequally items are shown: 0 all equally often, towards 1 one item has it all.",
    order=20,
)
def gini(exposure: Exposure) -> float:
    """Gini index of the exposure: 0 where all items are shown equally often, towards 1 where one
    has it all; NaN if none is.

    Source: Fleder and Hosanagar, Blockbuster Culture's Next Rise or Fall, Management Science 2009.
    """
    shown = exposure.lists.double().sort().values
    size = len(shown)
    weight = 2 * torch.arange(1, size + 1, device=shown.device, dtype=torch.float64) - size - 1
    return float((weight * shown).sum() / (size * shown.sum()))
