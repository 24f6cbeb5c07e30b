"""What variety costs: NDCG and diversity of lists that rules of variety put together.

Axes: B users in a block, I items, P items of a pool, K length of a list, T terms of an item.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recsys.data.interactions import PhaseData
from recsys.data.item_columns import terms_of_items
from recsys.evaluation.ranking import RankingEvaluator, rank_top
from recsys.inference.reranking import (
    Dpp,
    Mmr,
    Objective,
    Relevance,
    TermSimilarity,
    choose_lists,
    relevance_in_pools,
)
from recsys.metrics.ranking.intra_list_diversity import intra_list_diversity
from recsys.metrics.ranking.lists import Lists
from recsys.metrics.ranking.ndcg import ndcg
from recsys.models.recommender import Recommender

METHODS = ("mmr", "dpp")
DIVERSITIES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
# as many users tell a curve, and as many items are a pool where nobody says otherwise
_USERS, _POOL, _BLOCK = 1_000, 100, 200


class TradeoffPoint(NamedTuple):
    """Lists of one setting: means over users with a truth.

    Attributes:
        method: mmr or dpp.
        setting: diversity, from 0 to 1.
        ndcg: of items that the user never bought.
        diversity: within a list.
    """

    method: str
    setting: float
    ndcg: float
    diversity: float


@torch.inference_mode()
def diversity_tradeoff(
    model: Recommender, data: PhaseData, *, k: int, device: torch.device | str
) -> list[TradeoffPoint]:
    """NDCG against diversity, of at most 1,000 users, the same ones for every model and seed.

    Lists are those that a bundle gives by `Rules(diversity=…)`: from the 100 best items that the
    user never bought. Empty where nobody has a truth among them, or nothing is known of items.

    Args:
        model: fitted, on the device.
        data: the phase.
        k: length of a list.
        device: of the model.
    """
    terms = None if data.columns is None else terms_of_items(data.columns)
    if terms is None:
        return []
    users = _some_users(data)
    if not len(users):  # those who are evaluated are cold
        return []
    table = terms.padded(torch.arange(len(terms)), int(terms.values.max()) + 1).numpy()
    evaluator = RankingEvaluator(data, views=("new",), ks=(k,), device=torch.device(device))
    found: dict[tuple[str, float], list[Tensor]] = {}
    for block in torch.split(users, _BLOCK):
        scores = model.score_all(evaluator.query(model, block.to(device))).float().cpu()
        seen = data.histories.distinct.mask(block, scores.shape[1])
        barred = seen if data.cold is None else seen | data.cold
        truth = data.truth.mask(block, scores.shape[1]) & ~barred
        pool = min(max(_POOL, k), scores.shape[1])
        values, items = rank_top(scores.masked_fill(barred, -torch.inf), pool)
        items = items.masked_fill(values == -torch.inf, scores.shape[1])
        for method in METHODS:
            for setting in DIVERSITIES:
                shown = _lists(values, items, table, k, method, setting)
                lists = _judged(shown, truth, terms.indptr, terms.values)
                of_users = torch.stack(
                    [ndcg(lists.hits, lists.num_truth, k), intra_list_diversity(lists, k)]
                )
                found.setdefault((method, setting), []).append(of_users)
    means = {key: torch.cat(parts, dim=1).nanmean(dim=1).tolist() for key, parts in found.items()}
    points = [TradeoffPoint(*key, *values) for key, values in means.items()]
    return [point for point in points if np.isfinite([point.ndcg, point.diversity]).all()]


def _some_users(data: PhaseData) -> Tensor:
    users = torch.nonzero(data.truth.lengths()).squeeze(1)
    drawn = torch.randperm(len(users), generator=torch.Generator().manual_seed(0))[:_USERS]
    return users[drawn].sort().values


def _lists(
    values: Tensor, items: Tensor, table: np.ndarray, k: int, method: str, setting: float
) -> Tensor:
    """Items of lists (B, K) from pools of items and their scores (B, P); I pads."""
    places = items.numpy()
    is_item = places < len(table) - 1
    relevance = relevance_in_pools(values.numpy(), is_item)
    objective: Objective = Relevance(relevance)
    if setting:
        similarity = TermSimilarity(table[places], int(table.max()))
        if method == "mmr":
            objective = Mmr(relevance, similarity, setting)
        else:
            objective = Dpp(relevance, similarity, setting, k, is_item)
    chosen = torch.from_numpy(choose_lists(objective, is_item, k))
    return items.gather(1, chosen.clamp(min=0)).masked_fill(chosen < 0, len(table) - 1)


def _judged(shown: Tensor, truth: Tensor, indptr: Tensor, term: Tensor) -> Lists:
    padded = torch.nn.functional.pad(truth, (0, 1))
    rank = torch.zeros(padded.shape[1], dtype=torch.int64)  # nobody asks for it
    return Lists(shown, padded.gather(1, shown), truth.sum(dim=1), rank, indptr, term)
