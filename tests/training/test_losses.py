import math

import pytest
import torch

from recsys.training.losses.bce import bce
from recsys.training.losses.bpr import bpr
from recsys.training.losses.full_softmax import full_softmax
from recsys.training.losses.sampled_softmax import sampled_softmax
from recsys.training.losses.warp import warp
from recsys.training.losses.weighted_squares import weighted_squares
from recsys.training.objectives.scores import log_q_correction, tempered
from recsys.training.objectives.users import frequency_scale
from recsys.training.objectives.weights import quantity_weight, recency_weight


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


def test_corrected_negatives_that_come_as_often_as_expected_give_the_softmax_of_all_items():
    # item a is drawn with 3/4, b with 1/4; of four draws three are a and one is b
    positive, a, b = 0.3, 1.2, -0.7
    scores = torch.tensor([[positive, a, a, b, a]])
    log_q = torch.tensor([[0.75, 0.75, 0.25, 0.75]]).log()
    found = sampled_softmax(log_q_correction(scores, log_q))
    # 3 exp(a) / (4 * 3/4) + exp(b) / (4 * 1/4) = exp(a) + exp(b)
    everything = math.exp(positive) + math.exp(a) + math.exp(b)
    torch.testing.assert_close(found, torch.tensor(math.log(everything) - positive))


def test_correction_by_hand_leaves_the_positive_as_it_is():
    scores = torch.tensor([[2.0, 1.0, -1.0], [0.0, 0.5, 3.0]])
    log_q = torch.tensor([[0.5, 0.1], [0.2, 0.2]]).log()
    expected = torch.tensor(
        [
            [2.0, 1.0 - math.log(2 * 0.5), -1.0 - math.log(2 * 0.1)],
            [0.0, 0.5 - math.log(2 * 0.2), 3.0 - math.log(2 * 0.2)],
        ]
    )
    torch.testing.assert_close(log_q_correction(scores, log_q), expected)


def test_temperature_divides_scores():
    torch.testing.assert_close(
        tempered(torch.tensor([[3.0, -1.0]]), 0.5), torch.tensor([[6.0, -2.0]])
    )
    # -log(e^(3/2) / (e^(3/2) + e^(-1/2)))
    expected = math.log(math.exp(1.5) + math.exp(-0.5)) - 1.5
    found = sampled_softmax(tempered(torch.tensor([[3.0, -1.0]]), 2.0))
    torch.testing.assert_close(found, torch.tensor(expected))


def test_quantity_counts_by_its_logarithm():
    found = quantity_weight(torch.tensor([0.0, 1.0, 7.0]), 0.5)
    # log 1, log 2 and log 8
    torch.testing.assert_close(found, 1 + 0.5 * math.log(2) * torch.tensor([0.0, 1.0, 3.0]))


def test_weighted_squares_by_hand():
    scores = torch.tensor([[0.5, 1.0, -2.0], [0.0, 3.0, 1.0]])
    row, item = torch.tensor([0, 0, 1]), torch.tensor([0, 2, 1])
    everywhere = 0.1 * (0.25 + 1 + 4 + 0 + 9 + 1)
    found = weighted_squares(scores, row, item, unobserved_weight=0.1)
    assert float(found) == pytest.approx((0.25 + 9 + 4 + everywhere) / 3)
    weight = torch.tensor([2.0, 1.0, 1.0])
    found = weighted_squares(scores, row, item, weight, unobserved_weight=0.1)
    assert float(found) == pytest.approx((2 * 0.25 + 9 + 4 + everywhere) / 4)


def test_a_row_is_regularised_by_what_it_is_fitted_to():
    found = frequency_scale(torch.tensor([2.0, 0.0]), 10, 0.3)
    assert found.tolist() == pytest.approx([5.0, 3.0])


def test_warp_by_hand():
    # a user who bought item 0 (score 1); items 1 and 2 come within the margin, item 3 does not
    scores = torch.tensor([[1.0, 0.5, 2.0, -1.0, 9.0]])
    row, item = torch.tensor([0, 0]), torch.tensor([0, 4])
    negatives = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 0]])
    found = warp(scores, row, item, negatives)
    # of the first four draws two violate, item 4 was bought: rank 2/4 × 4, mean hinge (.5 + 2) / 2
    assert found.tolist() == pytest.approx([math.log(1 + 2) * 1.25, 0.0])
