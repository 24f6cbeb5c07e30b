"""README.md of a bundle: what it is, how to run it, how good it is, what it holds about people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

_SNIPPETS = """\
## Run it

Python, with numpy and onnxruntime alone (`recsys` brings the wrapper):

```python
from recsys.inference import Recommender

recommender = Recommender("{name}")
item_ids, scores = recommender.recommend({call}, k=10)
```

Node.js, with `onnxruntime-node`:

```js
import ort from "onnxruntime-node";

const session = await ort.InferenceSession.create("{name}/model.onnx");
const strings = (values, dims) => new ort.Tensor("string", values, dims);
const {{ item_id, score }} = await session.run({{
  user_id: strings(["{user}"], [1]),
  history: strings({history}),
  exclude: strings([], [1, 0]),
  k: new ort.Tensor("int64", BigInt64Array.from([10n]), [1]),
}});
```

A whole file of users, and a check that the bundle answers here as it did where it was exported:

    python -m recsys.inference recommend bundle={name} users=users.csv output=recommendations.csv
    python -m recsys.inference verify {name}
"""

_FALLBACKS = {
    "popularity": "A user id that was not in the training data gets what most customers bought.",
    "history": (
        "The user id is not read: everyone is served from `history`, new customers included. "
        "A history without a known item gets what most customers bought."
    ),
}


def model_card(name: str, manifest: Mapping[str, Any], holds_seen: bool) -> str:
    """The model card, as Markdown.

    Args:
        name: of the bundle's folder.
        manifest: what the manifest will hold, apart from the checksums.
        holds_seen: whether seen.npz is in the bundle.
    """
    return "\n".join(
        [
            f"# {name}",
            "",
            _summary(manifest),
            "",
            _snippets(name, manifest),
            "## Inputs and outputs",
            "",
            _contract(manifest),
            "",
            _FALLBACKS[manifest["fallback"]],
            "",
            "## Data",
            "",
            _facts(manifest.get("data")),
            "",
            "## Metrics",
            "",
            _metrics(manifest.get("metrics")),
            "",
            "## Personal data",
            "",
            _personal_data(manifest, holds_seen),
            "",
        ]
    )


def _summary(manifest: Mapping[str, Any]) -> str:
    reads = "the items a customer bought" if manifest["reads_history"] else "the customer's id"
    return (
        f"Recommends items to customers: a {manifest.get('model', 'recommender')} that scores "
        f"{manifest['num_items']:,} items from {reads}, in one ONNX graph with strings in and "
        f"strings out. Needs ONNX Runtime {manifest['onnxruntime_min_version']} or newer; "
        f"exported {manifest['created']}."
    )


def _snippets(name: str, manifest: Mapping[str, Any]) -> str:
    if manifest["reads_history"]:
        call, history = '["anyone"], history=[["item 1", "item 2"]]', '["item 1", "item 2"], [1, 2]'
        return _SNIPPETS.format(name=name, call=call, user="anyone", history=history)
    return _SNIPPETS.format(name=name, call='["user 1"]', user="user 1", history="[], [1, 0]")


def _contract(manifest: Mapping[str, Any]) -> str:
    rows = [
        (
            side,
            f"`{value['name']}`",
            f"{value['type']} {value['dims']}".replace("'", ""),
            value["meaning"],
        )
        for side, values in (("in", manifest["inputs"]), ("out", manifest["outputs"]))
        for value in values
    ]
    return _table(("", "name", "type", "meaning"), rows)


def _facts(data: object) -> str:
    """What the training data was, one fact a line."""
    if not isinstance(data, Mapping) or not data:
        return "Not recorded."
    return _table(("fact", "value"), [(str(key), _plain(value)) for key, value in data.items()])


def _metrics(metrics: object) -> str:
    """Metrics of the test, or of the validation where there was no test."""
    if not isinstance(metrics, Mapping):
        return "Not recorded."
    for part in ("test/", "val/"):
        rows = [
            (f"`{key}`", f"{value:.4f}" if isinstance(value, int | float) else "undefined")
            for key, value in sorted(metrics.items())
            if key.startswith(part)
        ]
        if rows:
            return _table(("metric", "value"), rows)
    return "None: the model was trained on everything, for shipping."


def _personal_data(manifest: Mapping[str, Any], holds_seen: bool) -> str:
    customers = f"the ids of {manifest['num_users']:,} customers"
    found = []
    if not manifest["reads_history"]:
        found.append(
            f"- `model.onnx` holds {customers} and what the model learned of each."
            "\n- `samples.json` holds the ids of three of them."
        )
    if holds_seen:
        found.append(f"- `seen.npz` holds {customers} and what each of them bought.")
    if found:
        return "\n".join([*found, "", "Pass it on only to those who may see that."])
    return "None: no customer id and no purchase of a customer is in this bundle."


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
