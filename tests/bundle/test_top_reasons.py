"""From what every purchase adds to the few items that carry a recommendation, by arithmetic."""

import numpy as np

from recsys.bundle.reasons import top_reasons


def test_repeated_purchases_are_one_reason_and_shares_are_of_absolute_contributions() -> None:
    items = np.array([[4, 9, 4, 2]])
    contributions = np.array([[[0.1, 0.5, 0.2, -0.2]]], dtype=np.float32)
    found = top_reasons(items, contributions, 3)
    # 9: .5, 4: .1 + .2, 2: -.2 takes away; |.5| + |.3| + |-.2| = 1
    assert found.place.tolist() == [[[1, 2, -1]]]
    np.testing.assert_allclose(found.share, [[[0.5, 0.3, 0]]], rtol=1e-6)
    np.testing.assert_allclose(found.contribution, [[[0.5, 0.3, 0]]], rtol=1e-6)


def test_ties_go_to_the_item_that_was_bought_later() -> None:
    contributions = np.array([[[0.25, 0.25, 0.5]]], dtype=np.float32)
    assert top_reasons(np.array([[7, 3, 5]]), contributions, 3).place.tolist() == [[[2, 1, 0]]]


def test_a_customer_gets_the_same_reasons_in_any_company() -> None:
    generator = np.random.default_rng(0)
    items = generator.integers(0, 5, (6, 8))
    contributions = generator.normal(size=(6, 3, 8)).astype(np.float32)
    together = top_reasons(items, contributions, 2)
    for row in range(6):
        alone = top_reasons(items[row : row + 1], contributions[row : row + 1], 2)
        for one, all_of_them in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one[0], all_of_them[row])


def test_nothing_carries_where_nothing_was_bought() -> None:
    for shape in ((2, 3, 0), (2, 0, 4), (0, 0, 0)):
        found = top_reasons(np.zeros(shape[::2], np.int64), np.zeros(shape, np.float32), 2)
        assert (found.place == -1).all()
        assert found.share.shape == (*shape[:2], 2)
    found = top_reasons(np.array([[3, 3]]), np.zeros((1, 1, 2), np.float32), 2)
    assert found.place.tolist() == [[[-1, -1]]]
    assert not found.share.any()
