"""Models that serve what is new: an item that nobody bought, a customer whom nobody knows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array

from recsys.config.composition import compose
from recsys.data.attributes import AttributeTable
from recsys.data.interactions import PhaseData, index_phase
from recsys.data.shards import ALONE
from recsys.data.sources.presplit import presplit
from recsys.data.splits.presplit import Presplit
from recsys.inference import Recommender as Bundle
from recsys.models.inputs import InputVocabulary, Query, query_of
from recsys.models.recommenders.category_popularity import CategoryPopularity
from recsys.models.recommenders.content import Content
from recsys.models.recommenders.content_ials import ContentIALS
from recsys.models.recommenders.neighbours import nearest_rows
from recsys.models.recommenders.two_tower import TwoTower
from recsys.runs.folder import RunFolder
from recsys.tasks.lifecycle import export_run, run_training
from recsys.tasks.recommendation import Recommendation
from recsys.training.losses.full_softmax import FullSoftmax

# two tastes; new1 and new2 are sold in the test alone; plain has no tag
TAGS = {
    **{f"red{i}": ["red", f"r{i % 2}"] for i in range(6)},
    **{f"blue{i}": ["blue", f"b{i % 2}"] for i in range(6)},
    "new1": ["red", "r0"],
    "new2": ["blue", "b1"],
    "plain": [],
}
AGES = {f"u{i}": (30 if i % 2 else 60) for i in range(12)}


def rows() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Even customers buy red, odd ones blue, each three things of six."""
    train = [
        (f"u{i}", f"{'blue' if i % 2 else 'red'}{(i // 2 + step) % 6}")
        for i in range(12)
        for step in (0, 1, 3)
    ]
    test = [(f"u{i}", "new2" if i % 2 else "new1") for i in range(12)] + [("u0", "plain")]
    return train, test


@pytest.fixture
def phase(tmp_path: Path) -> PhaseData:
    paths = []
    for name, part in zip(("train", "test"), rows(), strict=True):
        paths.append(str(tmp_path / f"{name}.csv"))
        pd.DataFrame(part, columns=["user_id", "item_id"]).to_csv(paths[-1], index=False)
    items = AttributeTable(pd.DataFrame({"item_id": list(TAGS), "tags": list(TAGS.values())}))
    users = AttributeTable(pd.DataFrame({"user_id": list(AGES), "age": list(AGES.values())}))
    read = presplit(*paths, items=items, users=users)
    return index_phase(read, "test", Presplit()(read, 0)["test"], cold_items=True)


def built(kind: Any, phase: PhaseData, **settings: Any) -> Any:
    torch.manual_seed(0)
    inputs = InputVocabulary(columns=phase.columns)
    return kind(phase.vocabulary.num_users, phase.vocabulary.num_items, inputs, **settings)


def tower(phase: PhaseData, **settings: Any) -> TwoTower:
    model = built(TwoTower, phase, **{"embedding_dim": 8, "min_items": 1, **settings})
    model.observe(phase.interactions)
    return model


def query(phase: PhaseData, model: Any, user: list[int], ages: list[float] | None = None) -> Query:
    index = torch.tensor(user)
    known = torch.where(index < phase.vocabulary.num_users, index, 0)
    history = phase.histories.history.padded(known, phase.vocabulary.num_items)
    history = torch.where((index == known).unsqueeze(1), history, phase.vocabulary.num_items)
    column = {"users.age": torch.tensor([float("nan")] * len(user) if ages is None else ages)}
    return query_of(model, index, column, history)


def place(phase: PhaseData, item: str) -> int:
    return list(phase.vocabulary.item_ids).index(item)


def test_nearest_rows_are_those_with_the_highest_products_and_ties_go_to_the_lower_row():
    rows = csr_array(np.array([[1, 0], [0, 2]], dtype=np.float32))
    others = csr_array(np.array([[0, 3], [1, 1], [1, 0]], dtype=np.float32))
    found = nearest_rows(rows, others, 2)
    assert found.row.tolist() == [[1, 2], [0, 1]]
    assert found.similarity.tolist() == [[1, 1], [6, 2]]


def test_an_item_that_nobody_bought_has_the_factors_of_what_it_is_like(phase):
    model = built(ContentIALS, phase, embedding_dim=4, num_neighbours=3)
    model.fit(phase.interactions)
    table = model.factors.item.weight
    like = [place(phase, f"red{i}") for i in (0, 2, 4)]  # those with the tags red and r0
    expected = table[like].mean(dim=0)  # all three are as like
    assert torch.allclose(table[place(phase, "new1")], expected, atol=1e-6)
    assert torch.all(table[place(phase, "plain")] == 0)
    of_red = model.score_all(Query(torch.tensor([0]), torch.zeros(1, 0, dtype=torch.int64)))[0]
    assert of_red[place(phase, "new1")] > of_red[place(phase, "new2")]


def test_towers_without_factors_are_the_content_times_its_weight(phase):
    model = tower(phase, content_weight=7.0)
    with torch.no_grad():
        for table in (model.user, model.item, model.term_factors, *model.columns):
            table.weight.zero_()
    model.eval()
    content = built(Content, phase)
    content.fit(phase.interactions)
    asked = query(phase, model, [0, 1], [30.0, 60.0])
    assert torch.allclose(model.score_all(asked), 7 * content.score_all(asked), atol=1e-5)


def test_in_training_a_purchase_is_not_read_to_predict_itself(phase):
    model = tower(phase, content_weight=7.0, id_dropout=0.0, term_dropout=0.0).train()
    asked = query(phase, model, [0], [30.0])
    scores = model.score_all(asked)[0]
    bought = asked.history[0][asked.history[0] < phase.vocabulary.num_items]
    for item in bought:
        others = bought[bought != item].unsqueeze(0)
        without = Query(asked.user, others, None, asked.columns)
        alone = model.eval().score_all(without)[0][item]
        model.train()
        assert float(scores[item]) == pytest.approx(float(alone), abs=1e-4)


def test_unknown_ids_add_nothing_and_columns_and_purchases_still_count(phase):
    model = tower(phase).eval()
    unknown = phase.vocabulary.num_users
    nothing, young, old = (
        model.score_all(query(phase, model, [unknown], ages)) for ages in (None, [30.0], [60.0])
    )
    assert torch.equal(nothing[0], model.bias * model.known_items)
    assert not torch.allclose(young, nothing)
    assert not torch.allclose(young, old)
    served = model.serves(query(phase, model, [unknown, unknown, 0], [float("nan"), 30.0, 30.0]))
    assert served.tolist() == [False, True, True]


def test_an_item_without_a_buyer_has_the_ids_of_its_neighbours_and_no_bias(phase):
    model = tower(phase, min_items=None, num_neighbours=3, content_weight=0)
    with torch.no_grad():
        model.bias.fill_(5.0)
    model.eval()
    like = [place(phase, f"red{i}") for i in (0, 2, 4)]
    new = place(phase, "new1")
    assert torch.allclose(model.vectors[new], model.item.weight[like].mean(dim=0), atol=1e-6)
    nobody = query(phase, model, [phase.vocabulary.num_users])
    scores = model.score_all(nobody)[0]
    assert (scores[like[0]], scores[new]) == (5.0, 0.0)


def test_the_softmax_takes_no_item_that_nobody_bought_as_a_negative(phase):
    model = tower(phase, id_dropout=0.0, term_dropout=0.0)
    objective = FullSoftmax(batch_size=12).objective(model, phase.interactions, seed=0)
    batch = next(iter(objective.batches(torch.device("cpu"), lambda: 0, ALONE)))
    loss = objective.loss(model, batch)[0]
    with torch.no_grad():
        columns = {**batch.columns}
        history = batch.bags(batch.item, model.num_items)
        scores = model.score_all(query_of(model, batch.user, columns, history))
    fitted = scores[:, phase.interactions.buyers > 0]
    expected = fitted.logsumexp(dim=1)[batch.row] - scores[batch.row, batch.item]
    assert float(loss) == pytest.approx(float(expected.mean()), abs=1e-5)
    loss.backward()
    assert model.item.weight.grad is not None
    assert torch.all(model.item.weight.grad[phase.interactions.buyers == 0] == 0)


def test_a_customer_of_whom_only_a_column_is_known_is_served_by_it_from_a_bundle(tmp_path):
    train, test = rows()
    for name, part in (("train", train), ("test", [*train[:3], *test])):
        pd.DataFrame(part, columns=["user_id", "item_id"]).to_csv(
            tmp_path / f"{name}.csv", index=False
        )
    tags = {item: "|".join(each) for item, each in TAGS.items()}
    pd.DataFrame(tags.items(), columns=["item_id", "tags"]).to_csv(
        tmp_path / "items.csv", index=False
    )
    pd.DataFrame(AGES.items(), columns=["user_id", "age"]).to_csv(
        tmp_path / "users.csv", index=False
    )
    settings = [
        "data=presplit",
        *(f"data.{part}_path={tmp_path / part}.csv" for part in ("train", "test")),
        f"data.items.path={tmp_path / 'items.csv'}",
        "data.items.kinds={tags: list}",
        f"data.users.path={tmp_path / 'users.csv'}",
        "data.users.kinds={age: number}",
        "evaluation.views=[all,cold_items]",
        "model=two_tower",
        "model.embedding_dim=8",
        "train.max_epochs=40",
        "train.validate_every=40",
        "train.lr=0.05",
        "logger=none",
    ]
    folder = run_training(compose(settings), tmp_path / "run")
    run = RunFolder.open(str(folder))
    assert run.read_json("metrics.json")["test/cold_items/ndcg@10"] > 0.9
    model = Recommendation().load(run)
    assert [each.name for each in model.inputs] == ["user_id", "history", "users.age"]
    bundle = Bundle(export_run(folder, tmp_path / "bundle"))
    assert bundle.manifest["fallback"] == "all_unknown"
    ages = {"users.age": [30.0, 60.0, float("nan")]}
    items, _ = bundle.recommend(["nobody"] * 3, k=3, inputs=ages)
    assert {name.rstrip("0123456789") for name in items[0]} == {"blue"}  # who is 30 buys blue
    assert {name.rstrip("0123456789") for name in items[1]} == {"red"}
    told = bundle.answered_from(["nobody"] * 3, history=[[], ["blue1"], []], inputs=ages)
    assert told.tolist() == ["attributes", "purchases", "popularity"]
    _, scores = bundle.recommend(["nobody"], k=1)
    buyers = np.bincount(run.read_history().values.numpy())
    assert scores[0, 0] == buyers.max()  # nothing is known: what most bought


def test_category_popularity_by_hand(phase):
    # the first tag is the colour: six fitted items have each
    model = built(CategoryPopularity, phase, column="tags")
    model.fit(phase.interactions)
    found = model.score_all(query(phase, model, [0, 1]))
    red, new, other = (place(phase, item) for item in ("red5", "new1", "plain"))
    blue = place(phase, "blue0")
    buyers = phase.interactions.buyers
    assert found[0, red] == buyers[red]  # all of u0's purchases are red
    assert (found[0, blue], found[0, other]) == (0, 0)
    assert found[0, new] == sum(buyers[place(phase, f"red{i}")] for i in range(6)) / 6
    assert (found[1, red], found[1, new]) == (0, 0)


@pytest.mark.parametrize("kind", [TwoTower, ContentIALS])
def test_reasons_add_up_to_the_score_and_fall_on_what_is_like_the_item(phase, kind):
    if kind is TwoTower:
        model = tower(phase).eval()
        torch.nn.init.normal_(model.bias)
    else:
        model = built(ContentIALS, phase, embedding_dim=4)
        model.fit(phase.interactions)
    asked = query(phase, model, [0, 1, 5], [30.0, 60.0, float("nan")])
    history = phase.histories.history.padded(torch.tensor([0, 1, 5]), len(TAGS))
    repeated = torch.cat([history, history[:, :1], torch.full((3, 1), len(TAGS))], dim=1)
    asked = Query(asked.user, repeated, None, asked.columns)
    items = torch.tensor([[place(phase, "new1"), place(phase, "blue0"), 3]] * 3)
    purchases, rest = model.reasons(asked, items)
    torch.testing.assert_close(purchases.sum(dim=2) + rest, model(asked, items))
    assert purchases[:, :, -1].eq(0).all()  # padding
    # what was bought twice is shared among its purchases
    torch.testing.assert_close(purchases[:, :, 0], purchases[:, :, -2])
    red, blue = purchases[0, 0].sum(), purchases[1, 0].sum()  # of new1, which is red
    assert red > blue
