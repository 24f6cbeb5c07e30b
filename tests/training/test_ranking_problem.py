"""Losses of recommenders on batches of pairs and of users."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.data.shards import ALONE
from recsys.errors import ConfigError
from recsys.models.recommender import Query
from recsys.models.recommenders.autoencoder import Autoencoder
from recsys.models.recommenders.gmf import GMF
from recsys.models.recommenders.ials import IALS
from recsys.models.recommenders.matrix_factorization import MatrixFactorization
from recsys.models.recommenders.neumf import NeuMF
from recsys.training.losses.full_softmax import FullSoftmax, full_softmax
from recsys.training.losses.sampled_softmax import SampledSoftmax, sampled_softmax
from recsys.training.losses.weighted_squares import WeightedSquares
from recsys.training.objective import Loss
from recsys.training.objectives.scores import log_q_correction

CPU = torch.device("cpu")
INTERACTIONS = Interactions(
    history=Ragged(torch.tensor([0, 3, 5, 6]), torch.tensor([0, 2, 0, 1, 3, 1])),
    num_items=5,
    quantity=torch.tensor([1.0, 2.0, 3.0, 1.0, 5.0, 2.0]),
    day=torch.tensor([0, 10, 20, 0, 20, 10], dtype=torch.int32),
)


def batch_of(loss: Loss, interactions: Interactions = INTERACTIONS):
    objective = loss.objective(network(), interactions, seed=1)
    return objective, next(iter(objective.batches(CPU, lambda: 0, ALONE)))


def network() -> nn.Module:
    torch.manual_seed(1)
    return MatrixFactorization(3, 5, 4, dropout=0.0, init_std=1.0)


def test_quantities_that_the_data_does_not_have_are_named():
    without = replace(INTERACTIONS, quantity=None)
    with pytest.raises(ConfigError, match=r"loss\.quantity_alpha=2 needs quantities"):
        batch_of(FullSoftmax(10, quantity_alpha=2), without)


def test_units_of_a_pair_add_up_and_weigh_with_recency():
    # user 0: item 0 on days 0 and 20, 1 + 3 units, item 2 on day 10, 2 units;
    # user 1: items 1 and 3 on days 0 and 20, 1 and 5 units; user 2: item 1 on day 10, 2 units
    torch.testing.assert_close(INTERACTIONS.units, torch.tensor([4.0, 2.0, 1.0, 5.0, 2.0]))
    _, batch = batch_of(FullSoftmax(10, half_life_days=10, quantity_alpha=1))
    found = {
        (int(batch.user[row]), int(item)): float(weight)
        for row, item, weight in zip(batch.row, batch.item, batch.weight, strict=True)
    }
    expected = {
        (0, 0): (5.0, 0),
        (0, 2): (3.0, 10),
        (1, 1): (2.0, 20),
        (1, 3): (6.0, 0),
        (2, 1): (3.0, 10),
    }
    for pair, (one_and_units, days) in expected.items():
        weight = (1 + torch.tensor(one_and_units).log()) * 0.5 ** (days / 10)
        assert found[pair] == pytest.approx(float(weight)), pair


def test_scores_are_tempered_before_they_are_corrected():
    settings = SampledSoftmax(10, 3, temperature=0.5, log_q=True)
    objective, batch = batch_of(settings)
    model = network()
    loss, samples = objective.loss(model, batch)
    # uniform negatives: one of the items that the user never bought
    free = 5 - INTERACTIONS.distinct.lengths()[batch.user]
    scores = model(Query(batch.user, batch.user.new_zeros(len(batch.user), 0)), batch.items) / 0.5
    log_q = -free.double().log().float().unsqueeze(1).expand(-1, 3)
    torch.testing.assert_close(loss, sampled_softmax(log_q_correction(scores, log_q)))
    assert samples == batch.items.numel()


def test_a_full_softmax_is_tempered_too():
    objective, batch = batch_of(FullSoftmax(10, temperature=0.5, regularization=0.0))
    model = network()
    loss, _ = objective.loss(model, batch)
    scores = 2 * (model.user(batch.user) @ model.item.weight.T + model.item_bias)
    torch.testing.assert_close(loss, full_softmax(scores, batch.row, batch.item))


def test_many_corrected_negatives_estimate_the_softmax_over_what_was_never_bought():
    settings = SampledSoftmax(10, 20_000, popularity_power=0.5, log_q=True)
    bought = replace(INTERACTIONS, num_items=4)  # all four are bought by somebody
    objective, batch = batch_of(settings, bought)
    torch.manual_seed(1)
    model = MatrixFactorization(3, 4, 4, dropout=0.0, init_std=1.0)
    loss, _ = objective.loss(model, batch)
    scores = model.score_all(Query(batch.user, batch.user.new_zeros(len(batch.user), 0)))
    taken = bought.distinct.mask(batch.user, 4)
    taken[torch.arange(len(batch.user)), batch.items[:, 0]] = False
    exact = scores.masked_fill(taken, -torch.inf).logsumexp(dim=1)
    positive = scores.gather(1, batch.items[:, :1]).squeeze(1)
    torch.testing.assert_close(loss, (exact - positive).mean(), atol=0.02, rtol=0)


def test_batches_of_an_epoch_regularise_every_user_and_item_once():
    settings = FullSoftmax(2, regularization=0.01, unobserved_weight=0.5)
    model = network()
    objective = settings.objective(model, INTERACTIONS, seed=1)
    without = FullSoftmax(2, regularization=0.0).objective(model, INTERACTIONS, seed=1)
    found, batches = 0.0, 0
    for batch in objective.batches(CPU, lambda: 0, ALONE):
        difference = objective.loss(model, batch)[0] - without.loss(model, batch)[0]
        found, batches = found + float(difference.detach()) * len(batch.item), batches + 1
    assert batches == 2
    # items of users 0, 1, 2; buyers of items 0 … 4
    of_users = torch.tensor([2.0, 2.0, 1.0]) + 0.5 * 5
    of_items = torch.tensor([1.0, 2.0, 1.0, 1.0, 0.0]) + 0.5 * 3
    expected = (of_users * model.user.weight.square().sum(dim=1)).sum()
    expected = expected + (of_items * model.item.weight.square().sum(dim=1)).sum()
    assert found == pytest.approx(0.01 * expected.item(), rel=1e-4)


def test_weighted_squares_have_their_least_where_ials_puts_the_users():
    settings = WeightedSquares(3, regularization=0.05, unobserved_weight=0.2)
    objective, batch = batch_of(settings)
    torch.manual_seed(1)
    solved = IALS(3, 5, 2, 1, regularization=0.05, unobserved_weight=0.2, init_std=1.0)
    solved.fit(INTERACTIONS)
    model = MatrixFactorization(3, 5, 2, dropout=0.0, bias=False)
    model.user.weight.data, model.item.weight.data = solved.user.weight, solved.item.weight
    # the items were solved last, so that no other items are better for these users
    objective.loss(model, batch)[0].backward()
    assert model.item.weight.grad.abs().max() < 1e-5
    assert model.user.weight.grad.abs().max() > 1e-4


@pytest.mark.parametrize("build", [GMF, NeuMF, MatrixFactorization])
def test_models_tell_the_length_of_their_factors(build):
    model = build(3, 5) if build is MatrixFactorization else build(3, 5, output_init=1.0)
    users, items = model.squared_norms(torch.tensor([2, 0]))
    tables = [m for m in model.modules() if isinstance(m, nn.Embedding)]
    for found, rows, size in ((users, [2, 0], 3), (items, list(range(5)), 5)):
        parts = [t.weight[rows].square().sum(dim=1) for t in tables if t.num_embeddings == size]
        torch.testing.assert_close(found, torch.stack(parts).sum(dim=0))


def test_what_the_output_weights_take_over_from_gmf_factors_is_regularised_as_before():
    plain, moved = (GMF(3, 5, dropout=0.0, output_init=start) for start in (1.0, -4.0))
    moved.user.weight.data = plain.user.weight.data / 2
    moved.item.weight.data = -plain.item.weight.data / 2
    user = torch.tensor([2, 0])
    query = Query(user, user.new_zeros(2, 0))
    torch.testing.assert_close(
        moved.score_all(query) - moved.output.bias, plain.score_all(query) - plain.output.bias
    )
    torch.testing.assert_close(moved.squared_norms(user), plain.squared_norms(user))


def test_a_model_without_such_factors_is_not_regularised():
    settings = FullSoftmax(3, regularization=0.1)
    with pytest.raises(ConfigError, match=r"loss\.regularization=0\.1 is for models with factors"):
        settings.objective(Autoencoder(3, 5), INTERACTIONS, seed=1)


@pytest.mark.parametrize("of_least_squares", [0.005, 0.04])
def test_what_a_loss_was_not_given_it_takes_from_the_data(of_least_squares, monkeypatch):
    monkeypatch.setattr(IALS, "choose_regularization", lambda self, data: of_least_squares)
    chosen = FullSoftmax().objective(network(), INTERACTIONS, seed=1).chosen()
    # five distinct purchases among three users and five items
    expected = 1.2 * of_least_squares * ((3 / 5) ** 0.5 + 1)
    assert chosen == pytest.approx({"unobserved_weight": 6.5 / 3, "regularization": expected})


def test_what_a_loss_takes_from_the_data_is_what_can_be_given():
    data = shop(noise=0.5)
    model = MatrixFactorization(data.num_users, data.num_items, 4, dropout=0.0)
    before = torch.random.get_rng_state()
    objective = FullSoftmax().objective(model, data, seed=1)
    torch.testing.assert_close(torch.random.get_rng_state(), before)
    given = FullSoftmax(**objective.chosen()).objective(model, data, seed=1)
    assert given.chosen() == {}
    batch = next(iter(objective.batches(CPU, lambda: 0, ALONE)))
    torch.testing.assert_close(objective.loss(model, batch), given.loss(model, batch))


def test_a_loss_takes_nothing_for_a_model_without_factors_and_refuses_half_a_penalty():
    model = Autoencoder(3, 5)
    assert FullSoftmax().objective(model, INTERACTIONS, seed=1).chosen() == {}
    with pytest.raises(ConfigError, match=r"loss\.unobserved_weight=0\.1 has no effect without"):
        FullSoftmax(unobserved_weight=0.1).objective(model, INTERACTIONS, seed=1)


def shop(noise: float, users: int = 200, items: int = 60) -> Interactions:
    """Every user buys eight times, from one of six groups of ten items or, with the probability
    `noise`, anything.
    """
    generator = torch.Generator().manual_seed(3)
    group = torch.randint(6, (users, 1), generator=generator)
    bought = group * 10 + torch.randint(10, (users, 8), generator=generator)
    anything = torch.randint(items, (users, 8), generator=generator)
    by_chance = torch.rand((users, 8), generator=generator) < noise
    bought = torch.where(by_chance, anything, bought)
    return Interactions(
        history=Ragged(torch.arange(users + 1) * 8, bought.flatten()), num_items=items
    )
