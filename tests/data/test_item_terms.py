"""Terms of items: categories, tags, words; missing values have none."""

import numpy as np
import pyarrow as pa
import pytest

from recsys.data.events import columns_of
from recsys.data.item_terms import terms_of
from recsys.data.schema import Column, Kind
from recsys.data.tables import TableSource
from recsys.errors import ConfigError


def terms(values: object, kind: Kind | None = None) -> list[list[str]]:
    """Terms of every row of a column as a table has it."""
    kinds: dict[str, Kind] = {} if kind is None else {"it": kind}
    table = pa.table({"it": values})
    column = columns_of(TableSource(table), {}, kinds, (), "data.items", ())["it"]
    row, term, known = terms_of(column)
    return [known[term[row == each]].tolist() for each in range(table.num_rows)]


def test_a_category_is_one_term():
    assert terms(["dry", None, "dry", "cold"], "category") == [["dry"], [], ["dry"], ["cold"]]


def test_a_list_has_a_term_per_value_whatever_their_type():
    assert terms([["a", "b"], None, [], ["b", None]]) == [["a", "b"], [], [], ["b"]]
    assert terms([[10, 9], [9]]) == [["10", "9"], ["9"]]


def test_a_list_in_a_cell_is_cut_at_bars():
    assert terms(["Drama|War", None, "War"], "list") == [["Drama", "War"], [], ["War"]]


def test_a_text_has_its_words_in_lower_case():
    found = terms(["Grüner Tee, 250 g", None, "  ", "TEE"], "text")
    assert [sorted(row) for row in found] == [["250", "g", "grüner", "tee"], [], [], ["tee"]]


def test_a_name_that_occurs_often_is_words_as_well():
    values = np.array([0, -1, 0], dtype=np.int32)
    column = Column("name", "category", values, np.array(["Red mug"], dtype=object), "name")
    row, term, known = terms_of(column)
    assert row.tolist() == [0, 0, 2, 2]
    assert known[term].tolist() == ["red", "mug"] * 2


def test_a_column_without_a_value_has_no_term():
    assert terms(pa.array([None, None], pa.string()), "text") == [[], []]


@pytest.mark.parametrize(
    ("values", "found"),
    [([1.5, 2.0], "its kind is number"), ([{"a": 1}, {"a": 2}], "holds struct")],
)
def test_what_has_no_terms_is_named(values, found):
    with pytest.raises(ConfigError, match=found):
        terms(values)
