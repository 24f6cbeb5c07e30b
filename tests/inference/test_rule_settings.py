"""Rules of the shop on the command line, and columns of items from files."""

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from recsys.inference.commands import main
from recsys.inference.rule_settings import RuleArguments
from recsys.inference.rules import Rules


def recommend(bundle: Path, tmp_path: Path, *settings: str, users: str = "user_id\n007\n") -> int:
    (tmp_path / "users.csv").write_text(users, encoding="utf-8")
    given = [f"users={tmp_path / 'users.csv'}", f"output={tmp_path / 'output.csv'}", *settings]
    return main(["recommend", f"bundle={bundle}", *given])


def written(tmp_path: Path) -> list[str]:
    with (tmp_path / "output.csv").open(encoding="utf-8", newline="") as file:
        return [row["item_id"] for row in csv.DictReader(file)]


def test_settings_are_rules() -> None:
    given = RuleArguments(
        minimum={"stock": "1"},
        maximum={"price": "9.5"},
        require={"brand": "own|national brand"},
        max_per_category={"department": "2"},
        boost={"brand": "own:.2|a:b:-1"},
        diversity=0.3,
        diversity_columns="brand|department",
        calibration=0.5,
        calibration_column="department",
        max_share=0.1,
        pool=50,
    )
    assert given.rules() == Rules(
        minimum={"stock": 1},
        maximum={"price": 9.5},
        require={"brand": ["own", "national brand"]},
        max_per_category={"department": 2},
        boost={"brand": {"own": 0.2, "a:b": -1}},
        diversity=0.3,
        diversity_columns=["brand", "department"],
        calibration=0.5,
        calibration_column="department",
        max_share=0.1,
        pool=50,
    )
    assert RuleArguments().rules() is None


@pytest.mark.parametrize(
    ("settings", "items"),
    [
        (["max_per_category.department=1", "k=4"], ["last", "日本", 'say "hi"', "12"]),
        (["minimum.price=5", "maximum.price=6"], ["crème brûlée", "NA"]),
        (["require.tags=new|bio", "forbid.item_id=12"], [" milk", "milk"]),
        (["boost.department=dairy:2", "k=2"], ["12", "0012"]),
        (["diversity=1", "diversity_method=dpp", "diversity_columns=department", "pool=3", "k=2"],
         ["last", "日本"]),
        (["calibration=.99", "calibration_column=department", "k=2"], ["12", "0012"]),
    ],
)  # fmt: skip
def test_rules_are_obeyed(
    bundles: Path, tmp_path: Path, settings: list[str], items: list[str]
) -> None:
    assert recommend(bundles / "with_columns", tmp_path, *settings) == 0
    assert written(tmp_path) == items


def test_users_who_got_what_is_popular_are_counted_behind_rules_too(
    bundles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    users = "user_id\n007\nnobody\n7\n"
    settings = ["max_per_category.department=1", "max_share=.4", "k=2"]
    assert recommend(bundles / "with_columns", tmp_path, *settings, users=users) == 0
    assert capsys.readouterr().out.startswith("3 users (2 known), 6 rows in ")


def test_stock_and_prices_of_today_come_from_a_file(bundles: Path, tmp_path: Path) -> None:
    items = tmp_path / "items.csv"
    items.write_text(
        "item_id,stock,price,supplier\n12,3,1.5,a\nlast,0,2,a\nmilk,9,,b\ngone,1,1,c\n"
    )
    settings = [f"items={items}", "minimum.stock=1"]
    assert recommend(bundles / "with_columns", tmp_path, *settings) == 0
    assert written(tmp_path) == ["12", "milk"]
    # the file's prices stand in place of the bundle's: milk has none
    assert recommend(bundles / "with_columns", tmp_path, *settings, "maximum.price=5") == 0
    assert written(tmp_path) == ["12"]
    assert recommend(bundles / "by_user", tmp_path, *settings, "max_per_category.supplier=1") == 0
    assert written(tmp_path) == ["12", "milk"]
    typed = tmp_path / "items.parquet"
    columns = {"item_id": ["12", "last"], "stock": [1, 2], "tags": [["x"], ["y", "x"]]}
    pa.parquet.write_table(pa.table(columns), typed)
    settings = [f"items={typed}", "minimum.stock=1", "require.tags=y"]
    assert recommend(bundles / "with_columns", tmp_path, *settings) == 0
    assert written(tmp_path) == ["last"]


def test_baskets_stand_in_a_column_of_users(
    bundles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    users = 'user_id,cart\n007,"[""last"", ""日本""]"\n7,\n'
    settings = ["basket=cart", "k=1"]
    assert recommend(bundles / "by_user", tmp_path, *settings, users=users) == 0
    assert written(tmp_path) == ["a,b", "日本"]
    assert recommend(bundles / "by_user", tmp_path, "basket=trolley", users=users) == 2
    assert "users.csv has no such column; it has user_id, cart" in capsys.readouterr().err
    assert recommend(bundles / "by_user", tmp_path, "basket=user_id", users=users) == 2
    assert "basket=user_id is a column that is read as something else" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["minimum.price=cheap"], "minimum.price='cheap' is not a number"),
        (["max_per_category.department=two"], "is not a whole number"),
        (["max_per_category=2"], "max_per_category is given as max_per_category.NAME="),
        (["boost.department=dairy"], "boost.department='dairy': write VALUE:NUMBER, such as"),
        (["diversity=2"], "rules: diversity=2.0 has to be from 0 to 1"),
        (["diversity_method=dpp"], "diversity_method has no effect without diversity="),
        (["items=items.csv"], "items=items.csv has no effect: no rule reads a column"),
        (["minimum.stock=1"], "rules: minimum: 'stock' is not a known column of the items"),
        (["minimum.stock=1", "items={tmp}/items.csv"], "has no effect: the rules name stock, and"),
        (["minimum.price=1", "items={tmp}/twice.csv"], "has two rows of one item_id"),
        (["minimum.price=1", "items={tmp}/words.csv"], "words.csv, line 2: price is 'dear'"),
        (["minimum.price=1", "items={tmp}/others.csv"], "none of them is in the catalogue"),
    ],
)
def test_mistakes_are_one_sentence(
    bundles: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    settings: list[str],
    sentence: str,
) -> None:
    (tmp_path / "items.csv").write_text("item_id,price\n12,1\n")
    (tmp_path / "twice.csv").write_text("item_id,price\n12,1\n12,2\n")
    (tmp_path / "words.csv").write_text("item_id,price\n12,dear\n")
    (tmp_path / "others.csv").write_text("item_id,price\nx,1\n")
    given = [each.format(tmp=tmp_path) for each in settings]
    assert recommend(bundles / "with_columns", tmp_path, *given) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
