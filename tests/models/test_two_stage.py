"""Two stages: what the second one computes, whom it ranks, and what it may not see.

Axes: 2 to 40 users, 12 items, 4 fields of 3 numbers.
"""

import itertools
from functools import partial

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from recsys.data.held_out import hold_out
from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.data.shards import ALONE
from recsys.export.recommender.graph import build_graph
from recsys.export.recommender.histories import Histories
from recsys.export.recommender.parity import Catalogue, check_parity
from recsys.models.inputs import InputVocabulary
from recsys.models.recommender import Query, Recommender
from recsys.models.recommenders.dcn_v2 import CrossLayer, DCNv2
from recsys.models.recommenders.deepfm import DeepFM, pairwise
from recsys.models.recommenders.item_knn import ItemKNN
from recsys.models.recommenders.two_stage import Lesson, TwoStage, first_scores
from recsys.training.losses.candidates import Candidates

USERS, ITEMS = 40, 12
NETWORKS = {"deepfm": DeepFM, "dcn_v2": DCNv2, "stacked": partial(DCNv2, structure="stacked")}


def purchases() -> Interactions:
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(USERS), 6)
    item = rng.integers(0, ITEMS, len(user))
    return Interactions(Ragged.from_sorted(user, item, USERS), ITEMS)


def two_stage(network: str = "deepfm", num_candidates: int = 3, **settings: object) -> TwoStage:
    torch.manual_seed(0)
    model = TwoStage(
        USERS,
        ITEMS,
        InputVocabulary(),
        first=ItemKNN,
        network=NETWORKS[network],
        num_candidates=num_candidates,
        embedding_dim=4,
        init_std=2.0,
        **settings,
    )
    model.first.fit(purchases())
    model.observe(purchases())
    for weight in (model.network.out.weight,):
        nn.init.normal_(weight, std=0.5)
    return model.eval()


def everyone() -> Query:
    users = torch.arange(USERS)
    return Query(users, purchases().history.padded(users, ITEMS))


def test_the_pairs_of_the_factorization_machine_equal_the_double_loop():
    factors = torch.randn(5, 4, 3)
    looped = torch.zeros(5)
    for row in range(5):
        for one, other in itertools.combinations(range(4), 2):
            looped[row] += factors[row, one] @ factors[row, other]
    torch.testing.assert_close(pairwise(factors), looped)


def test_deepfm_is_first_order_weights_and_pairs_and_the_tower():
    model, fields = DeepFM(4, 3, (5,)).eval(), torch.randn(2, 4, 3)
    nn.init.normal_(model.out.weight)
    tower = model.out(torch.relu(model.deep[0](fields[..., :2].flatten(1))))[:, 0]
    expected = fields[..., 2].sum(1) + pairwise(fields[..., :2]) + tower
    torch.testing.assert_close(model(fields), expected)


def test_a_cross_layer_is_its_formula():
    layer = CrossLayer(2)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -1.0]]))
        layer.linear.bias.copy_(torch.tensor([0.5, 1.0]))
    # x0 * (W x + b) + x with W x + b = (3 + 2*1 + .5, -1 + 1)
    found = layer(torch.tensor([2.0, 4.0]), torch.tensor([3.0, 1.0]))
    torch.testing.assert_close(found, torch.tensor([2 * 5.5 + 3, 4 * 0.0 + 1]))


@pytest.mark.parametrize("structure", ["parallel", "stacked"])
def test_dcn_puts_the_tower_beside_or_on_top_of_the_cross_layers(structure):
    model, fields = DCNv2(2, 2, 1, (3,), structure).eval(), torch.randn(5, 2, 2)
    nn.init.normal_(model.out.weight)
    first = fields.flatten(1)
    crossed = model.cross[0](first, first)
    if structure == "stacked":
        expected = model.out(model.deep(crossed))
    else:
        expected = model.out(torch.cat([crossed, model.deep(first)], dim=1))
    torch.testing.assert_close(model(fields), expected[:, 0])


@pytest.mark.parametrize("network", NETWORKS)
def test_items_outside_the_candidates_keep_the_order_of_the_first_stage_below_them(network):
    model, query = two_stage(network), everyone()
    assert isinstance(model, Recommender)
    with torch.no_grad():
        scores, first = model.score_all(query), first_scores(model.first, query)
    assert bool(scores.isfinite().all())
    bought = purchases().history.mask(query.user, ITEMS)
    for row in range(USERS):
        for group in (bought[row], ~bought[row]):
            z, score = first[row, group], scores[row, group]
            border = z.sort(descending=True).values[min(3, len(z)) - 1]
            others = z <= border if len(z) >= 3 else torch.zeros_like(z, dtype=torch.bool)
            # the last candidate lies on the border, as all that the first stage scores alike
            torch.testing.assert_close(score[others], z[others] - border)
            assert bool((score[~others] > 0).all())


def test_the_second_stage_decides_among_candidates_and_all_are_where_there_are_enough():
    model, query = two_stage(num_candidates=ITEMS), everyone()
    with torch.no_grad():
        scores, first = model.score_all(query), first_scores(model.first, query)
        times = torch.stack(
            [torch.bincount(row, minlength=ITEMS + 1)[:ITEMS] for row in query.history]
        )
        items = torch.arange(ITEMS).expand(USERS, -1)
        logits = model.candidate_logits(query, first, times.float(), query.user, items)
    torch.testing.assert_close(scores, nn.functional.softplus(logits + 4))
    assert not torch.equal(scores.argsort(dim=1), first.argsort(dim=1))


class Fixed(nn.Module):
    """Scores everybody alike."""

    inputs, num_users, floats_per_pair = (), USERS, 1

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = scores

    def score_all(self, query: Query) -> Tensor:
        return self.scores.expand(len(query.user), -1)


def test_scores_do_not_jump_where_candidates_end():
    """Of two items that the first stage scores alike a rounding error decides which is the last of
    three candidates, on their border, and which is above it.
    """
    model, found = two_stage(), []
    nobody = Query(torch.tensor([0]), torch.full((1, 1), ITEMS))
    for error in (1e-6, -1e-6):
        scores = -torch.arange(ITEMS).float()
        scores[1] = scores[2] + error
        model.first = Fixed(scores)
        with torch.no_grad():
            found.append(model.score_all(nobody)[0])
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=0)
    assert found[0][0] > 0.1


def test_unknown_users_and_items_that_nobody_bought_have_no_id():
    data = purchases()
    model = two_stage()
    model.items.known[5] = False
    model.train(False)
    assert bool((model.item_fields[5, 0] == 0).all())
    query = Query(torch.tensor([0, USERS]), data.history.padded(torch.tensor([0, 0]), ITEMS))
    fields = model._user_fields(query, torch.zeros(2, 4))
    assert bool((fields[1, 0] == 0).all())
    assert bool((fields[0, 0] != 0).any())
    assert model.serves(query).tolist() == [True, True]  # by the history
    # by the id, and not at all
    nothing = Query(torch.tensor([0, USERS]), torch.full((2, 2), ITEMS))
    assert model.serves(nothing).tolist() == [True, False]


def test_where_the_first_stage_knows_nobody_candidates_are_what_is_popular():
    model = two_stage(num_candidates=4)
    scores = model.score_all(Query(torch.tensor([0]), torch.full((1, 2), ITEMS)))[0]
    # the fourth lies on the border
    assert set(scores.topk(3).indices.tolist()) <= set(purchases().buyers.topk(4).indices.tolist())


def test_later_purchases_are_not_among_the_earlier_ones():
    history = Ragged.from_sorted(np.array([0] * 5 + [1] + [2] * 2), np.arange(8), 4)
    data = Interactions(history, 8, torch.tensor([1, 2, 3, 4, 9, 5, 6, 7], dtype=torch.int32))
    held = hold_out(data, 0.3)  # two of five, none of one, one of two
    assert [held.earlier.history.values.tolist(), held.later.values.tolist()] == [
        [0, 1, 2, 5, 6],
        [3, 4, 7],
    ]
    assert held.later.lengths().tolist() == [2, 0, 1, 0]
    age = held.age()
    assert age is not None
    # days to the 4th for the first user, to the end of all for the second, to the 7th for the third
    assert age.tolist() == [3, 2, 1, 9 - 5, 1]


def batches_of(data: Interactions) -> list:
    model = two_stage()
    held = model.hold_out(data)
    first = ItemKNN(USERS, ITEMS)
    first.fit(held.earlier)
    model.lesson = Lesson(first, held)
    objective = Candidates(batch_size=8).objective(model, data, seed=1)
    return list(objective.batches(torch.device("cpu"), lambda: 0, ALONE))


def test_what_is_to_be_predicted_leaks_into_nothing_that_is_read():
    """With other later purchases of everybody, the second stage is shown the same scores, the same
    histories and the same candidates.
    """
    data = purchases()
    held = hold_out(data, 0.2)
    last = (data.history.indptr[1:, None] + torch.tensor([[-2, -1]])).flatten()
    values = data.history.values.clone()
    values[last] = (values[last] + 5) % ITEMS
    changed = Interactions(Ragged(data.history.indptr, values), ITEMS)
    assert torch.equal(hold_out(changed, 0.2).earlier.history.values, held.earlier.history.values)
    for one, other in zip(batches_of(data), batches_of(changed), strict=True):
        assert torch.equal(one.first, other.first)
        assert torch.equal(one.times, other.times)


def test_negatives_are_never_bought_later_and_stand_for_what_was_left_out():
    data = purchases()
    later = hold_out(data, 0.2).later
    for batch in batches_of(data):
        bought = later.mask(batch.rows.user, ITEMS)
        negatives, stands_for = batch.items[:, 1:], batch.stands_for[:, 1:]
        assert bool((stands_for[bought.gather(1, negatives)] == -torch.inf).all())
        # 16 of the 32 are drawn from 12 items: each of them is drawn 1.3 times or more on average
        real = ~bought.gather(1, negatives)
        assert bool((stands_for[real] <= -np.log(16 / ITEMS) + 1e-5).all())
        # the number of negatives, weighted so, is the number of items on average
        assert stands_for.exp().sum(1).mean() == pytest.approx(ITEMS, rel=0.3)


@pytest.mark.parametrize("network", ["deepfm", "dcn_v2"])
def test_the_graph_of_both_stages_equals_torch(network):
    model = two_stage(network)
    data = purchases()
    ids = Catalogue(
        np.array([f"u{user}" for user in range(USERS)], dtype=object),
        np.array([f"i{item}" for item in range(ITEMS)], dtype=object),
        data.buyers.numpy().astype(np.float32),
    )
    graph = build_graph(model, ids.user_ids, ids.item_ids, ids.popularity, InputVocabulary())
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    histories = Histories(data.history.indptr.numpy(), data.history.values.numpy())
    assert check_parity(session, model, ids, histories, InputVocabulary()) < 1e-4


def test_a_stored_model_scores_as_before():
    model = two_stage()
    again = two_stage(id_dropout=0.9)
    with torch.no_grad():
        for weight in again.parameters():
            weight.zero_()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.score_all(everyone()), model.score_all(everyone()))
