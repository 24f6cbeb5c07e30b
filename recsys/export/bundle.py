"""Writes a recommender bundle: the folder appears when everything in it is complete and proven.

Axes: U users and I items in the vocabularies, N purchases of all users.
"""

import copy
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from recsys.errors import ExportError
from recsys.export.core import IR_VERSION, OPSET
from recsys.export.graph import INPUTS, ONNXRUNTIME_MIN_VERSION, OUTPUTS, build_graph
from recsys.export.histories import Histories
from recsys.export.model_card import model_card
from recsys.export.parity import Vocabulary, check_parity
from recsys.export.samples import golden_samples
from recsys.inference.bundle import open_session
from recsys.inference.manifest import GRAPH, MANIFEST, write_manifest
from recsys.inference.recommender import ITEM_NAMES
from recsys.inference.seen import SEEN, write_seen
from recsys.inference.verification import SAMPLES, verify
from recsys.models.recommender import Recommender


def write_recommender_bundle(
    folder: Path,
    *,
    model: Recommender,
    user_ids: NDArray[Any],
    item_ids: NDArray[Any],
    popularity: NDArray[Any],
    history_indptr: NDArray[Any],
    history_items: NDArray[Any],
    include_seen: bool,
    item_names: Mapping[str, str] | None,
    provenance: Mapping[str, Any],
) -> Path:
    """Exports a model to a bundle; the folder appears when it is proven to answer as torch does.

    An existing bundle of this name is replaced, and only then; the model given stays as it is.

    Args:
        folder: of the bundle; its name is the name of the bundle.
        model: an nn.Module that scores; on any device, in any mode.
        user_ids: ids by user index, str (U,).
        item_ids: ids by item index, str (I,).
        popularity: buyers of each item in the part that was fitted (I,).
        history_indptr: user u bought `history_items[history_indptr[u]:history_indptr[u + 1]]`, int
            (U + 1,).
        history_items: item indices in the order of time, repeats included, int (N,).
        include_seen: whether the bundle holds what each user bought, so that it can be excluded.
        item_names: names of items for people, by item id, or None.
        provenance: plain JSON that goes into the manifest under its own keys: metrics (flat), data,
            config, versions, git_commit, model (class name), split, seed.

    Returns:
        The folder.

    Raises:
        ExportError: if the model has no graph or one that disagrees with torch, ids cannot be used,
            or the folder is something else than a bundle.
    """
    if not isinstance(model, nn.Module):
        raise ExportError(
            f"{type(model).__name__} is no torch module, so it has no graph to export"
        )
    _check_replaceable(folder)
    users, items = _ids(user_ids, model.num_users, "user"), _ids(item_ids, model.num_items, "item")
    vocabulary = Vocabulary(users, items, np.asarray(popularity, dtype=np.float32))
    histories = Histories(
        np.asarray(history_indptr, dtype=np.int64), np.asarray(history_items, dtype=np.int64)
    )
    _check_arrays(vocabulary, histories)
    model = copy.deepcopy(model).cpu().eval()
    content = _manifest(model, provenance)
    graph = build_graph(model, users, items, vocabulary.popularity).SerializeToString()
    session = open_session(graph)
    content["parity"] = {"largest_difference": check_parity(session, model, vocabulary, histories)}

    with _appearing(folder) as partial:
        (partial / GRAPH).write_bytes(graph)
        _write_json(partial / SAMPLES, golden_samples(session, users, items, model.reads_history))
        if include_seen:
            write_seen(
                partial / SEEN,
                users.astype(np.str_),
                items.astype(np.str_),
                histories.indptr,
                histories.items,
            )
        if item_names is not None:
            known = {item: item_names[item] for item in items.tolist() if item in item_names}
            _write_json(partial / ITEM_NAMES, known)
        card = model_card(folder.name, content, include_seen)
        (partial / "README.md").write_text(card, encoding="utf-8")
        write_manifest(partial, content)
        verify(partial)
    return folder


def _ids(ids: NDArray[Any], number: int, what: str) -> NDArray[np.object_]:
    """Ids as strings in an object array, after a look at what a graph and an npz cannot hold."""
    values = [str(value) for value in ids.tolist()]
    if len(values) != number or not values:
        raise ExportError(
            f"the model knows {number} {what}s and {len(values)} {what} ids are given"
        )
    if len(set(values)) != number:
        raise ExportError(f"two {what}s have the same id")
    for value in values:
        # "" pads the inputs of the graph; a NUL at the end is lost in numpy; a surrogate is no
        # UTF-8.
        if not value or "\0" in value or not value.isascii() and _is_no_utf8(value):
            raise ExportError(f"the {what} id {value!r} cannot be in a graph: rename it")
    return np.array(values, dtype=object)


def _is_no_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _check_arrays(vocabulary: Vocabulary, histories: Histories) -> None:
    num_users, num_items = len(vocabulary.user_ids), len(vocabulary.item_ids)
    if vocabulary.popularity.shape != (num_items,) or not np.isfinite(vocabulary.popularity).all():
        raise ExportError(f"popularity is not a finite number for each of {num_items} items")
    indptr, items = histories
    if indptr.shape != (num_users + 1,) or indptr[-1] != len(items) or (np.diff(indptr) < 0).any():
        raise ExportError(f"history_indptr does not cut history_items into {num_users} histories")
    if len(items) and not 0 <= items.min() <= items.max() < num_items:
        raise ExportError(f"history_items holds an index outside of 0 … {num_items - 1}")


def _manifest(model: Recommender, provenance: Mapping[str, Any]) -> dict[str, Any]:
    content = {
        "task": "recommender",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [value._asdict() for value in INPUTS],
        "outputs": [value._asdict() for value in OUTPUTS],
        "num_users": model.num_users,
        "num_items": model.num_items,
        "reads_history": model.reads_history,
        "fallback": "history" if model.reads_history else "popularity",
        "floats_per_pair": model.floats_per_pair,
        "onnxruntime_min_version": ONNXRUNTIME_MIN_VERSION,
        "opset": OPSET,
        "ir_version": IR_VERSION,
    }
    written_later = {"format", "format_version", "files", "parity"}
    if taken := sorted({*content, *written_later} & set(provenance)):
        raise ExportError(f"provenance must not hold {taken[0]!r}: the exporter writes it")
    try:
        # Through JSON: what is no plain JSON fails here, and not when the files are half written.
        return {**json.loads(json.dumps(_finite({**content, **provenance}), allow_nan=False))}
    except TypeError as error:
        raise ExportError(f"provenance is no plain JSON: {error}") from error


def _finite(value: object) -> object:
    """JSON has no NaN and no infinity: null stands for a metric that is undefined."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_json(path: Path, content: object) -> None:
    path.write_text(
        json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )


def _check_replaceable(folder: Path) -> None:
    """A folder that is not a bundle is someone's work, and not replaced."""
    if folder.is_file():
        raise ExportError(f"{folder} is a file: give the bundle another name")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise ExportError(
            f"{folder} holds something else than a bundle: give the bundle another name"
        )


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A folder to write into that takes its name at the end, and is gone after an error."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if folder.exists():
            folder.rename(old)
        try:
            partial.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
