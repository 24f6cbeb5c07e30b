"""Ranking metrics from hits.

Axes: B users, K length of the ranked list, I items.

Conventions, the same for all: `hits[b, r]` says whether the item at rank r (0 is first) of user b
is in the truth; `num_truth[b]` is the size of the truth; a user without truth gets NaN and leaves
every mean; a list shorter than k (a small catalogue) is as if padded with misses; how ties were
broken and whether seen items were masked was decided before, by who ranked.
"""

import torch
from torch import Tensor, distributed, nn

RANKING_METRICS = ("hit_rate", "recall", "precision", "ndcg", "map", "mrr")


def hit_rate(hits: Tensor, num_truth: Tensor, k: int) -> Tensor:
    """1 where at least one of the first k is a hit. bool (B, K), int (B,) -> float64 (B,).

    Source: Deshpande and Karypis, Item-Based Top-N Recommendation Algorithms, TOIS 2004.
    """
    return _undefined_without_truth(hits[:, :k].any(dim=1).double(), num_truth)


def recall(hits: Tensor, num_truth: Tensor, k: int) -> Tensor:
    """Hits among the first k / |truth|. bool (B, K), int (B,) -> float64 (B,).

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, section 8.3.
    """
    return _undefined_without_truth(
        hits[:, :k].sum(dim=1).double() / num_truth.clamp(min=1), num_truth
    )


def precision(hits: Tensor, num_truth: Tensor, k: int) -> Tensor:
    """Hits among the first k / k, also where the truth is smaller than k. bool (B, K), int (B,) ->
    float64 (B,).

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, section 8.3.
    """
    return _undefined_without_truth(hits[:, :k].sum(dim=1).double() / k, num_truth)


def ndcg(hits: Tensor, num_truth: Tensor, k: int) -> Tensor:
    """Discounted gain over the gain of the best list of length k: min(|truth|, k) hits in front.
    (B, K), (B,) -> float64 (B,).

    Source: Järvelin and Kekäläinen, Cumulated Gain-Based Evaluation of IR Techniques, TOIS 2002,
    with gain 1 and log2(rank + 1).
    """
    discount = _discount(k, hits.device)
    gain = (hits[:, :k].double() * discount[: hits.shape[1]]).sum(dim=1)
    best = discount.cumsum(0)[num_truth.clamp(min=1, max=k) - 1]
    return _undefined_without_truth(gain / best, num_truth)


def average_precision(hits: Tensor, num_truth: Tensor, k: int) -> Tensor:
    """Mean over min(|truth|, k) of the precision at the rank of each hit. bool (B, K), int (B,) ->
    float64 (B,).

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, section 8.4, cut
    at k.
    """
    first = hits[:, :k].double()
    rank = torch.arange(1, first.shape[1] + 1, device=hits.device, dtype=torch.float64)
    total = (first * first.cumsum(dim=1) / rank).sum(dim=1)
    return _undefined_without_truth(total / num_truth.clamp(min=1, max=k), num_truth)


def reciprocal_rank(hits: Tensor, num_truth: Tensor, k: int) -> Tensor:
    """1 / rank of the first hit among the first k, 0 without one. bool (B, K), int (B,) -> float64
    (B,).

    Source: Voorhees, The TREC-8 Question Answering Track Report, 1999.
    """
    first = hits[:, :k].double()
    before = first.cumsum(dim=1) - first
    rank = torch.arange(1, first.shape[1] + 1, device=hits.device, dtype=torch.float64)
    return _undefined_without_truth((first * (before == 0) / rank).sum(dim=1), num_truth)


def ranking_metrics(hits: Tensor, num_truth: Tensor, ks: tuple[int, ...]) -> dict[str, Tensor]:
    """Every metric at every k, each float64 (B,): keys are "ndcg@10" and so on."""
    functions = dict(
        zip(
            RANKING_METRICS,
            (hit_rate, recall, precision, ndcg, average_precision, reciprocal_rank),
            strict=True,
        )
    )
    return {
        f"{name}@{k}": function(hits, num_truth, k)
        for name, function in functions.items()
        for k in ks
    }


def head_items(buyers: Tensor) -> Tensor:
    """True for the most bought items, which together make up 80 % of all customer-item pairs; the
    others are the tail. int64 (I,) -> bool (I,); equally bought items: the lower index first.

    Source: Abdollahpouri, Burke and Mobasher, Controlling Popularity Bias in Learning-to-Rank
    Recommendation, RecSys 2017.
    """
    bought, item = buyers.sort(descending=True, stable=True)
    before = bought.cumsum(0) - bought
    head = torch.zeros_like(buyers, dtype=torch.bool)
    head[item] = 10 * before < 8 * buyers.sum()
    return head


def catalogue_coverage(exposure: Tensor) -> float:
    """Share of the catalogue that is recommended to anyone: exposure is the number of lists each
    item stands in, (I,).

    Source: Ge, Delgado-Battenfeld and Jannach, Beyond Accuracy, RecSys 2010.
    """
    return float((exposure > 0).double().mean())


def gini(exposure: Tensor) -> float:
    """Gini index of exposure (I,): 0 where all items are shown equally often, towards 1 where one
    has it all; NaN if none is.

    Source: Fleder and Hosanagar, Blockbuster Culture's Next Rise or Fall, Management Science 2009.
    """
    shown = exposure.double().sort().values
    size = len(shown)
    weight = 2 * torch.arange(1, size + 1, device=shown.device, dtype=torch.float64) - size - 1
    return float((weight * shown).sum() / (size * shown.sum()))


def novelty(exposure: Tensor, buyers: Tensor, num_users: int) -> float:
    """Mean surprise of a recommendation in bits, -log2(buyers / users); an item nobody bought
    counts as bought by one. (I,), (I,).

    Source: Zhou et al., Solving the Apparent Diversity-Accuracy Dilemma of Recommender Systems,
    PNAS 2010.
    """
    bits = -(buyers.double().clamp(min=1) / num_users).log2()
    return float((bits * exposure).sum() / exposure.sum())


def _discount(k: int, device: torch.device) -> Tensor:
    return 1.0 / torch.arange(2, k + 2, device=device, dtype=torch.float64).log2()


def _undefined_without_truth(value: Tensor, num_truth: Tensor) -> Tensor:
    return torch.where(num_truth > 0, value, torch.nan)


class RankingMetrics(nn.Module):
    """Sums of the metrics above over blocks of users; `compute` adds the processes up and divides.

    No `torchmetrics.Metric`, whose import takes as long as that of torch.

    Args:
        ks: cut-offs.
        buyers: distinct buyers of each item in the fitted part, int64 (I,), for coverage, Gini and
            novelty; None leaves them out.
        num_users: users of the fitted part.
    """

    sums: Tensor
    users: Tensor
    exposure: Tensor
    buyers: Tensor | None

    def __init__(
        self, ks: tuple[int, ...], buyers: Tensor | None = None, num_users: int = 0
    ) -> None:
        super().__init__()
        self.ks, self.num_users = ks, num_users
        self.register_buffer("buyers", buyers)
        num_items = 0 if buyers is None else len(buyers)
        self.names = list(
            ranking_metrics(
                torch.zeros(1, 1, dtype=torch.bool), torch.ones(1, dtype=torch.int64), ks
            )
        )
        self.register_buffer("sums", torch.zeros(len(self.names), dtype=torch.float64))
        self.register_buffer("users", torch.zeros((), dtype=torch.int64))
        self.register_buffer("exposure", torch.zeros(len(ks), num_items, dtype=torch.int64))

    def update(self, per_user: dict[str, Tensor], ranked: Tensor | None = None) -> None:
        """Adds a block.

        Args:
            per_user: what `ranking_metrics` returned for it, (B,) each, NaN for users without
                truth.
            ranked: items of the lists (B, K) where exposure is counted; I pads.
        """
        values = torch.stack([per_user[name] for name in self.names])  # (M, B)
        asked = ~values[0].isnan()
        self.sums += values.nan_to_num(0.0).sum(dim=1)
        self.users += asked.sum()
        if ranked is not None and self.buyers is not None:
            num_items = len(self.buyers)
            for row, k in enumerate(self.ks):
                shown = ranked[asked, :k].reshape(-1)
                self.exposure[row] += torch.bincount(shown, minlength=num_items + 1)[:num_items]

    def compute(self) -> dict[str, float]:
        """Means over the users with truth, NaN where there was none; coverage, Gini and novelty of
        their lists.
        """
        sums, users, shown = map(_over_processes, (self.sums, self.users, self.exposure))
        means = dict(zip(self.names, (sums / users).tolist(), strict=True))
        means["users"] = float(users)
        if self.buyers is None or not bool(shown.any()):
            return means
        for k, exposure in zip(self.ks, shown, strict=True):
            means[f"coverage@{k}"] = catalogue_coverage(exposure)
            means[f"gini@{k}"] = gini(exposure)
            means[f"novelty@{k}"] = novelty(exposure, self.buyers, self.num_users)
        return means


def _over_processes(sums: Tensor) -> Tensor:
    if not (distributed.is_available() and distributed.is_initialized()):
        return sums
    total = sums.clone()
    distributed.all_reduce(total)
    return total
