"""The second graph of a recommender bundle: what each purchase adds to the scores of given items.

    history, user_id, …, item_id    LabelEncoder: strings -> indices
    model                           what each purchase adds, and the rest (B, K, 1 + L + 1)
    contribution, rest              Slice

A graph of its own: a request without reasons pays nothing for it, and it explains whatever is shown
in the end, in whatever order.

Axes: B users, K items of a user, L length of a history, U users and I items in the vocabularies.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim

from recsys.bundle.agreement import score_bound
from recsys.errors import ExportError
from recsys.export.onnx.assembly import GraphValue, Parts, assemble
from recsys.export.recommender.growing import Core, export_traced
from recsys.export.recommender.histories import Histories
from recsys.export.recommender.parity import Catalogue, query_groups, rank, unknown_id
from recsys.inference.reasons import BecauseEntry
from recsys.models.fallback import served_users
from recsys.models.inputs import (
    HISTORY,
    HISTORY_AGE,
    PER_PURCHASE,
    USER,
    InputVocabulary,
    ModelInput,
    Query,
    reads_history,
)
from recsys.models.recommender import (
    ExplainsScores,
    Recommender,
    reasons_inputs,
)

_ITEM = GraphValue("item_id", "string", ("batch", "k"), "items to explain; '' pads")
_OUTPUTS = (
    GraphValue(
        "contribution",
        "float32",
        ("batch", "k", "history"),
        "what each purchase adds to the score of each item; 0 for '' and unknown items",
    ),
    GraphValue(
        "rest",
        "float32",
        ("batch", "k"),
        "what else is in the score; -inf for '' and unknown items",
    ),
)
_REST = {
    "exact": "what no single purchase adds: how the item sells, constants, what a fit left open",
    "gradient": "the score of an empty history: the gradients are integrated from there",
    "leave_one_out": "what the purchases do together, and the score without any of them",
}
# Above one and unlike each other, as of `core`.
_TRACED = {"batch": 3, "history": 5, "k": 4}
# Items of a user that are compared: the best, and others.
_BEST, _OTHERS = 10, 10


class BecauseGraph(NamedTuple):
    """A graph that explains.

    Attributes:
        model: the graph.
        entry: what the manifest says of it.
    """

    model: onnx.ModelProto
    entry: BecauseEntry


class Explained(nn.Module):
    """Reasons with the fallback of a bundle: popular items have no reasons but their popularity."""

    def __init__(self, model: ExplainsScores, popularity: Tensor) -> None:
        """Wraps a model; popularity is (I,)."""
        super().__init__()
        self.model = model
        self.register_buffer("popularity", popularity)

    def forward(self, *values: Tensor) -> Tensor:
        """Values of `reasons_inputs`, (B,) or (B, L), and items (B, K), I for what is unknown ->
        (B, K, L + 1): what each purchase adds, and last the rest.
        """
        model = cast(Recommender, self.model)
        *given, items = values
        inputs = reasons_inputs(model)
        columns = {each.name: value for each, value in zip(inputs, given, strict=True)}
        user, history = columns.pop(USER.name, None), columns.pop(HISTORY.name)
        if user is None:
            user = torch.zeros_like(history[:, 0])
        query = Query(user, history, columns.pop(HISTORY_AGE.name, None), columns)
        query, served = served_users(model, query)
        fallback = ~served
        unknown = items >= model.num_items  # (B, K)
        known = torch.where(unknown, 0, items)
        purchases, rest = self.model.reasons(query, known)
        purchases = torch.where((fallback.unsqueeze(1) | unknown).unsqueeze(2), 0.0, purchases)
        rest = torch.where(fallback.unsqueeze(1), cast(Tensor, self.popularity)[known], rest)
        rest = torch.where(unknown, -torch.inf, rest)
        return torch.cat([purchases, rest.unsqueeze(2)], dim=2)


def require_reasons(model: Recommender) -> ExplainsScores:
    """The model, if it can tell which purchases carry a score.

    Raises:
        ExportError: it cannot.
    """
    if isinstance(model, ExplainsScores):
        return model
    if USER in model.inputs and not reads_history(model):
        why = "knows users by their ids: no purchase is in its scores"
    else:
        why = "does not say which purchases carry a score (ExplainsScores in models.recommender)"
    raise ExportError(
        f"because=true: {type(model).__name__} {why}; leave it out, or choose a model with reasons,"
        " such as next_purchase, item_knn, ease, ials, content, autoencoder or sasrec"
    )


def build_because_graph(
    model: ExplainsScores,
    user_ids: NDArray[np.object_],
    item_ids: NDArray[np.object_],
    popularity: NDArray[np.float32],
    vocabulary: InputVocabulary | None = None,
) -> BecauseGraph:
    """The graph, and its entry in the manifest.

    Args:
        model: on the CPU, in evaluation mode.
        user_ids, item_ids, popularity, vocabulary: as `graph.build_graph` takes them.

    Raises:
        ExportError: if torch cannot express it as a graph.
    """
    recommender = cast(Recommender, model)
    inputs = reasons_inputs(recommender)
    core = _export_core(model, inputs, torch.from_numpy(popularity.astype(np.float32)))
    parts = Parts()
    parts.encode(_ITEM.name, "items", item_ids)
    given = {each.name: each.name for each in inputs} | {"items": "items"}
    parts.constant("one_before", [0, 1, 0, 0])
    for each in inputs:
        pad: Any = np.float32(each.pad if each.dtype == "float32" else 0)
        if each.dtype == "string":
            given[each.name] = f"{each.name}/index"
            ids = {USER: user_ids, HISTORY: item_ids}.get(each)
            if ids is None:
                assert vocabulary is not None
                ids = vocabulary.categories(each.name)
            parts.encode(each.name, given[each.name], ids)
            pad = np.int64(len(ids))
        if each.dims == PER_PURCHASE:
            # no model gets a history of width zero
            parts.constant(f"{each.name}/pad", pad, pad.dtype)
            before = [given[each.name], "one_before", f"{each.name}/pad"]
            given[each.name] = f"{each.name}/padded"
            parts.node("Pad", before, given[each.name])  # (B, 1 + L)
    core.append_to(parts, given)
    for name, value in (("first", [1]), ("last", [-1]), ("axis", [2]), ("end", [2**31])):
        parts.constant(name, value)
    parts.node("Slice", ["model/reasons", "first", "last", "axis"], "contribution")  # (B, K, L)
    parts.node("Slice", ["model/reasons", "last", "end", "axis"], "rest/last")  # (B, K, 1)
    parts.node("Squeeze", ["rest/last", "axis"], "rest")
    values = [
        *(
            GraphValue(each.name, each.dtype, each.dims, each.meaning, each.source)
            for each in inputs
        ),
        _ITEM,
    ]
    entry = BecauseEntry(
        kind=model.reasons_kind,
        rest=_REST[model.reasons_kind],
        inputs=[value.entry(is_input=True) for value in values],
        outputs=[value.entry(is_input=False) for value in _OUTPUTS],
        floats=list(model.floats_per_reason),
    )
    return BecauseGraph(assemble(parts, "because", values, _OUTPUTS), entry)


def _export_core(model: ExplainsScores, inputs: tuple[ModelInput, ...], popularity: Tensor) -> Core:
    """Traces `Explained` to a graph from `inputs` and `items`, by name, to `reasons`."""
    batch, history, width = (Dim(name) for name in _TRACED)
    samples, dims = [], []
    for each in inputs:
        per_purchase = each.dims == PER_PURCHASE
        shape = (_TRACED["batch"], _TRACED["history"]) if per_purchase else (_TRACED["batch"],)
        kind = torch.int64 if each.dtype == "string" else torch.float32
        samples.append(torch.zeros(shape, dtype=kind))
        dims.append({0: batch, 1: history} if per_purchase else {0: batch})
    samples.append(torch.zeros((_TRACED["batch"], _TRACED["k"]), dtype=torch.int64))
    dims.append({0: batch, 1: width})
    name = f"reasons of {type(model).__name__}"
    names = [*(each.name for each in inputs), "items"]
    module = Explained(model, popularity).eval()
    with torch.no_grad():  # with gradients some models choose by the number of candidates
        return export_traced(module, names, samples, dims, ["reasons"], name)


def check_reasons(
    session: onnxruntime.InferenceSession,
    model: ExplainsScores,
    catalogue: Catalogue,
    histories: Histories,
    vocabulary: InputVocabulary | None = None,
) -> float:
    """Compares the graph with torch for about 200 users, the best items of each, others, and an
    unknown one; and sums of reasons with the scores: both within 1e-4.

    Returns:
        The largest difference of two sums.

    Raises:
        ExportError: if they disagree.
    """
    recommender = cast(Recommender, model)
    explained = Explained(model, torch.from_numpy(catalogue.popularity)).eval()
    generator = np.random.default_rng(0)
    vocabulary = vocabulary or InputVocabulary()
    inputs = reasons_inputs(recommender)
    numbers = {each.name: _numbers(each, catalogue, vocabulary) for each in inputs}
    num_items = len(catalogue.item_ids)
    ids = np.append(catalogue.item_ids, [unknown_id(catalogue.item_ids)])
    largest = 0.0
    for group in query_groups(recommender, catalogue, histories, vocabulary, generator):
        items = _explained_items(group.reference, generator)  # (B, K), I is unknown
        feeds: dict[str, NDArray[Any]] = {
            USER.name: group.user_ids,
            HISTORY.name: group.history,
            **group.more,
        }
        feeds = {each.name: feeds[each.name] for each in inputs} | {_ITEM.name: ids[items]}
        read = [_indexed(feeds[each.name], numbers[each.name]) for each in inputs]
        with torch.no_grad():
            wanted = explained(*read, torch.from_numpy(items)).numpy()
        contribution, rest = session.run([value.name for value in _OUTPUTS], feeds)
        got = np.concatenate([contribution, rest[:, :, None]], axis=2)
        if got.shape != wanted.shape:
            raise ExportError(f"the graph of reasons answers {got.shape}, not {wanted.shape}")
        _require_close(got, wanted, "torch's reasons")
        scores = np.pad(group.reference, ((0, 0), (0, 1)), constant_values=-np.inf)
        scores = np.take_along_axis(scores, items, axis=1)
        _require_close(got.sum(axis=2), scores, "the scores that they add up to")
        known = items < num_items
        largest = max(largest, float(np.abs(got.sum(axis=2)[known] - scores[known]).max()))
    return largest


def _numbers(
    each: ModelInput, catalogue: Catalogue, vocabulary: InputVocabulary
) -> dict[str, int] | None:
    """Index of every text that an input knows; None for numbers."""
    if each.dtype != "string":
        return None
    ids = {USER: catalogue.user_ids, HISTORY: catalogue.item_ids}.get(each)
    known = vocabulary.categories(each.name) if ids is None else ids
    return {text: index for index, text in enumerate(known.tolist())}


def _indexed(values: NDArray[Any], numbers: dict[str, int] | None) -> Tensor:
    """Values of an input as the model reads them."""
    if numbers is None:
        return torch.from_numpy(values)
    indices = [numbers.get(text, len(numbers)) for text in values.ravel().tolist()]
    return torch.tensor(indices, dtype=torch.int64).view(values.shape)


def _explained_items(
    scores: NDArray[np.float32], generator: np.random.Generator
) -> NDArray[np.int64]:
    """The best items of users (B, I), others and an unknown one, I: (B, K)."""
    rows, num_items = scores.shape
    others = generator.integers(0, num_items, (rows, min(_OTHERS, num_items)))
    unknown = np.full((rows, 1), num_items)
    return np.concatenate([rank(scores)[:, :_BEST], others, unknown], axis=1)


def _require_close(got: NDArray[np.float32], wanted: NDArray[np.float32], what: str) -> None:
    with np.errstate(invalid="ignore"):
        difference = np.where(got == wanted, 0, np.abs(got - wanted))
    # written so that NaN fails
    wrong = ~(difference <= score_bound(np.where(np.isfinite(wanted), wanted, 0)))
    if wrong.any():
        place = tuple(np.argwhere(wrong)[0])
        raise ExportError(
            f"the graph of reasons disagrees with {what}: {got[place]:.6g}, not {wanted[place]:.6g}"
        )


def reasons_samples(
    session: onnxruntime.InferenceSession,
    entry: BecauseEntry,
    cases: list[Mapping[str, Any]],
    item_ids: NDArray[np.object_],
) -> list[dict[str, object]]:
    """Golden inputs and outputs: of the cases of the bundle that have an answer.

    Histories are those of the cases, or made up, where the scores come from user ids: so that no
    sample holds what a customer bought.
    """
    generator = np.random.default_rng(1)
    found = []
    for case in cases:
        if not case["k"]:
            continue
        rows = len(case["user_id"])
        given = {value["name"]: case[value["name"]] for value in entry["inputs"]}
        if not any(given["history"]) and case["name"] != "unknown user":
            given["history"] = [generator.choice(item_ids, 4).tolist() for _ in range(rows)]
        kinds = {value["name"]: value for value in entry["inputs"]}
        feeds = {}
        for name, values in given.items():
            kind: Any = object if kinds[name]["type"] == "string" else np.float32
            shape = (rows, -1) if len(kinds[name]["dims"]) == 2 else (rows,)
            feeds[name] = np.array(values, dtype=kind).reshape(shape)
        contribution, rest = session.run([value["name"] for value in entry["outputs"]], feeds)
        plain = [[None if np.isneginf(value) else value for value in row] for row in rest.tolist()]
        answer = {"contribution": contribution.tolist(), "rest": plain}
        found.append({"name": case["name"], **given, **answer})
    return found
