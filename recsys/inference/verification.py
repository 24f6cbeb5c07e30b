"""Verifies the checksums of a bundle and replays its golden samples."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from recsys.bundle.agreement import check_same_forecast, check_same_ranking, score_bound
from recsys.bundle.manifest import ValueEntry
from recsys.errors import BundleError
from recsys.inference.bundle import Bundle, open_bundle
from recsys.inference.reasons import BECAUSE, open_because

SAMPLES = "samples.json"


class Verification(NamedTuple):
    """Result of a verification.

    Attributes:
        task: of the bundle.
        cases: number of samples replayed.
        largest_difference: between recorded and replayed scores, or between forecasts, relative
            to the forecast.
    """

    task: str
    cases: int
    largest_difference: float


def verify(path: str | Path) -> Verification:
    """Checks the checksums of a bundle and replays samples.json, its golden inputs and outputs.

    Raises:
        BundleError: the folder is not a bundle, is incomplete or altered, or an output differs
            from the recorded one.
    """
    bundle = open_bundle(Path(path))
    samples = bundle.optional_file(SAMPLES)
    if samples is None:
        raise BundleError(f"{path} holds no {SAMPLES}, so there is nothing to compare with")
    replay = _REPLAYS[bundle.manifest["task"]]
    try:
        content = json.loads(samples)
        differences = [_named(replay, bundle, case) for case in content["cases"]]
        if BECAUSE in bundle.manifest["files"]:
            session = open_because(bundle)
            reasons = partial(_replay_reasons, session)
            differences += [_named(reasons, bundle, case) for case in content["because"]]
    except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BundleError(
            f"{Path(path) / SAMPLES} does not hold golden samples: {error!r}"
        ) from error
    return Verification(bundle.manifest["task"], len(differences), max(differences, default=0.0))


def _named(
    replay: Callable[[Bundle, Any], float], bundle: Bundle, case: Mapping[str, Any]
) -> float:
    """Replays one case; errors name it."""
    try:
        return replay(bundle, case)
    except ValueError as error:
        raise BundleError(
            f"{bundle.path} disagrees with its sample {case['name']!r}: {error}"
        ) from error


def _replay_recommender(bundle: Bundle, case: Mapping[str, Any]) -> float:
    """Runs the graph on the inputs of a case and compares; the largest difference of two scores."""
    batch = len(case["user_id"])
    feeds = feeds_of(bundle.manifest["inputs"], case, batch)
    # bundles of before did not tell what answers come from
    told = {name: case[name] for name in ("answered_from",) if name in case}
    got_items, got_scores, *others = bundle.session.run(["item_id", "score", *told], feeds)
    for (name, want), got in zip(told.items(), others, strict=True):
        if got.tolist() != want:
            raise ValueError(f"{name} is {got.tolist()}, not {want}")
    return check_same_ranking(*recorded(case), got_items, got_scores)


def recorded(case: Mapping[str, Any]) -> tuple[NDArray[np.object_], NDArray[np.float32]]:
    """The answer that a case of a recommender holds: item ids and scores, (B, K)."""
    batch = len(case["user_id"])
    items = np.array(case["item_id"], dtype=object).reshape(batch, -1)
    # JSON has no infinity: null stands for the score of an empty place.
    scores = [-np.inf if score is None else score for row in case["score"] for score in row]
    return items, np.array(scores, dtype=np.float32).reshape(batch, -1)


def _replay_reasons(
    session: onnxruntime.InferenceSession, bundle: Bundle, case: Mapping[str, Any]
) -> float:
    """Runs the graph of reasons on the inputs of a case; the largest difference of two."""
    batch, entry = len(case["item_id"]), bundle.manifest["because"]
    feeds = feeds_of(entry["inputs"], case, batch)
    contribution, rest = session.run(["contribution", "rest"], feeds)
    empty = [[value is None for value in row] for row in case["rest"]]
    want_rest = np.where(empty, -np.inf, _numbers(case["rest"]))
    want = np.concatenate([_numbers(case["contribution"]), want_rest[:, :, None]], axis=2)
    got = np.concatenate([contribution, rest[:, :, None]], axis=2)
    if got.shape != want.shape:
        raise ValueError(f"the reasons have the shape {contribution.shape}")
    finite = np.isfinite(want)
    difference = np.abs(np.where(finite, got, 0) - np.where(finite, want, 0))
    # Written so that NaN fails.
    wrong = np.argwhere(~(difference <= score_bound(np.where(finite, want, 0))))
    if len(wrong) or not np.array_equal(finite, np.isfinite(got)):
        raise ValueError(f"reasons of row {wrong[0][0] if len(wrong) else '?'} differ")
    return float(difference.max(initial=0.0))


def _replay_forecaster(bundle: Bundle, case: Mapping[str, Any]) -> float:
    """Runs the graph on the inputs of a case and compares; the largest relative difference."""
    feeds = feeds_of(bundle.manifest["inputs"], case, len(case["series_id"]))
    (got,) = bundle.session.run(["forecast"], feeds)
    return check_same_forecast(_numbers(case["forecast"]), got, feeds["history"])


def feeds_of(
    inputs: list[ValueEntry], case: Mapping[str, Any], batch: int
) -> dict[str, NDArray[Any]]:
    """The inputs of a case in the types and dimensions that the manifest declares."""
    # one list of allowed items may stand for all users
    known = {"batch": batch, "allowed_lists": len(case.get("allowed", ()))}
    feeds = {}
    for entry in inputs:
        shape = [size if isinstance(size, int) else known.get(size, -1) for size in entry["dims"]]
        values: NDArray[Any] = np.array(case[entry["name"]], dtype=_TYPES[entry["type"]])
        feeds[entry["name"]] = values.reshape(shape)
    return feeds


def _numbers(values: Any) -> NDArray[np.float32]:
    """Nested lists as an array; JSON has no NaN, null stands for it."""
    return np.array(values, dtype=np.float32)


_TYPES: dict[str, type] = {"string": object, "float32": np.float32, "int64": np.int64}
# How the samples of each task are replayed.
_REPLAYS: dict[str, Callable[[Bundle, Mapping[str, Any]], float]] = {
    "recommender": _replay_recommender,
    "forecaster": _replay_forecaster,
}
