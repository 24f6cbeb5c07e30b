"""A few customers to look at: what they bought, what is recommended, what they then bought."""

from collections.abc import Iterator
from typing import TypedDict

import torch
from torch import Tensor, nn

from recsys.bundle.reasons import top_reasons
from recsys.data.interactions import PhaseData
from recsys.evaluation.ranking import RankingEvaluator, rank_top
from recsys.models.inputs import Declared
from recsys.models.recommender import ExplainsScores, Recommender, reasons_inputs

# Purchases that are named beside a recommendation, and the share from which one is.
_REASONS, _LEAST_SHARE = 2, 0.01


class ReasonExample(TypedDict):
    """A purchase that carries a recommendation; `share` of what all purchases add or take away."""

    item_id: str
    name: str
    share: float


class ItemExample(TypedDict, total=False):
    """An item of a list; `score` and `because` only where it was recommended."""

    item_id: str
    name: str
    score: float | None
    because: list["ReasonExample"]


class CustomerExample(TypedDict, total=False):
    """An entry of a recommender's examples.json: `history` latest first, a list for each view."""

    user_id: str
    purchases: int
    history: list[ItemExample]
    bought: list[str]
    new: list[ItemExample]
    all: list[ItemExample]


@torch.inference_mode()
def example_customers(
    model: Recommender, data: PhaseData, names: dict[str, str], count: int = 6
) -> list[CustomerExample]:
    """A few customers, from light to heavy, with what they bought, what is recommended and what
    they then bought.
    """
    bought = data.histories.history.lengths()
    evaluated = torch.nonzero(data.truth.lengths()).squeeze(1)
    by_purchases = evaluated[bought[evaluated].argsort(stable=True)]
    places = torch.linspace(0, len(by_purchases) - 1, min(count, len(by_purchases))).long()
    users = by_purchases[places].unique()
    if not len(users):  # those who are evaluated are cold
        return []
    # the evaluator knows the query of a model, and where it was judged
    evaluator = RankingEvaluator(data, views=("all",), ks=(5,), device=next(_tensors(model)).device)
    here = users.to(evaluator.device)
    scores = model.score_all(evaluator.query(model, here)).float().cpu()
    seen = data.histories.distinct.mask(users, data.vocabulary.num_items)
    depth = min(5, data.vocabulary.num_items)
    lists = {
        "new": rank_top(scores.masked_fill(seen, -torch.inf), depth),
        "all": rank_top(scores, depth),
    }
    reasons = {view: _reasons(model, evaluator, here, items) for view, (_, items) in lists.items()}

    def item(index: Tensor | int) -> ItemExample:
        item_id = str(data.vocabulary.item_ids[int(index)])
        return {"item_id": item_id, "name": names.get(item_id, item_id)}

    def reason(index: int, share: float) -> ReasonExample:
        found = item(index)
        return {"item_id": found["item_id"], "name": found["name"], "share": share}

    def ranked(view: str, place: int) -> list[ItemExample]:
        values, items = lists[view]
        listed = zip(values[place], items[place], reasons[view][place], strict=True)
        return [
            {
                **item(index),
                "score": float(score),
                "because": [reason(bought, share) for bought, share in carried],
            }
            for score, index, carried in listed
            if score > -torch.inf
        ]

    def row(place: int, user: Tensor) -> CustomerExample:
        _, history = data.histories.history.take(user.unsqueeze(0))
        _, truth = data.truth.take(user.unsqueeze(0))
        return {
            "user_id": str(data.vocabulary.user_ids[int(user)]),
            "purchases": len(history),
            "history": [item(index) for index in history.flip(0).tolist()[:8]],
            "bought": [str(data.vocabulary.item_ids[index]) for index in truth.tolist()],
            "new": ranked("new", place),
            "all": ranked("all", place),
        }

    return [row(place, user) for place, user in enumerate(users)]


def _reasons(
    model: Recommender, evaluator: RankingEvaluator, users: Tensor, items: Tensor
) -> list[list[list[tuple[int, float]]]]:
    """The purchases that carry each recommendation (B, K), as items and their shares; none of a
    model that does not tell.
    """
    if not isinstance(model, ExplainsScores):
        return [[[] for _ in row] for row in items]
    query = evaluator.query(Declared(reasons_inputs(model)), users)
    contributions = model.reasons(query, items.to(users.device)).purchases.float().cpu().numpy()
    history = query.history.cpu().numpy()
    found = top_reasons(history, contributions, _REASONS)
    return [
        [
            [
                (int(bought[place]), float(share))
                for place, share in zip(places, shares, strict=True)
                if place >= 0 and share >= _LEAST_SHARE
            ]
            for places, shares in zip(*of_user, strict=True)
        ]
        for bought, *of_user in zip(history, found.place, found.share, strict=True)
    ]


def _tensors(model: Recommender) -> Iterator[Tensor]:
    assert isinstance(model, nn.Module)
    yield from model.parameters()
    yield from model.buffers()
