"""Rows of different length in two flat tensors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.ragged import Ragged

ROWS = [[3, 1, 4], [], [1, 5], [], [9]]


def ragged(rows: list[list[int]]) -> Ragged:
    row = np.repeat(np.arange(len(rows)), [len(values) for values in rows])
    return Ragged.from_sorted(
        row, np.array([v for values in rows for v in values], dtype=np.int64), len(rows)
    )


def test_rows_have_the_lengths_they_were_given() -> None:
    assert ragged(ROWS).lengths().tolist() == [3, 0, 2, 0, 1]
    assert len(ragged(ROWS)) == 5


def test_take_gives_the_rows_in_the_order_asked_and_as_often() -> None:
    row, value = ragged(ROWS).take(torch.tensor([2, 1, 0, 2]))
    assert row.tolist() == [0, 0, 2, 2, 2, 3, 3]
    assert value.tolist() == [1, 5, 3, 1, 4, 1, 5]


def test_padded_fills_on_the_right() -> None:
    assert ragged(ROWS).padded(torch.tensor([2, 3, 0]), pad=7).tolist() == [
        [1, 5, 7],
        [7, 7, 7],
        [3, 1, 4],
    ]


def test_mask_is_true_where_a_value_stands() -> None:
    mask = ragged(ROWS).mask(torch.tensor([4, 2, 1]), width=10)
    assert [torch.nonzero(row).squeeze(1).tolist() for row in mask] == [[9], [1, 5], []]


def test_block_of_no_rows_is_empty() -> None:
    nobody = torch.tensor([], dtype=torch.int64)
    row, value = ragged(ROWS).take(nobody)
    assert (len(row), len(value)) == (0, 0)
    assert ragged(ROWS).padded(nobody, pad=7).shape == (0, 0)
    assert ragged(ROWS).mask(nobody, 10).shape == (0, 10)


@pytest.mark.parametrize("rows", [[[], [], []], []])
def test_rows_without_any_value_are_empty(rows: list[list[int]]) -> None:
    empty = ragged(rows)
    asked = torch.arange(len(rows))
    assert empty.lengths().tolist() == [0] * len(rows)
    assert empty.padded(asked, pad=7).shape == (len(rows), 0)
    assert not empty.mask(asked, 3).any()
    assert empty.padded(asked, pad=7).dtype == torch.int64


def test_changing_the_array_given_does_not_change_the_rows() -> None:
    values = np.array([1, 2])
    rows = Ragged.from_sorted(np.array([0, 1]), values, 2)
    values[0] = 99
    assert rows.values.tolist() == [1, 2]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=6), st.data())
def test_blocks_say_what_the_lists_say(rows: list[list[int]], data: st.DataObject) -> None:
    asked = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6))
    block = torch.tensor(asked, dtype=torch.int64)
    row, value = ragged(rows).take(block)
    assert list(zip(row.tolist(), value.tolist(), strict=True)) == [
        (place, v) for place, r in enumerate(asked) for v in rows[r]
    ]
    width = max((len(rows[r]) for r in asked), default=0)
    assert ragged(rows).padded(block, 10).tolist() == [
        rows[r] + [10] * (width - len(rows[r])) for r in asked
    ]
    mask = ragged(rows).mask(block, 10)
    assert mask.tolist() == [[v in rows[r] for v in range(10)] for r in asked]
