"""Customers whom the fitted part does not have: judged as a bundle would serve them."""

import numpy as np
import pandas as pd
import pytest
import torch
from scored_phases import ScoreTable
from torch import Tensor, nn

from recsys.data.attributes import AttributeTable
from recsys.data.cleaning import Cleaning, clean_transactions
from recsys.data.dataset import Dataset
from recsys.data.interactions import PhaseData, index_phase
from recsys.data.report import DataReport
from recsys.data.shards import Shard
from recsys.data.splits.phase import Phase
from recsys.evaluation.cold_users import gain_of_attributes, has_attributes
from recsys.evaluation.ranking import RankingEvaluator, evaluate
from recsys.export.recommender.core import Scores, core_inputs
from recsys.models.fallback import served_scores
from recsys.models.inputs import (
    HISTORY,
    HISTORY_AGE,
    USER,
    ModelInput,
    Query,
    query_of,
    user_category,
)
from recsys.models.recommenders.popularity import Popularity
from recsys.reports.attributes import attributes_sentence

CPU = torch.device("cpu")
# fitted: x has three buyers, y two, z one; then a and three whom nobody knows buy
FITTED = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "x"), ("c", "z")]
LATER = [
    ("a", "z"),
    ("new1", "z"),
    ("new1", "z"),
    ("new2", "x"),
    ("new2", "y"),
    ("new2", "novel"),
    ("new3", "novel"),
]
SEX = {"a": "f", "b": "m", "c": "f", "new1": "f", "new2": None, "new3": "m"}


def read() -> Dataset:
    table = pd.DataFrame(FITTED + LATER, columns=["user_id", "item_id"])
    users = pd.DataFrame({"user_id": list(SEX), "sex": list(SEX.values())})
    import pyarrow as pa

    return clean_transactions(
        pa.Table.from_pandas(table),
        DataReport("rows"),
        Cleaning(),
        users=AttributeTable(users, kinds={"sex": "category"}),
    )


def indexed(**options: object) -> PhaseData:
    table = read()
    phase = Phase(np.arange(len(FITTED)), np.arange(len(FITTED), len(table)))
    return index_phase(table, "test", phase, **{"cold_users": True, **options})  # type: ignore[arg-type]


class BySex(nn.Module):
    """Who is "f" gets z first, who is "m" y, others x; decides whom it serves."""

    num_users, num_items, floats_per_pair = 3, 3, 1

    def __init__(self, *inputs: ModelInput) -> None:
        super().__init__()
        self.inputs = inputs
        self.register_buffer("scores", torch.tensor([[0.0, 1, 2], [1, 2, 0], [2, 0, 1]]))

    def forward(self, query: Query, items: Tensor) -> Tensor:
        return self.score_all(query).gather(1, items)

    def score_all(self, query: Query) -> Tensor:
        return self.scores[query["users.sex"]]  # type: ignore[index]


class DecidesBySex(BySex):
    def serves(self, query: Query) -> Tensor:
        return query["users.sex"] < 2


def test_cold_users_have_a_truth_and_no_place_in_the_vocabulary() -> None:
    data, without = indexed(), indexed(cold_users=False)
    cold = data.cold_users
    assert without.cold_users is None
    assert cold is not None
    assert data.vocabulary.user_ids.tolist() == without.vocabulary.user_ids.tolist() == list("abc")
    # new3 bought only what nobody knows
    assert cold.user_ids.tolist() == ["new1", "new2"]
    assert [cold.truth.take(torch.tensor([row]))[1].tolist() for row in (0, 1)] == [[2], [0, 1]]
    assert data.asked_ids.tolist() == ["a", "b", "c", "new1", "new2"]
    assert (data.counts["truth_users_cold"], data.counts["truth_users_unknown"]) == (2, 1)
    assert without.counts["truth_users_unknown"] == 3
    assert cold.columns.of_queries("users.sex", True).tolist() == [0, 2]


def test_a_miss_counts_also_for_cold_users() -> None:
    data = indexed(unknown_items="miss")
    assert data.cold_users is not None
    assert data.cold_users.user_ids.tolist() == ["new1", "new2", "new3"]
    assert data.cold_users.missed.tolist() == [0, 1, 1]
    model = Popularity(3, 3)
    model.fit(data.interactions)
    found = evaluate(model, data, views=("cold_users",), ks=(2,)).metrics
    # new1 wants the third, new2 all of the two best and one more, new3 nothing that there is
    assert found["cold_users/recall@2"] == pytest.approx((0 + 2 / 3 + 0) / 3)


def test_no_more_cold_users_than_allowed_are_evaluated() -> None:
    data = indexed(max_users=1)
    assert data.cold_users is not None
    assert len(data.cold_users) == 1
    assert data.counts["cold_users_left_out_by_max_users"] == 1


def test_metrics_by_hand_and_those_of_other_views_stay_as_they_are() -> None:
    data = indexed()
    model = DecidesBySex(user_category("sex"))
    result = evaluate(
        model, data, views=("new", "all", "cold_users"), ks=(1, 2), by_popularity=True
    )
    # new1 is "f" and gets z, which is the truth; of new2 nothing is known: x and y are popular
    rows = result.per_user[result.per_user["view"] == "cold_users"]
    assert rows["user"].tolist() == [3, 4]
    assert rows["num_truth"].tolist() == [1, 2]
    assert rows["recall@1"].tolist() == [1, 1 / 2]
    assert result.metrics["cold_users/users"] == 2
    assert result.metrics["cold_users/recall@2"] == 1
    assert result.metrics["cold_users/coverage@1"] == 2 / 3
    before = evaluate(model, indexed(cold_users=False), views=("new", "all"), ks=(1, 2))
    others = {k: v for k, v in result.metrics.items() if not k.startswith("cold_users/")}
    assert others == before.metrics


def test_a_model_that_does_not_know_cold_users_has_the_metrics_of_popularity() -> None:
    data = indexed()
    popular = Popularity(3, 3)
    popular.fit(data.interactions)
    table = ScoreTable([[0.0, 1, 2]] * 3)
    found, expected = (
        evaluate(model, data, views=("cold_users",), ks=(1, 2)).metrics
        for model in (table, popular)
    )
    assert found == expected
    assert found["cold_users/recall@1"] == pytest.approx((0 + 1 / 2) / 2)


def test_blocks_hold_known_users_or_cold_ones_and_processes_share_them() -> None:
    data, model = indexed(), ScoreTable([[0.0, 1, 2]] * 3)

    def asked(*views: str, shard: Shard | None = None) -> list[list[int]]:
        evaluator = RankingEvaluator(data, views=views, ks=(1,), device=CPU)
        blocks = evaluator.blocks(model, shard) if shard else evaluator.blocks(model)
        assert len(blocks) == len(list(blocks))
        return [block.tolist() for block in blocks]

    assert asked("all", "cold_users") == [[0], [3, 4]]
    assert asked("cold_users") == [[3, 4]]
    assert asked("all") == [[0]]
    halves = [asked("all", "cold_users", shard=Shard(rank, 2)) for rank in range(2)]
    assert halves == [[[0], [4]], [[3]]]


def test_the_view_has_a_truth_only_where_somebody_is_cold() -> None:
    def has_truth(data: PhaseData, view: str) -> bool:
        evaluator = RankingEvaluator(data, views=(view,), ks=(1,), device=CPU)
        return evaluator.has_truth(view)

    assert has_truth(indexed(), "cold_users")
    assert not has_truth(indexed(cold_users=False), "cold_users")
    assert has_truth(indexed(), "new")
    assert not evaluate(
        ScoreTable([[0.0, 1, 2]] * 3), indexed(cold_users=False), views=("cold_users",)
    ).metrics


def test_cold_items_are_none_of_the_lists_of_cold_users() -> None:
    data = indexed(cold_items=True)
    assert data.cold_users is not None
    assert data.cold is not None
    assert data.cold.tolist() == [True, False, False, False]  # novel
    model = ScoreTable([[0.0, 1, 2, 3]] * 3)
    rows = evaluate(model, data, views=("cold_users",), ks=(2,)).per_user
    assert rows["num_truth"].tolist() == [1, 2]  # new3 wants nothing else
    assert rows["recall@2"].tolist() == [0, 1]


class OfHistory(ScoreTable):
    inputs = (HISTORY, HISTORY_AGE)  # type: ignore[assignment]

    def score_all(self, query: Query) -> Tensor:
        known = (query.history < self.num_items).sum(dim=1)
        return self.scores[known.clamp(max=2)] + query.days().sum(dim=1, keepdim=True)


@pytest.mark.parametrize(
    "model",
    [
        ScoreTable([[0.0, 1, 2]] * 3),
        OfHistory([[0.0, 1, 2], [5, 4, 3], [6, 7, 8]]),
        BySex(user_category("sex")),
        BySex(USER, user_category("sex")),
        DecidesBySex(USER, HISTORY, user_category("sex")),
    ],
)
def test_served_scores_are_those_of_the_graph_of_a_bundle(model: nn.Module) -> None:
    popularity = torch.tensor([3.0, 2.0, 1.0])
    values = {
        "user_id": torch.tensor([0, 3, 3, 1]),
        "history": torch.tensor([[0, 1], [3, 3], [2, 3], [3, 3]]),
        "history_age": torch.ones(4, 2),
        "users.sex": torch.tensor([0, 1, 2, 2]),
    }
    inputs = core_inputs(model)  # type: ignore[arg-type]
    expected, _ = Scores(model, popularity)(*(values[each.name] for each in inputs))  # type: ignore[arg-type]
    query = query_of(
        model,  # type: ignore[arg-type]
        values["user_id"],
        {"users.sex": values["users.sex"]},
        values["history"],
        values["history_age"],
    )
    assert torch.equal(served_scores(model, query, popularity), expected)  # type: ignore[arg-type]


def test_the_gain_is_of_those_with_attributes_and_paired() -> None:
    data = indexed(unknown_items="miss")
    model, popular = DecidesBySex(user_category("sex")), Popularity(3, 3)
    popular.fit(data.interactions)
    tables = [evaluate(each, data, ks=(1,)).per_user for each in (model, popular)]
    gain = gain_of_attributes(model, data, "ndcg@1", *tables)
    # new1 gains 1, new3 (whose truth nobody knows) nothing; new2 has no sex
    assert (gain["customers"], gain["described"], gain["columns"]) == (3, 2, ["users.sex"])
    assert (gain["value"], gain["popularity"]) == (1 / 2, 0)
    assert gain["low"] is not None
    described = has_attributes(data)
    assert described is not None
    assert described.tolist() == [True, True, True, True, False, True]
    blind = gain_of_attributes(ScoreTable([[0.0, 1, 2]] * 3), data, "ndcg@1", *tables)
    assert blind["columns"] == []
    assert (blind["described"], blind["value"]) == (0, None)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.01, 0.03, "attributes help cold customers: over the 40 of 50 cold customers"),
        (-0.01, 0.05, "attributes do not measurably help cold customers here"),
        (-0.05, -0.01, "attributes make it worse for cold customers here"),
    ],
)
def test_the_sentence_follows_the_interval(low: float, high: float, expected: str) -> None:
    gain = {
        "metric": "ndcg@10",
        "columns": ["users.age"],
        "customers": 50,
        "described": 40,
        "value": 0.12,
        "popularity": 0.1,
        "low": low,
        "high": high,
    }
    said = attributes_sentence(gain, "two tower")  # type: ignore[arg-type]
    assert said.startswith(expected)
    assert "NDCG@10 0.1200 against 0.1000 of popularity" in said
    assert ("holds zero" in said) == (low <= 0 <= high)
    assert "reads no attributes" in attributes_sentence({**gain, "columns": []}, "EASE")  # type: ignore[typeddict-item,typeddict-unknown-key]
    unknown = {**gain, "described": 1, "value": None, "low": None, "high": None, "popularity": None}
    assert "is not known" in attributes_sentence(unknown, "EASE")  # type: ignore[arg-type]
