"""What a phase is fitted on comes from its fitted rows alone; what leaves is counted."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from recsys.data.cleaning import Cleaning, clean_transactions
from recsys.data.dataset import CandidateTable, Dataset
from recsys.data.interactions import PhaseData, index_phase
from recsys.data.ragged import Ragged
from recsys.data.report import DataReport
from recsys.data.splits.full_data import FullData
from recsys.data.splits.global_time import GlobalTime
from recsys.data.splits.phase import Phase
from recsys.data.splits.presplit import Presplit
from recsys.errors import ConfigError, DataError
from recsys.models.recommenders.popularity import Popularity

Purchases = Callable[..., Dataset]
Row = tuple[str, ...]


def made_up_sales() -> list[Row]:
    """90 days, the last purchase at the end of day 90, in no order."""
    rng = np.random.default_rng(0)
    start = np.datetime64("2024-01-01T12:00:00")
    # a few users and items have most of the purchases
    pairs = [
        (f"user {int(12 * rng.random() ** 3)}", f"{int(12 * rng.random() ** 3)}")
        for _ in range(300)
    ]
    times = [start + np.timedelta64(int(hour), "h") for hour in rng.integers(0, 90 * 24, 300)]
    rows = [(user, item, str(time)) for (user, item), time in zip(pairs, times, strict=True)]
    return [*rows, ("user 0", "0", str(start + np.timedelta64(90, "D")))]


SALES = made_up_sales()
BORDER = "2024-03-03T12:00:00"  # 28 days before the last purchase
EARLIER = [row for row in SALES if row[2] <= BORDER]
LATER = [row for row in SALES if row[2] > BORDER]


def values(rows: Ragged) -> list[list[int]]:
    return [rows.take(torch.tensor([row]))[1].tolist() for row in range(len(rows))]


def fitted_before_the_test(read: Dataset, **filters: int) -> PhaseData:
    """The test phase, fitted on what lies before the last 28 days."""
    return index_phase(read, "test", GlobalTime()(read, seed=1)["test"], **filters)


def artefacts(data: PhaseData) -> dict[str, object]:
    """All that a model or a bundle takes over from the fitted part."""
    popularity = Popularity(data.vocabulary.num_users, data.vocabulary.num_items)
    popularity.fit(data.interactions)
    return {
        "users": data.vocabulary.user_ids.tolist(),
        "items": data.vocabulary.item_ids.tolist(),
        "history": values(data.interactions.history),
        "distinct": values(data.interactions.distinct),
        "buyers": data.interactions.buyers.tolist(),
        "days since": None if (days := data.interactions.days_since) is None else days.tolist(),
        "popularity": {name: weight.tolist() for name, weight in popularity.state_dict().items()},
        "fitted": {key: data.counts[key] for key in data.counts if not key.startswith("truth")},
    }


FILTERS: list[dict[str, int]] = [
    {},
    {"min_buyers": 6},
    {"k_core": 4},
    {"min_buyers": 5, "k_core": 4},
]
CHANGES = {
    "another user": [
        ("0 new user", *row[1:]) if place % 2 else row for place, row in enumerate(LATER)
    ],
    "another item": [
        (row[0], "-5", row[2]) if place % 2 else row for place, row in enumerate(LATER)
    ],
    "more of one item": [(row[0], "3", row[2]) for row in LATER],
    "more rows": [row for row in LATER for _ in range(20)] + [("zzz", "3.5", LATER[0][2])],
    "none but the last": [],
    "another time": [(*row[:2], "2024-03-15T01:00:00") for row in LATER],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_changing_test_rows_changes_nothing_that_is_fitted(
    purchases: Purchases, change: str, filters: dict[str, int]
) -> None:
    expected = artefacts(fitted_before_the_test(purchases(SALES), **filters))
    # the last purchase fixes the borders
    changed = artefacts(
        fitted_before_the_test(purchases([*CHANGES[change], *EARLIER, SALES[-1]]), **filters)
    )
    assert changed == expected


def test_the_filters_of_that_test_do_leave_items_out(purchases: Purchases) -> None:
    read = purchases(SALES)
    everything = fitted_before_the_test(read)
    for filters in FILTERS[1:]:
        filtered = fitted_before_the_test(read, **filters)
        assert 2 <= filtered.vocabulary.num_items < everything.vocabulary.num_items, filters


def test_changing_a_fitted_row_does_change_the_vocabulary(purchases: Purchases) -> None:
    changed = fitted_before_the_test(purchases([*SALES, ("new", "new", "2024-01-05")]))
    assert "new" in changed.vocabulary.user_ids
    assert "new" in changed.vocabulary.item_ids


def test_minimum_of_buyers_counts_users_and_not_purchases(purchases: Purchases) -> None:
    rows = [
        ("a", "often"),
        ("a", "often"),
        ("a", "often"),
        ("a", "both"),
        ("b", "both"),
        ("a", "two"),
        ("b", "two"),
    ]
    read = purchases(rows)
    data = index_phase(read, "full_data", FullData()(read, 1)["full_data"], min_buyers=2)
    assert data.vocabulary.item_ids.tolist() == ["both", "two"]
    assert data.counts["fit_rows_dropped_by_filters"] == 3
    assert data.interactions.buyers.tolist() == [2, 2]


def test_core_is_filtered_until_nothing_changes(purchases: Purchases) -> None:
    square = [(user, item) for user in "ab" for item in "xy"]
    # c leaves with one item, then z has one buyer left and leaves, then d
    chain = [("c", "z"), ("d", "z"), ("d", "x")]
    read = purchases([*square, *chain])
    data = index_phase(read, "full_data", FullData()(read, 1)["full_data"], k_core=2)
    assert data.vocabulary.user_ids.tolist() == ["a", "b"]
    assert data.vocabulary.item_ids.tolist() == ["x", "y"]
    assert data.counts["fit_rows_dropped_by_filters"] == 3


def test_core_that_is_empty_is_refused_with_both_filters(purchases: Purchases) -> None:
    read = purchases([("a", "x"), ("b", "y")])
    with pytest.raises(DataError) as caught:
        index_phase(read, "full_data", FullData()(read, 1)["full_data"], min_buyers=1, k_core=5)
    assert str(caught.value) == (
        "rows: 0 users left to fit on, at least 2 are needed; before the filters "
        "(evaluation.min_buyers=1, evaluation.k_core=5) the fitted part had users: 2, items: 2"
    )


@pytest.mark.parametrize(
    ("rows", "noun"), [([("a", "x"), ("a", "y")], "1 user"), ([("a", "x"), ("b", "x")], "1 item")]
)
def test_one_user_or_one_item_is_refused(purchases: Purchases, rows: list[Row], noun: str) -> None:
    read = purchases(rows)
    with pytest.raises(DataError, match=f"rows: {noun} left to fit on, at least 2 are needed"):
        index_phase(read, "full_data", FullData()(read, 1)["full_data"])


def test_counts_add_up(purchases: Purchases) -> None:
    unknown = [
        ("stranger", "3", "2024-03-20"),
        ("user 1", "unheard of", "2024-03-20"),
        ("loner", "odd", "2024-03-21"),
    ]
    only_new = [("user z", "1", "2024-01-02"), ("user z", "unheard of", "2024-03-20")]
    read = purchases([*SALES, *unknown, *only_new])
    data = fitted_before_the_test(read)
    counts = data.counts
    assert counts["fit_rows"] + counts["truth_rows"] == len(read)
    assert counts["truth_rows"] == len(LATER) + 4
    assert counts["truth_rows_of_unknown_items"] == 3
    assert counts["truth_users"] == len({row[0] for row in LATER}) + 3
    assert counts["truth_users_unknown"] == 2
    assert counts["truth_users_without_known_item"] == 1
    asked = int((data.truth.lengths() > 0).sum())
    left = counts["truth_users_unknown"] + counts["truth_users_without_known_item"]
    assert asked == counts["truth_users"] - left
    assert counts["users"] == data.vocabulary.num_users
    assert counts["events"] == len(data.interactions.history.values)
    assert counts["positives"] == int(data.interactions.buyers.sum())


def test_truth_is_what_each_user_bought_in_the_period_once_each(purchases: Purchases) -> None:
    data = fitted_before_the_test(purchases(SALES))
    expected = {
        user: {row[1] for row in LATER if row[0] == user} for user in data.vocabulary.user_ids
    }
    for user, items in zip(data.vocabulary.user_ids, values(data.truth), strict=True):
        assert items == sorted(items)
        assert [data.vocabulary.item_ids[item] for item in items] == sorted(
            expected[user], key=int
        ), user


def history_of(read: Dataset) -> dict[str, list[str]]:
    data = index_phase(read, "full_data", FullData()(read, 1)["full_data"])
    ids = data.vocabulary
    return {
        user: [ids.item_ids[item] for item in items]
        for user, items in zip(ids.user_ids, values(data.interactions.history), strict=True)
    }


def test_history_is_in_order_of_time_with_one_event_a_user_item_and_day(
    purchases: Purchases,
) -> None:
    read = purchases(
        [
            ("a", "y", "2024-01-02 10:00"),
            ("b", "x", "2024-01-01 09:00"),
            ("a", "x", "2024-01-01 09:00"),
            ("a", "x", "2024-01-01 18:00"),  # the same day again
            ("a", "x", "2024-01-02 09:00"),  # another day
            ("a", "z", "2024-01-02 10:00"),  # as early as y, further down
            ("b", "y", "2024-01-01 08:00"),
        ]
    )
    assert history_of(read) == {"a": ["x", "x", "y", "z"], "b": ["y", "x"]}


def test_a_day_is_a_day_of_the_shop(purchases: Purchases) -> None:
    # 23:30 and 00:30 in New York lie on one day of UTC
    rows = [
        ("a", "x", "2024-03-01 23:30"),
        ("a", "x", "2024-03-02 00:30"),
        ("b", "y", "2024-03-01 23:30"),
    ]
    assert history_of(purchases(rows, timezone="America/New_York"))["a"] == ["x", "x"]
    # 20:30 and 19:00 in New York lie on two days of UTC
    rows = [
        ("a", "x", "2024-03-01 19:30"),
        ("a", "x", "2024-03-01 18:30"),
        ("b", "y", "2024-03-01 23:30"),
    ]
    assert history_of(purchases(rows, timezone="America/New_York"))["a"] == ["x"]


def test_without_timestamps_every_row_is_an_event_in_order_of_the_rows(
    purchases: Purchases,
) -> None:
    read = purchases([("a", "y"), ("a", "x"), ("b", "x"), ("a", "y")])
    assert history_of(read) == {"a": ["y", "x", "y"], "b": ["x"]}


def test_days_since_a_pair_was_last_bought_count_from_the_last_fitted_day(
    purchases: Purchases,
) -> None:
    read = purchases(
        [
            ("a", "x", "2024-01-01 10:00"),
            ("a", "y", "2024-01-03 10:00"),
            ("a", "x", "2024-01-08 10:00"),  # x again: its first purchase does not count
            ("b", "y", "2024-01-10 23:00"),  # the last fitted day
            ("b", "y", "2024-01-10 01:00"),
            ("b", "x", "2024-02-01 10:00"),  # asked, not fitted
        ]
    )
    data = index_phase(read, "test", Phase(np.arange(5), np.array([5])))
    assert data.interactions.days_since is not None
    # (a, x), (a, y), (b, y), as they stand in `distinct`
    assert data.interactions.days_since.tolist() == [2, 7, 0]
    assert data.interactions.day is not None
    assert len(data.interactions.day) == len(data.interactions.history.values) == 4


def test_without_timestamps_nothing_is_known_about_days(purchases: Purchases) -> None:
    read = purchases([("a", "x"), ("b", "y")])
    data = index_phase(read, "full_data", FullData()(read, 1)["full_data"])
    assert (data.interactions.day, data.interactions.days_since) == (None, None)


def test_distinct_items_ascend_and_count_their_buyers(purchases: Purchases) -> None:
    read = purchases([("a", "9"), ("a", "2"), ("a", "9"), ("b", "2"), ("b", "10")])
    data = index_phase(read, "full_data", FullData()(read, 1)["full_data"])
    assert data.vocabulary.item_ids.tolist() == ["2", "9", "10"]
    assert values(data.interactions.distinct) == [[0, 1], [0, 2]]
    assert data.interactions.buyers.tolist() == [2, 1, 1]


def test_validation_lists_hold_the_truth_and_unseen_items(purchases: Purchases) -> None:
    rng = np.random.default_rng(0)
    rows = [(f"{rng.integers(20)}", f"{rng.integers(40)}") for _ in range(300)]
    read = purchases(rows)
    read = replace(read, is_test=np.zeros(len(read), dtype=bool))
    val = Presplit()(read, seed=1)["val"]
    phase = Phase(val.fit, val.truth, sampled_negatives=5)

    data = index_phase(read, "val", phase, seed=1)
    assert data.candidates is not None
    assert data.candidates.item.shape[1] == 6
    seen, truth = values(data.interactions.distinct), values(data.truth)
    for user, items, relevant in zip(
        data.candidates.user.tolist(), data.candidates.item, data.candidates.relevant, strict=True
    ):
        assert items.tolist() == sorted(set(items.tolist()))
        assert items[relevant].tolist() == truth[user]
        assert not set(items[~relevant].tolist()) & set(seen[user])
    again, other = (index_phase(read, "val", phase, seed=seed).candidates for seed in (1, 2))
    assert again is not None
    assert other is not None
    assert torch.equal(again.item, data.candidates.item)
    assert not torch.equal(other.item, data.candidates.item)


def test_validation_list_of_a_user_who_bought_nearly_everything_is_padded(
    purchases: Purchases,
) -> None:
    read = purchases([("a", "0"), ("a", "1"), ("a", "2"), ("b", "0"), ("b", "3"), ("b", "2")])
    phase = Phase(np.array([0, 1, 3, 4, 5]), np.array([2]), sampled_negatives=5)
    data = index_phase(read, "val", phase)
    assert data.candidates is not None
    # 4 items; user a bought 0 and 1, asks for 2: only 3 is left to draw
    assert sorted(data.candidates.item[0].tolist()) == [2, 3, 4, 4]
    assert data.candidates.item[0][data.candidates.relevant[0]].tolist() == [2]


def test_units_of_a_day_add_up_in_the_event_and_those_of_a_pair_in_its_weight() -> None:
    table = pa.table(
        {
            "user_id": ["b", "a", "a", "a", "b", "a"],
            "item_id": ["y", "x", "y", "x", "y", "x"],
            "timestamp": ["2024-01-05"] + ["2024-01-02"] * 3 + ["2024-01-03", "2024-01-04"],
            "quantity": [10, 1, 5, 2, 20, 4],
        }
    )
    read = clean_transactions(table, DataReport("rows"), Cleaning())
    data = index_phase(read, "full_data", FullData()(read, seed=1)["full_data"])
    assert values(data.interactions.history) == [[0, 1, 0], [1, 1]]
    # x twice on one day is 1 + 2; then y; then x again; of b the later row is the earlier purchase
    assert data.interactions.quantity is not None
    assert data.interactions.quantity.tolist() == [3, 5, 4, 20, 10]
    assert data.interactions.units is not None
    assert data.interactions.units.tolist() == [7, 5, 30]


def test_units_without_timestamps_follow_their_rows() -> None:
    rows = {"user_id": ["b", "a", "b"], "item_id": ["y", "x", "x"], "quantity": [1, 2, 3]}
    read = clean_transactions(pa.table(rows), DataReport("rows"), Cleaning())
    data = index_phase(read, "full_data", FullData()(read, seed=1)["full_data"])
    assert values(data.interactions.history) == [[0], [1, 0]]
    assert data.interactions.quantity is not None
    assert data.interactions.quantity.tolist() == [2, 1, 3]
    assert data.interactions.units is not None
    assert data.interactions.units.tolist() == [2, 3, 1]


def test_no_more_users_are_asked_than_wanted_and_the_others_are_counted(
    purchases: Purchases,
) -> None:
    read = purchases(SALES)
    everyone = fitted_before_the_test(read)
    some = fitted_before_the_test(read, max_users=4)
    asked = everyone.truth.lengths() > 0
    drawn = some.truth.lengths() > 0
    assert int(drawn.sum()) == 4 < int(asked.sum())
    assert some.counts["asked_users_left_out_by_max_users"] == int(asked.sum()) - 4
    expected = [
        items if kept else [] for items, kept in zip(values(everyone.truth), drawn, strict=True)
    ]
    assert values(some.truth) == expected
    assert values(some.interactions.history) == values(everyone.interactions.history)
    # whatever the seed of the run
    assert values(fitted_before_the_test(read, max_users=4, seed=9).truth) == values(some.truth)
    enough = fitted_before_the_test(read, max_users=1000)
    assert enough.counts["asked_users_left_out_by_max_users"] == 0
    assert values(enough.truth) == values(everyone.truth)
    assert "asked_users_left_out_by_max_users" not in everyone.counts


def test_sampled_lists_are_of_the_users_who_are_asked(purchases: Purchases) -> None:
    read = purchases(SALES)
    phase = replace(GlobalTime()(read, seed=1)["test"], sampled_negatives=2)
    data = index_phase(read, "test", phase, max_users=3)
    assert data.candidates is not None
    assert data.candidates.user.tolist() == torch.nonzero(data.truth.lengths()).squeeze(1).tolist()
    assert len(data.candidates.user) == 3


def test_published_lists_are_of_the_users_who_are_asked(purchases: Purchases) -> None:
    read = purchases([("a", "0"), ("b", "1"), ("c", "2"), ("a", "1"), ("b", "2"), ("c", "0")])
    listed = CandidateTable(
        np.array([0, 0, 1, 1, 2, 2]), np.array([1, 2, 2, 0, 0, 1]), np.array([True, False] * 3)
    )
    read = replace(read, candidates=listed, is_test=np.arange(6) >= 3)
    phase = Phase(np.array([0, 1, 2]), np.array([3, 4, 5]), candidates=True)
    everyone, some = (index_phase(read, "test", phase, max_users=size) for size in (None, 2))
    assert everyone.candidates is not None
    assert some.candidates is not None
    assert len(everyone.candidates.user) == 3
    assert len(some.candidates.user) == 2
    for place, user in enumerate(some.candidates.user.tolist()):
        assert torch.equal(some.candidates.item[place], everyone.candidates.item[user])
        assert torch.equal(some.candidates.relevant[place], everyone.candidates.relevant[user])


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "all"])
def test_a_number_of_users_that_is_none_is_refused(purchases: Purchases, size: object) -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.max_users=.*: it has to be a whole number"):
        fitted_before_the_test(purchases(SALES), max_users=size)  # type: ignore[arg-type]
