"""Ranking metrics from hits.

Axes: B users, K length of the ranked list, I items.

Conventions of all: `hits[b, r]`, bool (B, K), says whether the item at rank r (0 is first) of user
b is in the truth; `num_truth[b]`, int64 (B,), is the size of the truth. A user without truth gets
NaN and is left out of every mean. A list shorter than k (a small catalogue) counts as padded with
misses. Ties are broken and seen items masked before, where the list is made.
"""

from torch import Tensor

from recsys.metrics.registry import metrics_of


def ranking_metrics(hits: Tensor, num_truth: Tensor, ks: tuple[int, ...]) -> dict[str, Tensor]:
    """Every metric at every k, each float64 (B,): keys are "ndcg@10" and so on."""
    return {
        f"{name}@{k}": metric.function(hits, num_truth, k)
        for name, metric in metrics_of("ranking").items()
        for k in ks
    }
