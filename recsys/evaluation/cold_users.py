"""What attributes are worth for customers whom nothing else is known of.

Axes: U users of the vocabulary, R cold users.
"""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import pandas as pd

from recsys.data.interactions import PhaseData
from recsys.data.phase_columns import USERS, PhaseColumns
from recsys.evaluation.significance import bootstrap_intervals
from recsys.models.inputs import DeclaresInputs, column_inputs


class GainOfAttributes(TypedDict):
    """Of a cold_users.json: a model against what is popular, which a cold customer gets of whom
    nothing is known, on the cold customers with attributes that the model reads.

    `columns` are those ("users.age", "time.hour"); `customers` the cold ones that were evaluated,
    `described` those of them with a value in one of the columns: over these are the means `value`
    and `popularity` of `metric` and the 95 % interval, `low` to `high`, of their difference, paired
    by customer; None of fewer than two.
    """

    metric: str
    columns: list[str]
    customers: int
    described: int
    value: float | None
    popularity: float | None
    low: float | None
    high: float | None


def gain_of_attributes(
    model: DeclaresInputs,
    data: PhaseData,
    metric: str,
    of_model: pd.DataFrame,
    of_popularity: pd.DataFrame,
) -> GainOfAttributes:
    """Compares the rows of two tables of `RankingResult.per_user` in the view cold_users.

    Args:
        model: whose table the first one is.
        data: the phase; it has cold users.
        metric: a column of both.
    """
    assert data.cold_users is not None
    sources = [each.source for each in column_inputs(model)]
    described = is_described(data.cold_users.columns, sources)  # (R,)
    pairs = pd.DataFrame(
        {
            name: _by_cold_user(table, metric)
            for name, table in (("m", of_model), ("p", of_popularity))
        }
    )
    known = pairs[described[pairs.index - data.vocabulary.num_users]]
    mine, popular = (known[name].to_numpy(dtype=float) for name in ("m", "p"))
    found: GainOfAttributes = {
        "metric": metric,
        "columns": sources,
        "customers": len(pairs),
        "described": len(known),
        "value": None,
        "popularity": None,
        "low": None,
        "high": None,
    }
    if len(known) > 1:
        low, high = bootstrap_intervals((mine - popular)[None], np.ones(len(known)))[0].tolist()
        found |= {"value": float(mine.mean()), "popularity": float(popular.mean())}
        found |= {"low": low, "high": high}
    return found


def is_described(columns: PhaseColumns, sources: Sequence[str]) -> np.ndarray:
    """Whether users have a value in one of the columns at all, bool, one for each user of
    `columns.indices`; of a category, one that the fitted part has.
    """
    found = np.zeros(len(columns.indices.users), dtype=bool)
    for source in sources:
        is_category = not source.startswith("time.") and not columns.is_number(source)
        values = columns.of_queries(source, is_category).numpy()
        found |= values < len(columns.categories(source)) if is_category else ~np.isnan(values)
    return found


def has_attributes(data: PhaseData) -> np.ndarray | None:
    """Whether each user of the vocabulary, and below them each cold one, has an attribute, bool
    (U + R,); None where the users' table has no categories and numbers.
    """
    if data.columns is None or not data.columns.user_columns():
        return None
    sources = [f"{USERS}{name}" for name in data.columns.user_columns()]
    every = [data.columns] + ([data.cold_users.columns] if data.cold_users else [])
    return np.concatenate([is_described(columns, sources) for columns in every])


def _by_cold_user(table: pd.DataFrame, metric: str) -> pd.Series:
    rows = table[table["view"] == "cold_users"]
    return rows.set_index("user")[metric]
