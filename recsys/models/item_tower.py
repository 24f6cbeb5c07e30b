"""How items that came after the fit get their place in a model: from their terms, without training.

Axes: I items, N new items, T terms of the one that has most, F terms of the model, K neighbours,
P pairs of an item and a term.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from recsys.models.inputs import ModelInput


class NewItems(NamedTuple):
    """Items that came after the fit.

    Attributes:
        term: places among the terms of the model, F pads, int64 (N, T).
        weight: of each, as the model weighs terms, so that the vector of an item has length 1;
            0 pads, float32 (N, T).
        alike: the fitted items that each is most like, int64 (N, K).
        share: theirs in it, which add up to 1, or to 0 where it is like none, float32 (N, K).
        first: index of the first of them, int64, a scalar.
    """

    term: Tensor
    weight: Tensor
    alike: Tensor
    share: Tensor
    first: Tensor


class Postings(NamedTuple):
    """Terms of the fitted items, among which neighbours are looked for.

    Attributes:
        item, term: of every pair, int64 (P,) each.
        weight: float32 (P,).
    """

    item: Tensor
    term: Tensor
    weight: Tensor


@dataclass(frozen=True)
class ItemTower:
    """What a model knows of items that came after the fit.

    Attributes:
        inputs: what is read of them.
        sizes: number of terms of each input.
        rarity: what a term weighs in an item that has no other, float32 (F,).
        postings: terms of the fitted items.
        num_neighbours: fitted items that stand for a new one; 0: none do.
        rows: what is appended to parameters and buffers of the model, by their names.
        pads: of arrays that are as wide as the item with most terms, what fills up a row, by name;
            0 does in all others.
    """

    inputs: tuple[ModelInput, ...]
    sizes: tuple[int, ...]
    rarity: Tensor
    postings: Postings
    num_neighbours: int
    rows: Callable[[NewItems], Mapping[str, Tensor]]
    pads: Mapping[str, int] = field(default_factory=dict)

    def within(self, name: str) -> "ItemTower":
        """The tower of a model that stands under a name in another one."""

        def rows(new: NewItems) -> Mapping[str, Tensor]:
            return {f"{name}.{each}": values for each, values in self.rows(new).items()}

        pads = {f"{name}.{each}": pad for each, pad in self.pads.items()}
        return replace(self, rows=rows, pads=pads)

    def arrays(self) -> list[str]:
        """Names of the parameters and buffers that get rows."""
        none = torch.zeros(1, 1, dtype=torch.int64)
        zero = torch.zeros(1, 1)
        return list(self.rows(NewItems(none, zero, none, zero, none[0, 0])))


@runtime_checkable
class TakesNewItems(Protocol):
    """A recommender that can score items which came after it was fitted."""

    def item_towers(self) -> tuple[ItemTower, ...]:
        """How they get their rows; none where it knows items by their ids alone."""
        ...


def item_towers(model: object) -> tuple[ItemTower, ...]:
    """The towers of a model, none where it takes no new items."""
    return model.item_towers() if isinstance(model, TakesNewItems) else ()


def growing_modules(model: nn.Module) -> list[nn.Module]:
    """The model and those of its modules whose `num_items` follows the catalogue: a recommender in
    it that takes no new items goes on with those that it knows.
    """
    if hasattr(model, "num_items") and not item_towers(model):
        return []
    found = [model] if hasattr(model, "num_items") else []
    return found + [each for child in model.children() for each in growing_modules(child)]
