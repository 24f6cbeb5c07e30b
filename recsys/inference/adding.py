"""Puts items into the catalogue of a bundle that were not there when it was trained.

Axes: I items of the catalogue, N new ones, T terms of a column of the item that has most, B users.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from recsys.bundle.agreement import check_same_ranking
from recsys.bundle.folder import appearing, check_replaceable, write_json
from recsys.bundle.item_columns import ITEM_COLUMNS, read_item_columns, write_item_columns
from recsys.bundle.manifest import GRAPH, ValueEntry, write_manifest
from recsys.bundle.new_items import NewItemsEntry
from recsys.errors import BundleError, ConfigError
from recsys.inference.bundle import Bundle, open_session
from recsys.inference.item_table import ITEM_ID
from recsys.inference.larger_graph import known_ids, load_graph, with_more_items
from recsys.inference.new_items import (
    as_text,
    checked_ids,
    require_new,
    rows_of_items,
    values_for_rules,
)
from recsys.inference.reasons import BECAUSE
from recsys.inference.recommender import ITEM_NAMES
from recsys.inference.verification import SAMPLES, feeds_of, recorded, verify

_CARD = "README.md"
# users whose whole rankings are compared, and the length of their made-up histories
_COMPARED, _BOUGHT = 4, 8
_K = 10
_CASE = "new items"
_ADDED = "## Items that were added"


class Addition(NamedTuple):
    """What came of new items.

    Attributes:
        items: number of them.
        without_terms: ids of those of which the model knows no term, so that it cannot tell whom
            they suit.
        unknown: columns of which the model knows no value of any of them.
        missing: columns that the model reads and the table lacks.
        unread: columns of the table that nothing reads.
    """

    items: int
    without_terms: list[str]
    unknown: list[str]
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
    ids = checked_ids(given, where)
    wanted = dict.fromkeys(each["column"] for each in entry["columns"])
    if not wanted.keys() & given.keys():
        raise ConfigError(
            f"{where}: the columns are {', '.join(given)}, and the model reads"
            f" {', '.join(wanted)}: name one of them so"
        )
    graphs = {GRAPH: load_graph(bundle, GRAPH)}
    if BECAUSE in bundle.manifest["files"]:
        graphs[BECAUSE] = load_graph(bundle, BECAUSE)
    known = known_ids(graphs[GRAPH])
    require_new(ids, known, where)
    placed = rows_of_items(bundle, entry, given, ids, len(known), where)
    added = {
        name: with_more_items(each, ids, known, placed.rows, entry) for name, each in graphs.items()
    }
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
        [item for item, has in zip(ids, placed.has_terms, strict=True) if not has],
        placed.unknown,
        [name for name in readings if name not in given],
        [name for name in given if name not in used],
    )


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
            each.take(rows).with_values(values_for_rules(given.get(name), each, len(ids), where))
            for name, each in columns.items()
        ]
        write_item_columns(partial / ITEM_COLUMNS, np.append(known, np.array(ids, object)), more)
    column = entry["name_column"]
    if column is not None and column in given:
        old = bundle.optional_file(ITEM_NAMES)
        names = {} if old is None else json.loads(old)
        named = ((item, as_text(name)) for item, name in zip(ids, given[column], strict=True))
        write_json(partial / ITEM_NAMES, names | {item: name for item, name in named if name})


def _write_card(partial: Path, added: int, before: int) -> None:
    path = partial / _CARD
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
