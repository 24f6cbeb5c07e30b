"""The torch part of a bundle's graph: indices in, scores of all items out, fallbacks included.

Axes: B users, L length of a history, U users and I items in the vocabularies.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import onnx
import torch
from onnx import inliner
from torch import Tensor, nn
from torch.export import Dim

from recsys.errors import ExportError
from recsys.models.recommender import Query, Recommender

# Fixed: the runtime that a bundle promises to work with knows these and no newer ones.
OPSET = 20
IR_VERSION = 10

# Above one and unlike each other: a size of 1, or two that are equal, become constants silently.
_TRACED_BATCH, _TRACED_HISTORY = 3, 5
# A graph file holds its weights, and a protobuf is at most 2 GB.
_LARGEST_GRAPH = 1_900_000_000


class UserScores(nn.Module):
    """Scores from user ids: a user index of U, which is unknown, gets what is popular."""

    def __init__(self, model: Recommender, popularity: Tensor) -> None:
        """Wraps a model whose scores come from `Query.user`; popularity is (I,)."""
        super().__init__()
        self.model = model
        self.register_buffer("popularity", popularity)

    def forward(self, user: Tensor) -> Tensor:
        """User indices (B,) -> scores (B, I)."""
        known = user < self.model.num_users  # (B,)
        no_history = user.new_zeros((user.shape[0], 0))
        scores = self.model.score_all(Query(torch.where(known, user, 0), no_history))
        return torch.where(known.unsqueeze(1), scores, cast(Tensor, self.popularity))


class HistoryScores(nn.Module):
    """Scores from histories: one without a known item gets what is popular."""

    def __init__(self, model: Recommender, popularity: Tensor) -> None:
        """Wraps a model whose scores come from `Query.history`; popularity is (I,)."""
        super().__init__()
        self.model = model
        self.register_buffer("popularity", popularity)

    def forward(self, history: Tensor) -> Tensor:
        """Item indices padded with I (B, L) -> scores (B, I)."""
        nobody = history.new_zeros(history.shape[0])
        scores = self.model.score_all(Query(nobody, history))
        empty = (history == self.model.num_items).all(dim=1)  # (B,)
        return torch.where(empty.unsqueeze(1), cast(Tensor, self.popularity), scores)


def export_core(model: Recommender, popularity: Tensor) -> onnx.ModelProto:
    """Traces a model to a graph: `user` (B,) or `history` (B, L) -> `scores` (B, I).

    Args:
        model: on the CPU; it is put into evaluation mode.
        popularity: buyers of each item (I,).

    Raises:
        ExportError: if torch cannot express the model as a graph that serves any batch and any
            history.
    """
    module = cast(nn.Module, model)
    weights = (*module.parameters(), *module.buffers())
    size = sum(tensor.numel() * tensor.element_size() for tensor in weights)
    if size > _LARGEST_GRAPH:
        raise ExportError(
            f"{type(model).__name__} holds {size / 1e9:.1f} GB of weights and a graph holds "
            "at most 2 GB: train it with fewer factors or items"
        )
    if model.reads_history:
        wrapped: nn.Module = HistoryScores(model, popularity)
        sample = torch.zeros(_TRACED_BATCH, _TRACED_HISTORY, dtype=torch.int64)
        name, dims = "history", {0: Dim("batch"), 1: Dim("history")}
    else:
        wrapped = UserScores(model, popularity)
        sample = torch.zeros(_TRACED_BATCH, dtype=torch.int64)
        name, dims = "user", {0: Dim("batch")}
    try:
        with _quiet():
            program = torch.onnx.export(
                _trace(wrapped.eval(), sample, dims),
                dynamo=True,
                external_data=False,
                verbose=False,
                opset_version=OPSET,
                input_names=[name],
                output_names=["scores"],
            )
    # torch raises a dozen unrelated classes here; the first line says what it could not do.
    except Exception as error:
        reason = (str(error.__cause__ or error).strip() or repr(error)).splitlines()[0]
        raise ExportError(f"{type(model).__name__} has no ONNX graph: {reason}") from error
    assert program is not None
    return _checked(program.model_proto, type(model).__name__)


def _trace(
    wrapped: nn.Module, sample: Tensor, dims: dict[int, Dim]
) -> torch.export.ExportedProgram:
    """Traces with free sizes; `torch.onnx.export` alone makes constants of what it cannot free."""
    try:
        return torch.export.export(wrapped, (sample,), dynamic_shapes=(dims,), strict=False)
    except Exception as error:
        try:
            # Reads the source instead of running it, and so takes `len(tensor)` for a free size.
            return torch.export.export(wrapped, (sample,), dynamic_shapes=(dims,), strict=True)
        except Exception:
            # What went wrong first says it in the terms of whoever wrote the model.
            raise error from None


def _checked(core: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Refuses a graph of another version, and one that took a traced size for a constant."""
    core = inliner.inline_local_functions(core) if core.functions else core
    opset = next(entry.version for entry in core.opset_import if not entry.domain)
    if opset != OPSET or core.ir_version > IR_VERSION:
        raise ExportError(
            f"torch wrote {name} with IR {core.ir_version} and operator set {opset}, "
            f"and a bundle has IR {IR_VERSION} and operator set {OPSET}"
        )
    if foreign := sorted(
        {f"{node.domain}.{node.op_type}" for node in core.graph.node if node.domain}
    ):
        raise ExportError(f"the graph of {name} needs {foreign[0]}, which is no operator of ONNX")
    free = [(value, dim) for value in core.graph.input for dim in value.type.tensor_type.shape.dim]
    free.append((core.graph.output[0], core.graph.output[0].type.tensor_type.shape.dim[0]))
    for value, dim in free:
        if not dim.dim_param:
            raise ExportError(
                f"the graph of {name} has the fixed size {dim.dim_value} in {value.name!r}, where "
                "batch and history have to be free: export in a fresh process, and let no size "
                "decide in score_all"
            )
    return core


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps remarks of the exporter on its own internals away from whoever exports."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
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
