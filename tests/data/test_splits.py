"""Which rows are fitted and which are asked."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from recsys.data.dataset import Dataset
from recsys.data.splits.full_data import FullData
from recsys.data.splits.global_time import GlobalTime
from recsys.data.splits.leave_last_out import LeaveLastOut
from recsys.data.splits.phase import Phase
from recsys.data.splits.presplit import Presplit
from recsys.errors import ConfigError, DataError

Purchases = Callable[..., Dataset]


def rows_of(phases: dict[str, Phase]) -> dict[str, tuple[list[int], list[int]]]:
    return {name: (phase.fit.tolist(), phase.truth.tolist()) for name, phase in phases.items()}


def leave_last_out(read: Dataset, seed: int = 1) -> dict[str, Phase]:
    with pytest.warns(UserWarning, match="leave-last-out leaks time"):
        return LeaveLastOut()(read, seed)


def test_global_time_cuts_at_instants_counted_from_the_last_purchase(purchases: Purchases) -> None:
    # the last purchase is on 31 January at noon; test is the 10 days before, validation the 5
    # before those
    times = [
        "2024-01-31 12:00:00",  # 0: test
        "2024-01-21 12:00:01",  # 1: test, by a second
        "2024-01-21 12:00:00",  # 2: exactly at the border, still validation
        "2024-01-16 12:00:01",  # 3: validation, by a second
        "2024-01-16 12:00:00",  # 4: exactly at the border, still fitted
        "2023-06-01 00:00:00",  # 5: fitted
    ]
    read = purchases([("u", f"i{place}", time) for place, time in enumerate(times)])
    assert rows_of(GlobalTime(test_days=10, validation_days=5)(read, seed=1)) == {
        "val": ([4, 5], [2, 3]),
        "test": ([2, 3, 4, 5], [0, 1]),
    }


def test_without_validation_days_there_is_no_validation(purchases: Purchases) -> None:
    read = purchases([("u", "i", "2024-01-01"), ("u", "j", "2024-01-20"), ("v", "i", "2024-01-21")])
    assert rows_of(GlobalTime(test_days=10, validation_days=0)(read, seed=1)) == {
        "test": ([0], [1, 2])
    }


def test_global_time_refuses_a_table_without_timestamps(purchases: Purchases) -> None:
    with pytest.raises(DataError, match=r"rows has no timestamps.*evaluation=leave_last_out"):
        GlobalTime()(purchases([("u", "i")]), seed=1)


def test_global_time_refuses_a_table_that_is_too_short(purchases: Purchases) -> None:
    read = purchases([("u", "i", "2024-01-01"), ("u", "j", "2024-01-31")])
    with pytest.raises(
        DataError, match=r"covers 30\.0 days, fewer than the 56 held out; lower evaluation\.split"
    ):
        GlobalTime()(read, seed=1)


def test_table_that_covers_exactly_what_is_held_out_leaves_its_first_instant_to_fit(
    purchases: Purchases,
) -> None:
    read = purchases([("u", "i", "2024-01-01"), ("u", "j", "2024-01-31")])
    assert rows_of(GlobalTime(20, 10)(read, seed=1))["val"] == ([0], [])


@pytest.mark.parametrize("days", [-1, float("nan")])
def test_period_of_no_days_is_refused(days: float) -> None:
    for wrong in (days, 0):
        with pytest.raises(ConfigError, match=r"evaluation\.split\.test_days"):
            GlobalTime(test_days=wrong)
    with pytest.raises(ConfigError, match=r"evaluation\.split\.validation_days"):
        GlobalTime(validation_days=days)


def test_leave_last_out_holds_out_by_time_and_ties_by_row(purchases: Purchases) -> None:
    read = purchases(
        [
            ("a", "1", "2024-01-03"),  # 0
            ("b", "1", "2024-01-01"),  # 1
            ("a", "2", "2024-01-05"),  # 2
            ("a", "3", "2024-01-01"),  # 3
            ("b", "2", "2024-01-01"),  # 4
            ("a", "4", "2024-01-05"),  # 5: as late as row 2, further down
            ("b", "3", "2024-01-01"),  # 6
        ]
    )
    assert rows_of(leave_last_out(read)) == {
        "val": ([0, 1, 3], [2, 4]),
        "test": ([0, 1, 2, 3, 4], [5, 6]),
    }


def test_user_with_two_purchases_has_no_validation_and_one_with_one_is_only_fitted(
    purchases: Purchases,
) -> None:
    read = purchases(
        [("one", "x", "2024-01-01"), ("two", "x", "2024-01-01"), ("two", "y", "2024-01-02")]
    )
    assert rows_of(leave_last_out(read)) == {"val": ([0, 1], []), "test": ([0, 1], [2])}


def test_leave_last_out_without_timestamps_is_the_order_of_rows(purchases: Purchases) -> None:
    data = purchases([("a", "x"), ("b", "x"), ("a", "y"), ("a", "z"), ("b", "y")])
    first, again = LeaveLastOut()(data, 0), LeaveLastOut()(data, 1)
    assert first["test"].truth.tolist() == again["test"].truth.tolist() == [3, 4]


def test_leave_last_out_asks_no_row_that_it_fits(purchases: Purchases) -> None:
    read = purchases(
        [(f"u{row % 7}", f"i{row % 9}", f"2024-01-{1 + row % 28:02}") for row in range(60)]
    )
    phases = leave_last_out(read)
    for phase in phases.values():
        assert not set(phase.fit) & set(phase.truth)
    assert set(phases["test"].fit) == set(phases["val"].fit) | set(phases["val"].truth)


@pytest.fixture
def published(purchases: Purchases) -> Dataset:
    """40 purchases of 8 users to train on, one a user to test."""
    train = [(f"u{row % 8}", f"i{(row * 7) % 23}") for row in range(40)]
    test = [(f"u{user}", "i1") for user in range(8)]
    return replace(purchases(train + test), is_test=np.repeat([False, True], [40, 8]))


def test_presplit_validates_on_one_item_of_each_user_out_of_train(published: Dataset) -> None:
    phases = Presplit()(published, seed=1)
    assert phases["test"].fit.tolist() == list(range(40))
    assert phases["test"].truth.tolist() == list(range(40, 48))
    val = phases["val"]
    assert sorted(val.fit.tolist() + val.truth.tolist()) == list(range(40))
    assert sorted(published.user[val.truth]) == list(range(8))


def test_presplit_draws_by_the_seed(published: Dataset) -> None:
    assert rows_of(Presplit()(published, seed=1)) == rows_of(Presplit()(published, seed=1))
    assert rows_of(Presplit()(published, seed=1)) != rows_of(Presplit()(published, seed=2))


def test_validation_item_that_was_bought_twice_is_out_of_train_altogether(
    purchases: Purchases,
) -> None:
    rows = [("a", "x"), ("a", "x"), ("a", "y"), ("a", "y"), ("b", "x"), ("b", "y")]
    read = replace(purchases([*rows, ("a", "z")]), is_test=np.array([False] * 6 + [True]))
    for seed in range(5):
        val = Presplit()(read, seed)["val"]
        fitted = {(read.user[row], read.item[row]) for row in val.fit}
        assert not fitted & {(read.user[row], read.item[row]) for row in val.truth}
        assert len(val.truth) == 2


def test_user_with_a_single_item_keeps_it(purchases: Purchases) -> None:
    rows = [("a", "x"), ("b", "x"), ("b", "x"), ("c", "x"), ("c", "y"), ("a", "z")]
    read = replace(purchases(rows), is_test=np.array([False] * 5 + [True]))
    val = Presplit()(read, seed=1)["val"]
    assert {0, 1, 2} <= set(val.fit)
    assert read.user_ids[read.user[val.truth]].tolist() == ["c"]


def test_presplit_refuses_a_table_without_published_parts(purchases: Purchases) -> None:
    with pytest.raises(ConfigError, match="set data=presplit, or another evaluation"):
        Presplit()(purchases([("u", "i")]), seed=1)


def test_without_evaluation_everything_is_fitted_and_nothing_asked(purchases: Purchases) -> None:
    read = purchases([("a", "x"), ("b", "y")])
    assert rows_of(FullData()(read, seed=1)) == {"full_data": ([0, 1], [])}


def test_only_leave_last_out_warns(purchases: Purchases) -> None:
    read = purchases([("a", "x", "2024-01-01"), ("a", "y", "2024-06-01")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GlobalTime()(read, seed=1)
        FullData()(read, seed=1)
