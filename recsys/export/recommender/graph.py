"""The one graph of a recommender bundle: strings in, strings out.

    user_id, history, exclude   LabelEncoder: strings -> indices
    model                       scores (B, I)
    exclude                     ScatterElements: -inf
    k                           Clip, TopK
    item_id, score              Gather: indices -> strings

Axes: B users, L length of a history, E excluded items a user, K items returned, U users and I items
    in the vocabularies.
"""

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper

from recsys.export.onnx.assembly import GraphValue, Parts, assemble
from recsys.export.recommender.core import export_core
from recsys.models.recommender import Recommender, reads_age

_USER = GraphValue(
    "user_id", "string", ("batch",), "who is asked about; an unknown user gets the fallback"
)
_HISTORY = GraphValue(
    "history", "string", ("batch", "history"), "items bought, latest last; '' pads"
)
_AGE = GraphValue(
    "history_age", "float32", ("batch", "history"), "days since each purchase; 0 pads"
)
_REQUEST = (
    GraphValue("exclude", "string", ("batch", "excluded"), "items never to return; '' pads"),
    GraphValue("k", "int64", (1,), "items a user, clamped to 0 … number of items"),
)
OUTPUTS = (
    GraphValue("item_id", "string", ("batch", "k"), "best first; '' in place of an excluded item"),
    GraphValue("score", "float32", ("batch", "k"), "-inf in place of an excluded item"),
)


def graph_inputs(model: Recommender) -> tuple[GraphValue, ...]:
    """Inputs of the graph: the same for all models, and the ages where one reads them."""
    return (_USER, _HISTORY, *((_AGE,) if reads_age(model) else ()), *_REQUEST)


def build_graph(
    model: Recommender,
    user_ids: NDArray[np.object_],
    item_ids: NDArray[np.object_],
    popularity: NDArray[np.float32],
) -> onnx.ModelProto:
    """The whole graph of a bundle: from `graph_inputs` to `OUTPUTS`.

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
    parts = Parts()
    parts.constant("axis_0", [0])
    parts.constant("axis_1", [1])
    parts.constant("num_items", [len(item_ids)])
    parts.encode("exclude", "exclude_item", item_ids)
    if model.reads_history:
        _history_input(parts, item_ids)
        if reads_age(model):
            parts.constant("age_of_pad", [0], np.float32)
            parts.node("Expand", ["age_of_pad", "pad_shape"], "pad_age")  # (B, 1)
            parts.node("Concat", ["pad_age", "history_age"], "padded_age", axis=1)  # (B, 1 + L)
    else:
        parts.encode("user_id", "user", user_ids)
    parts.append(core, {"user": "user", "history": "padded_history", "history_age": "padded_age"})
    _mask_and_rank(parts, item_ids)
    return assemble(parts, "recommender", graph_inputs(model), OUTPUTS)


def _history_input(parts: Parts, item_ids: NDArray[np.object_]) -> None:
    """`history` as item indices after one pad: no model ever meets a history of width zero."""
    parts.encode("history", "history_item", item_ids)
    parts.node("Shape", ["user_id"], "batch_size")
    parts.node("Concat", ["batch_size", "axis_1"], "pad_shape", axis=0)
    parts.node("Expand", ["num_items", "pad_shape"], "pad")  # (B, 1)
    parts.node("Concat", ["pad", "history_item"], "padded_history", axis=1)  # (B, 1 + L)


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
