"""The whole catalogue ranked: two truths, masks, blocks, and the values of every user."""

import numpy as np
import pandas as pd
import pytest
import torch
from scored_phases import ScoreTable, made_up_phase, phase_of

from recsys.errors import ConfigError
from recsys.evaluation.ranking import RankingEvaluator, UserBlocks, evaluate
from recsys.models.recommenders.personal_top_frequency import PersonalTopFrequency

CPU = torch.device("cpu")


def test_all_masks_nothing_and_new_masks_what_was_bought() -> None:
    # bought 0 and 1, buys 1 again and 2 for the first time; scores fall from item 0 to item 3
    phase = phase_of([[0, 1], [3]], [[1, 2], []], num_items=4)
    found = evaluate(ScoreTable([[9, 8, 7, 6]] * 2), phase, ks=(1, 2)).metrics
    # all: the list is 0, 1, …
    assert found["all/hit_rate@1"] == 0
    assert found["all/recall@2"] == 1 / 2
    assert found["all/mrr@2"] == 1 / 2
    # new: the list is 2, 3, and only item 2 is asked
    assert found["new/hit_rate@1"] == 1
    assert found["new/recall@2"] == 1
    assert found["new/precision@2"] == 1 / 2


def test_user_who_only_bought_again_leaves_the_mean_of_new() -> None:
    phase = phase_of([[0], [0]], [[0], [1]], num_items=3)
    found = evaluate(ScoreTable([[3, 2, 1], [3, 2, 1]]), phase, ks=(1,)).metrics
    assert (found["new/users"], found["all/users"]) == (1, 2)
    # user 1: item 0 is masked, item 1 leads
    assert found["new/hit_rate@1"] == 1
    # user 0 finds item 0 in front, user 1 does not find item 1 there
    assert found["all/hit_rate@1"] == 1 / 2


def test_user_without_truth_is_not_asked() -> None:
    phase = phase_of([[0], [1], [2]], [[1], [], [0]], num_items=3)
    evaluator = RankingEvaluator(phase, views=("all",), ks=(1,), device=CPU)
    blocks = evaluator.blocks(ScoreTable([[0.0] * 3] * 3))
    assert torch.cat(list(blocks)).tolist() == [0, 2]


def test_view_without_any_truth_is_left_out() -> None:
    phase = phase_of([[0], [1]], [[0], [1]], num_items=2)
    found = evaluate(ScoreTable([[1, 0]] * 2), phase, ks=(1,)).metrics
    assert "all/ndcg@1" in found
    assert not [name for name in found if name.startswith("new/")]


def test_cut_off_beyond_the_catalogue_counts_missing_places_as_misses() -> None:
    phase = phase_of([[], []], [[0, 1], [2]], num_items=3)
    found = evaluate(ScoreTable([[3, 2, 1]] * 2), phase, views=("all",), ks=(10,)).metrics
    assert found["all/precision@10"] == pytest.approx((2 / 10 + 1 / 10) / 2)
    assert found["all/recall@10"] == 1


def test_equal_scores_go_to_the_lower_item() -> None:
    phase = phase_of([[], []], [[0], [3]], num_items=4)
    found = evaluate(ScoreTable([[1.0] * 4] * 2), phase, views=("all",), ks=(1, 4)).metrics
    assert found["all/hit_rate@1"] == 1 / 2
    assert found["all/mrr@4"] == pytest.approx((1 + 1 / 4) / 2)


def test_masked_items_that_fill_up_a_list_are_not_recommended() -> None:
    # user 0 has bought all but item 2: a list of three shows item 2 alone
    phase = phase_of([[0, 1], [0]], [[2], []], num_items=3)
    found = evaluate(ScoreTable([[3, 2, 1]] * 2), phase, views=("new",), ks=(3,)).metrics
    assert found["new/coverage@3"] == pytest.approx(1 / 3)


def test_coverage_gini_and_novelty_describe_the_lists_shown() -> None:
    # item 0 has two buyers, item 1 has one, item 2 none; both users are shown item 0
    phase = phase_of([[0, 1], [0]], [[2], [2]], num_items=3)
    found = evaluate(ScoreTable([[3, 2, 1]] * 2), phase, views=("all",), ks=(1,)).metrics
    assert found["all/coverage@1"] == pytest.approx(1 / 3)
    assert found["all/gini@1"] == pytest.approx(2 / 3)
    assert found["all/novelty@1"] == 0  # bought by 2 of 2 users
    other = evaluate(ScoreTable([[1, 2, 3], [3, 2, 1]]), phase, views=("all",), ks=(1,)).metrics
    assert other["all/novelty@1"] == pytest.approx(
        1 / 2
    )  # item 2 counts as bought by 1 of 2: 1 bit


@pytest.mark.parametrize(
    ("block_mb", "floats_per_pair", "size"), [(0, 1, 1), (1, 900, 12), (256, 1, 4096)]
)
def test_metrics_do_not_depend_on_the_size_of_blocks(
    block_mb: int, floats_per_pair: int, size: int
) -> None:
    phase, table = made_up_phase()
    whole = evaluate(table, phase, ks=(1, 5), block_mb=64)
    model = ScoreTable(table.scores, floats_per_pair)
    evaluator = RankingEvaluator(phase, views=("all",), ks=(1,), device=CPU, block_mb=block_mb)
    assert evaluator.blocks(model).block_size == size
    parts = evaluate(model, phase, ks=(1, 5), block_mb=block_mb)
    assert set(parts.metrics) == set(whole.metrics)
    for name, value in whole.metrics.items():
        assert parts.metrics[name] == pytest.approx(value, abs=1e-4), name
    order = ["view", "user"]
    pd.testing.assert_frame_equal(
        parts.per_user.sort_values(order, ignore_index=True),
        whole.per_user.sort_values(order, ignore_index=True),
    )


def test_blocks_hold_every_user_once() -> None:
    for block_size in (1, 4, 7, 100):
        blocks = UserBlocks(torch.arange(7), block_size)
        batches = list(blocks)
        assert len(batches) == len(blocks)
        assert torch.cat(batches).tolist() == list(range(7))


def test_means_of_the_user_table_are_the_metrics() -> None:
    phase, model = made_up_phase(seed=3)
    result = evaluate(model, phase, ks=(1, 5))
    assert set(result.per_user["view"]) == {"new", "all"}
    for view, table in result.per_user.groupby("view"):
        assert len(table) == result.metrics[f"{view}/users"]
        assert table["user"].is_unique
        for name in table.columns.drop(["user", "view", "num_truth"]):
            assert table[name].mean() == pytest.approx(result.metrics[f"{view}/{name}"]), (
                view,
                name,
            )


def test_user_table_counts_the_truth_of_each_view() -> None:
    phase = phase_of([[0], [2]], [[0, 1], [0]], num_items=3)
    table = evaluate(ScoreTable([[1, 2, 3]] * 2), phase, ks=(1,)).per_user
    truth = {(row.view, row.user): row.num_truth for row in table.itertuples()}
    assert truth == {("all", 0): 2, ("all", 1): 1, ("new", 0): 1, ("new", 1): 1}


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_nobody_to_ask_gives_no_metrics_and_an_empty_user_table() -> None:
    result = evaluate(
        ScoreTable([[1, 2]] * 2), phase_of([[0], [1]], [[], []], num_items=2), ks=(1,)
    )
    assert result.metrics == {}
    assert len(result.per_user) == 0
    assert {"user", "view", "num_truth", "ndcg@1"} <= set(result.per_user.columns)


def test_reset_forgets_what_was_added() -> None:
    phase, model = made_up_phase()
    evaluator = RankingEvaluator(phase, views=("all",), ks=(5,), device=CPU, keep_users=True)
    found = []
    for _ in range(2):
        evaluator.reset()
        for users in evaluator.blocks(model):
            evaluator.update(model, users)
        found.append((evaluator.compute(), len(evaluator.per_user())))
    assert found[0] == found[1]


def test_model_that_reads_histories_is_given_them() -> None:
    # user 0 bought item 2 twice and item 0 once; user 1 bought item 1
    phase = phase_of([[2, 0, 2], [1]], [[2], [1]], num_items=3)
    model = PersonalTopFrequency(2, 3)
    model.fit(phase.interactions)
    assert evaluate(model, phase, views=("all",), ks=(1,)).metrics["all/hit_rate@1"] == 1


def test_evaluation_switches_dropout_off() -> None:
    phase, table = made_up_phase()

    class Dropping(ScoreTable):
        def score_all(self, query: object) -> torch.Tensor:
            return torch.nn.functional.dropout(super().score_all(query), 0.9, self.training)  # type: ignore[arg-type]

    model = Dropping(table.scores)
    model.train()
    expected = evaluate(table, phase, ks=(5,)).metrics
    assert evaluate(model, phase, ks=(5,)).metrics == expected


def test_misspelt_view_is_refused_and_not_ranked_as_another() -> None:
    phase, model = made_up_phase()
    with pytest.raises(ConfigError, match="no view 'nwe'.*new, all, candidates"):
        evaluate(model, phase, views=("nwe",))


@pytest.mark.parametrize("ks", [(), (0,), (10, -1)])
def test_cut_off_below_one_is_refused(ks: tuple[int, ...]) -> None:
    phase, model = made_up_phase()
    with pytest.raises(ConfigError, match=r"evaluation\.ks="):
        evaluate(model, phase, ks=ks)


def test_a_view_has_truth_only_where_its_truth_is_not_empty() -> None:
    again = phase_of([[0], [1]], [[0], []], num_items=2)
    evaluator = RankingEvaluator(again, views=("new", "all"), ks=(1,), device=CPU)
    asked = {view: evaluator.has_truth(view) for view in ("new", "all", "candidates")}
    assert asked == {"new": False, "all": True, "candidates": False}
    nothing = RankingEvaluator(
        phase_of([[0], [1]], [[], []], 2), views=("all",), ks=(1,), device=CPU
    )
    assert not nothing.has_truth("all")


def test_metrics_equal_a_naive_ranking_user_by_user() -> None:
    phase, model = made_up_phase(seed=11)
    hits, recalls = [], []
    seen_rows, truth_rows = phase.interactions.distinct, phase.truth
    for user in range(phase.vocabulary.num_users):
        seen = set(seen_rows.take(torch.tensor([user]))[1].tolist())
        truth = set(truth_rows.take(torch.tensor([user]))[1].tolist()) - seen
        scores = model.scores[user].tolist()
        ranking = sorted(
            (item for item in range(23) if item not in seen), key=lambda item: (-scores[item], item)
        )
        if truth:
            found = len(truth & set(ranking[:5]))
            hits.append(found > 0)
            recalls.append(found / len(truth))
    metrics = evaluate(model, phase, views=("new",), ks=(5,)).metrics
    assert metrics["new/users"] == len(hits)
    assert metrics["new/hit_rate@5"] == pytest.approx(np.mean(hits))
    assert metrics["new/recall@5"] == pytest.approx(np.mean(recalls))
