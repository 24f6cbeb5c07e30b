"""A causal transformer over the latest purchases, wherever padding stands."""

import pytest
import torch

from recsys.errors import ConfigError
from recsys.models.recommender import Query, Recommender
from recsys.models.recommenders.sasrec import SASRec, latest

ITEMS = 9
LENGTH = 4
PAD = ITEMS


def model(**options: float) -> SASRec:
    torch.manual_seed(0)
    settings = {"embedding_dim": 8, "max_length": LENGTH, "num_heads": 2} | options
    return SASRec(3, ITEMS, init_std=0.5, **settings).eval()  # type: ignore[arg-type]


def scores(made: SASRec, *histories: list[int]) -> torch.Tensor:
    table = torch.tensor(histories)
    return made.score_all(Query(torch.zeros(len(table), dtype=torch.int64), table))


def test_candidates_score_as_the_catalogue_does() -> None:
    made = model()
    assert isinstance(made, Recommender)
    query = Query(torch.zeros(2, dtype=torch.int64), torch.tensor([[1, 2, 3], [4, PAD, PAD]]))
    items = torch.tensor([[0, 8], [3, 3]])
    torch.testing.assert_close(made(query, items), made.score_all(query).gather(1, items))


def test_padding_changes_nothing_wherever_it_stands() -> None:
    made = model()
    expected = scores(made, [1, 5, 1])
    for padded in ([PAD, 1, 5, 1], [1, 5, 1, PAD, PAD], [1, PAD, 5, PAD, PAD, 1]):
        torch.testing.assert_close(scores(made, padded), expected)


def test_only_the_latest_purchases_are_read() -> None:
    made = model()
    torch.testing.assert_close(scores(made, [7, 8, 1, 2, 3, 4]), scores(made, [1, 2, 3, 4]))
    assert not torch.allclose(scores(made, [8, 2, 3, 4]), scores(made, [1, 2, 3, 4]))


def test_the_order_of_purchases_matters() -> None:
    made = model()
    assert not torch.allclose(scores(made, [1, 2, 3, 4]), scores(made, [3, 2, 1, 4]))


def test_company_changes_nothing_and_an_empty_history_has_scores() -> None:
    made = model()
    together = scores(made, [PAD, PAD, 3, 1], [PAD] * 4, [2, 2, 2, 2])
    torch.testing.assert_close(together[:1], scores(made, [3, 1]))
    assert bool(together.isfinite().all())


def test_no_place_knows_what_comes_after_it() -> None:
    made = model()
    one = made.states(torch.tensor([[PAD, 1, 2, 3]]))
    other = made.states(torch.tensor([[PAD, 1, 2, 8]]))
    torch.testing.assert_close(one[:, :3], other[:, :3])
    assert not torch.allclose(one[:, 3], other[:, 3])


def test_states_of_a_short_stretch_are_those_at_the_end_of_a_long_one() -> None:
    made = model()
    torch.testing.assert_close(
        made.states(torch.tensor([[5, 6]])), made.states(torch.tensor([[PAD, PAD, 5, 6]]))[:, 2:]
    )


def test_every_parameter_learns() -> None:
    made = model()
    scores(made, [1, 2, 3, 4]).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())
    assert made.item.weight.grad is not None
    assert not made.item.weight.grad[ITEMS].any()


def test_latest_keeps_the_order() -> None:
    histories = torch.tensor([[1, 2, 3, 4, 5], [PAD, 7, PAD, 8, PAD], [PAD] * 5])
    assert latest(histories, 3, PAD).tolist() == [[3, 4, 5], [PAD, 7, 8], [PAD] * 3]
    assert latest(histories[:, :0], 2, PAD).tolist() == [[PAD, PAD]] * 3


def test_factors_that_heads_do_not_share_evenly_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.embedding_dim=8 is not a multiple"):
        model(num_heads=3)
