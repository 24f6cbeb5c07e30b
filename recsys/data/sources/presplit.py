"""A published split: tables to train on, to test on and, where there are any, of candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from recsys.data.attributes import AttributeTable
from recsys.data.cleaning import Cleaning, clean_transactions, with_attributes
from recsys.data.dataset import CandidateTable, Dataset
from recsys.data.fingerprint import fingerprint
from recsys.data.ids import encode_ids
from recsys.data.report import DataReport, OnBadRows
from recsys.data.tables import TableSource, read_table
from recsys.errors import ConfigError, DataError

DEFAULT_COLUMNS = {"user_id": "user_id", "item_id": "item_id"}


def presplit(
    train_path: str,
    test_path: str | Sequence[str],
    candidates_path: str | None = None,
    columns: Mapping[str, str | None] | None = None,
    on_bad_rows: OnBadRows = "error",
    where: str | None = None,
    users: AttributeTable | None = None,
    items: AttributeTable | None = None,
    separator: str | None = None,
    encoding: str | None = None,
) -> Dataset:
    """A published split: a table to train on, a table of test purchases and, where the protocol has
    them, candidates.

    Args:
        train_path, test_path: tables with `columns`; of the test also several.
        candidates_path: a table with `columns` and a boolean column `relevant`; None: the whole
            catalogue is ranked.
        columns: canonical name to the tables' name; default user_id and item_id.
        on_bad_rows: drop (counted) or error.
        where: for the error message: where the files can be had.
        users, items: tables of attributes.
        separator, encoding: of all of them, as in `recsys.data.tables.TableSource`.
    """
    columns = dict(columns or DEFAULT_COLUMNS)
    tests = [test_path] if isinstance(test_path, str) else list(test_path)
    if not tests:
        raise ConfigError("data.test_path=[]: name at least one file")
    paths = [("train_path", train_path), *(("test_path", path) for path in tests)]
    if candidates_path is not None:
        paths.append(("candidates_path", candidates_path))
    for key, path in paths:
        if "://" in path:
            raise DataError(
                f"data.{key} is a URL, but a published split is read from files: .csv, .tsv or"
                " .parquet"
            )
        if not Path(path).exists():
            raise DataError(f"data.{key}: {path} does not exist" + (f"; {where}" if where else ""))
    parts = [
        read_table(
            TableSource(path, separator, setting=f"data.{key}", encoding=encoding),
            columns | ({"relevant": "relevant"} if key == "candidates_path" else {}),
        )
        for key, path in paths
    ]
    keys = ["user_id", "item_id"]
    # one vocabulary over all parts; ids of different types (int64 and string) meet as strings
    together = pa.concat_tables([_ids_as_strings(part.select(keys)) for part in parts])
    train = parts[0]
    size = sum(part.num_rows for part in parts[: 1 + len(tests)])
    report = DataReport(" and ".join(Path(path).name for path in (train_path, *tests)))
    cleaned = clean_transactions(together.slice(0, size), report, Cleaning(on_bad_rows))
    if report.dropped:
        # rows were dropped, so the border between the parts moves: clean the parts on their own to
        # find it
        alone = together.slice(0, train.num_rows)
        border = len(clean_transactions(alone, DataReport("train"), Cleaning(on_bad_rows)))
    else:
        border = train.num_rows
    cleaned = replace(cleaned, is_test=np.arange(len(cleaned)) >= border)
    if candidates_path is not None:
        cleaned = _add_candidates(cleaned, together.slice(size), parts[-1].column("relevant"))
    return with_attributes(cleaned, users, items)


def _add_candidates(cleaned: Dataset, listed: pa.Table, relevant: pa.ChunkedArray) -> Dataset:
    """Adds candidate rows, and the items that only they have, to the vocabulary of the table."""
    users, items = encode_ids(listed.column("user_id")), encode_ids(listed.column("item_id"))
    if (users.codes == -1).any() or (items.codes == -1).any():
        row = int(np.flatnonzero((users.codes == -1) | (items.codes == -1))[0]) + 1
        raise DataError(
            f"data.candidates_path: data row {row:,} has no user_id or no item_id; mend the table"
        )
    every_item = encode_ids(
        pa.array(np.concatenate([cleaned.item_ids, items.categories.to_numpy(dtype=object)]))
    )
    ids = every_item.categories.to_numpy(dtype=object)
    position = pd.Index(ids)
    user_position = pd.Index(cleaned.user_ids).get_indexer(users.categories)[users.codes]
    known = user_position >= 0
    if not known.all():
        cleaned.report.dropped["a candidate's user that is in neither part"] = int((~known).sum())
    candidates = CandidateTable(
        user_position[known].astype(np.int32),
        position.get_indexer(items.categories)[items.codes][known].astype(np.int32),
        _truth_values(relevant)[known],
    )
    item = position.get_indexer(cleaned.item_ids)[cleaned.item].astype(np.int32)
    report = cleaned.report
    report.items = len(ids)
    report.fingerprint = fingerprint(
        *(cleaned.user, item, cleaned.is_test, cleaned.user_ids, ids),
        *(candidates.user, candidates.item, candidates.relevant),
    )
    return replace(cleaned, item=item, item_ids=ids, candidates=candidates)


def _ids_as_strings(table: pa.Table) -> pa.Table:
    columns = {name: encode_ids(table.column(name)) for name in table.column_names}
    return pa.table(
        {
            name: pa.array(column.astype(object), pa.string(), from_pandas=True)
            for name, column in columns.items()
        }
    )


def _truth_values(column: pa.ChunkedArray) -> np.ndarray:
    """Bool (N,) of a column of true and false, 1 and 0, or their names, as a CSV has them."""
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    written = encoded.dictionary.to_pandas().str.strip().str.lower()
    values = encoded.indices.to_pandas().map(
        written.map(
            {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
        )
    )
    if values.isna().any():
        row = int(np.flatnonzero(values.isna())[0])
        found = column[row].as_py()
        raise DataError(
            f"data.candidates_path: relevant is {found!r} in data row {row + 1:,}; write true or"
            " false, or 1 or 0"
        )
    return values.to_numpy(dtype=bool)
