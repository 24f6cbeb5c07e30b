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
            _metrics(manifest.get("metrics"), manifest.get("model", "model")),
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
        f"Recommends items to customers: the model `{manifest.get('model', 'unnamed')}` scores "
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
    """What the training data was, one fact a line; what is not known is left out."""
    facts = data.items() if isinstance(data, Mapping) else ()
    rows = [(str(key), _plain(value)) for key, value in facts if value not in (None, {}, [], "")]
    return _table(("fact", "value"), rows) if rows else "Not recorded."


def _metrics(metrics: object, model: str) -> str:
    """The model beside its baselines: of the test, or of the validation where there was no test."""
    found = metrics if isinstance(metrics, Mapping) else {}
    for part in ("test/", "val/"):
        columns: dict[str, dict[str, object]] = {model: {}}
        for key, value in found.items():
            if key.startswith(part):
                column, metric = _column(key.removeprefix(part), model)
                columns.setdefault(column, {})[metric] = value
        if names := _worth_showing({name for column in columns.values() for name in column}):
            rows = [
                (f"`{name}`", *(_plain(column.get(name, "")) for column in columns.values()))
                for name in names
            ]
            table = _table((part.removesuffix("/"), *columns), rows)
            return f"{table}\n\nThe others stand in `manifest.json`."
    return "None: the model was not tested."


def _column(key: str, model: str) -> tuple[str, str]:
    """`baselines/NAME/METRIC` belongs to a baseline, any other key to the model."""
    if not key.startswith("baselines/"):
        return model, key
    name, _, metric = key.removeprefix("baselines/").partition("/")
    return name, metric


def _worth_showing(names: set[str]) -> list[str]:
    """One cutoff tells enough on a card: of metrics at several, those at 10."""
    if any(name.endswith("@10") for name in names):
        names = {name for name in names if name.endswith("@10") or "@" not in name}
    return sorted(names)


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
    """A value for people: numbers rounded, null as undefined."""
    match value:
        case None:
            return "undefined"
        case str():
            return value
        case float() if not value.is_integer():
            return f"{value:.4f}"
        case int() | float() if not isinstance(value, bool):
            return f"{value:,.0f}"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
