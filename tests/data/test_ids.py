"""Ids keep every character; their order does not depend on which other ids there are."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.ids import Vocabulary, encode_ids, natural_order

AWKWARD = [
    "007",
    "7",
    "NA",
    "null",
    "None",
    "nan",
    " a b",
    "a b ",
    "ü",
    "漢字",
    "🛒",
    "-0",
    "0",
    "1e3",
    "12ab",
]


def ids_of(values: pa.Array) -> list[str]:
    """The ids as strings, row by row; None where one is missing."""
    column = encode_ids(values)
    return [None if code == -1 else column.categories[code] for code in column.codes]


def ordered(ids: list[str]) -> list[str]:
    array = np.array(ids, dtype=object)
    return array[natural_order(array)].tolist()


def test_every_character_of_an_id_is_kept() -> None:
    assert ids_of(pa.array(AWKWARD)) == AWKWARD


def test_integers_come_first_by_value_then_the_others_by_code_point() -> None:
    assert ordered(["b", "10", "9", "007", "-3", "a", "0", "漢", "ü", "12ab"]) == [
        *["-3", "0", "9", "10"],
        *["007", "12ab", "a", "b", "ü", "漢"],
    ]


ID = st.one_of(
    st.integers(-(10**6), 10**6).map(str), st.text(min_size=1, max_size=4), st.sampled_from(AWKWARD)
)


@settings(max_examples=80, deadline=None)
@given(st.sets(ID, max_size=15), st.sets(ID, max_size=8))
def test_order_of_two_ids_does_not_depend_on_the_others(ids: set[str], more: set[str]) -> None:
    alone = ordered(sorted(ids))
    assert [i for i in ordered(sorted(ids | more)) if i in ids] == alone


@settings(max_examples=40, deadline=None)
@given(st.lists(ID, min_size=1, max_size=15, unique=True), st.randoms())
def test_order_does_not_depend_on_the_order_of_the_rows(ids: list[str], random: object) -> None:
    shuffled = list(ids)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert ordered(shuffled) == ordered(ids)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([17850, None, 3]),
        pa.array([17850.0, None, 3.0]),
        pa.array([17850.0, float("nan"), 3.0]),
        pa.array(["17850", None, "3"]),
        pa.array(["17850", "", "3"]),
        pa.array(["17850", " \t ", "3"]),
        pa.array(["17850", None, "3"]).dictionary_encode(),
        pa.array([17850, None, 3], pa.int32()),
    ],
    ids=["int", "float", "nan", "string", "empty", "blank", "dictionary", "int32"],
)
def test_whole_numbers_and_strings_are_the_same_ids_and_nothing_is_missing(
    column: pa.Array,
) -> None:
    assert ids_of(column) == ["17850", None, "3"]
    assert encode_ids(column).categories.tolist() == ["3", "17850"]


def test_floats_that_are_no_whole_numbers_stay_apart() -> None:
    assert len(set(ids_of(pa.array([1.5, 1.25, 1.0])))) == 3


def test_infinite_float_is_an_id_and_no_crash() -> None:
    assert ids_of(pa.array([2.0, float("inf")])) == ["2", "inf"]


def test_long_integers_are_not_rounded() -> None:
    ids = [9007199254740992, 9007199254740993]
    assert ids_of(pa.array(ids)) == [str(i) for i in ids]


def test_column_in_several_pieces_is_one_column() -> None:
    assert ids_of(pa.chunked_array([["b", "a"], ["a", None]])) == ["b", "a", "a", None]


@pytest.mark.parametrize(
    "column", [pa.array([], pa.string()), pa.array([None, None]), pa.array([None], pa.string())]
)
def test_column_without_an_id_has_none(column: pa.Array) -> None:
    assert ids_of(column) == [None] * len(column)
    assert len(encode_ids(column).categories) == 0


def test_vocabulary_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = Vocabulary(np.array(AWKWARD, dtype=object), np.array(["x", "0010"], dtype=object))
    saved.save(tmp_path / "vocabulary.npz")
    loaded = Vocabulary.load(tmp_path / "vocabulary.npz")
    assert loaded.user_ids.tolist() == AWKWARD
    assert loaded.item_ids.tolist() == ["x", "0010"]
    assert (loaded.num_users, loaded.num_items) == (len(AWKWARD), 2)
