"""TIFU-kNN by arithmetic and against loops over baskets; it leaves as it answers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.errors import ConfigError
from recsys.export import write_recommender_bundle
from recsys.export.recommender.graph import build_graph
from recsys.inference.bundle import open_session
from recsys.models.recommender import Query, Recommender
from recsys.models.recommenders.tifu_knn import TIFUKNN

END = 40  # the day of all queries
Bought = list[list[tuple[int, int]]]


def made_up(num_users: int = 30, num_items: int = 20, seed: int = 0) -> Bought:
    """Days and items of every user, each pair once, in the order of time; user 3 bought nothing."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(num_users):
        size = 0 if user == 3 else rng.integers(1, 30)
        days, items = rng.integers(0, END, size), rng.integers(0, num_items, size)
        rows.append(sorted(set(zip(days.tolist(), items.tolist(), strict=True))))
    return rows


def interactions(rows: Bought, num_items: int) -> Interactions:
    user = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    day, item = np.array([pair for row in rows for pair in row]).T
    history = Ragged.from_sorted(user, item, len(rows))
    return Interactions(history, num_items, torch.from_numpy(day).int())


def queries(rows: Bought, num_items: int) -> Query:
    data = interactions(rows, num_items)
    users = torch.arange(len(rows))
    assert data.day is not None
    ages = Ragged(data.history.indptr, (END - data.day).float())
    return Query(users, data.history.padded(users, num_items), ages.padded(users, 0))


def fitted(rows: Bought, num_items: int, **options: Any) -> TIFUKNN:
    model = TIFUKNN(len(rows), num_items, **options)
    model.fit(interactions(rows, num_items))
    return model.eval()


def frequency(
    row: list[tuple[int, int]], num_items: int, groups: int, within: float, between: float
) -> np.ndarray:
    """p of one user, group by group and basket by basket."""
    days = sorted({day for day, _ in row})
    baskets = [[item for day, item in row if day == each] for each in days]
    number = min(groups, len(baskets))
    found = np.zeros(num_items)
    start = 0
    for group in range(number):
        short, long = divmod(len(baskets), number)
        size = short + (group >= number - long)
        for place, basket in enumerate(baskets[start : start + size]):
            found[basket] += within ** (size - 1 - place) / size * between ** (number - 1 - group)
        start += size
    return found / max(1, number)


def test_frequencies_by_hand() -> None:
    # five baskets in two groups: {0, 1}, {0} and {0}, {2}, {0}
    row = [(1, 0), (1, 1), (5, 0), (9, 0), (12, 2), (30, 0)]
    model = fitted([row, [(1, 3)]], 4, num_groups=2, within_decay=0.5, group_decay=0.1, alpha=1.0)
    early, late = 0.1 / 2, 1 / 3
    expected = [
        early * (0.5 + 1) + late * (0.25 + 1),
        early * 0.5,
        late * 0.5,
        0.0,
    ]
    scores = model.score_all(queries([row, []], 4))
    torch.testing.assert_close(scores[0], torch.tensor(expected) / 2)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_neighbours": 4, "num_groups": 3, "within_decay": 0.7, "group_decay": 0.5},
        {"num_neighbours": 1, "num_groups": 1, "alpha": 0.0, "within_decay": 1.0},
    ],
)
def test_scores_are_those_of_a_loop_over_baskets_and_neighbours(options: dict[str, Any]) -> None:
    rows, num_items = made_up(), 20
    used = {"num_groups": 7, "within_decay": 0.9, "group_decay": 0.7, "alpha": 0.7} | options
    settings = used["num_groups"], used["within_decay"], used["group_decay"]
    own = np.stack([frequency(row, num_items, *settings) for row in rows])
    known = np.array([user for user, row in enumerate(rows) if row])  # nobody is like user 3
    distance = ((own[:, None] - own[known]) ** 2).sum(axis=2)
    near = known[distance.argsort(axis=1, kind="stable")[:, : used.get("num_neighbours", 300)]]
    expected = used["alpha"] * own + (1 - used["alpha"]) * own[near].mean(axis=1)
    scores = fitted(rows, num_items, **options).score_all(queries(rows, num_items))
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_purchases_of_equal_age_are_one_basket_in_any_order() -> None:
    rows = made_up()
    model, query = fitted(rows, 20), queries(rows, 20)
    assert query.age is not None
    order = torch.randperm(query.history.shape[1], generator=torch.Generator().manual_seed(1))
    shuffled = Query(query.user, query.history[:, order], query.age[:, order])
    torch.testing.assert_close(model.score_all(shuffled), model.score_all(query))
    # only the order of baskets counts, not how long ago they were
    older = Query(query.user, query.history, query.age * 3 + 100)
    torch.testing.assert_close(model.score_all(older), model.score_all(query))


def test_it_serves_users_whom_it_never_saw_and_candidates_as_the_catalogue() -> None:
    rows = made_up()
    model = fitted(rows[:25], 20)
    assert isinstance(model, Recommender)
    query = queries(rows, 20)
    scores = model.score_all(query)
    assert torch.isfinite(scores).all()
    items = torch.arange(60).view(30, 2) % 20
    torch.testing.assert_close(model(query, items), scores.gather(1, items))


def test_ties_of_distance_go_to_the_lower_user() -> None:
    # both others are as far away; the one neighbour beside the user is the first of them
    rows: Bought = [[(1, 0)], [(1, 1)], [(1, 2)]]
    scores = fitted(rows, 3, num_neighbours=2, alpha=0.0).score_all(queries(rows, 3))
    assert scores.tolist() == [[0.5, 0.5, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]]


def test_a_fresh_model_takes_what_a_checkpoint_holds() -> None:
    rows = made_up()
    model, again = fitted(rows, 20, num_neighbours=5), TIFUKNN(30, 20, num_neighbours=5)
    again.load_state_dict(model.state_dict())
    query = queries(rows, 20)
    assert torch.equal(again.score_all(query), model.score_all(query))


def test_purchases_without_days_are_refused() -> None:
    data = interactions(made_up(), 20)
    with pytest.raises(ConfigError, match="tells baskets apart by their days.*timestamp"):
        TIFUKNN(30, 20).fit(Interactions(data.history, 20))


def exported(folder: Path, rows: Bought, model: TIFUKNN) -> Path:
    data = interactions(rows, model.num_items)
    assert data.day is not None
    return write_recommender_bundle(
        folder,
        model=model,
        user_ids=np.array([f"u{user}" for user in range(len(rows))]),
        item_ids=np.array([f"i{item}" for item in range(model.num_items)]),
        popularity=data.buyers.numpy(),
        history_indptr=data.history.indptr.numpy(),
        history_items=data.history.values.numpy(),
        history_age=(END - data.day).numpy(),
        include_seen=False,
        item_names=None,
        provenance={"model": "TIFUKNN", "metrics": {}},
    )


def test_it_leaves_with_the_same_answers_and_the_card_says_what_it_holds(tmp_path: Path) -> None:
    rows = made_up()
    folder = exported(tmp_path / "tifu", rows, fitted(rows, 20, num_neighbours=5))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["parity"]["largest_difference"] < 1e-6
    assert manifest["fallback"] == "history"
    assert manifest["holds_purchases"] is True
    card = (folder / "README.md").read_text()
    assert "holds how often each of up to 30 customers bought what, without their ids" in card


def test_the_graph_knows_baskets_by_their_age() -> None:
    rows: Bought = [[(1, 0)], [(1, 1)]]
    model = fitted(rows, 4, num_groups=2, within_decay=0.5, group_decay=0.1, alpha=1.0)
    ids = [np.array([f"{name}{place}" for place in range(4)], dtype=object) for name in "ui"]
    graph = build_graph(model, ids[0][:2], ids[1], np.zeros(4, dtype=np.float32))
    history = ["i0", "i1", "i0", "i0", "i2", "i0", ""]
    found, scores = open_session(graph.SerializeToString()).run(
        ["item_id", "score"],
        {
            "user_id": np.array(["?"], dtype=object),
            "history": np.array([history], dtype=object),
            "history_age": np.array([[30.0, 30, 20, 10, 5, 1, 0]], dtype=np.float32),
            "exclude": np.empty((1, 0), dtype=object),
            "allowed": np.empty((1, 0), dtype=object),
            "k": np.array([4], dtype=np.int64),
        },
    )
    # as by hand above
    early, late = 0.1 / 2, 1 / 3
    expected = [early * 1.5 + late * 1.25, late * 0.5, early * 0.5, 0]
    assert found.tolist() == [["i0", "i2", "i1", "i3"]]
    np.testing.assert_allclose(scores[0], np.array(expected) / 2, rtol=1e-6)
