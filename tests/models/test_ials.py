"""iALS against the normal equations, its loss, and the bundle it leaves in."""

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.errors import ConfigError
from recsys.export import write_recommender_bundle
from recsys.inference import Recommender as Bundle
from recsys.models.recommender import Query, Recommender
from recsys.models.recommenders import ials
from recsys.models.recommenders.ials import IALS, _item_vectors

# two tastes, {0 … 4} and {5 … 9}; nobody bought item 10
ROWS = [[0, 1, 2, 2], [1, 2, 3, 4], [0, 2, 3], [0, 4], [5, 6, 7], [6, 7, 8, 9], [5, 9], [7]]
USERS, ITEMS = len(ROWS), 11
SETTINGS = {"embedding_dim": 4, "epochs": 16, "regularization": 0.05, "unobserved_weight": 0.1}


def interactions(rows: list[list[int]] = ROWS, num_items: int = ITEMS) -> Interactions:
    user = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    values = np.array([item for row in rows for item in row], dtype=np.int64)
    return Interactions(Ragged.from_sorted(user, values, len(rows)), num_items)


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
def test_every_item_solves_the_normal_equations_of_the_users(exponent, unobserved_weight):
    model = fitted(frequency_exponent=exponent, unobserved_weight=unobserved_weight, epochs=2)
    user = model.user.weight.detach().numpy().astype(float)
    _, penalty = penalties(model)
    for item in range(ITEMS):
        buyers = user[bought()[:, item] == 1]
        system = buyers.T @ buyers + unobserved_weight * user.T @ user + penalty[item] * np.eye(4)
        expected = np.linalg.solve(system, buyers.sum(axis=0))
        np.testing.assert_allclose(model.item.weight[item].detach(), expected, atol=1e-5)


def test_every_user_is_solved_from_the_items_first():
    torch.manual_seed(3)
    model = IALS(USERS, ITEMS, **(SETTINGS | {"epochs": 1, "start": "random"}))
    item = model.item.weight.detach().numpy().astype(float).copy()
    model.fit(interactions())
    penalty, _ = penalties(model)
    for user, row in enumerate(ROWS):
        of_row = item[sorted(set(row))]
        system = of_row.T @ of_row + 0.1 * item.T @ item + penalty[user] * np.eye(4)
        expected = np.linalg.solve(system, of_row.sum(axis=0))
        np.testing.assert_allclose(model.user.weight[user].detach(), expected, atol=1e-4)


def test_the_start_spans_the_first_singular_vectors_of_the_scaled_purchases(monkeypatch):
    monkeypatch.setattr(ials, "_POWER_ITERATIONS", 50)
    roots = bought().sum(axis=1, keepdims=True), np.maximum(bought().sum(axis=0), 1)
    *_, vectors = np.linalg.svd(bought() / np.sqrt(roots[0] * roots[1]))
    expected = vectors[:2].T * np.sqrt(roots[1])[:, None]  # (I, 2)
    sketch = np.random.default_rng(0).standard_normal((ITEMS, 2)).astype(np.float32)
    start = _item_vectors(interactions().matrix(), sketch)
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
    torch.testing.assert_close(models[0].user.weight, models[1].user.weight)


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
    whole = fitted()
    monkeypatch.setattr(ials, "_BLOCK_FLOATS", 1)
    rows = fitted()
    monkeypatch.setattr(ials, "_BLOCK_FLOATS", 4 * (4 + 2 * 4) * 3)
    threes = fitted()
    for other in (rows, threes):
        torch.testing.assert_close(other.user.weight, whole.user.weight, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(other.item.weight, whole.item.weight, atol=1e-5, rtol=1e-4)


def test_blocks_hold_every_row_once_and_keep_to_the_budget(monkeypatch):
    monkeypatch.setattr(ials, "_BLOCK_FLOATS", 1000)
    lengths = torch.tensor([0, 7, 3, 40, 3, 1, 0, 12, 5, 2])
    blocks = list(ials._blocks(lengths, 5))
    assert sorted(torch.cat(blocks).tolist()) == list(range(10))
    for block in blocks:
        assert len(block) * 5 * (int(lengths[block].max()) + 10) <= 1000 or len(block) == 1


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


def test_a_regularization_too_small_for_the_dimension_is_refused():
    torch.manual_seed(0)
    model = IALS(USERS, ITEMS, 64, regularization=1e-30)
    with pytest.raises(ConfigError, match=r"model\.regularization=1e-30 is too small"):
        model.fit(interactions())


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
