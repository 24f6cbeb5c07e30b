"""Exposure of suppliers against what is bought of them."""

import math

import pytest
import torch

from recsys.metrics.ranking.exposure import Exposure
from recsys.metrics.ranking.exposure_gap import exposure_gap, group_shares
from recsys.metrics.ranking_accumulator import RankingMetrics
from recsys.metrics.registry import direction_of

# items 0 and 1 are of supplier 0, item 2 of supplier 1
GROUP, BUYERS = torch.tensor([0, 0, 1]), torch.tensor([5, 1, 4])


def exposure(discounted: list[float]) -> Exposure:
    lists = torch.tensor([1, 1, 1])
    return Exposure(lists, BUYERS, 10, 1.0, torch.tensor(discounted, dtype=torch.float64), GROUP)


def test_equal_shares_are_no_gap_and_disjoint_ones_a_whole():
    assert exposure_gap(exposure([1.0, 0.5, 1.0])) == pytest.approx(0)  # 0.6 and 0.4, as bought
    nothing_bought = exposure([0.0, 0.0, 2.0])._replace(buyers=torch.tensor([5, 1, 0]))
    assert exposure_gap(nothing_bought) == 1


def test_the_gap_by_hand():
    # exposure 0.2 and 0.8 against purchases 0.6 and 0.4: half of 0.4 + 0.4
    assert exposure_gap(exposure([0.25, 0.0, 1.0])) == pytest.approx(0.4)
    shares = group_shares(GROUP, BUYERS, torch.tensor([0.25, 0.0, 1.0]))
    assert shares.tolist() == [pytest.approx([0.6, 0.4]), pytest.approx([0.2, 0.8])]


def test_without_groups_it_is_undefined():
    assert math.isnan(exposure_gap(exposure([1.0, 1.0, 1.0])._replace(group=None)))
    assert direction_of("test/new/exposure_gap@10") == "min"


def added(metrics: RankingMetrics) -> dict[str, float]:
    """Lists of two places, the third of a user without truth, who does not count; 3 pads."""
    ranked = torch.tensor([[0, 2], [2, 3], [1, 0]])
    values = torch.tensor([1.0, 0.0, math.nan], dtype=torch.float64)
    metrics.update(dict.fromkeys(metrics.names, values), ranked)
    return metrics.compute()


def test_places_are_discounted_and_padding_counts_for_nobody():
    found = added(RankingMetrics((1, 2), BUYERS, 10, GROUP))
    second = 1 / math.log2(3)
    # first places: 0 and 2; second: 2 and padding
    assert found["exposure_gap@1"] == pytest.approx(abs(1 / 2 - 0.6))
    shown = [1.0, 1 + second]
    assert found["exposure_gap@2"] == pytest.approx(abs(shown[0] / sum(shown) - 0.6))


def test_other_metrics_do_not_change():
    plain = added(RankingMetrics((1, 2), BUYERS, 10))
    grouped = added(RankingMetrics((1, 2), BUYERS, 10, GROUP))
    assert not any("exposure_gap" in name for name in plain)
    assert {k: v for k, v in grouped.items() if "exposure_gap" not in k} == plain
