"""Batches of a day of the past: what was bought before it, after it, and what a part leaves out."""

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.data.shards import ALONE, Shard
from recsys.errors import DataError
from recsys.features.item_trends import NUM_TRENDS, TIME_SCALES, item_trends
from recsys.training.losses.next_purchases import (
    HistoryBatch,
    HistoryBatches,
    LearningStep,
    NextPurchases,
    NextPurchasesObjective,
)

CPU = torch.device("cpu")
USERS, ITEMS, DAYS, FIRST_DAY = 9, 6, 60, 17_000
HORIZON = 10


def made_up() -> Interactions:
    """Purchases on random days, one user without any and one with a single day."""
    rng = np.random.default_rng(0)
    user, day = rng.integers(0, USERS, 200), rng.integers(0, DAYS, 200)
    day[user == 5] = 3
    day[:2], user[:2] = (0, DAYS - 1), 0
    kept = user != 4
    user, day = user[kept], day[kept]
    order = np.lexsort((day, user))
    user, day = user[order], day[order]
    item = rng.integers(0, ITEMS, len(user))
    days = torch.from_numpy((day + FIRST_DAY).astype(np.int32))
    return Interactions(Ragged.from_sorted(user, item, USERS), ITEMS, days)


DATA = made_up()
EVENTS = [
    (user, int(item), int(day) - FIRST_DAY)
    for user in range(USERS)
    for item, day in zip(
        DATA.history.take(torch.tensor([user]))[1],
        DATA.day[DATA.history.indptr[user] : DATA.history.indptr[user + 1]],
        strict=True,
    )
]


def batches(
    epoch: int = 0, shard: Shard = ALONE, weight: torch.Tensor | None = None, **options: int
) -> HistoryBatches:
    seed = options.pop("seed", 3)
    settings = {"batch_size": 4, "horizon_days": HORIZON, "lookback_days": 21}
    objective = NextPurchasesObjective(DATA, NextPurchases(**(settings | options)), seed, weight)
    return objective.batches(CPU, lambda: epoch, shard)


def steps(epoch: int = 0, **options: int) -> list[LearningStep]:
    return list(batches(epoch, **options))


def histories(batch: HistoryBatch) -> dict[int, list[tuple[int, float]]]:
    """User to (item, age) pairs, without padding."""
    return {
        user: [(i, a) for i, a in zip(items, ages, strict=True) if i < ITEMS]
        for user, items, ages in zip(
            batch.user.tolist(), batch.history.tolist(), batch.age.tolist(), strict=True
        )
    }


def predicted(batch: HistoryBatch) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {user: [] for user in batch.user.tolist()}
    for row, item in zip(batch.row.tolist(), batch.item.tolist(), strict=True):
        found[int(batch.user[row])].append(item)
    return found


def day_of(batch: HistoryBatch) -> int:
    """The day that the trends were taken on."""
    days = [d for d in range(DAYS + 1) if torch.equal(batch.trends, trends_on(d))]
    assert len(days) == 1
    return days[0]


def trends_on(day: int) -> torch.Tensor:
    return item_trends(DATA, FIRST_DAY + day)


def test_what_comes_later_lies_within_the_horizon_and_the_history_before_the_day() -> None:
    days = set()
    for epoch in range(5):
        for later, _ in steps(epoch):
            cut = day_of(later)
            days.add(cut)
            before, after = histories(later), predicted(later)
            for user in later.user.tolist():
                mine = [(item, day) for u, item, day in EVENTS if u == user]
                assert before[user] == [(i, float(cut - 1 - d)) for i, d in mine if d < cut]
                assert after[user] == sorted({i for i, d in mine if cut <= d < cut + HORIZON})
                assert before[user]
                assert after[user]
    assert days == {DAYS - HORIZON - back for back in (0, 7, 14, 21)}


def test_the_days_stay_in_the_second_half_of_the_data() -> None:
    days = {day_of(later) for epoch in range(8) for later, _ in steps(epoch, lookback_days=1000)}
    assert min(days) >= DAYS // 2 - HORIZON // 2
    assert len(days) > 3


def test_a_user_who_bought_on_one_side_of_the_day_only_is_left_out_of_what_comes_later() -> None:
    for later, hidden in steps():
        assert 5 not in later.user  # has one day, long ago
        assert 4 not in hidden.user  # bought nothing
    assert sorted(u for step in steps() for u in step.hidden.user.tolist()) == [
        user for user in range(USERS) if user != 4
    ]


def test_what_is_hidden_and_what_is_kept_are_all_that_the_user_bought() -> None:
    shares = []
    for _, hidden in steps():
        kept, left_out = histories(hidden), predicted(hidden)
        for user in hidden.user.tolist():
            mine = [(item, day) for u, item, day in EVENTS if u == user]
            assert kept[user] == [
                (i, float(DAYS - 1 - d)) for i, d in mine if i not in left_out[user]
            ]
            assert set(left_out[user]) <= {i for i, _ in mine}
            shares.append(len(left_out[user]))
        assert torch.equal(hidden.trends, trends_on(DAYS))
    assert 0 < sum(shares) < len(DATA.distinct.values)


def test_weights_go_with_what_is_hidden() -> None:
    weight = torch.rand(len(DATA.distinct.values), generator=torch.Generator().manual_seed(0))
    for _, hidden in batches(weight=weight):
        expected = []
        for user, item in zip(hidden.user[hidden.row].tolist(), hidden.item.tolist(), strict=True):
            start = int(DATA.distinct.indptr[user])
            items = DATA.distinct.take(torch.tensor([user]))[1].tolist()
            expected.append(float(weight[start + items.index(item)]))
        assert hidden.weight is not None
        assert hidden.weight.tolist() == expected


def test_an_epoch_repeats_itself_and_the_next_differs() -> None:
    one, again, other = (steps(epoch) for epoch in (2, 2, 3))

    def same(a: list[LearningStep], b: list[LearningStep]) -> bool:
        return all(
            left.shape == right.shape and torch.equal(left, right)
            for x, y in zip(a, b, strict=True)
            for p, q in zip(x, y, strict=True)
            for left, right in zip(p, q, strict=True)
            if isinstance(left, torch.Tensor)
        )

    assert same(one, again)
    assert not same(one, other)


def test_two_processes_share_the_users() -> None:
    users = [
        {u for _, hidden in batches(shard=Shard(rank, 2)) for u in hidden.user.tolist()}
        for rank in (0, 1)
    ]
    assert users[0] | users[1] == set(range(USERS)) - {4}
    assert not users[0] & users[1]


def test_data_without_days_or_with_too_few_are_refused() -> None:
    def build(data: Interactions, horizon: int = HORIZON) -> HistoryBatches:
        settings = NextPurchases(batch_size=4, horizon_days=horizon, lookback_days=0)
        return NextPurchasesObjective(data, settings, 1, None).batches(CPU, lambda: 0, Shard())

    with pytest.raises(DataError, match="the data has no timestamps"):
        build(Interactions(DATA.history, ITEMS))
    with pytest.raises(DataError, match=r"loss.horizon_days=31: the fitted part covers 60 days"):
        build(DATA, 31)
    assert len(build(DATA, 30)) == 2


def test_trends_know_nothing_of_the_day_itself_and_after() -> None:
    past = DATA.day < FIRST_DAY + 40
    user = torch.repeat_interleave(torch.arange(USERS), DATA.history.lengths())[past]
    before = Interactions(
        Ragged.from_sorted(user.numpy(), DATA.history.values[past].numpy(), USERS),
        ITEMS,
        DATA.day[past],
    )
    torch.testing.assert_close(item_trends(before, FIRST_DAY + 40), trends_on(40))


def test_trends_count_purchases_on_every_time_scale_and_those_who_come_back() -> None:
    # item 0: one buyer on days 0 and 39, another on day 10; item 1: one buyer on day 39
    history = Ragged.from_sorted(np.array([0, 0, 1, 2]), np.array([0, 0, 0, 1]), 3)
    days = torch.tensor([100, 139, 110, 139], dtype=torch.int32)
    found = item_trends(Interactions(history, 2, days), 140)
    assert found.shape == (2, NUM_TRENDS)
    sold = torch.log1p(torch.exp(-torch.tensor([[39.0, 29.0, 0.0]]).T / torch.tensor(TIME_SCALES)))
    counts = torch.expm1(sold)  # (3, T)
    expected = torch.log1p(counts.sum(dim=0)) - torch.log1p(counts[2])
    torch.testing.assert_close(found[0, :5] - found[1, :5], expected)
    # of two who bought it 28 days ago or earlier one came back: (1 + 5 · ½) / (2 + 5); item 1 has
    # the mean alone
    torch.testing.assert_close(
        found[0, 5] - found[1, 5], torch.log(torch.tensor((3.5 / 7) / (2.5 / 5)))
    )
    # one of two buyers is recent; the only one is
    torch.testing.assert_close(found[0, 7] - found[1, 7], torch.log(torch.tensor((2 / 3) / 1)))
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(NUM_TRENDS))
