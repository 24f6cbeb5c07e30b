"""Ranking metrics summed over blocks of users and over processes.

Axes: B users, K length of the ranked list, I items, M metrics.
"""

import math

import torch
from torch import Tensor, distributed, nn

from recsys.metrics.ranking import ranking_metrics
from recsys.metrics.ranking.exposure import Exposure
from recsys.metrics.ranking.exposure_gap import group_shares
from recsys.metrics.registry import metrics_of


class RankingMetrics(nn.Module):
    """Sums of ranking metrics over blocks of users; `compute` adds the processes up and divides.

    No `torchmetrics.Metric`, whose import takes as long as that of torch.

    Args:
        ks: cut-offs.
        buyers: distinct buyers of each item in the fitted part, int64 (I,), for coverage, Gini and
            novelty; None leaves them out.
        num_users: users of the fitted part.
        group: supplier, brand or category of each item, int64 (I,), for the exposure of these; None
            leaves it out.
    """

    sums: Tensor
    users: Tensor
    exposure: Tensor
    bought: Tensor
    discounted: Tensor
    buyers: Tensor | None
    group: Tensor | None

    def __init__(
        self,
        ks: tuple[int, ...],
        buyers: Tensor | None = None,
        num_users: int = 0,
        group: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.ks, self.num_users = ks, num_users
        self.register_buffer("buyers", buyers)
        self.register_buffer("group", None if buyers is None else group)
        num_items = 0 if buyers is None else len(buyers)
        self.names = list(
            ranking_metrics(
                torch.zeros(1, 1, dtype=torch.bool), torch.ones(1, dtype=torch.int64), ks
            )
        )
        self.register_buffer("sums", torch.zeros(len(self.names), dtype=torch.float64))
        self.register_buffer("users", torch.zeros((), dtype=torch.int64))
        # mean buyers of what each user bought before, and users who bought something
        self.register_buffer("bought", torch.zeros(2, dtype=torch.float64))
        self.register_buffer("exposure", torch.zeros(len(ks), num_items, dtype=torch.int64))
        grouped = 0 if self.group is None else num_items
        self.register_buffer("discounted", torch.zeros(len(ks), grouped, dtype=torch.float64))

    def update(
        self,
        per_user: dict[str, Tensor],
        ranked: Tensor | None = None,
        bought: Tensor | None = None,
    ) -> None:
        """Adds a block.

        Args:
            per_user: what `ranking_metrics` returned for it, (B,) each, NaN for users without
                truth.
            ranked: items of the lists (B, K) where exposure is counted; I pads.
            bought: mean buyers of what each user bought before, NaN for nothing (B,).
        """
        values = torch.stack([per_user[name] for name in self.names])  # (M, B)
        evaluated = ~values[0].isnan()
        self.sums += values.nan_to_num(0.0).sum(dim=1)
        self.users += evaluated.sum()
        if ranked is not None and self.buyers is not None:
            num_items = len(self.buyers)
            for row, k in enumerate(self.ks):
                shown = ranked[evaluated, :k].reshape(-1)
                self.exposure[row] += torch.bincount(shown, minlength=num_items + 1)[:num_items]
                if self.group is not None:
                    places = torch.arange(2, min(k, ranked.shape[1]) + 2, device=shown.device)
                    weight = places.double().log2().reciprocal().repeat(int(evaluated.sum()))
                    seen = torch.bincount(shown, weight, minlength=num_items + 1)[:num_items]
                    self.discounted[row] += seen
        if bought is not None:
            known = bought[evaluated & ~bought.isnan()]
            self.bought += torch.stack([known.sum(), known.new_tensor(len(known))])

    def compute(self) -> dict[str, float]:
        """Means over the users with truth, NaN where there was none; coverage, Gini and novelty of
        their lists.
        """
        sums, users, shown, bought = map(
            _over_processes, (self.sums, self.users, self.exposure, self.bought)
        )
        means = dict(zip(self.names, (sums / users).tolist(), strict=True))
        means["users"] = float(users)
        if self.buyers is None or not bool(shown.any()):
            return means
        discounted = _over_processes(self.discounted)
        for row, (k, exposure) in enumerate(zip(self.ks, shown, strict=True)):
            mean = float(bought[0] / bought[1])
            of_lists = Exposure(
                exposure,
                self.buyers,
                self.num_users,
                mean,
                None if self.group is None else discounted[row],
                self.group,
            )
            for name, metric in metrics_of("catalogue").items():
                value = metric.function(of_lists)
                if not math.isnan(value):
                    means[f"{name}@{k}"] = value
        return means

    def group_shares(self, k: int) -> Tensor | None:
        """See `group_shares` of lists of `k`, one of the cut-offs; None without groups."""
        if self.group is None or self.buyers is None:
            return None
        discounted = _over_processes(self.discounted)[self.ks.index(k)]
        return group_shares(self.group, self.buyers, discounted)


class ListMetrics(nn.Module):
    """Means of the metrics of lists, each over the users for whom it is defined.

    Args:
        ks: cut-offs.
    """

    sums: Tensor
    counts: Tensor

    def __init__(self, ks: tuple[int, ...]) -> None:
        super().__init__()
        self.names = [f"{name}@{k}" for name in metrics_of("lists") for k in ks]
        self.register_buffer("sums", torch.zeros(len(self.names), dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(len(self.names), dtype=torch.int64))

    def update(self, per_user: dict[str, Tensor], evaluated: Tensor) -> None:
        """Adds a block: what `list_metrics` returned, (B,) each, of the users who are evaluated."""
        values = torch.stack([per_user[name] for name in self.names])[:, evaluated]  # (M, B)
        self.sums += values.nan_to_num(0.0).sum(dim=1)
        self.counts += (~values.isnan()).sum(dim=1)

    def compute(self) -> dict[str, float]:
        """Means over all processes; what is defined for nobody is left out."""
        sums, counts = _over_processes(self.sums), _over_processes(self.counts)
        means = dict(zip(self.names, (sums / counts).tolist(), strict=True))
        return {name: value for name, value in means.items() if not math.isnan(value)}


def _over_processes(sums: Tensor) -> Tensor:
    if not (distributed.is_available() and distributed.is_initialized()):
        return sums
    total = sums.clone()
    distributed.all_reduce(total)
    return total
