"""The one graph of a forecaster bundle: raw numbers in, raw quantiles out.

    series_id   LabelEncoder: string -> index, S for a series that training did not see
    covariates  Slice: those of the history, those of the horizon
    model       forecast (B, H, Q); scaling, calendar and inverse transform are inside

Axes: B series, T steps of history, H steps of the horizon, F covariates, Q quantiles, S series in
    the vocabulary.
"""

from typing import cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim

from recsys.export.onnx.assembly import GraphValue, Parts, assemble
from recsys.export.onnx.tracing import check_size, checked, trace, translate
from recsys.models.forecaster import Forecaster, Window

# Above one and unlike each other: a size of 1, or two that are equal, become constants silently.
_TRACED_BATCH, _TRACED_TIME = 3, 5


class FromCovariates(nn.Module):
    """Takes the inputs of the graph one by one."""

    def __init__(self, model: Forecaster) -> None:
        """Wraps a model that was trained with covariates."""
        super().__init__()
        self.model = cast(nn.Module, model)

    def forward(
        self, series: Tensor, history: Tensor, start: Tensor, past: Tensor, future: Tensor
    ) -> Tensor:
        """(B,), (B, T), (B,), (B, T, F), (B, H, F) -> (B, H, Q)."""
        covariates = torch.cat([past, future], dim=1)  # (B, T + H, F)
        return cast(Tensor, self.model(Window(series, history, start, covariates)))


class FromHistory(nn.Module):
    """Takes the inputs of a graph that has no covariates."""

    def __init__(self, model: Forecaster) -> None:
        """Wraps a model that was trained without covariates."""
        super().__init__()
        self.model = cast(nn.Module, model)
        self.horizon = model.horizon

    def forward(self, series: Tensor, history: Tensor, start: Tensor) -> Tensor:
        """(B,), (B, T), (B,) -> (B, H, Q)."""
        batch, time = history.shape
        nothing = history.new_zeros((batch, time + self.horizon, 0))
        return cast(Tensor, self.model(Window(series, history, start, nothing)))


def graph_inputs(model: Forecaster) -> tuple[GraphValue, ...]:
    """What the graph of a model takes."""
    ahead = (
        GraphValue(
            "covariates",
            "float32",
            ("batch", "time + horizon", model.num_covariates),
            "known ahead, of the history and of the horizon; NaN where unknown",
        ),
    )
    return (
        GraphValue(
            "series_id",
            "string",
            ("batch",),
            "which series; an unknown one is forecast from its history alone",
        ),
        GraphValue(
            "history", "float32", ("batch", "time"), "y so far, latest last; NaN where missing"
        ),
        GraphValue(
            "start",
            "int64",
            ("batch",),
            "local wall-clock seconds of the first step of the history, counted as if UTC",
        ),
        *(ahead if model.num_covariates else ()),
    )


def graph_outputs(model: Forecaster) -> tuple[GraphValue, ...]:
    """What the graph of a model gives."""
    return (
        GraphValue(
            "forecast",
            "float32",
            ("batch", model.horizon, len(model.quantiles)),
            "quantiles of the steps after the history, ascending, in the units of the history",
        ),
    )


def build_forecaster_graph(model: Forecaster, series_ids: NDArray[np.object_]) -> onnx.ModelProto:
    """The whole graph of a bundle: from `graph_inputs` to `graph_outputs`.

    Args:
        model: on the CPU, in evaluation mode.
        series_ids: ids by series index (S,).

    Raises:
        ExportError: if torch cannot express the model as a graph that serves any batch and any
            history.
    """
    parts = Parts()
    parts.encode("series_id", "series", series_ids)
    if model.num_covariates:
        _covariates_input(parts, model.horizon)
    given = {name: name for name in ("series", "history", "start", "past", "future")}
    parts.append(_export_core(model), given)
    parts.node("Identity", ["model/forecast"], "forecast")
    return assemble(parts, "forecaster", graph_inputs(model), graph_outputs(model))


def _covariates_input(parts: Parts, horizon: int) -> None:
    """`covariates` as those of the history and those of the horizon.

    A traced program that is stored has no size such as T + H among its inputs (torch 2.13).
    """
    for name, value in (("first", 0), ("boundary", -horizon), ("end", 2**31), ("axis_1", 1)):
        parts.constant(name, [value])
    parts.node("Slice", ["covariates", "first", "boundary", "axis_1"], "past")  # (B, T, F)
    parts.node("Slice", ["covariates", "boundary", "end", "axis_1"], "future")  # (B, H, F)


def _export_core(model: Forecaster) -> onnx.ModelProto:
    """The torch part: series index, history, start, covariates in two -> forecast."""
    name = type(model).__name__
    check_size(cast(nn.Module, model))
    batch, time = Dim("batch"), Dim("time")
    samples = [
        torch.zeros(_TRACED_BATCH, dtype=torch.int64),
        torch.zeros(_TRACED_BATCH, _TRACED_TIME),
        torch.zeros(_TRACED_BATCH, dtype=torch.int64),
    ]
    dims: list[dict[int, Dim]] = [{0: batch}, {0: batch, 1: time}, {0: batch}]
    inputs = ["series", "history", "start"]
    wrapped: nn.Module = FromHistory(model)
    if model.num_covariates:
        wrapped = FromCovariates(model)
        samples.append(torch.zeros(_TRACED_BATCH, _TRACED_TIME, model.num_covariates))
        samples.append(torch.zeros(_TRACED_BATCH, model.horizon, model.num_covariates))
        dims += [{0: batch, 1: time}, {0: batch}]
        inputs += ["past", "future"]
    program = trace(wrapped.eval(), tuple(samples), tuple(dims), name)
    core = translate(program, inputs, ["forecast"], name)
    return checked(core, name, fixed=[("past", 2), ("future", 1), ("future", 2)])
