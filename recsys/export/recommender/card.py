"""The model card of a recommender."""

from collections.abc import Mapping, Sequence
from typing import Any

from recsys.export.model_card import model_card

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
  history: strings({history}),{ages}
  exclude: strings([], [1, 0]),
  allowed: strings([], [1, 0]),
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
    "all_unknown": (
        "Whatever is known of a customer counts: the user id, `history`, attributes and context, "
        "each of which may be missing. Where nothing is known, the answer is what most customers "
        "bought."
    ),
    "none": "The user id is not read: customers with the same inputs get the same items.",
}


def recommender_card(
    name: str, manifest: Mapping[str, Any], holds_seen: bool, item_columns: Sequence[str] = ()
) -> str:
    """The model card, as Markdown.

    Args:
        name: of the bundle's folder.
        manifest: what the manifest will hold, apart from the checksums.
        holds_seen: whether seen.npz is in the bundle.
        item_columns: names of the columns in item_columns.npz.
    """
    return model_card(
        name,
        manifest,
        _summary(manifest),
        _snippets(name, manifest)
        + _reasons(manifest)
        + _rules(item_columns)
        + _new_items(name, manifest),
        _FALLBACKS[manifest["fallback"]],
        _personal_data(manifest, holds_seen),
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
    if not manifest["reads_history"]:
        call, history = '["user 1"]', "[], [1, 0]"
        return _SNIPPETS.format(name=name, call=call, user="user 1", history=history, ages="")
    call, history = '["anyone"], history=[["item 1", "item 2"]]', '["item 1", "item 2"], [1, 2]'
    ages = ""
    if manifest["reads_age"]:
        call += ", history_age=[[30, 2]]"
        numbers = 'new ort.Tensor("float32", Float32Array.from([30, 2]), [1, 2])'
        ages = f"\n  history_age: {numbers}, // days since each purchase"
    return _SNIPPETS.format(name=name, call=call, user="anyone", history=history, ages=ages)


def _reasons(manifest: Mapping[str, Any]) -> str:
    """How to ask which purchases carry a recommendation, where the bundle tells."""
    found = manifest.get("because")
    if found is None:
        return ""
    kind = found["kind"].replace("_", " ")
    return (
        "\nWhich purchases carry a recommendation, from `because.onnx` "
        f"({kind}; `contribution` over the history, plus `rest`, is the score; the rest is "
        f"{found['rest']}):\n\n"
        "```python\n"
        "reasons = recommender.reasons(users, item_ids, history=…)  # .because, .share, …\n"
        'reasons.sentences()  # "because you bought … (62 %), … (21 %)"\n'
        "```\n"
    )


def _rules(item_columns: Sequence[str]) -> str:
    """What rules of the shop can read of the items."""
    if not item_columns:
        return ""
    names = ", ".join(f"`{name}`" for name in item_columns)
    return (
        "\nRules of the shop (`from recsys.inference import Rules`) read these columns of the"
        f" items, which `item_columns.npz` holds: {names}.\n"
    )


def _new_items(name: str, manifest: Mapping[str, Any]) -> str:
    """How the catalogue gets items that came after training, where it can."""
    found = manifest.get("new_items")
    if found is None:
        return ""
    names = dict.fromkeys(f"`{each['column']}`" for each in found["columns"])
    return (
        "\nItems that came after training are placed by what they are, from `item_tower.onnx`, with"
        f" `item_id` and {', '.join(names)}:\n\n"
        f"```sh\nrecsys add bundle={name} items=new-items.csv output={name}-larger\n```\n"
    )


def _personal_data(manifest: Mapping[str, Any], holds_seen: bool) -> str:
    customers = f"the ids of {manifest['num_users']:,} customers"
    found = []
    if not manifest["reads_history"] or manifest["fallback"] == "all_unknown":
        graphs = "`model.onnx` holds"
        if "because" in manifest:
            graphs = "`model.onnx` and `because.onnx` hold"
        found.append(
            f"- {graphs} {customers} and what the model learned of each."
            "\n- `samples.json` holds the ids of three of them."
        )
    if manifest.get("holds_purchases"):
        found.append(
            f"- `model.onnx` holds how often each of up to {manifest['num_users']:,} customers"
            " bought what, without their ids: answers are made of what similar customers bought."
        )
    if holds_seen:
        found.append(f"- `seen.npz` holds {customers} and what each of them bought.")
    if found:
        return "\n".join([*found, "", "Pass it on only to those who may see that."])
    return "None: no customer id and no purchase of a customer is in this bundle."
