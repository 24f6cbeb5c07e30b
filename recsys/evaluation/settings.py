"""How a model is evaluated: the split, what is measured, and what decides which epoch is best."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from recsys.data.interactions import UnknownItems
from recsys.ranges import Count, Counts, OpenShare, Whole

View = Literal["new", "all", "candidates", "cold_items", "cold_users"]


@dataclass(frozen=True)
class RankingEvaluation:
    """Of a recommender.

    Attributes:
        split: purchases to phases; one of `recsys.data.splits`.
        min_buyers: items with fewer buyers in the fitted part are left out.
        k_core: above 1: users and items with fewer partners are left out, repeatedly.
        views: "new" (items the user never bought, seen ones masked), "all" (nothing masked),
            "candidates" (published lists), "cold_items" (items that the fitted part does not have,
            among themselves, by models that read attributes of items), "cold_users" (users whom the
            fitted part does not have, as a bundle would serve them: by their attributes and context
            where the model reads such, else with what is popular).
        ks: lengths of the ranked lists.
        monitor: metric that decides which epoch is best.
        baselines: closed-form models to show beside.
        block_mb: memory for one block of scores, in 2^20 bytes.
        max_users: evaluate at most this many, drawn at random, the same ones for every seed; None:
            all.
        unknown_items: what was bought of items that are not in the catalogue (the fitted part does
            not have them, or `min_buyers` left them out): "leave_out" of the truth, or "miss":
            truth of "new", "all" and "cold_users" that no model can hit, as published protocols
            count it.
        exposure_column: category of the items' table, such as a supplier or a brand, whose exposure
            is measured against what is bought of it; None: none.
        segment_column: category or number of the users' table, by which the test is also told
            apart; None: none.
    """

    split: Any
    min_buyers: Whole = 10
    k_core: Whole = 0
    views: Sequence[View] = ("new", "all")
    ks: Counts = (5, 10, 20)
    monitor: str = "val/new/ndcg@10"
    baselines: Sequence[str] = ()
    block_mb: Count = 256
    max_users: Count | None = None
    unknown_items: UnknownItems = "leave_out"
    exposure_column: str | None = None
    segment_column: str | None = None


@dataclass(frozen=True)
class BacktestEvaluation:
    """Of a forecaster.

    Attributes:
        split: a panel to phases with forecast origins; one of `recsys.data.splits`.
        quantiles: levels that are forecast, ascending, 0.5 among them.
        monitor: metric that decides which epoch is best.
        baselines: statistical methods to show beside.
    """

    split: Any
    quantiles: Sequence[OpenShare] = (0.1, 0.25, 0.5, 0.75, 0.9)
    monitor: str = "val/wape"
    baselines: Sequence[str] = ()
