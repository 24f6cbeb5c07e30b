"""Rules of the shop: what may be shown, how often of a kind, and how varied.

Axes: B users, P items of a pool, K places of a list, I items of the catalogue, G terms of a column.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.errors import ConfigError, closest
from recsys.inference.item_table import ITEM_ID, ItemTable, Terms, history_terms
from recsys.inference.reranking import (
    Calibrated,
    Cap,
    Dpp,
    Exposure,
    Floats,
    Limits,
    Mmr,
    Objective,
    Places,
    Relevance,
    Similarity,
    TermSimilarity,
    VectorSimilarity,
    choose_lists,
    relevance_in_pools,
)

# Pools are as many items as this, or as many a place.
_POOL, _POOL_A_PLACE = 100, 10
# Flags and counts of terms of the users who are served at once.
_BLOCK_CELLS = 2**24
_TERMS = ("category", "list")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Rules for the lists of one call; columns are those of the items, and `item_id` is one too.

    What may be shown is settled first: `minimum` to `forbid`. An item without a value in a column
    satisfies no minimum, maximum or require. Of what is left, the best `pool` items of each user
    are put into lists place by place; where limits leave a list short, its pool is widened.

    Lists weigh relevance: the score within the user's pool, as a number from 0 for its lowest to 1
    for its highest, whatever scores the model gives. `boost` is added to it.

    Attributes:
        minimum, maximum: column of numbers to the least or greatest value, itself included.
        require: column to values of which an item has at least one.
        forbid: column to values of which an item has none.
        max_per_category: column to the number of items of a list that may share a value.
        boost: column to value to what it adds to the relevance; below 0 it buries. It reorders a
            pool, and brings nothing into it.
        diversity: from 0 (relevance alone) to 1 (variety alone).
        diversity_method: mmr (maximal marginal relevance) or dpp (determinantal point process).
        diversity_columns: that make items alike: the cosine of their values as a set. None: all
            categories and lists. A column of vectors, alone, makes them alike by its cosine.
        calibration: from 0 to 1, how much the mix of a list matters beside relevance and variety;
            the mix is the customer's own, in what was bought. Not with dpp.
        calibration_column: of which it is the mix.
        max_share: largest share of the lists of a call that one item may be in, above 0; at least
            one list may.
        pool: items a user to choose from; None: 100, or 10 a place where that is more.
    """

    minimum: Mapping[str, float] = field(default_factory=dict)
    maximum: Mapping[str, float] = field(default_factory=dict)
    require: Mapping[str, Collection[str]] = field(default_factory=dict)
    forbid: Mapping[str, Collection[str]] = field(default_factory=dict)
    max_per_category: Mapping[str, int] = field(default_factory=dict)
    boost: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    diversity: float = 0.0
    diversity_method: Literal["mmr", "dpp"] = "mmr"
    diversity_columns: Sequence[str] | None = None
    calibration: float = 0.0
    calibration_column: str | None = None
    max_share: float | None = None
    pool: int | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.default_factory is dict and not isinstance(value, Mapping):
                raise TypeError(
                    f"rules: {each.name} is a {type(value).__name__}: give a mapping from columns"
                )
        for name in ("diversity", "calibration"):
            _require_number(name, getattr(self, name), 0, 1)
        for name in ("minimum", "maximum", "max_per_category"):
            for column, value in getattr(self, name).items():
                _require_number(f"{name}.{column}", value)
        for name in ("require", "forbid"):
            for column, values in getattr(self, name).items():
                if isinstance(values, str) or not all(isinstance(each, str) for each in values):
                    raise TypeError(f"rules: {name}.{column} is {values!r}: give a list of text")
        for column, values in self.boost.items():
            if not isinstance(values, Mapping):
                raise TypeError(
                    f"rules: boost.{column} is {values!r}: give a mapping from values to numbers"
                )
            for value, added in values.items():
                _require_number(f"boost.{column} of {value!r}", added)
        self._check_together()

    def _check_together(self) -> None:
        """Refuses settings that contradict each other or have no effect."""
        for column, most in self.max_per_category.items():
            if most < 1 or most != int(most):
                raise ConfigError(
                    f"rules: max_per_category.{column}={most} has to be a whole number of 1 or"
                    " more; forbid leaves a value out"
                )
        if self.diversity_method not in ("mmr", "dpp"):
            raise ConfigError(f"rules: diversity_method={self.diversity_method!r}: choose mmr, dpp")
        if isinstance(self.diversity_columns, str) or self.diversity_columns in ((), []):
            raise ConfigError(
                f"rules: diversity_columns={self.diversity_columns!r}: give a list of columns"
            )
        if self.diversity_columns is not None and not self.diversity:
            raise ConfigError("rules: diversity_columns has no effect without diversity")
        if bool(self.calibration) != (self.calibration_column is not None):
            raise ConfigError(
                "rules: calibration and calibration_column go together: how much it matters, and"
                " what is mixed"
            )
        if self.calibration and self.diversity and self.diversity_method == "dpp":
            raise ConfigError(
                "rules: calibration does not go with diversity_method=dpp, whose gains are no sum;"
                " choose mmr"
            )
        if self.max_share is not None and not 0 < self.max_share <= 1:
            raise ConfigError(f"rules: max_share={self.max_share} has to be above 0 and at most 1")
        if self.pool is not None and self.pool < 1:
            raise ConfigError(f"rules: pool={self.pool} has to be 1 or more")

    @property
    def reranks(self) -> bool:
        """Whether lists are more than the best items of what may be shown."""
        return bool(
            self.max_per_category
            or self.boost
            or self.diversity
            or self.calibration
            or self.max_share is not None
        )

    def pool_size(self, k: int) -> int:
        """Items a user to choose a list of k from."""
        if not self.reranks:
            return k
        if self.pool is not None:
            return max(self.pool, k)
        return max(_POOL, _POOL_A_PLACE * k)

    def kept(self, table: ItemTable) -> NDArray[np.bool_] | None:
        """Items that may be shown, bool (I,); None: all.

        Raises:
            ConfigError: there is no such column, or nothing is left.
        """
        if not (self.minimum or self.maximum or self.require or self.forbid):
            return None
        kept = np.ones(len(table.catalogue.ids), dtype=bool)
        # comparisons written so that a missing value fails
        for name, least in self.minimum.items():
            kept &= table.column(name, ("number",), "rules: minimum").values >= least
        for name, most in self.maximum.items():
            kept &= table.column(name, ("number",), "rules: maximum").values <= most
        for name, values in self.require.items():
            kept &= _has_any(table, name, values, "require")
        for name, values in self.forbid.items():
            kept &= ~_has_any(table, name, values, "forbid")
        if not kept.any():
            given = [
                f"{rule}.{column}={value}"
                for rule in ("minimum", "maximum", "require", "forbid")
                for column, value in getattr(self, rule).items()
            ]
            raise ConfigError(
                f"rules: no item of {table.catalogue.where} satisfies {', '.join(given)}"
            )
        return kept

    def most_lists(self, num_users: int) -> int | None:
        """Lists of a call that may show one item; None: all."""
        if self.max_share is None:
            return None
        return max(1, math.floor(self.max_share * num_users + 1e-9))


def _require_number(
    name: str, value: object, low: float = -math.inf, high: float = math.inf
) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"rules: {name} is {value!r}: give a number")
    if not low <= value <= high:
        span = f"from {low} to {high}" if high < math.inf else "a number"
        raise ConfigError(f"rules: {name}={value} has to be {span}")


def _has_any(table: ItemTable, name: str, values: Collection[str], rule: str) -> NDArray[np.bool_]:
    """Items with one of some values in a column, bool (I,)."""
    column = table.column(name, _TERMS, f"rules: {rule}")
    assert column.offsets is not None
    weight = _of_terms(table, name, dict.fromkeys(values, 1.0), rule)
    hits = np.concatenate([[0.0], np.cumsum(weight[column.values])])
    has: NDArray[np.bool_] = hits[column.offsets[1:]] > hits[column.offsets[:-1]]
    return has


def _of_terms(
    table: ItemTable, name: str, values: Mapping[str, float], rule: str
) -> NDArray[np.float64]:
    """A number for each term of a column, 0 where none is given (G,)."""
    column = table.column(name, _TERMS, f"rules: {rule}")
    assert column.terms is not None
    weight = np.zeros(len(column.terms))
    if name == ITEM_ID and column.terms is table.catalogue.ids:
        # as in exclude and candidates, an id that is gone says nothing
        known = [item for item in values if item in table.catalogue.index]
        for item in known:
            weight[table.catalogue.index[item]] = values[item]
        return weight
    places = {term: place for place, term in enumerate(column.terms.tolist())}
    for value, number in values.items():
        if value not in places:
            known_values = closest(value, list(places)[:20])
            raise ConfigError(
                f"rules: {rule}.{name} names {value!r}, which no item has; {known_values}"
            )
        weight[places[value]] = number
    return weight


class Pools(NamedTuple):
    """The best items of each user that may be shown.

    Attributes:
        items: places in the catalogue, I where there is none, int64 (B, P).
        scores: of the model, -inf there, float32 (B, P).
    """

    items: Places
    scores: Floats

    def part(self, rows: slice) -> "Pools":
        """Some users."""
        return Pools(self.items[rows], self.scores[rows])


class Reranking:
    """The rules of one call.

    Args:
        rules: of the shop.
        table: columns of the items.
        num_users: of the call.

    Raises:
        ConfigError: a rule names a column that does not exist.
    """

    def __init__(self, rules: Rules, table: ItemTable, num_users: int) -> None:
        self._rules, self._table = rules, table
        most = rules.most_lists(num_users)
        self._exposure = None if most is None else Exposure(len(table.catalogue.ids), most)
        self._boost = self._boosts()
        self._caps = [
            (table.terms(table.with_terms([name], "rules: max_per_category")), int(most))
            for name, most in rules.max_per_category.items()
        ]
        self._vectors: Floats | None = None
        self._alike: Terms | None = None
        if rules.diversity:
            self._read_similarity()
        self._mix_terms: Terms | None = None
        if rules.calibration_column is not None:
            names = table.with_terms([rules.calibration_column], "rules: calibration_column")
            self._mix_terms = table.terms(names)

    def _read_similarity(self) -> None:
        setting, names = "rules: diversity", self._rules.diversity_columns
        columns = self._table.columns
        if names is not None and any(
            name in columns and columns[name].kind == "vector" for name in names
        ):
            if len(names) > 1:
                raise ConfigError(
                    "rules: diversity_columns names a column of vectors beside others; name it"
                    " alone"
                )
            vectors = self._table.column(names[0], ("vector",), setting).values
            self._vectors = np.pad(vectors, ((0, 1), (0, 0)))
            return
        self._alike = self._table.terms(self._table.with_terms(names, setting))

    def _boosts(self) -> NDArray[np.float64] | None:
        """What is added to the relevance of each item, 0 for none, (I + 1,)."""
        if not self._rules.boost:
            return None
        added = np.zeros(len(self._table.catalogue.ids) + 1)
        for name, values in self._rules.boost.items():
            weight = _of_terms(self._table, name, values, "boost")
            column = self._table.column(name, _TERMS, "rules: boost")
            assert column.offsets is not None
            sums = np.concatenate([[0.0], np.cumsum(weight[column.values])])
            added[:-1] += sums[column.offsets[1:]] - sums[column.offsets[:-1]]
        return added

    def mix(self, places: Places, lengths: NDArray[np.int64]) -> Floats:
        """What users bought, as a mix; see `history_terms`."""
        assert self._mix_terms is not None
        return history_terms(places, lengths, self._mix_terms)

    def block_users(self, pool: int) -> int:
        """Users whose lists are chosen at once."""
        widest = max([pool, *(terms.size for terms, _ in self._caps)])
        for terms in (self._alike, self._mix_terms):
            if terms is not None:
                widest = max(widest, terms.size, pool * terms.table.shape[1])
        if self._vectors is not None:
            widest = max(widest, pool * self._vectors.shape[1])
        return max(1, _BLOCK_CELLS // widest)

    def withdraw(self, items: Places) -> None:
        """Forgets lists that are chosen again."""
        if self._exposure is not None:
            self._exposure.withdraw(items)

    def lists(self, pools: Pools, k: int, mix: Floats | None = None) -> Places:
        """Chooses lists of k.

        Args:
            pools: of some users.
            k: places of a list.
            mix: of what they bought (B, G), for the calibration.

        Returns:
            Places in the pools, -1 where nothing is left, int64 (B, k).
        """
        is_item = pools.items < len(self._table.catalogue.ids)
        relevance = self._relevance(pools, is_item)
        objective = self._objective(pools, relevance, is_item, k)
        if mix is not None and self._mix_terms is not None:
            terms = self._mix_terms.table[pools.items]
            objective = Calibrated(objective, mix, terms, self._rules.calibration)
        caps = [Cap(terms.table[pools.items], terms.size, most) for terms, most in self._caps]
        limits = Limits(caps, self._exposure, pools.items)
        return choose_lists(objective, is_item, k, limits)

    def _objective(
        self, pools: Pools, relevance: Floats, is_item: NDArray[np.bool_], k: int
    ) -> Objective:
        diversity = self._rules.diversity
        if not diversity:
            return Relevance(relevance)
        similarity: Similarity
        if self._vectors is not None:
            similarity = VectorSimilarity(self._vectors[pools.items])
        else:
            assert self._alike is not None
            similarity = TermSimilarity(self._alike.table[pools.items], self._alike.size)
        if self._rules.diversity_method == "mmr":
            return Mmr(relevance, similarity, diversity)
        return Dpp(relevance, similarity, diversity, k, is_item)

    def _relevance(self, pools: Pools, is_item: NDArray[np.bool_]) -> Floats:
        """Scores from 0 to 1 within each pool, and the boosts (B, P)."""
        relevance = relevance_in_pools(pools.scores, is_item)
        if self._boost is None:
            return relevance
        return (relevance + self._boost[pools.items]).astype(np.float32)
