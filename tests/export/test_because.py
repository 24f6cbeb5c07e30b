"""The graph of reasons agrees with torch, adds up to the scores, or does not leave."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.errors import ExportError
from recsys.export import write_recommender_bundle
from recsys.export.recommender.because import build_because_graph, check_reasons
from recsys.export.recommender.histories import Histories
from recsys.export.recommender.parity import Catalogue
from recsys.inference.bundle import open_session
from recsys.models.inputs import HISTORY, Query
from recsys.models.recommender import Reasons
from recsys.models.recommenders.ials import IALS
from recsys.models.recommenders.next_purchase import NextPurchase

INDPTR = np.array([0, 3, 3, 5, 6, 7, 8, 10])
BOUGHT = np.array([3, 3, 8, 4, 9, 1, 2, 0, 5, 5])
AGES = np.array([40.0, 7, 0, 90, 90, 3, 200, 1, 30, 2], dtype=np.float32)
USERS, ITEMS = 7, 10


def interactions() -> Interactions:
    history = Ragged(torch.from_numpy(INDPTR), torch.from_numpy(BOUGHT))
    return Interactions(history, ITEMS, torch.from_numpy(500 - AGES).int())


def next_purchase() -> nn.Module:
    model = NextPurchase(USERS, ITEMS, embedding_dim=4, hidden_dim=8)
    model.observe(interactions())
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def fitted(model: Any) -> nn.Module:
    torch.manual_seed(0)
    model.fit(interactions())
    return model


MODELS: dict[str, Callable[[], Any]] = {
    "ials": lambda: fitted(IALS(USERS, ITEMS, embedding_dim=4)),
    "next_purchase": next_purchase,
}


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_of_reasons_agrees_with_torch_and_adds_up(
    vocabulary: Catalogue, name: str
) -> None:
    model = MODELS[name]().eval()
    graph = build_because_graph(model, *vocabulary)
    # sums of ONNX Runtime race in ScatterND
    assert "ScatterND" not in {node.op_type for node in graph.model.graph.node}
    session = open_session(graph.model.SerializeToString())
    ages = {"history_age": AGES} if name == "next_purchase" else {}
    histories = Histories(INDPTR, BOUGHT, ages)
    assert check_reasons(session, model, vocabulary, histories) < 1e-4
    read = [value["name"] for value in graph.entry["inputs"]]
    assert read == [each.name for each in model.inputs if each != HISTORY and name == "ials"] + [
        "history",
        *ages,
        "item_id",
    ]
    assert graph.entry["kind"] == "exact"


class Lying(nn.Module):
    """Counts how often an item stands in the history, and says a tenth too much."""

    inputs = (HISTORY,)
    floats_per_pair = 1
    reasons_kind = "exact"
    floats_per_reason = (1, 1)

    def __init__(self, too_much: float) -> None:
        super().__init__()
        self.num_users, self.num_items, self.too_much = USERS, ITEMS, too_much

    def score_all(self, query: Query) -> Tensor:
        items = torch.arange(ITEMS).expand(len(query.history), -1)
        return (query.history.unsqueeze(1) == items.unsqueeze(2)).float().sum(dim=2)

    def forward(self, query: Query, items: Tensor) -> Tensor:
        return self.score_all(query).gather(1, items)

    def reasons(self, query: Query, items: Tensor) -> Reasons:
        same = (query.history.unsqueeze(1) == items.unsqueeze(2)).float()
        return Reasons(same, torch.zeros_like(same[:, :, 0]) + self.too_much)


def test_reasons_that_do_not_add_up_or_that_torch_does_not_give_are_refused(
    vocabulary: Catalogue,
) -> None:
    lying: Any = Lying(0.1)
    session = open_session(build_because_graph(lying, *vocabulary).model.SerializeToString())
    histories = Histories(INDPTR, BOUGHT)
    with pytest.raises(ExportError, match="the scores that they add up to: 1.1, not"):
        check_reasons(session, lying, vocabulary, histories)
    honest: Any = Lying(0.0)
    with pytest.raises(ExportError, match="disagrees with torch's reasons: 0.1, not 0"):
        check_reasons(session, honest, vocabulary, histories)


def test_reasons_are_refused_of_a_model_that_has_none_before_anything_is_written(
    folder: Path, bundle_arguments: dict[str, Any]
) -> None:
    with pytest.raises(ExportError, match="because=true: Factors knows users by their ids: no"):
        write_recommender_bundle(folder, **bundle_arguments, because=True)
    assert not folder.exists()
