"""A blend by arithmetic: what is comparable, whom a part does not know, and in a bundle."""

import copy
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.errors import ConfigError
from recsys.export import write_recommender_bundle
from recsys.inference import Recommender as Bundle
from recsys.models.inputs import HISTORY, USER, InputVocabulary, ModelInput, Query
from recsys.models.recommenders.blend import Blend, scaled

# three users, four items; nobody bought item 3
HISTORIES = [[0, 1], [1, 2, 2], [0]]
USERS, ITEMS = 3, 4


def interactions() -> Interactions:
    lengths = torch.tensor([0, *map(len, HISTORIES)]).cumsum(0)
    return Interactions(Ragged(lengths, torch.tensor(sum(HISTORIES, []))), ITEMS)


class ByUser(nn.Module):
    """Scores 1 2 3 9 for user 0, ten times as much for user 1, and so on."""

    inputs: Sequence[ModelInput] = (USER,)
    floats_per_pair = 1

    def __init__(self, num_users: int, num_items: int) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        factor = 10.0 ** torch.arange(num_users)
        self.register_buffer("table", factor[:, None] * torch.tensor([1.0, 2.0, 3.0, 9.0]))

    def score_all(self, query: Query) -> Tensor:
        return self.table[query.user]


class ByHistory(ByUser):
    """Scores 3 1 2 4 for whoever bought something."""

    inputs = (HISTORY,)

    def score_all(self, query: Query) -> Tensor:
        return torch.tensor([3.0, 1.0, 2.0, 4.0]).expand(len(query.user), -1)


class ByAttributes(ByHistory):
    """Knows also what nobody bought."""

    def item_inputs(self) -> tuple[ModelInput, ...]:
        return ()


def blend(*parts: type, **settings: Any) -> Blend:
    names = {f"part{place}": part for place, part in enumerate(parts)}
    model = Blend(USERS, ITEMS, InputVocabulary(), names, **settings)
    model.observe(interactions())
    return model.eval()


def query(user: int, history: Sequence[int]) -> Query:
    return Query(torch.tensor([user]), torch.tensor([list(history)], dtype=torch.int64))


def scores(model: Blend, user: int, history: Sequence[int]) -> list[float]:
    return model.score_all(query(user, history))[0].tolist()


# 1 2 3 and 3 1 2, standardised: their deviation is √(2/3)
UNIT = 1 / math.sqrt(2 / 3)


def test_scores_are_standardised_over_the_items_that_a_part_knows_and_0_for_others():
    model = blend(ByUser, ByHistory, weights={"part0": 0.75, "part1": 0.25})
    expected = [-0.75 * UNIT + 0.25 * UNIT, -0.25 * UNIT, 0.75 * UNIT, 0]
    assert scores(model, 0, [0, 1]) == pytest.approx(expected, abs=1e-6)
    # another unit of the same scores changes nothing
    assert scores(model, 1, [1]) == pytest.approx(expected, abs=1e-6)


def test_a_part_that_reads_attributes_also_ranks_what_nobody_bought():
    model = blend(ByUser, ByAttributes, weights={"part0": 0.0, "part1": 1.0})
    deviation = math.sqrt((0.5**2 + 1.5**2) * 2 / 4)  # of 3 1 2 4
    expected = [each / deviation for each in (0.5, -1.5, -0.5, 1.5)]
    assert scores(model, 0, [0]) == pytest.approx(expected, abs=1e-6)


def test_a_part_that_does_not_know_the_user_is_silent_and_the_other_speaks():
    model = blend(ByUser, ByHistory, weights={"part0": 0.5, "part1": 0.5})
    assert scores(model, 0, []) == pytest.approx([-0.5 * UNIT, 0, 0.5 * UNIT, 0], abs=1e-6)
    assert scores(model, USERS, [0]) == pytest.approx([0.5 * UNIT, -0.5 * UNIT, 0, 0], abs=1e-6)
    assert scores(model, USERS, []) == [0, 0, 0, 0]
    served = [model.serves(query(*each)).item() for each in ((0, []), (USERS, [0]), (USERS, []))]
    assert served == [True, True, False]


def test_a_user_who_was_not_fitted_is_unknown_to_a_part_of_ids():
    model = blend(ByUser, ByHistory, weights={"part0": 1.0, "part1": 0.0})
    bought = interactions()
    lengths = torch.tensor([0, 2, 5, 5])  # the last one bought nothing
    model.observe(Interactions(Ragged(lengths, bought.history.values[:5]), ITEMS))
    assert scores(model, 2, [0]) == [0, 0, 0, 0]


def test_equal_scores_say_nothing_whatever_their_rounding():
    class Flat(ByHistory):
        def score_all(self, query: Query) -> Tensor:
            return torch.tensor([0.1, 0.1 + 1e-8, 0.1, 0.1]).expand(len(query.user), -1)

    model = blend(ByUser, Flat, weights={"part0": 0.0, "part1": 1.0})
    assert scores(model, 0, [0]) == [0, 0, 0, 0]


def test_scales_bend_the_scores_and_keep_their_order_and_0():
    z = torch.tensor([[-1.0, 0.0, 0.5, 4.0]])
    assert scaled(z, "standard").equal(z)
    assert scaled(z, "max").tolist() == [[-0.25, 0, 0.125, 1]]
    expected = [-math.log(2), 0, math.log(1.5), math.log(5)]
    assert scaled(z, "log")[0].tolist() == pytest.approx(expected)
    assert scaled(torch.zeros(1, 3), "max").tolist() == [[0, 0, 0]]


def test_stacked_weights_depend_on_the_length_of_the_history_and_popularity_counts():
    model = blend(ByUser, ByHistory, stacked=True)
    weight = torch.tensor([[0.0, 2.0], [0.0, 0.0], [1.0, 0.0]])
    model.set_weights(weight, "standard", torch.tensor([math.log(2), 0.5]))
    # two purchases: h = (log 3 - log 2) / 0.5
    h = (math.log(3) - math.log(2)) / 0.5
    # buyers 2 2 1: log 3, log 3, log 2 standardised are 1, 1, -2 over √2
    popular = [1 / math.sqrt(2), 1 / math.sqrt(2), -2 / math.sqrt(2), 0]
    own = [-2 * h * UNIT, 0, 2 * h * UNIT, 0]
    expected = [one + other for one, other in zip(own, popular, strict=True)]
    assert scores(model, 0, [0, 1]) == pytest.approx(expected, abs=1e-5)


def test_a_part_begins_with_the_weights_that_it_would_draw_alone():
    class Drawn(ByHistory):
        def __init__(self, num_users: int, num_items: int) -> None:
            super().__init__(num_users, num_items)
            self.drawn = nn.Parameter(torch.randn(3))

    torch.manual_seed(4)
    alone = Drawn(USERS, ITEMS)
    torch.manual_seed(4)
    parts = blend(Drawn, Drawn, weights={"part0": 1, "part1": 1}).parts
    assert all(torch.equal(part.drawn, alone.drawn) for part in parts)


def test_candidates_score_as_the_catalogue_does():
    model = blend(ByUser, ByHistory, weights={"part0": 0.3, "part1": 0.7})
    asked, items = query(1, [0]), torch.tensor([[3, 0]])
    torch.testing.assert_close(model.forward(asked, items), model.score_all(asked)[:, [3, 0]])


def test_what_was_chosen_is_stored_with_the_weights_of_the_parts():
    model = blend(ByUser, ByHistory, stacked=True)
    model.set_weights(torch.tensor([[0.4, 0.1], [0.6, 0.2]]), "log", torch.tensor([1.0, 2.0]))
    again = blend(ByUser, ByHistory, stacked=True)
    again.load_state_dict(copy.deepcopy(model.state_dict()))
    assert again.scale == "log"
    assert scores(again, 0, [0]) == scores(model, 0, [0])


@pytest.mark.parametrize(("stacked", "scale"), [(False, "standard"), (True, "max"), (True, "log")])
def test_the_graph_serves_whom_one_of_the_parts_knows(tmp_path: Path, scale, stacked):
    model = blend(ByUser, ByHistory, stacked=stacked)
    model.set_weights(torch.tensor([[0.25, 0.1], [0.75, 0.2]]), scale)
    bought = interactions()
    folder = write_recommender_bundle(
        tmp_path / "blend",
        model=model,
        user_ids=np.array(["a", "b", "c"], dtype=object),
        item_ids=np.array(["0", "1", "2", "3"], dtype=object),
        popularity=bought.buyers.numpy(),
        history_indptr=bought.history.indptr.numpy(),
        history_items=bought.history.values.numpy(),
        include_seen=False,
        item_names=None,
        provenance={"model": "Blend", "metrics": {}},
    )
    bundle = Bundle(folder)
    users, histories = ["a", "a", "stranger", "stranger"], [["0", "1"], [], ["2"], []]
    items, found = bundle.recommend(users, k=ITEMS, history=histories)
    asked = [(0, [0, 1]), (0, []), (USERS, [2])]
    for row, (user, history) in enumerate(asked):
        got = dict(zip(items[row], found[row].tolist(), strict=True))
        expected = scores(model, user, history)
        assert [got[str(item)] for item in range(ITEMS)] == pytest.approx(expected, abs=1e-5)
    assert found[3].tolist() == [2, 2, 1, 0]  # buyers
    assert bundle.manifest["fallback"] == "all_unknown"
    card = (folder / "README.md").read_text()
    assert "holds the ids of 3 customers" in card
    assert "Whatever is known of a customer counts" in card


@pytest.mark.parametrize(
    ("parts", "settings", "message"),
    [
        ((ByUser,), {}, "two parts at least"),
        (
            (ByUser, ByUser),
            {"weights": {"part0": 1}},
            "names part0, and the parts are part0, part1",
        ),
        ((ByUser, ByUser), {"weights": {"part0": 0, "part1": 0}}, "are all 0"),
        ((ByUser, ByUser), {"weights": {"part0": 1, "part1": 0}, "stacked": True}, "no effect"),
    ],
)
def test_a_blend_of_one_and_weights_of_others_are_refused(parts, settings, message):
    with pytest.raises(ConfigError, match=message):
        blend(*parts, **settings)


def test_parts_take_settings_of_their_own():
    class Sized(ByHistory):
        def __init__(self, num_users: int, num_items: int, size: int = 1) -> None:
            super().__init__(num_users, num_items)
            self.size = size

    sized: Any = partial(Sized, size=5)
    model = blend(Sized, sized, weights={"part0": 1, "part1": 1})
    assert [part.size for part in model.parts] == [1, 5]
