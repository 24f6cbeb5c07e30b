"""User k-NN by arithmetic and against a loop; it can be kept, and not exported."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.errors import ExportError
from recsys.export import write_recommender_bundle
from recsys.models.recommender import Query, Recommender
from recsys.models.recommenders.user_knn import UserKNN

ROWS = [[0, 1], [0, 1, 1, 2], [0, 3], [2, 3, 4], [5]]  # item 1 twice by user 1
USERS, ITEMS = len(ROWS), 6


def interactions(rows: list[list[int]], num_items: int) -> Interactions:
    user = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    return Interactions(Ragged.from_sorted(user, np.concatenate(rows), len(rows)), num_items)


def fitted(num_neighbours: int = 100, shrinkage: float = 0.0) -> UserKNN:
    model = UserKNN(USERS, ITEMS, num_neighbours, shrinkage)
    model.fit(interactions(ROWS, ITEMS))
    return model.eval()


def asked(users: list[int]) -> Query:
    return Query(torch.tensor(users), torch.zeros(len(users), 0, dtype=torch.int64))


def test_scores_are_sums_of_similarities_of_those_who_bought():
    # user 0 shares {0, 1} with user 1 and {0} with user 2
    first, second = 2 / math.sqrt(2 * 3), 1 / math.sqrt(2 * 2)
    expected = torch.tensor([[first + second, first, first, second, 0, 0]])
    torch.testing.assert_close(fitted().score_all(asked([0])), expected)


def test_shrinkage_joins_the_denominator():
    scores = fitted(shrinkage=3.0).score_all(asked([0]))
    torch.testing.assert_close(scores[0, 2], torch.tensor(2 / (math.sqrt(6) + 3)))


def test_only_the_nearest_count_and_nobody_is_his_own_neighbour():
    scores = fitted(num_neighbours=1).score_all(asked([0, 4]))
    first = 2 / math.sqrt(6)
    torch.testing.assert_close(scores[0], torch.tensor([first, first, first, 0, 0, 0]))
    # nobody else bought what user 4 bought
    assert torch.equal(scores[1], torch.zeros(ITEMS))


@pytest.mark.parametrize(("num_neighbours", "shrinkage"), [(3, 0.0), (8, 2.0), (1000, 0.0)])
def test_scores_are_those_of_a_loop_over_pairs(num_neighbours, shrinkage):
    rng = np.random.default_rng(1)
    rows = [rng.choice(30, rng.integers(1, 9)).tolist() for _ in range(50)]
    model = UserKNN(50, 30, num_neighbours, shrinkage)
    model.fit(interactions(rows, 30))
    scores = model.score_all(asked([49, *range(49)]))
    for place, user in enumerate([49, *range(49)]):
        near = {}
        for other in range(50):
            common = len(set(rows[user]) & set(rows[other]))
            if other != user and common:
                norm = math.sqrt(len(set(rows[user])) * len(set(rows[other])))
                near[other] = np.float32(common) / np.float32(norm + shrinkage)
        best = dict(sorted(near.items(), key=lambda pair: (-pair[1], pair[0]))[:num_neighbours])
        expected = [sum(s for other, s in best.items() if i in rows[other]) for i in range(30)]
        np.testing.assert_allclose(scores[place], expected, atol=1e-5)


def test_candidates_score_as_the_catalogue_does():
    model, query = fitted(), asked([3, 0, 2])
    assert isinstance(model, Recommender)
    items = torch.tensor([[5, 0], [1, 3], [2, 4]])
    torch.testing.assert_close(model(query, items), model.score_all(query).gather(1, items))
    torch.testing.assert_close(model.score_all(asked([2]))[0], model.score_all(query)[2])


def test_a_fresh_model_takes_the_purchases_of_a_checkpoint():
    model, again = fitted(), UserKNN(USERS, ITEMS)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.score_all(asked([0, 3])), model.score_all(asked([0, 3])))
    copied = copy.deepcopy(UserKNN(USERS, ITEMS))
    copied.load_state_dict(model.state_dict())
    assert torch.equal(copied.score_all(asked([0, 3])), model.score_all(asked([0, 3])))


def test_a_checkpoint_without_purchases_is_refused():
    state = fitted().state_dict()
    del state["pairs"]
    with pytest.raises(RuntimeError, match="pairs"):
        UserKNN(USERS, ITEMS).load_state_dict(state)


def test_scoring_warns_of_nothing():
    torch.set_warn_always(True)  # else the first test to score would use the warning up
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fitted().score_all(asked([0, 1]))
    finally:
        torch.set_warn_always(False)


def test_neighbours_ascend_as_sparse_places_must():
    assert (fitted(num_neighbours=3).neighbours.diff(dim=1) > 0).all()


def test_an_export_is_refused_because_it_would_pass_on_what_everybody_bought(tmp_path):
    history = interactions(ROWS, ITEMS).history
    with pytest.raises(ExportError, match="purchases of all users.*item_knn"):
        write_recommender_bundle(
            tmp_path / "user_knn",
            model=fitted(),
            user_ids=np.array([f"u{user}" for user in range(USERS)]),
            item_ids=np.array([f"i{item}" for item in range(ITEMS)]),
            popularity=np.ones(ITEMS),
            history_indptr=history.indptr.numpy(),
            history_items=history.values.numpy(),
            include_seen=False,
            item_names=None,
            provenance={"model": "UserKNN", "metrics": {}},
        )
    assert not (tmp_path / "user_knn").exists()
