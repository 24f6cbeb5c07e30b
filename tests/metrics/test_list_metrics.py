"""Metrics of what lists show: diversity, serendipity and popularity lift, by arithmetic."""

from math import isnan, sqrt

import numpy as np
import pytest
import torch

from recsys.metrics.ranking import ranking_metrics
from recsys.metrics.ranking.exposure import Exposure
from recsys.metrics.ranking.intra_list_diversity import intra_list_diversity
from recsys.metrics.ranking.lists import Lists, list_metrics
from recsys.metrics.ranking.popularity_lift import popularity_lift
from recsys.metrics.ranking.serendipity import serendipity
from recsys.metrics.ranking_accumulator import ListMetrics, RankingMetrics
from recsys.metrics.registry import direction_of

# terms {0, 1}, {1, 2, 3}, {}, {0, 1}; item 4 is none
INDPTR = torch.tensor([0, 2, 5, 5, 7, 7])
TERM = torch.tensor([0, 1, 1, 2, 3, 0, 1])
RANK = torch.tensor([1, 0, 3, 2, 4])


def lists(shown, hits=None, num_truth=None, terms=True) -> Lists:
    shown = torch.tensor(shown)
    hits = torch.zeros(shown.shape, dtype=torch.bool) if hits is None else torch.tensor(hits)
    num_truth = torch.ones(len(shown)) if num_truth is None else torch.tensor(num_truth)
    return Lists(shown, hits, num_truth, RANK, *((INDPTR, TERM) if terms else (None, None)))


def test_diversity_is_the_mean_of_one_less_the_cosine_over_pairs() -> None:
    found = intra_list_diversity(lists([[0, 3, 1], [0, 1, 2], [0, 4, 4]]), 3)
    one = 1 / sqrt(6)  # of two and three terms, one is shared
    assert found[0].item() == pytest.approx(1 - (1 + one + one) / 3)
    assert found[1].item() == pytest.approx(1 - one / 3)  # an item without terms is like no other
    assert isnan(found[2])  # a single item
    assert intra_list_diversity(lists([[0, 3, 1]]), 2).tolist() == pytest.approx([0])


def test_diversity_agrees_with_all_pairs() -> None:
    rng = np.random.default_rng(0)
    has = rng.random((30, 12)) < 0.3
    shown = np.stack([rng.permutation(30)[:8] for _ in range(5)])
    indptr = torch.tensor([0, *np.cumsum(has.sum(1)), has.sum()])
    given = Lists(
        torch.tensor(shown),
        torch.zeros(5, 8, dtype=torch.bool),
        torch.ones(5),
        torch.arange(31),
        indptr,
        torch.tensor(np.nonzero(has)[1]),
    )
    unit = has / np.maximum(np.sqrt(has.sum(1, keepdims=True)), 1e-9)
    for row, found in zip(shown, intra_list_diversity(given, 6).tolist(), strict=True):
        cosine = unit[row[:6]] @ unit[row[:6]].T
        assert found == pytest.approx(1 - cosine[np.triu_indices(6, 1)].mean())


def test_serendipity_counts_hits_that_best_sellers_would_not_show() -> None:
    # the two most bought items are 1 and 0
    hits = [[True, True, False], [False, True, True], [True, False, False]]
    found = serendipity(lists([[0, 2, 3], [1, 3, 2], [2, 0, 4]], hits, [2, 2, 0]), 2)
    assert found[:2].tolist() == [0.5, 0.5]
    assert isnan(found[2])


def test_popularity_lift_compares_lists_with_what_was_bought() -> None:
    # shown: twice an item with 6 buyers, once one with 3: 5 on average; bought before: 4
    exposure = Exposure(torch.tensor([2, 1, 0]), torch.tensor([6, 3, 1]), 6, 4.0)
    assert popularity_lift(exposure) == pytest.approx(0.25)
    assert isnan(popularity_lift(exposure._replace(bought=float("nan"))))


def test_popularity_lift_is_over_the_users_who_are_evaluated() -> None:
    metrics = RankingMetrics((1,), torch.tensor([6, 3, 1]), num_users=6)
    per_user = ranking_metrics(torch.zeros(3, 1, dtype=torch.bool), torch.tensor([1, 1, 0]), (1,))
    bought = torch.tensor([2.0, float("nan"), 100.0], dtype=torch.float64)
    metrics.update(per_user, torch.tensor([[0], [0], [1]]), bought)
    assert metrics.compute()["popularity_lift@1"] == pytest.approx(6 / 2 - 1)
    without = RankingMetrics((1,), torch.tensor([6, 3, 1]), num_users=6)
    without.update(per_user, torch.tensor([[0], [0], [1]]))
    assert "popularity_lift@1" not in without.compute()


def test_means_leave_out_whom_a_metric_says_nothing_of() -> None:
    means = ListMetrics((2,))
    for shown, evaluated in (([[0, 3], [0, 4]], [True, True]), ([[0, 1], [0, 3]], [True, False])):
        means.update(list_metrics(lists(shown), (2,)), torch.tensor(evaluated))
    assert means.compute()["diversity@2"] == pytest.approx((0 + 1 - 1 / sqrt(6)) / 2)
    nothing = ListMetrics((2,))
    nothing.update(list_metrics(lists([[0, 3]], terms=False), (2,)), torch.tensor([True]))
    assert list(nothing.compute()) == ["serendipity@2"]


def test_keys_tell_which_end_is_better() -> None:
    assert direction_of("test/new/serendipity@10") == "max"
    assert direction_of("test/new/diversity@10") is None
    assert direction_of("test/new/popularity_lift@10") is None
