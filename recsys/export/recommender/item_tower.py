"""The graph that places new items in a catalogue: terms in, rows of the arrays of items out.

    categories, values of lists, words   LabelEncoder: strings -> terms, and their weights
    postings                             fitted items that are most like, by the cosine of terms
    model                                rows of every array

Axes: N new items, T terms of the one that has most, F terms of the model, W fitted items, K
neighbours, P pairs of a fitted item and a term, M pairs of a new and a fitted item with a term.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional

from recsys.bundle.agreement import score_bound
from recsys.bundle.list_columns import left_padded
from recsys.bundle.new_items import (
    ITEM_ARRAY,
    KNOWN,
    ColumnEntry,
    NewItemsEntry,
    Reading,
)
from recsys.data.phase_columns import NGRAMS, REFERENCES
from recsys.errors import ExportError
from recsys.export.onnx.assembly import GraphValue, Parts, assemble
from recsys.export.onnx.tracing import checked, trace, translate
from recsys.models.inputs import InputVocabulary
from recsys.models.item_tower import ItemTower, NewItems
from recsys.models.recommenders.neighbours import nearest_rows

FIRST = "first"
# Above one and unlike each other, as of `core`.
_TRACED_ITEMS, _TRACED_TERMS = 3, 5
# Items that are compared with torch.
_COMPARED = 50
# Index of the first of them.
_FIRST = 7
# Terms that more than this part of the fitted items have are few, and products of matrices faster.
_COMMON = 8
# Numbers of these matrices, 64 MB.
_DENSE_FLOATS = 2**24
# Cosines that rounding may swap.
_TIED = 1e-5


class ItemTowerGraph(NamedTuple):
    """A graph that places new items.

    Attributes:
        model: the graph.
        entry: what the manifest says of it.
    """

    model: onnx.ModelProto
    entry: NewItemsEntry


class _Rows(nn.Module):
    """The rows of a tower, one output an array."""

    def __init__(self, tower: ItemTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, *new: Tensor) -> tuple[Tensor, ...]:
        """The fields of `NewItems`."""
        return tuple(self.tower.rows(NewItems(*new)).values())


def build_item_tower(
    towers: Sequence[ItemTower],
    vocabulary: InputVocabulary,
    readings: Mapping[str, Reading],
    name_column: str | None = None,
) -> ItemTowerGraph:
    """The graph of a model's towers, and its entry in the manifest.

    Args:
        towers: one at least.
        vocabulary: terms of the items' columns.
        readings: how terms are made of each column; a list, where it is not named.
        name_column: see `NewItemsEntry`.

    Raises:
        ExportError: if torch cannot express a tower as a graph.
    """
    parts = Parts()
    for name, value in (("axis_0", [0]), ("axis_1", [1]), ("first_axis", 0), ("zero", 0)):
        parts.constant(name, value)
    for name, value in (("one", 1), ("flat", [-1])):
        parts.constant(name, value)
    parts.constant("tiny", 1e-12, np.float32)
    parts.constant("nothing", 0, np.float32)
    outputs, floats = [], 0
    for place, tower in enumerate(towers):
        prefix = f"tower_{place}"
        _weigh_terms(parts, prefix, tower, vocabulary)
        floats = max(floats, _find_neighbours(parts, prefix, tower))
        outputs += _add_rows(parts, prefix, tower)
    inputs = dict.fromkeys(each for tower in towers for each in tower.inputs)
    outputs += [_tell_known(parts, each.name, towers) for each in inputs]
    columns = [_column_entry(each.name, readings, vocabulary) for each in inputs]
    values = [
        *(
            GraphValue(each.name, "string", ("items", f"terms_of_{each.name}"), each.meaning)
            for each in inputs
        ),
        GraphValue(FIRST, "int64", (), "index that the first of the items gets"),
    ]
    entry = NewItemsEntry(
        columns=columns,
        pads={ITEM_ARRAY + name: pad for tower in towers for name, pad in tower.pads.items()},
        floats_per_item=floats,
        name_column=name_column,
    )
    return ItemTowerGraph(assemble(parts, "item_tower", values, outputs), entry)


def _column_entry(
    name: str, readings: Mapping[str, Reading], vocabulary: InputVocabulary
) -> ColumnEntry:
    column = name.partition(".")[2]
    reading = "ngrams" if name.startswith(NGRAMS) else readings.get(column, "list")
    entry = ColumnEntry(
        name=name, column=column, reading=reading, references=name.startswith(REFERENCES)
    )
    if reading == "number":
        entry["ranges"] = vocabulary.categories(name).tolist()
    return entry


def _weigh_terms(parts: Parts, prefix: str, tower: ItemTower, vocabulary: InputVocabulary) -> None:
    """Strings of the columns -> `PREFIX/term` and `PREFIX/weight` (N, T)."""
    num_terms, start, encoded = len(tower.rarity), 0, []
    for each, size in zip(tower.inputs, tower.sizes, strict=True):
        encoded.append(f"{prefix}/{each.name}")
        parts.encode(
            each.name, encoded[-1], vocabulary.categories(each.name), start, unknown=num_terms
        )
        start += size
    parts.node("Concat", encoded, f"{prefix}/term", axis=1)
    rarity = np.append(tower.rarity.numpy(), 0.0)
    parts.constant(f"{prefix}/rarity", rarity, np.float32)
    parts.node("Gather", [f"{prefix}/rarity", f"{prefix}/term"], f"{prefix}/raw")
    parts.node("Mul", [f"{prefix}/raw", f"{prefix}/raw"], f"{prefix}/squares")
    parts.node("ReduceSum", [f"{prefix}/squares", "axis_1"], f"{prefix}/squared", keepdims=1)
    parts.node("Sqrt", [f"{prefix}/squared"], f"{prefix}/root")
    parts.node("Max", [f"{prefix}/root", "tiny"], f"{prefix}/length")
    parts.node("Div", [f"{prefix}/raw", f"{prefix}/length"], f"{prefix}/weight")


def _tell_known(parts: Parts, name: str, towers: Sequence[ItemTower]) -> GraphValue:
    """Strings of a column -> "known/NAME", whether a term of it is known (N,)."""
    place, tower = next(
        (place, each)
        for place, each in enumerate(towers)
        if name in (column.name for column in each.inputs)
    )
    output = KNOWN + name
    parts.constant(f"{output}/none", len(tower.rarity))
    parts.node("Less", [f"tower_{place}/{name}", f"{output}/none"], f"{output}/terms")
    parts.node("Cast", [f"{output}/terms"], f"{output}/ones", to=onnx.TensorProto.INT64)
    parts.node("ReduceMax", [f"{output}/ones", "axis_1"], f"{output}/most", keepdims=0)
    parts.node("Cast", [f"{output}/most"], output, to=onnx.TensorProto.BOOL)
    return GraphValue(output, "bool", ("items",), f"whether a term of {name} is known")


def _find_neighbours(parts: Parts, prefix: str, tower: ItemTower) -> int:
    """`PREFIX/term` and `PREFIX/weight` -> `PREFIX/alike` and `PREFIX/share` (N, K).

    Terms that many items have, such as a large brand, are products of matrices. Of the others only
    pairs with a term in common are looked at: for every term of a new item the fitted items that
    have it, one after the other, M in all.

    Returns:
        Numbers that it holds at once per item.
    """

    def at(name: str) -> str:
        return f"{prefix}/{name}"

    if not tower.num_neighbours:
        parts.node("Slice", [at("weight"), "axis_0", "axis_1", "axis_1"], at("first_weight"))
        parts.node("Mul", [at("first_weight"), "nothing"], at("share"))
        parts.node("Cast", [at("share")], at("alike"), to=onnx.TensorProto.INT64)
        return 16
    item, term, weight = (each.numpy() for each in tower.postings)
    fitted, place = np.unique(item, return_inverse=True)
    counts = np.bincount(term, minlength=len(tower.rarity) + 1)
    is_common = counts > len(fitted) / _COMMON
    rarer = np.argsort(-counts, kind="stable")[_DENSE_FLOATS // max(1, len(fitted)) :]
    is_common[rarer] = False
    of_common = is_common[term]
    dense = np.zeros((int(is_common.sum()) + 1, len(fitted)), dtype=np.float32)
    common = np.where(is_common, np.cumsum(is_common) - 1, len(dense) - 1)  # (F + 1,)
    dense[common[term[of_common]], place[of_common]] = weight[of_common]
    term, place, weight = term[~of_common], place[~of_common], weight[~of_common]
    counts, order = np.where(is_common, 0, counts), np.argsort(term, kind="stable")
    parts.constant(at("common"), common)
    parts.constant(at("dense"), dense, np.float32)
    parts.constant(at("no_weight"), [0], np.float32)
    parts.constant(at("num_common"), [len(dense)])
    parts.constant(at("fitted"), fitted)
    parts.constant(at("num_fitted"), len(fitted))
    parts.constant(at("posting_item"), place[order])
    parts.constant(at("posting_weight"), weight[order], np.float32)
    parts.constant(at("posting_count"), counts)
    parts.constant(at("posting_start"), np.cumsum(counts) - counts)
    parts.constant(at("k"), [min(tower.num_neighbours, len(fitted))])
    parts.node("Reshape", [at("term"), "flat"], at("cell"))  # (N T,)
    parts.node("Gather", [at("posting_count"), at("cell")], at("count"))
    parts.node("CumSum", [at("count"), "first_axis"], at("end"))
    parts.node("Sub", [at("end"), at("count")], at("begin"))
    parts.node("ReduceMax", [at("end"), "axis_0"], at("total"), keepdims=1)
    parts.node("Squeeze", [at("total")], at("num_pairs"))
    # which cell each of the M pairs is of: as many as have ended before it
    parts.node("Add", [at("total"), "one"], at("with_end"))
    parts.constant(at("none"), [0])
    parts.node("Expand", [at("none"), at("with_end")], at("no_ends"))
    parts.node("Shape", [at("cell")], at("num_cells"))
    parts.node("Expand", ["one", at("num_cells")], at("each_end"))
    parts.node(
        "ScatterElements",
        [at("no_ends"), at("end"), at("each_end")],
        at("ends"),
        axis=0,
        reduction="add",
    )
    parts.node("CumSum", [at("ends"), "first_axis"], at("ended"))
    parts.node("Slice", [at("ended"), "axis_0", at("total")], at("of_cell"))  # (M,)
    parts.node("Range", ["zero", at("num_pairs"), "one"], at("pair"))
    parts.node("Gather", [at("posting_start"), at("cell")], at("start"))
    parts.node("Sub", [at("start"), at("begin")], at("shift"))
    parts.node("Gather", [at("shift"), at("of_cell")], at("shifted"))
    parts.node("Add", [at("pair"), at("shifted")], at("posting"))
    parts.node("Gather", [at("posting_item"), at("posting")], at("other"))
    parts.node("Gather", [at("posting_weight"), at("posting")], at("other_weight"))
    parts.node("Reshape", [at("weight"), "flat"], at("own_weights"))
    parts.node("Gather", [at("own_weights"), at("of_cell")], at("own_weight"))
    parts.node("Mul", [at("own_weight"), at("other_weight")], at("product"))
    # products of a new and a fitted item, added up
    parts.node("Shape", [at("term")], at("shape"))
    parts.node("Slice", [at("shape"), "axis_1", at("two")], at("width"))
    parts.constant(at("two"), [2])
    parts.node("Div", [at("of_cell"), at("width")], at("row"))
    parts.node("Mul", [at("row"), at("num_fitted")], at("row_start"))
    parts.node("Add", [at("row_start"), at("other")], at("key"))
    parts.node("Slice", [at("shape"), "axis_0", "axis_1"], at("num_new"))
    parts.node("Concat", [at("num_new"), at("num_common")], at("common_shape"), axis=0)
    parts.node("Expand", [at("no_weight"), at("common_shape")], at("no_weights"))
    parts.node("Gather", [at("common"), at("term")], at("of_common"))  # (N, T)
    parts.node(
        "ScatterElements",
        [at("no_weights"), at("of_common"), at("weight")],
        at("common_weights"),
        axis=1,
        reduction="add",
    )
    parts.node("MatMul", [at("common_weights"), at("dense")], at("products"))  # (N, W)
    parts.node("Reshape", [at("products"), "flat"], at("flat_products"))
    parts.node(
        "ScatterElements",
        [at("flat_products"), at("key"), at("product")],
        at("sums"),
        axis=0,
        reduction="add",
    )
    parts.constant(at("by_fitted"), [-1, len(fitted)])
    parts.node("Reshape", [at("sums"), at("by_fitted")], at("cosine"))  # (N, W)
    parts.nodes.append(
        onnx.helper.make_node(
            "TopK", [at("cosine"), at("k")], [at("nearest"), at("nearest_place")], axis=1
        )
    )
    parts.node("Gather", [at("fitted"), at("nearest_place")], at("alike"))
    parts.constant(at("least"), 1e-9, np.float32)
    parts.node("ReduceSum", [at("nearest"), "axis_1"], at("sum"), keepdims=1)
    parts.node("Max", [at("sum"), at("least")], at("divisor"))
    parts.node("Div", [at("nearest"), at("divisor")], at("share"))
    pairs = int((counts.astype(float) ** 2).sum() / max(1, len(fitted)))
    return 4 * len(fitted) + 16 * pairs


def _add_rows(parts: Parts, prefix: str, tower: ItemTower) -> list[GraphValue]:
    """The fields of `NewItems` -> "items/NAME" of every array."""
    items, terms = Dim("items"), Dim("terms")
    samples = (
        torch.zeros(_TRACED_ITEMS, _TRACED_TERMS, dtype=torch.int64),
        torch.zeros(_TRACED_ITEMS, _TRACED_TERMS),
        torch.zeros(_TRACED_ITEMS, (k := _width(tower)), dtype=torch.int64),
        torch.zeros(_TRACED_ITEMS, k),
        torch.zeros((), dtype=torch.int64),
    )
    dims: tuple[Any, ...] = ({0: items, 1: terms}, {0: items, 1: terms}, {0: items}, {0: items}, {})
    names, fields = tower.arrays(), list(NewItems._fields)
    name = "the item tower"
    with torch.no_grad():
        program = trace(_Rows(tower).eval(), samples, (dims,), name)
    fixed = [("alike", 1), ("share", 1)]
    # as inputs, and arrays of them, may have one name
    called = [f"rows_of_{each}" for each in names]
    graph = checked(translate(program, fields, called, name), name, fixed)
    given = {each: f"{prefix}/{each}" for each in fields} | {FIRST: FIRST}
    parts.append(graph, given, f"{prefix}/rows")
    found = []
    for each, output in zip(names, graph.graph.output, strict=True):
        kind = onnx.TensorProto.DataType.Name(output.type.tensor_type.elem_type).lower()
        dims_of = output.type.tensor_type.shape.dim
        sizes = [dim.dim_value or f"{each}/{axis}" for axis, dim in enumerate(dims_of)]
        parts.node("Identity", [f"{prefix}/rows/{output.name}"], ITEM_ARRAY + each)
        found.append(
            GraphValue(
                ITEM_ARRAY + each,
                {"float": "float32"}.get(kind, kind),
                tuple(sizes),
                f"rows of {each}",
            )
        )
    return found


def check_item_tower(
    session: onnxruntime.InferenceSession,
    towers: Sequence[ItemTower],
    vocabulary: InputVocabulary,
) -> None:
    """Compares the graph with torch: about 50 items of the catalogue as if they were new.

    Raises:
        ExportError: if a row differs.
    """
    columns = [each.name for each in session.get_inputs() if each.name != FIRST]
    for tower in towers:
        chosen = torch.unique(tower.postings.item)
        chosen = chosen[:: max(1, len(chosen) // _COMPARED)]
        new, texts, sure = _as_new(tower, chosen, vocabulary)
        nothing = np.full((len(chosen), 1), "", dtype=object)  # in the columns of other towers
        feeds = {name: texts.get(name, nothing) for name in columns}
        feeds |= {FIRST: new.first.numpy()}
        names = tower.arrays()
        found = session.run([ITEM_ARRAY + name for name in names], feeds)
        wanted = tower.rows(new)
        kinds = {name: values.dtype for name, values in wanted.items()}
        for name, got in zip(names, found, strict=True):
            want = wanted[name].detach().numpy().astype(np.float32)
            got = got.astype(np.float32)
            same = got.shape == want.shape
            if same and len(got) == len(chosen):  # not pairs, which no neighbour decides
                is_sure = sure.border if kinds[name] == torch.float32 else sure.order
                got, want = got[is_sure], want[is_sure]
            if not (same and (np.abs(got - want) <= score_bound(want)).all()):
                raise ExportError(f"the item tower disagrees with torch in the rows of {name}")


class _Sure(NamedTuple):
    """Whether rounding cannot change which neighbours an item has, and in which order, bool (N,)
    each.
    """

    border: NDArray[np.bool_]
    order: NDArray[np.bool_]


def _as_new(
    tower: ItemTower, chosen: Tensor, vocabulary: InputVocabulary
) -> tuple[NewItems, dict[str, NDArray[np.object_]], _Sure]:
    """Some fitted items (N,) as torch and as the graph read them."""
    postings, num_terms = tower.postings, len(tower.rarity)
    row = torch.full((int(postings.item.max()) + 1,), -1)
    row[chosen] = torch.arange(len(chosen))
    mine = row[postings.item] >= 0
    rows, terms = row[postings.item[mine]].numpy(), postings.term[mine].numpy()
    texts, tables, start = {}, [], 0
    for each, size in zip(tower.inputs, tower.sizes, strict=True):
        within = (terms >= start) & (terms < start + size)
        lengths = np.bincount(rows[within], minlength=len(chosen))
        table = left_padded(terms[within], lengths, num_terms)
        if not table.shape[1]:
            table = np.full((len(chosen), 1), num_terms)
        tables.append(table)
        known = np.append(vocabulary.categories(each.name), [""])
        texts[each.name] = known[np.where(table < num_terms, table - start, size)]
        start += size
    term = torch.from_numpy(np.concatenate(tables, axis=1)).long()
    raw = functional.pad(tower.rarity, (0, 1))[term]
    weight = raw / raw.square().sum(dim=1, keepdim=True).sqrt().clamp(min=1e-12)
    zero, every = torch.zeros(len(chosen), 1), np.ones(len(chosen), dtype=bool)
    sure = _Sure(every, every)
    alike, share = zero.long(), zero
    if tower.num_neighbours:
        fitted, place = torch.unique(postings.item, return_inverse=True)
        shape = (len(fitted), num_terms)
        pairs = place.numpy(), postings.term.numpy()
        others = csr_array((postings.weight.numpy(), pairs), shape=shape)
        mine_of = torch.searchsorted(fitted, chosen.contiguous()).numpy()
        k = _width(tower)
        nearest = nearest_rows(others[mine_of], others, min(k + 1, len(fitted)))
        value, column = nearest.similarity.topk(nearest.row.shape[1], dim=1)
        apart = (value[:, :-1] - value[:, 1:] > _TIED) | (value[:, 1:] == 0)
        sure = _Sure(apart[:, k - 1 :].all(dim=1).numpy(), apart.all(dim=1).numpy())
        alike = fitted[nearest.row.gather(1, column[:, :k])]
        share = value[:, :k] / value[:, :k].sum(dim=1, keepdim=True).clamp(min=1e-9)
    return NewItems(term, weight, alike, share, torch.tensor(_FIRST)), texts, sure


def _width(tower: ItemTower) -> int:
    """K."""
    fitted = len(torch.unique(tower.postings.item))
    return min(tower.num_neighbours, fitted) if tower.num_neighbours else 1
