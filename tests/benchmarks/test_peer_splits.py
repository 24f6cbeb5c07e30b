import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from benchmarks.prepared import asked_phase, pairs_of, phase_of
from benchmarks.quality import Factors, Scores, ndcg, ndcg_by_epoch
from benchmarks.split import PairSplit

from recsys.errors import DataError


def write(folder, name, **columns):
    folder.mkdir(exist_ok=True)
    pa.parquet.write_table(pa.table(columns), folder / name)


@pytest.fixture
def split():
    """Three users, four items; the third user is asked nothing."""
    train = np.array([[0, 0], [0, 1], [1, 1], [1, 2], [2, 0], [2, 3]])
    test = np.array([[0, 2], [1, 3]])
    return PairSplit(3, 4, *train.T.copy(), *test.T.copy())


def test_a_split_comes_back_as_it_was_saved(split, tmp_path):
    split.save(tmp_path / "split.npz")
    loaded = PairSplit.load(tmp_path / "split.npz")
    assert (loaded.num_users, loaded.num_items) == (3, 4)
    for name in ("train_user", "train_item", "test_user", "test_item"):
        assert np.array_equal(getattr(loaded, name), getattr(split, name))


def test_a_split_and_its_phase_hold_the_same_pairs(split):
    back = pairs_of(phase_of(split))
    for name in ("train_user", "train_item", "test_user", "test_item"):
        assert np.array_equal(getattr(back, name), getattr(split, name)), name


def test_the_last_film_of_each_user_is_asked(tmp_path, monkeypatch):
    write(
        tmp_path / "movielens_100k",
        "interactions.parquet",
        user_id=[1, 1, 1, 2, 2, 2],
        item_id=[10, 11, 12, 12, 11, 10],
        rating=[5, 1, 3, 4, 4, 4],
        timestamp=pa.array([1, 3, 2, 1, 2, 3], pa.timestamp("s")),
    )
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path))
    split = pairs_of(asked_phase("movielens_100k"))
    # user 1 saw 10, 12, 11 and user 2 saw 12, 11, 10; 10, 11, 12 are 0, 1, 2
    assert list(zip(split.train_user, split.train_item, strict=True)) == [
        (0, 0),
        (0, 2),
        (1, 1),
        (1, 2),
    ]
    assert list(zip(split.test_user, split.test_item, strict=True)) == [(0, 1), (1, 0)]


def test_the_published_parts_are_taken_as_they_are_without_pairs_seen_in_training(
    tmp_path, monkeypatch
):
    folder = tmp_path / "movielens_1m_ncf"
    write(folder, "train.parquet", user_id=[0, 0, 1, 1], item_id=[5, 6, 6, 7])
    write(folder, "test.parquet", user_id=[0, 1], item_id=[7, 6])
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path))
    split = pairs_of(asked_phase("movielens_1m"))
    assert list(zip(split.train_user, split.train_item, strict=True)) == [
        (0, 0),
        (0, 1),
        (1, 1),
        (1, 2),
    ]
    assert list(zip(split.test_user, split.test_item, strict=True)) == [(0, 2)]


def test_missing_films_say_where_they_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path))
    with pytest.raises(DataError, match="RECSYS_DATA"):
        asked_phase("movielens_1m")


def test_scores_are_judged_without_what_was_seen(split):
    # user 0 is shown 3, then 2, which is right: 1 / log2(3); user 1 is shown 3, which is right
    scores = np.array([[9, 9, 1, 2], [0, 9, 9, 2], [0, 0, 0, 0]], dtype=np.float32)
    expected = (1 / np.log2(3) + 1) / 2
    assert ndcg(Scores(scores), phase_of(split)) == pytest.approx(expected)


def test_factors_are_judged_by_their_products_epoch_by_epoch(split, tmp_path):
    scores = np.array([[9, 9, 1, 2], [0, 9, 9, 2], [0, 0, 0, 0]], dtype=np.float32)
    one = np.eye(4, dtype=np.float32)
    np.savez(tmp_path / "0.npz", user=scores, item=one)
    np.savez(tmp_path / "1.npz", user=-scores, item=one)
    data = phase_of(split)
    first, second = ndcg_by_epoch(tmp_path, 2, data)
    assert first == pytest.approx(ndcg(Scores(scores), data))
    # negated, user 0 is shown 2 first, user 1 is shown 0, then 3
    assert second == pytest.approx((1 + 1 / np.log2(3)) / 2)
    assert ndcg(Factors(scores, one), data) == first
