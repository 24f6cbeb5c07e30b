"""iALS against the normal equations, its loss, and the bundle it leaves in."""

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.export import write_recommender_bundle
from recsys.inference import Recommender as Bundle
from recsys.models.recommender import Query, Recommender
from recsys.models.recommenders import ials
from recsys.models.recommenders.ials import (
    IALS,
    UNOBSERVED_RATIO,
    _hidden_ndcg,
    _hide_latest,
    _item_vectors,
)

# two tastes, {0 … 4} and {5 … 9}; nobody bought item 10
ROWS = [[0, 1, 2, 2], [1, 2, 3, 4], [0, 2, 3], [0, 4], [5, 6, 7], [6, 7, 8, 9], [5, 9], [7]]
USERS, ITEMS = len(ROWS), 11
SETTINGS = {"embedding_dim": 4, "epochs": 16, "regularization": 0.05, "unobserved_weight": 0.1}


def interactions(rows: list[list[int]] = ROWS, num_items: int = ITEMS) -> Interactions:
    user = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    values = np.array([item for row in rows for item in row], dtype=np.int64)
    return Interactions(Ragged.from_sorted(user, values, len(rows)), num_items)


@pytest.fixture
def to_the_end(monkeypatch):
    """As many steps of conjugate gradients as it takes to solve every row."""
    monkeypatch.setattr(ials, "_STEPS", 20)


def fitted(**settings: float) -> IALS:
    torch.manual_seed(3)
    model = IALS(USERS, ITEMS, **(SETTINGS | settings))
    model.fit(interactions())
    return model.eval()


def asked(users: list[int]) -> Query:
    return Query(torch.tensor(users), torch.zeros(len(users), 0, dtype=torch.int64))


def bought() -> np.ndarray:
    matrix = np.zeros((USERS, ITEMS))
    for user, row in enumerate(ROWS):
        matrix[user, row] = 1
    return matrix


def penalties(model: IALS) -> tuple[np.ndarray, np.ndarray]:
    """λ of every user and of every item."""
    weight, exponent = model.unobserved_weight, model.frequency_exponent
    of_user = (bought().sum(axis=1) + weight * ITEMS) ** exponent
    of_item = (bought().sum(axis=0) + weight * USERS) ** exponent
    return model.regularization * of_user, model.regularization * of_item


def loss(model: IALS) -> float:
    user = model.user.weight.detach().numpy().astype(float)
    item = model.item.weight.detach().numpy().astype(float)
    scores = user @ item.T
    of_user, of_item = penalties(model)
    return (
        (bought() * (scores - 1) ** 2).sum()
        + model.unobserved_weight * (scores**2).sum()
        + (of_user * (user**2).sum(axis=1)).sum()
        + (of_item * (item**2).sum(axis=1)).sum()
    )


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("unobserved_weight", [0.1, 1.0])
@pytest.mark.usefixtures("to_the_end")
def test_every_item_solves_the_normal_equations_of_the_users(exponent, unobserved_weight):
    model = fitted(frequency_exponent=exponent, unobserved_weight=unobserved_weight, epochs=2)
    user = model.user.weight.detach().numpy().astype(float)
    _, penalty = penalties(model)
    for item in range(ITEMS):
        buyers = user[bought()[:, item] == 1]
        system = buyers.T @ buyers + unobserved_weight * user.T @ user + penalty[item] * np.eye(4)
        expected = np.linalg.solve(system, buyers.sum(axis=0))
        np.testing.assert_allclose(model.item.weight[item].detach(), expected, atol=1e-5)


@pytest.mark.usefixtures("to_the_end")
def test_every_user_is_solved_from_the_items_first():
    torch.manual_seed(3)
    model = IALS(USERS, ITEMS, **(SETTINGS | {"epochs": 1, "start": "random"}))
    item = model.item.weight.detach().numpy().astype(float).copy()
    model.fit(interactions())
    penalty, _ = penalties(model)
    expected = []
    for user, row in enumerate(ROWS):
        of_row = item[sorted(set(row))]
        system = of_row.T @ of_row + 0.1 * item.T @ item + penalty[user] * np.eye(4)
        expected.append(np.linalg.solve(system, of_row.sum(axis=0)))
    # the space may be turned, which no product of two users sees
    users = model.user.weight.detach().numpy()
    np.testing.assert_allclose(
        users @ users.T, np.array(expected) @ np.transpose(expected), atol=1e-4
    )


def test_the_start_spans_the_first_singular_vectors_of_the_scaled_purchases(monkeypatch):
    monkeypatch.setattr(ials, "_POWER_ITERATIONS", 50)
    roots = bought().sum(axis=1, keepdims=True), np.maximum(bought().sum(axis=0), 1)
    *_, vectors = np.linalg.svd(bought() / np.sqrt(roots[0] * roots[1]))
    expected = vectors[:2].T * np.sqrt(roots[1])[:, None]  # (I, 2)
    sketch = torch.randn(ITEMS, 2, generator=torch.Generator().manual_seed(0))
    start = _item_vectors(interactions().distinct, sketch).numpy()
    assert np.square(start).sum(axis=1).mean() == pytest.approx(1, rel=1e-5)
    rotation, *_ = np.linalg.lstsq(expected, start, rcond=None)
    np.testing.assert_allclose(expected @ rotation, start, atol=1e-4)


def test_an_epoch_from_the_singular_vectors_does_more_than_one_from_anywhere():
    assert loss(fitted(epochs=1)) < loss(fitted(epochs=1, start="random"))


def test_more_factors_than_users_and_items_are_filled_up_at_random():
    torch.manual_seed(3)
    model = IALS(3, 4, 6)
    model.fit(interactions([[0, 1], [2], [1, 3]], 4))
    scores = model.score_all(asked([0, 1, 2]))
    assert scores.argmax(dim=1).tolist()[1] == 2
    assert bool(torch.isfinite(scores).all())


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_the_loss_falls_with_every_epoch(exponent):
    losses = [loss(fitted(epochs=epochs, frequency_exponent=exponent)) for epochs in range(1, 6)]
    assert all(later < earlier + 1e-6 for earlier, later in zip(losses, losses[1:], strict=False))
    assert losses[-1] < losses[0]


def test_the_loss_has_no_slope_left_at_the_end():
    model = fitted(epochs=300)
    best = loss(model)
    generator = torch.Generator().manual_seed(0)
    for table in (model.user, model.item):
        for _ in range(5):
            step = 1e-2 * torch.randn(table.weight.shape, generator=generator)
            with torch.no_grad():
                table.weight += step
                assert loss(model) > best
                table.weight -= step


def test_both_scalings_are_one_where_everybody_bought_as_much():
    # 2 purchases a row and 2 a column: a λ of 0.1 (2 + 0.1 x 6) each
    ring = interactions([[i, (i + 1) % 6] for i in range(6)], 6)
    models = []
    for regularization, exponent in ((0.1, 1.0), (0.1 * 2.6, 0.0)):
        torch.manual_seed(0)
        model = IALS(6, 6, 3, 4, regularization, 0.1, exponent)
        model.fit(ring)
        models.append(model)
    scores = [model.score_all(asked([*range(6)])) for model in models]
    torch.testing.assert_close(*scores)


def test_tastes_are_told_apart():
    scores = fitted(epochs=20).score_all(asked([2, 6]))
    assert scores[0, [1, 4]].min() > scores[0, 5:].max()
    assert scores[1, [6, 7, 8]].min() > scores[1, :5].max()


def test_what_nobody_bought_scores_nothing():
    scores = fitted().score_all(asked([0, 5]))
    assert torch.equal(scores[:, 10], torch.zeros(2))


def test_a_user_without_a_purchase_scores_nothing():
    torch.manual_seed(3)
    model = IALS(3, 4, 2)
    model.fit(interactions([[0, 1], [], [1, 3]], 4))
    assert torch.equal(model.score_all(asked([1])), torch.zeros(1, 4))


def test_blocks_do_not_matter(monkeypatch):
    everybody = asked([*range(USERS)])
    whole = fitted().score_all(everybody)
    for rows in (1, 3):
        monkeypatch.setattr(ials, "_BLOCK_ROWS", rows)
        torch.testing.assert_close(fitted().score_all(everybody), whole, atol=1e-5, rtol=1e-4)


def test_the_seed_decides():
    assert torch.equal(fitted().user.weight, fitted().user.weight)
    other = IALS(USERS, ITEMS, **SETTINGS)
    other.fit(interactions())
    assert not torch.equal(other.user.weight, fitted().user.weight)


def test_initial_factors_have_products_of_one_size_whatever_their_number():
    for dim in (4, 64):
        std = IALS(2000, 2000, dim, start="random", init_std=0.2).user.weight.std().item()
        assert std == pytest.approx(0.2 / dim**0.5, rel=0.05)


def test_candidates_score_as_the_catalogue_does():
    model, query = fitted(), asked([3, 0, 2])
    assert isinstance(model, Recommender)
    items = torch.tensor([[5, 0], [1, 3], [2, 10]])
    torch.testing.assert_close(model(query, items), model.score_all(query).gather(1, items))
    torch.testing.assert_close(model.score_all(asked([2]))[0], model.score_all(query)[2])


def test_a_regularization_below_single_precision_leaves_numbers():
    torch.manual_seed(0)
    model = IALS(USERS, ITEMS, 64, regularization=1e-30)
    model.fit(interactions())
    assert bool(torch.isfinite(model.score_all(asked([0, 7]))).all())


def test_all_pairs_weigh_in_proportion_to_the_purchases_where_nothing_is_said():
    weight = UNOBSERVED_RATIO * bought().sum() / (USERS * ITEMS)
    given, own = fitted(unobserved_weight=weight), fitted(unobserved_weight=None)
    torch.testing.assert_close(own.score_all(asked([0, 4])), given.score_all(asked([0, 4])))


def shop(noise: float) -> Interactions:
    """Three hundred customers of four tastes, who buy twelve times; a share of it anything."""
    generator = np.random.default_rng(5)
    users, items = 300, 40
    own = 10 * (np.arange(users)[:, None] % 4) + generator.integers(10, size=(users, 12))
    anything = generator.integers(items, size=own.shape)
    rows = np.where(generator.random(own.shape) < noise, anything, own)
    return interactions([list(row) for row in rows], items)


def test_a_model_that_chooses_its_regularization_is_as_good_as_the_best_of_them():
    data = shop(0.5)
    own = np.arange(data.num_users)[:, None] % 4 == np.arange(data.num_items) // 10

    def found(regularization: float | None) -> float:
        """Share of a customer's best ten items that are of the own taste."""
        torch.manual_seed(0)
        model = IALS(data.num_users, data.num_items, 16, regularization=regularization)
        model.fit(data)
        best = model.score_all(asked([*range(data.num_users)])).topk(10).indices.numpy()
        return float(np.take_along_axis(own, best, axis=1).mean())

    each = [found(regularization) for regularization in ials._PATH]
    assert found(None) > max(each) - 0.02 > min(each) + 0.05


def test_the_item_that_a_user_bought_for_the_first_time_last_is_hidden():
    torch.manual_seed(0)
    kept, user, item = _hide_latest(interactions([[3, 1, 1], [2], [], [0, 4, 0], [5, 2]], 6))
    hidden = dict(zip(user.tolist(), item.tolist(), strict=True))
    # a tenth of the purchases: one
    assert len(hidden) == 1
    assert hidden.items() <= {0: 1, 3: 4, 4: 2}.items()
    rows = [set(kept.values[kept.indptr[i] : kept.indptr[i + 1]].tolist()) for i in range(5)]
    for row, before in enumerate(({1, 3}, {2}, set(), {0, 4}, {2, 5})):
        assert rows[row] == before - {hidden.get(row)}


def test_hidden_items_are_judged_among_those_not_bought():
    user = torch.tensor([[1.0], [1.0]])
    item = torch.tensor([[4.0], [3.0], [2.0], [1.0]])
    kept = Ragged(torch.tensor([0, 1, 1]), torch.tensor([0]))
    ndcg = _hidden_ndcg(user, item, kept, torch.tensor([0, 1]), torch.tensor([1, 3]))
    assert ndcg == pytest.approx((1 + 1 / np.log2(5)) / 2)


def test_data_without_a_second_purchase_are_fitted():
    torch.manual_seed(0)
    model = IALS(3, 3, 2)
    model.fit(interactions([[0], [1], [2]], 3))
    assert model.score_all(asked([0, 1, 2])).argmax(dim=1).tolist() == [0, 1, 2]


def test_the_bundle_serves_its_users(tmp_path):
    model, history = fitted(), interactions().history
    folder = write_recommender_bundle(
        tmp_path / "ials",
        model=model,
        user_ids=np.array([f"u{user}" for user in range(USERS)]),
        item_ids=np.array([f"i{item}" for item in range(ITEMS)]),
        popularity=interactions().buyers.numpy(),
        history_indptr=history.indptr.numpy(),
        history_items=history.values.numpy(),
        include_seen=False,
        item_names=None,
        provenance={"model": "IALS", "metrics": {}},
    )
    items, scores = Bundle(folder).recommend(["u6"], k=3)
    best = model.score_all(asked([6])).topk(3)
    assert items.tolist() == [[f"i{item}" for item in best.indices[0]]]
    np.testing.assert_allclose(scores, best.values.detach(), atol=1e-5)
