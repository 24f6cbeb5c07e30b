"""The one graph of a recommender bundle: strings in, strings out.

    user_id, history, exclude, allowed, categories   LabelEncoder: strings -> indices
    model                       scores (B, I)
    exclude                     ScatterElements: -inf
    allowed                     ScatterElements to a mask, Where: -inf
    k                           Clip, TopK
    item_id, score              Gather: indices -> strings
    answered_from               Gather: what the scores of a user come from

Axes: B users, L length of a history, E excluded items a user, R lists of allowed items (B, or 1 for
    all users), A items in the longest of them, K items returned, U users and I items in the
    vocabularies.
"""

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper

from recsys.bundle.manifest import BASES
from recsys.export.onnx.assembly import GraphValue, Parts, assemble
from recsys.export.recommender.core import core_inputs, export_core
from recsys.models.inputs import HISTORY, PER_PURCHASE, USER, InputVocabulary, ModelInput
from recsys.models.recommender import Recommender

_REQUEST = (
    GraphValue("exclude", "string", ("batch", "excluded"), "items never to return; '' pads"),
    GraphValue(
        "allowed",
        "string",
        ("allowed_lists", "allowed"),
        "items to choose from, one list for all users or one for each; '' pads; a list without an "
        "item allows everything, one of unknown items nothing",
    ),
    GraphValue("k", "int64", (1,), "items a user, clamped to 0 … number of items"),
)
OUTPUTS = (
    GraphValue("item_id", "string", ("batch", "k"), "best first; '' where no item is left"),
    GraphValue("score", "float32", ("batch", "k"), "-inf where no item is left"),
    GraphValue(
        "answered_from",
        "string",
        ("batch",),
        "purchases, attributes (of the user, or of the request) or popularity: what the scores of a"
        " user come from",
    ),
)


def graph_inputs(model: Recommender) -> tuple[GraphValue, ...]:
    """Inputs of the graph: user and history of every model, what else it declares, the request."""
    declared = dict.fromkeys((USER, HISTORY, *model.inputs))
    values = (
        GraphValue(each.name, each.dtype, each.dims, each.meaning, each.source) for each in declared
    )
    return (*values, *_REQUEST)


def build_graph(
    model: Recommender,
    user_ids: NDArray[np.object_],
    item_ids: NDArray[np.object_],
    popularity: NDArray[np.float32],
    vocabulary: InputVocabulary | None = None,
) -> onnx.ModelProto:
    """The whole graph of a bundle: from `graph_inputs` to `OUTPUTS`.

    Args:
        model: on the CPU.
        user_ids: ids by user index (U,); part of the graph only where the model knows users by
            their ids.
        item_ids: ids by item index (I,).
        popularity: buyers of each item (I,): the scores for users who are unknown.
        vocabulary: categories of the model's other inputs.

    Raises:
        ExportError: if torch cannot express the model as a graph.
    """
    core = export_core(model, torch.from_numpy(popularity.astype(np.float32)))
    parts = Parts()
    parts.constant("axis_0", [0])
    parts.constant("axis_1", [1])
    parts.constant("num_items", [len(item_ids)])
    parts.encode("exclude", "exclude_item", item_ids)
    parts.encode("allowed", "allowed_item", item_ids)
    parts.node("Shape", ["user_id"], "batch_size")
    parts.node("Concat", ["batch_size", "axis_1"], "pad_shape", axis=0)
    given = {}
    for each in core_inputs(model):
        given[each.name] = each.name
        if each.dtype == "string":
            given[each.name] = f"{each.name}/index"
            if each is USER and USER not in model.inputs:
                # it only counts: no id of a customer goes into the graph
                parts.node("Expand", ["axis_0", "batch_size"], given[each.name])
                continue
            ids = {USER: user_ids, HISTORY: item_ids}.get(each)
            if ids is None:
                assert vocabulary is not None
                ids = vocabulary.categories(each.name)
            parts.encode(each.name, given[each.name], ids)
        if each.dims == PER_PURCHASE:
            given[each.name] = _after_a_pad(parts, each, given[each.name])
    core.append_to(parts, given)
    _mask_and_rank(parts, item_ids)
    parts.constant("bases", list(BASES), object)
    parts.node("Gather", ["bases", "model/basis"], "answered_from")
    return assemble(parts, "recommender", graph_inputs(model), OUTPUTS)


def _after_a_pad(parts: Parts, each: ModelInput, values: str) -> str:
    """The name of `values` (B, L) after one column of padding: no model gets a history of width
    zero.
    """
    pad = "num_items"
    if each.dtype == "float32":
        pad = f"{each.name}/of_pad"
        parts.constant(pad, [each.pad], np.float32)
    parts.node("Expand", [pad, "pad_shape"], f"{each.name}/pad")  # (B, 1)
    parts.node("Concat", [f"{each.name}/pad", values], f"{each.name}/padded", axis=1)  # (B, 1 + L)
    return f"{each.name}/padded"


def _mask_and_rank(parts: Parts, item_ids: NDArray[np.object_]) -> None:
    """`model/scores` (B, I) -> `item_id` and `score` (B, K)."""
    parts.constant("minus_infinity", -np.inf, np.float32)
    parts.constant("smallest_k", 0)
    parts.constant("largest_k", len(item_ids))
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
    _allow(parts, item_ids)
    parts.node("Where", ["is_allowed", "masked", "minus_infinity"], "left")  # (B, I + 1)
    parts.node("Slice", ["left", "axis_0", "num_items", "axis_1"], "allowed_scores")  # (B, I)
    parts.node("Clip", ["k", "smallest_k", "largest_k"], "clamped_k")
    parts.nodes.append(
        helper.make_node(
            "TopK", ["allowed_scores", "clamped_k"], ["score", "item"], name="rank", axis=1
        )
    )
    parts.node("Gather", ["item_ids", "item"], "ranked_ids")  # (B, K)
    parts.node("Equal", ["score", "minus_infinity"], "is_excluded")
    parts.node("Where", ["is_excluded", "no_item", "ranked_ids"], "item_id")


def _allow(parts: Parts, item_ids: NDArray[np.object_]) -> None:
    """`allowed` (R, A) -> `is_allowed`, bool (R, I + 1), which broadcasts where R is 1."""
    parts.constant("no", False, np.bool_)
    parts.constant("yes", True, np.bool_)
    parts.constant("zero", 0)
    parts.constant("num_places", [len(item_ids) + 1])
    parts.node("Shape", ["allowed"], "allowed_shape")
    parts.node("Slice", ["allowed_shape", "axis_0", "axis_1"], "num_lists")
    parts.node("Concat", ["num_lists", "num_places"], "mask_shape", axis=0)
    parts.node("Expand", ["no", "mask_shape"], "nothing_allowed")
    parts.node("Expand", ["yes", "allowed_shape"], "each_allowed")  # (R, A)
    parts.node(
        "ScatterElements", ["nothing_allowed", "allowed_item", "each_allowed"], "listed", axis=1
    )  # (R, I + 1)
    # '' and an unknown item have one index, and only the latter makes a list one
    parts.node(
        "LabelEncoder",
        ["allowed"],
        "is_given",
        domain="ai.onnx.ml",
        keys_strings=[""],
        values_int64s=[0],
        default_int64=1,
    )  # (R, A)
    parts.node("ReduceSum", ["is_given", "axis_1"], "num_given", keepdims=1)  # (R, 1)
    parts.node("Equal", ["num_given", "zero"], "no_list")
    parts.node("Or", ["listed", "no_list"], "is_allowed")
