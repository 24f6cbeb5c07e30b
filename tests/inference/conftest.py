"""Tiny bundles, written once.

Axes: L length of a history, U users and I items in the vocabularies.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recsys.bundle.item_columns import ItemColumn
from recsys.export import SampleWindows, write_forecaster_bundle, write_recommender_bundle
from recsys.inference import Forecaster, Recommender
from recsys.models.forecaster import Window
from recsys.models.inputs import HISTORY, HISTORY_AGE, USER, Query
from recsys.models.recommender import Reasons

USERS = ["007", "7", "NA", "Zoë Müller", "名前", "u 5"]
ITEMS = ["milk", " milk", "0012", "12", "NA", "crème brûlée", 'say "hi"', "a,b", "日本", "last"]
# Item 2 and 3 tie, item 8 and 9 tie.
POPULARITY = np.array([1.0, 2, 9, 9, 3, 4, 5, 6, 0, 0], dtype=np.float32)
# "NA" has bought nothing, "u 5" everything.
HISTORIES = {
    "007": ["milk", "12", "milk"],
    "7": ["日本"],
    "NA": [],
    "Zoë Müller": ["last"],
    "名前": ["0012", "0012", "last"],
    "u 5": ITEMS,
}


class ByUser(nn.Module):
    """User u scores item i by (u + i) modulo I: a ranking of their own for each, by arithmetic."""

    scores: Tensor
    inputs = (USER,)
    floats_per_pair = 1

    def __init__(self) -> None:
        super().__init__()
        self.num_users, self.num_items = len(USERS), len(ITEMS)
        user, item = torch.arange(len(USERS))[:, None], torch.arange(len(ITEMS))
        self.register_buffer("scores", ((user + item) % len(ITEMS)).float())  # (U, I)

    def score_all(self, query: Query) -> Tensor:
        return self.scores[query.user]

    def forward(self, query: Query, items: Tensor) -> Tensor:
        return self.score_all(query).gather(1, items)


class ByHistory(nn.Module):
    """Scores an item by how often it stands in the history, and one half more if it comes last."""

    inputs = (HISTORY,)
    floats_per_pair = 1

    def __init__(self) -> None:
        super().__init__()
        self.num_users, self.num_items = len(USERS), len(ITEMS)

    def score_all(self, query: Query) -> Tensor:
        weight = torch.ones_like(query.history, dtype=torch.float32)  # (B, L)
        weight[:, -1] = 1.5
        padded = torch.zeros(query.history.shape[0], self.num_items + 1)
        return padded.scatter_add(1, query.history, weight)[:, : self.num_items]

    def forward(self, query: Query, items: Tensor) -> Tensor:
        return self.score_all(query).gather(1, items)


# What rules read of the items, in their order; the last one has neither department nor price.
DEPARTMENTS = ["dairy", "dairy", "dairy", "dairy", "tea", "tea", "tea", "toys", "toys", None]
COLUMNS = (
    ItemColumn.of_values("department", DEPARTMENTS),
    ItemColumn.of_values("tags", [["new"], ["new", "bio"], [], ["bio"], None, [], [], [], [], []]),
    ItemColumn.of_values("price", [1.0, 2, 3, 4, 5, 6, 7, 8, 9, None]),
)


def write(
    folder: Path, model: ByUser | ByHistory, seen: bool, columns: Sequence[ItemColumn] = ()
) -> Path:
    rows = [[ITEMS.index(item) for item in HISTORIES[user]] for user in USERS]
    return write_recommender_bundle(
        folder,
        model=model,
        user_ids=np.array(USERS),
        item_ids=np.array(ITEMS),
        popularity=POPULARITY,
        history_indptr=np.cumsum([0, *map(len, rows)]),
        history_items=np.concatenate(rows),
        include_seen=seen,
        item_names={"milk": "Milk, 1 l"} if seen else None,
        provenance={"model": type(model).__name__},
        item_columns=columns,
    )


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with five bundles: by_user, by_history, both without seen.npz, and with_columns."""
    folder = tmp_path_factory.mktemp("exported")
    write(folder / "by_user", ByUser(), seen=True)
    write(folder / "with_columns", ByUser(), seen=True, columns=COLUMNS)
    write(folder / "by_history", ByHistory(), seen=True)
    write(folder / "by_user_unseen", ByUser(), seen=False)
    write(folder / "by_history_unseen", ByHistory(), seen=False)
    return folder


@pytest.fixture
def bundle(bundles: Path, tmp_path: Path) -> Path:
    """A copy of a bundle, to be tampered with."""
    return Path(shutil.copytree(bundles / "by_user", tmp_path / "tampered"))


@pytest.fixture(scope="session")
def by_user(bundles: Path) -> Recommender:
    return Recommender(bundles / "by_user")


@pytest.fixture(scope="session")
def with_columns(bundles: Path) -> Recommender:
    return Recommender(bundles / "with_columns")


@pytest.fixture(scope="session")
def by_history(bundles: Path) -> Recommender:
    return Recommender(bundles / "by_history")


BUYERS = ["ann", "bob", "cid"]
SHELF = ["milk", "bread", "tea", "ale", "jam"]
# ann lately bought tea, before that milk twice; cid nothing
BOUGHT = {"ann": ["milk", "milk", "tea"], "bob": ["ale", "bread"], "cid": []}
AGES = {"ann": [3.0, 1, 0], "bob": [1.0, 0], "cid": []}
BUYERS_OF = np.array([5.0, 4, 3, 2, 1], dtype=np.float32)
# what a purchase of today adds to each item: milk carries jam and bread, tea speaks against bread
ADDS = [
    [0, 2, 0, 0, 4],
    [1, 0, 0, 0, 2],
    [0, -1, 0, 3, 1],
    [0, 0, 0, 0, 0.5],
    [0, 0, 0, 0, 0],
]


class Sums(nn.Module):
    """score(u, i) = i / 8 + Σ ADDS[j, i] / (1 + age) over the purchases j."""

    adds: Tensor
    inputs = (HISTORY, HISTORY_AGE)
    floats_per_pair = 1
    reasons_kind = "exact"
    floats_per_reason = (1, 1)

    def __init__(self) -> None:
        super().__init__()
        self.num_users, self.num_items = len(BUYERS), len(SHELF)
        self.register_buffer("adds", torch.tensor([*ADDS, [0.0] * 5]))  # padding adds nothing

    def score_all(self, query: Query) -> Tensor:
        items = torch.arange(5).expand(len(query.history), -1)
        purchases, rest = self.reasons(query, items)
        return purchases.sum(dim=2) + rest

    def forward(self, query: Query, items: Tensor) -> Tensor:
        return self.score_all(query).gather(1, items)

    def reasons(self, query: Query, items: Tensor) -> Reasons:
        adds = self.adds[query.history].transpose(1, 2)  # (B, I, L)
        adds = adds / (1 + query.days()).unsqueeze(1)
        places = items.unsqueeze(2).expand(-1, -1, query.history.shape[1])
        return Reasons(adds.gather(1, places), items / 8)


def write_sums(folder: Path) -> Path:
    rows = [[SHELF.index(item) for item in BOUGHT[user]] for user in BUYERS]
    return write_recommender_bundle(
        folder,
        model=Sums(),
        user_ids=np.array(BUYERS),
        item_ids=np.array(SHELF),
        popularity=BUYERS_OF,
        history_indptr=np.cumsum([0, *map(len, rows)]),
        history_items=np.concatenate(rows).astype(int),
        history_age=np.concatenate([AGES[user] for user in BUYERS]).astype(np.float32),
        include_seen=True,
        item_names={"milk": "Milk, 1 l", "tea": "Tea"},
        provenance={"model": "Sums"},
        because=True,
    )


@pytest.fixture(scope="session")
def explaining(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that tells which purchases carry a recommendation."""
    return write_sums(tmp_path_factory.mktemp("exported") / "sums")


class Means(nn.Module):
    """The mean of the last four steps, plus what tells every input apart by arithmetic.

    Step h is forecast as mean + 100 x series index + hour of the day / 100 + the known covariates
    of that step; quantiles lie one below and one above.
    """

    history_length = 4
    horizon = 3
    quantiles = (0.1, 0.5, 0.9)
    step = "hour"

    def __init__(self, num_covariates: int) -> None:
        super().__init__()
        self.num_series, self.num_covariates = len(SERIES), num_covariates

    def forward(self, window: Window) -> Tensor:
        time = window.history.shape[1]
        y = nn.functional.pad(window.history, (4, 0), value=torch.nan)[:, -4:]
        known = ~torch.isnan(y)
        total = torch.where(known, y, 0).sum(1)
        mean = total / known.sum(1).clamp(min=1)  # (B,)
        step = window.start[:, None] // 3600 + time + torch.arange(3)  # (B, H)
        hour = (step % 24).float()
        ahead = torch.nan_to_num(window.covariates[:, -3:]).sum(2)  # (B, H)
        point = (mean + 100 * window.series)[:, None] + hour / 100 + ahead
        return point[:, :, None] + torch.tensor([-1.0, 0.0, 1.0])


SERIES = ["007", "7", "Zoë", "a,b"]


def write_forecaster(folder: Path, num_covariates: int) -> Path:
    generator = np.random.default_rng(0)
    windows = SampleWindows(
        np.arange(4),
        generator.poisson(20, (4, 6)).astype(np.float32),
        1_704_067_200 + 3600 * np.arange(4),
        generator.random((4, 9, num_covariates), dtype=np.float32),
    )
    return write_forecaster_bundle(
        folder,
        model=Means(num_covariates),
        series_ids=np.array(SERIES),
        step="hour",
        timezone="Europe/Berlin",
        covariate_names=["price", "promo"][:num_covariates],
        histories=windows,
        provenance={"model": "Means"},
    )


@pytest.fixture(scope="session")
def forecasters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two bundles: plain, and ahead, which reads price and promo."""
    folder = tmp_path_factory.mktemp("exported")
    write_forecaster(folder / "plain", 0)
    write_forecaster(folder / "ahead", 2)
    return folder


@pytest.fixture(scope="session")
def plain(forecasters: Path) -> Forecaster:
    return Forecaster(forecasters / "plain")


@pytest.fixture(scope="session")
def ahead(forecasters: Path) -> Forecaster:
    return Forecaster(forecasters / "ahead")
