"""The bag of purchases speaks, whoever the user is."""

import torch

from recsys.models.recommender import Query, Recommender
from recsys.models.recommenders.autoencoder import Autoencoder

ITEMS = 7
HISTORIES = torch.tensor([[2, 5, 2, ITEMS], [1, ITEMS, ITEMS, ITEMS], [ITEMS] * 4])


def model(**options: float) -> Autoencoder:
    torch.manual_seed(0)
    made = Autoencoder(3, ITEMS, embedding_dim=4, init_std=0.5, **options)
    torch.nn.init.normal_(made.read_bias)
    torch.nn.init.normal_(made.item_bias)
    return made.eval()


def ask(histories: torch.Tensor, user: int = 0) -> Query:
    return Query(torch.full((len(histories),), user), histories)


def test_the_score_is_that_of_the_formula() -> None:
    made = model()
    bag = torch.zeros(ITEMS)
    bag[[2, 5]] = 2**-0.5
    user = torch.tanh(bag @ made.read + made.read_bias)
    expected = made.item @ user + made.item_bias
    torch.testing.assert_close(made.score_all(ask(HISTORIES))[0], expected)


def test_candidates_score_as_the_catalogue_does() -> None:
    made = model()
    assert isinstance(made, Recommender)
    items = torch.tensor([[0, 6], [3, 3], [5, 1]])
    everything = made.score_all(ask(HISTORIES))
    torch.testing.assert_close(made(ask(HISTORIES), items), everything.gather(1, items))


def test_order_repeats_padding_and_the_user_id_change_nothing() -> None:
    made = model()
    other = torch.tensor([[ITEMS, 5, ITEMS, 2, 5]])
    torch.testing.assert_close(
        made.score_all(ask(HISTORIES[:1])), made.score_all(ask(other, user=99))
    )


def test_a_part_of_the_bag_is_hidden_in_training_alone() -> None:
    made = model(history_dropout=0.5)
    assert torch.equal(made.score_all(ask(HISTORIES)), made.score_all(ask(HISTORIES)))
    made.train()
    seen = {tuple(made.score_all(ask(HISTORIES))[0].tolist()) for _ in range(50)}
    assert len(seen) == 4  # each of two items is read or not
