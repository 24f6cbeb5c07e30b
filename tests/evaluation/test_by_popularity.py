"""What a recommender is worth for the items that everybody buys, and for the others."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scored_phases import ScoreTable, made_up_phase, phase_of

from recsys.data.interactions import Candidates
from recsys.evaluation.ranking import evaluate
from recsys.metrics.ranking.exposure import head_items


def test_the_head_makes_up_four_fifths_of_what_was_bought() -> None:
    # 5 + 3 of 10 are 80 %: the item that reaches it is the last of the head
    assert head_items(torch.tensor([1, 5, 0, 3, 1])).tolist() == [False, True, False, True, False]
    # 6 of 10 are too few, the lower of two equal items closes the gap
    assert head_items(torch.tensor([2, 6, 2])).tolist() == [True, True, False]
    assert head_items(torch.tensor([1, 1, 1, 1, 1])).tolist() == [True, True, True, True, False]
    assert not head_items(torch.zeros(3, dtype=torch.int64)).any()


def test_hits_keep_their_ranks_and_truth_is_counted_by_part() -> None:
    # items 0 and 1 are the head (4 of 5 pairs), item 2 the tail, 3 and 4 were never bought
    phase = phase_of([[0, 1], [0, 1], [2]], [[0, 2], [], [4]], num_items=5)
    model = ScoreTable([[5, 4, 3, 2, 1]] * 3)  # ranks 0, 1, 2, … for all
    table = evaluate(model, phase, views=("all",), ks=(1, 3), by_popularity=True).per_user
    both, tail_only = (row for _, row in table.sort_values("user").iterrows())
    assert both["ndcg_head@3"] == 1.0
    assert both["recall_tail@3"] == both["hit_rate_tail@3"] == 1.0
    assert both["ndcg_tail@3"] == pytest.approx(1 / math.log2(2 + 2))  # third, of one to find
    assert both["hit_rate_head@1"] == 1.0
    assert both["hit_rate_tail@1"] == 0.0
    assert np.isnan(tail_only["ndcg_head@3"])
    assert tail_only["ndcg_tail@3"] == 0.0


def test_new_items_exclude_what_was_bought_before() -> None:
    phase = phase_of([[0, 1], [0], [0]], [[0, 2], [1], []], num_items=3)
    table = evaluate(
        ScoreTable([[3, 2, 1]] * 3), phase, views=("new",), ks=(1,), by_popularity=True
    ).per_user.set_index("user")
    # item 0 and 1 are the head; user 0 bought both, so only the tail item 2 is new
    assert np.isnan(table.loc[0, "recall_head@1"])
    assert table.loc[0, "recall_tail@1"] == 1.0
    assert table.loc[1, "recall_head@1"] == 1.0


def test_candidates_are_told_apart_in_their_ranked_order() -> None:
    candidates = Candidates(
        torch.tensor([1]), torch.tensor([[0, 1, 2, 4]]), torch.tensor([[False, False, True, False]])
    )
    phase = phase_of([[0, 1], [0, 1], [2]], [[], [2], []], num_items=4, candidates=candidates)
    table = evaluate(
        ScoreTable([[1, 2, 3, 4]] * 3), phase, views=("candidates",), ks=(1, 2), by_popularity=True
    ).per_user
    assert table["hit_rate_tail@1"].tolist() == [1.0]
    assert table["hit_rate_head@1"].isna().all()


@pytest.mark.parametrize("seed", [0, 1])
def test_head_and_tail_hits_add_up_and_change_nothing_else(seed: int) -> None:
    phase, model = made_up_phase(seed=seed)
    plain = evaluate(model, phase, ks=(3, 7))
    told = evaluate(model, phase, ks=(3, 7), by_popularity=True)
    assert told.metrics == plain.metrics
    extra = [column for column in told.per_user if "_head@" in column or "_tail@" in column]
    pd.testing.assert_frame_equal(told.per_user.drop(columns=extra), plain.per_user)
    head = head_items(phase.interactions.buyers).numpy()
    seen, truth = (
        [set(rows.values[rows.indptr[u] : rows.indptr[u + 1]].tolist()) for u in range(len(rows))]
        for rows in (phase.interactions.distinct, phase.truth)
    )
    for row in told.per_user.to_dict("records"):
        asked = truth[row["user"]] - (seen[row["user"]] if row["view"] == "new" else set())
        in_head = sum(head[item] for item in asked)
        hits = 0.0
        for part, size in (("head", in_head), ("tail", len(asked) - in_head)):
            assert np.isnan(row[f"recall_{part}@7"]) == (size == 0)
            hits += 0.0 if size == 0 else row[f"recall_{part}@7"] * size
        assert hits == pytest.approx(row["recall@7"] * row["num_truth"])
