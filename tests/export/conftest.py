"""Tiny models and their vocabulary.

Axes: B users in a block, L length of a history, U users and I items in the vocabularies; of
    forecasters B series, L steps read, H steps of the horizon, K features known ahead, Q quantiles.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from recsys.export import SampleWindows, write_forecaster_bundle
from recsys.export.recommender.graph import build_graph
from recsys.export.recommender.parity import Catalogue
from recsys.inference.bundle import open_session
from recsys.models.forecaster import Window
from recsys.models.inputs import HISTORY, USER, Query

USERS = ["007", "7", "NA", "Zoë Müller", "名前", "u 5", "u6"]
ITEMS = ["milk", " milk", "0012", "12", "NA", "crème brûlée", 'say "hi"', "a,b", "日本", "last"]
# Item 2 and 3 tie, item 8 and 9 tie.
POPULARITY = [1.0, 2, 9, 9, 3, 4, 5, 6, 0, 0]


class Factors(nn.Module):
    """Knows users by their ids; dropout would show if it were exported in training mode."""

    inputs = (USER,)
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

    inputs = (HISTORY,)
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
def vocabulary() -> Catalogue:
    users, items = np.array(USERS, dtype=object), np.array(ITEMS, dtype=object)
    return Catalogue(users, items, np.array(POPULARITY, dtype=np.float32))


@pytest.fixture
def factors() -> Factors:
    return Factors().eval()


@pytest.fixture
def counts() -> Counts:
    return Counts().eval()


@pytest.fixture(scope="session")
def factors_graph(vocabulary: Catalogue) -> onnx.ModelProto:
    return build_graph(Factors(), *vocabulary)


@pytest.fixture(scope="session")
def factors_session(factors_graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return open_session(factors_graph.SerializeToString())


@pytest.fixture(scope="session")
def counts_session(vocabulary: Catalogue) -> onnxruntime.InferenceSession:
    return open_session(build_graph(Counts(), *vocabulary).SerializeToString())


@pytest.fixture
def bundle_arguments(vocabulary: Catalogue, factors: Factors) -> dict[str, Any]:
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


class Recurrent(nn.Module):
    """Every ingredient of a recurrent forecaster: two LSTMs, marks for what is missing, scaling,
    calendar, an embedding of the series, ordered quantiles.
    """

    horizon, history_length, step = 6, 24, "hour"
    quantiles = (0.1, 0.25, 0.5, 0.75, 0.9)

    def __init__(self, num_covariates: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.num_series, self.num_covariates = len(SERIES), num_covariates
        self.series = nn.Embedding(len(SERIES) + 1, 4)
        ahead = 2 + 4 + 2 * num_covariates
        self.encoder = nn.LSTM(2 + ahead, 16, batch_first=True)
        self.decoder = nn.LSTM(ahead, 16, batch_first=True)
        self.dropout = nn.Dropout(0.5)  # would show if it were exported in training mode
        self.head = nn.Linear(16, 5)

    def forward(self, window: Window) -> Tensor:
        length, time = self.history_length, window.history.shape[1]
        pad = nn.functional.pad
        y = pad(window.history, (length, 0), value=torch.nan)[:, -length:]  # (B, L)
        known = ~torch.isnan(y)
        count = known.sum(1, keepdim=True).clamp(min=1)
        filled = torch.where(known, y, 0.0)
        mean = filled.sum(1, keepdim=True) / count
        spread = torch.where(known, filled - mean, 0.0).square().sum(1, keepdim=True) / count
        scale = spread.sqrt() + 0.01 * mean.abs() + 0.001  # (B, 1)
        z = torch.where(known, (filled - mean) / scale, 0.0)
        ahead = self.known_ahead(window, time)  # (B, L + H, K)
        seen = torch.cat([torch.stack([z, known.float()], 2), ahead[:, :length]], 2)
        _, state = self.encoder(seen)
        states, _ = self.decoder(ahead[:, length:], state)
        raw = self.head(self.dropout(states))  # (B, H, Q)
        steps = torch.cumsum(nn.functional.softplus(raw[..., 1:]), 2)
        ordered = torch.cat([raw[..., :1], raw[..., :1] + steps], 2)
        return ordered * scale[:, :, None] + mean[:, :, None]

    def known_ahead(self, window: Window, time: int) -> Tensor:
        total = self.history_length + self.horizon
        first = window.start // 3600 + time - self.history_length
        hour = first[:, None] + torch.arange(total)  # (B, L + H)
        turn = torch.stack([hour % 24 / 24, hour // 24 % 7 / 7], 2) * 2 * torch.pi
        series = self.series(window.series)[:, None].expand(-1, total, -1)
        covariates = window.covariates
        covariates = nn.functional.pad(covariates, (0, 0, self.history_length, 0), value=torch.nan)[
            :, -total:
        ]
        known = ~torch.isnan(covariates)
        covariates = torch.where(known, covariates, 0.0)
        return torch.cat([torch.sin(turn), series, covariates, known.float()], 2)


SERIES = ["007", "7", "NA", "Zoë", "a,b"]


def sample_windows(num_covariates: int, horizon: int = 6, time: int = 30) -> SampleWindows:
    generator = np.random.default_rng(0)
    return SampleWindows(
        np.arange(5),
        generator.poisson(20, (5, time)).astype(np.float32),
        1_704_067_200 + 3600 * np.arange(5),
        generator.random((5, time + horizon, num_covariates), dtype=np.float32),
    )


def forecaster_arguments(model: Any, num_covariates: int = 0) -> dict[str, Any]:
    """What `write_forecaster_bundle` takes."""
    return {
        "model": model,
        "series_ids": np.array(SERIES),
        "step": "hour",
        "timezone": "Europe/Berlin",
        "covariate_names": ["price", "promo"][:num_covariates],
        "histories": sample_windows(num_covariates, model.horizon),
        "provenance": {"model": type(model).__name__, "metrics": {"test/wape": 0.25}},
    }


@pytest.fixture
def arguments_of() -> Callable[..., dict[str, Any]]:
    return forecaster_arguments


@pytest.fixture(scope="session")
def recurrent() -> Callable[[int], Recurrent]:
    return Recurrent


@pytest.fixture(scope="session")
def recurrent_bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two bundles that one process exported: plain, and ahead with covariates."""
    folder = tmp_path_factory.mktemp("exported")
    for name, number in (("plain", 0), ("ahead", 2)):
        write_forecaster_bundle(
            folder / name, **forecaster_arguments(Recurrent(number).train(), number)
        )
    return folder
