"""What models read, declared: batches, evaluation, ONNX graph and manifest follow from it.

Axes: B users in a block, L length of a history, I items in the catalogue, K categories of a column.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from recsys.data.phase_columns import CONTEXT, ITEMS, NGRAMS, REFERENCES, USERS, PhaseColumns
from recsys.errors import ConfigError

Values = TypeVar("Values")
PER_USER = ("batch",)
PER_PURCHASE = ("batch", "history")
PER_ITEM = ("item", "term")


@dataclass(frozen=True)
class ModelInput:
    """One input of a recommender.

    Attributes:
        name: in the ONNX graph, and in `Query`.
        dtype: in the graph; the model gets a string as its int64 index in the vocabulary.
        dims: ("batch",) for a value per user, ("batch", "history") for one per purchase, ("item",
            "term") for terms of every item, which are part of the model and no input of its graph.
        source: "user_id", "history", "history.age", "history.quantity", "users.COLUMN",
            "context.COLUMN", "time.hour", "time.weekday", "items.COLUMN", "references.COLUMN" or
            "ngrams.COLUMN".
        pad: in the graph, where a history is short or a value is missing.
        meaning: one line for the manifest and the model card.
    """

    name: str
    dtype: Literal["string", "float32"]
    dims: tuple[str, ...]
    source: str
    pad: str | float
    meaning: str

    @property
    def is_category(self) -> bool:
        """Whether it is a category of a column: index K where unknown or missing."""
        return self.dtype == "string" and self.is_column

    @property
    def is_column(self) -> bool:
        """Whether it is a value per user from a table or the clock, kept in `Query.columns`."""
        return self.dims == PER_USER and self.source != "user_id"


# one object: inputs that pad with it are equal, as two NaN would not be
MISSING = float("nan")

USER = ModelInput(
    "user_id",
    "string",
    PER_USER,
    "user_id",
    "",
    "whom to recommend to; an unknown user gets the fallback",
)
HISTORY = ModelInput(
    "history", "string", PER_PURCHASE, "history", "", "items bought, latest last; '' pads"
)
HISTORY_AGE = ModelInput(
    "history_age", "float32", PER_PURCHASE, "history.age", 0.0, "days since each purchase; 0 pads"
)
HISTORY_QUANTITY = ModelInput(
    "history_quantity",
    "float32",
    PER_PURCHASE,
    "history.quantity",
    0.0,
    "units of each purchase; 0 pads",
)
HOUR = ModelInput(
    "time.hour",
    "float32",
    PER_USER,
    "time.hour",
    MISSING,
    "hour of the day on the shop's clock, 0 to 23; NaN where unknown",
)
WEEKDAY = ModelInput(
    "time.weekday",
    "float32",
    PER_USER,
    "time.weekday",
    MISSING,
    "day of the week on the shop's clock, 0 is Monday; NaN where unknown",
)


def user_category(column: str) -> ModelInput:
    """A category of the users' table; its name and source are "users.COLUMN"."""
    return _category(f"users.{column}", f"{column} of the user; '' where missing")


def user_number(column: str) -> ModelInput:
    """A number of the users' table, NaN where missing."""
    return _number(f"users.{column}", f"{column} of the user; NaN where missing")


def context_category(column: str) -> ModelInput:
    """A category that goes with an event, such as its channel; its name is "context.COLUMN"."""
    return _category(f"context.{column}", f"{column} of the request; '' where missing")


def context_number(column: str) -> ModelInput:
    """A number that goes with an event, NaN where missing."""
    return _number(f"context.{column}", f"{column} of the request; NaN where missing")


def item_terms(column: str) -> ModelInput:
    """The terms of a column of the items' table: a category, the tags of a list, the words of a
    text, the range of a number.
    """
    return ModelInput(
        f"items.{column}", "string", PER_ITEM, f"items.{column}", "", f"{column} of the item"
    )


def item_references(column: str) -> ModelInput:
    """Ids of items in a column of the items' table, such as citations, and the item's own."""
    return ModelInput(
        f"references.{column}",
        "string",
        PER_ITEM,
        f"references.{column}",
        "",
        f"items that {column} of the item names, and the item itself",
    )


def item_ngrams(column: str) -> ModelInput:
    """Three characters in a row of the words of a column of the items' table."""
    name = f"ngrams.{column}"
    meaning = f"characters of the words of {column} of the item"
    return ModelInput(name, "string", PER_ITEM, name, "", meaning)


def _category(source: str, meaning: str) -> ModelInput:
    return ModelInput(source, "string", PER_USER, source, "", meaning)


def _number(source: str, meaning: str) -> ModelInput:
    return ModelInput(source, "float32", PER_USER, source, MISSING, meaning)


class DeclaresInputs(Protocol):
    """A model, or its class, that says what it reads."""

    @property
    def inputs(self) -> tuple[ModelInput, ...]:
        """What its scores depend on."""
        ...


class Declared(NamedTuple):
    """Inputs that are read without a model."""

    inputs: tuple[ModelInput, ...]


def reads_history(model: DeclaresInputs) -> bool:
    """Whether scores depend on what a user bought before."""
    return any(each.source.startswith("history") for each in model.inputs)


def reads_age(model: DeclaresInputs) -> bool:
    """Whether scores depend on the days since each purchase."""
    return HISTORY_AGE in model.inputs


def column_inputs(model: DeclaresInputs) -> tuple[ModelInput, ...]:
    """The inputs with a value per user that come from a table or the clock."""
    return tuple(each for each in model.inputs if each.is_column)


@runtime_checkable
class ReadsItems(Protocol):
    """A recommender that knows items by their attributes, and so also items that nobody bought."""

    def item_inputs(self) -> tuple[ModelInput, ...]:
        """What it reads of every item when it is fitted."""
        ...


def item_inputs(model: object) -> tuple[ModelInput, ...]:
    """What a model reads of items, nothing where it knows them by their ids alone."""
    return model.item_inputs() if isinstance(model, ReadsItems) else ()


@dataclass(frozen=True)
class Query:
    """What a model reads: tensors of its declared inputs.

    Attributes:
        user: index of the user, int64 (B,).
        history: item indices bought so far, latest last, int64 (B, L), padded with I (= num_items).
        age: days from each purchase to the query, float32 (B, L), any number in the padding.
        columns: every other input by its name: int64 (B,) for categories, K where unknown; float32
            (B,) for numbers, NaN where missing; float32 (B, L) for quantities.
    """

    user: Tensor
    history: Tensor
    age: Tensor | None = None
    columns: Mapping[str, Tensor] = field(default_factory=dict)

    def days(self) -> Tensor:
        """`age`, for a model that needs it.

        Raises:
            ValueError: there is none.
        """
        if self.age is None:
            raise ValueError(
                "the model weighs purchases by their age, and the query has none: give Query.age,"
                " the days since each purchase in Query.history"
            )
        return self.age

    def __getitem__(self, name: str) -> Tensor:
        """An input by its name, such as "users.income".

        Raises:
            KeyError: the query was built without it.
        """
        if name not in self.columns:
            raise KeyError(f"the query has no {name!r}: declare it in the model's `inputs`")
        return self.columns[name]

    def rows(self, which: Tensor) -> "Query":
        """The query of some users: a mask (B,) or positions."""
        return Query(
            self.user[which],
            self.history[which],
            None if self.age is None else self.age[which],
            {name: values[which] for name, values in self.columns.items()},
        )

    def to(self, device: torch.device | str) -> "Query":
        """The query on another device."""
        return Query(
            self.user.to(device),
            self.history.to(device),
            None if self.age is None else self.age.to(device),
            {name: values.to(device) for name, values in self.columns.items()},
        )


def query_of(
    model: DeclaresInputs,
    user: Tensor,
    columns: Mapping[str, Tensor] | None = None,
    history: Tensor | None = None,
    age: Tensor | None = None,
) -> Query:
    """The query of the inputs that a model declares; what it does not declare is left out.

    Args:
        model: declares its inputs.
        user: index of the user, int64 (B,).
        columns: further inputs by name, with a row per user.
        history, age: of `Query`, each (B, L).

    Raises:
        ValueError: a declared input is not given.
    """
    given = dict(columns or {})
    if history is None and reads_history(model):
        raise ValueError(f"{type(model).__name__} reads histories, and none are given")
    others = [
        each.name for each in model.inputs if each.is_column or each.source == "history.quantity"
    ]
    if missing := [name for name in others if name not in given]:
        raise ValueError(f"{type(model).__name__} reads {missing[0]}, which is not given")
    return Query(
        user,
        user.new_zeros(user.shape[0], 0)
        if history is None or not reads_history(model)
        else history,
        age if reads_age(model) else None,
        {name: given[name] for name in others},
    )


def pair_columns(model: DeclaresInputs, columns: PhaseColumns | None) -> dict[str, Tensor]:
    """Input name to the values of every pair in `Interactions.distinct` (P,), at its last event."""
    return {
        each.name: _require(columns, each).of_pairs(each.source, each.is_category)
        for each in column_inputs(model)
    }


def shown_columns(model: DeclaresInputs, columns: PhaseColumns | None) -> dict[str, Tensor]:
    """Input name to the values of every impression in `PhaseColumns.shown` (M,)."""
    return {
        each.name: _require(columns, each).of_shown(each.source, each.is_category)
        for each in column_inputs(model)
    }


def user_columns(model: DeclaresInputs, columns: PhaseColumns | None) -> dict[str, Tensor]:
    """Input name to the values of every user (U,), at the last event of the fitted part."""
    return {
        each.name: _require(columns, each).of_users(each.source, each.is_category)
        for each in column_inputs(model)
    }


def query_columns(model: DeclaresInputs, columns: PhaseColumns | None) -> dict[str, Tensor]:
    """Input name to the values of every user (U,), at the first event of the truth."""
    return {
        each.name: _require(columns, each).of_queries(each.source, each.is_category)
        for each in column_inputs(model)
    }


def required(values: Values | None, what: str, column: str) -> Values:
    """What a model reads of purchases, "age" or "quantity".

    Raises:
        ConfigError: the data do not have it.
    """
    if values is None:
        raise ConfigError(
            f"the model reads the {what} of purchases, and the data has no {column} column; set"
            f" data.columns.{column}, or choose another model"
        )
    return values


def _require(columns: PhaseColumns | None, needed: ModelInput) -> PhaseColumns:
    if columns is None:
        raise ConfigError(
            f"the model reads {needed.source}, and these interactions come without columns: build"
            " them with index_phase"
        )
    return columns


class InputVocabulary(Mapping[str, int]):
    """Categories of category inputs by input name. As a mapping it gives their number, K, which is
    what a constructor takes as `num_categories`; index K stands for unknown and missing values.

    Categories of a phase are read when a constructor first asks for their number.

    Args:
        categories: name to categories, object of str (K,).
        columns: of a phase, where further categories are looked up.
        numbers: names of inputs that are numbers, where there is no phase to ask.
        order: names of all inputs that were stored, as the model read them.
    """

    def __init__(
        self,
        categories: Mapping[str, Sequence[str] | np.ndarray] | None = None,
        columns: PhaseColumns | None = None,
        numbers: Sequence[str] = (),
        order: Sequence[str] = (),
    ) -> None:
        self._categories = {
            name: np.array(values, dtype=object) for name, values in (categories or {}).items()
        }
        self._columns, self._numbers = columns, frozenset(numbers)
        self._order = tuple(order) or (*self._categories, *numbers)

    def __getitem__(self, name: str) -> int:
        if name not in self._categories:
            if self._columns is None:
                raise KeyError(name)
            self._categories[name] = self._columns.categories(name)
        return len(self._categories[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._categories)

    def __len__(self) -> int:
        return len(self._categories)

    def categories(self, name: str) -> np.ndarray:
        """Categories of an input, object of str (K,)."""
        self[name]
        return self._categories[name]

    def item_columns(self) -> list[str]:
        """Columns of the items that have terms; of a model that was stored, those that it reads."""
        if self._columns is not None:
            return self._columns.item_columns()
        # of a blend one part may read as terms what another reads as references
        stored = (name for name in self if name.startswith((ITEMS, REFERENCES, NGRAMS)))
        return list(dict.fromkeys(name.partition(".")[2] for name in stored))

    def category_columns(self, lists: bool = False) -> list[str]:
        """Columns of the items that are categories, or also lists of them; of a model that was
        stored, those that it reads.
        """
        if self._columns is not None:
            return self._columns.item_columns(("category", "list") if lists else ("category",))
        return self.item_columns()

    def user_inputs(self, columns: Sequence[str] | None = None) -> tuple[ModelInput, ...]:
        """Categories and numbers of the users' table, as inputs of a model.

        Args:
            columns: of the table; None: all of them, or those that a stored model reads.
        """
        if columns is None and self._columns is not None:
            columns = self._columns.user_columns()
        if columns is None:
            stored = self._order
            columns = [name.removeprefix(USERS) for name in stored if name.startswith(USERS)]
        return tuple(
            user_number(name) if self._is_number(f"{USERS}{name}") else user_category(name)
            for name in columns
        )

    def context_inputs(self, columns: Sequence[str]) -> tuple[ModelInput, ...]:
        """Columns beside an event, or "time.hour" and "time.weekday", as inputs of a model."""
        clock = {each.name: each for each in (HOUR, WEEKDAY)}
        return tuple(
            clock.get(name)
            or (
                context_number(name)
                if self._is_number(f"{CONTEXT}{name}")
                else context_category(name)
            )
            for name in columns
        )

    def _is_number(self, source: str) -> bool:
        return source in self._numbers if self._columns is None else self._columns.is_number(source)

    def save(self, path: Path, model: DeclaresInputs) -> None:
        """Writes the categories of the model's inputs, and the terms of items that it reads, to an
        npz file; no file where it has none.
        """
        # a number has no categories: an empty array says that it is read; models are built again
        # with their columns in this order
        arrays: dict[str, np.ndarray] = {}
        for each in (*column_inputs(model), *item_inputs(model)):
            arrays[each.name] = np.empty(0, dtype=np.float32)
            if each.dtype == "string":
                arrays[each.name] = self.categories(each.name).astype(np.str_)
        if arrays:
            np.savez_compressed(path, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> "InputVocabulary":
        """Reads what `save` wrote; without a file there are no categories."""
        if not path.is_file():
            return cls()
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}  # in the order of `save`
        numbers = [name for name, values in found.items() if values.dtype.kind == "f"]
        categories = {k: v.astype(object) for k, v in found.items() if k not in numbers}
        return cls(categories, numbers=numbers, order=[*found])
