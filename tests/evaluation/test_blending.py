"""Weights of a blend from cached scores, by arithmetic."""

import math

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigError
from recsys.evaluation.blending import PartScores, choose_weights, learn_weights, part_values


def cached(scores: Tensor, hits: Tensor, length: Tensor | None = None) -> PartScores:
    """Of all items, and of a popularity that says nothing."""
    users, items = hits.shape
    return PartScores(
        scores=scores,
        largest=scores.amax(dim=1),
        popularity=torch.zeros(users, items),
        is_candidate=torch.ones(users, items, dtype=torch.bool),
        hits=hits,
        num_truth=hits.sum(dim=1),
        length=torch.zeros(users) if length is None else length,
    )


def two_halves() -> PartScores:
    """Of two users, each part ranks the truth, item 0, first for one and second for the other; the
    other's favourite, item 1, is beaten by the sum.
    """
    scores = torch.tensor(
        [
            [[2.0, 0.9], [0.0, 1.0], [-2.0, -1.9]],
            [[0.9, 2.0], [1.0, 0.0], [-1.9, -2.0]],
        ]
    )
    return cached(scores, torch.tensor([[True, False, False], [True, False, False]]))


def test_two_parts_that_know_one_half_each_are_blended():
    found = two_halves()
    # NDCG@1 counts the first place alone: one of the two users
    assert part_values(found, "ndcg@1") == [0.5, 0.5]
    # the half of each: 1.45 against 0.5
    chosen = choose_weights(found, "ndcg@1", "standard")
    assert chosen.value == 1
    assert chosen.weight.tolist() == [[0.5, 0], [0.5, 0]]


def test_a_part_that_misleads_gets_nothing():
    good = torch.tensor([[3.0, 2.0, 1.0]])
    scores = torch.stack([good, -good], dim=2)
    chosen = choose_weights(cached(scores, torch.tensor([[True, False, False]])), "ndcg@1", None)
    assert chosen.weight.tolist() == [[1, 0], [0, 0]]
    assert chosen.scale == "standard"  # of equals the first


def test_weight_moves_in_small_steps_to_where_the_metric_is_highest():
    # the truth, item 0, comes first for a weight w of the first part above t:
    # w · 1 > (1 - w) · t / (1 - t), or below u: (1 - w) · 1 > w · (1 - u) / u
    above, below = (0.3, 0.5, 0.55), (0.9, 0.7, 0.59)
    rows = [[[1.0, 0.0], [0.0, t / (1 - t)]] for t in above]
    rows += [[[0.0, 1.0], [(1 - u) / u, 0.0]] for u in below]
    chosen = choose_weights(
        cached(torch.tensor(rows), torch.tensor([[True, False]] * 6)), "ndcg@1", "standard"
    )
    assert chosen.value == 1
    assert 0.55 < float(chosen.weight[0, 0]) < 0.59
    assert float(chosen.weight[:, 0].sum()) == pytest.approx(1)


def test_what_is_padding_is_never_ranked():
    found = two_halves()
    padded = PartScores(
        torch.cat([found.scores, torch.full((2, 1, 2), 9.0)], dim=1),
        found.largest,
        torch.zeros(2, 4),
        torch.tensor([[True, True, True, False]] * 2),
        torch.cat([found.hits, torch.zeros(2, 1, dtype=torch.bool)], dim=1),
        found.num_truth,
        found.length,
    )
    assert part_values(padded, "ndcg@1") == part_values(found, "ndcg@1")


def test_the_largest_score_of_all_items_scales_those_of_the_candidates():
    found = two_halves()
    more = PartScores(**vars(found) | {"largest": torch.tensor([[4.0, 2.0], [4.0, 2.0]])})
    assert more.scaled("max")[0, 0].tolist() == pytest.approx([0.5, 0.45])
    assert more.scaled("log")[0, 0].tolist() == pytest.approx([math.log(3), math.log(1.9)])


def test_stacked_weights_follow_the_length_of_the_history():
    # users of short histories buy what the first part says, the others what the second one says
    generator = torch.Generator().manual_seed(0)
    users, items = 400, 6
    scores = torch.randn(users, items, 2, generator=generator)
    length = (torch.arange(users) % 2).float()
    says = torch.where(length[:, None] > 0, scores[..., 1], scores[..., 0])
    hits = says == says.amax(dim=1, keepdim=True)
    found = cached(scores, hits, length)
    assert max(part_values(found, "ndcg@1")) < 0.7
    chosen = learn_weights(found, "ndcg@1", "standard")
    assert chosen.value > 0.98
    assert chosen.length_scale.tolist() == [0.5, 0.5]
    constant, by_length = chosen.weight.T
    assert constant[0] == pytest.approx(float(constant[1]), rel=0.2)
    assert by_length[0] < 0 < by_length[1]
    # h is -1 for short histories: there the first part has all the weight
    assert abs(float(constant[1] - by_length[1])) < 0.2 * float(constant[0] - by_length[0])
    assert chosen.weight[2].tolist() == [0, 0]  # popularity
    assert choose_weights(found, "ndcg@1", "standard").value < 0.9


def test_only_a_metric_of_single_users_chooses():
    with pytest.raises(ConfigError, match="coverage@10 is none; choose ndcg"):
        choose_weights(two_halves(), "coverage@10", None)
