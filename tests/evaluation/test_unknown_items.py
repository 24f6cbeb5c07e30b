"""Items that the fitted part does not have: left out of the truth, or misses."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scored_phases import ScoreTable, phase_of

from recsys.data.dataset import Dataset
from recsys.data.interactions import PhaseData, index_phase
from recsys.data.splits.phase import Phase
from recsys.evaluation.ranking import RankingEvaluator, evaluate

Purchases = Callable[..., Dataset]
# fitted: x and y are bought by two users each, rare by one; then unknown items are bought
FITTED = [("a", "x"), ("a", "y"), ("a", "rare"), ("b", "x"), ("b", "y"), ("c", "x"), ("d", "y")]
LATER = [
    ("a", "x"),
    ("a", "rare"),  # left out by min_buyers, and not new to a
    ("a", "novel"),
    ("a", "novel"),
    ("b", "rare"),  # left out by min_buyers, and new to b
    ("c", "y"),
    ("stranger", "x"),
    ("stranger", "novel"),
]


def indexed(purchases: Purchases, unknown_items: str, **options: int) -> PhaseData:
    read = purchases(FITTED + LATER)
    phase = Phase(np.arange(len(FITTED)), np.arange(len(FITTED), len(read)))
    return index_phase(
        read,
        "test",
        phase,
        min_buyers=2,
        unknown_items=unknown_items,  # type: ignore[arg-type]
        **options,
    )


def test_a_miss_is_counted_once_an_item_and_is_new_only_to_who_never_bought_it(
    purchases: Purchases,
) -> None:
    data = indexed(purchases, "miss")
    assert data.vocabulary.user_ids.tolist() == ["a", "b", "c", "d"]
    assert data.vocabulary.item_ids.tolist() == ["x", "y"]
    assert {view: count.tolist() for view, count in data.missed.items()} == {
        "all": [2, 1, 0, 0],  # rare and novel; rare
        "new": [1, 1, 0, 0],  # novel; rare
    }
    assert data.counts["truth_items_missed"] == 3
    assert data.counts["truth_users_with_unknown_items_only"] == 1  # b
    assert "truth_users_without_known_item" not in data.counts


def test_by_default_nothing_is_missed_and_counts_say_who_left(purchases: Purchases) -> None:
    data = indexed(purchases, "leave_out")
    assert not data.missed
    assert data.counts["truth_users_without_known_item"] == 1
    assert data.counts["truth_users_unknown"] == 1
    assert data.counts["truth_users_only_fitted"] == 1  # d


def test_truth_and_models_are_the_same_in_both(purchases: Purchases) -> None:
    one, other = (indexed(purchases, how) for how in ("miss", "leave_out"))
    assert torch.equal(one.truth.values, other.truth.values)
    assert torch.equal(one.interactions.history.values, other.interactions.history.values)


def test_metrics_count_what_cannot_be_hit() -> None:
    # user 0 buys item 0 again and two unknown items; user 1 unknown items only
    phase = phase_of([[0], [1]], [[0], []], num_items=3)
    phase = replace(phase, missed={"all": torch.tensor([2, 1]), "new": torch.tensor([2, 1])})
    table = ScoreTable([[9.0, 8.0, 7.0]] * 2)
    result = evaluate(table, phase, views=("all",), ks=(2,), by_popularity=True)
    found = result.metrics
    assert found["all/users"] == 2
    assert found["all/recall@2"] == pytest.approx((1 / 3 + 0) / 2)
    assert found["all/hit_rate@2"] == 1 / 2
    assert found["all/precision@2"] == pytest.approx((1 / 2 + 0) / 2)
    # the best list of two has two hits, one in front of the other
    best = 1 + 1 / np.log2(3)
    assert found["all/ndcg@2"] == pytest.approx((1 / best + 0) / 2)
    assert found["all/map@2"] == pytest.approx((1 / 2 + 0) / 2)
    assert found["all/mrr@2"] == 1 / 2
    assert result.per_user["num_truth"].tolist() == [3, 1]
    # head and tail are of the catalogue, where nothing is missed
    parts = result.per_user[["recall_head@2", "recall_tail@2"]].to_numpy()
    assert sorted(parts[0][~np.isnan(parts[0])]) == [1]
    assert np.isnan(parts[1]).all()


def test_new_misses_leave_out_what_was_bought_before() -> None:
    phase = phase_of([[0], [1]], [[2], [2]], num_items=3)
    phase = replace(phase, missed={"all": torch.tensor([1, 1]), "new": torch.tensor([1, 0])})
    found = evaluate(ScoreTable([[9.0, 8.0, 7.0]] * 2), phase, views=("new",), ks=(2,))
    assert found.metrics["new/recall@2"] == pytest.approx((1 / 2 + 1) / 2)
    assert found.per_user["num_truth"].tolist() == [2, 1]


def test_user_of_whom_everything_is_missed_is_asked_only_where_misses_count() -> None:
    phase = phase_of([[0], [1]], [[0], []], num_items=3)
    table = ScoreTable([[9.0, 8.0, 7.0]] * 2)

    def asked(phase: PhaseData, *views: str) -> list[int]:
        evaluator = RankingEvaluator(phase, views=views, ks=(1,), device=torch.device("cpu"))
        return torch.cat(list(evaluator.blocks(table))).tolist()

    missing = replace(phase, missed={"all": torch.tensor([0, 1]), "new": torch.tensor([0, 0])})
    assert asked(phase, "all") == [0]
    assert asked(missing, "all") == [0, 1]
    assert asked(missing, "new") == [0]


def test_no_more_users_are_asked_than_allowed(purchases: Purchases) -> None:
    data = indexed(purchases, "miss", max_users=1)
    asked = (data.truth.lengths() > 0) | (data.missed["all"] > 0)
    assert asked.sum() == 1
    assert data.counts["asked_users_left_out_by_max_users"] == 2


def test_cold_items_are_missed_by_new_and_all_and_judged_apart(purchases: Purchases) -> None:
    data = indexed(purchases, "miss", cold_items=True)
    assert data.cold is not None
    cold = data.cold.sum()
    assert cold == 2  # novel, and rare, which the filter left out
    assert data.missed["all"].tolist() == [2, 1, 0, 0]
    num_users, num_items = data.vocabulary.num_users, data.vocabulary.num_items
    scores = ScoreTable(torch.arange(num_users * num_items).view(num_users, num_items).float())
    users = evaluate(scores, data, views=("all", "cold_items"), ks=(2,)).per_user
    truth = users.set_index(["view", "user"])["num_truth"]
    assert truth["all"].to_dict() == {0: 3, 1: 1, 2: 1}
    assert truth["cold_items"].to_dict() == {0: 2, 1: 1}
