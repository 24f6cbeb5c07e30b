"""Proves that a bundle is whole and answers here as it answered where it was exported."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.bundle.agreement import check_same_forecast, check_same_ranking
from recsys.errors import BundleError
from recsys.inference.bundle import Bundle, open_bundle

SAMPLES = "samples.json"


class Verification(NamedTuple):
    """What was compared.

    Attributes:
        task: what the bundle is for.
        cases: golden runs that were replayed.
        largest_difference: between the scores of then and now; between the forecasts, as a share
            of what is forecast.
    """

    task: str
    cases: int
    largest_difference: float


def verify(path: str | Path) -> Verification:
    """Checks the checksums of a bundle and replays samples.json, its golden inputs and outputs.

    Raises:
        BundleError: if the folder is no bundle, incomplete or altered, or if it answers otherwise
            than recorded.
    """
    bundle = open_bundle(Path(path))
    samples = bundle.optional_file(SAMPLES)
    if samples is None:
        raise BundleError(f"{path} holds no {SAMPLES}, so there is nothing to compare with")
    replay = _REPLAYS[bundle.manifest["task"]]
    try:
        cases = json.loads(samples.read_text(encoding="utf-8"))["cases"]
        differences = [_named(replay, bundle, case) for case in cases]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise BundleError(f"{samples} is not of the form of golden samples: {error!r}") from error
    return Verification(bundle.manifest["task"], len(differences), max(differences, default=0.0))


def _named(replay: Callable[[Bundle, Any], float], bundle: Bundle, case: dict[str, Any]) -> float:
    """Replays one case; its name stands in the error."""
    try:
        return replay(bundle, case)
    except ValueError as error:
        raise BundleError(
            f"{bundle.path} disagrees with its sample {case['name']!r}: {error}"
        ) from error


def _replay_recommender(bundle: Bundle, case: dict[str, Any]) -> float:
    """Runs the graph on the inputs of a case and compares; the largest difference of two scores."""
    batch = len(case["user_id"])
    feeds = {
        "user_id": np.array(case["user_id"], dtype=object),
        "history": np.array(case["history"], dtype=object).reshape(batch, -1),
        "exclude": np.array(case["exclude"], dtype=object).reshape(batch, -1),
        "k": np.array([case["k"]], dtype=np.int64),
    }
    if bundle.manifest.get("reads_age"):
        feeds["history_age"] = _numbers(case["history_age"]).reshape(batch, -1)
    got_items, got_scores = bundle.session.run(["item_id", "score"], feeds)
    want_items = np.array(case["item_id"], dtype=object).reshape(batch, -1)
    # JSON has no infinity: null stands for the score of an empty place.
    scores = [-np.inf if score is None else score for row in case["score"] for score in row]
    want_scores = np.array(scores, dtype=np.float32).reshape(batch, -1)
    return check_same_ranking(want_items, want_scores, got_items, got_scores)


def _replay_forecaster(bundle: Bundle, case: dict[str, Any]) -> float:
    """Runs the graph on the inputs of a case and compares; the largest relative difference."""
    manifest, batch = bundle.manifest, len(case["series_id"])
    history = _numbers(case["history"]).reshape(batch, -1)
    feeds = {
        "series_id": np.array(case["series_id"], dtype=object),
        "history": history,
        "start": np.array(case["start"], dtype=np.int64),
    }
    if names := manifest["covariate_names"]:
        feeds["covariates"] = _numbers(case["covariates"]).reshape(batch, -1, len(names))
    (got,) = bundle.session.run(["forecast"], feeds)
    return check_same_forecast(_numbers(case["forecast"]), got, history)


def _numbers(values: Any) -> NDArray[np.float32]:
    """Nested lists as an array; JSON has no NaN, null stands for it."""
    return np.array(values, dtype=np.float32)


# How the samples of each task are replayed.
_REPLAYS: dict[str, Callable[[Bundle, dict[str, Any]], float]] = {
    "recommender": _replay_recommender,
    "forecaster": _replay_forecaster,
}
