"""Published lists: only they are ranked, whatever their length and order."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scored_phases import ScoreTable, phase_of

from recsys.data.dataset import CandidateTable, Dataset
from recsys.data.interactions import Candidates, PhaseData, index_phase
from recsys.data.report import DataReport
from recsys.data.splits.phase import Phase
from recsys.evaluation.ranking import evaluate

SCORES = [[5.0, 4, 3, 2, 1], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0]]


def listed(rows: list[tuple[int, int, bool]], num_sold: int = 5) -> PhaseData:
    """A phase whose lists have these rows (user, item, relevant); all bought item 0, the last user
    all items sold.
    """
    user, item, relevant = (np.array(column) for column in zip(*rows, strict=True))
    transactions = Dataset(
        user=np.array([0, 1] + [2] * num_sold, dtype=np.int32),
        item=np.array([0, 0, *range(num_sold)], dtype=np.int32),
        timestamp=None,
        day=None,
        user_ids=np.array(["a", "b", "c", "unknown"], dtype=object),
        item_ids=np.array([str(i) for i in range(5)], dtype=object),
        report=DataReport("rows"),
        candidates=CandidateTable(user, item, relevant.astype(bool)),
    )
    fit = np.arange(len(transactions))
    return index_phase(transactions, "test", Phase(fit, fit[:0], candidates=True))


def judge(phase: PhaseData, ks: tuple[int, ...] = (1, 2, 3)) -> dict[str, float]:
    return evaluate(ScoreTable(SCORES), phase, views=("candidates",), ks=ks).metrics


def test_only_the_listed_items_are_ranked() -> None:
    # item 0 would lead, but is not in the list: 3 stands before 4
    found = judge(listed([(0, 4, True), (0, 3, False)]))
    assert found["candidates/hit_rate@1"] == 0
    assert found["candidates/mrr@2"] == 1 / 2
    assert found["candidates/users"] == 1


def test_what_was_bought_before_is_not_masked_in_a_list() -> None:
    found = judge(listed([(0, 0, True), (0, 4, False)]))
    assert found["candidates/hit_rate@1"] == 1


def test_lists_of_different_length_do_not_disturb_each_other() -> None:
    rows = [(0, 4, True), (0, 0, False), (0, 1, False), (1, 3, True)]
    phase = listed(rows)
    assert phase.candidates is not None
    assert phase.candidates.item.tolist() == [[0, 1, 4], [3, 5, 5]]  # 5 pads
    found = judge(phase)
    # user 0 finds it at rank 3, user 1 at rank 1
    assert found["candidates/mrr@3"] == pytest.approx((1 / 3 + 1) / 2)
    assert found["candidates/hit_rate@1"] == 1 / 2
    alone = judge(listed([row for row in rows if row[0] == 1]))
    assert alone["candidates/mrr@3"] == 1


def test_padding_stands_behind_items_of_the_lowest_score() -> None:
    class Refusing(ScoreTable):
        def forward(self, query: object, items: torch.Tensor) -> torch.Tensor:
            return torch.full(items.shape, -torch.inf)

    phase = listed([(0, 4, True), (1, 0, False), (1, 1, False), (1, 2, True)])
    found = evaluate(Refusing(SCORES), phase, views=("candidates",), ks=(1, 3)).metrics
    # user 0 has one item, which leads all the same; user 1 finds item 2 behind 0 and 1
    assert found["candidates/mrr@3"] == pytest.approx((1 + 1 / 3) / 2)


def test_equal_scores_go_to_the_lower_item_whatever_the_order_of_the_rows() -> None:
    rows = [(2, 3, False), (2, 1, True), (2, 0, False), (2, 2, False)]
    for order in (rows, rows[::-1]):
        assert judge(listed(order))["candidates/mrr@3"] == 1 / 2


def test_item_listed_twice_is_ranked_once_and_counted() -> None:
    phase = listed([(0, 3, False), (0, 3, False), (0, 4, False), (0, 4, True)])
    assert phase.counts["candidate_rows_repeated"] == 2
    # the list is 3, 4; one of the rows of item 4 says that it is relevant
    assert judge(phase)["candidates/mrr@3"] == 1 / 2
    assert judge(phase)["candidates/recall@2"] == 1


def test_list_without_a_relevant_item_leaves_the_mean() -> None:
    found = judge(listed([(0, 0, True), (1, 0, False), (1, 1, False)]))
    assert found["candidates/users"] == 1
    assert found["candidates/hit_rate@1"] == 1


def test_rows_of_unknown_users_are_counted_and_left_out() -> None:
    phase = listed([(0, 0, True), (3, 0, True), (3, 1, False)])
    assert phase.counts["candidate_rows_unknown"] == 2
    assert judge(phase)["candidates/users"] == 1


def test_lists_of_unknown_users_alone_leave_no_candidates() -> None:
    phase = listed([(3, 0, True), (3, 1, False)])
    assert phase.candidates is None
    assert phase.counts["candidate_rows_unknown"] == 2
    assert judge(phase) == {}


def test_item_that_only_a_list_has_can_be_ranked() -> None:
    phase = listed([(0, 3, True), (0, 0, False)], num_sold=2)
    # items 0 and 1 were sold, item 3 stands in a list, items 2 and 4 occur nowhere
    assert phase.vocabulary.item_ids.tolist() == ["0", "1", "3"]
    assert phase.interactions.buyers.tolist() == [3, 1, 0]
    assert judge(phase)["candidates/mrr@2"] == 1 / 2


def test_exposure_is_not_counted_for_lists() -> None:
    found = judge(listed([(0, 0, True)]))
    assert not [name for name in found if "coverage" in name or "gini" in name or "novelty" in name]


def test_lists_take_the_scores_that_the_catalogue_was_ranked_by() -> None:
    class Once(ScoreTable):
        def forward(self, query: object, items: torch.Tensor) -> torch.Tensor:
            raise AssertionError("every item had a score already")

    phase = listed([(0, 4, True), (0, 3, False), (1, 3, True), (1, 4, False), (1, 0, False)])
    phase = replace(phase, truth=phase_of([[0], [0], [0]], [[1], [1], []], num_items=5).truth)
    both = evaluate(Once(SCORES), phase, views=("all", "candidates"), ks=(1, 2)).metrics
    alone = judge(phase, ks=(1, 2))
    assert {name: both[name] for name in alone} == alone


def test_lists_are_judged_beside_the_catalogue_and_in_any_block() -> None:
    candidates = Candidates(
        torch.tensor([0, 2]),
        torch.tensor([[1, 3, 4], [0, 4, 5]]),
        torch.tensor([[False, True, False], [True, False, False]]),
    )
    phase = phase_of([[0], [1], [2]], [[1], [0], []], num_items=5, candidates=candidates)
    expected = evaluate(ScoreTable(SCORES), phase, ks=(1, 2))
    single = evaluate(ScoreTable(SCORES), phase, ks=(1, 2), block_mb=0)
    assert expected.metrics == pytest.approx(single.metrics)
    # user 0: 1, 3, 4; user 2: ties, 0 leads
    assert expected.metrics["candidates/hit_rate@1"] == 1 / 2
    assert expected.metrics["candidates/users"] == 2
    assert expected.metrics["all/users"] == 2
