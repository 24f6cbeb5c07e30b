"""README.md of a bundle: what it is, how to run it, how good it is, what it holds about people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

# Metrics of a part of the test: of one window, of some series.
_PARTS = ("windows/", "slices/", "horizon/")


def model_card(
    name: str,
    manifest: Mapping[str, Any],
    summary: str,
    snippets: str,
    unknown: str,
    personal_data: str,
) -> str:
    """The model card of any task, as Markdown.

    Args:
        name: of the bundle's folder.
        manifest: what the manifest will hold, apart from the checksums.
        summary: what it does, for people.
        snippets: the section on how to run it.
        unknown: what becomes of ids and values that training did not see.
        personal_data: what the bundle holds about people.
    """
    return "\n".join(
        [
            f"# {name}",
            "",
            summary,
            "",
            snippets,
            "## Inputs and outputs",
            "",
            _contract(manifest),
            "",
            unknown,
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
            personal_data,
            "",
        ]
    )


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
    """`baselines/NAME/METRIC` and `parts/NAME/METRIC` belong to a baseline and to a part of the
    model, any other key to the model.
    """
    kind, _, rest = key.partition("/")
    name, _, metric = rest.partition("/")
    if kind == "parts":
        return f"{name} (part)", metric
    return (name, metric) if kind == "baselines" else (model, key)


def _worth_showing(names: set[str]) -> list[str]:
    """The whole test tells enough on a card, and of metrics at several cutoffs those at 10."""
    names = {name for name in names if not name.startswith(_PARTS)}
    if any(name.endswith("@10") for name in names):
        names = {name for name in names if name.endswith("@10") or "@" not in name}
    return sorted(names)


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
