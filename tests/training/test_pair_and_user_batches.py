"""Batches: every positive once an epoch, negatives that are none of the positives, seeded by epoch
and process.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.data.shards import Shard, epoch_generator
from recsys.training.losses.bce import bce
from recsys.training.losses.full_softmax import full_softmax
from recsys.training.objectives import pairs as loaders
from recsys.training.objectives.negatives import NegativeSampler
from recsys.training.objectives.pairs import PairBatch, PairObjective
from recsys.training.objectives.users import UserBatch, UserObjective

CPU = torch.device("cpu")
ALONE = Shard()


def ragged(rows: list[list[int]]) -> Ragged:
    row = np.repeat(np.arange(len(rows)), [len(values) for values in rows])
    return Ragged.from_sorted(
        row, np.array([v for values in rows for v in values], dtype=np.int64), len(rows)
    )


def made_up(num_users: int = 11, num_items: int = 15, seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    rows = [
        sorted(rng.choice(num_items, rng.integers(1, 7), replace=False).tolist())
        for _ in range(num_users)
    ]
    rows[4] = []  # a user whose purchases a filter has left out
    return Interactions(ragged(rows), num_items)


def pair_batches(
    interactions: Interactions, epoch: int = 0, shard: Shard = ALONE, seed: int = 3
) -> list[PairBatch]:
    objective = PairObjective(interactions, bce, 4, 3, seed)
    batches = objective.batches(CPU, lambda: epoch, shard)
    found = list(batches)
    assert len(found) == len(batches)
    return found


def user_batches(
    interactions: Interactions, epoch: int = 0, shard: Shard = ALONE, seed: int = 3
) -> list[UserBatch]:
    objective = UserObjective(interactions, full_softmax, 3, seed)
    batches = objective.batches(CPU, lambda: epoch, shard)
    found = list(batches)
    assert len(found) == len(batches)
    return found


def pairs_of(batches: list[PairBatch] | list[UserBatch]) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for batch in batches:
        if isinstance(batch, PairBatch):
            pairs += zip(batch.user.tolist(), batch.items[:, 0].tolist(), strict=True)
        else:
            pairs += zip(batch.user[batch.row].tolist(), batch.item.tolist(), strict=True)
    return pairs


def positives(interactions: Interactions) -> list[tuple[int, int]]:
    distinct = interactions.distinct
    user = torch.repeat_interleave(torch.arange(len(distinct)), distinct.lengths())
    return list(zip(user.tolist(), distinct.values.tolist(), strict=True))


def same(one: list[PairBatch] | list[UserBatch], other: list[PairBatch] | list[UserBatch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for first, second in zip(one, other, strict=True)
        for a, b in zip(first, second, strict=True)
    )


BOTH = pytest.mark.parametrize("batches", [pair_batches, user_batches])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 7), max_size=7), min_size=1, max_size=5), st.integers(0, 2**20)
)
def test_negatives_cover_exactly_what_the_user_never_bought(
    bought: list[set[int]], seed: int
) -> None:
    sampler = NegativeSampler(ragged([sorted(items) for items in bought]), 8)
    users = torch.arange(len(bought))
    drawn = sampler.draw(users, 400, torch.Generator().manual_seed(seed))
    for items, row in zip(bought, drawn.tolist(), strict=True):
        # 8 items at most: one of them is missed 400 times with a chance of (7/8)^400
        assert set(row) == set(range(8)) - items


def test_negatives_are_uniform() -> None:
    bought = [0, 3, 4, 9, 10, 11, 19]
    sampler = NegativeSampler(ragged([[1], bought, []]), 20)
    count = 13_000
    drawn = sampler.draw(torch.tensor([1]), count, torch.Generator().manual_seed(7))
    seen = torch.bincount(drawn[0], minlength=20).double()
    free = [item for item in range(20) if item not in bought]
    expected = count / len(free)
    chi_square = float(((seen[free] - expected) ** 2 / expected).sum())
    assert seen[bought].sum() == 0
    # 12 degrees of freedom: above 32.9 in one of a thousand
    assert chi_square < 32.9


POPULARITY = torch.tensor([9, 0, 1, 4, 25, 1, 16, 2])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 7), max_size=6), min_size=1, max_size=5),
    st.sampled_from([0.25, 0.75, 1.0, 2.0]),
    st.integers(0, 2**20),
)
def test_negatives_by_popularity_are_never_bought_and_never_unsold(
    bought: list[set[int]], power: float, seed: int
) -> None:
    sampler = NegativeSampler(ragged([sorted(items) for items in bought]), 8, POPULARITY, power)
    users = torch.arange(len(bought))
    drawn = sampler.draw(users, 400, torch.Generator().manual_seed(seed))
    for items, row in zip(bought, drawn.tolist(), strict=True):
        free = set(range(8)) - items - {1}  # which nobody bought
        assert not free or set(row) <= free


@pytest.mark.parametrize("power", [0.5, 0.75, 1.0])
def test_negatives_follow_the_power_of_popularity(power: float) -> None:
    bought = [0, 5]
    sampler = NegativeSampler(ragged([[4], bought, []]), 8, POPULARITY, power)
    count = 20_000
    drawn = sampler.draw(torch.tensor([1]), count, torch.Generator().manual_seed(7))
    seen = torch.bincount(drawn[0], minlength=8).double()
    free = [2, 3, 4, 6, 7]
    share = POPULARITY[free].double() ** power
    expected = count * share / share.sum()
    chi_square = float(((seen[free] - expected) ** 2 / expected).sum())
    assert seen.sum() == seen[free].sum()
    # 4 degrees of freedom: above 18.5 in one of a thousand
    assert chi_square < 18.5


@pytest.mark.parametrize("power", [0.0, 0.75])
def test_probability_of_a_draw_by_hand(power: float) -> None:
    sampler = NegativeSampler(ragged([[4], [0, 5], []]), 8, POPULARITY, power)
    items = torch.tensor([[2, 3, 4, 6, 7]])
    # of user 1 item 1 is free too, but nobody bought it: it weighs 0 ** power
    share = POPULARITY[items[0]].double() ** power
    total = share.sum() + 0.0**power
    expected = (share / total).log().float().unsqueeze(0)
    found = sampler.log_probability(torch.tensor([1]), items)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    unsold = sampler.log_probability(torch.tensor([1]), torch.tensor([[1]]))
    assert float(unsold) == pytest.approx(-math.log(6) if power == 0 else -math.inf)


def test_many_users_and_items_leave_popularity_as_it_is() -> None:
    # fine weights and many users would not fit 64 bits together: the last user tells
    users, items = 200_000, 50
    rows = ragged([[0]] * users)
    popularity = torch.arange(items) + 1
    sampler = NegativeSampler(rows, items, popularity, 1.0)
    drawn = sampler.draw(torch.full((40,), users - 1), 500, torch.Generator().manual_seed(3))
    seen = torch.bincount(drawn.flatten(), minlength=items).double()
    expected = 20_000 * popularity[1:].double() / popularity[1:].sum()
    assert seen[0] == 0
    # 48 degrees of freedom: above 84 in one of a thousand
    assert float(((seen[1:] - expected) ** 2 / expected).sum()) < 84


def test_power_zero_draws_what_uniform_draws() -> None:
    rows = ragged([[4], [0, 5], []])
    users = torch.tensor([0, 1, 2])
    plain, powered = (
        NegativeSampler(rows, 8, *options).draw(users, 50, torch.Generator().manual_seed(1))
        for options in ((), (POPULARITY, 0.0))
    )
    assert torch.equal(plain, powered)


def test_batches_say_what_their_negatives_were_drawn_with() -> None:
    interactions = made_up()
    objective = PairObjective(interactions, bce, 4, 3, 3, popularity_power=1.0, log_q=True)
    batches = objective.batches(CPU, lambda: 0, ALONE)
    popularity = interactions.buyers.double()
    bought = set(positives(interactions))
    for batch in batches:
        for user, items, log_q in zip(
            batch.user.tolist(), batch.items[:, 1:].tolist(), batch.log_q, strict=True
        ):
            free = [i for i in range(15) if (user, i) not in bought]
            expected = (popularity[items] / popularity[free].sum()).log().float()
            torch.testing.assert_close(log_q, expected, atol=1e-5, rtol=0)
    assert all(batch.log_q is None for batch in pair_batches(interactions))


def test_user_who_bought_everything_gets_any_item_and_disturbs_nobody() -> None:
    sampler = NegativeSampler(ragged([[0, 1, 2], [1]]), 3)
    drawn = sampler.draw(torch.tensor([0, 1]), 200, torch.Generator().manual_seed(1))
    assert set(drawn[0].tolist()) == {0, 1, 2}
    assert set(drawn[1].tolist()) == {0, 2}


def test_each_row_of_a_batch_draws_for_its_own_user() -> None:
    sampler = NegativeSampler(ragged([[0], [1], [0, 1]]), 3)
    drawn = sampler.draw(torch.tensor([2, 0, 2, 1]), 100, torch.Generator().manual_seed(1))
    assert [set(row) for row in drawn.tolist()] == [{2}, {1, 2}, {2}, {0, 2}]


@BOTH
def test_every_positive_comes_exactly_once_an_epoch(batches: type) -> None:
    interactions = made_up()
    for epoch in range(3):
        assert sorted(pairs_of(batches(interactions, epoch))) == positives(interactions)


def test_item_bought_twice_is_one_positive() -> None:
    assert sorted(pairs_of(pair_batches(Interactions(ragged([[2, 1, 2], [0, 0]]), 3)))) == [
        (0, 1),
        (0, 2),
        (1, 0),
    ]


def test_pair_batch_holds_the_positive_in_front_and_no_positive_behind() -> None:
    interactions = made_up()
    bought = set(positives(interactions))
    for batch in pair_batches(interactions):
        assert batch.items.shape == (len(batch.user), 4)
        for user, (first, *others) in zip(batch.user.tolist(), batch.items.tolist(), strict=True):
            assert (user, first) in bought
            assert not {(user, item) for item in others} & bought


@BOTH
def test_same_seed_epoch_and_process_give_the_same_batches(batches: type) -> None:
    interactions = made_up()
    for share in (Shard(), Shard(1, 2)):
        assert same(batches(interactions, 2, share), batches(interactions, 2, share))


@BOTH
def test_other_epochs_and_seeds_give_other_batches(batches: type) -> None:
    interactions = made_up()
    first = batches(interactions, epoch=0)
    assert not same(first, batches(interactions, epoch=1))
    assert not same(first, batches(interactions, epoch=0, seed=4))


def test_other_epochs_draw_other_negatives_for_the_same_positive() -> None:
    interactions = made_up(num_items=200)

    def negatives(epoch: int) -> dict[tuple[int, int], list[int]]:
        batches = pair_batches(interactions, epoch)
        rows = [row for b in batches for row in zip(b.user, b.items, strict=True)]
        return {(int(user), int(items[0])): items[1:].tolist() for user, items in rows}

    drawn = [negatives(epoch) for epoch in (0, 1)]
    changed = sum(drawn[0][pair] != drawn[1][pair] for pair in drawn[0])
    assert changed > 0.9 * len(drawn[0])


def test_the_epoch_is_asked_for_when_it_begins() -> None:
    epoch = 0
    objective = PairObjective(made_up(), bce, 4, 1, 3)
    batches = objective.batches(CPU, lambda: epoch, Shard())
    first = list(batches)
    epoch = 1
    second = list(batches)
    epoch = 0
    assert same(list(batches), first)
    assert not same(second, first)


@BOTH
@pytest.mark.parametrize("world_size", [2, 3])
def test_shares_together_cover_everything_in_equally_many_batches(
    batches: type, world_size: int
) -> None:
    interactions = made_up()
    shares = [batches(interactions, 1, Shard(rank, world_size)) for rank in range(world_size)]
    together = [pair for share in shares for pair in pairs_of(share)]
    assert set(together) == set(positives(interactions))
    assert len({len(share) for share in shares}) == 1, (
        "a process with fewer batches would leave the others waiting"
    )
    rows = [sum(len(batch.user) for batch in share) for share in shares]
    assert len(set(rows)) == 1
    # a share repeats no more than is needed to make all equally long
    one = sum(len(batch.user) for batch in batches(interactions, 1))
    assert sum(rows) - one < world_size


def test_processes_draw_different_negatives() -> None:
    # all users are alike, so the same stream would draw the same negatives in both processes
    alike = Interactions(ragged([[0]] * 40), 1000)
    one, other = (
        torch.cat([batch.items for batch in pair_batches(alike, 0, Shard(rank, 2))])
        for rank in (0, 1)
    )
    assert one.shape == other.shape
    assert (one[:, 1:] == other[:, 1:]).double().mean() < 0.1


def test_generator_depends_on_seed_epoch_and_process_alone() -> None:
    seeds = {
        (seed, epoch, rank): epoch_generator(seed, epoch, rank, CPU).initial_seed()
        for seed in range(6)
        for epoch in range(30)
        for rank in range(-1, 4)
    }
    assert len(set(seeds.values())) == len(seeds)
    assert epoch_generator(1, 2, 3, CPU).initial_seed() == seeds[1, 2, 3]


def test_user_without_a_positive_stands_in_no_batch() -> None:
    users = [user for batch in user_batches(made_up()) for user in batch.user.tolist()]
    assert sorted(users) == [user for user in range(11) if user != 4]


def test_weight_of_a_positive_follows_it_through_the_order_of_the_epoch() -> None:
    interactions = made_up()
    weight = torch.rand(
        len(interactions.distinct.values), generator=torch.Generator().manual_seed(1)
    )
    expected = dict(zip(positives(interactions), weight.tolist(), strict=True))
    pairs = PairObjective(interactions, bce, 4, 1, 3, weight).batches(CPU, lambda: 0, ALONE)
    users = UserObjective(interactions, full_softmax, 3, 3, weight).batches(CPU, lambda: 0, ALONE)
    for batches in (list(pairs), list(users)):
        weights = [value for batch in batches for value in batch.weight.tolist()]
        assert dict(zip(pairs_of(batches), weights, strict=True)) == expected


@pytest.mark.parametrize("drawn_at_once", [1, 12, 13, 24, 10**6])
def test_batches_are_the_same_however_many_are_drawn_at_once(
    monkeypatch: pytest.MonkeyPatch, drawn_at_once: int
) -> None:
    interactions = made_up()
    weight = torch.arange(len(interactions.distinct.values)).float()

    def drawn() -> list[PairBatch]:
        objective = PairObjective(interactions, bce, 4, 3, 3, weight, log_q=True)
        return list(objective.batches(CPU, lambda: 2, ALONE))

    monkeypatch.setattr(loaders, "_DRAWN_AT_ONCE", 1)
    one_by_one = drawn()
    monkeypatch.setattr(loaders, "_DRAWN_AT_ONCE", drawn_at_once)
    for found, expected in zip(drawn(), one_by_one, strict=True):
        for column, other in zip(found, expected, strict=True):
            torch.testing.assert_close(column, other, rtol=0, atol=0)
