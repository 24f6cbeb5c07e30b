"""One suite for all recommenders: what evaluation, training and export rely on."""

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.models.recommender import Query, Recommender
from recsys.models.recommenders import mlp
from recsys.models.recommenders.dot_products import dot_products
from recsys.models.recommenders.gmf import GMF
from recsys.models.recommenders.matrix_factorization import MatrixFactorization
from recsys.models.recommenders.mlp import MLP
from recsys.models.recommenders.neumf import NeuMF
from recsys.models.recommenders.personal_top_frequency import PersonalTopFrequency
from recsys.models.recommenders.popularity import Popularity

USERS, ITEMS = 7, 11
LEARNED = {
    "mf": lambda: MatrixFactorization(USERS, ITEMS, 4, dropout=0.5),
    "gmf": lambda: GMF(USERS, ITEMS, 4, dropout=0.5, init_std=1.0),
    "mlp": lambda: MLP(USERS, ITEMS, 4, (8, 6, 5), dropout=0.5, init_std=1.0),
    "neumf": lambda: NeuMF(USERS, ITEMS, 4, (8, 6), mlp_embedding_dim=3, dropout=0.5, init_std=1.0),
}
CLOSED = {
    "popularity": lambda: Popularity(USERS, ITEMS),
    "personal_frequency": lambda: PersonalTopFrequency(USERS, ITEMS),
}


def purchases() -> Interactions:
    user = np.array([0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 6])
    item = np.array([2, 2, 5, 5, 1, 5, 0, 2, 3, 10, 1])
    return Interactions(Ragged.from_sorted(user, item, USERS), ITEMS)


def fitted(name: str) -> torch.nn.Module:
    torch.manual_seed(3)
    if name in LEARNED:
        return LEARNED[name]().eval()
    model = CLOSED[name]()
    model.fit(purchases())
    return model


def everyone() -> Query:
    users = torch.arange(USERS)
    return Query(users, purchases().history.padded(users, ITEMS))


@pytest.mark.parametrize("name", [*LEARNED, *CLOSED])
def test_candidates_score_as_the_catalogue_does(name):
    model = fitted(name)
    assert isinstance(model, Recommender)
    everything = model.score_all(everyone())
    items = torch.stack([torch.randperm(ITEMS)[:5] for _ in range(USERS)])
    assert everything.shape == (USERS, ITEMS)
    torch.testing.assert_close(
        model(everyone(), items), everything.gather(1, items), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("name", [*LEARNED, *CLOSED])
def test_a_user_scores_the_same_alone_and_in_a_block(name):
    model = fitted(name)
    together = model.score_all(everyone())
    one = torch.tensor([4])
    alone = model.score_all(Query(one, purchases().history.padded(one, ITEMS)))
    torch.testing.assert_close(alone[0], together[4], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", LEARNED)
def test_every_parameter_learns_from_pairs_and_from_the_catalogue(name):
    for scores in (
        lambda m: m(everyone(), torch.arange(ITEMS).expand(USERS, -1)),
        lambda m: m.score_all(everyone()),
    ):
        model = fitted(name)
        scores(model).square().sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_the_split_first_layer_equals_the_concatenation():
    model = fitted("mlp")
    user, items = torch.tensor([3]), torch.arange(ITEMS).unsqueeze(0)
    tower = model.tower
    joined = torch.cat(
        [tower.user(user).unsqueeze(1).expand(-1, ITEMS, -1), tower.item(items)], dim=2
    )
    hidden = torch.relu(tower.first(joined))
    for layer in tower.layers:
        hidden = torch.relu(layer(hidden))
    torch.testing.assert_close(
        model.score_all(Query(user, items[:, :0])), model.output(hidden).squeeze(2)
    )


@pytest.mark.parametrize("floats", [1, 8, 30, 8 * ITEMS, 20 * ITEMS, 10_000])
def test_tiles_of_any_size_score_as_the_whole_block_does(monkeypatch, floats):
    for name in ("mlp", "neumf"):
        model = fitted(name)
        whole = model.score_all(everyone()).detach()
        monkeypatch.setattr(mlp, "_TILE_FLOATS", floats)
        with torch.inference_mode():
            torch.testing.assert_close(model.score_all(everyone()), whole)


@pytest.mark.parametrize("pairs", [1, 5, 25, ITEMS - 1, ITEMS, ITEMS + 1, 3 * ITEMS, 10_000])
def test_tiles_fit_their_size_and_cover_every_pair_once(pairs):
    counted = torch.zeros(USERS, ITEMS)
    for users, items in mlp.tiles(USERS, ITEMS, pairs):
        tile = counted[users, items]
        assert tile.numel() <= pairs
        tile.view(-1).add_(1)  # one stretch of memory
    assert bool((counted == 1).all())


def test_tiles_leave_dropout_to_training():
    model = mlp.MLP(USERS, ITEMS, 4, (8, 4), dropout=0.5).train()
    with torch.no_grad():
        assert not torch.equal(model.score_all(everyone()), model.score_all(everyone()))
        whole = model.eval().score_all(everyone())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.testing.assert_close(model.score_all(everyone()), whole)


def gradients(model, scores):
    model.zero_grad()
    scores.sin().sum().backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


def test_few_and_many_candidates_take_other_paths_to_the_same_gradient():
    for name in LEARNED:
        model, query = fitted(name), everyone()
        items = torch.arange(ITEMS).expand(USERS, -1)  # more pairs than twice the catalogue
        many = gradients(model, model(query, items))
        by_two = torch.cat([model(query, part) for part in items.split(2, dim=1)], dim=1)
        whole = model.score_all(query)
        for scores in (by_two, whole):
            for found, expected in zip(gradients(model, scores), many, strict=True):
                torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("floats", [1, 200])
def test_gradients_over_the_catalogue_are_the_same_a_few_users_at_a_time(monkeypatch, floats):
    model = fitted("mlp")
    expected = gradients(model, model.score_all(everyone()))
    monkeypatch.setattr(mlp, "_FITTED_FLOATS", floats)
    for found, wanted in zip(gradients(model, model.score_all(everyone())), expected, strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("candidates", [1, 5, 6])
def test_dot_products_are_the_same_with_and_without_gradients(candidates):
    torch.manual_seed(1)
    user, items = torch.randn(USERS, 4, requires_grad=True), torch.randn(USERS, candidates, 4)
    expected = torch.einsum("bd,bcd->bc", user, items)
    torch.testing.assert_close(dot_products(user, items), expected)
    with torch.no_grad():
        torch.testing.assert_close(dot_products(user, items), expected)


def test_gmf_is_the_weighted_product_of_the_paper():
    model = fitted("gmf")
    user, item = torch.tensor([2]), torch.tensor([[6]])
    product = model.user(user) * model.item(item[0])
    torch.testing.assert_close(model(Query(user, item[:, :0]), item), model.output(product))


def test_pretrained_neumf_is_the_weighted_sum_of_its_halves():
    torch.manual_seed(1)
    neumf = NeuMF(USERS, ITEMS, 4, (8, 6), mlp_embedding_dim=4)
    gmf, mlp = GMF(USERS, ITEMS, 4, init_std=1.0), MLP(USERS, ITEMS, 4, (8, 6), init_std=1.0)
    neumf.load_pretrained(gmf.state_dict(), mlp.state_dict(), alpha=0.25)
    for model in (neumf, gmf, mlp):
        model.eval()
    expected = 0.25 * gmf.score_all(everyone()) + 0.75 * mlp.score_all(everyone())
    torch.testing.assert_close(neumf.score_all(everyone()), expected)


def test_popularity_counts_buyers_not_purchases():
    # item 2 was bought three times by two users, item 5 three times by three
    scores = fitted("popularity").score_all(everyone())[0]
    assert scores[2] == 2
    assert scores[5] == 3


def test_personal_frequency_counts_and_breaks_ties_by_popularity():
    scores = fitted("personal_frequency").score_all(everyone())
    # user 0 bought item 2 twice and item 5 once
    assert scores[0].argmax() == 2
    assert scores[0, 2].floor() == 2
    assert scores[0, 5].floor() == 1
    # user 1 bought items 5 and 1 once each; 5 has more buyers
    assert scores[1].argmax() == 5
    # of what user 3 never bought, the most popular goes first, and equally popular items tie
    # exactly
    assert scores[3, 5] > scores[3, 2]
    assert scores[3, 3] == scores[3, 10]


def test_personal_frequency_ignores_padding():
    model = fitted("personal_frequency")
    user = torch.tensor([0])
    short, long = torch.tensor([[2]]), torch.tensor([[ITEMS, 2, ITEMS]])
    torch.testing.assert_close(
        model.score_all(Query(user, short)), model.score_all(Query(user, long))
    )


def test_dropout_is_off_in_evaluation_and_on_in_training():
    for name in LEARNED:
        model = fitted(name)
        torch.testing.assert_close(model.score_all(everyone()), model.score_all(everyone()))
        model.train()
        assert not torch.equal(model.score_all(everyone()), model.score_all(everyone()))


def test_dropout_takes_units_of_a_user_over_the_catalogue_and_of_each_pair_elsewhere():
    tower = mlp.PairTower(USERS, ITEMS, 4, (8, 64), dropout=0.5, init_std=1.0)
    user, items = torch.arange(USERS), torch.arange(ITEMS).repeat(USERS, 1)
    often = (tower.eval()(user, None) > 0).float().mean(dim=1) > 0.5  # (users, units)
    lost = {
        name: (tower.train()(user, candidates) == 0).all(dim=1)
        for name, candidates in {"catalogue": None, "pairs": items}.items()
    }
    # a half of them, others for every user
    assert 0.3 < lost["catalogue"][often].float().mean() < 0.7
    assert len(torch.unique(lost["catalogue"], dim=0)) == USERS
    assert lost["pairs"][often].float().mean() < 0.2


def test_a_unit_is_lost_for_the_whole_catalogue():
    tower = mlp.PairTower(200, ITEMS, 4, (3,), dropout=0.4, init_std=0.1).train()
    torch.nn.init.constant_(tower.first.bias, 10.0)  # nothing is rectified
    output = torch.nn.Linear(3, 1)
    with torch.no_grad():
        output.weight.copy_(torch.tensor([[0.0, 1.0, 0.0]]))
        scores = tower.fitted_logits(torch.arange(200), output) - output.bias
        expected = tower.eval()(torch.arange(200), None)[:, :, 1]
    lost = (scores == 0).all(dim=1)
    assert 0.3 < lost.float().mean() < 0.5
    torch.testing.assert_close(scores[~lost], expected[~lost] / 0.6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", [*LEARNED, *CLOSED])
def test_a_gpu_scores_as_the_cpu_does(name):
    model = fitted(name)
    here = model.score_all(everyone())
    there = model.cuda().score_all(Query(*(part.cuda() for part in everyone())))
    torch.testing.assert_close(there.cpu(), here, atol=1e-4, rtol=1e-4)
