"""Example customers: what is recommended stands beside the purchases that carry it."""

import pytest
import torch
from scored_phases import ScoreTable, phase_of

from recsys.evaluation.examples import example_customers
from recsys.models.recommenders.ease import EASE
from recsys.models.recommenders.ials import IALS

# u0 bought items 0 and 1 (twice), and later 2
BOUGHT, TRUTH = [[0, 1, 1], [0, 1, 2], [2, 3]], [[2], [3], [0]]


def test_reasons_are_named_with_their_shares() -> None:
    model = EASE(3, 4)
    # item 0 carries item 2 by .6, item 1 by .2; item 1 speaks against item 3
    model.weight[0, 2], model.weight[1, 2], model.weight[1, 3] = 0.6, 0.2, -0.5
    examples = example_customers(model, phase_of(BOUGHT, TRUTH, 4), {"i0": "Milk"})
    new = next(example for example in examples if example["user_id"] == "u0")["new"]
    assert [item["item_id"] for item in new] == ["i2", "i3"]
    milk, other = new[0]["because"]
    assert milk == {"item_id": "i0", "name": "Milk", "share": pytest.approx(0.75)}
    assert other == {"item_id": "i1", "name": "i1", "share": pytest.approx(0.25)}
    assert new[1]["because"] == []


def test_a_model_of_user_ids_that_has_reasons_is_given_the_histories() -> None:
    data = phase_of(BOUGHT, TRUTH, 4)
    torch.manual_seed(0)
    model = IALS(3, 4, embedding_dim=2)
    model.fit(data.interactions)
    examples = example_customers(model, data, {})
    carried = [item["because"] for example in examples for item in example["all"]]
    assert any(carried)


def test_a_model_without_reasons_gives_none() -> None:
    model = ScoreTable([[4.0, 3, 2, 1]] * 3)
    examples = example_customers(model, phase_of(BOUGHT, TRUTH, 4), {})
    assert all(item["because"] == [] for example in examples for item in example["all"])
