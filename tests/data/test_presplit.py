"""Published splits: three tables, one vocabulary, the parts as published."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.data.attributes import AttributeTable
from recsys.data.dataset import Dataset
from recsys.data.interactions import index_phase
from recsys.data.sources.presplit import presplit
from recsys.data.splits.presplit import Presplit
from recsys.errors import ConfigError, DataError

TRAIN = [(2, 10), (2, 9), (10, 10), (10, 100), (1, 9)]
TEST = [(2, 100), (10, 9)]
# 300 stands in no other table
LISTS = [
    (2, 100, True),
    (2, 300, False),
    (10, 9, True),
    (10, 10, False),
    (10, 10, False),
    (2, 9, False),
]


def write(folder: Path, name: str, rows: list[tuple[object, ...]], **types: object) -> str:
    columns = ["user_id", "item_id", "relevant"][: len(rows[0])]
    frame = pd.DataFrame(rows, columns=columns).astype(types)  # type: ignore[arg-type]
    path = folder / name
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return str(path)


@pytest.fixture
def published(tmp_path: Path) -> Dataset:
    """All three tables as Parquet with integer ids."""
    return presplit(
        write(tmp_path, "train.parquet", TRAIN),
        write(tmp_path, "test.parquet", TEST),
        write(tmp_path, "candidates.parquet", LISTS),
    )


def pairs(read: Dataset, rows: np.ndarray) -> list[tuple[str, str]]:
    return [(read.user_ids[read.user[row]], read.item_ids[read.item[row]]) for row in rows]


def test_parts_stay_as_published(published: Dataset) -> None:
    assert published.is_test is not None
    rows = np.arange(len(published))
    assert pairs(published, rows[~published.is_test]) == [(str(u), str(i)) for u, i in TRAIN]
    assert pairs(published, rows[published.is_test]) == [(str(u), str(i)) for u, i in TEST]


def test_integer_ids_sort_by_value_and_listed_items_join_the_vocabulary(
    published: Dataset,
) -> None:
    assert published.user_ids.tolist() == ["1", "2", "10"]
    assert published.item_ids.tolist() == ["9", "10", "100", "300"]
    assert published.report.items == 4


def test_lists_reach_the_test_phase_with_their_items_once(published: Dataset) -> None:
    phase = index_phase(published, "test", Presplit()(published, seed=1)["test"])
    assert phase.candidates is not None
    ids = phase.vocabulary
    listed: dict[str, list[tuple[str, bool]]] = {}
    for user, items, relevant in zip(
        *(part.tolist() for part in vars(phase.candidates).values()), strict=True
    ):
        rows = [
            (ids.item_ids[item], hit)
            for item, hit in zip(items, relevant, strict=True)
            if item < ids.num_items
        ]
        listed[ids.user_ids[user]] = rows
    assert listed == {
        "2": [("9", False), ("100", True), ("300", False)],
        "10": [("9", True), ("10", False)],
    }
    assert phase.counts["candidate_rows_repeated"] == 1


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    "written", [("True", "False"), ("true", "false"), ("1", "0"), ("1.0", "0.0")]
)
def test_relevance_is_read_from_text_too(
    tmp_path: Path, suffix: str, written: tuple[str, str]
) -> None:
    lists = [(u, i, written[0] if r else written[1]) for u, i, r in LISTS]
    read = presplit(
        write(tmp_path, f"train.{suffix}", TRAIN),
        write(tmp_path, f"test.{suffix}", TEST),
        write(tmp_path, f"candidates.{suffix}", lists),
    )
    assert read.candidates is not None
    assert read.candidates.relevant.tolist() == [r for _, _, r in LISTS]


@pytest.mark.parametrize("bad", ["maybe", "", "2"])
def test_relevance_that_is_neither_true_nor_false_is_refused(tmp_path: Path, bad: str) -> None:
    lists = [(2, 100, "true"), (2, 9, bad)]
    with pytest.raises(DataError, match=rf"relevant is '{bad}' in data row 2; write true or false"):
        presplit(
            write(tmp_path, "train.csv", TRAIN),
            write(tmp_path, "test.csv", TEST),
            write(tmp_path, "lists.csv", lists),
        )


def test_null_relevance_is_refused(tmp_path: Path) -> None:
    table = pa.table({"user_id": [2, 2], "item_id": [100, 9], "relevant": [None, True]})
    pq.write_table(table, tmp_path / "lists.parquet")
    with pytest.raises(DataError, match="relevant is None in data row 1"):
        presplit(
            write(tmp_path, "train.csv", TRAIN),
            write(tmp_path, "test.csv", TEST),
            str(tmp_path / "lists.parquet"),
        )


def test_parts_with_ids_of_different_types_meet(tmp_path: Path) -> None:
    read = presplit(
        write(tmp_path, "train.parquet", TRAIN),
        write(tmp_path, "test.parquet", TEST, user_id="float64", item_id="str"),
        write(tmp_path, "candidates.csv", LISTS),
    )
    assert read.user_ids.tolist() == ["1", "2", "10"]
    assert read.item_ids.tolist() == ["9", "10", "100", "300"]


def test_without_lists_the_catalogue_is_ranked(tmp_path: Path) -> None:
    read = presplit(write(tmp_path, "train.csv", TRAIN), write(tmp_path, "test.csv", TEST))
    assert read.candidates is None
    phases = Presplit()(read, seed=1)
    assert phases["val"].sampled_negatives == 0
    assert not phases["test"].candidates


def test_users_of_the_test_part_that_train_does_not_know_are_counted(tmp_path: Path) -> None:
    read = presplit(
        write(tmp_path, "train.csv", TRAIN),
        write(tmp_path, "test.csv", [*TEST, (77, 9), (78, 9), (2, 555)]),
    )
    counts = index_phase(read, "test", Presplit()(read, seed=1)["test"]).counts
    assert counts["truth_users_unknown"] == 2
    assert counts["truth_rows_of_unknown_items"] == 1
    assert counts["truth_users"] == 4


def test_listed_users_that_no_part_has_are_counted(tmp_path: Path) -> None:
    read = presplit(
        write(tmp_path, "train.csv", TRAIN),
        write(tmp_path, "test.csv", TEST),
        write(tmp_path, "lists.csv", [*LISTS, (99, 9, True), (99, 10, False)]),
    )
    assert read.report.dropped == {"a candidate's user that is in neither part": 2}


def test_null_ids_are_an_error_or_leave_the_border_between_the_parts_where_it_is(
    tmp_path: Path,
) -> None:
    train = write(tmp_path, "train.csv", [(2, 10), ("", 9), (10, 10), (10, 100), (1, "")])
    test = write(tmp_path, "test.csv", [("", 100), *TEST])
    with pytest.raises(DataError, match=r"train\.csv and test\.csv: 2 rows have no user_id"):
        presplit(train, test)
    read = presplit(train, test, on_bad_rows="drop")
    assert read.report.dropped == {"no user_id": 2, "no item_id": 1}
    assert read.is_test is not None
    assert pairs(read, np.flatnonzero(read.is_test)) == [("2", "100"), ("10", "9")]


def test_list_without_an_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"data\.candidates_path: data row 2 has no user_id or no item_id"
    ):
        presplit(
            write(tmp_path, "train.csv", TRAIN),
            write(tmp_path, "test.csv", TEST),
            write(tmp_path, "lists.csv", [(2, 9, True), ("", 9, False)]),
        )


@pytest.mark.parametrize("missing", ["train_path", "test_path", "candidates_path"])
def test_missing_part_is_named_with_where_to_get_it(tmp_path: Path, missing: str) -> None:
    paths = {
        "train_path": write(tmp_path, "train.csv", TRAIN),
        "test_path": write(tmp_path, "test.csv", TEST),
        "candidates_path": write(tmp_path, "lists.csv", LISTS),
    }
    with pytest.raises(
        DataError, match=rf"^data\.{missing}: nowhere\.csv does not exist; ask the author$"
    ):
        presplit(**paths | {missing: "nowhere.csv"}, where="ask the author")  # type: ignore[arg-type]


def test_part_without_its_column_names_the_part(tmp_path: Path) -> None:
    lists = write(tmp_path, "lists.csv", TEST)
    with pytest.raises(DataError, match=r"column 'relevant' is not in lists\.csv"):
        presplit(write(tmp_path, "train.csv", TRAIN), write(tmp_path, "test.csv", TEST), lists)


def test_empty_part_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("user_id,item_id\n")
    with pytest.raises(
        DataError, match=r"test\.csv has a header but no rows; point data\.test_path"
    ):
        presplit(write(tmp_path, "train.csv", TRAIN), str(tmp_path / "test.csv"))


def test_database_is_refused_for_a_published_split(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"data\.test_path is a URL, but a published split is read from files"
    ):
        presplit(write(tmp_path, "train.csv", TRAIN), "postgresql://bob:secret@host/shop")


def test_items_of_a_published_split_have_attributes_candidates_too(tmp_path: Path) -> None:
    table = pd.DataFrame({"item_id": ["9", "100"], "shelf": ["cold", "dry"]})
    read = presplit(
        write(tmp_path, "train.csv", TRAIN),
        write(tmp_path, "test.csv", TEST),
        write(tmp_path, "lists.csv", LISTS),
        items=AttributeTable(table),
    )
    shelf = read.items["shelf"]
    assert len(shelf) == len(read.item_ids)
    assert shelf.categories is not None
    row = read.item_ids.tolist().index("9")
    assert shelf.categories[shelf.values[row]] == "cold"
    assert read.report.to_json()["attributes"]["items"]["rows"] == 2  # type: ignore[index]


def test_test_part_of_several_files_is_read_in_their_order(tmp_path: Path) -> None:
    warm, cold = write(tmp_path, "warm.csv", TEST[:1]), write(tmp_path, "cold.csv", TEST[1:])
    read = presplit(write(tmp_path, "train.csv", TRAIN), [warm, cold])
    assert read.is_test is not None
    assert pairs(read, np.flatnonzero(read.is_test)) == [(str(u), str(i)) for u, i in TEST]
    with pytest.raises(ConfigError, match="name at least one file"):
        presplit(write(tmp_path, "train.csv", TRAIN), [])
    with pytest.raises(DataError, match=r"data\.test_path: .*gone\.csv does not exist"):
        presplit(write(tmp_path, "train.csv", TRAIN), [warm, str(tmp_path / "gone.csv")])


def test_items_that_are_cold_in_validation_are_held_out_with_all_their_buyers(
    tmp_path: Path,
) -> None:
    rows: list[tuple[object, ...]] = [(user, item) for user in range(6) for item in range(10)]
    read = presplit(write(tmp_path, "train.csv", rows), write(tmp_path, "test.csv", [(0, 3)]))
    phases = Presplit(validation_cold_items=0.2)(read, seed=1)
    val, test = phases["val"], phases["test"]
    held_out = np.setdiff1d(read.item[val.truth], read.item[val.fit])
    assert len(held_out) == 2
    # all six buyers of each, and one item of every user that stays warm
    assert len(val.truth) == 2 * 6 + 6
    assert len(val.fit) == 60 - 18
    assert len(test.fit) == 60
    again = Presplit(validation_cold_items=0.2)(read, seed=1)["val"]
    assert again.truth.tolist() == val.truth.tolist()
    other = Presplit(validation_cold_items=0.2)(read, seed=2)["val"]
    assert other.truth.tolist() != val.truth.tolist()


def test_users_that_are_cold_in_validation_are_held_out_altogether(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [(user, item) for user in range(10) for item in range(6)]
    read = presplit(write(tmp_path, "train.csv", rows), write(tmp_path, "test.csv", [(0, 3)]))
    val = Presplit(validation_cold_users=0.2)(read, seed=1)["val"]
    held_out = np.setdiff1d(read.user[val.truth], read.user[val.fit])
    assert len(held_out) == 2
    # all six purchases of each, and one of every other
    assert len(val.truth) == 2 * 6 + 8
    data = index_phase(read, "val", val, cold_users=True)
    assert data.cold_users is not None
    assert data.cold_users.truth.lengths().tolist() == [6, 6]
    again = Presplit(validation_cold_users=0.2)(read, seed=1)["val"]
    assert again.truth.tolist() == val.truth.tolist()
    # items are drawn as without
    both = Presplit(validation_cold_items=0.5, validation_cold_users=0.2)(read, seed=1)["val"]
    items = Presplit(validation_cold_items=0.5)(read, seed=1)["val"]
    assert set(read.item[both.fit]) <= set(read.item[items.fit])


def test_negatives_of_validation_say_where_there_are_no_candidates(tmp_path: Path) -> None:
    read = presplit(write(tmp_path, "train.csv", TRAIN), write(tmp_path, "test.csv", TEST))
    with pytest.raises(ConfigError, match="validation_negatives=7 has no effect without candidat"):
        Presplit(7)(read, seed=1)
