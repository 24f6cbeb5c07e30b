"""The graphs of a bundle with more items: what stands for items in them, under names that export
gives, gets rows. Axes: I items of the catalogue.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recsys.bundle.new_items import ITEM_ARRAY, NewItemsEntry
from recsys.errors import BundleError
from recsys.inference.bundle import Bundle
from recsys.inference.new_items import stacked

if TYPE_CHECKING:
    import onnx

# what stands for the items, beside the arrays of rows
_ENCODERS = {"exclude_item", "allowed_item", "history/index", "items"}
_IDS = "item_ids"
_SIZES = {"num_items": 0, "largest_k": 0, "num_places": 1, "history/pad": 0}


def load_graph(bundle: Bundle, name: str) -> "onnx.ModelProto":
    """A graph of a bundle, to be rewritten.

    Raises:
        BundleError: the package onnx is not installed.
    """
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise BundleError(
            "adding items rewrites the graph of a bundle and needs the package onnx, which is not"
            " installed: pip install '.[items]'"
        ) from error
    content = bundle.optional_file(name)
    assert content is not None
    return onnx.load_model_from_string(content)


def known_ids(graph: "onnx.ModelProto") -> NDArray[np.object_]:
    """Ids of the catalogue by index, object (I,)."""
    (found,) = (each for each in graph.graph.initializer if each.name == _IDS)
    return np.array([item.decode() for item in found.string_data], dtype=object)


def with_more_items(
    graph: "onnx.ModelProto",
    ids: list[str],
    known: NDArray[np.object_],
    rows: Mapping[str, NDArray[Any]],
    entry: NewItemsEntry,
) -> bytes:
    """A graph with more items."""
    from onnx import numpy_helper

    size = len(known) + len(ids)
    for tensor in graph.graph.initializer:
        name = tensor.name
        if name in _SIZES:
            before = numpy_helper.to_array(tensor)
            values = np.full(before.shape, size + _SIZES[name], dtype=before.dtype)
        elif name == _IDS:
            values = np.append(known, np.array(ids, dtype=object))
        elif name == ITEM_ARRAY + "popularity":
            values = np.append(numpy_helper.to_array(tensor), np.zeros(len(ids), dtype=np.float32))
        elif name in rows:
            pad = entry["pads"].get(name, 0)
            values = stacked([numpy_helper.to_array(tensor), rows[name]], pad)
        else:
            continue
        tensor.CopyFrom(numpy_helper.from_array(values, name))
    for node in graph.graph.node:
        if node.op_type == "LabelEncoder" and node.output[0] in _ENCODERS:
            for attribute in node.attribute:
                if attribute.name == "keys_strings":
                    attribute.strings.extend(item.encode() for item in ids)
                elif attribute.name == "values_int64s":
                    attribute.ints.extend(range(len(known), size))
                elif attribute.name == "default_int64":
                    attribute.i = size
    content: bytes = graph.SerializeToString()
    return content
