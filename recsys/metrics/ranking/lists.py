"""What the recommendation lists of some users show.

Axes: B users, K length of the list, I items, N terms of all items.
"""

from typing import NamedTuple

from torch import Tensor

from recsys.metrics.registry import metrics_of


class Lists(NamedTuple):
    """Lists, best first.

    Attributes:
        shown: items, I where a list is shorter, int64 (B, K).
        hits: which of them are in the truth, bool (B, K).
        num_truth: size of the truth, int64 (B,).
        popularity_rank: place of every item by its buyers, 0 is the most bought, int64 (I + 1,).
        indptr, term: item i has the terms `term[indptr[i]:indptr[i + 1]]`, the last row, of no
            item, none: int64 (I + 2,) and (N,); None where nothing is known of the items.
    """

    shown: Tensor
    hits: Tensor
    num_truth: Tensor
    popularity_rank: Tensor
    indptr: Tensor | None = None
    term: Tensor | None = None


def list_metrics(lists: Lists, ks: tuple[int, ...]) -> dict[str, Tensor]:
    """Every metric of lists at every k, each float64 (B,), NaN where it is undefined."""
    return {
        f"{name}@{k}": metric.function(lists, k)
        for name, metric in metrics_of("lists").items()
        for k in ks
    }
