"""The k best: higher score first, exact ties to the lower item."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from recsys.evaluation.ranking import rank_top


def reference(scores: np.ndarray, k: int) -> np.ndarray:
    """Item indices (B, k) by numpy's lexsort: its last key, the negated score, decides first."""
    place = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    return np.lexsort((place, -scores), axis=1)[:, :k]


def assert_ranks_like_lexsort(scores: np.ndarray, k: int) -> None:
    values, items = rank_top(torch.from_numpy(scores.copy()), k)
    expected = reference(scores, k)
    np.testing.assert_array_equal(items.numpy(), expected)
    np.testing.assert_array_equal(values.numpy(), np.take_along_axis(scores, expected, axis=1))


shapes = st.tuples(st.integers(1, 5), st.integers(1, 40))


@settings(max_examples=150, deadline=None)
@given(
    npst.arrays(np.float32, shapes, elements=st.sampled_from([-np.inf, -2, -1, -0.0, 0.0, 1, 2])),
    st.integers(1, 40),
)
def test_heavy_ties_signed_zeros_and_masks_rank_like_lexsort(scores: np.ndarray, k: int) -> None:
    assert_ranks_like_lexsort(scores, min(k, scores.shape[1]))


@settings(max_examples=100, deadline=None)
@given(
    npst.arrays(np.float32, shapes, elements=st.floats(width=32, allow_nan=False)),
    st.integers(1, 40),
)
def test_any_numbers_rank_like_lexsort(scores: np.ndarray, k: int) -> None:
    assert_ranks_like_lexsort(scores, min(k, scores.shape[1]))


@pytest.mark.parametrize("k", [1, 10, 3000])
def test_a_catalogue_of_thousands_with_few_levels_ranks_like_lexsort(k: int) -> None:
    scores = np.random.default_rng(0).integers(-4, 5, (6, 3000)).astype(np.float32)
    scores[1] = 0.0
    scores[2, ::2] = -0.0
    scores[3, 5:] = -np.inf
    assert_ranks_like_lexsort(scores, k)


def test_equal_scores_go_to_the_lower_item() -> None:
    values, items = rank_top(torch.tensor([[1.0, 2.0, 2.0, 2.0]]), 2)
    assert items.tolist() == [[1, 2]]
    assert values.tolist() == [[2.0, 2.0]]


def test_minus_zero_ties_with_zero() -> None:
    _, items = rank_top(torch.tensor([[-0.0, 0.0, -0.0, 0.0]]), 3)
    assert items.tolist() == [[0, 1, 2]]


def test_masked_items_come_last_in_order_of_index() -> None:
    infinity = float("inf")
    _, items = rank_top(torch.tensor([[-infinity, -5.0, -infinity, 3.0]]), 4)
    assert items.tolist() == [[3, 1, 0, 2]]


def test_the_scores_given_stay_as_they_are() -> None:
    scores = torch.tensor([[0.0, -0.0, 0.0]])
    before = scores.clone()
    rank_top(scores, 2)
    assert torch.equal(scores.view(torch.int32), before.view(torch.int32))
