"""The torch part of a bundle's graph: indices in, scores of all items out, fallbacks included.

Axes: B users, L length of a history, U users and I items in the vocabularies.
"""

from typing import Any, cast

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim

from recsys.export.onnx.tracing import check_size, checked, trace, translate
from recsys.models.recommender import Query, Recommender, reads_age

# Above one and unlike each other: a size of 1, or two that are equal, become constants silently.
_TRACED_BATCH, _TRACED_HISTORY = 3, 5


class UserScores(nn.Module):
    """Scores from user ids: a user index of U, which is unknown, gets what is popular."""

    def __init__(self, model: Recommender, popularity: Tensor) -> None:
        """Wraps a model whose scores come from `Query.user`; popularity is (I,)."""
        super().__init__()
        self.model = model
        self.register_buffer("popularity", popularity)

    def forward(self, user: Tensor) -> Tensor:
        """User indices (B,) -> scores (B, I)."""
        known = user < self.model.num_users  # (B,)
        no_history = user.new_zeros((user.shape[0], 0))
        scores = self.model.score_all(Query(torch.where(known, user, 0), no_history))
        return torch.where(known.unsqueeze(1), scores, cast(Tensor, self.popularity))


class HistoryScores(nn.Module):
    """Scores from histories: one without a known item gets what is popular."""

    def __init__(self, model: Recommender, popularity: Tensor) -> None:
        """Wraps a model whose scores come from `Query.history`; popularity is (I,)."""
        super().__init__()
        self.model = model
        self.register_buffer("popularity", popularity)

    def forward(self, history: Tensor, age: Tensor | None = None) -> Tensor:
        """Item indices padded with I (B, L), and days since where the model reads them (B, L) ->
        scores (B, I).
        """
        nobody = history.new_zeros(history.shape[0])
        scores = self.model.score_all(Query(nobody, history, age))
        empty = (history == self.model.num_items).all(dim=1)  # (B,)
        return torch.where(empty.unsqueeze(1), cast(Tensor, self.popularity), scores)


def export_core(model: Recommender, popularity: Tensor) -> onnx.ModelProto:
    """Traces a model to a graph: `user` (B,), or `history` (B, L) and, where the model reads it,
    `history_age` (B, L) -> `scores` (B, I).

    Args:
        model: on the CPU; it is put into evaluation mode.
        popularity: buyers of each item (I,).

    Raises:
        ExportError: if torch cannot express the model as a graph that serves any batch and any
            history.
    """
    check_size(cast(nn.Module, model))
    if model.reads_history:
        wrapped: nn.Module = HistoryScores(model, popularity)
        names = ["history", "history_age"][: 1 + reads_age(model)]
        history = torch.zeros(_TRACED_BATCH, _TRACED_HISTORY, dtype=torch.int64)
        samples = (history, history.float())[: len(names)]
        dims: dict[int, Any] = {0: Dim("batch"), 1: Dim("history")}
    else:
        wrapped = UserScores(model, popularity)
        names, samples = ["user"], (torch.zeros(_TRACED_BATCH, dtype=torch.int64),)
        dims = {0: Dim("batch")}
    kind = type(model).__name__
    program = trace(wrapped.eval(), samples, (dims,) * len(names), kind)
    return checked(translate(program, names, "scores", kind), kind)
