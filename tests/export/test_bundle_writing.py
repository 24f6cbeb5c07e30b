"""The folder that the exporter writes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.bundle.manifest import sha256
from recsys.errors import ExportError
from recsys.export import write_recommender_bundle
from recsys.export.recommender import bundle as bundle_module
from recsys.export.recommender.graph import build_graph
from recsys.inference import verify


@pytest.fixture(autouse=True)
def graph_is_built_once(monkeypatch: pytest.MonkeyPatch, graphs: dict[str, Any]) -> None:
    """Tracing takes a second; the tiny models have the same weights each time."""

    def build_once(model: Any, *vocabulary: Any) -> Any:
        key = type(model).__name__
        graphs[key] = graphs.get(key) or build_graph(model, *vocabulary)
        return graphs[key]

    monkeypatch.setattr(bundle_module, "build_graph", build_once)


@pytest.fixture(scope="module")
def graphs() -> dict[str, Any]:
    return {}


def test_bundle_is_complete_and_verifies(folder: Path, bundle_arguments: dict[str, Any]) -> None:
    bundle_arguments |= {"include_seen": True, "item_names": {"milk": "Milk, 1 l", "gone": "x"}}
    assert write_recommender_bundle(folder, **bundle_arguments) == folder
    names = {"README.md", "items.json", "manifest.json", "model.onnx", "samples.json", "seen.npz"}
    assert {path.name for path in folder.iterdir()} == names
    assert list(folder.parent.iterdir()) == [folder]
    assert json.loads((folder / "items.json").read_text(encoding="utf-8")) == {"milk": "Milk, 1 l"}
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for name in names - {"manifest.json"}:
        assert manifest["files"][name]["sha256"] == sha256(folder / name)
    assert (manifest["num_users"], manifest["num_items"], manifest["reads_history"]) == (
        7,
        10,
        False,
    )
    assert (manifest["task"], manifest["fallback"]) == ("recommender", "popularity")
    names = [value["name"] for value in manifest["inputs"]]
    assert names == ["user_id", "history", "exclude", "allowed", "k"]
    assert manifest["metrics"] == {"test/new/ndcg@10": 0.25}
    assert verify(folder).cases == 8


def test_model_given_keeps_its_mode(folder: Path, bundle_arguments: dict[str, Any]) -> None:
    bundle_arguments["model"].train()
    write_recommender_bundle(folder, **bundle_arguments)
    assert bundle_arguments["model"].training


def test_undefined_metrics_become_null(folder: Path, bundle_arguments: dict[str, Any]) -> None:
    bundle_arguments["provenance"] = {"metrics": {"test/a": float("nan"), "test/b": [1.0, np.inf]}}
    write_recommender_bundle(folder, **bundle_arguments)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["metrics"] == {"test/a": None, "test/b": [1.0, None]}


def test_history_bundle_without_the_seen_holds_no_customer(
    folder: Path, bundle_arguments: dict[str, Any], counts: Any, vocabulary: Any
) -> None:
    bundle_arguments["model"] = counts
    write_recommender_bundle(folder, **bundle_arguments)
    content = b"".join(path.read_bytes() for path in folder.iterdir())
    # "NA" and numbers are also items or digits; these are only ever customers.
    for user in ("Zoë Müller", "名前", "u 5"):
        assert user.encode() not in content
    assert "no customer id" in (folder / "README.md").read_text(encoding="utf-8")
    assert json.loads((folder / "manifest.json").read_text("utf-8"))["fallback"] == "history"


def test_model_card_names_the_personal_data_a_bundle_holds(
    folder: Path, bundle_arguments: dict[str, Any], counts: Any
) -> None:
    card = write_recommender_bundle(folder, **bundle_arguments) / "README.md"
    assert "`model.onnx` holds the ids of 7 customers" in card.read_text(encoding="utf-8")
    assert "seen.npz" not in card.read_text(encoding="utf-8")
    bundle_arguments |= {"model": counts, "include_seen": True}
    write_recommender_bundle(folder, **bundle_arguments)
    assert "`seen.npz` holds the ids of 7 customers" in card.read_text(encoding="utf-8")
    assert "`model.onnx` holds" not in card.read_text(encoding="utf-8")


def test_model_card_sets_the_model_beside_its_baselines(
    folder: Path, bundle_arguments: dict[str, Any]
) -> None:
    bundle_arguments["provenance"] = {
        "model": "mf",
        "data": {"rows": 1234567, "density": 0.044683, "first": None, "dropped": {}, "zone": "UTC"},
        "metrics": {
            "train/seconds": 3.0,
            "val/new/ndcg@10": 0.5,
            "test/new/ndcg@10": 0.25,
            "test/new/ndcg@5": 0.2,
            "test/new/users": 6040.0,
            "test/new/mrr@10": float("nan"),
            "test/baselines/popularity/new/ndcg@10": 0.125,
        },
    }
    write_recommender_bundle(folder, **bundle_arguments)
    card = (folder / "README.md").read_text(encoding="utf-8")
    tables = [line for line in card.splitlines() if line.startswith("|")]
    assert tables[-10:] == [
        "| fact | value |",
        "| --- | --- |",
        "| rows | 1,234,567 |",
        "| density | 0.0447 |",
        "| zone | UTC |",
        "| test | mf | popularity |",
        "| --- | --- | --- |",
        "| `new/mrr@10` | undefined |  |",
        "| `new/ndcg@10` | 0.2500 | 0.1250 |",
        "| `new/users` | 6,040 |  |",
    ]


def test_bundle_is_replaced_only_by_a_complete_one(
    folder: Path, bundle_arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recommender_bundle(folder, **bundle_arguments)
    before = sha256(folder / "manifest.json")

    def fail(path: Path) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(bundle_module, "verify", fail)
        with pytest.raises(OSError, match="disk is full"):
            write_recommender_bundle(folder, **bundle_arguments)
    assert sha256(folder / "manifest.json") == before
    assert list(folder.parent.iterdir()) == [folder]
    write_recommender_bundle(folder, **bundle_arguments | {"include_seen": True})
    assert (folder / "seen.npz").is_file()
    assert list(folder.parent.iterdir()) == [folder]


def test_graph_that_disagrees_with_torch_leaves_no_bundle(
    folder: Path, bundle_arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build_another(model: Any, users: Any, items: Any, *others: Any) -> Any:
        return build_graph(model, users, items[::-1], *others)

    monkeypatch.setattr(bundle_module, "build_graph", build_another)
    with pytest.raises(ExportError, match="disagrees with torch"):
        write_recommender_bundle(folder, **bundle_arguments)
    assert not folder.parent.exists()


def test_folder_of_something_else_is_not_replaced(
    folder: Path, bundle_arguments: dict[str, Any]
) -> None:
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(ExportError, match="something else than a bundle"):
        write_recommender_bundle(folder, **bundle_arguments)
    assert (folder / "thesis.txt").is_file()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model": object()}, "object is no torch module"),
        ({"user_ids": np.array(["a"] * 7)}, "two users have the same id"),
        ({"item_ids": np.array(["a"])}, "knows 10 items and 1 item ids"),
        ({"item_ids": np.array([*"abcdefghi", ""])}, "item id '' cannot be in a graph"),
        ({"user_ids": np.array([*"abcdef", "\ud800"])}, "cannot be in a graph"),
        ({"popularity": np.ones(3)}, "popularity is not a finite number for each of 10 items"),
        ({"history_indptr": np.zeros(8, int)}, "does not cut"),
        ({"history_items": np.full(35, 10)}, "outside of 0 … 9"),
        ({"provenance": {"task": "x"}}, "provenance must not hold 'task'"),
        ({"provenance": {"data": {1, 2}}}, "no plain JSON"),
    ],
)
def test_unusable_arguments_are_refused(
    folder: Path, bundle_arguments: dict[str, Any], change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ExportError, match=sentence):
        write_recommender_bundle(folder, **bundle_arguments | change)
    assert not folder.parent.exists()
