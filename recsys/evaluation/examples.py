"""A few customers to look at: what they bought, what is recommended, what they then bought."""

from collections.abc import Iterator
from typing import TypedDict

import torch
from torch import Tensor, nn

from recsys.data.interactions import PhaseData
from recsys.evaluation.ranking import RankingEvaluator, rank_top
from recsys.models.recommender import Recommender


class ItemExample(TypedDict, total=False):
    """An item of a list; `score` only where it was recommended."""

    item_id: str
    name: str
    score: float | None


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
    # the evaluator knows the query of a model, and where it was judged
    evaluator = RankingEvaluator(data, views=("all",), ks=(5,), device=next(_tensors(model)).device)
    scores = model.score_all(evaluator.query(model, users.to(evaluator.device))).float().cpu()
    seen = data.histories.distinct.mask(users, data.vocabulary.num_items)
    depth = min(5, data.vocabulary.num_items)
    lists = {
        "new": rank_top(scores.masked_fill(seen, -torch.inf), depth),
        "all": rank_top(scores, depth),
    }

    def item(index: Tensor | int) -> ItemExample:
        item_id = str(data.vocabulary.item_ids[int(index)])
        return {"item_id": item_id, "name": names.get(item_id, item_id)}

    def ranked(view: str, place: int) -> list[ItemExample]:
        values, items = lists[view]
        return [
            {**item(index), "score": float(score)}
            for score, index in zip(values[place], items[place], strict=True)
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


def _tensors(model: Recommender) -> Iterator[Tensor]:
    assert isinstance(model, nn.Module)
    yield from model.parameters()
    yield from model.buffers()
