"""What a bundle answers to users of whom a model knows nothing. Axes: B users, I items."""

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from recsys.models.inputs import USER, DeclaresInputs, Query, reads_history
from recsys.models.recommender import DecidesWhomItServes, Recommender


def served_users(
    model: DeclaresInputs, query: Query, knows_user: Tensor | None = None
) -> tuple[Query, Tensor]:
    """Whom a model serves: an unknown user (index U) whose id it reads gets the fallback, and one
    without a purchase whose history it reads, where it does not decide itself whom it serves.

    Args:
        model: fitted.
        query: of B users.
        knows_user: which users of the vocabulary it learned anything of, bool (U,); None: all.

    Returns:
        The query with user indices that the model takes, and bool (B,).
    """
    if isinstance(model, DecidesWhomItServes):
        return query, model.serves(query)
    known = cast(Recommender, model)
    served = torch.ones_like(query.user, dtype=torch.bool)
    if USER in model.inputs:
        served = query.user < known.num_users
        query = replace(query, user=torch.where(served, query.user, 0))
        if knows_user is not None:
            served = served & knows_user[query.user]
    if reads_history(model):
        served = served & (query.history < known.num_items).any(dim=1)
    return query, served


def served_scores(model: Recommender, query: Query, popularity: Tensor) -> Tensor:
    """Scores of a model, or what is popular where it does not serve the user.

    Args:
        model: fitted.
        query: of B users.
        popularity: buyers of each item, float32 (I,).

    Returns:
        (B, I), the same numbers as from the graph of a bundle.
    """
    query, served = served_users(model, query)
    return torch.where(served.unsqueeze(1), model.score_all(query), popularity)
