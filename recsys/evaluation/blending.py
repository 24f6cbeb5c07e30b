"""Weights of a blend, chosen by a metric of users from the scores of its parts, which are computed
once.

Axes: B users in a block, R users, C candidates of a user, P parts, I items, F features.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from recsys.errors import ConfigError
from recsys.evaluation.ranking import RankingEvaluator, rank_top
from recsys.metrics.registry import metrics_of
from recsys.models.recommenders.blend import SCALES, Blend, Scale, scaled

# the best of each part that a blend chooses from; a list of 10 or 20 hardly reaches further down
_BEST_OF_A_PART = 300
# more make the choice no surer
_MOST_USERS = 4_000
# of the first of two parts; of equal ones the most even wins
_SHARES = (0.5, 0.6, 0.4, 0.7, 0.3, 0.8, 0.2, 0.9, 0.1)
# of users, of which one after the other is held out; fewer than these in each are too few
_FOLDS, _FEW_USERS = 4, 25
# of moving weight from one part to another, from coarse to fine
_STEPS = (0.1, 0.05, 0.02)
# of the metric: less is no improvement
_LEAST_GAIN = 1e-6
# of the squared weights, beside the loss of a user
_DECAY = 1e-3
_NEWTON_STEPS = 60

Metric = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class PartScores:
    """What the parts say of the items that matter.

    Attributes:
        scores: standardised scores, (R, C, P); candidates of a user ascend by item.
        largest: of each user and part over all items, (R, P).
        popularity: standardised, (R, C).
        is_candidate: False in the padding, (R, C).
        hits: whether the candidate is in the truth, (R, C).
        num_truth: (R,).
        length: logarithm of the number of purchases, (R,).
    """

    scores: Tensor
    largest: Tensor
    popularity: Tensor
    is_candidate: Tensor
    hits: Tensor
    num_truth: Tensor
    length: Tensor

    def scaled(self, scale: Scale) -> Tensor:
        """The scores as the blend adds them, (R, C, P)."""
        if scale != "max":
            return scaled(self.scores, scale)
        return self.scores / self.largest.clamp(min=1e-6).unsqueeze(1)

    def value(self, scores: Tensor, metric: Metric, k: int) -> float:
        """Mean over users of a metric of these scores (R, C)."""
        scores = scores.masked_fill(~self.is_candidate, -torch.inf)
        _, best = rank_top(scores, min(k, scores.shape[1]))
        return float(metric(self.hits.gather(1, best), self.num_truth).nanmean())


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        weight: as `Blend.set_weights` takes it.
        scale: of the scores.
        length_scale: mean and deviation of the logarithm of the purchases, (2,).
        value: of the metric, on the users whom it was chosen by.
    """

    weight: Tensor
    scale: Scale
    length_scale: Tensor
    value: float


@torch.no_grad()
def part_scores(blend: Blend, evaluator: RankingEvaluator, view: str) -> PartScores:
    """Scores every user with truth in a view, at most 4,000 of them.

    Args:
        blend: with fitted parts, on the device of the evaluator.
        evaluator: of the view.
        view: whose items and truth count.
    """
    blend.eval()
    every = evaluator.blocks(blend)
    users = every.users
    if len(users) > _MOST_USERS:
        users = users[_drawn(len(users), _MOST_USERS).to(users.device)]
    found = [_of_block(blend, evaluator, view, block) for block in replace(every, users=users)]
    blocks = [block for block in found if len(block.num_truth)]
    width = max(block.hits.shape[1] for block in blocks)
    return PartScores(
        *(torch.cat(each) for each in zip(*(_wide(block, width) for block in blocks), strict=True))
    )


def choose_weights(found: PartScores, key: str, scale: Scale | None) -> Choice:
    """Weights from 0 that add up to 1: the best of the parts alone, of pairs and of all, from which
    weight is moved between two parts as long as that helps, in ever smaller steps. The scale is the
    one whose weights do best on users whom they were not chosen by, and where no blend does better
    there than the best part, this part alone has all the weight. (Of less than a hundred users no
    part is held out, and the scale is the first.)

    Args:
        found: of the parts.
        key: metric of users that is made as high as it gets, such as "ndcg@10".
        scale: None: the best.

    Raises:
        ConfigError: the metric is none of single users.
    """
    metric, k = _metric(key)

    def chosen(users: PartScores, scale: Scale) -> tuple[Tensor, float]:
        value = partial(_value_of, users, users.scaled(scale), metric, k)
        return _climbed(users.scores.shape[2], value)

    def held_out(scale: Scale) -> float:
        number, values = len(found.num_truth), []
        fold = torch.arange(number) % _FOLDS
        for each in range(_FOLDS):
            weight, _ = chosen(_of_users(found, fold != each), scale)
            users = _of_users(found, fold == each)
            values.append(_value_of(users, users.scaled(scale), metric, k, weight))
        return sum(values) / _FOLDS

    alone = part_values(found, key)
    best, reached = (scale or SCALES[0]), max(alone)
    weight = torch.eye(len(alone))[alone.index(reached)]
    if len(found.num_truth) < _FOLDS * _FEW_USERS:  # no part of them says anything
        weight, reached = chosen(found, best)
    else:
        values = {each: held_out(each) for each in (SCALES if scale is None else (scale,))}
        if max(values.values()) > reached + _LEAST_GAIN:
            best = max(values, key=lambda each: values[each])
            weight, reached = chosen(found, best)
    table = torch.stack([weight, torch.zeros_like(weight)], dim=1)  # (P, 2)
    return Choice(table, best, torch.tensor([0.0, 1.0]), reached)


def learn_weights(found: PartScores, key: str, scale: Scale | None) -> Choice:
    """Weights that depend on the user's number of purchases, with popularity as one part more: a
    softmax regression of the truth on the candidates.

    Args, Raises: of `choose_weights`.
    """
    metric, k = _metric(key)
    length = torch.stack([found.length.mean(), found.length.std(correction=0).clamp(min=1e-6)])
    of_user = ((found.length - length[0]) / length[1])[:, None, None]
    best: Choice | None = None
    for each in SCALES if scale is None else (scale,):
        scores = torch.cat([found.scaled(each), found.popularity.unsqueeze(2)], dim=2)
        features = torch.cat([scores, scores * of_user], dim=2)  # (R, C, F)
        weight = _regression(features, found)
        reached = found.value(features @ weight, metric, k)
        if best is None or reached > best.value + _LEAST_GAIN:
            best = Choice(weight.view(2, -1).T.contiguous(), each, length, reached)
    assert best is not None
    return best


def part_values(found: PartScores, key: str) -> list[float]:
    """The metric of every part alone."""
    metric, k = _metric(key)
    return [found.value(scores, metric, k) for scores in found.scores.unbind(2)]


def _metric(key: str) -> tuple[Metric, int]:
    name, _, k = key.partition("@")
    known = metrics_of("ranking")
    if name not in known or not k.isdigit():
        raise ConfigError(
            f"train.monitor: the weights of a blend are chosen by a metric of single users, and"
            f" {key} is none; choose {', '.join(known)} at a length of the list, such as ndcg@10"
        )
    function = known[name].function
    return lambda hits, num_truth: function(hits, num_truth, int(k)), int(k)


def _value_of(found: PartScores, scores: Tensor, metric: Metric, k: int, weight: Tensor) -> float:
    return found.value(scores @ weight.to(scores.device), metric, k)


def _climbed(parts: int, value: Callable[[Tensor], float]) -> tuple[Tensor, float]:
    """The best weights (P,) that are found, and their value."""
    alone = torch.eye(parts)
    pairs = [
        share * one + (1 - share) * other
        for share in _SHARES
        for place, one in enumerate(alone)
        for other in alone[:place]
    ]
    starts = [*alone, *pairs, torch.full((parts,), 1 / parts)]
    values = [value(weight) for weight in starts]
    best = max(values)
    weight = starts[values.index(best)]
    for step in _STEPS:
        improved = True
        while improved:
            tried = [(value(each), each) for each in _moved(weight, step)]
            reached, candidate = max(tried, key=lambda pair: pair[0])
            improved = reached > best + _LEAST_GAIN
            if improved:
                best, weight = reached, candidate
    return weight, best


def _moved(weight: Tensor, step: float) -> Iterator[Tensor]:
    """Weights after moving a step, or what there is, from one part to another."""
    for source in range(len(weight)):
        for target in range(len(weight)):
            if source != target and weight[source] > 0:
                moved = weight.clone()
                share = min(step, float(weight[source]))
                moved[source] -= share
                moved[target] += share
                rounded = (moved * 1e4).round() / 1e4
                rounded[target] += 1 - rounded.sum()  # thirds do not add up
                yield rounded


def _regression(features: Tensor, found: PartScores) -> Tensor:
    """Weights (F,) under which the candidates in the truth are likeliest, a user as a whole."""
    share = found.hits / found.hits.sum(dim=1, keepdim=True).clamp(min=1)  # (R, C)
    weight = torch.zeros(features.shape[2], device=features.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=_NEWTON_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = (features @ weight).masked_fill(~found.is_candidate, -1e9)
        total = -(share * functional.log_softmax(logits, dim=1)).sum(dim=1).mean()
        total = total + _DECAY * weight.square().sum()
        total.backward()
        return total

    with torch.enable_grad():
        optimizer.step(loss)
    return weight.detach()


def _of_block(blend: Blend, evaluator: RankingEvaluator, view: str, users: Tensor) -> PartScores:
    """`PartScores` of the users (B,) who have a truth in the view."""
    allowed, truth = evaluator.of_view(view, users)
    has_truth = truth.any(dim=1)
    users, allowed, truth = users[has_truth], allowed[has_truth], truth[has_truth]
    query = evaluator.query(blend, users)
    scores = [blend.of_part(place, query) for place in range(len(blend.parts))]
    popularity = [blend.popularity.expand(len(users), -1)] if blend.stacked else []
    chosen = truth.clone()
    for each in (*scores, *popularity):
        depth = min(_BEST_OF_A_PART, blend.num_items)
        chosen.scatter_(1, each.masked_fill(~allowed, -torch.inf).topk(depth).indices, True)
    chosen &= allowed
    width = int(chosen.sum(dim=1).max()) if len(users) else 0
    item = chosen.to(torch.int8).topk(width).indices.sort(dim=1).values  # (B, C)
    return PartScores(
        torch.stack([each.gather(1, item) for each in scores], dim=2),
        torch.stack([each.amax(dim=1) for each in scores], dim=1),
        blend.popularity[item],
        chosen.gather(1, item),
        truth.gather(1, item),
        truth.sum(dim=1),
        torch.log1p((query.history < blend.num_items).sum(dim=1).float()),
    )


def _wide(block: PartScores, width: int) -> tuple[Tensor, ...]:
    """The fields of a block with as many candidates as the widest one has."""
    more = width - block.hits.shape[1]
    pad = functional.pad
    return (
        pad(block.scores, (0, 0, 0, more)),
        block.largest,
        *(pad(each, (0, more)) for each in (block.popularity, block.is_candidate, block.hits)),
        block.num_truth,
        block.length,
    )


def _drawn(size: int, number: int) -> Tensor:
    return torch.randperm(size, generator=torch.Generator().manual_seed(0))[:number].sort().values


def _of_users(found: PartScores, kept: Tensor) -> PartScores:
    return PartScores(*(values[kept.to(values.device)] for values in vars(found).values()))
