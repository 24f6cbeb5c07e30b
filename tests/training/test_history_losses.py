"""Losses with batches of their own: what is bought next, and which item comes next."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tastes import settings
from torch import Tensor, nn

from recsys.data.interactions import PhaseData
from recsys.data.shards import ALONE
from recsys.errors import ConfigError, DataError
from recsys.evaluation.ranking import evaluate
from recsys.models.forecasters.lstm import LSTMForecaster
from recsys.models.inputs import HISTORY, HISTORY_AGE, WEEKDAY
from recsys.models.recommender import Query
from recsys.models.recommenders.autoencoder import Autoencoder
from recsys.models.recommenders.gmf import GMF
from recsys.models.recommenders.next_purchase import NextPurchase
from recsys.models.recommenders.popularity import Popularity
from recsys.models.recommenders.sasrec import SASRec
from recsys.training.fit import fit
from recsys.training.losses.bce import BCE
from recsys.training.losses.bpr import BPR
from recsys.training.losses.full_softmax import FullSoftmax
from recsys.training.losses.next_item import NextItem, SequenceBatch
from recsys.training.losses.next_purchases import (
    HistoryBatch,
    LearningStep,
    NextPurchases,
    full_bce,
)
from recsys.training.losses.quantile import Quantile
from recsys.training.losses.student_t import StudentT
from recsys.training.objective import Loss, require_trains

ITEMS = 3
NEXT_PURCHASES = NextPurchases(16)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_full_bce_by_hand() -> None:
    scores = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    found = full_bce(scores, torch.tensor([0, 1]), torch.tensor([0, 0]))
    bought = math.log(sigmoid(1.0)) + math.log(sigmoid(0.5))
    left = math.log(1 - sigmoid(-2.0)) + math.log(1 - sigmoid(3.0))
    torch.testing.assert_close(found, torch.tensor(-(bought + left) / 2))


class Table(nn.Module):
    """Scores by the age of a user's first purchase; what was bought is seen."""

    num_items, inputs = ITEMS, (HISTORY, HISTORY_AGE)

    def score_all(self, query: Query, trends: Tensor | None = None) -> Tensor:
        assert trends is not None
        return query.days()[:, :1] * trends.T

    def score_unseen(self, query: Query, trends: Tensor | None = None) -> Tensor:
        seen = torch.zeros(len(query.user), ITEMS + 1, dtype=torch.bool)
        seen = seen.scatter(1, query.history, True)[:, :ITEMS]
        return self.score_all(query, trends).masked_fill(seen, -torch.inf)


def batch(
    history: list[list[int]], bought: list[tuple[int, int]], weight: list[float] | None
) -> HistoryBatch:
    pairs = torch.tensor(bought, dtype=torch.int64).reshape(-1, 2)
    return HistoryBatch(
        torch.arange(len(history)),
        torch.tensor(history),
        torch.ones(len(history), len(history[0])),
        {},
        pairs[:, 0],
        pairs[:, 1],
        None if weight is None else torch.tensor(weight),
        torch.tensor([[0.0], [1.0], [2.0]]),
    )


def test_next_purchases_by_hand(val_data: PhaseData) -> None:
    objective = NEXT_PURCHASES.objective(Table(), val_data.interactions, seed=1)
    # scores are 0, 1, 2; the user has item 2, buys it again and item 0 for the first time
    later = batch([[2]], [(0, 0), (0, 2)], None)
    hidden = batch([[0], [1]], [(0, 1), (1, 0)], [3.0, 1.0])
    loss, samples = objective.loss(Table(), LearningStep(later, hidden))
    again = -(math.log(sigmoid(0)) + math.log(1 - sigmoid(1)) + math.log(sigmoid(2))) / 2
    new = math.log(1 + math.e)  # item 0 beside item 1
    beside = (3 * (math.log(math.e + math.e**2) - 1) + math.log(1 + math.e**2)) / 4
    torch.testing.assert_close(loss, torch.tensor(again + new + beside))
    assert samples == 4


def test_next_purchases_without_anything_new_or_hidden_is_finite(val_data: PhaseData) -> None:
    objective = NEXT_PURCHASES.objective(Table(), val_data.interactions, seed=1)
    loss, samples = objective.loss(
        Table(), LearningStep(batch([[2]], [(0, 2)], None), batch([[0]], [], []))
    )
    torch.testing.assert_close(
        loss, full_bce(torch.tensor([[0.0, 1, 2]]), *torch.tensor([[0], [2]]))
    )
    assert samples == 1


class Steps(nn.Module):
    """The state after an item is the item; the next one is as likely as its number says."""

    num_items, max_length, inputs = ITEMS, 5, (HISTORY,)

    def states(self, recent: Tensor) -> Tensor:
        return recent.unsqueeze(2).float()

    def score(self, states: Tensor) -> Tensor:
        return states * torch.arange(ITEMS)

    def score_some(self, states: Tensor, items: Tensor) -> Tensor:
        return states * items


def test_a_model_that_reads_more_than_histories_is_no_model_of_next_item(
    val_data: PhaseData,
) -> None:
    model = Steps()
    model.inputs = (HISTORY, WEEKDAY)
    with pytest.raises(ConfigError, match="Steps reads time.weekday: choose another loss"):
        NextItem().objective(model, val_data.interactions, seed=1)


@pytest.mark.parametrize(
    ("num_negatives", "negatives"),
    [
        (0, []),
        # the whole catalogue, drawn: the same loss
        (3, [0, 1, 2]),
        (6, [2, 0, 1, 1, 0, 2]),
    ],
)
def test_next_item_by_hand(val_data: PhaseData, num_negatives: int, negatives: list[int]) -> None:
    objective = NextItem(2, num_negatives).objective(Steps(), val_data.interactions, seed=1)
    items = torch.tensor([[ITEMS, 1, 2], [0, 2, 1]])
    stands_for = torch.full((num_negatives,), ITEMS / max(1, num_negatives)).log()
    batch = SequenceBatch(items, torch.tensor(negatives, dtype=torch.long), stands_for)
    loss, samples = objective.loss(Steps(), batch)
    e = math.e
    # scores of items 0, 1, 2 are 0, s, 2 s after item s
    after = [-math.log(e**2 / (1 + e + e**2)), math.log(3), -math.log(e**2 / (1 + e**2 + e**4))]
    torch.testing.assert_close(loss, torch.tensor(sum(after) / 3))
    assert samples == 3


def test_a_negative_stands_for_those_that_were_not_drawn(val_data: PhaseData) -> None:
    objective = NextItem(2, 2).objective(Steps(), val_data.interactions, seed=1)
    three_halves = torch.tensor([1.5, 1.5]).log()
    batch = SequenceBatch(torch.tensor([[1, 2], [2, 0]]), torch.tensor([0, 0]), three_halves)
    loss, _ = objective.loss(Steps(), batch)
    e = math.e
    # 2 after 1, beside item 0 twice, three halves of an item each; 0 after 2, beside nothing
    torch.testing.assert_close(loss, torch.tensor(-math.log(e**2 / (e**2 + 3)) / 2))


def test_negatives_stand_for_every_item_once_on_average(val_data: PhaseData) -> None:
    objective = NextItem(2, 40_000).objective(Steps(), val_data.interactions, seed=1)
    batch = next(iter(objective.batches(torch.device("cpu"), lambda: 0, ALONE)))
    num_items = val_data.interactions.num_items
    times = torch.bincount(batch.negatives, minlength=num_items)
    # half of them are drawn as often as they were bought, so some are drawn far more often
    assert times.max() > 1.2 * times.min()
    stood_for = torch.zeros(num_items).index_add(0, batch.negatives, batch.stands_for.exp())
    torch.testing.assert_close(stood_for, torch.ones(num_items), atol=0.1, rtol=0)


def test_next_item_samples_where_the_catalogue_is_large(val_data: PhaseData) -> None:
    small = val_data.interactions
    large = replace(small, num_items=10**10)
    found = {}
    for name, data in {"small": small, "large": large}.items():
        objective = NextItem().objective(Steps(), data, seed=1)
        found[name] = objective.chosen(), objective.settings.num_negatives
    assert found == {"small": ({"num_negatives": 0}, 0), "large": ({"num_negatives": 1024}, 1024)}
    given = NextItem(num_negatives=0).objective(Steps(), large, seed=1)
    assert (given.chosen(), given.settings.num_negatives) == ({}, 0)


MODELS: dict[str, tuple[Any, Loss, float]] = {
    "autoencoder": (
        lambda u, i: Autoencoder(u, i, 8, history_dropout=0.3),
        FullSoftmax(16),
        0.02,
    ),
    "sasrec": (
        lambda u, i: SASRec(u, i, 16, max_length=8, num_layers=1, dropout=0.1),
        NextItem(16),
        0.02,
    ),
    "sasrec, sampled": (
        lambda u, i: SASRec(u, i, 16, max_length=8, num_layers=1, dropout=0.1),
        NextItem(16, 10),
        0.02,
    ),
    "next_purchase": (
        lambda u, i: NextPurchase(u, i, 8, 8, history_dropout=0.3),
        NextPurchases(16, horizon_days=60, lookback_days=200),
        0.02,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_of_histories_learns_what_popularity_cannot(
    val_data: PhaseData, tmp_path: Path, name: str
) -> None:
    build, loss, lr = MODELS[name]
    history = val_data.interactions.history
    # a purchase of everyone every twenty days: what is bought later can be learned from
    place = torch.arange(len(history.values)) - history.indptr[:-1].repeat_interleave(
        history.lengths()
    )
    val_data = replace(
        val_data, interactions=replace(val_data.interactions, day=(20 * place).int())
    )
    torch.manual_seed(1)
    sizes = val_data.vocabulary.num_users, val_data.vocabulary.num_items
    network = build(*sizes)
    if hasattr(network, "observe"):
        network.observe(val_data.interactions)
    fit(
        network,
        loss.objective(network, val_data.interactions, seed=1),
        settings(25, lr, 0.01, "one_cycle"),
        tmp_path,
    )
    popularity = Popularity(*sizes)
    popularity.fit(val_data.interactions)
    learned, naive = (
        evaluate(m, val_data, views=("new",)).metrics["new/ndcg@10"] for m in (network, popularity)
    )
    assert learned > 1.3 * naive


@pytest.mark.parametrize(
    ("loss", "model"),
    [
        (NextItem, SASRec),
        (NextPurchases, NextPurchase),
        (FullSoftmax, Autoencoder),
        (BCE, GMF),
        (Quantile, LSTMForecaster),
        (StudentT, LSTMForecaster),
    ],
)
def test_a_loss_trains_its_models(loss: type[Loss], model: type) -> None:
    require_trains(loss, model)


@pytest.mark.parametrize(
    ("loss", "model", "sentence"),
    [
        (BPR, Autoencoder, "loss=bpr does not train model=m; choose loss=full_softmax"),
        (BCE, SASRec, "loss=bce does not train model=m; choose loss=next_item"),
        (NextItem, GMF, "loss=next_item trains models with states and score and score_some, and"),
        (NextPurchases, GMF, "and model=m has no score_unseen: choose loss=full_softmax"),
        (Quantile, GMF, "loss=quantile trains forecasters, and model=m is a recommender: choose"),
        (BCE, LSTMForecaster, "loss=bce trains recommenders, and model=m is a forecaster: choose"),
    ],
)
def test_a_loss_that_does_not_train_a_model_is_one_sentence(
    loss: type[Loss], model: type, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        require_trains(loss, model, "m")


def test_purchases_without_days_cannot_be_learned_from(val_data: PhaseData) -> None:
    timeless = replace(val_data.interactions, day=None)
    objective = NEXT_PURCHASES.objective(Table(), timeless, seed=1)
    with pytest.raises(DataError, match="loss=next_purchases learns what is bought after a day"):
        objective.batches(torch.device("cpu"), lambda: 0, ALONE)
