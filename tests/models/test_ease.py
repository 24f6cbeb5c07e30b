"""EASE against the regressions it stands for, its budget, and the bundle it leaves in."""

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.errors import ConfigError
from recsys.export import write_recommender_bundle
from recsys.inference import Recommender as Bundle
from recsys.models.recommender import Query, Recommender
from recsys.models.recommenders import ease
from recsys.models.recommenders.ease import EASE

ROWS = [[2, 2, 5], [5, 1], [5], [0, 3, 2], [2, 1], [3], [7, 1, 5, 0]]  # item 2 twice by user 0
USERS, ITEMS = len(ROWS), 8  # items 4 and 6 have no buyer


def purchases() -> Interactions:
    user = np.repeat(np.arange(USERS), [len(row) for row in ROWS])
    return Interactions(Ragged.from_sorted(user, np.concatenate(ROWS), USERS), ITEMS)


def fitted(regularization: float = 1.5) -> EASE:
    model = EASE(USERS, ITEMS, regularization)
    model.fit(purchases())
    return model.eval()


def everyone() -> Query:
    users = torch.arange(USERS)
    return Query(users, purchases().history.padded(users, ITEMS))


@pytest.mark.parametrize("regularization", [0.01, 1.5, 100.0])
def test_every_item_is_the_ridge_regression_on_all_the_others(regularization):
    bought = np.zeros((USERS, ITEMS))
    for user, row in enumerate(ROWS):
        bought[user, row] = 1
    expected = np.zeros((ITEMS, ITEMS))
    for item in range(ITEMS):
        others = np.delete(np.arange(ITEMS), item)
        x, y = bought[:, others], bought[:, item]
        expected[others, item] = np.linalg.solve(
            x.T @ x + regularization * np.eye(ITEMS - 1), x.T @ y
        )
    weight = fitted(regularization).weight.numpy()
    np.testing.assert_allclose(weight, expected, atol=1e-6)
    scores = fitted(regularization).score_all(everyone())
    np.testing.assert_allclose(scores, bought @ expected, atol=1e-6)


@pytest.mark.parametrize("regularization", [0.01, 1.5, 100.0])
def test_few_users_give_the_same_as_many_of_whom_most_buy_nothing(regularization, monkeypatch):
    monkeypatch.setattr(ease, "_ITEMS_OF_A_BLOCK", 3)
    # with fewer than half as many users as items, the fit inverts another matrix
    user = np.repeat(np.arange(3), [len(row) for row in ROWS[:3]])
    item = np.concatenate(ROWS[:3])
    few, many = (
        EASE(users, ITEMS, regularization=regularization).eval() for users in (3, 2 * ITEMS)
    )
    for model in (few, many):
        model.fit(Interactions(Ragged.from_sorted(user, item, model.num_users), ITEMS))
    torch.testing.assert_close(few.weight, many.weight, atol=1e-6, rtol=1e-5)
    assert few.weight.abs().max() > 0


def test_common_buyers_are_counted_alike_in_dense_and_sparse_products(monkeypatch):
    bought = purchases().matrix()
    dense = bought.toarray()
    monkeypatch.setattr(ease, "_ITEMS_OF_A_BLOCK", 3)
    for least in (0, 500):  # never dense, and dense
        monkeypatch.setattr(ease, "_DENSE_FOR_A_PAIR", least)
        np.testing.assert_array_equal(ease._common_buyers(bought), dense.T @ dense)


def test_a_small_regularization_beside_many_buyers_is_solved_too():
    # 3,000 users buy items 0 and 1, each third of them item 2: regressed on two columns that are
    # the same, both get c / (2 n + λ)
    user = np.r_[np.repeat(np.arange(3000), 2), np.arange(0, 3000, 3)]
    item = np.r_[np.tile([0, 1], 3000), np.full(1000, 2)]
    order = np.argsort(user, kind="stable")
    model = EASE(3000, 3, regularization=0.01)
    model.fit(Interactions(Ragged.from_sorted(user[order], item[order], 3000), 3))
    expected = torch.full((2,), 1000 / 6000.01)
    torch.testing.assert_close(model.weight[:2, 2], expected, atol=1e-6, rtol=0)


def test_an_item_says_nothing_about_itself():
    assert torch.equal(fitted().weight.diagonal(), torch.zeros(ITEMS))


def test_candidates_score_as_the_catalogue_does():
    model = fitted()
    assert isinstance(model, Recommender)
    items = torch.tensor([[7, 0, 3]]).expand(USERS, -1)
    torch.testing.assert_close(
        model(everyone(), items), model.score_all(everyone()).gather(1, items)
    )


def test_order_repeats_padding_and_the_user_do_not_matter():
    model = fitted()
    one = model.score_all(Query(torch.tensor([0]), torch.tensor([[2, 5]])))
    same = model.score_all(Query(torch.tensor([6]), torch.tensor([[5, ITEMS, 2, 5, ITEMS, 2]])))
    torch.testing.assert_close(one, same)


def test_an_empty_history_scores_nothing():
    scores = fitted().score_all(Query(torch.tensor([0]), torch.zeros(1, 0, dtype=torch.int64)))
    assert torch.equal(scores, torch.zeros(1, ITEMS))


def test_a_catalogue_beyond_the_budget_is_refused_before_anything_is_allocated():
    # 20 bytes x (10^6)^2 = 20,000 GB
    with pytest.raises(ConfigError, match="1,000,000 items needs 20,000.0 GB") as caught:
        EASE(10, 10**6)
    for remedy in ("memory_gb=8", "evaluation.min_buyers", "item_knn", "ials", "raise"):
        assert remedy in str(caught.value)
    EASE(10, 1000, memory_gb=0.02)
    with pytest.raises(ConfigError, match="model.memory_gb=0.019"):
        EASE(10, 1000, memory_gb=0.019)


def test_the_weights_are_all_that_a_checkpoint_needs():
    model, again = fitted(), EASE(USERS, ITEMS)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.score_all(everyone()), model.score_all(everyone()))


def test_the_bundle_serves_whoever_has_a_history(tmp_path):
    model, history = fitted(), purchases().history
    folder = write_recommender_bundle(
        tmp_path / "ease",
        model=model,
        user_ids=np.array([f"u{user}" for user in range(USERS)]),
        item_ids=np.array([f"i{item}" for item in range(ITEMS)]),
        popularity=purchases().buyers.numpy(),
        history_indptr=history.indptr.numpy(),
        history_items=history.values.numpy(),
        include_seen=False,
        item_names=None,
        provenance={"model": "EASE", "metrics": {}},
    )
    items, scores = Bundle(folder).recommend(["new"], k=3, history=[["i2", "i2", "i0"]])
    expected = model.score_all(Query(torch.tensor([0]), torch.tensor([[0, 2]])))
    best = expected.topk(3)
    assert items.tolist() == [[f"i{item}" for item in best.indices[0]]]
    np.testing.assert_allclose(scores, best.values, atol=1e-6)


def test_where_nothing_is_said_the_regularization_follows_the_buyers_of_an_item():
    own, given = (
        EASE(USERS, ITEMS),
        EASE(USERS, ITEMS, 5 * len(purchases().distinct.values) / ITEMS),
    )
    for model in (own, given):
        model.fit(purchases())
    torch.testing.assert_close(own.weight, given.weight)
