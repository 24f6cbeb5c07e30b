"""Puts items into the catalogue of a bundle that were not there when it was trained.

Axes: I items of the catalogue, N new ones, T terms of a column of the item that has most, B users.
"""

import json
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from recsys.bundle.agreement import check_same_ranking
from recsys.bundle.folder import appearing, check_replaceable, write_json
from recsys.bundle.item_columns import (
    ITEM_COLUMNS,
    ItemColumn,
    read_item_columns,
    write_item_columns,
)
from recsys.bundle.list_columns import left_padded
from recsys.bundle.manifest import GRAPH, MANIFEST, ValueEntry, write_manifest
from recsys.bundle.new_items import (
    IS_KNOWN,
    ITEM_ARRAY,
    ITEM_TOWER,
    ColumnEntry,
    NewItemsEntry,
    Reading,
)
from recsys.errors import BundleError, ConfigError, DataError
from recsys.inference.bundle import Bundle, open_session
from recsys.inference.item_table import ITEM_ID
from recsys.inference.reasons import BECAUSE
from recsys.inference.verification import SAMPLES, feeds_of, recorded, verify

if TYPE_CHECKING:
    import onnx

CARD, ITEM_NAMES = "README.md", "items.json"
# what stands for the items inside of the graphs, beside the arrays of rows
_ENCODERS = {"exclude_item", "allowed_item", "history/index", "items"}
_IDS = "item_ids"
_SIZES = {"num_items": 0, "largest_k": 0, "num_places": 1, "history/pad": 0}
# numbers that the item tower holds at once
_BLOCK_FLOATS = 2**25
# users whose whole rankings are compared, and the length of their made-up histories
_COMPARED, _BOUGHT = 4, 8
_K = 10
_CASE = "new items"
_ADDED = "## Items that were added"
_SHOWN = 3
_WORDS = re.compile(r"[^\W_]+")
_LIST_SEPARATOR = "|"
_NGRAM = 3


class Addition(NamedTuple):
    """What came of new items.

    Attributes:
        items: number of them.
        without_terms: ids of those of which the model knows no term, so that it cannot tell whom
            they suit.
        missing: columns that the model reads and the table lacks.
        unread: columns of the table that nothing reads.
    """

    items: int
    without_terms: list[str]
    missing: list[str]
    unread: list[str]


def columns_of_items(bundle: Bundle) -> dict[str, str]:
    """Columns that are read of new items, and as what: "category", "list", "text", "number",
    "vector" or "name".

    Raises:
        BundleError: the bundle takes no new items.
    """
    entry = _entry(bundle)
    found: dict[str, str] = {}
    for each in entry["columns"]:  # words come before their characters
        found.setdefault(each["column"], each["reading"])
    content = bundle.optional_file(ITEM_COLUMNS)
    if content is not None:
        _, columns = read_item_columns(content, bundle.path / ITEM_COLUMNS)
        found = {name: each.kind for name, each in columns.items()} | found
    if (name := entry["name_column"]) is not None:
        found.setdefault(name, "name")
    return found


def _entry(bundle: Bundle) -> NewItemsEntry:
    entry = bundle.manifest.get("new_items")
    if entry is None:
        raise BundleError(
            f"{bundle.path} takes no new items: its model"
            f" ({bundle.manifest.get('model', 'unknown')}) knows items by their ids alone, or was"
            " trained by an earlier version; train one that reads what items are, such as"
            " model=content, content_knn, content_ials, two_tower or a blend; export again"
        )
    return cast(NewItemsEntry, entry)


def add_items(
    bundle: Bundle, items: Mapping[str, Sequence[Any]], output: Path, where: str = "the items"
) -> Addition:
    """Writes a bundle whose catalogue has more items; it appears when it is proven.

    Old items keep their places and scores, which is checked; new ones have no buyers, so they are
    last where all that is popular is recommended.

    Args:
        bundle: an opened one.
        items: by name of the column, a value of each item: `item_id`, and what the manifest names
            under new_items. Text is a category, or the values of a list with | between them, or
            words; None, NaN and "" are missing.
        output: folder to write, which may be the bundle itself.
        where: what errors call the items.

    Raises:
        BundleError: the bundle takes no new items.
        ConfigError: the table has none of the columns that the model reads.
        DataError: an id is missing, comes twice or is in the catalogue, or a value cannot be used.
    """
    entry, readings = _entry(bundle), columns_of_items(bundle)
    check_replaceable(output)
    given = {str(name): list(items[name]) for name in items}
    ids = _ids(given, where)
    columns = [each for each in entry["columns"] if each["column"] in given]
    if not columns:
        wanted = ", ".join(dict.fromkeys(each["column"] for each in entry["columns"]))
        raise ConfigError(
            f"{where}: the columns are {', '.join(given)}, and the model reads {wanted}: name one"
            " of them so"
        )
    graphs = {GRAPH: _load(bundle, GRAPH)}
    if BECAUSE in bundle.manifest["files"]:
        graphs[BECAUSE] = _load(bundle, BECAUSE)
    known = _known_ids(graphs[GRAPH])
    _require_new(ids, known, where)
    rows, has_terms = _rows(bundle, entry, given, ids, len(known), where)
    added = {name: _appended(each, ids, known, rows, entry) for name, each in graphs.items()}
    session = open_session(added[GRAPH])
    samples = _samples(bundle, session, ids, known)
    with appearing(output) as partial:
        for name in bundle.manifest["files"]:
            shutil.copyfile(bundle.path / name, partial / name)
        for name, content in added.items():
            (partial / name).write_bytes(content)
        write_json(partial / SAMPLES, samples)
        _write_columns(bundle, partial, given, ids, known, entry, where)
        _write_card(partial, len(ids), len(known))
        _write_manifest(bundle, partial, len(ids), len(known))
        verify(partial)
    used = {ITEM_ID, *readings}
    return Addition(
        len(ids),
        [item for item, has in zip(ids, has_terms, strict=True) if not has],
        [name for name in readings if name not in given],
        [name for name in given if name not in used],
    )


def _ids(given: Mapping[str, list[Any]], where: str) -> list[str]:
    if ITEM_ID not in given:
        raise ConfigError(
            f"{where}: there is no column {ITEM_ID}, but {', '.join(given) or 'none at all'}"
        )
    if odd := [name for name, values in given.items() if len(values) != len(given[ITEM_ID])]:
        raise DataError(
            f"{where}: the column {odd[0]!r} has {len(given[odd[0]])} values, and {ITEM_ID} has"
            f" {len(given[ITEM_ID])}: give one for each item"
        )
    ids = [as_text(value) for value in given[ITEM_ID]]
    if not ids:
        raise DataError(f"{where}: there is no row, so nothing was added")
    for row, item in enumerate(ids):
        if item is None or "\0" in item or not item.isascii() and not _is_utf8(item):
            raise DataError(f"{where}: row {row + 1} has the id {item!r}, which cannot be used")
    found = [item for item in ids if item is not None]
    if len(set(found)) < len(found):
        twice = next(item for place, item in enumerate(found) if item in set(found[:place]))
        raise DataError(f"{where}: two rows are of the item {twice!r}; keep one of each")
    return found


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _require_new(ids: list[str], known: NDArray[np.object_], where: str) -> None:
    there = set(known.tolist())
    if old := [item for item in ids if item in there]:
        named = ", ".join(map(repr, old[:_SHOWN])) + (", …" if len(old) > _SHOWN else "")
        raise DataError(
            f"{where}: {len(old)} of {len(ids)} items are in the catalogue already ({named}); leave"
            " them out, for what the model knows of an item is not changed without training"
        )


def as_text(value: Any) -> str | None:
    """One value as the training table's would be read: whole numbers as their digits; None where
    it is missing.
    """
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or value != value:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if text.strip() else None


def terms_of(value: Any, reading: Reading, ranges: Sequence[str] = ()) -> list[str]:
    """The terms of one value, none twice.

    Raises:
        ValueError: a number is none.
    """
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        parts = [as_text(each) for each in value]
    elif (text := as_text(value)) is None:
        return []
    elif reading == "category":
        return [text]
    elif reading == "number":
        place = int(np.searchsorted(np.array(ranges, dtype=np.float64), float(text)))
        return [*ranges[place : place + 1]]
    elif reading == "list":
        parts = [as_text(each) for each in text.split(_LIST_SEPARATOR)]
    else:
        words = _WORDS.findall(text.replace("İ", "i").lower())
        parts = words if reading == "text" else [part for word in words for part in _ngrams(word)]
    return list(dict.fromkeys(each for each in parts if each is not None))


def _ngrams(word: str) -> list[str]:
    """Three characters in a row of a word, with marks where it begins and ends."""
    marked = f"<{word}>"
    return [marked[place : place + _NGRAM] for place in range(len(marked) - _NGRAM + 1)]


def _rows(
    bundle: Bundle,
    entry: NewItemsEntry,
    given: Mapping[str, list[Any]],
    ids: list[str],
    num_items: int,
    where: str,
) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_]]:
    """Rows of the new items in every array, by its name; and which have a term, bool (N,)."""
    content = bundle.optional_file(ITEM_TOWER)
    if content is None:
        raise BundleError(f"{bundle.path / MANIFEST} lists no {ITEM_TOWER}: export it again")
    session = open_session(content)
    texts = {each["name"]: _texts(each, given, ids, where) for each in entry["columns"]}
    step = max(1, _BLOCK_FLOATS // max(1, entry["floats_per_item"]))
    names = [output.name for output in session.get_outputs()]
    blocks: list[dict[str, NDArray[Any]]] = []
    for start in range(0, len(ids), step):
        feeds: dict[str, Any] = {
            name: _nonempty(each[start : start + step]) for name, each in texts.items()
        }
        feeds["first"] = np.array(num_items + start, dtype=np.int64)
        blocks.append(dict(zip(names, session.run(names, feeds), strict=True)))
    rows = {
        name: _stacked([block[name] for block in blocks], entry["pads"].get(name, 0))
        for name in names
    }
    return rows, rows.pop(IS_KNOWN)


def _texts(
    column: ColumnEntry, given: Mapping[str, list[Any]], ids: list[str], where: str
) -> NDArray[Any]:
    """What a column is to the item tower, object (N, T)."""
    name, ranges, found = column["column"], column.get("ranges", ()), []
    for row, value in enumerate(given.get(name, [None] * len(ids))):
        try:
            found.append(terms_of(value, column["reading"], ranges))
        except ValueError as error:
            raise not_a_number(where, row, name, value) from error
    if column["references"]:
        pairs = zip(found, ids, strict=True)
        found = [list(dict.fromkeys([*terms, item])) for terms, item in pairs]
    lengths = np.fromiter(map(len, found), np.int64, len(found))
    flat = np.array([term for terms in found for term in terms], dtype=object)
    return left_padded(flat, lengths, "")


def _nonempty(texts: NDArray[Any]) -> NDArray[Any]:
    """Rows without columns of padding before, one column at least."""
    width = np.count_nonzero((texts != "").any(axis=0))
    return texts[:, -width:] if width else np.full((len(texts), 1), "", dtype=object)


def _stacked(parts: Sequence[NDArray[Any]], pad: int) -> NDArray[Any]:
    """Blocks of rows, of which the shorter ones are filled up."""
    if parts[0].ndim < 2:
        return np.concatenate(parts)
    width = max(each.shape[1] for each in parts)
    filled = [
        np.pad(each, ((0, 0), (0, width - each.shape[1])), constant_values=pad) for each in parts
    ]
    return np.concatenate(filled)


def _load(bundle: Bundle, name: str) -> "onnx.ModelProto":
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


def _known_ids(graph: "onnx.ModelProto") -> NDArray[np.object_]:
    """Ids of the catalogue by index, object (I,)."""
    (found,) = (each for each in graph.graph.initializer if each.name == _IDS)
    return np.array([item.decode() for item in found.string_data], dtype=object)


def _appended(
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
            values = _stacked([numpy_helper.to_array(tensor), rows[name]], pad)
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


def _samples(
    bundle: Bundle,
    session: onnxruntime.InferenceSession,
    ids: list[str],
    known: NDArray[np.object_],
) -> dict[str, Any]:
    """Golden samples of the larger catalogue, after a look at whether old answers have moved: the
    cases of before with the answers of now, and one that chooses from the new items.

    Raises:
        BundleError: they have moved.
    """
    content = bundle.optional_file(SAMPLES)
    assert content is not None
    samples: dict[str, Any] = json.loads(content)
    inputs = bundle.manifest["inputs"]
    cases = samples["cases"]
    whole = _whole_ranking(cases[0], known)
    answer = bundle.session.run(["item_id", "score"], feeds_of(inputs, whole, _COMPARED))
    new = set(ids)
    whole["k"] = len(known) + len(ids)
    for case, want in [*((case, recorded(case)) for case in cases), (whole, answer)]:
        _require_unmoved(bundle.path, case["name"], want, _answer(session, inputs, case), new)
    number = sum(case["name"].startswith(_CASE) for case in cases) + 1
    added = cases[0] | {"name": f"{_CASE} {number}", "allowed": [ids[:_K]], "k": _K}
    _answer(session, inputs, added)
    return samples | {"cases": [*cases, added]}


def _answer(
    session: onnxruntime.InferenceSession, inputs: list[ValueEntry], case: dict[str, Any]
) -> tuple[NDArray[np.object_], NDArray[np.float32]]:
    """Writes what a graph answers into a case; items and scores, (B, K) each."""
    feeds = feeds_of(inputs, case, len(case["user_id"]))
    items, scores, bases = session.run(["item_id", "score", "answered_from"], feeds)
    plain = scores.astype(object)
    plain[np.isneginf(scores)] = None
    case.update(item_id=items.tolist(), score=plain.tolist(), answered_from=bases.tolist())
    return items, scores


def _require_unmoved(
    path: Path,
    name: str,
    want: tuple[NDArray[Any], NDArray[Any]],
    got: tuple[NDArray[Any], NDArray[Any]],
    new: set[str],
) -> None:
    """Raises BundleError where old items (B, K) do not stand in the order and with the scores that
    they had, but for new ones between them.
    """
    for row in range(len(got[0])):
        is_old = np.array([item not in new for item in got[0][row].tolist()], dtype=bool)
        left = min(int(is_old.sum()), want[0].shape[1])
        now = [each[row][is_old][None, :left] for each in got]
        try:
            check_same_ranking(*(each[row : row + 1, :left] for each in want), *now)
        except ValueError as error:
            raise BundleError(
                f"{path}: answers about old items would move, in the sample {name!r}: {error};"
                " nothing was written"
            ) from error


def _whole_ranking(case: Mapping[str, Any], known: NDArray[np.object_]) -> dict[str, Any]:
    """A case of more users, with made-up histories of old items, of which all are ranked."""
    generator = np.random.default_rng(0)
    users = [case["user_id"][row % len(case["user_id"])] for row in range(_COMPARED)]
    bought = generator.choice(known, (_COMPARED, _BOUGHT)).tolist()
    found: dict[str, Any] = {"name": "made-up histories", "user_id": users, "history": bought}
    found |= {"exclude": [[]] * _COMPARED, "allowed": [[]], "k": len(known)}
    for name, values in case.items():
        if name in found or name in ("item_id", "score", "answered_from"):
            continue
        rows = [values[row % len(values)] for row in range(_COMPARED)]
        per_purchase = bool(rows) and isinstance(rows[0], list)
        found[name] = [[1.0] * _BOUGHT] * _COMPARED if per_purchase else rows
    return found


def _write_columns(
    bundle: Bundle,
    partial: Path,
    given: Mapping[str, list[Any]],
    ids: list[str],
    known: NDArray[np.object_],
    entry: NewItemsEntry,
    where: str,
) -> None:
    """Appends to the columns that rules read, and to the names for people."""
    if (content := bundle.optional_file(ITEM_COLUMNS)) is not None:
        of_file, columns = read_item_columns(content, bundle.path / ITEM_COLUMNS)
        order = {item: place for place, item in enumerate(of_file.tolist())}
        rows = np.array([order.get(item, -1) for item in known.tolist()])
        more = [
            each.take(rows).with_values(_for_rules(given.get(name), each, len(ids), where))
            for name, each in columns.items()
        ]
        write_item_columns(partial / ITEM_COLUMNS, np.append(known, np.array(ids, object)), more)
    column = entry["name_column"]
    if column is not None and column in given:
        old = bundle.optional_file(ITEM_NAMES)
        names = {} if old is None else json.loads(old)
        named = ((item, as_text(name)) for item, name in zip(ids, given[column], strict=True))
        write_json(partial / ITEM_NAMES, names | {item: name for item, name in named if name})


def _for_rules(values: list[Any] | None, column: ItemColumn, number: int, where: str) -> list[Any]:
    """Values of the new items in a column that rules read."""
    if column.has_terms:
        if values is None:
            return [[]] * number
        reading: Reading = "list" if column.kind == "list" else "category"
        return [terms_of(value, reading) for value in values]
    if values is None:
        return [math.nan if column.kind == "number" else None] * number
    if column.kind == "vector":
        return values
    found = []
    for row, value in enumerate(values):
        try:
            found.append(_number(value))
        except ValueError as error:
            raise not_a_number(where, row, column.name, value) from error
    return found


def not_a_number(where: str, row: int, column: str, value: Any) -> DataError:
    """The error of a cell that holds something else."""
    return DataError(f"{where}: row {row + 1} has {column}={value!r}, which is no number")


def _number(value: Any) -> float:
    text = as_text(value)
    return math.nan if text is None else float(text)


def _write_card(partial: Path, added: int, before: int) -> None:
    path = partial / CARD
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8").rstrip()
    day = datetime.now(UTC).date().isoformat()
    line = f"{day}: {added:,} items were added to {before:,}; the model places them by their terms."
    if _ADDED not in text:
        text += f"\n\n{_ADDED}\n"
    path.write_text(f"{text}\n- {line}\n", encoding="utf-8")


def _write_manifest(bundle: Bundle, partial: Path, added: int, before: int) -> None:
    content: dict[str, Any] = dict(bundle.manifest)
    for name in ("format", "format_version", "files"):
        content.pop(name)
    log = [*content.get("added_items", [])]
    log.append({"items": added, "time": datetime.now(UTC).isoformat(timespec="seconds")})
    write_manifest(partial, content | {"num_items": before + added, "added_items": log})
