"""Metrics by name: found by themselves, with the better end that selection needs."""

import pytest
import torch

from recsys.errors import ConfigError
from recsys.metrics import registry
from recsys.metrics.ranking import ranking_metrics
from recsys.metrics.registry import (
    Metric,
    direction_of,
    metric,
    metrics_of,
    register,
    require_direction,
)


@pytest.mark.parametrize(
    ("key", "direction"),
    [
        ("val/new/ndcg@10", "max"),
        ("test/all/map@5", "max"),
        ("val/wape", "min"),
        ("val/weighted_rmsse", "min"),
        ("val/bias", None),
        ("val/coverage_80", None),
        ("val/coverage_2.5", None),
        ("val/new/coverage@10", None),
        ("val/new/gini@10", None),
    ],
)
def test_a_key_tells_which_end_is_better(key, direction):
    assert direction_of(key) == direction


@pytest.mark.parametrize("key", ["val/nothing", "val/ndcg", "val/wape@10", "val/coverage_x"])
def test_an_unknown_metric_is_refused_with_those_there_are(key):
    with pytest.raises(ConfigError, match=f"{key} is no metric; there are bias, coverage"):
        direction_of(key)


def test_selecting_by_a_metric_without_a_better_end_is_refused():
    assert require_direction("train.monitor", "val/wape") == "min"
    with pytest.raises(ConfigError, match=r"train\.monitor=val/bias: neither a higher nor a lower"):
        require_direction("train.monitor", "val/bias")


def test_a_metric_of_the_users_own_is_computed_with_the_others(monkeypatch):
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))
    assert "first_hit" not in metrics_of("ranking")

    @metric(
        "first_hit",
        family="ranking",
        title="First hit",
        direction="max",
        meaning="Share of customers whose first recommendation was bought.",
    )
    def first_hit(hits, num_truth, k):
        return hits[:, 0].double()

    assert (
        ranking_metrics(torch.tensor([[False, True]]), torch.tensor([1]), (5,))[
            "first_hit@5"
        ].item()
        == 0
    )
    assert direction_of("val/new/first_hit@10") == "max"
    with pytest.raises(ConfigError, match="'ndcg' of .* is already defined in recsys"):
        register(Metric("ndcg", "ranking", first_hit, "NDCG", "max", ""))


def test_every_metric_says_what_it_is():
    families = {
        "ranking",
        "lists",
        "catalogue",
        "forecast",
        "series",
        "scaled",
        "weighted",
        "interval",
    }
    for name, each in (item for family in families for item in metrics_of(family).items()):
        assert each.title, name
        assert each.meaning.endswith("."), name
        assert each.function.__doc__, name
