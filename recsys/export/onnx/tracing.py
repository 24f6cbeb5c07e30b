"""From a torch module to an ONNX graph, in two steps: tracing, then translation.

Tracing frees the sizes or fails aloud. `torch.onnx.export` alone makes constants of sizes that it
cannot free, so it only ever sees what was traced.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from onnx import inliner
from torch import Tensor, nn
from torch.export import ExportedProgram

from recsys.errors import ExportError
from recsys.export.onnx.recurrent import recurrent_operators, translations

# Fixed: the runtime that a bundle promises to work with knows these and no newer ones.
OPSET = 20
IR_VERSION = 10

# A graph file holds its weights, and a protobuf is at most 2 GB.
_LARGEST_GRAPH = 1_900_000_000


def check_size(module: nn.Module) -> None:
    """Refuses a model that no graph file can hold.

    Raises:
        ExportError: naming its size.
    """
    weights = (*module.parameters(), *module.buffers())
    size = sum(tensor.numel() * tensor.element_size() for tensor in weights)
    if size > _LARGEST_GRAPH:
        raise ExportError(
            f"{type(module).__name__} holds {size / 1e9:.1f} GB of weights and a graph holds "
            "at most 2 GB: train it with fewer factors or items"
        )


def trace(
    wrapped: nn.Module, samples: tuple[Tensor, ...], dims: tuple[Any, ...], name: str
) -> ExportedProgram:
    """Traces a module with free sizes.

    Args:
        wrapped: in evaluation mode.
        samples: inputs to trace with. Free sizes above one and unlike each other: a size of 1, or
            two that are equal, become constants silently.
        dims: free axes of each input, by number; in a tuple of their own for inputs of `*args`.
        name: of the model, for the error.

    Raises:
        ExportError: if torch cannot express the module as a graph that serves any size.
    """
    with _exporting(name), recurrent_operators(wrapped):
        try:
            return torch.export.export(wrapped, samples, dynamic_shapes=dims, strict=False)
        except Exception as error:
            try:
                # Reads the source instead of running it, and so takes `len(tensor)` for a free
                # size.
                return torch.export.export(wrapped, samples, dynamic_shapes=dims, strict=True)
            except Exception:
                # What went wrong first says it in the terms of whoever wrote the model.
                raise error from None


def translate(
    program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str], name: str
) -> onnx.ModelProto:
    """Turns what was traced into ONNX.

    Args:
        program: from `trace`.
        inputs: names for the inputs.
        outputs: names for the outputs.
        name: of the model, for the error.

    Raises:
        ExportError: if ONNX has no operator for something in it.
    """
    with _exporting(name):
        translated = torch.onnx.export(
            program,
            dynamo=True,
            external_data=False,
            verbose=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            custom_translation_table=translations(),
        )
    assert translated is not None
    return translated.model_proto


def checked(
    core: onnx.ModelProto, name: str, fixed: Sequence[tuple[str, int]] = ()
) -> onnx.ModelProto:
    """Refuses a graph of another version, and one that took a traced size for a constant.

    Args:
        core: as `translate` returns it; the first size of each output is free.
        name: of the model, for the error.
        fixed: (input, axis) of sizes that are fixed on purpose.

    Returns:
        The graph, its local functions inlined.

    Raises:
        ExportError: naming what is wrong.
    """
    core = inliner.inline_local_functions(core) if core.functions else core
    opset = next(entry.version for entry in core.opset_import if not entry.domain)
    if opset != OPSET or core.ir_version > IR_VERSION:
        raise ExportError(
            f"torch wrote {name} with IR {core.ir_version} and operator set {opset}, "
            f"and a bundle has IR {IR_VERSION} and operator set {OPSET}"
        )
    if foreign := sorted(
        {
            f"{node.domain}.{node.op_type}"
            for node in core.graph.node
            if node.domain not in ("", "ai.onnx.ml")
        }
    ):
        raise ExportError(f"the graph of {name} needs {foreign[0]}, which is no operator of ONNX")
    free = [
        (value, dim)
        for value in core.graph.input
        for axis, dim in enumerate(value.type.tensor_type.shape.dim)
        if (value.name, axis) not in fixed
    ]
    free += [(value, value.type.tensor_type.shape.dim[0]) for value in core.graph.output]
    for value, dim in free:
        if not dim.dim_param:
            raise ExportError(
                f"the graph of {name} has the fixed size {dim.dim_value} in {value.name!r}, where "
                "batch and history have to be free: export in a fresh process, and let no size "
                "decide in the model"
            )
    return core


@contextmanager
def _exporting(name: str) -> Iterator[None]:
    """Quiet, and with one sentence for the dozen unrelated classes that torch raises."""
    try:
        with _quiet():
            yield
    except Exception as error:
        # The first line says what torch could not do.
        reason = (str(error.__cause__ or error).strip() or repr(error)).splitlines()[0]
        raise ExportError(f"{name} has no ONNX graph: {reason}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps remarks of the exporter on its own internals away from whoever exports."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
