"""The wrapper around the graph: blocks, histories, what was seen, candidates."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recsys.errors import BundleError
from recsys.inference import Recommender
from recsys.inference import recommender as module

# Best first, from the popularity in conftest.py; the ties 9, 9 and 0, 0 to the lower index.
POPULAR = ["0012", "12", "a,b", 'say "hi"', "crème brûlée", "NA", " milk", "milk", "日本", "last"]


def test_scores_and_order_are_those_of_the_model(by_user: Recommender) -> None:
    # User 1 scores item i by (1 + i) % 10: the best is item 8, then 7, then 6.
    items, scores = by_user.recommend(["7"], k=3)
    assert items.tolist() == [["日本", "a,b", 'say "hi"']]
    assert scores.tolist() == [[9, 8, 7]]
    assert (items.dtype, scores.dtype) == (np.dtype(object), np.dtype(np.float32))


def test_unknown_users_get_what_is_popular_beside_known_ones(by_user: Recommender) -> None:
    items, _ = by_user.recommend(["nobody", "007", "07"], k=10)
    assert items[0].tolist() == items[2].tolist() == POPULAR
    assert items[1, 0] == "last"


def test_users_may_be_a_tuple_an_array_or_a_generator(by_user: Recommender) -> None:
    want = by_user.recommend(["7", "NA"])[0].tolist()
    assert by_user.recommend(("7", "NA"))[0].tolist() == want
    assert by_user.recommend(np.array(["7", "NA"]))[0].tolist() == want
    assert by_user.recommend(user for user in ("7", "NA"))[0].tolist() == want


@pytest.mark.parametrize("column", [pd.Series, pa.array, lambda ids: pa.chunked_array([ids])])
def test_columns_of_pandas_and_arrow_are_lists(by_user: Recommender, column: Any) -> None:
    want = by_user.recommend(["7", "NA"], k=3, exclude=["milk"], candidates=["milk", "12", "last"])
    got = by_user.recommend(
        column(["7", "NA"]),
        k=3,
        exclude=column(["milk"]),
        candidates=column(["milk", "12", "last"]),
    )
    assert got[0].tolist() == want[0].tolist()
    rows = by_user.recommend(["7", "NA"], k=10, exclude=[column(["milk"]), None])
    assert "milk" not in rows[0][0]
    assert "milk" in rows[0][1]


def test_sets_exclude_and_choose_where_the_order_does_not_count(by_user: Recommender) -> None:
    found, _ = by_user.recommend(["7"], k=2, exclude={"last"}, candidates={"milk", "12", "last"})
    assert set(found[0]) == {"milk", "12"}
    found, _ = by_user.recommend(["7"], k=10, exclude=[{"milk", "12"}])
    assert not {"milk", "12"} & set(found[0])


def test_a_pickled_recommender_opens_its_bundle_again(by_user: Recommender) -> None:
    again = pickle.loads(pickle.dumps(by_user))
    assert again.recommend(["7"])[0].tolist() == by_user.recommend(["7"])[0].tolist()


def test_more_threads_than_cores_are_said(bundles: Path) -> None:
    with pytest.warns(UserWarning, match="threads=5000: this machine has"):
        Recommender(bundles / "by_user", threads=5000)


def test_no_users_give_no_rows(by_user: Recommender) -> None:
    options: list[dict[str, Any]] = [{}, {"exclude": "seen"}, {"exclude": []}, {"history": []}]
    for option in options:
        items, scores = by_user.recommend([], k=4, **option)
        assert items.shape == scores.shape == (0, 4)


@pytest.mark.parametrize(("k", "width"), [(-1, 0), (0, 0), (10, 10), (10**6, 10), (np.int64(2), 2)])
def test_k_is_clamped(by_user: Recommender, k: int, width: int) -> None:
    items, scores = by_user.recommend(["7", "?"], k=k)
    assert items.shape == scores.shape == (2, width)


@pytest.mark.parametrize(
    "change",
    [
        {"users": "007"},
        {"users": [7]},
        {"users": [None]},
        {"users": 5},
        {"exclude": ["a", ["b"]]},
        {"exclude": [7]},
        {"exclude": ["a", 7]},
        {"history": ["a", "b"]},
        {"history": [["a"], [7]]},
        {"candidates": "milk"},
        {"k": 2.5},
        {"users": pd.DataFrame({"user_id": ["007", "7"]})},
        {"users": pa.table({"user_id": ["007", "7"]})},
        {"users": {"007": 1, "7": 2}},
        {"users": {"007", "7"}},
        {"exclude": pd.DataFrame({"item_id": ["milk"]})},
        {"exclude": {"007": ["milk"], "7": []}},
        {"history": {"007": ["milk"], "7": []}},
        {"history": [{"milk": 2}, None]},
        {"history": [{"milk", "12"}, None]},
        {"candidates": {"milk": 1.0}},
    ],
)
def test_wrong_types_are_refused(by_user: Recommender, change: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        by_user.recommend(**{"users": ["007", "7"]} | change)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"exclude": "milk"}, "exclude='milk' is not known"),
        ({"exclude": [["milk"]]}, "exclude has 1 rows for 2 users"),
        ({"history": [["milk"]]}, "history has 1 rows for 2 users"),
        ({"candidates": []}, "none of them is in the catalogue"),
        ({"candidates": ["gone"]}, "candidates holds 1 ids and none"),
        ({"exclude": ["seen"]}, "write exclude='seen'"),
    ],
)
def test_wrong_values_are_refused(
    by_user: Recommender, change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        by_user.recommend(["007", "7"], **change)


def test_exclude_takes_ids_for_all_users_or_for_each(by_user: Recommender) -> None:
    free, _ = by_user.recommend(["7", "NA"], k=10)
    for_all, scores = by_user.recommend(["7", "NA"], k=10, exclude=["milk", "no such item"])
    for row in range(2):
        assert for_all[row].tolist() == [item for item in free[row] if item != "milk"] + [""]
    assert np.isneginf(scores[:, -1]).all()
    for_each, _ = by_user.recommend(["7", "NA"], k=10, exclude=[[], ["日本", "a,b", "milk"]])
    assert for_each[0].tolist() == free[0].tolist()
    kept = [item for item in free[1] if item not in {"日本", "a,b", "milk"}]
    assert for_each[1].tolist() == [*kept, "", "", ""]


def test_seen_items_of_each_user_are_excluded(by_user: Recommender) -> None:
    # The fifth continues the longest id there is.
    users = ["007", "NA", "u 5", "nobody", "Zoë Müllers", "7", "Zoë Müller"]
    items, _ = by_user.recommend(users, k=10, exclude="seen")
    free, _ = by_user.recommend(users, k=10)
    assert items[0].tolist() == [item for item in free[0] if item not in {"milk", "12"}] + ["", ""]
    assert items[1].tolist() == free[1].tolist()
    assert set(items[2]) == {""}
    assert items[3].tolist() == items[4].tolist() == POPULAR
    assert items[5].tolist() == [item for item in free[5] if item != "日本"] + [""]
    assert items[6].tolist() == [item for item in free[6] if item != "last"] + [""]


@pytest.mark.parametrize("name", ["by_user_unseen", "by_history_unseen"])
def test_seen_without_the_file_says_how_to_get_it(bundles: Path, name: str) -> None:
    recommender = Recommender(bundles / name)
    with pytest.raises(BundleError, match="holds no seen.npz.*seen=true"):
        recommender.recommend(["007"], exclude="seen", history=[[]])


def test_stored_history_speaks_where_none_is_given(by_history: Recommender) -> None:
    # "007" bought milk, 12, milk: milk counts 1 + 1.5 as it also comes last, 12 counts 1.
    items, scores = by_history.recommend(["007", "名前"], k=2)
    assert items.tolist() == [["milk", "12"], ["0012", "last"]]
    assert scores.tolist() == [[2.5, 1], [2, 1.5]]


def test_given_history_speaks_instead_of_the_user(by_history: Recommender) -> None:
    history = [["NA"], None, [], None]
    items, _ = by_history.recommend(["007", "007", "007", "nobody"], k=2, history=history)
    assert items.tolist() == [["NA", "milk"], ["milk", "12"], POPULAR[:2], POPULAR[:2]]


def test_latest_item_stays_last_in_blocks_of_uneven_histories(by_history: Recommender) -> None:
    history = [["12"], ["milk", "日本", "NA", "a,b"], ["milk", "12"]]
    _, scores = by_history.recommend(["?"] * 3, k=1, history=history)
    assert scores.tolist() == [[1.5], [1.5], [1.5]]
    assert by_history.recommend(["?"] * 3, k=1, history=history)[0].tolist() == [
        ["12"],
        ["a,b"],
        ["12"],
    ]


def test_given_history_counts_as_seen(by_history: Recommender) -> None:
    items, _ = by_history.recommend(["7"], k=10, history=[["NA", "milk"]], exclude="seen")
    assert {"日本", "NA", "milk"}.isdisjoint(items[0])
    assert items[0].tolist().count("") == 3


def test_without_any_history_there_is_a_warning(bundles: Path) -> None:
    recommender = Recommender(bundles / "by_history_unseen")
    with pytest.warns(UserWarning, match="all users get the most popular items"):
        items, _ = recommender.recommend(["007"], k=3)
    assert items.tolist() == [POPULAR[:3]]
    assert recommender.recommend(["007"], k=1, history=[["NA"]])[0].tolist() == [["NA"]]


def test_models_of_ids_are_not_even_given_histories(
    by_user: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = by_user.recommend(["7"])[0].tolist()
    session = by_user._bundle.session
    run = session.run
    widths: list[int] = []

    def measure(names: list[str], feeds: dict[str, Any]) -> Any:
        widths.append(feeds["history"].shape[1])
        return run(names, feeds)

    monkeypatch.setattr(session, "run", measure)
    assert by_user.recommend(["7"], history=[["milk", "12"]])[0].tolist() == want
    assert widths == [0]


def test_candidates_restrict_what_is_returned(by_user: Recommender) -> None:
    users = ["7", "nobody"]
    free, _ = by_user.recommend(users, k=10)
    wanted = ["12", "milk", "NA", "not in the catalogue"]
    items, scores = by_user.recommend(users, k=5, candidates=wanted)
    for row in range(2):
        assert items[row].tolist() == [item for item in free[row] if item in wanted] + ["", ""]
    assert np.isneginf(scores[:, 3:]).all()
    items, _ = by_user.recommend(["007"], k=10, candidates=wanted, exclude="seen")
    assert items[0].tolist() == ["NA", *[""] * 9]


@pytest.mark.parametrize("name", ["by_user", "by_history"])
def test_blocks_change_nothing(bundles: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recommender = Recommender(bundles / name)
    users = ["007", "7", "NA", "Zoë Müller", "名前", "u 5", "nobody"] * 5
    exclude = [["milk"] * (row % 4) for row in range(len(users))]
    want = recommender.recommend(users, k=10, exclude=exclude)
    seen = recommender.recommend(users, k=10, exclude="seen")
    sizes: list[int] = []
    session = recommender._bundle.session
    run = session.run

    def count(names: list[str], feeds: dict[str, Any]) -> Any:
        sizes.append(len(feeds["user_id"]))
        return run(names, feeds)

    monkeypatch.setattr(session, "run", count)
    # 10 items of 6 floats: blocks of 3 users. Histories of up to 13 strings: blocks of 2 users.
    monkeypatch.setattr(module, "_BLOCK_FLOATS", 180)
    got = recommender.recommend(users, 10, exclude)
    assert got[0].tolist() == want[0].tolist()
    assert np.array_equal(got[1], want[1])
    assert recommender.recommend(users, 10, "seen")[0].tolist() == seen[0].tolist()
    assert set(sizes) == {3, 35 % 3}
    sizes.clear()
    monkeypatch.setattr(module, "_BLOCK_STRINGS", 26)
    assert recommender.recommend(users, 10, "seen")[0].tolist() == seen[0].tolist()
    assert max(sizes) <= 2


def test_item_names_are_there_where_exported(by_user: Recommender, bundles: Path) -> None:
    assert by_user.item_names == {"milk": "Milk, 1 l"}
    assert Recommender(bundles / "by_user_unseen").item_names == {}


def test_threads_can_be_set(bundles: Path, by_user: Recommender) -> None:
    one = Recommender(str(bundles / "by_user"), threads=1)
    assert one.recommend(["7"])[0].tolist() == by_user.recommend(["7"])[0].tolist()


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("seen.npz", lambda each: each.recommend(["007"], exclude="seen")),
        ("items.json", lambda each: each.item_names),
    ],
)
def test_a_file_replaced_after_the_bundle_was_opened_is_not_read(
    bundles: Path, tmp_path: Path, name: str, use: Any
) -> None:
    copy = shutil.copytree(bundles / "by_user", tmp_path / "copy")
    opened, (copied, content) = Recommender(copy), (copy / name, (copy / name).read_bytes())
    copied.write_bytes(content[:-1] + b"?")
    with pytest.raises(BundleError, match=rf"{name} has changed since the bundle was opened"):
        use(opened)
    copied.unlink()
    with pytest.raises(BundleError, match="open the bundle again"):
        use(opened)
    copied.write_bytes(content)
    use(opened)


def test_an_array_without_an_axis_is_not_read_by_its_letters(by_user: Recommender) -> None:
    for name, value in (("users", "12"), ("exclude", "seen"), ("candidates", "NA")):
        given = {"users": ["7"], name: np.array(value)}
        with pytest.raises(TypeError, match=f"{name} is a ndarray of the single string"):
            by_user.recommend(**given)
    with pytest.raises(TypeError, match="single string 'NA'"):
        by_user.recommend(["7"], exclude=[np.array("NA")])


def test_seen_in_the_list_of_a_user_is_no_item(by_user: Recommender) -> None:
    with pytest.raises(ValueError, match="write exclude='seen'"):
        by_user.recommend(["7", "NA"], exclude=[["seen"], []])


@pytest.mark.parametrize("inputs", [pd.DataFrame({"x": [1]}), ["x"]])
def test_further_inputs_come_by_name(by_user: Recommender, inputs: Any) -> None:
    with pytest.raises(TypeError, match="give a mapping from the names of inputs"):
        by_user.recommend(["7"], inputs=inputs)


def test_what_is_in_the_basket_is_the_latest_purchase_and_left_out(by_history: Recommender) -> None:
    # the last purchase counts 1.5, the others 1
    items, scores = by_history.recommend(["x"], k=2, history=[["milk", "NA"]])
    assert (items[0].tolist(), scores[0].tolist()) == (["NA", "milk"], [1.5, 1.0])
    items, scores = by_history.recommend(["x"], k=2, history=[["milk", "NA"]], basket=[["12"]])
    assert (items[0].tolist(), scores[0].tolist()) == (["milk", "NA"], [1.0, 1.0])
    # whoever has bought nothing is known by the basket
    bases = by_history.answered_from(["x", "y"], history=[[], []], basket=[["12"], ["gone"]])
    assert bases.tolist() == ["purchases", "popularity"]


def test_every_answer_tells_what_it_comes_from(
    by_user: Recommender, by_history: Recommender
) -> None:
    assert by_user.answered_from(["007", "nobody"]).tolist() == ["purchases", "popularity"]
    many = by_history.answered_from(["x"] * 3, history=[["milk"], ["gone"], None])
    assert many.tolist() == ["purchases", "popularity", "popularity"]


def test_a_bundle_that_does_not_tell_is_named(bundle: Path) -> None:
    earlier = Recommender(bundle)
    del earlier.manifest["outputs"][2:]
    with pytest.raises(BundleError, match="does not tell what answers come from"):
        earlier.answered_from(["7"])
