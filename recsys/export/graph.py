"""The one graph of a recommender bundle: strings in, strings out.

    user_id, history, exclude   LabelEncoder: strings -> indices
    model                       scores (B, I)
    exclude                     ScatterElements: -inf
    k                           Clip, TopK
    item_id, score              Gather: indices -> strings

Axes: B users, L length of a history, E excluded items a user, K items returned, U users and I items
    in the vocabularies.
"""

from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from recsys.errors import ExportError
from recsys.export.core import IR_VERSION, OPSET, export_core
from recsys.models.recommender import Recommender

# The oldest runtime that knows the operator sets and the IR of the graph.
ONNXRUNTIME_MIN_VERSION = "1.18"
_ML_OPSET = 3


class GraphValue(NamedTuple):
    """One input or output of the graph.

    Attributes:
        name: as callers pass or fetch it.
        type: "string", "int64" or "float32".
        dims: names of free sizes, or fixed sizes.
        meaning: one line for the manifest and the model card.
    """

    name: str
    type: str
    dims: tuple[str | int, ...]
    meaning: str


INPUTS = (
    GraphValue(
        "user_id", "string", ("batch",), "who is asked about; an unknown user gets the fallback"
    ),
    GraphValue("history", "string", ("batch", "history"), "items bought, latest last; '' pads"),
    GraphValue("exclude", "string", ("batch", "excluded"), "items never to return; '' pads"),
    GraphValue("k", "int64", (1,), "items a user, clamped to 0 … number of items"),
)
OUTPUTS = (
    GraphValue("item_id", "string", ("batch", "k"), "best first; '' in place of an excluded item"),
    GraphValue("score", "float32", ("batch", "k"), "-inf in place of an excluded item"),
)
_ELEMENT_TYPES = {
    "string": TensorProto.STRING,
    "int64": TensorProto.INT64,
    "float32": TensorProto.FLOAT,
}


def build_graph(
    model: Recommender,
    user_ids: NDArray[np.object_],
    item_ids: NDArray[np.object_],
    popularity: NDArray[np.float32],
) -> onnx.ModelProto:
    """The whole graph of a bundle: from `INPUTS` to `OUTPUTS`, whatever the model reads.

    Args:
        model: on the CPU.
        user_ids: ids by user index (U,); part of the graph only where the model knows users by
            their ids.
        item_ids: ids by item index (I,).
        popularity: buyers of each item (I,): the scores for users who are unknown.

    Raises:
        ExportError: if torch cannot express the model as a graph.
    """
    core = export_core(model, torch.from_numpy(popularity.astype(np.float32)))
    parts = _Parts(len(item_ids))
    parts.encode("exclude", "exclude_item", item_ids)
    if model.reads_history:
        _history_input(parts, item_ids)
    else:
        parts.encode("user_id", "user", user_ids)
    _append_core(parts, core)
    _mask_and_rank(parts, item_ids)
    return _assemble(parts)


class _Parts:
    """Nodes and constants of a graph that grows."""

    def __init__(self, num_items: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.num_items = num_items
        self.constant("axis_0", [0])
        self.constant("axis_1", [1])
        self.constant("num_items", [num_items])

    def constant(self, name: str, value: object, dtype: Any = np.int64) -> None:
        self.constants.append(numpy_helper.from_array(np.array(value, dtype=dtype), name))

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))

    def encode(self, text: str, output: str, ids: NDArray[np.object_]) -> None:
        """Strings -> indices; what is unknown, and "", gets the number of ids."""
        self.node(
            "LabelEncoder",
            [text],
            output,
            domain="ai.onnx.ml",
            keys_strings=ids.tolist(),
            values_int64s=list(range(len(ids))),
            default_int64=len(ids),
        )


def _history_input(parts: _Parts, item_ids: NDArray[np.object_]) -> None:
    """`history` as item indices after one pad: no model ever meets a history of width zero."""
    parts.encode("history", "history_item", item_ids)
    parts.node("Shape", ["user_id"], "batch_size")
    parts.node("Concat", ["batch_size", "axis_1"], "pad_shape", axis=0)
    parts.node("Expand", ["num_items", "pad_shape"], "pad")  # (B, 1)
    parts.node("Concat", ["pad", "history_item"], "padded_history", axis=1)  # (B, 1 + L)


def _append_core(parts: _Parts, core: onnx.ModelProto) -> None:
    """Puts the model before the ranking; its names get a prefix so that none meets ours."""
    renamed = {"": "", "user": "user", "history": "padded_history"}
    for tensor in core.graph.initializer:
        copy = onnx.TensorProto()
        copy.CopyFrom(tensor)
        copy.name = renamed[tensor.name] = f"model/{tensor.name}"
        copy.ClearField("doc_string")
        copy.ClearField("metadata_props")
        parts.constants.append(copy)
    for number, node in enumerate(core.graph.node):
        copy_node = onnx.NodeProto()
        copy_node.CopyFrom(node)
        for name in node.output:
            renamed.setdefault(name, f"model/{name}")
        del copy_node.input[:], copy_node.output[:]
        copy_node.input.extend(renamed[name] for name in node.input)
        copy_node.output.extend(renamed[name] for name in node.output)
        copy_node.name = f"model/{node.op_type}_{number}"
        _strip(copy_node)
        parts.nodes.append(copy_node)


def _strip(node: onnx.NodeProto) -> None:
    """Takes off what torch notes on a node: the stack, with paths of whoever exported."""
    node.ClearField("metadata_props")
    node.ClearField("doc_string")
    for attribute in node.attribute:
        attribute.ClearField("doc_string")
        if attribute.HasField("g") or attribute.graphs:
            raise ExportError(
                f"the model has a branch or a loop ({node.op_type}), which a bundle's graph does "
                "not take: write score_all without data-dependent control flow"
            )


def _mask_and_rank(parts: _Parts, item_ids: NDArray[np.object_]) -> None:
    """`model/scores` (B, I) -> `item_id` and `score` (B, K)."""
    parts.constant("minus_infinity", -np.inf, np.float32)
    parts.constant("smallest_k", 0)
    parts.constant("largest_k", parts.num_items)
    parts.constant("item_ids", item_ids, object)
    parts.constant("no_item", "", object)
    # One column more than items: unknown and padding ids are "excluded" there.
    parts.node("Slice", ["model/scores", "axis_0", "axis_1", "axis_1"], "spare_column")  # (B, 1)
    parts.node("Concat", ["model/scores", "spare_column"], "wide_scores", axis=1)  # (B, I + 1)
    parts.node("Shape", ["exclude_item"], "exclude_shape")
    parts.node("Expand", ["minus_infinity", "exclude_shape"], "exclude_scores")  # (B, E)
    parts.node(
        "ScatterElements", ["wide_scores", "exclude_item", "exclude_scores"], "masked", axis=1
    )
    parts.node("Slice", ["masked", "axis_0", "num_items", "axis_1"], "allowed_scores")  # (B, I)
    parts.node("Clip", ["k", "smallest_k", "largest_k"], "clamped_k")
    parts.nodes.append(
        helper.make_node(
            "TopK", ["allowed_scores", "clamped_k"], ["score", "item"], name="rank", axis=1
        )
    )
    parts.node("Gather", ["item_ids", "item"], "ranked_ids")  # (B, K)
    parts.node("Equal", ["score", "minus_infinity"], "is_excluded")
    parts.node("Where", ["is_excluded", "no_item", "ranked_ids"], "item_id")


def _assemble(parts: _Parts) -> onnx.ModelProto:
    graph = helper.make_graph(
        parts.nodes,
        "recommender",
        [_value_info(value) for value in INPUTS],
        [_value_info(value) for value in OUTPUTS],
        parts.constants,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    # make_model would write the newest IR it knows, which older runtimes refuse.
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="recsys"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _value_info(value: GraphValue) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(value.name, _ELEMENT_TYPES[value.type], value.dims)
