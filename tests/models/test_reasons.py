"""Reasons add up to scores, and are what each model says they are.

Axes: B users, C candidates, L length of a history, U users and I items in the vocabularies.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.errors import ConfigError
from recsys.models.inputs import InputVocabulary, Query
from recsys.models.recommender import ExplainsScores, Reasons
from recsys.models.recommenders.autoencoder import Autoencoder
from recsys.models.recommenders.content import Content
from recsys.models.recommenders.ease import EASE
from recsys.models.recommenders.gmf import GMF
from recsys.models.recommenders.ials import IALS
from recsys.models.recommenders.item_knn import ItemKNN
from recsys.models.recommenders.next_purchase import NextPurchase
from recsys.models.recommenders.personal_top_frequency import PersonalTopFrequency
from recsys.models.recommenders.popularity import Popularity
from recsys.models.recommenders.sasrec import SASRec

USERS, ITEMS, TERMS = 100, 60, 12


def purchases() -> Interactions:
    """Customers of five tastes, who buy things again; customer 0 has bought nothing."""
    generator = np.random.default_rng(0)
    user = np.sort(generator.integers(1, USERS, 2000))
    taste = 12 * (user % 5) + generator.integers(0, 12, 2000)
    item = np.where(generator.random(2000) < 0.7, taste, generator.integers(0, ITEMS, 2000))
    day = torch.from_numpy(generator.integers(0, 300, 2000)).int()
    return Interactions(Ragged.from_sorted(user, item, USERS), ITEMS, day)


PURCHASES = purchases()


def everyone() -> Query:
    """Histories (U, L) with their ages, padded on the right."""
    history, users = PURCHASES.history, torch.arange(USERS)
    assert PURCHASES.day is not None
    ages = Ragged(history.indptr, (300 - PURCHASES.day).float())
    return Query(users, history.padded(users, ITEMS), ages.padded(users, 0))


def fitted(model: Any) -> Any:
    model.fit(PURCHASES)
    return model.eval()


def randomised(model: Any) -> Any:
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def content(terms: dict[int, list[int]] | None = None) -> Content:
    """Items with up to four terms of weights that make them as long as 1."""
    generator = np.random.default_rng(1)
    terms = terms or {
        item: generator.choice(TERMS, generator.integers(0, 5), replace=False).tolist()
        for item in range(ITEMS)
    }
    item = torch.tensor([item for item, found in terms.items() for _ in found])
    term = torch.tensor([term for found in terms.values() for term in found])
    lengths = torch.bincount(item, minlength=ITEMS)
    model = Content(USERS, ITEMS, InputVocabulary({"items.tags": [str(n) for n in range(TERMS)]}))
    weight = 1 / lengths[item].float().sqrt()
    model.load_state_dict({"item": item, "term": term, "weight": weight})
    return model.eval()


def next_purchase() -> NextPurchase:
    model = NextPurchase(USERS, ITEMS, embedding_dim=4, hidden_dim=8)
    model.observe(PURCHASES)
    return randomised(model)


EXACT: dict[str, Callable[[], Any]] = {
    "item_knn": lambda: fitted(ItemKNN(USERS, ITEMS, num_neighbours=20)),
    "ease": lambda: fitted(EASE(USERS, ITEMS)),
    "personal_frequency": lambda: fitted(PersonalTopFrequency(USERS, ITEMS)),
    "personal_recency": lambda: fitted(PersonalTopFrequency(USERS, ITEMS, half_life_days=30)),
    "content": content,
    "ials": lambda: fitted(IALS(USERS, ITEMS, embedding_dim=8)),
    "next_purchase": next_purchase,
}
OTHERS: dict[str, Callable[[], Any]] = {
    "autoencoder": lambda: randomised(Autoencoder(USERS, ITEMS, embedding_dim=4)),
    "sasrec": lambda: randomised(SASRec(USERS, ITEMS, embedding_dim=4, max_length=6)),
}
MODELS = EXACT | OTHERS


def best_and_others(scores: Tensor) -> Tensor:
    """The five best items of every user, and five others: 1,000 recommendations, (U, 10)."""
    generator = torch.Generator().manual_seed(0)
    others = torch.randint(0, ITEMS, (USERS, 5), generator=generator)
    return torch.cat([scores.topk(5).indices, others], dim=1)


@torch.no_grad()
def explained(model: Any, query: Query, items: Tensor) -> Reasons:
    found: Reasons = model.reasons(query, items)
    return found


@pytest.mark.parametrize("name", MODELS)
def test_reasons_of_a_thousand_recommendations_add_up_to_their_scores(name: str) -> None:
    model, query = MODELS[name](), everyone()
    assert isinstance(model, ExplainsScores)
    assert model.reasons_kind == ("exact" if name in EXACT else model.reasons_kind)
    with torch.no_grad():
        scores = model.score_all(query)
    items = best_and_others(scores)
    purchases, rest = explained(model, query, items)
    assert purchases.shape == (USERS, 10, query.history.shape[1])
    added = purchases.sum(dim=2) + rest
    assert (added - scores.gather(1, items)).abs().max() < 1e-4
    # and purchases do carry them: a remainder alone would add up as well
    assert purchases.abs().sum(dim=2)[1:].mean() > 0.01


@pytest.mark.parametrize("name", MODELS)
def test_padding_adds_nothing_and_its_place_does_not_matter(name: str) -> None:
    model, query = MODELS[name](), everyone()
    items = torch.arange(ITEMS).repeat(USERS, 1)
    purchases, rest = explained(model, query, items)
    padding = (query.history == ITEMS).unsqueeze(1).expand_as(purchases)
    assert padding.any()
    assert not purchases[padding].any()
    wider = Query(
        query.user,
        torch.nn.functional.pad(query.history, (2, 0), value=ITEMS),
        torch.nn.functional.pad(query.days(), (2, 0), value=77.0),
    )
    again = explained(model, wider, items)
    torch.testing.assert_close(again.purchases[:, :, 2:], purchases, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(again.rest, rest, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"sasrec", "next_purchase"}))
def test_purchases_of_one_item_share_what_it_adds(name: str) -> None:
    query = Query(torch.tensor([5]), torch.tensor([[3, 7, 3]]), torch.zeros(1, 3))
    (purchases, _) = explained(MODELS[name](), query, torch.tensor([[3, 0, 20]]))
    torch.testing.assert_close(purchases[:, :, 0], purchases[:, :, 2])


def test_reasons_of_item_knn_are_similarities() -> None:
    model = ItemKNN(1, 4, num_neighbours=2)
    model.neighbours = torch.tensor([[1, 2], [0, 2], [0, 3], [0, 2]])
    model.similarity = torch.tensor([[0.5, 0.25], [0.5, 0.1], [0.25, 0.2], [0.3, 0.2]])
    query = Query(torch.tensor([0]), torch.tensor([[2, 1, 3]]))
    purchases, rest = explained(model, query, torch.tensor([[0, 2]]))
    # of item 0 the neighbours 1 and 2 were bought, not 3; of item 2 the neighbour 3
    assert purchases.tolist() == [[[0.25, 0.5, 0], [0, 0, torch.tensor(0.2).item()]]]
    assert not rest.any()


def test_reasons_of_ease_are_its_weights() -> None:
    model = EXACT["ease"]()
    purchases, _ = explained(
        model, Query(torch.tensor([0]), torch.tensor([[4, 9]])), torch.tensor([[1, 50]])
    )
    weights = model.weight[torch.tensor([[4, 9]])[0]][:, torch.tensor([1, 50])]  # (L, C)
    torch.testing.assert_close(purchases[0], weights.T)


def test_reasons_of_content_are_common_terms_over_the_number_of_items() -> None:
    model = content({0: [1, 2], 1: [2, 3], 2: [4], 3: [1, 2, 3, 4]})
    query = Query(torch.tensor([0]), torch.tensor([[0, 1, 2, 0]]))
    purchases, rest = explained(model, query, torch.tensor([[3, 2]]))
    # three items; x_0ᵀx_3 = 2 / √2√4 = .7071 for both of its purchases, x_2ᵀx_3 = 1 / √4
    wanted = torch.tensor([[[0.35355, 0.7071, 0.5, 0.35355], [0, 0, 1.0, 0]]]) / 3
    torch.testing.assert_close(purchases, wanted, rtol=1e-4, atol=1e-5)
    assert not rest.any()


def test_what_a_household_buys_again_carries_itself_and_new_items_are_carried_by_the_others() -> (
    None
):
    model = next_purchase()
    history, ages = torch.tensor([[2, 5, 2]]), torch.tensor([[150.0, 9, 0]])
    purchases, _ = explained(model, Query(torch.tensor([0]), history, ages), torch.tensor([[2, 7]]))
    # again: log(.01 + e⁻¹ + 1) - log(.01), shared as e⁻¹ to 1; the other item adds nothing
    gain = np.log(0.01 + np.exp(-1) + 1) - np.log(0.01)
    share = np.exp(-1) / (1 + np.exp(-1))
    wanted = torch.tensor([gain * share, 0, gain * (1 - share)], dtype=torch.float32)
    torch.testing.assert_close(purchases[0, 0], wanted)
    # first: 4 w_j / ‖w‖ e_j · q_i
    weight = torch.log1p(2 * torch.tensor([1 + np.exp(-1), np.exp(-9 / 150)])).float()
    carried = 4 * weight / weight.norm() * (model.read[[2, 5]] @ model.item[7])
    torch.testing.assert_close(purchases[0, 1, [0, 2]].sum(), carried[0])
    torch.testing.assert_close(purchases[0, 1, 1], carried[1])


def test_reasons_of_ials_are_the_users_own_least_squares() -> None:
    model: IALS = fitted(IALS(USERS, ITEMS, embedding_dim=8, epochs=60, regularization=0.05))
    query, items = everyone(), torch.arange(ITEMS).repeat(USERS, 1)
    purchases, rest = explained(model, query, items)
    # Hu, Koren and Volinsky, section 5: W_u by an inverse, for one user
    factors, bought = model.item.weight.detach(), PURCHASES.distinct.take(torch.tensor([7]))[1]
    regularization, everywhere = model.penalties.tolist()
    penalty = regularization * (len(bought) + everywhere * ITEMS)
    mine = factors[bought]
    whole = everywhere * factors.T @ factors + mine.T @ mine + penalty * torch.eye(8)
    likeness = factors @ torch.linalg.inv(whole) @ mine.T  # (I, S)
    for place, item in enumerate(bought.tolist()):
        added = (purchases[7] * (query.history[7] == item)).sum(dim=1)
        torch.testing.assert_close(added, likeness[:, place], rtol=1e-3, atol=1e-4)
    # where the fit has converged, nothing is left over
    assert rest.abs().max() < 1e-3


def test_factors_without_their_regularization_are_loaded_and_have_no_reasons() -> None:
    model = EXACT["ials"]()
    before = {name: values for name, values in model.state_dict().items() if name != "penalties"}
    old = IALS(USERS, ITEMS, embedding_dim=8)
    old.load_state_dict(before)
    with pytest.raises(ConfigError, match="kept no regularization.*train again"):
        old.reasons(everyone(), torch.zeros(USERS, 1, dtype=torch.int64))
    loaded = IALS(USERS, ITEMS, embedding_dim=8)
    loaded.load_state_dict(model.state_dict())
    items = torch.arange(ITEMS).repeat(USERS, 1)
    torch.testing.assert_close(
        explained(loaded, everyone(), items), explained(model, everyone(), items)
    )


def test_reasons_of_the_autoencoder_are_integrated_gradients() -> None:
    model = OTHERS["autoencoder"]()
    query, items = Query(torch.tensor([0]), torch.tensor([[3, 8, 30]])), torch.tensor([[1, 40]])
    purchases, rest = explained(model, query, items)
    # gradients at 1,000 points between nothing and the bag at its length, by torch
    steps = (torch.arange(1000) + 0.5) / 1000
    bag = torch.zeros(1000, ITEMS)
    bag[:, [3, 8, 30]] = (steps / 3**0.5).unsqueeze(1)
    bag.requires_grad_()
    user = torch.tanh(bag @ model.read + model.read_bias)
    for place, item in enumerate((1, 40)):
        score = (user @ model.item[item]).sum()
        (gradient,) = torch.autograd.grad(score, bag, retain_graph=True)
        wanted = gradient.mean(dim=0)[[3, 8, 30]] / 3**0.5
        torch.testing.assert_close(purchases[0, place], wanted, rtol=1e-3, atol=1e-4)
    nothing = torch.tanh(model.read_bias) @ model.item[items[0]].T + model.item_bias[items[0]]
    torch.testing.assert_close(rest[0], nothing.detach())


def test_reasons_of_sasrec_are_what_the_score_loses_without_the_item() -> None:
    model = OTHERS["sasrec"]()
    # six are read: the first 9 is too old, 4 stands there twice
    history = torch.tensor([[9, 1, 4, 2, 4, 5, 3]])
    items = torch.tensor([[0, 4, 33]])
    purchases, _ = explained(model, Query(torch.tensor([0]), history), items)

    def score(bought: list[int]) -> Tensor:
        with torch.no_grad():
            return model(Query(torch.tensor([0]), torch.tensor([bought])), items)[0]

    whole = score([1, 4, 2, 4, 5, 3])
    torch.testing.assert_close(purchases[0, :, 5], whole - score([1, 4, 2, 4, ITEMS, 3]))
    lost = whole - score([1, ITEMS, 2, ITEMS, 5, 3])
    torch.testing.assert_close(purchases[0, :, [2, 4]], torch.stack([lost, lost], 1) / 2)
    assert not purchases[0, :, 0].any()


@pytest.mark.parametrize("model", [GMF, Popularity])
def test_models_in_whose_scores_no_purchase_is_do_not_pretend(model: Any) -> None:
    assert not isinstance(model(USERS, ITEMS), ExplainsScores)
