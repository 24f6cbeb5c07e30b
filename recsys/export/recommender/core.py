"""The torch part of a bundle's graph: indices in, scores of all items out, fallbacks included.

Axes: B users, L length of a history, U users and I items in the vocabularies.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.export import Dim

from recsys.bundle.manifest import BASES
from recsys.export.recommender.growing import Core, export_traced
from recsys.models.fallback import served_users
from recsys.models.inputs import (
    HISTORY,
    PER_PURCHASE,
    USER,
    ModelInput,
    column_inputs,
    query_of,
)
from recsys.models.recommender import Recommender

# Above one and unlike each other: a size of 1, or two that are equal, become constants silently.
_TRACED_BATCH, _TRACED_HISTORY = 3, 5


def core_inputs(model: Recommender) -> tuple[ModelInput, ...]:
    """Inputs of the core: those of the model, or the user where it has none, for the batch size."""
    return model.inputs or (USER,)


class Scores(nn.Module):
    """Scores of a model, with the fallback of a bundle: an unknown user (index U) and a history
    without a known item get what is popular, where the model reads the one or the other and does
    not decide itself whom it serves.
    """

    def __init__(self, model: Recommender, popularity: Tensor) -> None:
        """Wraps a model; popularity is (I,)."""
        super().__init__()
        self.model = model
        self.register_buffer("popularity", popularity)

    def forward(self, *values: Tensor) -> tuple[Tensor, Tensor]:
        """Values of `core_inputs`, (B,) or (B, L) -> scores (B, I), and places in `BASES` (B,)."""
        model = self.model
        columns = {each.name: value for each, value in zip(core_inputs(model), values, strict=True)}
        user = columns.pop(USER.name, None)
        history, age = columns.pop("history", None), columns.pop("history_age", None)
        if user is None:
            user = values[0].new_zeros(values[0].shape[0], dtype=torch.int64)
        query, served = served_users(model, query_of(model, user, columns, history, age))
        popularity = cast(Tensor, self.popularity)
        scores = torch.where(served.unsqueeze(1), model.score_all(query), popularity)
        return scores, torch.where(served, self._basis(values), BASES.index("popularity"))

    def _basis(self, values: tuple[Tensor, ...]) -> Tensor:
        """What scores come from that are no fallback, places in `BASES` (B,)."""
        model = self.model
        others = "attributes" if column_inputs(model) else "popularity"
        basis = values[0].new_full((values[0].shape[0],), BASES.index(others), dtype=torch.int64)
        for each, value in zip(core_inputs(model), values, strict=True):
            bought = None
            if each == USER and USER in model.inputs:
                bought = value < model.num_users
            elif each == HISTORY:
                bought = (value < model.num_items).any(dim=1)
            if bought is not None:
                basis = torch.where(bought, BASES.index("purchases"), basis)
        return basis


def export_core(model: Recommender, popularity: Tensor) -> Core:
    """Traces a model to a graph from `core_inputs`, by name, to `scores` (B, I)
    and `basis` (B,), see `Scores`.

    Args:
        model: on the CPU; it is put into evaluation mode.
        popularity: buyers of each item (I,).

    Raises:
        ExportError: if torch cannot express the model as a graph that serves any batch and any
            history.
    """
    inputs = core_inputs(model)
    batch, history = Dim("batch"), Dim("history")
    samples, dims = [], []
    for each in inputs:
        per_purchase = each.dims == PER_PURCHASE
        shape = (_TRACED_BATCH, _TRACED_HISTORY) if per_purchase else (_TRACED_BATCH,)
        kind = torch.int64 if each.dtype == "string" else torch.float32
        samples.append(torch.zeros(shape, dtype=kind))
        dims.append({0: batch, 1: history} if per_purchase else {0: batch})
    name = type(model).__name__
    module = Scores(model, popularity).eval()
    return export_traced(
        module, [each.name for each in inputs], samples, dims, ["scores", "basis"], name
    )
