"""Rules of the shop: what may be shown, how often of a kind, and how varied.

User "007" scores item i by i, user "7" by (1 + i) modulo 10: the best items are the last ones, then
those before. Departments of the ten items, from the first to the last: four of dairy, three of tea,
two of toys, and one of none.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.bundle.item_columns import ItemColumn, read_item_columns, write_item_columns
from recsys.errors import BundleError, ConfigError
from recsys.inference import Recommender, Rules, verify

ITEMS = ["milk", " milk", "0012", "12", "NA", "crème brûlée", 'say "hi"', "a,b", "日本", "last"]
# best first, of user "007"
BEST = ITEMS[::-1]


def lists(recommender: Recommender, rules: Rules | None, users: Any = ("007",), **more: Any) -> Any:
    return recommender.recommend(users, **{"k": 10, "rules": rules} | more)[0].tolist()


def filled(row: list[str]) -> list[str]:
    return row + [""] * (10 - len(row))


def test_columns_are_in_the_bundle_and_its_checks(bundles: Path, with_columns: Recommender) -> None:
    assert verify(bundles / "with_columns").cases == 8
    assert list(with_columns.items.columns) == ["department", "tags", "price"]
    card = (bundles / "with_columns" / "README.md").read_text(encoding="utf-8")
    assert "`department`, `tags`, `price`" in card
    assert not Recommender(bundles / "by_user").items.columns


def test_rules_that_ask_for_nothing_change_nothing(with_columns: Recommender) -> None:
    want = with_columns.recommend(["007", "7", "?"], k=4)
    found = with_columns.recommend(["007", "7", "?"], k=4, rules=Rules())
    assert found[0].tolist() == want[0].tolist()
    assert found[1].tolist() == want[1].tolist()


@pytest.mark.parametrize(
    ("rules", "items"),
    [
        # an item without a price satisfies no band
        ({"minimum": {"price": 8}}, ["日本", "a,b"]),
        ({"maximum": {"price": 2}}, [" milk", "milk"]),
        ({"minimum": {"price": 5}, "maximum": {"price": 6}}, ["crème brûlée", "NA"]),
        ({"require": {"department": ["toys", "tea"]}}, BEST[1:6]),
        ({"forbid": {"department": ["toys", "dairy"]}}, ["last", *BEST[3:6]]),
        ({"require": {"tags": ["bio"]}}, ["12", " milk"]),
        ({"forbid": {"tags": ["bio", "new"]}}, [*BEST[:6], "0012"]),
        ({"require": {"item_id": ["12", "last", "gone"]}}, ["last", "12"]),
    ],
)
def test_what_may_be_shown(with_columns: Recommender, rules: Any, items: list[str]) -> None:
    found, scores = with_columns.recommend(["007"], k=10, rules=Rules(**rules))
    assert found.tolist() == [filled(items)]
    assert scores[0, : len(items)].tolist() == [ITEMS.index(item) for item in items]
    assert np.isneginf(scores[0, len(items) :]).all()


def test_many_items_are_asked_for_a_few_more_and_few_are_named(
    with_columns: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, asked = with_columns._bundle.session, []
    run = session.run

    def spy(names: Any, feeds: Any) -> Any:
        asked.append((feeds["allowed"].shape, int(feeds["k"][0])))
        return run(names, feeds)

    module = "recsys.inference.recommender"
    monkeypatch.setattr(session, "run", spy)
    monkeypatch.setattr(f"{module}._LARGEST_PART", 1)
    monkeypatch.setattr(f"{module}._MORE", 2)
    # 1.3 x 2 items where eight of ten are kept, and 2 more: two of the best five are of toys
    no_toys = Rules(forbid={"department": ["toys"]})
    assert lists(with_columns, no_toys, k=2) == [["last", 'say "hi"']]
    assert asked == [((1, 0), 5)]
    # among the best six is nothing of dairy, so its four items are named
    monkeypatch.setattr(f"{module}._MORE", 0)
    asked.clear()
    assert lists(with_columns, Rules(require={"department": ["dairy"]}), k=2) == [["12", "0012"]]
    assert asked == [((1, 0), 6), ((1, 4), 2)]
    # of the best three one is kept, and it takes fewer words to name the two that are not
    asked.clear()
    assert lists(with_columns, no_toys, k=2) == [["last", 'say "hi"']]
    assert asked == [((1, 0), 3), ((1, 0), 2)]


def test_at_most_so_many_of_a_category(with_columns: Recommender) -> None:
    rules = Rules(max_per_category={"department": 2})
    want = ["last", "日本", "a,b", 'say "hi"', "crème brûlée", "12", "0012"]
    assert lists(with_columns, rules) == [filled(want)]
    both = Rules(max_per_category={"department": 2, "tags": 1})
    assert lists(with_columns, both) == [filled(want)]
    assert lists(with_columns, both, exclude=["0012"]) == [filled([*want[:-1], "milk"])]


def test_a_list_that_stays_short_gets_more_to_choose_from(with_columns: Recommender) -> None:
    # the pool of two holds one of none and one of toys; then 16 are all
    rules = Rules(max_per_category={"department": 1}, pool=2)
    assert lists(with_columns, rules, k=4) == [["last", "日本", 'say "hi"', "12"]]


def test_boosts_add_to_the_relevance_and_bury(with_columns: Recommender) -> None:
    # relevance is i / 9: the best of dairy has 3/9 and passes 8/9 with .6, but not 9/9
    rules = Rules(boost={"department": {"dairy": 0.6, "toys": -1}})
    found, scores = with_columns.recommend(["007"], k=4, rules=rules)
    assert found.tolist() == [["last", "12", "0012", " milk"]]
    assert scores.tolist() == [[9, 3, 2, 1]]  # of the model, as ever
    named = Rules(boost={"item_id": {"milk": 2, "gone": 5}})
    assert lists(with_columns, named, k=2) == [["milk", "last"]]


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_variety_by_departments(with_columns: Recommender, method: Any) -> None:
    rules = Rules(diversity=0.9, diversity_method=method, diversity_columns=["department"])
    (found,) = lists(with_columns, rules, k=4)
    assert found[0] == "last"
    kinds = [min(3, sum(ITEMS.index(item) >= n for n in (4, 7, 9))) for item in found]
    assert sorted(kinds) == [0, 1, 2, 3]


def test_no_variety_is_relevance_alone(with_columns: Recommender) -> None:
    rules = Rules(diversity=1e-6, diversity_method="mmr")
    assert lists(with_columns, rules) == [BEST]


def test_vectors_make_items_alike(with_columns: Recommender) -> None:
    vectors = {item: [1.0, float(place % 2)] for place, item in enumerate(ITEMS)}
    rules = Rules(diversity=1, diversity_columns=["look"])
    # of the next, the first that is less alike; from the third on all are equally alike
    (found,) = lists(with_columns, rules, k=2, item_columns={"look": vectors})
    assert found == ["last", "日本"]


def test_calibration_follows_what_was_bought(with_columns: Recommender) -> None:
    # "007" bought milk, 12 and milk again: all of it dairy
    rules = Rules(calibration=0.99, calibration_column="department")
    assert lists(with_columns, rules, k=3) == [["12", "0012", " milk"]]
    # who bought nothing, or only what has no department, gets what is relevant
    assert lists(with_columns, rules, ["NA", "Zoë Müller"], k=2) == [
        lists(with_columns, None, ["NA"], k=2)[0],
        lists(with_columns, None, ["Zoë Müller"], k=2)[0],
    ]
    history = [["a,b", "日本"], None]
    found = lists(with_columns, rules, ["007", "007"], k=2, history=history)
    assert found == [["日本", "a,b"], ["12", "0012"]]


def test_an_item_is_on_no_more_lists_than_its_share(with_columns: Recommender) -> None:
    users = ["?"] * 10  # all are alike
    found, _ = with_columns.recommend(users, k=2, rules=Rules(max_share=0.3))
    items, lists_with = np.unique(found[found != ""], return_counts=True)
    assert lists_with.max() == 3
    assert len(items) == 7  # 20 places
    # a pool that is used up is widened
    small, _ = with_columns.recommend(users, k=2, rules=Rules(max_share=0.3, pool=2))
    assert "" not in small
    assert np.unique(small, return_counts=True)[1].max() == 3


def test_candidates_baskets_and_exclusions_go_with_rules(with_columns: Recommender) -> None:
    rules = Rules(minimum={"price": 2}, max_per_category={"department": 1})
    shared = lists(with_columns, rules, candidates=["milk", "12", "0012", "NA", "last"])
    assert shared == [filled(["NA", "12"])]
    each = lists(
        with_columns,
        Rules(minimum={"price": 2}),
        ["007"] * 4,
        candidates=[["12", "milk"], ["milk"], None, []],
        basket=[[], [], BEST[:5], []],
    )
    assert each == [filled(["12"]), filled([]), filled(BEST[5:9]), filled([])]
    assert lists(with_columns, None, basket=[BEST[:3]], exclude="seen", k=2) == [BEST[3:5]]


def test_blocks_and_pools_of_many_users_change_nothing(
    with_columns: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = ["007", "7", "NA", "Zoë Müller", "名前", "u 5", "?"] * 3
    rules = Rules(diversity=0.4, max_per_category={"tags": 1}, minimum={"price": 2})
    want = with_columns.recommend(users, k=3, rules=rules)
    monkeypatch.setattr("recsys.inference.rules._BLOCK_CELLS", 100)
    monkeypatch.setattr("recsys.inference.recommender._BLOCK_FLOATS", 180)
    found = with_columns.recommend(users, k=3, rules=rules)
    assert found[0].tolist() == want[0].tolist()
    assert found[1].tolist() == want[1].tolist()
    one = [lists(with_columns, rules, [user], k=3)[0] for user in users]
    assert one == want[0].tolist()


def test_columns_of_the_call_stand_in_place_of_the_bundles(with_columns: Recommender) -> None:
    today = {"price": {"milk": 100.0, "12": 90.0, "gone": 1.0}, "stock": {"milk": 0, "12": 3}}
    assert lists(with_columns, Rules(minimum={"price": 5}), item_columns=today) == [
        filled(["12", "milk"])
    ]
    assert lists(with_columns, Rules(minimum={"stock": 1}), item_columns=today) == [filled(["12"])]
    prepared = with_columns.items.with_columns(today)
    assert lists(with_columns, Rules(minimum={"stock": 0}), item_columns=prepared) == [
        filled(["12", "milk"])
    ]
    # the bundle's own are as they were
    assert lists(with_columns, Rules(minimum={"price": 9})) == [filled(["日本"])]


def test_bundles_without_columns_take_those_of_the_call(by_user: Recommender) -> None:
    stock = {"stock": dict.fromkeys(ITEMS[:3], 1)}
    assert lists(by_user, Rules(minimum={"stock": 1}), item_columns=stock) == [
        filled(["0012", " milk", "milk"])
    ]


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ({"minimum": {"prise": 1}}, "rules: minimum: 'prise' is not a known column of the items; "
         "did you mean price"),
        ({"minimum": {"department": 1}}, "whose kind is category, and needs one of kind number"),
        ({"max_per_category": {"price": 1}}, "whose kind is number, and needs one of kind"),
        ({"require": {"department": ["dary"]}}, "names 'dary', which no item has; did you mean"),
        ({"minimum": {"price": 99}}, "no item of .* satisfies minimum.price=99"),
        ({"diversity": 0.3, "diversity_columns": ["price"]}, "rules: diversity names"),
    ],
)  # fmt: skip
def test_rules_that_do_not_fit_the_items_are_refused(
    with_columns: Recommender, rules: Any, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        lists(with_columns, Rules(**rules))


def test_what_a_bundle_lacks_is_said(bundles: Path, by_user: Recommender) -> None:
    for rules in (Rules(minimum={"price": 1}), Rules(diversity=0.3)):
        with pytest.raises(ConfigError, match="train with data.items.path and export again"):
            lists(by_user, rules)
    unseen = Recommender(bundles / "by_user_unseen")
    columns = {"department": dict.fromkeys(ITEMS, "all")}
    calibrated = Rules(calibration=0.5, calibration_column="department")
    with pytest.raises(BundleError, match="holds no seen.npz, and calibration looks"):
        lists(unseen, calibrated, item_columns=columns)
    with pytest.raises(ValueError, match="item_columns has no effect without rules"):
        lists(by_user, None, item_columns=columns)
    with pytest.raises(ValueError, match="holds 1 ids and none of them is in the catalogue"):
        lists(by_user, Rules(), item_columns={"stock": {"gone": 1}})
    with pytest.raises(TypeError, match="values of type float, str: give text, or numbers"):
        lists(by_user, Rules(), item_columns={"stock": {"milk": 1.0, "12": "two"}})


@pytest.mark.parametrize(
    ("rules", "error", "sentence"),
    [
        ({"diversity": 1.5}, ConfigError, "diversity=1.5 has to be from 0 to 1"),
        ({"diversity": "0.3"}, TypeError, "diversity is '0.3': give a number"),
        ({"minimum": {"price": "1"}}, TypeError, "minimum.price is '1'"),
        ({"minimum": {"price": float("nan")}}, ConfigError, "minimum.price=nan"),
        ({"require": {"department": "dairy"}}, TypeError, "require.department is 'dairy'"),
        ({"max_per_category": {"department": 0}}, ConfigError, "whole number of 1 or more"),
        ({"max_per_category": "department"}, TypeError, "give a mapping from columns"),
        ({"boost": {"department": 0.3}}, TypeError, "boost.department is 0.3: give a mapping"),
        ({"diversity_method": "msd", "diversity": 0.1}, ConfigError, "choose mmr, dpp"),
        ({"diversity_columns": ["tags"]}, ConfigError, "no effect without diversity"),
        ({"calibration": 0.3}, ConfigError, "calibration and calibration_column go together"),
        ({"max_share": 0}, ConfigError, "max_share=0 has to be above 0"),
        ({"pool": 0}, ConfigError, "pool=0 has to be 1 or more"),
        (
            {"calibration": 0.3, "calibration_column": "tags", "diversity": 0.2,
             "diversity_method": "dpp"},
            ConfigError, "calibration does not go with diversity_method=dpp",
        ),
    ],
)  # fmt: skip
def test_rules_without_sense_are_refused(rules: Any, error: Any, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        Rules(**rules)


def test_columns_survive_their_file_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    ids = np.array(["a", "b", "ü"], dtype=object)
    columns = [
        ItemColumn.of_values("kind", ["x", None, "y"]),
        ItemColumn.of_values("tags", [["q", "p", "q"], None, []]),
        ItemColumn.of_values("price", [1.5, None, float("nan")]),
        ItemColumn.of_values("look", [[1, 0], [0.5, 0.5], None]),
    ]
    file = tmp_path / "item_columns.npz"
    write_item_columns(file, ids, columns)
    found_ids, found = read_item_columns(file.read_bytes(), file)
    assert found_ids.tolist() == ids.tolist()
    assert [each.kind for each in found.values()] == ["category", "list", "number", "vector"]
    for each in columns:
        again = found[each.name]
        assert np.array_equal(again.values, each.values, equal_nan=True)
        if each.terms is not None and each.offsets is not None:
            assert again.terms is not None
            assert again.terms.tolist() == each.terms.tolist()
            assert np.array_equal(again.offsets, each.offsets)
    assert found["tags"].values.tolist() == [0, 1]  # p and q, once each
    for content in (b"", file.read_bytes()[:-40]):
        with pytest.raises(BundleError, match="is not a valid item_columns.npz"):
            read_item_columns(content, file)
    write_item_columns(file, ids[:2], columns)
    with pytest.raises(BundleError, match="'kind' does not fit 2 items"):
        read_item_columns(file.read_bytes(), file)
