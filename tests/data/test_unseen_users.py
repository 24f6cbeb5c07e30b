"""Users who are never fitted: read with the first part of their purchases, asked about the rest."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from recsys.data.dataset import Dataset
from recsys.data.interactions import index_phase
from recsys.data.splits.phase import Phase
from recsys.data.splits.unseen_users import UnseenUsers
from recsys.errors import ConfigError

NUM_USERS, NUM_LINES = 20, 10


@pytest.fixture
def read(purchases: Callable[..., Dataset]) -> Dataset:
    """Lines in no order of time; user u buys ten of twelve items, a day apart."""
    rows = [
        (f"u{user:02}", f"i{(user + 5 * line) % 12:02}", f"2024-01-{1 + line:02} 12:00:00")
        for line in (3, 1, 4, 0, 9, 2, 6, 5, 8, 7)
        for user in range(NUM_USERS)
    ]
    return purchases(rows)


def split(read: Dataset, seed: int = 1, **options: float | bool) -> dict[str, Phase]:
    return UnseenUsers(**options)(read, seed)  # type: ignore[arg-type]


def users(read: Dataset, rows: np.ndarray | None) -> set[int]:
    assert rows is not None
    return set(read.user[rows].tolist())


def test_users_are_fitted_or_asked_and_never_both(read: Dataset) -> None:
    phases = split(read)
    assert list(phases) == ["val", "known", "test"]
    val, test = phases["val"], phases["test"]
    asked = {name: users(read, phases[name].truth) for name in phases}
    assert (len(asked["val"]), len(asked["test"])) == (2, 4)
    assert not asked["val"] & asked["test"]
    everyone = set(range(NUM_USERS))
    assert users(read, val.fit) == everyone - asked["val"] - asked["test"]
    # whom the model was chosen on is fitted for the test
    assert users(read, test.fit) == everyone - asked["test"]


def test_the_first_purchases_are_read_and_the_last_asked_about(read: Dataset) -> None:
    time = read.timestamp
    assert time is not None
    for phase in split(read, fold_in_share=0.7).values():
        assert phase.fold_in is not None
        for user in users(read, phase.truth):
            fold_in, truth = (
                time[rows[read.user[rows] == user]] for rows in (phase.fold_in, phase.truth)
            )
            assert (len(fold_in), len(truth)) == (7, 3)
            assert fold_in.max() < truth.min()


def test_known_puts_the_same_questions_with_the_first_part_fitted(read: Dataset) -> None:
    phases = split(read)
    known, test = phases["known"], phases["test"]
    assert known.fold_in is not None
    assert test.fold_in is not None
    assert known.truth.tolist() == test.truth.tolist()
    assert known.fold_in.tolist() == test.fold_in.tolist()
    assert known.fit.tolist() == sorted([*test.fit, *test.fold_in])
    assert list(split(read, known=False)) == ["val", "test"]


def test_known_is_asked_about_the_items_of_the_test(read: Dataset) -> None:
    phases = split(read)
    fitted = users(read, phases["test"].fit)
    # of 16 users ten buy an item in twelve, so that some items have 14 buyers and some have not
    indexed = {
        name: index_phase(read, name, phase, min_buyers=len(fitted) - 2)
        for name, phase in phases.items()
        if name != "val"
    }
    items = {name: data.vocabulary.item_ids.tolist() for name, data in indexed.items()}
    assert items["known"] == items["test"]
    assert 2 <= len(items["test"]) < 12
    assert indexed["known"].truth.values.tolist() == indexed["test"].truth.values.tolist()


def test_what_is_read_is_not_learned_from(read: Dataset) -> None:
    phases = split(read)
    test = index_phase(read, "test", phases["test"])
    known = index_phase(read, "known", phases["known"])
    asked = test.truth.lengths() > 0
    assert int(asked.sum()) == 4
    assert test.interactions.history.lengths()[asked].tolist() == [0] * 4
    assert test.histories.history.lengths()[asked].tolist() == [8] * 4
    assert known.interactions.history.lengths()[asked].tolist() == [8] * 4
    assert test.counts["users_not_fitted"] == 4
    assert known.counts["users_not_fitted"] == 0
    assert test.counts["fold_in_rows"] == 32
    assert test.interactions.buyers.sum() == 16 * NUM_LINES


def test_everyone_is_asked_on_the_day_of_the_own_last_purchase(read: Dataset) -> None:
    phase = split(read)["test"]
    test = index_phase(read, "test", phase)
    assert test.ages is not None
    for user in range(test.vocabulary.num_users):
        start, stop = test.histories.history.indptr[user : user + 2].tolist()
        expected = list(range(stop - start - 1, -1, -1))
        assert test.ages[start:stop].tolist() == expected
    # without folding, everyone on the last day of the fitted part
    plain = index_phase(read, "plain", Phase(np.arange(5), np.arange(0)))
    assert plain.ages is not None
    assert plain.ages.max() == plain.ages[0] == 0


def test_folded_items_that_nobody_fitted_bought_are_counted(
    purchases: Callable[..., Dataset],
) -> None:
    rows = [(user, item, "2024-01-01") for user in ("a", "b", "c") for item in ("x", "y")]
    table = purchases([*rows, ("d", "new", "2024-01-01"), ("d", "x", "2024-01-02")])
    phase = Phase(np.arange(6), np.array([7]), fold_in=np.array([6]))
    data = index_phase(table, "test", phase)
    assert data.counts["fold_in_rows_of_unknown_items"] == 1
    # nothing is left to ask with, and nobody else is there to know "d"
    assert data.vocabulary.user_ids.tolist() == ["a", "b", "c"]
    assert data.counts["truth_users_unknown"] == 1


def test_a_seed_draws_the_same_users_and_another_seed_others(read: Dataset) -> None:
    one, again, other = (split(read, seed)["test"].truth.tolist() for seed in (1, 1, 2))
    assert one == again != other


def test_without_timestamps_the_first_part_is_drawn(read: Dataset) -> None:
    timeless = replace(read, timestamp=None, day=None)
    phase = split(timeless)["test"]
    assert phase.fold_in is not None
    assert len(phase.fold_in) == 4 * len(phase.truth)
    assert index_phase(timeless, "test", phase).ages is None


def test_a_user_with_one_purchase_is_not_asked(purchases: Callable[..., Dataset]) -> None:
    read = purchases([(f"u{user}", f"i{user % 3}") for user in range(10)])
    assert not len(split(read)["test"].truth)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name in ("test_share", "validation_share", "fold_in_share")
        for value in (0.0, 1.0, float("nan"))
        if (name, value) != ("fold_in_share", 0.0)  # nothing is read
    ],
)
def test_impossible_shares_are_named(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"evaluation\.split\.{name}={value}: it has to be"):
        UnseenUsers(**{name: value})


def test_users_of_whom_nothing_is_read_are_asked_about_everything(read: Dataset) -> None:
    phases = split(read, fold_in_share=0.0)
    assert list(phases) == ["val", "test"]
    test, usual = phases["test"], split(read)["test"]
    assert test.fold_in is None
    assert test.fit.tolist() == usual.fit.tolist()  # the same users are drawn
    assert usual.fold_in is not None
    assert test.truth.tolist() == sorted([*usual.fold_in, *usual.truth])
    data = index_phase(read, "test", test, cold_users=True)
    assert data.cold_users is not None
    assert len(data.cold_users) == 4
    assert not set(data.cold_users.user_ids) & set(data.vocabulary.user_ids)
    assert data.counts["truth_users_cold"] == 4
    assert data.counts["truth_users_unknown"] == 0


def test_shares_that_leave_nobody_are_refused() -> None:
    with pytest.raises(ConfigError, match="leave no user to fit on"):
        UnseenUsers(test_share=0.5, validation_share=0.5)
