"""What a bundle answers to users of whom a model knows nothing. Axes: B users, I items."""

from dataclasses import replace

import torch
from torch import Tensor

from recsys.models.inputs import USER, Query, reads_history
from recsys.models.recommender import DecidesWhomItServes, Recommender


def served_scores(model: Recommender, query: Query, popularity: Tensor) -> Tensor:
    """Scores of a model, or what is popular where it does not serve the user: an unknown one (index
    U) whose id it reads, or one without a purchase whose history it reads, where it does not decide
    itself whom it serves. The same numbers as from the graph of a bundle.

    Args:
        model: fitted.
        query: of B users.
        popularity: buyers of each item, float32 (I,).

    Returns:
        (B, I).
    """
    if isinstance(model, DecidesWhomItServes):
        served = model.serves(query)
    else:
        served = torch.ones_like(query.user, dtype=torch.bool)
        if USER in model.inputs:
            served = query.user < model.num_users
            query = replace(query, user=torch.where(served, query.user, 0))
        if reads_history(model):
            served = served & (query.history < model.num_items).any(dim=1)
    return torch.where(served.unsqueeze(1), model.score_all(query), popularity)
