"""Bundles whose models declare further inputs: attributes, context, time and quantities.

The graph is made by hand: item i scores as the code of the income (high = 1, others = 0) + hour +
10 x weekday + age (0 where unknown) + the sum of the quantities, all divided by i + 1.
"""

import csv
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from recsys.bundle.manifest import write_manifest
from recsys.bundle.seen import write_seen
from recsys.errors import BundleError, DataError
from recsys.inference import Recommender, verify
from recsys.inference.batch.recommend import recommend_file

ITEMS = ["milk", "tea", "mug"]
MONDAY_9 = np.datetime64("2024-01-01T09:30")
INPUTS = [
    {"name": "user_id", "type": "string", "dims": ["batch"], "source": "user_id"},
    {"name": "history", "type": "string", "dims": ["batch", "history"], "source": "history"},
    {
        "name": "history_weight",
        "type": "float32",
        "dims": ["batch", "history"],
        "source": "history.quantity",
    },
    {"name": "users.income", "type": "string", "dims": ["batch"], "source": "users.income"},
    {"name": "users.age", "type": "float32", "dims": ["batch"], "source": "users.age"},
    {"name": "time.hour", "type": "float32", "dims": ["batch"], "source": "time.hour"},
    {"name": "time.weekday", "type": "float32", "dims": ["batch"], "source": "time.weekday"},
    {"name": "exclude", "type": "string", "dims": ["batch", "excluded"]},
    {"name": "k", "type": "int64", "dims": [1]},
]
TYPES = {"string": TensorProto.STRING, "float32": TensorProto.FLOAT, "int64": TensorProto.INT64}


def graph() -> bytes:
    node = helper.make_node
    nodes = [
        node("LabelEncoder", ["users.income"], ["income"], domain="ai.onnx.ml",
             keys_strings=["high"], values_floats=[1.0], default_float=0.0),
        node("IsNaN", ["users.age"], ["no_age"]),
        node("Where", ["no_age", "zero", "users.age"], ["age"]),
        node("Mul", ["time.weekday", "ten"], ["days"]),
        node("ReduceSum", ["history_weight", "axis"], ["units"], keepdims=0),
        node("Sum", ["income", "age", "time.hour", "days", "units"], ["total"]),
        node("Unsqueeze", ["total", "axis"], ["column"]),
        node("Div", ["column", "places"], ["scores"]),
        node("TopK", ["scores", "k"], ["score", "item"], axis=1),
        node("Gather", ["items", "item"], ["item_id"]),
        # Every declared input has to be used.
        node("Shape", ["user_id"], ["unused_1"]), node("Shape", ["history"], ["unused_2"]),
        node("Shape", ["exclude"], ["unused_3"]),
    ]  # fmt: skip
    constants = [
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("ten", TensorProto.FLOAT, [], [10.0]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("places", TensorProto.FLOAT, [3], [1.0, 2.0, 4.0]),
        helper.make_tensor("items", TensorProto.STRING, [3], [item.encode() for item in ITEMS]),
    ]
    inputs = [
        helper.make_tensor_value_info(entry["name"], TYPES[entry["type"]], entry["dims"])
        for entry in INPUTS
    ]
    outputs = [
        helper.make_tensor_value_info("item_id", TensorProto.STRING, ["batch", "k"]),
        helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", "k"]),
    ]
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 4)]
    model = helper.make_model(
        helper.make_graph(nodes, "hybrid", inputs, outputs, constants),
        opset_imports=opsets,
        ir_version=10,
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def write(folder: Path, weight: Any = (2.0, 3.0, 5.0), **changes: Any) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(graph())
    write_seen(
        folder / "seen.npz",
        np.array(["a", "b"]),
        np.array(ITEMS),
        np.array([0, 2, 3]),
        np.array([0, 1, 2]),
        weight=None if weight is None else np.array(weight, dtype=np.float32),
    )
    case = {
        "name": "known users", "user_id": ["a"], "history": [["milk"]], "history_weight": [[2]],
        "users.income": ["high"], "users.age": [None], "time.hour": [9], "time.weekday": [0],
        "exclude": [[]], "k": 2, "item_id": [["milk", "tea"]], "score": [[12, 6]],
    }  # fmt: skip
    (folder / "samples.json").write_text(json.dumps({"cases": [case]}))
    manifest = {
        "task": "recommender", "inputs": INPUTS, "timezone": "Europe/Berlin",
        "outputs": [{"name": "item_id"}, {"name": "score"}], "onnxruntime_min_version": "1.18",
        "num_users": 2, "num_items": 3, "reads_history": True, "floats_per_pair": 1,
    }  # fmt: skip
    write_manifest(folder, manifest | changes)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("exported") / "hybrid")


@pytest.fixture(scope="module")
def hybrid(folder: Path) -> Recommender:
    return Recommender(folder)


def best(recommender: Recommender, *arguments: Any, **named: Any) -> list[float]:
    return recommender.recommend(*arguments, k=1, **{"at": MONDAY_9} | named)[1][:, 0].tolist()


def test_declared_inputs_reach_the_graph(hybrid: Recommender) -> None:
    assert list(hybrid.inputs) == [
        "history_weight", "users.income", "users.age", "time.hour", "time.weekday",
    ]  # fmt: skip
    users = ["x", "y", "z"]
    inputs = {"users.income": ["high", "low", None], "users.age": [np.nan, 40, None]}
    assert best(hybrid, users, inputs=inputs) == [10, 49, 9]
    arrays = {
        "users.income": np.array(["high", "", "high"]),
        "users.age": np.array([1, 2, 3]),
        "time.hour": [0, 1, 2],
    }
    assert best(hybrid, users, inputs=arrays) == [2, 3, 6]


def test_inputs_that_are_not_given_are_unknown(hybrid: Recommender) -> None:
    assert best(hybrid, ["x"]) == [9]
    # "x" is one user of the catalogue, "a" bought 2 + 3 units.
    assert best(hybrid, ["x", "a", "b"]) == [9, 14, 14]
    assert hybrid.recommend(["x"], k=2, candidates=["mug", "tea"], at=MONDAY_9)[0].size == 2


def test_time_is_local(hybrid: Recommender) -> None:
    sunday = np.array(["2024-01-07T23:59", "2024-01-01T00:00"], dtype="datetime64[m]")
    assert best(hybrid, ["x", "y"], at=sunday) == [83, 0]
    assert best(hybrid, ["x"], at=datetime(2024, 7, 1, 10, tzinfo=UTC)) == [12]
    assert best(hybrid, ["x", "y"], at=[datetime(2024, 1, 2, 3), datetime(2024, 1, 3)]) == [13, 20]
    now = best(hybrid, ["x"], at=None)[0]
    assert 0 <= now <= 83


def test_quantities_belong_to_given_histories(hybrid: Recommender) -> None:
    history, weights = [["milk", "tea"], None], {"history_weight": [[1, 0.5], None]}
    assert best(hybrid, ["x", "a"], history=history, inputs=weights) == [10.5, 14]


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"inputs": {"users.incom": [1]}}, ValueError, "did you mean users.income"),
        ({"inputs": {"users.age": [1, 2]}}, ValueError, "users.age has 2 rows for 1 users"),
        ({"inputs": {"users.age": ["old"]}}, TypeError, "users.age holds text: give numbers"),
        ({"inputs": {"users.age": [np.inf]}}, ValueError, "row 0: users.age is infinite"),
        ({"inputs": {"users.income": [7]}}, TypeError, "users.income holds a int: give strings"),
        ({"inputs": {"users.income": "high"}}, TypeError, "is the single string 'high'"),
        ({"history": [["tea"]]}, ValueError, "reads history_weight: give it"),
        ({"at": "2024-01-01"}, TypeError, "at holds a str: give datetime"),
        ({"at": np.array(["2024", "2025"], "M8[s]")}, ValueError, "at has the shape"),
        ({"at": np.datetime64("NaT")}, ValueError, "at holds NaT"),
    ],
)
def test_wrong_inputs_are_refused(
    hybrid: Recommender, change: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        best(hybrid, ["x"], **change)


def test_users_files_carry_inputs_in_columns(hybrid: Recommender, tmp_path: Path) -> None:
    rows = [
        ["users.income", "user_id", "users.age", "history", "history_weight", "time.hour"],
        ["high", "x", "", '["tea"]', "[4]", "20"],
        ["", "y", "30", "", "", "1"],
    ]
    with (tmp_path / "u.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    recommend_file(hybrid, tmp_path / "u.csv", tmp_path / "o.csv", k=1, at=MONDAY_9)
    with (tmp_path / "o.csv").open(newline="") as file:
        assert [float(row["score"]) for row in csv.DictReader(file)] == [25, 31]
    (tmp_path / "u.csv").write_text("user_id,users.age\nx,1\ny,old\n")
    with pytest.raises(DataError, match="line 3: users.age is 'old', which is not a number"):
        recommend_file(hybrid, tmp_path / "u.csv", tmp_path / "o.csv")


def test_the_bundle_verifies(folder: Path, tmp_path: Path) -> None:
    assert verify(folder) == ("recommender", 1, 0)
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert verify(copy).cases == 1


def test_inputs_that_a_wrapper_cannot_provide_are_refused(tmp_path: Path) -> None:
    inputs = [
        entry | ({"dims": ["batch", 8]} if entry["name"] == "users.age" else {}) for entry in INPUTS
    ]
    folder = write(tmp_path / "newer", inputs=inputs)
    with pytest.raises(BundleError, match=r"'users.age' of type float32 and dimensions \['batch'"):
        Recommender(folder)


def test_stored_purchases_without_quantities_are_refused(tmp_path: Path) -> None:
    recommender = Recommender(write(tmp_path / "bare", weight=None))
    with pytest.raises(BundleError, match="holds no quantity of purchases"):
        recommender.recommend(["a"])
