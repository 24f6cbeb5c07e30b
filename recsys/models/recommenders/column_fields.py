"""Columns of users, of requests and of items as fields of embeddings. Axes: B users, I items, D
numbers of a field, P pairs of an item and a term.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.data.interactions import Interactions
from recsys.errors import ConfigError
from recsys.models.buffers import make_room
from recsys.models.inputs import HOUR, WEEKDAY, InputVocabulary, ModelInput, Query, user_columns

# Values of the inputs that are whole numbers of the clock.
_CLOCK = {HOUR: 24, WEEKDAY: 7}
# A number is read by which of so many equally frequent ranges it lies in.
_RANGES = 10


class QueryValues(nn.Module):
    """Which value each column of a query has: a category, an hour or weekday, or the one of ten
    equally frequent ranges that a number lies in.

    Args:
        columns: the inputs.
        num_categories: of those that are categories.

    Attributes:
        inputs: the columns.
        sizes: number of values of each.
    """

    edges: Tensor

    def __init__(self, columns: Sequence[ModelInput], num_categories: InputVocabulary) -> None:
        super().__init__()
        self.inputs = tuple(columns)
        self.sizes = tuple(
            num_categories[each.name] if each.is_category else _CLOCK.get(each, _RANGES)
            for each in columns
        )
        self.register_buffer("edges", torch.zeros(len(self._numbers()), _RANGES - 1))

    def observe(self, interactions: Interactions) -> dict[str, Tensor]:
        """Takes the ranges of numbers, over users who bought something; values of all users, (U,)
        each, by the name of the column.
        """
        values = user_columns(self, interactions.columns)
        known = interactions.distinct.lengths() > 0
        quantiles = torch.arange(1, _RANGES) / _RANGES
        for place, each in enumerate(self._numbers()):
            self.edges[place] = torch.nanquantile(values[each.name][known], quantiles)
        return values

    def forward(self, query: Query) -> list[Tensor]:
        """Places of the values, the size of the column where one is missing or unknown: (B,) a
        column.
        """
        return [self.places(each, query[each.name]) for each in self.inputs]

    def known(self, query: Query) -> Tensor:
        """Whether any column has a value that was seen in training, bool (B,)."""
        found = torch.zeros_like(query.user, dtype=torch.bool)
        for places, size in zip(self(query), self.sizes, strict=True):
            found = found | (places != size)
        return found

    def places(self, each: ModelInput, values: Tensor) -> Tensor:
        """Places of values of one column, (…) -> int64 (…)."""
        if each.is_category:
            return values
        known = ~values.isnan()
        if each in _CLOCK:
            return torch.where(known, values, _CLOCK[each]).long()
        edges = self.edges[self._numbers().index(each)]
        return torch.where(known, (values.unsqueeze(-1) > edges).sum(dim=-1), _RANGES)

    def _numbers(self) -> list[ModelInput]:
        return [each for each in self.inputs if not each.is_category and each not in _CLOCK]


class QueryFields(nn.Module):
    """A field a column of the query, see `QueryValues`; zeros where it is missing or unknown.

    Args:
        columns: the inputs.
        num_categories: of those that are categories.
        field_dim: D.
        init_std: standard deviation of the initial numbers.
    """

    def __init__(
        self,
        columns: Sequence[ModelInput],
        num_categories: InputVocabulary,
        field_dim: int,
        init_std: float,
    ) -> None:
        super().__init__()
        self.values = QueryValues(columns, num_categories)
        sizes = self.values.sizes
        self.tables = nn.ModuleList(_table(size, field_dim, init_std) for size in sizes)

    @property
    def inputs(self) -> tuple[ModelInput, ...]:
        """The columns."""
        return self.values.inputs

    def forward(self, query: Query) -> list[Tensor]:
        """(B, D) a column."""
        pairs = zip(self.tables, self.values(query), strict=True)
        return [table(places) for table, places in pairs]


class ItemFields(nn.Module):
    """A field for the id of an item and one a column of its attributes: the mean over its terms.

    An item that nobody bought has no id, and a field without a term is zeros.

    Args:
        num_items: I.
        columns: categories and lists of the items' table.
        num_categories: terms of these.
        field_dim: D.
        init_std: standard deviation of the initial numbers.
    """

    known: Tensor

    def __init__(
        self,
        num_items: int,
        columns: Sequence[ModelInput],
        num_categories: InputVocabulary,
        field_dim: int,
        init_std: float,
    ) -> None:
        super().__init__()
        self.inputs = tuple(columns)
        self.id = nn.Embedding(num_items, field_dim)
        nn.init.normal_(self.id.weight, std=init_std)
        self.tables = nn.ModuleList(
            _table(num_categories[each.name], field_dim, init_std) for each in columns
        )
        self.register_buffer("known", torch.zeros(num_items, dtype=torch.bool))
        for place in range(len(self.inputs)):
            self.register_buffer(f"terms_{place}", torch.zeros(0, dtype=torch.int64))
            self.register_buffer(f"starts_{place}", torch.zeros(num_items, dtype=torch.int64))

    def observe(self, interactions: Interactions) -> None:
        """Takes the terms of items, and which are known by their buyers."""
        self.known.copy_(interactions.buyers > 0)
        if self.inputs and interactions.columns is None:
            raise ConfigError(
                "the model reads attributes of items: build the data with index_phase"
            )
        for place, each in enumerate(self.inputs):
            assert interactions.columns is not None
            terms = interactions.columns.of_items(each.name)
            setattr(self, f"terms_{place}", terms.values)
            setattr(self, f"starts_{place}", terms.indptr[:-1].clone())

    def forward(self, has_id: Tensor) -> Tensor:
        """Where ids count (I,) -> (I, 1 + columns, D)."""
        found = [self.id.weight * has_id.unsqueeze(1)]
        for place, table in enumerate(self.tables):
            terms, starts = getattr(self, f"terms_{place}"), getattr(self, f"starts_{place}")
            weight = cast(nn.Embedding, table).weight
            found.append(functional.embedding_bag(terms, weight, starts, mode="mean"))
        return torch.stack(found, dim=1)

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Tensor], prefix: str, *args: Any
    ) -> None:
        names = [f"terms_{place}" for place in range(len(self.inputs))]
        make_room(self, names, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _table(size: int, field_dim: int, init_std: float) -> nn.Embedding:
    """Rows of `size` values and a last one, zeros, for what is missing or unknown."""
    table = nn.Embedding(size + 1, field_dim, padding_idx=size)
    nn.init.normal_(table.weight, std=init_std)
    nn.init.zeros_(table.weight[size])
    return table
