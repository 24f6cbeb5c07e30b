"""Graphs whose items can become more: what has rows of items is no constant inside of the traced
model but an input of it, and a constant of the bundle's graph under a name, to which
`recsys.inference.larger_graph` appends rows.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.export import Dim
from torch.func import functional_call

from recsys.bundle.new_items import ITEM_ARRAY
from recsys.export.onnx.assembly import Parts
from recsys.export.onnx.tracing import check_size, checked, trace, translate
from recsys.models.item_tower import growing_modules, item_towers

# Rows beside those of the catalogue while the graph is traced, so that it is larger than what a
# part of a blend knows.
_MORE = 2


class Core(NamedTuple):
    """A traced graph.

    Attributes:
        graph: its inputs are those that were traced, and "items/NAME" of every array.
        arrays: what has rows of items, by "items/NAME"; nothing where the model takes no new items.
    """

    graph: onnx.ModelProto
    arrays: dict[str, Tensor]

    def append_to(self, parts: Parts, given: dict[str, str]) -> None:
        """Puts the graph, and the arrays as constants, behind the nodes of a bundle's graph.

        Args:
            parts: of the bundle's graph.
            given: what each traced input is called there.
        """
        for name, values in self.arrays.items():
            parts.constants.append(numpy_helper.from_array(values.detach().numpy(), name))
        parts.append(self.graph, given | {name: name for name in self.arrays})


class _Growing(nn.Module):
    """A module to which its arrays of items are given. `module.model` is the model."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.module, self.names = module, tuple(names)

    def forward(self, *values: Tensor) -> Any:
        """Popularity and the other arrays by `names`, then the inputs of the module."""
        arrays, inputs = values[: len(self.names)], values[len(self.names) :]
        with _num_items(cast(nn.Module, self.module.model), arrays[0].shape[0]):
            return functional_call(self.module, dict(zip(self.names, arrays, strict=True)), inputs)


@contextmanager
def _num_items(model: nn.Module, size: int) -> Iterator[None]:
    """The model, with another size of its catalogue."""
    growing = [(module, module.num_items) for module in growing_modules(model)]
    for module, _ in growing:
        module.num_items = size  # type: ignore[assignment]
    try:
        yield
    finally:
        for module, before in growing:
            module.num_items = before


def export_traced(
    module: nn.Module,
    inputs: Sequence[str],
    samples: Sequence[Tensor],
    dims: Sequence[Any],
    outputs: Sequence[str],
    name: str,
) -> Core:
    """Traces a module to a graph.

    Args:
        module: in evaluation mode; `model` is the recommender in it, `popularity` the buyers of
            each item.
        inputs: names of its inputs.
        samples, dims: see `trace`.
        outputs: names of its outputs.
        name: of the model, for errors.

    Raises:
        ExportError: if torch cannot express it as a graph that serves any size.
    """
    check_size(module)
    towers = [each.within("model") for each in item_towers(module.model)]
    names = [name for tower in towers for name in tower.arrays()]
    wide = {name for tower in towers for name in tower.pads}
    if not names:
        program = trace(module, tuple(samples), (tuple(dims),), name)
        return Core(checked(translate(program, inputs, outputs, name), name), {})
    names = ["popularity", *names]
    stored = dict(module.named_parameters()) | dict(module.named_buffers())
    of_items = [torch.cat([stored[each], stored[each][:_MORE]]).detach() for each in names]
    free: list[Any] = [
        {0: Dim.AUTO, 1: Dim.AUTO} if each in wide else {0: Dim.AUTO} for each in names
    ]
    program = trace(_Growing(module, names).eval(), (*of_items, *samples), ((*free, *dims),), name)
    called = [ITEM_ARRAY + each.removeprefix("model.") for each in names]
    graph = translate(program, [*called, *inputs], outputs, name)
    arrays = {new: stored[old] for new, old in zip(called, names, strict=True)}
    read = {each for node in graph.graph.node for each in node.input}
    kept = [each for each in graph.graph.input if each.name not in arrays or each.name in read]
    del graph.graph.input[:]
    graph.graph.input.extend(kept)
    fixed = [
        (new, axis)
        for new, old in zip(called, names, strict=True)
        for axis in range(1 + (old in wide), stored[old].dim())
    ]
    core = checked(graph, name, fixed)
    return Core(core, {each: values for each, values in arrays.items() if each in read})
