"""Every column of the events, and tables of users and items, reach the dataset with a kind."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recsys.data import tables
from recsys.data.attributes import AttributeTable
from recsys.data.dataset import Dataset
from recsys.data.events import columns_of
from recsys.data.schema import NO_DATE, Columns, Kind
from recsys.data.sources.complete_journey import complete_journey
from recsys.data.sources.movielens import movielens_100k
from recsys.data.sources.transactions import transactions, transactions_sales
from recsys.data.tables import TableSource
from recsys.errors import ConfigError, DataError

COLUMNS = {"user_id": "customer", "item_id": "sku", "quantity": "pieces", "basket_id": "ticket"}
EVENTS = pd.DataFrame(
    {
        "customer": ["007", "7", "007", "8"],
        "sku": ["a", "b", "b", "c"],
        "pieces": [1, 2, 0, 1],  # the third is no purchase
        "ticket": [10, 11, 11, 12],
        "channel": ["web", "shop", "app", ""],
        "discount": ["0.5", "", "1", "-2"],
        "sent": ["2024-01-01", "2024-01-02", "", "1970-01-02"],
        "post code": ["01", "02", "02", "01"],
    }
)


def read(events: pd.DataFrame | pa.Table | Path = EVENTS, **options: object) -> Dataset:
    path = str(events) if isinstance(events, Path) else events
    return transactions(path, COLUMNS, **options)  # type: ignore[arg-type]


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    EVENTS.to_csv(tmp_path / "events.csv", index=False)
    return tmp_path / "events.csv"


def shown(columns: Columns, name: str) -> list[object]:
    """Values of a column, ids and categories by name."""
    column = columns[name]
    if column.categories is None:
        return list(column.values)
    return [None if code < 0 else column.categories[code] for code in column.values]


def test_further_columns_are_context_of_the_rows_that_stay(csv: Path) -> None:
    context = read(csv).context
    assert list(context) == ["basket_id", "channel", "discount", "sent", "post code"]
    assert shown(context, "basket_id") == ["10", "11", "12"]
    assert shown(context, "channel") == ["web", "shop", None]
    np.testing.assert_array_equal(context["discount"].values, np.float32([0.5, np.nan, -2]))
    assert shown(context, "sent") == [1704067200, 1704153600, 86400]
    assert shown(context, "post code") == ["01", "02", "01"]


def test_cells_of_a_csv_decide_the_kind(csv: Path) -> None:
    context = read(csv).context
    kinds = {name: context[name].kind for name in context}
    assert kinds == {
        "basket_id": "id",
        "channel": "category",
        "discount": "number",
        "sent": "date",
        "post code": "category",  # as numbers they would lose their zeros
    }
    assert NO_DATE in read(csv.parent / "events.csv").context.take(np.array([-1]))["sent"].values


def test_a_column_is_read_when_asked_for_and_once(
    csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    original = tables.TableSource.read

    def noted(self: tables.TableSource, names: list[str], *rest: object) -> pa.Table:
        asked.extend(names)
        return original(self, names, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(tables.TableSource, "read", noted)
    dataset = read(csv)
    assert asked == ["customer", "sku", "pieces"]
    assert shown(dataset.context, "channel") == shown(dataset.context, "channel")
    assert asked[3:] == ["channel"]


def test_a_file_that_has_changed_since_is_noticed(csv: Path) -> None:
    dataset = read(csv)
    EVENTS.iloc[:2].to_csv(csv, index=False)
    with pytest.raises(DataError, match=r"events\.csv has other rows.*'channel'"):
        dataset.context["channel"]


@pytest.mark.parametrize("table", [EVENTS, pa.Table.from_pandas(EVENTS)])
def test_a_frame_and_an_arrow_table_are_tables_too(table: pd.DataFrame | pa.Table) -> None:
    dataset = read(table)
    assert list(dataset.user_ids) == ["7", "8", "007"]
    assert dataset.report.source == "a table in memory"
    assert shown(dataset.context, "channel") == ["web", "shop", None]


def test_a_frame_keeps_the_integers_beside_a_gap() -> None:
    frame = EVENTS.assign(customer=[7, np.nan, 900, 8])
    assert list(read(frame).user_ids) == ["7", "8"]


def test_the_user_has_the_last_word_on_kinds_and_columns(csv: Path) -> None:
    dataset = read(csv, kinds={"discount": "category"}, ignore=["sent"])
    assert shown(dataset.context, "discount") == ["0.5", None, "-2"]
    assert "sent" not in dataset.context
    assert dataset.report.to_json()["columns"]["events"]["sent"]["role"] == "ignored"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": {"chanel": "category"}}, r"^data\.kinds: there is no further column 'chanel'"),
        ({"ignore": ["customer"]}, r"^data\.ignore: there is no further column 'customer'"),
        ({"kinds": {"channel": "colour"}}, r"^data\.kinds\.channel=colour: choose id, category"),
    ],
)
def test_a_wrong_name_or_kind_is_one_sentence(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(EVENTS, **options)


def test_a_kind_that_does_not_fit_names_the_cell(csv: Path) -> None:
    dataset = read(csv, kinds={"channel": "number"})
    with pytest.raises(DataError, match="'channel' of events.csv .* data row 1 holds 'web'"):
        dataset.context["channel"]


def test_a_date_that_is_a_number_says_what_to_do(tmp_path: Path) -> None:
    table = pa.table({"user_id": ["a"], "item_id": ["x"], "sent": [1_704_067_200]})
    dataset = transactions(table, {}, kinds={"sent": "date"})
    with pytest.raises(
        DataError,
        match="'sent' of .* is read as a date, but holds numbers such as 1704067200, and only"
        r" data\.timestamp_unit, .* write it as 2024-01-31, or choose .* data\.kinds\.sent=number",
    ):
        dataset.context["sent"]
    days = pa.table({"item_id": ["x", "y"], "since": ["01/02/2024", "02/03/2024"]})
    with pytest.raises(DataError, match=r"'since' of .* read as a date, but .*2024-01-31"):
        transactions(table, {}, items=AttributeTable(days, kinds={"since": "date"}))
    days = pa.table({"item_id": ["x"], "since": [20240131]})
    read = transactions(table, {}, items=AttributeTable(days, kinds={"since": "date"}))
    assert read.items["since"].values.tolist() == [1_706_659_200]


def items(**options: object) -> AttributeTable:
    table = pd.DataFrame(
        {
            "article": ["c", "a", "z"],
            "title": ["Cap", "Apron", "Zip"],
            "brand": ["x", None, "x"],
            "weight": [1.5, 2.0, 3.0],
        }
    )
    columns: dict[str, str | None] = {"item_id": "article", "name": "title"}
    return AttributeTable(table, columns, **options)  # type: ignore[arg-type]


def test_rows_of_items_meet_the_ids_of_the_events() -> None:
    dataset = read(items=items())
    assert list(dataset.item_ids) == ["a", "b", "c"]
    assert shown(dataset.items, "brand") == [None, None, "x"]
    np.testing.assert_array_equal(dataset.items["weight"].values, [2, np.nan, 1.5])
    assert dataset.item_names == {"a": "Apron", "c": "Cap"}
    assert dataset.report.attributes == {
        "items": {"rows": 3, "rows_of_unknown_ids": 1, "ids_without_row": 1}
    }


def test_ids_are_joined_as_strings(tmp_path: Path) -> None:
    pd.DataFrame({"customer": ["007", "7"], "income": ["low", "high"]}).to_csv(
        tmp_path / "users.csv", index=False, sep=";"
    )
    users = AttributeTable(str(tmp_path / "users.csv"), {"user_id": "customer"}, separator=";")
    dataset = read(users=users)
    assert list(dataset.user_ids) == ["7", "8", "007"]
    assert shown(dataset.users, "income") == ["high", None, "low"]


def test_two_rows_of_one_id_are_refused() -> None:
    twice = pd.DataFrame({"item_id": [1, 2, 1]})
    with pytest.raises(DataError, match=r"^data\.items\.path: .* row of item_id '1' .* row 3"):
        read(items=AttributeTable(twice))


@pytest.mark.parametrize("ids", ["7\n8\n7\n", '7\n8\n""\n'])
def test_a_row_of_a_text_file_is_named_by_its_line(tmp_path: Path, ids: str) -> None:
    (tmp_path / "users.csv").write_text(f"user_id\n{ids}")
    with pytest.raises(DataError, match=r"^data\.users\.path: .*line 4"):
        read(users=AttributeTable(str(tmp_path / "users.csv")))


def test_the_report_states_role_and_kind_of_every_column(csv: Path) -> None:
    dataset = read(csv, items=items())
    dataset.context["channel"]
    columns = dataset.report.to_json()["columns"]
    roles = {name: (each["role"], each["kind"]) for name, each in columns["events"].items()}
    assert roles == {
        "user_id": ("user_id", "id"),
        "item_id": ("item_id", "id"),
        "quantity": ("quantity", "number"),
        "basket_id": ("basket_id", "id"),
        "channel": (None, "category"),
        "discount": (None, "text (undecided)"),
        "sent": (None, "text (undecided)"),
        "post code": (None, "text (undecided)"),
    }
    found = {name: (each["role"], each["kind"]) for name, each in columns["items"].items()}
    assert found == {
        "name": ("name", "text"),
        "brand": (None, "category"),
        "weight": (None, "number"),
    }


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([1, 2]), "number"),
        (pa.array([True, None]), "category"),
        (pa.array([["a"], []]), "list"),
        (pa.array([0, None], pa.timestamp("s")), "date"),
        (pa.array([f"title {n}" for n in range(50)]), "text"),
        (pa.array(["red", "green"] * 50), "category"),
    ],
)
def test_types_decide_the_kind_of_a_typed_table(values: pa.Array, kind: Kind) -> None:
    column = columns_of(TableSource(pa.table({"column": values})), {}, {}, (), "data", ())["column"]
    assert column.kind == kind
    assert len(column) == len(values)


def test_series_of_sales_are_made_of_attributes_too() -> None:
    events = EVENTS.assign(when=["2024-01-01", "2024-01-02", "2024-01-02", "2024-01-03"])
    columns = {"item_id": "sku", "timestamp": "when", "quantity": "pieces"}
    panel = transactions_sales(events, columns, ["brand"], items=items(), keep_partial=True)
    assert list(panel.series_ids) == ["x"]
    assert panel.report.dropped == {"no brand": 3}
    np.testing.assert_array_equal(panel.y, [1])


def test_films_have_titles_and_genres_where_the_published_file_lies_beside(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("1\t10\t5\t880000000\n2\t11\t3\t880000001\n")
    flags = ["0"] * 19
    flags[5] = flags[14] = "1"
    film = "|".join(["10", "Café (1995)", "01-Jan-1995", "", "http://x", *flags])
    (tmp_path / "u.item").write_text(film + "\n", encoding="latin-1")
    dataset = movielens_100k(str(tmp_path / "u.data"))
    assert dataset.item_names == {"10": "Café (1995)"}
    assert list(dataset.items["genres"].values) == [["Comedy", "Romance"], None]
    np.testing.assert_array_equal(dataset.context["rating"].values, [5, 3])


def test_people_have_age_gender_and_occupation_where_the_published_file_lies_beside(
    tmp_path: Path,
) -> None:
    (tmp_path / "u.data").write_text("1\t10\t5\t880000000\n2\t11\t3\t880000001\n")
    people = tmp_path / "u.user"
    people.write_text("1|24|M|technician|85711\n2|53|F|other|94043\n")
    dataset = movielens_100k(str(tmp_path / "u.data"))
    assert set(dataset.users) == {"age", "gender", "occupation"}
    np.testing.assert_array_equal(dataset.users["age"].values, [24, 53])
    assert shown(dataset.users, "gender") == ["M", "F"]
    people.write_text("1|24\n")
    with pytest.raises(DataError, match=r"u\.user is not the published u\.user: it has 2 columns"):
        movielens_100k(str(tmp_path / "u.data"))


def test_groceries_bring_products_and_households(
    package_groceries: Callable[[Mapping[str, pd.DataFrame]], None],
) -> None:
    lines = pd.DataFrame(
        {
            "household_id": [1, 2],
            "product_id": [11, 12],
            "quantity": [1, 1],
            "basket_id": [5, 6],
            "transaction_timestamp": pd.to_datetime(["2017-01-02", "2017-01-03"]),
        }
    )
    products = pd.DataFrame({"product_id": [11], "department": ["DRY"], "package_size": ["1 LB"]})
    package_groceries({"transactions": lines, "products": products})
    dataset = complete_journey()
    assert shown(dataset.items, "department") == ["DRY", None]
    assert dataset.item_names == {"11": "Dry 1 LB"}
    assert shown(dataset.context, "basket_id") == ["5", "6"]
    assert dataset.context.with_role("basket_id") == "basket_id"
    assert "age" in dataset.users
