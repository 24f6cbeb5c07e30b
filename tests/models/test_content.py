"""Content-based recommendation by arithmetic, of items that nobody has, and in a bundle."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from recsys.config.composition import compose
from recsys.data.attributes import AttributeTable
from recsys.data.dataset import Dataset
from recsys.data.interactions import PhaseData, index_phase
from recsys.data.sources.presplit import presplit
from recsys.data.splits.presplit import Presplit
from recsys.errors import ConfigError
from recsys.evaluation.ranking import RankingEvaluator, evaluate
from recsys.export import write_recommender_bundle
from recsys.inference import Recommender as Bundle
from recsys.models.inputs import InputVocabulary, Query
from recsys.models.recommenders.content import Content
from recsys.models.recommenders.content_knn import ContentKNN
from recsys.models.recommenders.popularity import Popularity
from recsys.runs.folder import RunFolder
from recsys.tasks.lifecycle import run_training
from recsys.tasks.recommendation import Recommendation

# new is sold in the test alone, and has a tag that no fitted item has; cites names items
TAGS = {
    "ale": ["drink", "beer"],
    "tea": ["drink", "hot"],
    "cup": ["hot"],
    "pan": ["kitchen"],
    "new": ["beer", "unheard"],
    "odd": ["hot", "hot"],
}
CITES = {"ale": [], "tea": ["cup"], "cup": [], "pan": [], "new": ["pan"], "odd": []}
TRAIN = [("ann", "ale"), ("ann", "tea"), ("bob", "tea"), ("bob", "cup"), ("cid", "pan")]
TEST = [("ann", "new"), ("ann", "cup"), ("bob", "odd"), ("cid", "new")]


def dataset(folder: Path, items: pd.DataFrame | None = None) -> Dataset:
    paths = []
    for name, rows in (("train", TRAIN), ("test", TEST)):
        paths.append(str(folder / f"{name}.csv"))
        pd.DataFrame(rows, columns=["user_id", "item_id"]).to_csv(paths[-1], index=False)
    table = pd.DataFrame(
        {"item_id": list(TAGS), "tags": list(TAGS.values()), "cites": list(CITES.values())}
    )
    return presplit(*paths, items=AttributeTable(table if items is None else items))


def phase_of(folder: Path, items: pd.DataFrame) -> PhaseData:
    read = dataset(folder, items)
    return index_phase(read, "test", Presplit()(read, 0)["test"], cold_items=True)


@pytest.fixture
def phase(tmp_path: Path) -> PhaseData:
    read = dataset(tmp_path)
    return index_phase(read, "test", Presplit()(read, 0)["test"], cold_items=True)


def fitted(phase: PhaseData, **settings: Any) -> Content:
    size = phase.vocabulary.num_users, phase.vocabulary.num_items
    model = Content(*size, InputVocabulary(columns=phase.columns), **settings)
    model.fit(phase.interactions)
    return model.eval()


def scores(phase: PhaseData, model: Content, history: list[str]) -> dict[str, float]:
    ids = phase.vocabulary.item_ids.tolist()
    index = torch.tensor([[ids.index(each) for each in history]])
    found = model.score_all(Query(torch.tensor([0]), index))[0]
    return dict(zip(ids, found.tolist(), strict=True))


def test_scores_are_mean_cosines_of_weighted_terms(phase):
    # four items are fitted: drink and hot are in two of them, beer and kitchen in one
    two, one = math.log(4 / 2), math.log(4 / 1)
    ale = np.array([two, one]) / math.hypot(two, one)  # drink, beer
    tea = np.array([two, two]) / math.hypot(two, two)  # drink, hot
    found = scores(phase, fitted(phase, columns=["tags"], idf_power=1.0), ["ale", "tea"])
    ale_tea = ale[0] * tea[0]
    assert found["ale"] == pytest.approx((1 + ale_tea) / 2)
    assert found["cup"] == pytest.approx(tea[1] / 2)
    assert found["pan"] == 0
    # known by beer alone, as no fitted item has the other tag
    assert found["new"] == pytest.approx(ale[1] / 2)
    assert found["odd"] == pytest.approx(found["cup"])  # a tag that stands twice counts once


def test_rare_terms_count_more_with_a_higher_power(phase):
    low, high = (
        scores(phase, fitted(phase, columns=["tags"], idf_power=power), ["ale"])
        for power in (1.0, 2.0)
    )
    assert high["tea"] < low["tea"]  # by drink, which two have
    assert high["new"] > low["new"]  # by beer


def test_an_item_is_like_what_names_it(phase):
    without = scores(phase, fitted(phase), ["cup"])
    model = fitted(phase, references=["cites"])
    found = scores(phase, model, ["cup"])
    assert found["tea"] > without["tea"]
    assert scores(phase, model, ["pan"])["new"] > 0  # a cold item that names what was bought
    assert scores(phase, fitted(phase), ["pan"])["new"] == 0
    assert [each.source for each in model.item_inputs()] == ["items.tags", "references.cites"]


def test_words_are_alike_by_their_characters_where_that_is_asked(tmp_path):
    names = {"ale": "Buttermilch", "tea": "Milch", "cup": "Brot", "pan": "Milck"}
    phase = phase_of(tmp_path, pd.DataFrame({"item_id": [*names], "name": [*names.values()]}))
    assert scores(phase, fitted(phase), ["tea"])["ale"] == 0
    found = scores(phase, fitted(phase, ngrams=["name"]), ["tea"])
    # compound and misspelling have pieces of the word, bread has none
    assert found["ale"] > 0
    assert found["pan"] > 0
    assert found["cup"] == 0


def test_numbers_are_ranges_where_they_are_named(tmp_path):
    prices = {"ale": 1.0, "tea": 1.2, "cup": 8.0, "pan": 30.0, "new": 7.5}
    table = pd.DataFrame({"item_id": [*prices], "price": [*prices.values()], "kind": "x"})
    phase = phase_of(tmp_path, table)
    found = scores(phase, fitted(phase, columns=["price"]), ["cup"])
    # of four numbers every range up to the next one is one item's; 7.5 lies in that of 8
    assert found["new"] == pytest.approx(found["cup"])
    assert found["ale"] == found["pan"] == 0
    assert [each.name for each in fitted(phase).item_inputs()] == ["items.kind"]


def test_candidates_score_as_the_catalogue_does(phase):
    model = fitted(phase)
    query = Query(torch.tensor([0]), torch.tensor([[0, 3, 6]]))
    items = torch.tensor([[4, 0, 2]])
    torch.testing.assert_close(model.forward(query, items), model.score_all(query).gather(1, items))
    empty = Query(torch.tensor([0]), torch.zeros(1, 0, dtype=torch.int64))
    assert model.score_all(empty).abs().sum() == 0


def test_cold_items_are_ranked_among_themselves_and_in_no_other_view(phase):
    ids = phase.vocabulary.item_ids
    assert phase.cold is not None
    assert sorted(ids[phase.cold.numpy()]) == ["new", "odd"]
    found = evaluate(fitted(phase), phase, views=("new", "all", "cold_items"), ks=(1,)).metrics
    # ann and cid have what is like new (cid nothing, and new comes first), bob what is like odd
    assert found["cold_items/users"] == 3
    assert found["cold_items/hit_rate@1"] == 1
    assert found["new/users"] == found["all/users"] == 1  # ann bought cup
    assert found["new/ndcg@1"] == 1


def test_other_views_are_what_they_are_without_cold_items(tmp_path, phase):
    read = dataset(tmp_path)
    without = index_phase(read, "test", Presplit()(read, 0)["test"])
    views = ("new", "all")
    one = evaluate(fitted(phase), phase, views=views, ks=(1, 3)).metrics
    other = evaluate(fitted(without), without, views=views, ks=(1, 3)).metrics
    assert one == other  # coverage and Gini too: no list could have shown a cold item


def test_there_is_no_cold_view_where_the_phase_has_no_cold_items(tmp_path):
    read = dataset(tmp_path)
    phase = index_phase(read, "test", Presplit()(read, 0)["test"])
    model = Popularity(phase.vocabulary.num_users, phase.vocabulary.num_items)
    model.fit(phase.interactions)
    found = evaluate(model, phase, views=("all", "cold_items"), ks=(1,)).metrics
    assert not [key for key in found if key.startswith("cold_items")]
    evaluator = RankingEvaluator(phase, views=("all",), ks=(1,), device=torch.device("cpu"))
    assert not evaluator.has_truth("cold_items")


def test_the_graph_answers_as_torch_does_although_it_computes_otherwise(tmp_path, phase):
    model = fitted(phase, references=["cites"])
    ids = phase.vocabulary.item_ids
    history = phase.histories.history
    folder = write_recommender_bundle(
        tmp_path / "content",
        model=model,
        user_ids=phase.vocabulary.user_ids,
        item_ids=ids,
        popularity=phase.interactions.buyers.numpy(),
        history_indptr=history.indptr.numpy(),
        history_items=history.values.numpy(),
        include_seen=False,
        item_names=None,
        provenance={"model": "Content", "metrics": {}},
    )
    items, found = Bundle(folder).recommend(["x"], k=len(ids), history=[["pan", "tea"]])
    expected = scores(phase, model, ["pan", "tea"])
    for item, score in zip(items[0], found[0], strict=True):
        assert score == pytest.approx(expected[item], abs=1e-6)


def test_neighbours_count_by_their_share_of_what_is_like_the_item(phase):
    size = phase.vocabulary.num_users, phase.vocabulary.num_items
    model = ContentKNN(*size, InputVocabulary(columns=phase.columns), ["tags"], idf_power=1.0)
    model.fit(phase.interactions)
    # of tea: ale by drink and cup by hot, each tag in two of four items; ale has beer beside
    two, one = math.log(4 / 2), math.log(4 / 1)
    of_ale = two / math.hypot(two, one) / math.sqrt(2)
    of_cup = 1 / math.sqrt(2)
    assert scores(phase, model, ["cup"])["tea"] == pytest.approx(of_cup / (of_ale + of_cup))
    assert scores(phase, model, ["cup", "ale", "pan"])["tea"] == pytest.approx(1)
    # an item is no neighbour of itself, and one without a tag in common has none
    assert scores(phase, model, ["tea"])["tea"] == 0
    assert scores(phase, model, ["ale", "tea", "cup"])["pan"] == 0
    # of whom nothing is known but what nobody had bought: popular items are better than none
    ids = phase.vocabulary.item_ids.tolist()
    histories = torch.tensor([[ids.index("new"), 6], [ids.index("ale"), ids.index("new")]])
    assert model.serves(Query(torch.tensor([0, 0]), histories)).tolist() == [False, True]
    query = Query(torch.tensor([0]), torch.tensor([[1, 0, 1, 6]]))
    items = torch.arange(6).unsqueeze(0)
    purchases, rest = model.reasons(query, items)
    torch.testing.assert_close(purchases.sum(dim=2) + rest, model(query, items))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": ["price"]}, "column 'price' of the items, and it has tags, cites"),
        ({"references": ["set"]}, "not among the columns that the model reads, which are tags"),
        ({"columns": "tags"}, "it has to be a list"),
        ({"ngrams": ["tags"]}, "model.ngrams names the items' column 'tags', and its kind is list"),
        ({"ngrams": ["name"]}, "not among the columns that the model reads, which are tags"),
        ({"columns": []}, "the data has none with categories, lists or text"),
    ],
)
def test_columns_that_cannot_be_read_are_named(phase, settings, message):
    with pytest.raises(ConfigError, match=message):
        fitted(phase, **settings)


def test_a_run_is_stored_and_loaded_with_its_terms(tmp_path):
    dataset(tmp_path)
    table = pd.DataFrame(
        {"item_id": list(TAGS), "tags": ["|".join(tags) for tags in TAGS.values()]}
    )
    table.to_csv(tmp_path / "items.csv", index=False)
    paths = [f"data.{part}_path={tmp_path / part}.csv" for part in ("train", "test")]
    items = [f"data.items.path={tmp_path / 'items.csv'}", "data.items.kinds={tags: list}"]
    overrides = [
        "data=presplit",
        "evaluation.views=[all,cold_items]",
        "logger=none",
        *paths,
        *items,
    ]
    baselines = "evaluation.baselines=[popularity,content]"
    folder = run_training(compose([*overrides, "model=content", baselines]), tmp_path / "run")
    run = RunFolder.open(str(folder))
    model = Recommendation().load(run)
    assert model.score_all(Query(torch.tensor([0]), torch.tensor([[0]]))).max() == pytest.approx(1)
    metrics = run.read_json("metrics.json")
    cold = metrics["test/cold_items/ndcg@10"]
    assert metrics["test/baselines/content/cold_items/ndcg@10"] == cold
    # who knows buyers alone has no order of them
    assert "test/baselines/popularity/all/ndcg@10" in metrics
    assert "test/baselines/popularity/cold_items/ndcg@10" not in metrics
    assert "cold items" in (folder / "report.html").read_text()
    with pytest.raises(ConfigError, match="model=popularity knows only items that were bought"):
        run_training(
            compose([*overrides, "model=popularity", "evaluation.views=[cold_items]"]),
            tmp_path / "other",
        )
    with pytest.warns(UserWarning, match="cold_items is left out, because model=popularity knows"):
        run_training(compose([*overrides, "model=popularity"]), tmp_path / "other")
