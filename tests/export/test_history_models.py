"""Models of histories leave whole: the age of purchases is an input where it matters."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.errors import ExportError
from recsys.export import write_recommender_bundle
from recsys.export.recommender.graph import build_graph
from recsys.export.recommender.histories import Histories
from recsys.export.recommender.parity import Catalogue, check_parity
from recsys.inference import verify
from recsys.inference.bundle import open_session
from recsys.models.recommenders.autoencoder import Autoencoder
from recsys.models.recommenders.next_purchase import NextPurchase
from recsys.models.recommenders.personal_top_frequency import PersonalTopFrequency
from recsys.models.recommenders.sasrec import SASRec

INDPTR = np.array([0, 3, 3, 5, 6, 7, 8, 10])
BOUGHT = np.array([3, 3, 8, 4, 9, 1, 2, 0, 5, 5])
AGES = np.array([40.0, 7, 0, 90, 90, 3, 200, 1, 30, 2], dtype=np.float32)
USERS, ITEMS = 7, 10


def randomised(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def next_purchase() -> nn.Module:
    model = NextPurchase(USERS, ITEMS, embedding_dim=4, hidden_dim=8)
    history = Ragged(torch.from_numpy(INDPTR), torch.from_numpy(BOUGHT))
    model.observe(Interactions(history, ITEMS, torch.from_numpy(500 - AGES).int()))
    return randomised(model)


def recency(half_life_days: float = 30) -> PersonalTopFrequency:
    model = PersonalTopFrequency(USERS, ITEMS, half_life_days)
    return model.eval()


MODELS = {
    "autoencoder": lambda: randomised(Autoencoder(USERS, ITEMS, embedding_dim=4)),
    "sasrec": lambda: randomised(SASRec(USERS, ITEMS, embedding_dim=4, max_length=4)),
    "next_purchase": next_purchase,
    "personal_recency": recency,
}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_of_histories_leaves_and_answers_as_torch_does(
    folder: Path, bundle_arguments: dict[str, Any], name: str
) -> None:
    history = {"history_indptr": INDPTR, "history_items": BOUGHT, "history_age": AGES}
    write_recommender_bundle(folder, **bundle_arguments | history | {"model": MODELS[name]()})
    assert verify(folder).largest_difference < 1e-5
    manifest = json.loads((folder / "manifest.json").read_text())
    reads_age = name in ("next_purchase", "personal_recency")
    names = [
        "user_id",
        "history",
        *(["history_age"] if reads_age else []),
        "exclude",
        "allowed",
        "k",
    ]
    assert [value["name"] for value in manifest["inputs"]] == names
    assert manifest["reads_age"] == reads_age
    card = (folder / "README.md").read_text()
    assert ("history_age=[[30, 2]]" in card) == ("history_age: new ort" in card) == reads_age
    samples = json.loads((folder / "samples.json").read_text())["cases"]
    assert all(("history_age" in case) == reads_age for case in samples)


def ask(model: nn.Module, vocabulary: Catalogue, history: list[str], age: list[float]) -> Any:
    session = open_session(build_graph(model, *vocabulary).SerializeToString())  # type: ignore[arg-type]
    return session.run(
        ["item_id", "score"],
        {
            "user_id": np.array(["?"], dtype=object),
            "history": np.array([history], dtype=object),
            "history_age": np.array([age], dtype=np.float32),
            "exclude": np.empty((1, 0), dtype=object),
            "allowed": np.empty((1, 0), dtype=object),
            "k": np.array([2], dtype=np.int64),
        },
    )


def test_the_graph_weighs_purchases_by_their_age(vocabulary: Catalogue) -> None:
    items, scores = ask(recency(), vocabulary, ["12", "milk", "12"], [60, 0, 30])
    # half-lives of 30 days: "12" counts a quarter and a half, "milk" 1
    assert items.tolist() == [["milk", "12"]]
    assert scores.tolist() == [[1, 0.75]]


def test_ages_of_padding_and_of_unknown_items_change_nothing(vocabulary: Catalogue) -> None:
    for model in (recency(), next_purchase()):
        _, plain = ask(model, vocabulary, ["12", "milk"], [60, 3])
        _, padded = ask(model, vocabulary, ["", "12", "?!", "milk"], [500, 60, 999, 3])
        np.testing.assert_allclose(padded, plain, atol=1e-5)


def test_a_graph_that_weighs_ages_otherwise_is_refused(vocabulary: Catalogue) -> None:
    session = open_session(build_graph(recency(60), *vocabulary).SerializeToString())
    histories = Histories(INDPTR, BOUGHT, {"history_age": AGES})
    with pytest.raises(ExportError, match="disagrees with torch"):
        check_parity(session, recency(30), vocabulary, histories)


@pytest.mark.parametrize("ages", [None, AGES[1:], -AGES, np.full(10, np.nan)])
def test_export_of_a_model_that_reads_ages_fails_without_them(
    folder: Path, bundle_arguments: dict[str, Any], ages: Any
) -> None:
    history = {"history_indptr": INDPTR, "history_items": BOUGHT, "history_age": ages}
    with pytest.raises(ExportError, match="history_age is not a number of 0 or more"):
        write_recommender_bundle(folder, **bundle_arguments | history | {"model": recency()})
    assert not folder.exists()
