"""Writes a recommender bundle: the folder appears when everything in it is complete and proven.

Axes: U users and I items in the vocabularies, N purchases of all users.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from recsys.bundle.folder import appearing, check_replaceable, write_json
from recsys.bundle.item_columns import ITEM_COLUMNS, ItemColumn, write_item_columns
from recsys.bundle.manifest import GRAPH, write_manifest
from recsys.bundle.new_items import ITEM_TOWER, Reading
from recsys.bundle.seen import SEEN, write_seen
from recsys.errors import ExportError
from recsys.export.content import checked_ids, manifest_content
from recsys.export.recommender.because import (
    build_because_graph,
    check_reasons,
    reasons_samples,
    require_reasons,
)
from recsys.export.recommender.card import recommender_card
from recsys.export.recommender.graph import OUTPUTS, build_graph, graph_inputs
from recsys.export.recommender.histories import Histories
from recsys.export.recommender.item_tower import (
    ItemTowerGraph,
    build_item_tower,
    check_item_tower,
)
from recsys.export.recommender.parity import Catalogue, check_parity
from recsys.export.recommender.samples import golden_samples
from recsys.inference.bundle import open_session
from recsys.inference.reasons import BECAUSE
from recsys.inference.recommender import ITEM_NAMES
from recsys.inference.verification import SAMPLES, verify
from recsys.models.inputs import HISTORY_AGE, HISTORY_QUANTITY, USER, InputVocabulary
from recsys.models.item_tower import ItemTower, item_towers
from recsys.models.recommender import (
    DecidesWhomItServes,
    Recommender,
    reads_age,
    reads_history,
)


def write_recommender_bundle(
    folder: Path,
    *,
    model: Recommender,
    user_ids: NDArray[Any],
    item_ids: NDArray[Any],
    popularity: NDArray[Any],
    history_indptr: NDArray[Any],
    history_items: NDArray[Any],
    history_age: NDArray[Any] | None = None,
    history_quantity: NDArray[Any] | None = None,
    inputs: InputVocabulary | None = None,
    include_seen: bool,
    item_names: Mapping[str, str] | None,
    provenance: Mapping[str, Any],
    because: bool = False,
    item_columns: Sequence[ItemColumn] = (),
    readings: Mapping[str, Reading] | None = None,
    name_column: str | None = None,
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
        history_age, history_quantity: days since each of those purchases, and its units, (N,), for
            models that read them.
        inputs: categories of the other inputs of the model.
        include_seen: whether the bundle holds what each user bought, so that it can be excluded.
        item_names: names of items for people, by item id, or None.
        provenance: plain JSON that goes into the manifest under its own keys: metrics (flat), data,
            config, versions, git_commit, model (class name), split, seed.
        because: whether the bundle holds a second graph that tells which purchases carry a score.
        item_columns: attributes of the items, by item index (I,), that rules read.
        readings: how the model reads columns of items, for items that the bundle gets later.
        name_column: of the items' table, that has names for people.

    Returns:
        The folder.

    Raises:
        ExportError: if the model has no graph or one that disagrees with torch, ids cannot be used,
            the folder is something else than a bundle, or reasons are asked of a model that has
            none.
    """
    if not isinstance(model, nn.Module):
        raise ExportError(
            f"{type(model).__name__} is no torch module, so it has no graph to export"
        )
    check_replaceable(folder)
    if because:
        require_reasons(model)
    users = checked_ids(user_ids, model.num_users, "user", "users")
    items = checked_ids(item_ids, model.num_items, "item", "items")
    catalogue = Catalogue(users, items, np.asarray(popularity, dtype=np.float32))
    histories = Histories(
        np.asarray(history_indptr, dtype=np.int64),
        np.asarray(history_items, dtype=np.int64),
        {
            each.name: np.asarray(values, dtype=np.float32)
            for each, values in ((HISTORY_AGE, history_age), (HISTORY_QUANTITY, history_quantity))
            if each in model.inputs
        },
    )
    _check_arrays(catalogue, histories)
    if odd := [each.name for each in item_columns if len(each) != len(items)]:
        raise ExportError(f"the column {odd[0]!r} has no value for each of {len(items)} items")
    vocabulary = InputVocabulary() if inputs is None else inputs
    model = copy.deepcopy(model).cpu().eval()
    content = _manifest(model, provenance)
    graph = build_graph(model, users, items, catalogue.popularity, vocabulary).SerializeToString()
    session = open_session(graph)
    difference = check_parity(session, model, catalogue, histories, vocabulary)
    content["parity"] = {"largest_difference": difference}
    reasons = _Reasons(model, catalogue, histories, vocabulary) if because else None
    if reasons is not None:
        content["because"] = reasons.entry
        content["parity"]["reasons"] = reasons.difference

    item_tower = None
    towers = item_towers(model)
    if towers and all(each.name in vocabulary for tower in towers for each in tower.inputs):
        item_tower = _item_tower(towers, vocabulary, readings or {}, name_column)
        content["new_items"] = item_tower.entry

    with appearing(folder) as partial:
        (partial / GRAPH).write_bytes(graph)
        if item_tower is not None:
            (partial / ITEM_TOWER).write_bytes(item_tower.model.SerializeToString())
        samples = golden_samples(session, users, items, model, vocabulary)
        if reasons is not None:
            (partial / BECAUSE).write_bytes(reasons.graph)
            samples |= {"because": reasons.samples(samples["cases"], items)}
        write_json(partial / SAMPLES, samples)
        if include_seen:
            write_seen(
                partial / SEEN,
                users.astype(np.str_),
                items.astype(np.str_),
                histories.indptr,
                histories.items,
                histories.numbers.get(HISTORY_AGE.name),
                histories.numbers.get(HISTORY_QUANTITY.name),
            )
        if item_names is not None:
            known = {item: item_names[item] for item in items.tolist() if item in item_names}
            write_json(partial / ITEM_NAMES, known)
        if item_columns:
            write_item_columns(partial / ITEM_COLUMNS, items, item_columns)
        columns = [each.name for each in item_columns]
        card = recommender_card(folder.name, content, include_seen, columns)
        (partial / "README.md").write_text(card, encoding="utf-8")
        write_manifest(partial, content)
        verify(partial)
    return folder


def _item_tower(
    towers: Sequence[ItemTower],
    vocabulary: InputVocabulary,
    readings: Mapping[str, Reading],
    name_column: str | None,
) -> ItemTowerGraph:
    """The graph that places new items, compared with torch."""
    found = build_item_tower(towers, vocabulary, readings, name_column)
    check_item_tower(open_session(found.model.SerializeToString()), towers, vocabulary)
    return found


class _Reasons:
    """The second graph of the bundle, compared with torch."""

    def __init__(
        self,
        model: Recommender,
        catalogue: Catalogue,
        histories: Histories,
        vocabulary: InputVocabulary,
    ) -> None:
        explains = require_reasons(model)
        built = build_because_graph(explains, *catalogue, vocabulary)
        self.entry = built.entry
        self.graph = built.model.SerializeToString()
        self._session = open_session(self.graph)
        self.difference = check_reasons(self._session, explains, catalogue, histories, vocabulary)

    def samples(self, cases: Any, item_ids: NDArray[np.object_]) -> list[dict[str, object]]:
        """Golden inputs and outputs."""
        return reasons_samples(self._session, self.entry, cases, item_ids)


def _check_arrays(catalogue: Catalogue, histories: Histories) -> None:
    num_users, num_items = len(catalogue.user_ids), len(catalogue.item_ids)
    if catalogue.popularity.shape != (num_items,) or not np.isfinite(catalogue.popularity).all():
        raise ExportError(f"popularity is not a finite number for each of {num_items} items")
    indptr, items = histories.indptr, histories.items
    if indptr.shape != (num_users + 1,) or indptr[-1] != len(items) or (np.diff(indptr) < 0).any():
        raise ExportError(f"history_indptr does not cut history_items into {num_users} histories")
    if len(items) and not 0 <= items.min() <= items.max() < num_items:
        raise ExportError(f"history_items holds an index outside of 0 … {num_items - 1}")
    for name, values in histories.numbers.items():
        # written so that NaN fails
        if not (values.shape == items.shape and (values >= 0).all()):
            raise ExportError(
                f"the model reads {name}, and {name} is not a number of 0 or more for each of the"
                f" {len(items)} purchases"
            )


def _fallback(model: Recommender) -> str:
    """What gets the popular items: a history without known item, an unknown user, one of whom
    nothing at all is known, or nothing.
    """
    reads_both = USER in model.inputs and reads_history(model)
    if reads_both and isinstance(model, DecidesWhomItServes):
        return "all_unknown"
    if reads_history(model):
        return "history"
    return "popularity" if USER in model.inputs or not model.inputs else "none"


def _manifest(model: Recommender, provenance: Mapping[str, Any]) -> dict[str, Any]:
    data = provenance.get("data")
    timezone = data.get("timezone", "UTC") if isinstance(data, Mapping) else "UTC"
    facts: dict[str, Any] = {
        "num_users": model.num_users,
        "num_items": model.num_items,
        "reads_history": reads_history(model),
        "reads_age": reads_age(model),
        "fallback": _fallback(model),
        "timezone": timezone,
        "floats_per_pair": getattr(model, "graph_floats_per_pair", model.floats_per_pair),
    }
    if getattr(model, "keeps_purchases", False):
        facts["holds_purchases"] = True
    return manifest_content("recommender", graph_inputs(model), OUTPUTS, facts, provenance)
