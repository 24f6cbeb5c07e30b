"""Items that come after training, put into a bundle by what they are."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from recsys.data.attributes import AttributeTable
from recsys.data.interactions import PhaseData, index_phase
from recsys.data.item_columns import shipped_columns
from recsys.data.item_terms import ngrams_of
from recsys.data.item_terms import terms_of as terms_in_training
from recsys.data.schema import Column
from recsys.data.sources.presplit import presplit
from recsys.data.splits.presplit import Presplit
from recsys.errors import BundleError, ConfigError, DataError
from recsys.export import write_recommender_bundle
from recsys.inference import Recommender, Rules, adding, verify
from recsys.inference.commands import main
from recsys.inference.new_items import terms_of
from recsys.models.inputs import InputVocabulary
from recsys.models.recommenders.blend import Blend
from recsys.models.recommenders.content import Content
from recsys.models.recommenders.content_ials import ContentIALS
from recsys.models.recommenders.content_knn import ContentKNN
from recsys.models.recommenders.popularity import Popularity
from recsys.models.recommenders.two_tower import TwoTower

ITEMS = pd.DataFrame(
    [
        ("ale", "beer", ["drink", "cold"], "Pale ale", 2.5),
        ("tea", "tea", ["drink", "hot"], "Green tea", 3.0),
        ("cup", "ware", ["hot"], "Cup for tea", 6.0),
        ("pan", "ware", ["kitchen"], "Iron pan", 30.0),
        ("mug", "ware", ["hot", "drink"], "Mug, large", 8.0),
        # sold in the test alone
        ("new", "beer", ["drink", "unheard"], "Dark ALE", 2.0),
    ],
    columns=["item_id", "kind", "tags", "name", "price"],
)
TRAIN = [
    *(("ann", item) for item in ("ale", "tea", "mug")),
    *(("bob", item) for item in ("tea", "cup")),
    *(("cid", item) for item in ("pan", "cup")),
    ("dan", "ale"),
]
TEST = [("ann", "new"), ("bob", "mug")]
NODE = Path(__file__).parents[1] / "node"
OLD = [*ITEMS["item_id"]]
# of what is like new, of what is like nothing, and of what has a tag alone
ADDED = {
    "item_id": ["twin", "0815", "hat"],
    "kind": ["beer", None, ""],
    "tags": ["drink|unheard", None, ["hot"]],
    "name": ["Dark ALE", "", float("nan")],
    "price": [2.0, None, 5],
}


@pytest.fixture(scope="module")
def phase(tmp_path_factory: pytest.TempPathFactory) -> PhaseData:
    folder = tmp_path_factory.mktemp("shop")
    paths = []
    for name, rows in (("train", TRAIN), ("test", TEST)):
        paths.append(str(folder / f"{name}.csv"))
        pd.DataFrame(rows, columns=["user_id", "item_id"]).to_csv(paths[-1], index=False)
    read = presplit(*paths, items=AttributeTable(ITEMS))
    return index_phase(read, "test", Presplit()(read, 0)["test"], cold_items=True)


def content(phase: PhaseData, inputs: InputVocabulary) -> Any:
    size = phase.vocabulary.num_users, phase.vocabulary.num_items
    columns = ["kind", "tags", "name", "price"]
    model = Content(*size, inputs, columns, ngrams=["name"])
    model.fit(phase.interactions)
    return model


def content_knn(phase: PhaseData, inputs: InputVocabulary) -> Any:
    size = phase.vocabulary.num_users, phase.vocabulary.num_items
    model = ContentKNN(*size, inputs, num_neighbours=3)
    model.fit(phase.interactions)
    return model


def content_ials(phase: PhaseData, inputs: InputVocabulary) -> Any:
    size = phase.vocabulary.num_users, phase.vocabulary.num_items
    model = ContentIALS(*size, inputs, embedding_dim=4, num_neighbours=2)
    model.fit(phase.interactions)
    return model


def two_tower(phase: PhaseData, inputs: InputVocabulary) -> Any:
    size = phase.vocabulary.num_users, phase.vocabulary.num_items
    model = TwoTower(*size, inputs, embedding_dim=4, min_items=1, num_neighbours=3)
    model.observe(phase.interactions)
    torch.nn.init.normal_(model.bias)
    return model.eval()


def blend(phase: PhaseData, inputs: InputVocabulary) -> Any:
    size = phase.vocabulary.num_users, phase.vocabulary.num_items
    parts = {"popularity": Popularity, "content": Content}
    model = Blend(*size, inputs, parts, scale="max", stacked=True)
    model.observe(phase.interactions)
    for part in model.parts:
        part.fit(phase.interactions)
    model.set_weights(torch.tensor([[0.25, 0.5], [1.0, -0.25], [0.5, 0.0]]))
    return model


MODELS: dict[str, Callable[..., Any]] = {
    "content": content,
    "content_knn": content_knn,
    "content_ials": content_ials,
    "two_tower": two_tower,
    "blend": blend,
}


@pytest.fixture(scope="module")
def bundles(phase: PhaseData, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exported")
    history = phase.histories.history
    assert phase.columns is not None
    found = {}
    for name, build in MODELS.items():
        torch.manual_seed(0)
        inputs = InputVocabulary(columns=phase.columns)
        found[name] = write_recommender_bundle(
            folder / name,
            model=build(phase, inputs).eval(),
            user_ids=phase.vocabulary.user_ids,
            item_ids=phase.vocabulary.item_ids,
            popularity=phase.interactions.buyers.numpy(),
            history_indptr=history.indptr.numpy(),
            history_items=history.values.numpy(),
            include_seen=True,
            item_names={"ale": "Pale ale"},
            provenance={"model": name, "metrics": {}},
            inputs=inputs,
            because=name == "two_tower",
            item_columns=shipped_columns(phase.columns.dataset.items, phase.columns.indices.items),
            readings={"kind": "category", "tags": "list", "name": "text", "price": "number"},
            name_column="name",
        )
    return found


@pytest.fixture(scope="module")
def larger(bundles: dict[str, Path]) -> dict[str, Recommender]:
    return {
        name: Recommender(path).add_items(ADDED, path.with_name(f"{name}_larger"))
        for name, path in bundles.items()
    }


def scores(bundle: Recommender, history: list[str], user: str = "ann") -> dict[str, float]:
    items, found = bundle.recommend([user], k=100, history=[history])
    return dict(zip(items[0].tolist(), found[0].tolist(), strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_an_added_item_is_to_the_model_what_its_twin_is_that_nobody_had_bought(larger, name):
    for history in (["ale"], ["tea", "pan"], ["twin", "cup"], ["new", "cup"]):
        found = scores(larger[name], history)
        assert len(found) == len(OLD) + 3
        assert found["twin"] == pytest.approx(found["new"], abs=1e-5)
    # one knows customers by their ids, and no new item is a neighbour of an old one
    if name not in ("content_ials", "content_knn"):
        by_twin, by_new = scores(larger[name], ["twin"]), scores(larger[name], ["new"])
        assert by_twin == pytest.approx(by_new, abs=1e-5)
        assert by_twin["ale"] > by_twin["pan"]


@pytest.mark.parametrize("name", MODELS)
def test_old_answers_have_not_moved(bundles, larger, name):
    before = Recommender(bundles[name])
    for history in (["ale", "tea"], ["pan"], ["gone"]):
        then = before.recommend(["ann", "zoe"], k=6, history=[history] * 2)
        now = larger[name].recommend(["ann", "zoe"], k=6, history=[history] * 2, candidates=OLD)
        assert then[0].tolist() == now[0].tolist()
        np.testing.assert_allclose(then[1], now[1], atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_the_new_bundle_is_whole_and_its_samples_hold_new_items(larger, name):
    path = larger[name]._opened[0]
    samples = json.loads((path / "samples.json").read_text(encoding="utf-8"))["cases"]
    assert samples[-1]["name"] == "new items 1"
    assert {"twin", "0815", "hat"} == {item for row in samples[-1]["item_id"] for item in row} - {
        ""
    }
    assert verify(path).cases >= len(samples)
    manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["num_items"] == len(OLD) + 3
    assert [each["items"] for each in manifest["added_items"]] == [3]
    card = (path / "README.md").read_text(encoding="utf-8")
    assert "3 items were added to 6" in card
    assert f"recsys add bundle={name} items=" in card


def test_of_whom_nothing_is_known_gets_what_is_popular_and_new_items_last(larger):
    items, found = larger["content"].recommend(["zoe"], k=9, history=[[]])
    assert found[0].tolist() == [2, 2, 2, 1, 1, 0, 0, 0, 0]
    assert items[0].tolist()[-3:] == ["twin", "0815", "hat"]


def test_reasons_know_new_items_as_recommendations_and_as_purchases(larger):
    bundle = larger["two_tower"]
    found = bundle.reasons(["ann"], [["twin", "hat"]], history=[["ale", "twin"]], top=2)
    assert found.because[0, 0, 0] == "twin"
    # hat has the tag of tea and cup, of which neither ale nor twin has any
    assert found.contribution[0, 0, 0] > found.contribution[0, 1].max()


def test_rules_read_the_columns_of_new_items_and_people_their_names(larger):
    bundle = larger["content"]
    cheap = bundle.recommend(["ann"], k=9, history=[["ale"]], rules=Rules(maximum={"price": 2.4}))
    assert sorted(filter(None, cheap[0][0])) == ["new", "twin"]
    drinks = Rules(require={"tags": ["unheard"]})
    assert sorted(filter(None, bundle.recommend(["ann"], k=9, rules=drinks)[0][0])) == [
        "new",
        "twin",
    ]
    assert bundle.item_names == {"ale": "Pale ale", "twin": "Dark ALE"}


def test_a_bundle_takes_items_again_also_in_its_own_folder(bundles, tmp_path):
    first = Recommender(bundles["two_tower"]).add_items(ADDED, tmp_path / "grown")
    more = {"item_id": ["cap", "twin 2"], "kind": ["ware", "beer"], "tags": ["cold", "drink|x"]}
    more["name"] = ["", "dark ale"]
    second = first.add_items(more, tmp_path / "grown")
    assert second.num_items == len(OLD) + 5
    found = scores(second, ["ale", "cup"])
    assert found["twin 2"] == pytest.approx(found["new"], abs=1e-5)
    assert len(second.manifest["added_items"]) == 2


def test_an_item_of_ten_words_and_one_of_none_leave_no_hole(bundles, tmp_path):
    items = {
        "item_id": ["long", "short"],
        "name": ["pale green tea cup for iron pan mug large", ""],
    }
    bundle = Recommender(bundles["content"]).add_items(items, tmp_path / "words")
    assert scores(bundle, ["pan"])["long"] > 0
    assert scores(bundle, ["long"])["pan"] == pytest.approx(
        scores(bundle, ["pan"])["long"], rel=1e-5
    )
    assert scores(bundle, ["pan"])["short"] == 0


@pytest.mark.parametrize(
    ("items", "error", "sentence"),
    [
        ({"kind": ["beer"]}, ConfigError, "the items: there is no column item_id, but kind"),
        (
            {"item_id": ["x"], "colour": ["red"]},
            ConfigError,
            "the model reads kind, tags",
        ),
        ({"item_id": [], "kind": []}, DataError, "there is no row, so nothing was added"),
        (
            {"item_id": ["x", "x"], "kind": ["a", "b"]},
            DataError,
            "rows 1 and 2 are of",
        ),
        ({"item_id": ["x", None], "kind": ["a", "b"]}, DataError, "row 2 has the id None"),
        (
            {"item_id": ["x", "tea"], "kind": ["a", "b"]},
            DataError,
            r"1 of 2 items are .* \('tea'\)",
        ),
        (
            {"item_id": ["x", "y"], "kind": ["a"]},
            DataError,
            "'kind' has 1 values, and item_id has 2",
        ),
        (
            {"item_id": ["x"], "kind": ["a"], "price": ["dear"]},
            DataError,
            "row 1 has price='dear', which is no number",
        ),
    ],
)
def test_items_that_cannot_be_used_are_refused_and_nothing_is_written(
    bundles, tmp_path, items, error, sentence
):
    with pytest.raises(error, match=sentence):
        Recommender(bundles["content"]).add_items(items, tmp_path / "grown")
    assert not list(tmp_path.iterdir())


def test_a_bundle_that_would_answer_otherwise_is_not_written(bundles, tmp_path, monkeypatch):
    rows = adding.rows_of_items

    def doubled(*arguments: Any) -> Any:
        found = rows(*arguments)
        wrong = found.rows | {"items/item": np.zeros_like(found.rows["items/item"])}
        return found._replace(rows=wrong)

    monkeypatch.setattr(adding, "rows_of_items", doubled)
    with pytest.raises(BundleError, match="answers about old items would move, in the sample"):
        Recommender(bundles["content"]).add_items(ADDED, tmp_path / "grown")
    assert not list(tmp_path.iterdir())


def test_a_model_of_ids_takes_no_new_items(phase, tmp_path):
    history = phase.histories.history
    model = Popularity(phase.vocabulary.num_users, phase.vocabulary.num_items)
    model.fit(phase.interactions)
    path = write_recommender_bundle(
        tmp_path / "popular",
        model=model,
        user_ids=phase.vocabulary.user_ids,
        item_ids=phase.vocabulary.item_ids,
        popularity=phase.interactions.buyers.numpy(),
        history_indptr=history.indptr.numpy(),
        history_items=history.values.numpy(),
        include_seen=False,
        item_names=None,
        provenance={"model": "Popularity", "metrics": {}},
    )
    with pytest.raises(BundleError, match=r"model \(Popularity\) knows items by their ids alone"):
        Recommender(path).add_items(ADDED, tmp_path / "grown")


@pytest.mark.parametrize(
    "text", ["Pale ale, 0.5 l", "İstanbul café-au-lait", "日本 茶_1", "½ Pfund Käse!", "  ", "x²y"]
)
def test_words_are_those_of_training(text):
    values = np.array([text], dtype=object)
    column = Column("name", "text", values, None, "name")
    _, term, terms = terms_in_training(column)
    assert terms_of(text, "text") == list(dict.fromkeys(terms[term].tolist()))
    _, term, terms = ngrams_of(column)
    assert terms_of(text, "ngrams") == list(dict.fromkeys(terms[term].tolist()))


@pytest.mark.parametrize(("number", "range_"), [(1, "2"), (2, "2"), ("2.1", "5"), (7, "inf")])
def test_a_number_is_the_range_that_it_lies_in(number, range_):
    assert terms_of(number, "number", ["2", "5", "inf"]) == [range_]
    assert terms_of(float("nan"), "number", ["2", "5", "inf"]) == []


def test_the_command_reads_a_table_as_training_did_and_tells_what_it_did_not_use(
    bundles, tmp_path, capsys
):
    table = tmp_path / "new.csv"
    table.write_text("sku;tags;weight\ntwin;drink|unheard;3\n7;green;\n", encoding="utf-8")
    settings = [f"bundle={bundles['content']}", f"items={table}", f"output={tmp_path / 'grown'}"]
    more = ["separator=semicolon", "columns.item_id=sku"]
    assert main(["add", *settings, *more]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("2 items added in ")
    assert output.err.splitlines() == [
        "warning: the table has no column kind, price, name: they count as missing",
        "warning: nothing reads the column weight",
        "warning: of 1 of 2 items the model knows no term, so it cannot tell whom they suit: '7'",
    ]
    assert Recommender(tmp_path / "grown").num_items == len(OLD) + 2
    table.write_text("item_id,kind,tags\na,BEER,drink\nb,WARE,hot\n", encoding="utf-8")
    assert main(["add", *settings]) == 0
    said = "of the column kind no value is known from training: is it written as there?"
    assert said in capsys.readouterr().err
    table.write_text("sku\nx\n", encoding="utf-8")
    assert main(["add", *settings]) == 2
    assert "item_id" in capsys.readouterr().err


@pytest.mark.skipif(
    shutil.which("node") is None or not (NODE / "node_modules" / "onnxruntime-node").is_dir(),
    reason="onnxruntime-node is not installed: `make node` installs it",
)
def test_node_replays_samples_of_new_items(larger):
    paths = [str(bundle._opened[0]) for bundle in larger.values()]
    command = ["node", str(NODE / "replay.mjs"), *paths]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(": ok (") == len(MODELS)
