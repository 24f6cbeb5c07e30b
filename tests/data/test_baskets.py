"""Which rows are one basket, and which baskets are the test."""

from collections.abc import Callable

import pandas as pd
import pytest

from recsys.data.dataset import Dataset
from recsys.data.interactions import index_phase
from recsys.data.sources.transactions import transactions
from recsys.data.splits.global_time import GlobalTime
from recsys.data.splits.leave_last_basket import LeaveLastBasket
from recsys.data.splits.phase import Phase
from recsys.errors import ConfigError, DataError

Purchases = Callable[..., Dataset]
LEAK = "ignore:leave-last-basket leaks time"
pytestmark = pytest.mark.filterwarnings(LEAK)


def rows_of(phases: dict[str, Phase]) -> dict[str, tuple[list[int], list[int]]]:
    return {name: (phase.fit.tolist(), phase.truth.tolist()) for name, phase in phases.items()}


def with_baskets(rows: list[tuple[str | None, ...]], timestamps: bool = True) -> Dataset:
    """Rows of user_id, item_id, basket_id and timestamp."""
    names = ["user_id", "item_id", "basket_id", "timestamp"][: 4 if timestamps else 3]
    frame = pd.DataFrame([row[: len(names)] for row in rows], columns=names)
    return transactions(frame, {name: name for name in names})  # type: ignore[arg-type]


def test_all_rows_of_the_last_moment_are_the_test_and_those_before_it_validation(
    purchases: Purchases,
) -> None:
    read = purchases(
        [
            ("a", "1", "2024-01-03"),  # 0: test
            ("b", "1", "2024-01-01"),  # 1: the one moment of b
            ("a", "2", "2024-01-02"),  # 2: validation
            ("a", "3", "2024-01-01"),  # 3
            ("b", "2", "2024-01-01"),  # 4
            ("a", "4", "2024-01-03"),  # 5: test, of the moment of row 0
            ("a", "3", "2024-01-02"),  # 6: validation
            ("c", "1", "2024-01-05"),  # 7: test, and c has no validation
            ("c", "1", "2024-01-04"),  # 8
        ]
    )
    assert rows_of(LeaveLastBasket()(read, seed=1)) == {
        "val": ([1, 3, 4, 8], [2, 6]),
        "test": ([1, 2, 3, 4, 6, 8], [0, 5, 7]),
    }


def test_ages_are_counted_to_the_last_basket_that_is_fitted(purchases: Purchases) -> None:
    read = purchases(
        [
            ("a", "1", "2024-01-03"),
            ("a", "2", "2024-01-09"),
            ("a", "1", "2024-02-09"),
            ("b", "2", "2024-01-20"),
            ("b", "1", "2024-01-25"),
        ]
    )
    data = index_phase(read, "test", LeaveLastBasket()(read, seed=1)["test"])
    assert data.ages is not None
    # a: six days before the second basket, and that; b: the one basket that is fitted
    assert data.ages.tolist() == [6, 0, 0]


def test_basket_ids_go_before_moments_and_end_with_their_last_row() -> None:
    read = with_baskets(
        [
            ("a", "1", "x", "2024-01-01 10:00"),  # 0
            ("a", "2", "y", "2024-01-02 10:00"),  # 1: validation
            ("a", "3", "z", "2024-01-02 10:00"),  # 2: test, of the same moment, further down
            ("a", "4", "z", "2024-01-02 09:00"),  # 3: test
            ("b", "1", "x", "2024-01-01 10:00"),  # 4: another user's x is another basket
            ("b", "2", "w", "2024-01-03 10:00"),  # 5: test
        ]
    )
    assert rows_of(LeaveLastBasket()(read, seed=1)) == {
        "val": ([0, 4], [1]),
        "test": ([0, 1, 4], [2, 3, 5]),
    }


def test_rows_without_a_basket_id_are_the_basket_of_their_moment() -> None:
    read = with_baskets(
        [
            ("a", "1", "x", "2024-01-01"),
            ("a", "2", None, "2024-01-02"),
            ("a", "3", None, "2024-01-02"),
            ("a", "4", None, "2024-01-01"),  # 3: not of basket x
        ]
    )
    assert rows_of(LeaveLastBasket()(read, seed=1)) == {
        "val": ([0], [3]),
        "test": ([0, 3], [1, 2]),
    }


def test_without_timestamps_baskets_come_in_the_order_of_rows() -> None:
    rows = [("a", "1", "9"), ("a", "2", "9"), ("a", "3", "7"), ("a", "4", "8"), ("a", "5", "7")]
    with pytest.warns(UserWarning, match="the last basket of a user is that of the last row"):
        phases = LeaveLastBasket()(with_baskets(rows, timestamps=False), seed=1)
    # basket 7 ends in the last row
    assert rows_of(phases) == {"val": ([0, 1], [3]), "test": ([0, 1, 3], [2, 4])}


def test_without_timestamps_and_basket_ids_it_is_refused(purchases: Purchases) -> None:
    with pytest.raises(
        DataError, match=r"rows has neither timestamps nor basket ids.*data\.columns\.basket_id"
    ):
        LeaveLastBasket()(purchases([("u", "i"), ("u", "j")]), seed=1)


def test_a_row_without_both_is_refused() -> None:
    read = with_baskets([("a", "1", "x"), ("a", "2", None), ("b", "1", "y")], timestamps=False)
    with pytest.raises(DataError, match="1 rows have no basket_id .*there are no timestamps"):
        LeaveLastBasket()(read, seed=1)


def test_basket_ids_that_are_read_as_numbers_are_refused() -> None:
    frame = pd.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"], "basket_id": [1, 2]})
    columns = {name: name for name in frame}
    read = transactions(frame, columns, kinds={"basket_id": "number"})
    with pytest.raises(ConfigError, match=r"data\.kinds\.basket_id=number: ids of baskets"):
        LeaveLastBasket()(read, seed=1)


def test_a_period_without_purchases_has_no_first_baskets(purchases: Purchases) -> None:
    read = purchases([("u", "i", "2024-01-01"), ("u", "j", "2024-01-20")])
    phases = GlobalTime(test_days=5, validation_days=5, truth="first_basket")(read, seed=1)
    assert rows_of(phases) == {"val": ([0], []), "test": ([0], [1])}


def test_ids_that_are_used_again_are_said() -> None:
    days = [f"2024-01-{1 + 7 * week:02}" for week in range(4)]
    read = with_baskets([("a", "1", str(place % 2), day) for place, day in enumerate(days)])
    with pytest.warns(UserWarning, match="2 of 2 baskets .* spread over more than two days.* 15:"):
        LeaveLastBasket()(read, seed=1)


def test_the_leak_is_said_with_the_protocol_that_has_none(purchases: Purchases) -> None:
    with pytest.warns(UserWarning, match="leaks time.*global_time evaluation.split.truth=first"):
        LeaveLastBasket()(purchases([("u", "i", "2024-01-01"), ("u", "j", "2024-01-02")]), seed=1)


def test_many_baskets_are_those_of_a_loop(purchases: Purchases) -> None:
    rows = [
        (f"u{row * 7 % 5}", f"i{row % 9}", f"2024-01-{1 + row * row % 23:02}") for row in range(90)
    ]
    phases = LeaveLastBasket()(purchases(rows), seed=1)
    moments = {user: sorted({row[2] for row in rows if row[0] == user}) for user, *_ in rows}
    for name, place in (("test", -1), ("val", -2)):
        wanted = [n for n, (user, _, moment) in enumerate(rows) if moments[user][place] == moment]
        assert phases[name].truth.tolist() == wanted
    assert set(phases["test"].fit) == set(phases["val"].fit) | set(phases["val"].truth)


def test_first_basket_of_the_period_is_the_truth_of_global_time() -> None:
    read = with_baskets(
        [
            ("a", "1", "p", "2024-01-01"),  # 0: fitted
            ("a", "2", "q", "2024-01-18"),  # 1: validation
            ("a", "3", "r", "2024-01-19"),  # 2: later in the period of validation
            ("a", "4", "s", "2024-01-23"),  # 3: test
            ("a", "5", "s", "2024-01-23"),  # 4: test
            ("b", "1", "t", "2024-01-31"),  # 5: test
            ("a", "6", "u", "2024-01-31"),  # 6: a's second basket of the period
        ]
    )
    split = GlobalTime(test_days=10, validation_days=5, truth="first_basket")
    assert rows_of(split(read, seed=1)) == {
        "val": ([0], [1]),
        "test": ([0, 1, 2], [3, 4, 5]),
    }


def test_another_truth_is_refused_with_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.split\.truth='basket': choose period or"):
        GlobalTime(truth="basket")  # type: ignore[arg-type]
