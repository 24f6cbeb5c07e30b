"""Item k-NN by arithmetic, against a loop, in blocks and in a bundle."""

import math

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.export import write_recommender_bundle
from recsys.inference import Recommender as Bundle
from recsys.models.recommender import Query, Recommender
from recsys.models.recommenders import neighbours
from recsys.models.recommenders.item_knn import ItemKNN

ROWS = [[0, 1], [0, 1, 1, 2], [0, 3], [2, 3], [0]]  # item 1 twice by user 1
USERS, ITEMS = len(ROWS), 5  # item 4 has no buyer


def interactions(rows: list[list[int]], num_items: int) -> Interactions:
    user = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    return Interactions(Ragged.from_sorted(user, np.concatenate(rows), len(rows)), num_items)


def fitted(num_neighbours: int = 100, shrinkage: float = 0.0) -> ItemKNN:
    model = ItemKNN(USERS, ITEMS, num_neighbours, shrinkage)
    model.fit(interactions(ROWS, ITEMS))
    return model.eval()


def asked(*history: int) -> Query:
    return Query(torch.tensor([0]), torch.tensor([history], dtype=torch.int64).view(1, -1))


def random_rows(num_users: int = 60, num_items: int = 40) -> list[list[int]]:
    rng = np.random.default_rng(0)
    return [rng.choice(num_items, rng.integers(1, 9)).tolist() for _ in range(num_users)]


def test_similarity_is_the_cosine_of_the_sets_of_buyers():
    # buyers: 0 {0,1,2,4}, 1 {0,1}, 2 {1,3}, 3 {2,3}
    scores = fitted().score_all(asked(0))[0]
    expected = [0, 2 / math.sqrt(4 * 2), 1 / math.sqrt(4 * 2), 1 / math.sqrt(4 * 2), 0]
    torch.testing.assert_close(scores, torch.tensor(expected))
    both = fitted().score_all(asked(0, 2))[0]
    torch.testing.assert_close(both[1], torch.tensor(2 / math.sqrt(8) + 1 / 2))


def test_shrinkage_joins_the_denominator():
    scores = fitted(shrinkage=3.0).score_all(asked(0))[0]
    torch.testing.assert_close(scores[1], torch.tensor(2 / (math.sqrt(8) + 3)))


def test_an_item_is_scored_from_its_own_nearest_neighbours_alone():
    model = fitted(num_neighbours=1)
    # of item 3 items 2 (1/2) and 0 (1/√8) are neighbours, the nearest is 2
    assert model.score_all(asked(0))[0, 3] == 0
    torch.testing.assert_close(model.score_all(asked(0, 2))[0, 3], torch.tensor(0.5))
    # of item 2 items 1 and 3 are equally near (1/2), the lower is kept
    assert model.score_all(asked(3))[0, 2] == 0
    torch.testing.assert_close(model.score_all(asked(1))[0, 2], torch.tensor(0.5))


@pytest.mark.parametrize(("num_neighbours", "shrinkage"), [(3, 0.0), (7, 2.5), (1000, 10.0)])
def test_scores_are_those_of_a_loop_over_pairs(num_neighbours, shrinkage):
    rows, num_items = random_rows(), 40
    data = interactions(rows, num_items)
    buyers = [{u for u, row in enumerate(rows) if item in row} for item in range(num_items)]
    model = ItemKNN(len(rows), num_items, num_neighbours, shrinkage)
    model.fit(data)
    users = torch.arange(len(rows))
    scores = model.score_all(Query(users, data.history.padded(users, num_items)))
    for item in range(num_items):
        near = {}
        for other in range(num_items):
            common = len(buyers[item] & buyers[other])
            if other != item and common:
                norm = math.sqrt(len(buyers[item]) * len(buyers[other]))
                near[other] = np.float32(common) / np.float32(norm + shrinkage)
        best = dict(sorted(near.items(), key=lambda pair: (-pair[1], pair[0]))[:num_neighbours])
        expected = [sum(best.get(bought, 0.0) for bought in set(row)) for row in rows]
        np.testing.assert_allclose(scores[:, item], expected, atol=1e-5)


def test_ties_at_the_last_place_go_to_the_lower_item():
    # 30 items in one basket are equally near to one another
    model = ItemKNN(2, 30, num_neighbours=4)
    model.fit(interactions([list(range(30)), [0]], 30))
    assert model.neighbours[20].tolist() == [1, 2, 3, 4]
    assert model.neighbours[2].tolist() == [1, 3, 4, 5]


def test_blocks_do_not_matter(monkeypatch):
    data = interactions(random_rows(), 40)
    whole, parts = ItemKNN(60, 40, 5), ItemKNN(60, 40, 5)
    whole.fit(data)
    monkeypatch.setattr(neighbours, "_PAIRS", 7 * 40)
    parts.fit(data)
    assert torch.equal(whole.neighbours, parts.neighbours)
    assert torch.equal(whole.similarity, parts.similarity)


def test_candidates_score_as_the_catalogue_does():
    rows = random_rows()
    data = interactions(rows, 40)
    model = ItemKNN(len(rows), 40, 6)
    model.fit(data)
    assert isinstance(model, Recommender)
    users = torch.arange(len(rows))
    query = Query(users, data.history.padded(users, 40))
    items = torch.stack([torch.randperm(40)[:7] for _ in rows])
    torch.testing.assert_close(model(query, items), model.score_all(query).gather(1, items))


def test_order_repeats_padding_and_the_user_do_not_matter():
    same = Query(torch.tensor([3]), torch.tensor([[2, ITEMS, 0, 2, ITEMS]]))
    torch.testing.assert_close(fitted().score_all(asked(0, 2)), fitted().score_all(same))


def test_memory_grows_with_the_neighbours_not_with_all_pairs():
    model = ItemKNN(10, 100_000, 20)
    assert sum(buffer.numel() for buffer in model.buffers()) == 2 * 20 * 100_000
    assert model.floats_per_pair == 20
    assert ItemKNN(10, 5, 20).floats_per_pair == 4


def test_the_graph_answers_as_torch_does_although_it_computes_otherwise(tmp_path):
    rows = random_rows()
    data = interactions(rows, 40)
    model = ItemKNN(len(rows), 40, 6, shrinkage=1.0)
    model.fit(data)
    folder = write_recommender_bundle(
        tmp_path / "item_knn",
        model=model.eval(),
        user_ids=np.array([f"u{user}" for user in range(len(rows))]),
        item_ids=np.array([f"i{item}" for item in range(40)]),
        popularity=data.buyers.numpy(),
        history_indptr=data.history.indptr.numpy(),
        history_items=data.history.values.numpy(),
        include_seen=False,
        item_names=None,
        provenance={"model": "ItemKNN", "metrics": {}},
    )
    items, scores = Bundle(folder).recommend(["new"], k=40, history=[["i2", "i2", "i17", "i30"]])
    expected = model.score_all(asked(2, 17, 30))[0]
    found = torch.tensor([int(item.removeprefix("i")) for item in items[0].tolist()])
    torch.testing.assert_close(torch.from_numpy(scores[0]), expected[found])
