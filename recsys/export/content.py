"""What every manifest says, and the checks on what goes into graph and manifest."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.bundle.ids import is_usable_id
from recsys.errors import ExportError
from recsys.export.onnx.assembly import ONNXRUNTIME_MIN_VERSION, GraphValue
from recsys.export.onnx.tracing import IR_VERSION, OPSET


def manifest_content(
    task: str,
    inputs: Sequence[GraphValue],
    outputs: Sequence[GraphValue],
    facts: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> dict[str, object]:
    """The manifest apart from checksums and parity, as plain JSON.

    Args:
        task: what the bundle is for.
        inputs, outputs: of the graph.
        facts: what the reader of this task relies on.
        provenance: what goes in under its own keys.

    Raises:
        ExportError: if provenance is no plain JSON or takes a key of the exporter.
    """
    content = {
        "task": task,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [value.entry(is_input=True) for value in inputs],
        "outputs": [value.entry(is_input=False) for value in outputs],
        **facts,
        "onnxruntime_min_version": ONNXRUNTIME_MIN_VERSION,
        "opset": OPSET,
        "ir_version": IR_VERSION,
    }
    written_later = {"format", "format_version", "files", "parity"}
    if taken := sorted({*content, *written_later} & set(provenance)):
        raise ExportError(f"provenance must not hold {taken[0]!r}: the exporter writes it")
    try:
        # Through JSON: what is no plain JSON fails here, and not when the files are half written.
        return {**json.loads(json.dumps(_finite({**content, **provenance}), allow_nan=False))}
    except TypeError as error:
        raise ExportError(f"provenance is no plain JSON: {error}") from error


def _finite(value: object) -> object:
    """JSON has no NaN and no infinity: null stands for a metric that is undefined."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def checked_ids(ids: NDArray[Any], number: int, what: str, several: str) -> NDArray[np.object_]:
    """Ids as strings in an object array, after a look at what a graph and an npz cannot hold.

    Args:
        ids: by index.
        number: ids that the model knows.
        what: one of them is called.
        several: more of them are called.

    Raises:
        ExportError: if they are of another number, not unlike each other, or not usable.
    """
    values = [str(value) for value in ids.tolist()]
    if len(values) != number or not values:
        raise ExportError(
            f"the model knows {number} {several} and {len(values)} {what} ids are given"
        )
    if len(set(values)) != number:
        raise ExportError(f"two {several} have the same id")
    for value in values:
        if not is_usable_id(value):
            raise ExportError(f"the {what} id {value!r} cannot be in a graph: rename it")
    return np.array(values, dtype=object)
