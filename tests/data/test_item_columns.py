"""Attributes of items as bundles and metrics get them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.data.attributes import AttributeTable
from recsys.data.dataset import Dataset
from recsys.data.interactions import index_phase
from recsys.data.item_columns import shipped_columns, terms_of_items
from recsys.data.sources.presplit import presplit
from recsys.data.splits.presplit import Presplit


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    paths = []
    for name, items in (("train", ["b", "a", "b", "c"]), ("test", ["a", "b", "c", "a"])):
        paths.append(str(tmp_path / f"{name}.csv"))
        rows = pd.DataFrame({"user_id": ["1", "1", "2", "2"], "item_id": items})
        rows.to_csv(paths[-1], index=False)
    table = pd.DataFrame(
        {
            "item_id": ["a", "b", "unsold"],
            "name": ["Ale", "Bread", "Cake"],
            "brand": ["own", "other", "gone"],
            "tags": [["x", "y", "x"], [], ["z"]],
            "price": [1.5, np.nan, 3.0],
            "added": pd.to_datetime(["2024-01-01"] * 3),
            "blurb": ["one of a kind", "two", "three"],
        }
    )
    kinds = {"blurb": "text", "brand": "category"}
    return presplit(*paths, items=AttributeTable(table, kinds=kinds))


def test_categories_lists_and_numbers_are_shipped_in_the_order_of_the_vocabulary(
    dataset: Dataset,
) -> None:
    rows = np.array([2, 0, 1])  # c, a, b
    brand, tags, price = shipped_columns(dataset.items, rows)
    assert [(each.name, each.kind) for each in (brand, tags, price)] == [
        ("brand", "category"), ("tags", "list"), ("price", "number"),
    ]  # fmt: skip
    assert brand.terms is not None
    assert tags.terms is not None
    assert brand.terms.tolist() == ["other", "own"]  # nobody sells what is gone
    assert (brand.values.tolist(), brand.offsets.tolist()) == ([1, 0], [0, 0, 1, 2])
    assert tags.terms.tolist() == ["x", "y"]
    assert (tags.values.tolist(), tags.offsets.tolist()) == ([0, 1], [0, 0, 2, 2])
    assert np.array_equal(price.values, [np.nan, 1.5, np.nan], equal_nan=True)


def test_terms_of_all_columns_are_one_row_an_item(dataset: Dataset) -> None:
    phase = index_phase(dataset, "test", Presplit()(dataset, 0)["test"])
    assert phase.vocabulary.item_ids.tolist() == ["a", "b", "c"]
    assert phase.columns is not None
    terms = terms_of_items(phase.columns)
    assert terms is not None
    # brands are 0 and 1, tags 2 and 3; the last row is of no item
    assert terms.indptr.tolist() == [0, 3, 4, 4, 4]
    assert sorted(terms.values[:3].tolist()) == [1, 2, 3]
    assert terms.values[3].item() == 0
