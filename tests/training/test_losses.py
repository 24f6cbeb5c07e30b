import math

import pytest
import torch

from recsys.training.losses import bce, bpr, full_softmax, recency_weight, sampled_softmax


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_bce_by_hand():
    scores = torch.tensor([[2.0, -1.0, 0.5]])
    expected = (
        -(math.log(sigmoid(2.0)) + math.log(1 - sigmoid(-1.0)) + math.log(1 - sigmoid(0.5))) / 3
    )
    torch.testing.assert_close(bce(scores), torch.tensor(expected))


def test_bce_agrees_with_torch_and_survives_large_scores():
    scores = torch.tensor([[80.0, -90.0], [-70.0, 100.0]])
    labels = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    torch.testing.assert_close(
        bce(scores), torch.nn.functional.binary_cross_entropy_with_logits(scores, labels)
    )


def test_bpr_by_hand():
    scores = torch.tensor([[1.0, 0.0, 3.0]])
    expected = -(math.log(sigmoid(1.0)) + math.log(sigmoid(-2.0))) / 2
    torch.testing.assert_close(bpr(scores), torch.tensor(expected))


def test_sampled_softmax_is_cross_entropy_of_column_zero():
    scores = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    expected = torch.nn.functional.cross_entropy(scores, torch.zeros(5, dtype=torch.int64))
    torch.testing.assert_close(sampled_softmax(scores), expected)


def test_full_softmax_is_the_mean_over_purchases():
    scores = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]])
    log_probability = scores.log_softmax(dim=1)
    expected = -(log_probability[0, 1] + log_probability[0, 2] + log_probability[1, 0]) / 3
    found = full_softmax(scores, torch.tensor([0, 0, 1]), torch.tensor([1, 2, 0]))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("loss", [bce, bpr, sampled_softmax])
def test_a_row_of_weight_two_counts_like_two_rows(loss):
    scores = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    weighted = loss(scores, torch.tensor([1.0, 2.0, 0.0]))
    torch.testing.assert_close(weighted, loss(scores[[0, 1, 1]]))
    torch.testing.assert_close(loss(scores, torch.ones(3)), loss(scores))


def test_a_purchase_of_weight_two_counts_like_two_purchases():
    scores = torch.randn(2, 4, generator=torch.Generator().manual_seed(1))
    row, item = torch.tensor([0, 0, 1]), torch.tensor([1, 3, 2])
    weighted = full_softmax(scores, row, item, torch.tensor([1.0, 2.0, 1.0]))
    torch.testing.assert_close(
        weighted, full_softmax(scores, row[[0, 1, 1, 2]], item[[0, 1, 1, 2]])
    )


def test_recency_halves_every_half_life():
    found = recency_weight(torch.tensor([0.0, 30.0, 60.0]), 30.0)
    torch.testing.assert_close(found, torch.tensor([1.0, 0.5, 0.25]))
