"""Runs that tell suppliers and segments of customers apart."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.cli.compare import compare_command
from recsys.config.composition import compose
from recsys.errors import ConfigError
from recsys.runs.folder import RunFolder
from recsys.tasks.lifecycle import run_training


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Thirty customers buy six items of three brands; item 0 is bought most."""
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user}", f"i{item}", pd.Timestamp("2024-01-01") + pd.Timedelta(days=int(day)))
        for user in range(30)
        for item, day in zip([0, *rng.integers(0, 6, 6)], rng.integers(0, 90, 7), strict=True)
    ]
    monkeypatch.chdir(tmp_path)
    pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).to_csv("sales.csv", index=False)
    brands = ["own", "own", "other", "other", "third", None]
    items = pd.DataFrame({"item_id": [f"i{item}" for item in range(6)], "brand": brands})
    items["price"] = np.arange(6) + 0.5
    items.to_csv("items.csv", index=False)
    users = pd.DataFrame({"user_id": [f"u{user}" for user in range(29)]})
    users["age"], users["town"] = np.arange(20, 49), ["A", "B"] * 14 + ["A"]
    users.to_csv("users.csv", index=False)
    return tmp_path


def trained(folder: str, *more: str) -> RunFolder:
    settings = [
        "data=transactions",
        "data.path=sales.csv",
        "data.items.path=items.csv",
        "data.items.kinds={brand: category, price: number}",
        "data.users.path=users.csv",
        "data.users.kinds={town: category, age: number}",
        "evaluation.min_buyers=1",
        "evaluation.ks=[2]",
        "train.monitor=val/all/ndcg@2",
        "model=popularity",
        "logger=none",
        *more,
    ]
    return RunFolder.open(str(run_training(compose(settings), Path(folder))))


def test_exposure_of_brands_is_measured_said_and_shown(shop):
    asked = ["evaluation.exposure_column=brand", "evaluation.baselines=[item_knn]"]
    run, plain = trained("with", *asked), trained("without", "evaluation.baselines=[item_knn]")
    metrics, exposure = run.read_json("metrics.json"), run.read_json("exposure.json")
    assert (exposure["column"], exposure["k"]) == ("brand", 2)
    groups = exposure["views"]["all"]
    assert {each["name"] for each in groups} == {"own", "other", "third", ""}
    bought = [each["purchases"] for each in groups]
    assert bought == sorted(bought, reverse=True)
    assert sum(bought) == pytest.approx(1)
    # everybody is shown the same two items, in the same places
    buyers = np.bincount(np.unique(pairs_of(run), axis=0)[:, 1], minlength=6)
    brand = np.array(["own", "own", "other", "other", "third", ""])
    first, second = np.argsort(-buyers, kind="stable")[:2]
    weight = {first: 1.0, second: 1 / np.log2(3)}
    expected = {name: 0.0 for name in brand}
    for item, each in weight.items():
        expected[brand[item]] += each / sum(weight.values())
    assert {each["name"]: each["exposure"] for each in groups} == pytest.approx(expected)
    share = {name: buyers[brand == name].sum() / buyers.sum() for name in expected}
    gap = sum(abs(expected[name] - share[name]) for name in expected) / 2
    assert metrics["test/all/exposure_gap@2"] == pytest.approx(gap)
    assert "test/baselines/item_knn/new/exposure_gap@2" in metrics
    page = (run.path / "report.html").read_text()
    assert "Exposure by brand" in page
    assert "exposure gap@2: popularity" in page
    # nothing else moves
    before = plain.read_json("metrics.json")
    assert not any("exposure_gap" in key for key in before)
    same = [key for key in before if "seconds" not in key]
    assert {key: metrics[key] for key in same} == {key: before[key] for key in same}
    assert not (plain.path / "exposure.json").exists()


def pairs_of(run: RunFolder) -> np.ndarray:
    history = run.read_history()
    user = np.repeat(np.arange(len(history)), history.lengths().numpy())
    return np.column_stack([user, history.values.numpy()])


def test_customers_are_told_apart_by_a_column(shop):
    run = trained("town", "evaluation.segment_column=town")
    table = pd.read_parquet(run.path / "per_user.parquet")
    town = dict(zip((f"u{user}" for user in range(29)), ["A", "B"] * 14 + ["A"], strict=True))
    assert table["segment"].tolist() == [town.get(user, "") for user in table["user_id"]]
    assert "Customers by town" in (run.path / "report.html").read_text()
    trained("ease", "model=ease")  # the column is no part of the protocol
    compare_command(["runs=[town,ease]", "metric=all/ndcg@2", "output=found"], "recsys compare")
    slices = pd.read_csv("found/slices.csv").drop_duplicates("slice").set_index("slice")["units"]
    asked = table[table["view"] == "all"]
    assert slices["town: A"] == (asked["segment"] == "A").sum()
    assert slices["town: B"] == (asked["segment"] == "B").sum()


def test_numbers_are_told_apart_in_quarters(shop):
    table = pd.read_parquet(
        trained("age", "evaluation.segment_column=age").path / "per_user.parquet"
    )
    # 29 ages from 20 to 48 have the quartiles 27, 34 and 41
    parts = {"20 to 27", "28 to 34", "35 to 41", "42 to 48"}
    assert set(table["segment"]) - {""} == parts
    of_u8 = table.loc[table["user_id"] == "u8", "segment"]
    assert set(of_u8) <= {"28 to 34"}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("exposure_column=brnd", "exposure_column=brnd: the table of items has no such .* brand"),
        ("exposure_column=price", "exposure_column=price: its kind is number"),
        ("segment_column=city", "segment_column=city: the table of users has no such .* town"),
    ],
)
def test_a_column_that_cannot_tell_apart_is_named_before_anything_is_fitted(
    shop, setting, expected
):
    with pytest.raises(ConfigError, match=expected):
        trained("bad", f"evaluation.{setting}")
