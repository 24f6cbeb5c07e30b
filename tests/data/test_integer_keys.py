"""Sorted keys say what `np.unique` says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.integer_keys import distinct_keys, present_codes, run_starts, stable_order

KEYS = st.lists(st.integers(-(2**62), 2**62) | st.integers(0, 3), max_size=30)


@settings(max_examples=80, deadline=None)
@given(KEYS)
def test_distinct_keys_and_their_first_places_are_those_of_numpy(keys: list[int]) -> None:
    values = np.array(keys, dtype=np.int64)
    expected, first = np.unique(values, return_index=True)
    order = stable_order(values)
    assert values[order].tolist() == sorted(keys)
    assert order[run_starts(values[order])].tolist() == first.tolist()
    assert distinct_keys(values.copy()).tolist() == expected.tolist()


@pytest.mark.parametrize("codes", [[], [3], [4, 0, 4, 2]])
def test_codes_that_occur_ascend(codes: list[int]) -> None:
    found = present_codes(np.array(codes, dtype=np.int32), 5)
    assert found.tolist() == sorted(set(codes))
