"""The parts of a bundle's graph that need no torch, and how they are put together."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from recsys.bundle.manifest import ValueEntry
from recsys.errors import ExportError
from recsys.export.onnx.tracing import IR_VERSION, OPSET

# The oldest runtime that knows the operator sets and the IR of the graph.
ONNXRUNTIME_MIN_VERSION = "1.18"
_ML_OPSET = 3


class GraphValue(NamedTuple):
    """One input or output of the graph.

    Attributes:
        name: as callers pass or fetch it.
        type: "string", "int64", "float32" or "bool".
        dims: names of free sizes, or fixed sizes.
        meaning: one line for the manifest and the model card.
        source: of an input, where its value comes from; None: from the caller, under its name.
    """

    name: str
    type: str
    dims: tuple[str | int, ...]
    meaning: str
    source: str | None = None

    def entry(self, is_input: bool) -> ValueEntry:
        """Its entry in the manifest."""
        about = ValueEntry(
            name=self.name, type=self.type, dims=list(self.dims), meaning=self.meaning
        )
        if is_input:
            about["source"] = self.source or self.name
        return about


_ELEMENT_TYPES = {
    "string": TensorProto.STRING,
    "int64": TensorProto.INT64,
    "float32": TensorProto.FLOAT,
    "bool": TensorProto.BOOL,
}


class Parts:
    """Nodes and constants of a graph that grows."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: object, dtype: Any = np.int64) -> None:
        """Adds a constant."""
        self.constants.append(numpy_helper.from_array(np.array(value, dtype=dtype), name))

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        """Adds a node with one output, which is also its name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))

    def encode(
        self,
        text: str,
        output: str,
        ids: NDArray[np.object_],
        first: int = 0,
        unknown: int | None = None,
    ) -> None:
        """Strings -> indices, from `first` on; what is unknown, and "", gets the number of ids, or
        `unknown`.
        """
        self.node(
            "LabelEncoder",
            [text],
            output,
            domain="ai.onnx.ml",
            keys_strings=ids.tolist(),
            values_int64s=list(range(first, first + len(ids))),
            default_int64=len(ids) if unknown is None else unknown,
        )

    def append(
        self, core: onnx.ModelProto, given: Mapping[str, str], prefix: str = "model"
    ) -> None:
        """Puts a model behind the nodes; a prefix keeps its names from meeting ours.

        Args:
            core: as `export.tracing.checked` returns it.
            given: what each of its inputs is called here.
            prefix: before its own names.

        Raises:
            ExportError: if it holds a branch or a loop.
        """
        renamed = {"": "", **given}
        for tensor in core.graph.initializer:
            copy = onnx.TensorProto()
            copy.CopyFrom(tensor)
            copy.name = renamed[tensor.name] = f"{prefix}/{tensor.name}"
            copy.ClearField("doc_string")
            copy.ClearField("metadata_props")
            self.constants.append(copy)
        for number, node in enumerate(core.graph.node):
            copy_node = onnx.NodeProto()
            copy_node.CopyFrom(node)
            for name in node.output:
                renamed.setdefault(name, f"{prefix}/{name}")
            del copy_node.input[:], copy_node.output[:]
            copy_node.input.extend(renamed[name] for name in node.input)
            copy_node.output.extend(renamed[name] for name in node.output)
            copy_node.name = f"{prefix}/{node.op_type}_{number}"
            _strip(copy_node)
            self.nodes.append(copy_node)


def _strip(node: onnx.NodeProto) -> None:
    """Takes off what torch notes on a node: the stack, with paths of whoever exported."""
    node.ClearField("metadata_props")
    node.ClearField("doc_string")
    for attribute in node.attribute:
        attribute.ClearField("doc_string")
        if attribute.HasField("g") or attribute.graphs:
            raise ExportError(
                f"the model has a branch or a loop ({node.op_type}), which a bundle's graph does "
                "not take: write it without data-dependent control flow"
            )


def assemble(
    parts: Parts, name: str, inputs: Sequence[GraphValue], outputs: Sequence[GraphValue]
) -> onnx.ModelProto:
    """The graph of a bundle, in the versions that it promises."""
    graph = helper.make_graph(
        parts.nodes,
        name,
        [_value_info(value) for value in inputs],
        [_value_info(value) for value in outputs],
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
