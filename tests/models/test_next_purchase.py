"""The two heads: what was bought before by when and how often, everything else by its likeness."""

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.errors import ConfigError
from recsys.models.recommender import Query, Recommender
from recsys.models.recommenders.next_purchase import NextPurchase

USERS, ITEMS = 3, 7
HISTORIES = torch.tensor([[2, 2, 5, 2], [1, 5, ITEMS, ITEMS], [ITEMS] * 4])
AGES = torch.tensor([[90.0, 30.0, 10.0, 3.0], [40.0, 1.0, 0.0, 0.0], [0.0] * 4])


def interactions() -> Interactions:
    history = Ragged.from_sorted(np.array([0, 0, 0, 0, 1, 1]), np.array([2, 2, 5, 2, 1, 5]), USERS)
    return Interactions(history, ITEMS, torch.tensor([100, 160, 180, 187, 150, 189]).int())


def model(trained: bool = True) -> NextPurchase:
    torch.manual_seed(0)
    made = NextPurchase(USERS, ITEMS, embedding_dim=4, hidden_dim=8)
    made.observe(interactions())
    if trained:
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


def everyone() -> Query:
    return Query(torch.arange(USERS), HISTORIES, AGES)


def test_it_keeps_the_contract_of_recommenders() -> None:
    made = model()
    assert isinstance(made, Recommender)
    items = torch.tensor([[2, 0, 6], [5, 4, 1], [0, 1, 2]])
    everything = made.score_all(everyone())
    assert everything.shape == (USERS, ITEMS)
    torch.testing.assert_close(made(everyone(), items), everything.gather(1, items))


def test_padding_and_company_change_nothing() -> None:
    made = model()
    alone = made.score_all(Query(torch.tensor([0]), HISTORIES[1:2, :2], AGES[1:2, :2]))
    torch.testing.assert_close(alone, made.score_all(everyone())[1:2])
    left = Query(torch.tensor([0]), HISTORIES[1:2].roll(2, 1), AGES[1:2].roll(2, 1))
    torch.testing.assert_close(alone, made.score_all(left))


def test_a_block_without_users_has_scores_without_rows() -> None:
    nobody = Query(torch.arange(0), torch.full((0, 1), ITEMS), torch.zeros(0, 1))
    for mode in (model().train(), model()):
        assert mode.score_all(nobody).shape == mode.score_unseen(nobody).shape == (0, ITEMS)


def test_an_answer_without_ages_is_refused() -> None:
    with pytest.raises(ValueError, match="give Query.age, the days since each purchase"):
        model().score_all(Query(torch.arange(USERS), HISTORIES))


def test_users_are_known_by_their_histories_alone() -> None:
    made = model()
    others = Query(torch.full((USERS,), 99), HISTORIES, AGES)
    torch.testing.assert_close(made.score_all(everyone()), made.score_all(others))


def test_untrained_it_ranks_the_history_by_frequency_weighted_by_recency() -> None:
    scores = model(trained=False).score_all(everyone())
    counts = torch.exp(-AGES[0] / 150)
    expected = torch.stack([counts[[0, 1, 3]].sum(), counts[2]])
    torch.testing.assert_close(scores[0, [2, 5]], torch.log(0.01 + expected) - 3)
    assert scores[0].topk(2).indices.tolist() == [2, 5]
    assert scores[1].topk(2).indices.tolist() == [5, 1]


def test_an_older_purchase_counts_less() -> None:
    made = model(trained=False)
    recent, old = (
        made.score_all(Query(torch.tensor([0]), torch.tensor([[3]]), torch.tensor([[age]])))[0, 3]
        for age in (2.0, 100.0)
    )
    assert recent > old


def test_unseen_items_score_alike_in_both_heads_up_to_a_constant_of_the_user() -> None:
    made = model()
    everything, unseen = made.score_all(everyone()), made.score_unseen(everyone())
    seen = torch.zeros(USERS, ITEMS + 1, dtype=torch.bool).scatter_(1, HISTORIES, True)[:, :ITEMS]
    assert torch.equal(unseen == -torch.inf, seen)
    for row in range(USERS):
        difference = (everything - unseen)[row][~seen[row]]
        torch.testing.assert_close(difference, difference[:1].expand(len(difference)))


def test_a_repeated_purchase_is_learned_from_once() -> None:
    made = model()
    made.score_all(everyone())[0, 2].backward()  # bought three times
    assert made.again_bias.grad == 1


def test_all_parameters_learn() -> None:
    made = model()
    loss = made.score_all(everyone()).square().sum()
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())


def test_trends_of_another_day_take_the_place_of_its_own() -> None:
    made = model()
    flat = torch.zeros_like(made.trends)
    assert not torch.allclose(made.score_all(everyone()), made.score_all(everyone(), flat))
    torch.testing.assert_close(made.score_all(everyone(), made.trends), made.score_all(everyone()))


def test_dropout_is_off_in_evaluation_and_on_in_training() -> None:
    made = model()
    torch.testing.assert_close(made.score_all(everyone()), made.score_all(everyone()))
    made.train()
    assert not torch.equal(made.score_all(everyone()), made.score_all(everyone()))
    assert not torch.equal(made.score_unseen(everyone()), made.score_unseen(everyone()))


def test_purchases_without_days_are_refused() -> None:
    with pytest.raises(ConfigError, match="the data has no timestamps"):
        model().observe(Interactions(interactions().history, ITEMS))
