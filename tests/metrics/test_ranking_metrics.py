"""Metrics by arithmetic, by properties and against torchmetrics."""

from collections.abc import Callable
from math import isnan, log2

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics.retrieval import (
    RetrievalHitRate,
    RetrievalMAP,
    RetrievalMRR,
    RetrievalNormalizedDCG,
    RetrievalPrecision,
    RetrievalRecall,
)

from recsys.metrics.ranking import ranking_metrics
from recsys.metrics.ranking.average_precision import average_precision
from recsys.metrics.ranking.catalogue_coverage import catalogue_coverage
from recsys.metrics.ranking.exposure import Exposure
from recsys.metrics.ranking.gini import gini
from recsys.metrics.ranking.hit_rate import hit_rate
from recsys.metrics.ranking.ndcg import ndcg
from recsys.metrics.ranking.novelty import novelty
from recsys.metrics.ranking.precision import precision
from recsys.metrics.ranking.recall import recall
from recsys.metrics.ranking.reciprocal_rank import reciprocal_rank
from recsys.metrics.ranking_accumulator import RankingMetrics
from recsys.metrics.registry import metrics_of

FUNCTIONS = [hit_rate, recall, precision, ndcg, average_precision, reciprocal_rank]
MONOTONE = [hit_rate, recall, reciprocal_rank]
Metric = Callable[[Tensor, Tensor, int], Tensor]

# two of three wanted items stand at ranks 2 and 4
HITS = torch.tensor([[0, 1, 0, 1, 0]], dtype=torch.bool)
THREE = torch.tensor([3])


@st.composite
def ranked_users(draw: st.DrawFn, depth: int = 8) -> tuple[Tensor, Tensor]:
    """Hits (B, K) and a truth at least as large as the hits of each user, (B,)."""
    num_users = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    hits = torch.from_numpy(rng.random((num_users, depth)) < rng.random())
    return hits, hits.sum(dim=1) + torch.from_numpy(rng.integers(0, 4, num_users))


@pytest.mark.parametrize(
    ("metric", "k", "expected"),
    [
        (hit_rate, 1, 0.0),
        (hit_rate, 2, 1.0),
        (recall, 2, 1 / 3),
        (recall, 5, 2 / 3),
        (precision, 2, 1 / 2),
        (precision, 5, 2 / 5),
        (ndcg, 1, 0.0),
        # the best list of two has hits at both ranks
        (ndcg, 2, (1 / log2(3)) / (1 / log2(2) + 1 / log2(3))),
        # the best list of five has three hits in front
        (ndcg, 5, (1 / log2(3) + 1 / log2(5)) / (1 / log2(2) + 1 / log2(3) + 1 / log2(4))),
        (average_precision, 2, (1 / 2) / 2),
        (average_precision, 5, (1 / 2 + 2 / 4) / 3),
        (reciprocal_rank, 1, 0.0),
        (reciprocal_rank, 5, 1 / 2),
    ],
)
def test_metric_equals_its_arithmetic(metric: Metric, k: int, expected: float) -> None:
    assert metric(HITS, THREE, k).tolist() == pytest.approx([expected])


@pytest.mark.parametrize("metric", FUNCTIONS)
def test_user_without_positive_is_nan(metric: Metric) -> None:
    values = metric(HITS.repeat(2, 1), torch.tensor([3, 0]), 5)
    assert not isnan(values[0])
    assert isnan(values[1])


@pytest.mark.parametrize("metric", FUNCTIONS)
def test_list_shorter_than_k_counts_as_padded_with_misses(metric: Metric) -> None:
    padded = torch.cat([HITS, torch.zeros(1, 15, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(metric(HITS, THREE, 20), metric(padded, THREE, 20), rtol=0, atol=0)


@pytest.mark.parametrize("metric", [ndcg, average_precision])
def test_gain_is_normalised_by_what_a_list_of_k_can_hold(metric: Metric) -> None:
    # 100 wanted items, a list of 4 full of them cannot be better
    assert metric(
        torch.ones(1, 4, dtype=torch.bool), torch.tensor([100]), 4
    ).item() == pytest.approx(1)


def test_precision_divides_by_k_also_where_the_truth_is_smaller() -> None:
    assert precision(torch.tensor([[True, False]]), torch.tensor([1]), 2).item() == 0.5


@settings(max_examples=60, deadline=None)
@given(ranked_users(), st.integers(1, 12))
def test_metrics_lie_between_zero_and_one(ranked: tuple[Tensor, Tensor], k: int) -> None:
    hits, num_truth = ranked
    for name, values in ranking_metrics(hits, num_truth, (k,)).items():
        assert torch.equal(values.isnan(), num_truth == 0), name
        known = values[num_truth > 0]
        assert bool(((known >= 0) & (known <= 1 + 1e-12)).all()), name


@settings(max_examples=60, deadline=None)
@given(ranked_users(), st.integers(1, 8))
def test_a_longer_list_never_finds_less(ranked: tuple[Tensor, Tensor], k: int) -> None:
    hits, num_truth = ranked
    asked = num_truth > 0
    for metric in MONOTONE:
        shorter, longer = metric(hits, num_truth, k)[asked], metric(hits, num_truth, k + 1)[asked]
        assert bool((longer >= shorter).all()), metric.__name__


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12))
def test_perfect_list_has_ndcg_and_map_of_one(num_truth: int, k: int) -> None:
    hits = torch.arange(12)[None, :] < num_truth
    truth = torch.tensor([num_truth])
    assert ndcg(hits, truth, k).item() == pytest.approx(1)
    assert average_precision(hits, truth, k).item() == pytest.approx(1)
    assert reciprocal_rank(hits, truth, k).item() == 1


@settings(max_examples=40, deadline=None)
@given(ranked_users())
def test_moving_a_hit_forward_never_lowers_ndcg(ranked: tuple[Tensor, Tensor]) -> None:
    hits, num_truth = ranked
    forward = hits.clone()
    swap = hits[:, 1] & ~hits[:, 0]
    forward[swap, 0], forward[swap, 1] = True, False
    asked = num_truth > 0
    assert bool((ndcg(forward, num_truth, 8) >= ndcg(hits, num_truth, 8))[asked].all())


@settings(max_examples=40, deadline=None)
@given(ranked_users(), st.integers(0, 1000))
def test_order_of_the_users_does_not_matter(ranked: tuple[Tensor, Tensor], seed: int) -> None:
    hits, num_truth = ranked
    order = torch.randperm(len(hits), generator=torch.Generator().manual_seed(seed))
    shuffled = ranking_metrics(hits[order], num_truth[order], (3,))
    for name, values in ranking_metrics(hits, num_truth, (3,)).items():
        torch.testing.assert_close(shuffled[name], values[order], rtol=0, atol=0, equal_nan=True)


def _rank_in_torchmetrics(metric: type, hits: Tensor, num_truth: Tensor, k: int) -> float:
    """Asks torchmetrics about the same lists: wanted items that are not in the list stand behind
    it.
    """
    behind = int((num_truth - hits.sum(dim=1)).max())
    missed = torch.arange(behind) < (num_truth - hits.sum(dim=1))[:, None]
    target = torch.cat([hits, missed], dim=1)  # (B, K + behind)
    scores = torch.arange(target.shape[1], 0, -1).float().expand(target.shape)
    index = torch.arange(len(hits))[:, None].expand(target.shape)
    judge = metric(top_k=k, empty_target_action="skip")
    return float(judge(scores.reshape(-1), target.reshape(-1), indexes=index.reshape(-1)))


@settings(max_examples=25, deadline=None)
@given(ranked_users(), st.integers(1, 8))
def test_agrees_with_torchmetrics(ranked: tuple[Tensor, Tensor], k: int) -> None:
    hits, num_truth = ranked
    if not bool(num_truth.any()):
        return
    others = {
        hit_rate: RetrievalHitRate,
        recall: RetrievalRecall,
        precision: RetrievalPrecision,
        ndcg: RetrievalNormalizedDCG,
        reciprocal_rank: RetrievalMRR,
    }
    for ours, other in others.items():
        expected = _rank_in_torchmetrics(other, hits, num_truth, k)
        # theirs is float32
        assert float(ours(hits, num_truth, k).nanmean()) == pytest.approx(expected, abs=1e-6), (
            ours.__name__
        )


def test_average_precision_differs_from_torchmetrics_in_the_divisor() -> None:
    # theirs divides by the hits that were found, so leaving wanted items out costs nothing
    theirs = _rank_in_torchmetrics(RetrievalMAP, HITS, THREE, 5)
    assert theirs == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert average_precision(HITS, THREE, 5).item() == pytest.approx(theirs * 2 / 3)


def test_every_metric_at_every_k_has_its_key() -> None:
    values = ranking_metrics(HITS, THREE, (1, 5))
    assert set(values) == {f"{name}@{k}" for name in metrics_of("ranking") for k in (1, 5)}
    assert values["map@5"].item() == pytest.approx(1 / 3)
    assert values["mrr@5"].item() == pytest.approx(1 / 2)


@settings(max_examples=25, deadline=None)
@given(ranked_users(), st.integers(0, 6))
def test_accumulating_over_blocks_equals_all_at_once(
    ranked: tuple[Tensor, Tensor], cut: int
) -> None:
    hits, num_truth = ranked
    rng = np.random.default_rng(cut)
    lists = torch.from_numpy(np.stack([rng.permutation(9)[:8] for _ in range(len(hits))]))
    buyers = torch.tensor([5, 4, 3, 2, 1, 1, 1, 0, 0])

    def accumulate(blocks: list[slice]) -> dict[str, float]:
        metrics = RankingMetrics((2, 5), buyers, num_users=6)
        for block in blocks:
            if len(hits[block]):
                found = ranking_metrics(hits[block], num_truth[block], (2, 5))
                metrics.update(found, lists[block])
        return metrics.compute()

    whole, parts = accumulate([slice(None)]), accumulate([slice(0, cut), slice(cut, None)])
    assert set(whole) == set(parts)
    for name, value in whole.items():
        assert parts[name] == pytest.approx(value, abs=1e-12, nan_ok=True), name


def test_users_without_truth_leave_the_mean_and_the_exposure() -> None:
    metrics = RankingMetrics((2,), torch.tensor([4, 4, 1]), num_users=4)
    hits = torch.tensor([[True, False], [False, False]])
    per_user = ranking_metrics(hits, torch.tensor([1, 0]), (2,))
    metrics.update(per_user, torch.tensor([[0, 1], [2, 2]]))
    found = metrics.compute()
    assert found["users"] == 1
    assert found["ndcg@2"] == 1
    # item 2 was only shown to the user without truth
    assert found["coverage@2"] == pytest.approx(2 / 3)
    assert found["novelty@2"] == 0


def test_padding_is_no_exposure() -> None:
    metrics = RankingMetrics((3,), torch.tensor([1, 1]), num_users=2)
    per_user = ranking_metrics(torch.tensor([[True, False, False]]), torch.tensor([1]), (3,))
    metrics.update(per_user, torch.tensor([[1, 2, 2]]))  # 2 is one beyond the catalogue
    assert metrics.compute()["coverage@3"] == 0.5


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_no_user_with_truth_gives_nan_and_no_exposure() -> None:
    metrics = RankingMetrics((3,), torch.tensor([1, 1]), num_users=2)
    found = metrics.compute()
    assert isnan(found["ndcg@3"])
    assert found["users"] == 0
    assert "gini@3" not in found


def shown(lists: list[int]) -> Exposure:
    return Exposure(torch.tensor(lists), torch.ones(len(lists), dtype=torch.int64), 1)


def test_coverage_is_the_share_of_items_that_are_shown() -> None:
    assert catalogue_coverage(shown([3, 0, 1, 0])) == 0.5


@pytest.mark.parametrize(
    ("exposure", "expected"),
    [
        ([7, 7, 7], 0.0),
        ([0, 0, 0, 5], 3 / 4),  # one of n has everything: 1 - 1/n
        ([3, 1], 1 / 4),  # (2·1 - 3)·1 + (2·2 - 3)·3 = 2, over 2 items · 4 lists
        ([1, 3], 1 / 4),
    ],
)
def test_gini_by_hand(exposure: list[int], expected: float) -> None:
    assert gini(shown(exposure)) == pytest.approx(expected)


def test_gini_without_any_list_is_nan() -> None:
    assert isnan(gini(shown([0, 0])))


def test_novelty_by_hand() -> None:
    # bought by all 8: 0 bits; by 1 of 8: 3 bits; by nobody: as by one
    assert novelty(Exposure(torch.tensor([2, 1, 1]), torch.tensor([8, 1, 0]), 8)) == pytest.approx(
        (2 * 0 + 3 + 3) / 4
    )
