"""MovieLens 100K: ratings of films (GroupLens, research use)."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from recsys.data.attributes import AttributeTable
from recsys.data.cleaning import Cleaning, clean_transactions
from recsys.data.dataset import Dataset
from recsys.data.events import EventTable
from recsys.data.report import DataReport, OnBadRows
from recsys.data.sources.files import find_file
from recsys.data.tables import TableSource
from recsys.errors import DataError
from recsys.tables.written_times import TimeUnit

# of u.item: id, title, release, video release, URL; then a flag per genre
FILM_COLUMNS = 5
# of u.user, before the zip code
PERSON_COLUMNS = ("user_id", "age", "gender", "occupation")
GENRES = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)


def movielens_100k(
    path: str | None = None, min_rating: float | None = None, on_bad_rows: OnBadRows = "drop"
) -> Dataset:
    """100,000 film ratings (GroupLens, research use): every rating counts as a purchase unless
    `min_rating` is set.

    Args:
        path: a table with user_id, item_id, rating, timestamp, or the published u.data; None:
            looked for in RECSYS_DATA.
    """
    file = find_file(
        path,
        ["movielens_100k/interactions.parquet", "movielens_100k/u.data"],
        "u.data from grouplens.org/datasets/movielens/100k",
    )
    columns = ["user_id", "item_id", "rating", "timestamp"]
    unit: TimeUnit | None = "s" if file.name == "u.data" else None
    table = _published(file, columns) if file.name == "u.data" else file
    events = EventTable(TableSource(table, name=file.name), {name: name for name in columns})
    cleaning = Cleaning(on_bad_rows, timestamp_unit=unit, min_rating=min_rating)
    return clean_transactions(
        events.read(columns),
        DataReport(file.name),
        cleaning,
        events=events,
        users=_people(file.parent / "u.user"),
        items=_films(file.parent / "u.item"),
    )


def _published(file: Path, columns: list[str]) -> pa.Table:
    try:
        return pa.csv.read_csv(
            file, pa.csv.ReadOptions(column_names=columns), pa.csv.ParseOptions(delimiter="\t")
        )
    except pa.ArrowInvalid as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"data.path: {file.name} is not the published u.data of four tab-separated columns:"
            f" {reason}"
        ) from error


def _people(file: Path) -> AttributeTable | None:
    """Age, gender and occupation of the published u.user, where it lies beside the ratings; its zip
    codes say who somebody is rather than what they are like.
    """
    if not file.exists():
        return None
    rows = pd.read_csv(file, sep="|", header=None, encoding="latin-1", dtype=str)
    if rows.shape[1] != len(PERSON_COLUMNS) + 1:
        raise DataError(
            f"{file} is not the published u.user: it has {rows.shape[1]} columns separated by |,"
            f" not {len(PERSON_COLUMNS) + 1}; replace or remove it"
        )
    table = pa.table({name: pa.array(rows[i]) for i, name in enumerate(PERSON_COLUMNS)})
    return AttributeTable(table, kinds={"age": "number"})


def _films(file: Path) -> AttributeTable | None:
    """Titles and genres of the published u.item, where it lies beside the ratings."""
    if not file.exists():
        return None
    rows = pd.read_csv(file, sep="|", header=None, encoding="latin-1", dtype=str)
    if rows.shape[1] != FILM_COLUMNS + len(GENRES):
        raise DataError(
            f"{file} is not the published u.item: it has {rows.shape[1]} columns separated by |,"
            f" not {FILM_COLUMNS + len(GENRES)}; replace or remove it"
        )
    flags = rows.iloc[:, FILM_COLUMNS:].to_numpy() == "1"
    genres = np.array(GENRES)
    table = pa.table(
        {
            "item_id": pa.array(rows[0]),
            "title": pa.array(rows[1]),
            "genres": pa.array([genres[flag].tolist() for flag in flags], pa.list_(pa.string())),
        }
    )
    return AttributeTable(table, {"item_id": "item_id", "name": "title"})
