"""Bundles that weigh purchases by their age: given beside a history, or stored with it."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.bundle.seen import Seen, write_seen
from recsys.errors import BundleError, DataError
from recsys.export import write_recommender_bundle
from recsys.inference import Recommender, verify
from recsys.inference.batch.recommend import recommend_file
from recsys.models.recommenders.personal_top_frequency import PersonalTopFrequency

USERS, ITEMS = ["a", "b", "c"], ["milk", "tea", "mug", "pen"]
# a: milk twice, long ago and in between, tea now; b: mug; c: nothing
INDPTR, BOUGHT = np.array([0, 3, 4, 4]), np.array([0, 0, 1, 2])
AGES = np.array([60, 30, 0, 15], dtype=np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recommender_bundle(
        tmp_path_factory.mktemp("exported") / "by_age",
        model=PersonalTopFrequency(len(USERS), len(ITEMS), half_life_days=30),
        user_ids=np.array(USERS),
        item_ids=np.array(ITEMS),
        popularity=np.array([1.0, 1, 1, 0]),
        history_indptr=INDPTR,
        history_items=BOUGHT,
        history_age=AGES,
        include_seen=True,
        item_names=None,
        provenance={"model": "PersonalTopFrequency"},
    )


@pytest.fixture(scope="module")
def by_age(folder: Path) -> Recommender:
    return Recommender(folder)


def test_given_ages_decide(by_age: Recommender) -> None:
    assert by_age.reads_age
    histories = [["milk", "milk", "tea"], ["tea"], []]
    items, scores = by_age.recommend(
        ["x", "y", "z"], 2, history=histories, history_age=[[60, 30, 0], [90.0], []]
    )
    assert items[:2, 0].tolist() == ["tea", "tea"]
    assert scores[0].tolist() == [1, 0.75]
    assert scores[1, 0] == 0.125
    assert items[2].tolist() == ["milk", "tea"]  # what is popular


def test_stored_purchases_are_as_old_as_at_the_end_of_the_training(by_age: Recommender) -> None:
    items, scores = by_age.recommend(["a", "b", "c"], 1)
    assert items[:, 0].tolist() == ["tea", "mug", "milk"]
    assert scores[:, 0].tolist() == pytest.approx([1, 0.5**0.5, 1])
    # beside one whose history is given
    items, scores = by_age.recommend(
        ["a", "a"], 1, history=[None, ["pen"]], history_age=[None, np.array([30])]
    )
    assert items[:, 0].tolist() == ["tea", "pen"]
    assert scores[:, 0].tolist() == [1, 0.5]


@pytest.mark.parametrize(
    ("ages", "error", "sentence"),
    [
        (None, ValueError, "reads history_age: give it, one number for each purchase"),
        ([[1]], ValueError, "history_age has 1 rows for 2 users"),
        ([[1], [2]], ValueError, "row 1: history_age holds 1 numbers for 2 items"),
        ([[1], [2, -1]], ValueError, "row 1: history_age holds -1: give a number of 0 or more"),
        ([[float("nan")], [2, 1]], ValueError, "row 0: history_age holds nan"),
        ([["x"], [2, 1]], TypeError, "history_age holds text"),
    ],
)
def test_wrong_ages_are_refused(
    by_age: Recommender, ages: Any, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        by_age.recommend(["a", "b"], history=[["tea"], ["tea", "mug"]], history_age=ages)


def test_a_bundle_that_does_not_read_ages_ignores_them(by_history: Recommender) -> None:
    plain = by_history.recommend(["?"], history=[["milk"]])
    aged = by_history.recommend(["?"], history=[["milk"]], history_age=[[3]])
    assert not by_history.reads_age
    assert plain[0].tolist() == aged[0].tolist()


def write_users(path: Path, columns: dict[str, list[Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
        return path
    cells = [
        ["" if value is None else value if isinstance(value, str) else json.dumps(value)
         for value in column]
        for column in columns.values()
    ]  # fmt: skip
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(columns), *zip(*cells, strict=True)])
    return path


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_file_of_users_tells_the_ages_beside_the_history(
    by_age: Recommender, tmp_path: Path, ending: str
) -> None:
    columns = {
        "user_id": ["x", "a", "z"],
        "history": [["milk", "milk", "tea"], None, ["pen"]],
        "history_age": [[60, 30, 0.5], None, [0]],
    }
    users = write_users(tmp_path / f"users{ending}", columns)
    output = tmp_path / "out.parquet"
    recommend_file(by_age, users, output, k=1)
    rows = pq.read_table(output).to_pylist()
    assert [(row["user_id"], row["item_id"]) for row in rows] == [
        ("x", "tea"),
        ("a", "tea"),
        ("z", "pen"),
    ]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("ages", "sentence"),
    [
        (None, "no column 'history_age', which this bundle needs"),
        ([[1], [1]], "(line 3|row 2): history_age holds 1 numbers for 2 items of history"),
        ([[1], [1, -2.0]], "(line 3|row 2): history_age holds -2.0: give a number of 0 or more"),
        ([["x"], ["y", "z"]], "history_age is (not|of type list.*) .*a list of numbers"),
    ],
)
def test_a_file_with_wrong_ages_is_refused(
    by_age: Recommender, tmp_path: Path, ending: str, ages: Any, sentence: str
) -> None:
    columns = {"user_id": ["x", "y"], "history": [["tea"], ["tea", "mug"]]}
    users = write_users(
        tmp_path / f"users{ending}", columns | ({"history_age": ages} if ages else {})
    )
    with pytest.raises(DataError, match=sentence):
        recommend_file(by_age, users, tmp_path / "out.csv")


def test_the_bundle_verifies(folder: Path) -> None:
    assert verify(folder).cases >= 6


def test_stored_purchases_without_ages_are_refused(tmp_path: Path) -> None:
    write_seen(tmp_path / "seen.npz", np.array(USERS), np.array(ITEMS), INDPTR, BOUGHT)
    with pytest.raises(BundleError, match="holds no age of purchases"):
        Seen((tmp_path / "seen.npz").read_bytes(), tmp_path / "seen.npz").take(
            np.array([0]), "history.age"
        )


def test_what_is_in_the_basket_was_bought_now(by_age: Recommender) -> None:
    _, scores = by_age.recommend(["x"], 4, history=[["milk"]], history_age=[[30]], basket=[["tea"]])
    assert scores[0].tolist()[0] == 0.5  # milk a half-life ago; tea is left out
    told = by_age.recommend(["x"], 4, history=[["milk"]], history_age=[[30]])
    assert told[1][0, 0] == 0.5
