"""Training from Python, with the settings of the command line.

import recsys

run = recsys.train(frame, user_id="customer", item_id="product", timestamp="ordered_at")
run.metrics, run.report, run.export("exported/my-shop")
run = recsys.train("experiment=complete_journey_best", "seed=2")
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from recsys.errors import ConfigError
from recsys.runs.folder import RunFolder

# roles of columns that `train` takes by name
ROLES = (
    "user_id",
    "item_id",
    "timestamp",
    "quantity",
    "price",
    "rating",
    "basket_id",
    "event_type",
    "name",
    "series_id",
    "y",
)
# what `data.path` says of a table that was given as an object
IN_MEMORY = "a table in memory"
_BARE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./@-]*")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: where everything lies that it left.
    """

    folder: Path

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Metrics by name, such as "test/new/ndcg@10"."""
        return dict(RunFolder(self.folder).read_json("metrics.json"))

    @property
    def report(self) -> Path:
        """report.html, one self-contained page."""
        return self.folder / "report.html"

    def export(self, path: str | Path, seen: bool = False, because: bool = False) -> Path:
        """Writes a bundle.

        Args:
            path: folder of the bundle; its last part is the bundle's name.
            seen: also ship what each user bought (personal data), so that it can be excluded.
            because: also ship a graph that tells which purchases carry a recommendation.

        Raises:
            ExportError: the model has no graph, or one that disagrees with torch, or no reasons.
        """
        from recsys.tasks.lifecycle import export_run

        return export_run(self.folder, Path(path), seen, because)

    def load(self) -> Any:
        """The trained model, an `nn.Module` on the CPU in evaluation mode."""
        from recsys.tasks.lifecycle import load_run

        return load_run(self.folder)[0]


def train(
    *arguments: Any,
    folder: str | Path | None = None,
    config_dir: str | None = None,
    **settings: Any,
) -> Run:
    """Trains a model, as `recsys train` does.

    Args:
        arguments: overrides such as "model=gmf", and at most one table: a DataFrame, an Arrow
            table, or a path.
        folder: of the run; None: runs/DATA/MODEL/TIME.
        config_dir: a folder with groups and experiments of your own.
        settings: columns of the table by role (`user_id="customer"`), choices (`model="gmf"`),
            settings of a section (`train={"max_epochs": 3}` is train.max_epochs=3) and, for sales,
            `series=["store"]` and `step="week"`. Anything else is an override in `arguments`.

    Returns:
        The finished run.

    Raises:
        UserError: with one sentence of what was found and what to do.
    """
    from recsys.config.composition import compose
    from recsys.tasks.lifecycle import new_run_folder, run_training

    tables = [each for each in arguments if not (isinstance(each, str) and "=" in each)]
    if len(tables) > 1:
        raise ConfigError(f"recsys.train takes one table, and {len(tables)} were given")
    in_memory = tables[0] if tables and not isinstance(tables[0], str | Path) else None
    overrides = list(_table_overrides(tables, settings))
    overrides += [each for each in arguments if isinstance(each, str) and "=" in each]
    composed = compose(overrides, config_dir)
    path = new_run_folder(composed) if folder is None else Path(folder)
    return Run(run_training(composed, path, data=in_memory))


def _table_overrides(tables: list[Any], given: Mapping[str, object]) -> Iterator[str]:
    """Keyword arguments as overrides; groups first, as their settings need them."""
    settings = dict(given)
    columns = {role: settings.pop(role) for role in ROLES if role in settings}
    sales = {key: settings.pop(key) for key in ("series", "step", "measure") if key in settings}
    if tables and not isinstance(settings.get("data"), str):
        source = "transactions"
        if sales:
            source = "sales" if "y" in columns or "series_id" in columns else "transactions_sales"
        yield f"data={source}"
    for key, value in settings.items():
        if isinstance(value, str):
            yield _override(key, value)
    if tables:
        path = tables[0] if isinstance(tables[0], str | Path) else IN_MEMORY
        yield _override("data.path", str(path))
    nested = {key: value for key, value in settings.items() if not isinstance(value, str)}
    for key, value in [
        *((f"data.columns.{role}", name) for role, name in columns.items()),
        *((f"data.{key}", value) for key, value in sales.items()),
        *_flat(nested),
    ]:
        yield _override(key, value)


def _flat(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _override(key: str, value: Any) -> str:
    """KEY=VALUE in the grammar of command lines."""
    if isinstance(value, str) and _BARE.fullmatch(value):
        return f"{key}={value}"
    return f"{key}={json.dumps(value, ensure_ascii=False)}"
