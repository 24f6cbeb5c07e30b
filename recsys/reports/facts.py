"""What a report is written from: a run folder, read once; what is absent is None or empty."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from recsys.reports.labels import METRICS
from recsys.reports.leaderboard import cutoff, leaderboard
from recsys.runs import RunFolder


@dataclass(frozen=True)
class RunFacts:
    """A run as read from its folder.

    Attributes:
        record: run.json.
        config: config.yaml.
        metrics: metrics.json, flat.
        data: data_report.json.
        curves: phase to a table by epoch (from 1) of what was logged while training.
        per_user: user_id, view, num_truth and metric columns.
        purchases: number of purchases fitted on, by user_id.
        examples: customers to show.
    """

    record: dict[str, Any]
    config: dict[str, Any]
    metrics: dict[str, float]
    data: dict[str, Any]
    curves: dict[str, pd.DataFrame]
    per_user: pd.DataFrame | None
    purchases: pd.Series | None
    examples: list[dict[str, Any]]

    @property
    def model(self) -> str:
        """Name of the model that was configured."""
        return str(self.record.get("model", "model"))

    @cached_property
    def ks(self) -> tuple[int, ...]:
        """Cut-offs measured."""
        return tuple(self.config.get("evaluation", {}).get("ks", ()))

    @property
    def k(self) -> int:
        """The cut-off to show."""
        return cutoff(self.ks)

    @cached_property
    def board(self) -> pd.DataFrame:
        """The model and its baselines; columns "new ndcg@10" and so on; empty without a test."""
        return leaderboard(self.metrics, self.model, self.ks, tuple(METRICS))

    @cached_property
    def views(self) -> list[str]:
        """Views of the test in which the model was measured."""
        return list(dict.fromkeys(column.split(" ")[0] for column in self.board.columns))

    def scores(self, view: str, metric: str = "ndcg") -> dict[str, float]:
        """Models and their test values at `k`, best first."""
        column = self.board[f"{view} {metric}@{self.k}"]
        column = column.sort_values(ascending=False, kind="stable")
        return {str(name): float(value) for name, value in column.items()}

    def by_user(self, view: str) -> pd.Series:
        """NDCG of the model's list for every customer asked, by user_id; empty if not kept."""
        column = f"ndcg@{self.k}"
        if self.per_user is None or column not in self.per_user:
            return pd.Series(dtype="float64")
        rows = self.per_user[self.per_user["view"] == view]
        return rows.set_index("user_id")[column].astype("float64").dropna()


def read_facts(run: RunFolder) -> RunFacts:
    """Reads what is there."""
    table = run.path / "per_user.parquet"
    return RunFacts(
        record=run.read_json("run.json", {}),
        config=run.read_config(),
        metrics=run.read_json("metrics.json", {}),
        data=run.read_json("data_report.json", {}),
        curves=read_curves(run),
        per_user=pd.read_parquet(table) if table.is_file() else None,
        purchases=_purchases(run),
        examples=run.read_json("examples.json") or [],
    )


def read_curves(run: RunFolder) -> dict[str, pd.DataFrame]:
    """What the CSV logger wrote: phase to a table by epoch, from 1.

    A resumed training has several attempts; a later one replaces the epochs that it repeats.
    """
    curves = {}
    for phase in ("val", "test", "ship"):
        files = [f for f in (run.path / "logs" / phase).glob("*/metrics.csv") if f.stat().st_size]
        # the tenth attempt comes after the second
        files.sort(key=lambda file: (len(file.parent.name), file.parent.name))
        tables = [table for table in map(pd.read_csv, files) if "epoch" in table]
        if tables:
            # an epoch has several rows, each with some columns: the last value of each counts
            table = pd.concat(tables, ignore_index=True).groupby("epoch").last()
            curves[phase] = table.set_axis(table.index.astype(int) + 1, axis="index")
    return curves


def _purchases(run: RunFolder) -> pd.Series | None:
    if not ((run.path / "history.npz").is_file() and (run.path / "vocabulary.npz").is_file()):
        return None
    lengths = run.read_history().lengths().numpy()
    users = [str(user) for user in run.read_vocabulary().user_ids]
    return pd.Series(lengths, index=users) if len(users) == len(lengths) else None
