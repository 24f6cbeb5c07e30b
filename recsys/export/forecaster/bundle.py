"""Writes a forecaster bundle: the folder appears when everything in it is complete and proven.

Axes: S series in the vocabulary, B sample windows, T steps of history, H steps of the horizon,
    F covariates.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray
from torch import nn

from recsys.bundle.folder import appearing, check_replaceable, write_json
from recsys.bundle.manifest import GRAPH, write_manifest
from recsys.errors import ExportError
from recsys.export.content import checked_ids, manifest_content
from recsys.export.forecaster.card import forecaster_card
from recsys.export.forecaster.graph import build_forecaster_graph, graph_inputs, graph_outputs
from recsys.export.forecaster.parity import SampleWindows, check_forecaster_parity
from recsys.export.forecaster.samples import forecaster_samples
from recsys.inference.bundle import open_session
from recsys.inference.verification import SAMPLES, verify
from recsys.models.forecaster import Forecaster
from recsys.steps import STEP_SECONDS, require_step


def write_forecaster_bundle(
    folder: Path,
    *,
    model: Forecaster,
    series_ids: NDArray[Any],
    step: str,
    timezone: str,
    covariate_names: Sequence[str],
    histories: SampleWindows,
    provenance: Mapping[str, Any],
    unit: str = "units sold",
) -> Path:
    """Exports a model to a bundle; the folder appears when it is proven to answer as torch does.

    An existing bundle of this name is replaced, and only then; the model given stays as it is.

    Args:
        folder: of the bundle; its name is the name of the bundle.
        model: an nn.Module that forecasts; on any device, in any mode.
        series_ids: ids by series index, str (S,).
        step: hour, day, week or month.
        timezone: IANA zone of the wall clock.
        covariate_names: what is known ahead, by its place in the last axis (F,).
        histories: windows of the kind that the model forecasts, to compare torch and graph on;
            a `models.forecaster.Window` serves too. None of them goes into the bundle.
        provenance: plain JSON that goes into the manifest under its own keys: metrics (flat), data,
            config, versions, git_commit, model (class name), split, seed.
        unit: what a step of y counts, for people.

    Returns:
        The folder.

    Raises:
        ExportError: if the model has no graph or one that disagrees with torch, ids or windows
            cannot be used, or the folder is something else than a bundle.
        ConfigError: if there is no such step.
    """
    if not isinstance(model, nn.Module):
        raise ExportError(
            f"{type(model).__name__} is no torch module, so it has no graph to export"
        )
    check_replaceable(folder)
    ids = checked_ids(series_ids, model.num_series, "series", "series")
    _check_model(model, step, timezone, covariate_names)
    windows = _checked_windows(model, histories)
    content = manifest_content(
        "forecaster",
        graph_inputs(model),
        graph_outputs(model),
        {
            "num_series": model.num_series,
            "horizon": model.horizon,
            "quantiles": list(model.quantiles),
            "history_length": model.history_length,
            "step": step,
            **_clock(windows.start, step),
            "timezone": timezone,
            "covariate_names": list(covariate_names),
            "unit": unit,
        },
        provenance,
    )
    model = copy.deepcopy(model).cpu().eval()
    graph = build_forecaster_graph(model, ids).SerializeToString()
    session = open_session(graph)
    largest = check_forecaster_parity(session, model, ids, windows)
    content["parity"] = {"largest_difference": largest}

    with appearing(folder) as partial:
        (partial / GRAPH).write_bytes(graph)
        write_json(partial / SAMPLES, forecaster_samples(session, model, ids))
        card = forecaster_card(folder.name, content)
        (partial / "README.md").write_text(card, encoding="utf-8")
        write_manifest(partial, content)
        verify(partial)
    return folder


def _check_model(
    model: Forecaster, step: str, timezone: str, covariate_names: Sequence[str]
) -> None:
    """What the manifest says must be what the model does."""
    name = type(model).__name__
    require_step(step)
    if model.step != step:
        raise ExportError(f"{name} was built for step={model.step!r}, and step={step!r} is given")
    if len(covariate_names) != model.num_covariates:
        raise ExportError(
            f"{name} reads {model.num_covariates} covariates and {len(covariate_names)} names are "
            "given"
        )
    if len(set(covariate_names)) != len(covariate_names) or (
        taken := {"series_id", "timestamp", "y", ""} & set(covariate_names)
    ):
        odd = sorted(taken)[0] if len(set(covariate_names)) == len(covariate_names) else "twice"
        raise ExportError(f"covariates cannot be named {odd!r}: batch files need other columns")
    quantiles = list(model.quantiles)
    if sorted(set(quantiles)) != quantiles or 0.5 not in quantiles:
        raise ExportError(f"{name} has the quantiles {quantiles}: they ascend, and 0.5 is one")
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ExportError(f"timezone={timezone!r} is no IANA zone such as Europe/Berlin") from error


def _checked_windows(model: Forecaster, histories: Sequence[Any]) -> SampleWindows:
    """The sample windows as arrays of the types that a graph takes."""
    kinds = (np.int64, np.float32, np.int64, np.float32)
    columns = (np.asarray(column, kind) for column, kind in zip(histories, kinds, strict=True))
    windows = SampleWindows(*columns)
    shape = windows.history.shape
    wanted = (
        shape[:1],
        shape,
        shape[:1],
        (*shape[:1], shape[-1] + model.horizon, model.num_covariates),
    )
    found = tuple(column.shape for column in windows)
    if len(shape) != 2 or 0 in shape or found != wanted:
        raise ExportError(
            f"the sample windows have the shapes {found}: they are (B,), (B, T), (B,) and "
            f"(B, T + {model.horizon}, {model.num_covariates}), neither of them empty"
        )
    if not 0 <= windows.series.min() <= windows.series.max() <= model.num_series:
        raise ExportError(f"a sample window is of a series outside of 0 … {model.num_series}")
    return windows


def _clock(start: NDArray[np.int64], step: str) -> dict[str, int | None]:
    """Length of a step, and where steps begin on the clock, as seconds after a multiple of it since
    1970; nothing of months, which begin on their first day, and which a reader that knows only
    lengths must not take for steps of one.

    Weeks of Monday to Sunday have an offset other than 0; None where series begin at different
    places.
    """
    if step == "month":
        return {}
    seconds = STEP_SECONDS[step]
    offsets = np.unique(start % seconds)
    return {
        "step_seconds": seconds,
        "step_offset": int(offsets[0]) if len(offsets) == 1 else None,
    }
