"""The model card of a forecaster."""

from collections.abc import Mapping
from typing import Any

from recsys.export.model_card import model_card

_SNIPPETS = """\
## Run it

Python, with numpy and onnxruntime alone (`recsys` brings the wrapper):

```python
import numpy as np
from recsys.inference import Forecaster

forecaster = Forecaster("{name}")
history = np.array([[3.0, 5.0, np.nan, 4.0]], dtype=np.float32)  # one series, latest last
start = np.array(["{start}"], dtype="datetime64[s]")  # of the first of these steps
{ahead}forecast = forecaster.forecast(["series 1"], history, start{argument})
forecast[0, :, {median}]  # the point forecast of {horizon} steps
```

Node.js, with `onnxruntime-node`:

```js
import ort from "onnxruntime-node";

const session = await ort.InferenceSession.create("{name}/model.onnx");
const history = Float32Array.from([3, 5, NaN, 4]);
const start = BigInt(Date.parse("{start}Z") / 1000); // the local clock, counted as if UTC
const {{ forecast }} = await session.run({{
  series_id: new ort.Tensor("string", ["series 1"], [1]),
  history: new ort.Tensor("float32", history, [1, 4]),
  start: new ort.Tensor("int64", BigInt64Array.from([start]), [1]),{js_ahead}
}});
```

A whole table of histories (columns series_id, timestamp, y{columns}), and a check that the bundle
answers here as it did where it was exported:

    python -m recsys.inference forecast bundle={name} history=history.csv output=forecasts.csv
    python -m recsys.inference verify {name}
"""
_START = "2024-01-01T00:00:00"


def forecaster_card(name: str, manifest: Mapping[str, Any]) -> str:
    """The model card, as Markdown.

    Args:
        name: of the bundle's folder.
        manifest: what the manifest will hold, apart from the checksums.
    """
    return model_card(
        name,
        manifest,
        _summary(manifest),
        _snippets(name, manifest),
        _reading(manifest),
        _personal_data(manifest),
    )


def _summary(manifest: Mapping[str, Any]) -> str:
    return (
        f"Forecasts {_unit(manifest)}: the model `{manifest.get('model', 'unnamed')}` reads the "
        f"history of a series and gives the quantiles {_listed(manifest['quantiles'])} of the next "
        f"{manifest['horizon']} {manifest['step']}s, raw numbers in and raw numbers out, in one "
        f"ONNX graph. Needs ONNX Runtime {manifest['onnxruntime_min_version']} or newer; exported "
        f"{manifest['created']}."
    )


def _unit(manifest: Mapping[str, Any]) -> str:
    article = "an" if manifest["step"] == "hour" else "a"
    return f"{manifest['unit']} {article} {manifest['step']}"


def _snippets(name: str, manifest: Mapping[str, Any]) -> str:
    names, horizon = manifest["covariate_names"], manifest["horizon"]
    steps, number = 4 + horizon, len(names)
    ahead = argument = js_ahead = ""
    if names:
        ahead = (
            f"# {', '.join(names)} of these steps and of the {horizon} to come; NaN: unknown\n"
            f"covariates = np.full((1, {steps}, {number}), np.nan, dtype=np.float32)\n"
        )
        argument = ", covariates"
        js_ahead = (
            f'\n  covariates: new ort.Tensor("float32", new Float32Array({steps * number})'
            f".fill(NaN), [1, {steps}, {number}]),"
        )
    return _SNIPPETS.format(
        name=name,
        start=_START,
        horizon=horizon,
        median=manifest["quantiles"].index(0.5),
        ahead=ahead,
        argument=argument,
        js_ahead=js_ahead,
        columns="".join(f", {column}" for column in names),
    )


def _reading(manifest: Mapping[str, Any]) -> str:
    """What a step, a missing value and an unknown series are."""
    covariates = manifest["covariate_names"]
    known = (
        f" Covariates, in this order: {', '.join(covariates)}; a forecast is the better the more "
        "of them are known ahead."
        if covariates
        else ""
    )
    day = (
        ", begins on its first day, and any moment in it stands for it"
        if manifest["step"] == "month"
        else ""
    )
    return (
        f"y and forecast are {_unit(manifest)}; a step is one {manifest['step']} by the clock of "
        f"{manifest['timezone']}{day}. The last {manifest['history_length']} steps of a history "
        "make a difference; a shorter one, down to a single value, is served. A series that "
        "training did not see is forecast from its history alone; a step without sales is 0, a "
        f"step that nobody recorded is NaN.{known} The quantile 0.5 is the point forecast."
    )


def _personal_data(manifest: Mapping[str, Any]) -> str:
    return (
        f"`model.onnx` holds the ids of {manifest['num_series']:,} series and what the model "
        "learned of each; `samples.json` holds the ids of up to three of them beside made-up "
        "sales. Nothing else about people is in this bundle: where a series is a person or a small "
        "group of them, its id is personal data."
    )


def _listed(quantiles: list[float]) -> str:
    *others, last = [f"{quantile:g}" for quantile in quantiles]
    return f"{', '.join(others)} and {last}" if others else last
