"""NDCG@10 of what either side hands over, by our evaluator: unseen items, the whole catalogue."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from recsys.data.interactions import PhaseData
from recsys.evaluation.ranking import evaluate
from recsys.models.inputs import USER, Query


class Factors(nn.Module):
    """score(u, i) = p_u · q_i. Axes: U users, I items, D factors.

    Args:
        user, item: (U, D) and (I, D).
    """

    inputs = (USER,)
    floats_per_pair = 1

    def __init__(self, user: np.ndarray, item: np.ndarray) -> None:
        super().__init__()
        self.num_users, self.num_items = len(user), len(item)
        self._user, self._item = torch.from_numpy(user), torch.from_numpy(item)

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return (self._item[items] @ self._user[query.user].unsqueeze(2)).squeeze(2)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I)."""
        return self._user[query.user] @ self._item.T


class Scores(nn.Module):
    """Scores that were written down, float32 (U, I)."""

    inputs = (USER,)
    floats_per_pair = 1

    def __init__(self, scores: np.ndarray) -> None:
        super().__init__()
        self.num_users, self.num_items = scores.shape
        self._scores = torch.from_numpy(scores)

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return self._scores[query.user].gather(1, items)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I)."""
        return self._scores[query.user]


def ndcg(model: nn.Module, data: PhaseData) -> float:
    """NDCG@10 over the users with a truth."""
    return evaluate(model, data, views=("new",)).metrics["new/ndcg@10"]


def ndcg_by_epoch(folder: Path, epochs: int, data: PhaseData) -> Iterator[float]:
    """NDCG@10 of the factors that a worker wrote after each epoch."""
    for epoch in range(epochs):
        with np.load(folder / f"{epoch}.npz", allow_pickle=False) as arrays:
            yield ndcg(Factors(arrays["user"], arrays["item"]), data)
