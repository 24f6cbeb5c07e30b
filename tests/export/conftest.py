"""Tiny models and their vocabulary.

Axes: B users in a block, L length of a history, U users and I items in the vocabularies.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from recsys.export.graph import build_graph
from recsys.export.parity import Vocabulary
from recsys.inference.bundle import open_session
from recsys.models.recommender import Query

USERS = ["007", "7", "NA", "Zoë Müller", "名前", "u 5", "u6"]
ITEMS = ["milk", " milk", "0012", "12", "NA", "crème brûlée", 'say "hi"', "a,b", "日本", "last"]
# Item 2 and 3 tie, item 8 and 9 tie.
POPULARITY = [1.0, 2, 9, 9, 3, 4, 5, 6, 0, 0]


class Factors(nn.Module):
    """Knows users by their ids; dropout would show if it were exported in training mode."""

    reads_history = False
    floats_per_pair = 1

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.num_users, self.num_items = len(USERS), len(ITEMS)
        self.user = nn.Embedding(len(USERS), 4)
        self.item = nn.Embedding(len(ITEMS), 4)
        self.dropout = nn.Dropout(0.5)

    def score_all(self, query: Query) -> Tensor:
        scores: Tensor = self.dropout(self.user(query.user)) @ self.item.weight.T
        return scores

    def forward(self, query: Query, items: Tensor) -> Tensor:
        return self.score_all(query).gather(1, items)


class Counts(nn.Module):
    """Reads histories: how often an item stands there, which leaves many exact ties."""

    reads_history = True
    floats_per_pair = 1

    def __init__(self) -> None:
        super().__init__()
        self.num_users, self.num_items = len(USERS), len(ITEMS)

    def score_all(self, query: Query) -> Tensor:
        ones = torch.ones_like(query.history, dtype=torch.float32)
        padded = torch.zeros(len(query.history), self.num_items + 1)
        return padded.scatter_add(1, query.history, ones)[:, : self.num_items]

    def forward(self, query: Query, items: Tensor) -> Tensor:
        return self.score_all(query).gather(1, items)


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    users, items = np.array(USERS, dtype=object), np.array(ITEMS, dtype=object)
    return Vocabulary(users, items, np.array(POPULARITY, dtype=np.float32))


@pytest.fixture
def factors() -> Factors:
    return Factors().eval()


@pytest.fixture
def counts() -> Counts:
    return Counts().eval()


@pytest.fixture(scope="session")
def factors_graph(vocabulary: Vocabulary) -> onnx.ModelProto:
    return build_graph(Factors(), *vocabulary)


@pytest.fixture(scope="session")
def factors_session(factors_graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return open_session(factors_graph.SerializeToString())


@pytest.fixture(scope="session")
def counts_session(vocabulary: Vocabulary) -> onnxruntime.InferenceSession:
    return open_session(build_graph(Counts(), *vocabulary).SerializeToString())


@pytest.fixture
def bundle_arguments(vocabulary: Vocabulary, factors: Factors) -> dict[str, Any]:
    """What `write_recommender_bundle` takes; user u bought the items 0 … u, the last one twice."""
    rows = [[*range(user + 1), user] for user in range(len(USERS))]
    return {
        "model": factors,
        "user_ids": vocabulary.user_ids.astype(np.str_),
        "item_ids": vocabulary.item_ids.astype(np.str_),
        "popularity": vocabulary.popularity,
        "history_indptr": np.cumsum([0, *map(len, rows)]),
        "history_items": np.concatenate(rows),
        "include_seen": False,
        "item_names": None,
        "provenance": {"model": "Factors", "metrics": {"test/new/ndcg@10": 0.25}},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "exported" / "tiny"
