"""What a report is written from: a run folder, read once; what is absent is None or empty."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pandas as pd

from recsys.reports.intervals import mean_interval
from recsys.reports.labels import METRICS, per_step
from recsys.reports.leaderboard import (
    cutoff,
    forecast_leaderboard,
    leaderboard,
    shown_coverage,
    tested,
)
from recsys.runs.folder import RunFolder
from recsys.runs.record import RunRecord
from recsys.stored_files import readable

if TYPE_CHECKING:
    # torchmetrics, which nobody needs who only reads a run
    from recsys.evaluation.cold_users import GainOfAttributes
    from recsys.evaluation.examples import CustomerExample
    from recsys.evaluation.forecast_examples import SeriesExample

# metrics of what a model decided itself: the argument follows
CHOSEN = "train/chosen/"


@dataclass(frozen=True)
class RunFacts:
    """What the run of any model holds.

    Attributes:
        record: run.json; its defaults where the file is missing.
        config: config.yaml.
        metrics: metrics.json, flat.
        data: data_report.json.
        curves: phase to a table by epoch (from 1) of what was logged while training.
    """

    record: RunRecord
    config: dict[str, Any]
    metrics: dict[str, float]
    data: dict[str, Any]
    curves: dict[str, pd.DataFrame]

    # which end of the monitored metric is the good one; None where the task does not say
    direction: ClassVar[Literal["max", "min"] | None] = None

    @property
    def model(self) -> str:
        """Name of the model that was configured."""
        return self.record.model


@dataclass(frozen=True)
class RankingFacts(RunFacts):
    """The run of a recommender.

    Attributes:
        per_user: user_id, view, num_truth and metric columns.
        purchases: number of purchases fitted on, by user_id.
        examples: customers to show.
        tradeoff: k and points of NDCG against diversity; empty where items have no attributes.
        blend: of a model that is made of others, its parts and their weights; empty else.
        cold_users: what attributes are worth for customers whom nothing else is known of; None
            where these were not evaluated.
        exposure: column, k and, by view, the share of each supplier in purchases and in exposure;
            empty where it was not asked for.
    """

    per_user: pd.DataFrame | None
    purchases: pd.Series | None
    examples: "list[CustomerExample]"
    tradeoff: dict[str, Any] = field(default_factory=dict)
    blend: dict[str, Any] = field(default_factory=dict)
    cold_users: "GainOfAttributes | None" = None
    exposure: dict[str, Any] = field(default_factory=dict)
    direction = "max"

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
        """NDCG of the model's list for every customer evaluated, by user_id; empty if not kept."""
        column = f"ndcg@{self.k}"
        if self.per_user is None or column not in self.per_user:
            return pd.Series(dtype="float64")
        rows = self.per_user[self.per_user["view"] == view]
        return rows.set_index("user_id")[column].astype("float64").dropna()

    def interval(self, view: str) -> tuple[float, float] | None:
        """95 % interval of the model's NDCG over customers; None where it is undefined."""
        return mean_interval(self.by_user(view))


@dataclass(frozen=True)
class ForecastFacts(RunFacts):
    """The run of a forecaster.

    Attributes:
        per_series: series_id, window, num_steps, sum_y, flags of slices and metric columns.
        by_horizon: model or baseline to metric to a value a step of the horizon.
        window_starts: window to the first step forecast, local time; without windows that begin
            at another time for another series.
        examples: series to show.
    """

    per_series: pd.DataFrame | None
    by_horizon: dict[str, dict[str, list[float]]]
    window_starts: dict[int, pd.Timestamp]
    examples: "list[SeriesExample]"
    direction = "min"

    @cached_property
    def board(self) -> pd.DataFrame:
        """The model and its baselines, a column a metric; empty without a test."""
        return forecast_leaderboard(self.metrics, self.model)

    @cached_property
    def coverage(self) -> str | None:
        """The metric of the interval to show: "coverage_80"."""
        return next(iter(shown_coverage(self.metrics)), None)

    @cached_property
    def windows(self) -> list[int]:
        """Windows of the test, in order; one, where they are not told apart."""
        prefix, found = "test/windows/", set()
        for key in self.metrics:
            number = key.removeprefix(prefix).partition("/")[0]
            if key.startswith(prefix) and number.isdigit():
                found.add(int(number))
        if not found and self.per_series is not None:
            found = set(self.per_series["window"].unique().tolist())
        return sorted(found) or ([] if self.board.empty else [1])

    @property
    def step(self) -> str:
        """hour, day, week or month; "step" where nothing says so."""
        shown = next((example.get("step") for example in self.examples), None)
        return str(self.data.get("step") or shown or "step")

    @property
    def horizon(self) -> int:
        """Steps forecast; 0 where nothing says so."""
        lengths = [len(values) for curves in self.by_horizon.values() for values in curves.values()]
        lengths += [len(example.get("actual") or ()) for example in self.examples]
        return max(lengths, default=0)

    @property
    def unit(self) -> str:
        """Unit and step of what is forecast: units sold a day."""
        return per_step(self.config.get("data", {}).get("measure"), self.step)

    @property
    def num_series(self) -> int:
        """Series judged; 0 where nothing says so."""
        if self.per_series is None:
            return int(self.metrics.get("test/series", 0))
        return int(self.per_series["series_id"].nunique())

    @cached_property
    def _by_key(self) -> dict[str, dict[str, float]]:
        """Key of a test metric ("windows/1/wape") to model or baseline to value."""
        found: dict[str, dict[str, float]] = {}
        for name, key, value in tested(self.metrics, self.model):
            found.setdefault(key, {})[name] = value
        return found

    def scores(self, metric: str, part: str = "") -> dict[str, float]:
        """Models and their test values, lowest first, NaN last.

        Args:
            metric: its name.
            part: "windows/1/" or "slices/new/" for a part of the test; "" for all of it.
        """
        found = self._by_key.get(part + metric, {})
        values = {name: float(value) for name, value in found.items()}
        return dict(sorted(values.items(), key=lambda each: (math.isnan(each[1]), each[1])))

    def baselines(self, metric: str, part: str = "") -> dict[str, float]:
        """As `scores`, what is defined of the baselines."""
        values = self.scores(metric, part)
        return {k: v for k, v in values.items() if k != self.model and math.isfinite(v)}

    @cached_property
    def by_series(self) -> pd.DataFrame:
        """wape, mase, sales a step and in all, by series_id over all its windows."""
        table = self.per_series
        if table is None or not {"mae", "num_steps", "sum_y"} <= set(table):
            return pd.DataFrame(columns=["wape", "mase", "sales"], dtype="float64")
        sums = pd.DataFrame(
            {
                "series_id": table["series_id"],
                "absolute": table["mae"] * table["num_steps"],
                "sales": table["sum_y"],
                "steps": table["num_steps"],
                "mase": table.get("mase", math.nan),
            }
        ).groupby("series_id", sort=False)
        found = sums[["absolute", "sales", "steps"]].sum()
        sales, steps = found["sales"], found["steps"]
        return pd.DataFrame(
            {
                "wape": (found["absolute"] / sales).where(sales > 0),
                "mase": sums["mase"].mean(),
                "sales": (sales / steps).where(steps > 0),
            }
        )


def read_run_facts(run: RunFolder) -> RunFacts:
    """What the run of any task holds."""
    return RunFacts(**_shared(run))


def read_ranking_facts(run: RunFolder) -> RankingFacts:
    """What the run of a recommender holds."""
    return RankingFacts(
        **_shared(run),
        per_user=_table(run, "per_user.parquet"),
        purchases=_purchases(run),
        examples=run.read_json("examples.json") or [],
        tradeoff=run.read_json("tradeoff.json") or {},
        blend=run.read_json("blend.json", {}),
        cold_users=run.read_json("cold_users.json") or None,
        exposure=run.read_json("exposure.json") or {},
    )


def read_forecast_facts(run: RunFolder) -> ForecastFacts:
    """What the run of a forecaster holds."""
    return ForecastFacts(
        **_shared(run),
        per_series=_table(run, "per_series.parquet"),
        by_horizon=run.read_json("horizon.json") or {},
        window_starts=_window_starts(run),
        examples=run.read_json("examples.json") or [],
    )


def _shared(run: RunFolder) -> dict[str, Any]:
    """Fields of `RunFacts`."""
    return {
        "record": RunRecord.read(run) or RunRecord(),
        "config": run.read_config(),
        "metrics": run.read_json("metrics.json", {}),
        "data": run.read_json("data_report.json", {}),
        "curves": read_curves(run),
    }


def _table(run: RunFolder, name: str) -> pd.DataFrame | None:
    file = run.path / name
    if not file.is_file():
        return None
    with readable(file):
        return pd.read_parquet(file)


def read_curves(run: RunFolder) -> dict[str, pd.DataFrame]:
    """What the CSV logger wrote: phase to a table by epoch, from 1.

    A resumed training has several attempts; a later one replaces the epochs that it repeats.
    """
    curves = {}
    for phase in _logged_phases(run):
        files = [f for f in (run.path / "logs" / phase).glob("*/metrics.csv") if f.stat().st_size]
        # the tenth attempt comes after the second
        files.sort(key=lambda file: (len(file.parent.name), file.parent.name))
        tables = [table for table in map(_read_curve, files) if "epoch" in table]
        if tables:
            # an epoch has several rows, each with some columns: the last value of each counts
            table = pd.concat(tables, ignore_index=True).groupby("epoch").last()
            curves[phase] = table.set_axis(table.index.astype(int) + 1, axis="index")
    return curves


def _read_curve(file: Path) -> pd.DataFrame:
    with readable(file):
        return pd.read_csv(file)


def _logged_phases(run: RunFolder) -> list[str]:
    """val, known, test or test-1, test-2 …, full_data: in the order of training."""
    logs = run.path / "logs"
    found = [folder.name for folder in logs.iterdir()] if logs.is_dir() else []
    tests = [name for name in found if name.startswith("test-")]
    tests.sort(key=lambda name: (len(name), name))
    return ["val", "known", "test", *tests, "full_data"]


def _window_starts(run: RunFolder) -> dict[int, pd.Timestamp]:
    file = run.path / "forecasts.parquet"
    if not file.is_file():
        return {}
    with readable(file):
        table = pd.read_parquet(file, columns=["series_id", "window", "timestamp"])
    starts = table.groupby(["window", "series_id"], sort=False, observed=True)["timestamp"].min()
    by_window = starts.groupby("window").agg(["min", "nunique"])
    same = by_window.loc[by_window["nunique"] == 1, "min"]
    return dict(zip(same.index.astype(int).tolist(), same, strict=True))


def _purchases(run: RunFolder) -> pd.Series | None:
    if not ((run.path / "history.npz").is_file() and (run.path / "vocabulary.npz").is_file()):
        return None
    lengths = run.read_history().lengths().numpy()
    users = [str(user) for user in run.read_vocabulary().user_ids]
    return pd.Series(lengths, index=users) if len(users) == len(lengths) else None
