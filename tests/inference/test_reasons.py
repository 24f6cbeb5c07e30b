"""Which purchases carry a recommendation, from a bundle, by arithmetic."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from recsys.bundle.manifest import sha256
from recsys.errors import BundleError
from recsys.inference import Recommender, verify
from recsys.inference.commands import main
from recsys.inference.reasons import Reasons

USERS = ["ann", "bob", "cid"]


@pytest.fixture
def tampered(explaining: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(explaining, tmp_path / "tampered"))


@pytest.fixture(scope="module")
def recommender(explaining: Path) -> Recommender:
    return Recommender(explaining)


def test_the_purchases_that_carry_an_item_and_their_shares(recommender: Recommender) -> None:
    found = recommender.reasons(["ann"], [["jam", "bread", "tea"]])
    # jam: milk 4 / (1 + 3) + 4 / (1 + 1), tea 1 / 1
    assert found.because[0, 0].tolist() == ["milk", "tea", ""]
    np.testing.assert_allclose(found.contribution[0, 0], [3, 1, 0])
    np.testing.assert_allclose(found.share[0, 0], [0.75, 0.25, 0])
    # bread: milk 2 / 4 + 2 / 2; tea takes 1 away and stands in the denominator alone
    assert found.because[0, 1].tolist() == ["milk", "", ""]
    np.testing.assert_allclose(found.share[0, 1], [0.6, 0, 0])
    # nothing carries tea but what it is
    assert found.because[0, 2].tolist() == ["", "", ""]
    np.testing.assert_allclose(found.rest[0], np.array([4, 1, 2]) / 8)


def test_sentences_for_people(recommender: Recommender) -> None:
    found = recommender.reasons(["ann"], [["jam", "ale", "tea"]])
    assert found.sentences().tolist() == [
        ["because you bought Milk, 1 l (75 %), Tea (25 %)", "because you bought Tea (100 %)", ""]
    ]
    assert recommender.reasons(["ann"], [["jam"]], top=1).sentences().tolist() == [
        ["because you bought Milk, 1 l (75 %)"]
    ]
    # names are missing, or the reason is the item itself
    again = recommender.reasons(["x"], [["bread"]], [["milk", "bread"]], [[0, 0]])
    assert again.sentences().tolist() == [["because you bought Milk, 1 l (100 %)"]]


def test_a_small_share_is_not_written() -> None:
    share = np.array([[[0.9, 0.05, 0.04, 0.004]]], dtype=np.float32)
    because = np.array([[["milk", "tea", "ale", "jam"]]], dtype=object)
    found = Reasons(np.array([["pan"]], dtype=object), because, share, share, np.zeros((1, 1)))
    assert found.sentences().tolist() == [["because you bought milk (90 %), tea (5 %), ale"]]


def test_reasons_add_up_to_the_scores_that_were_answered(recommender: Recommender) -> None:
    items, scores = recommender.recommend(USERS, k=5)
    found = recommender.reasons(USERS, items, top=5)
    # every purchase that takes away is left out of `contribution`: tea against bread
    taken = np.where((items == "bread") & (np.array(USERS)[:, None] == "ann"), -1, 0)
    np.testing.assert_allclose(found.contribution.sum(axis=2) + found.rest + taken, scores)


def test_who_gets_what_is_popular_is_told_no_purchases(recommender: Recommender) -> None:
    items, scores = recommender.recommend(["cid", "nobody"], k=2)
    found = recommender.reasons(["cid", "nobody"], items)
    assert (found.because == "").all()
    assert (found.sentences() == "").all()
    np.testing.assert_array_equal(found.rest, scores)


def test_empty_places_and_unknown_items_have_no_reasons(recommender: Recommender) -> None:
    found = recommender.reasons(["ann"], [["jam", "", "unheard"]])
    assert found.because[0, 1:].tolist() == [[""] * 3] * 2
    assert np.isneginf(found.rest[0, 1:]).all()


def test_given_histories_speak_and_blocks_of_users_answer_alike(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = [["ale"], None, ["ale", "unheard", "tea"]]
    ages = [[0], None, [1, 5, 0]]
    items = [["jam", "ale"]] * 3
    found = recommender.reasons(USERS, items, history, ages)
    assert found.because[:, 0, 0].tolist() == ["ale", "bread", "tea"]
    assert found.because[2, 0].tolist() == ["tea", "ale", ""]
    monkeypatch.setattr("recsys.inference.reasons._BLOCK_FLOATS", 1)
    apart = recommender.reasons(USERS, items, history, ages)
    np.testing.assert_array_equal(apart.because, found.because)
    np.testing.assert_allclose(apart.share, found.share, rtol=1e-6)
    nobody = recommender.reasons([], [])
    assert nobody.because.shape == (0, 0, 3)
    assert nobody.sentences().shape == (0, 0)


def test_what_cannot_be_explained_is_said(recommender: Recommender, bundles: Path) -> None:
    with pytest.raises(ValueError, match="rows of item_ids differ in length"):
        recommender.reasons(["ann", "bob"], [["jam"], ["jam", "ale"]])
    with pytest.raises(ValueError, match="item_ids has 1 rows for 2 users"):
        recommender.reasons(["ann", "bob"], [["jam"]])
    with pytest.raises(TypeError, match="a row of item_ids is the single string 'jam'"):
        recommender.reasons(["ann"], ["jam"])
    # no bundle holds reasons unless they are asked for
    assert not (bundles / "by_history" / "because.onnx").exists()
    with pytest.raises(BundleError, match="holds no because.onnx.*because=true"):
        Recommender(bundles / "by_history").reasons(["7"], [["milk"]])


def test_the_bundle_lists_the_graph_and_replays_it(explaining: Path, tampered: Path) -> None:
    manifest = json.loads((explaining / "manifest.json").read_text())
    assert manifest["because"]["kind"] == "exact"
    names = [value["name"] for value in manifest["because"]["inputs"]]
    assert names == ["history", "history_age", "item_id"]
    assert manifest["files"]["because.onnx"]["sha256"] == sha256(explaining / "because.onnx")
    samples = json.loads((explaining / "samples.json").read_text())
    assert verify(explaining).cases == len(samples["cases"]) + len(samples["because"])
    assert "because.onnx" in (explaining / "README.md").read_text()
    samples["because"][0]["contribution"][0][0][0] += 0.001
    (tampered / "samples.json").write_text(json.dumps(samples))
    manifest["files"]["samples.json"]["sha256"] = sha256(tampered / "samples.json")
    (tampered / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="disagrees with its sample 'known users': reasons of"):
        verify(tampered)


def test_an_altered_graph_of_reasons_is_refused(tampered: Path) -> None:
    (tampered / "because.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="because.onnx was altered or truncated"):
        Recommender(tampered)


def test_a_bundle_without_purchases_explains_those_that_are_given(
    tampered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tampered / "seen.npz").unlink()
    manifest = json.loads((tampered / "manifest.json").read_text())
    del manifest["files"]["seen.npz"]
    (tampered / "manifest.json").write_text(json.dumps(manifest))
    lent = Recommender(tampered)
    with pytest.raises(BundleError, match="holds no seen.npz.*give the history"):
        lent.reasons(["ann"], [["jam"]])
    assert lent.reasons(["x"], [["jam"]], [["ale"]], [[0]]).because[0, 0, 0] == "ale"
    (tmp_path / "users.csv").write_text("user_id\nann\n")
    users, output = f"users={tmp_path / 'users.csv'}", f"output={tmp_path / 'o.csv'}"
    assert main(["recommend", f"bundle={tampered}", users, output, "because=1"]) == 2
    assert "holds no seen.npz" in capsys.readouterr().err
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_of_recommendations_carry_their_reasons(
    explaining: Path, tmp_path: Path, ending: str
) -> None:
    (tmp_path / "users.csv").write_text("user_id\nann\ncid\n")
    users, output = f"users={tmp_path / 'users.csv'}", tmp_path / f"o.{ending}"
    settings = [users, f"output={output}", "k=2", "because=2"]
    assert main(["recommend", f"bundle={explaining}", *settings]) == 0
    if ending == "csv":
        with output.open(newline="") as file:
            rows = [{k: v or None for k, v in row.items()} for row in csv.DictReader(file)]
    else:
        rows = pq.read_table(output).to_pylist()
    reasons = ["because_1", "share_1", "because_2", "share_2", "because"]
    assert list(rows[0]) == ["user_id", "rank", "item_id", "score", *reasons]
    first = rows[0]
    assert [first["item_id"], first["because_1"], first["because_2"]] == ["jam", "milk", "tea"]
    assert [float(first["share_1"]), float(first["share_2"])] == [0.75, 0.25]
    assert first["because"] == "because you bought Milk, 1 l (75 %), Tea (25 %)"
    # a customer without purchases gets the popular items, and no reasons
    assert [row["user_id"] for row in rows] == ["ann", "ann", "cid", "cid"]
    assert [rows[2][name] for name in reasons] == [None] * 5
