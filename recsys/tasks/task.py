"""What a task is: one kind of question that runs answer, from data to report and bundle.

A task is an object in the registry. Everything outside this room works with any task; what differs
between tasks stands in its object.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from recsys.comparison.units import UnitTable
from recsys.config.settings import Settings
from recsys.reports.page import Page
from recsys.runs.folder import RunFolder

if TYPE_CHECKING:
    # Lightning, which only a training loads
    import pytorch_lightning as pl

    from recsys.training.fit import FitResult

Direction = Literal["max", "min"]


class Report(Protocol):
    """What a source says of what it read.

    Attributes:
        fingerprint: of the rows.
        column_fingerprints: table to that of its further columns.
    """

    fingerprint: str
    column_fingerprints: dict[str, str]

    def to_json(self) -> dict[str, object]:
        """Plain values, for data_report.json."""
        ...


class Data(Protocol):
    """What a source gives."""

    report: Report


class Prepared(Protocol):
    """The data of one run, split into phases that are fitted and judged one after the other.

    Attributes:
        phases: names in order; "val" chooses the model where it is there.
        split_fingerprint: changes when any row is fitted or evaluated in another phase.
    """

    phases: Sequence[str]
    split_fingerprint: str

    def fit(
        self, phase: str, *, epochs: int | None, callbacks: "Sequence[pl.Callback]"
    ) -> "tuple[Any, FitResult | None]":
        """Fits a fresh model: for `epochs`, or as long as validation says where that is None.

        Returns:
            The model, and how its training went; None where it was fitted at once.
        """
        ...

    def judge(self, phase: str, model: Any) -> Mapping[str, float]:
        """Metrics of a phase by "val/NAME", "test/NAME"; a phase without truth has none."""
        ...

    def finish(self, model: Any) -> Mapping[str, float]:
        """Writes the files that the task leaves in the run folder, after the last phase.

        Returns:
            Metrics over several phases, and counts of the data ("data/rows").
        """
        ...


@runtime_checkable
class Task(Protocol):
    """One kind of question.

    Attributes:
        name: in run.json and on command lines.
        data: type that its sources give (their return annotation).
        evaluation: type of its evaluation settings.
    """

    name: str
    data: type[Any]
    evaluation: type[Any]

    def check(self, settings: Settings) -> None:
        """Raises ConfigError where settings do not fit each other; nothing has been read yet."""
        ...

    def prepare(
        self, settings: Settings, data: Any, run: RunFolder, metrics: MutableMapping[str, float]
    ) -> Prepared:
        """Splits what a source gave; adds seconds to `metrics`."""
        ...

    def direction(self, metric: str) -> Direction | None:
        """Which end of a metric ("val/new/ndcg@10") is the good one; None: neither.

        Raises:
            ConfigError: the task has no such metric.
        """
        ...

    def print_board(self, metrics: Mapping[str, float], settings: Settings) -> None:
        """Prints the model beside its baselines."""
        ...

    def page(self, run: RunFolder) -> Page:
        """The report of a finished run."""
        ...

    def units(self, run: RunFolder) -> UnitTable:
        """The table by which runs are compared."""
        ...

    def load(self, run: RunFolder) -> Any:
        """The trained model of a finished run, on the CPU and in evaluation mode.

        Raises:
            ConfigError: the model has no weights to load.
        """
        ...

    def export(self, run: RunFolder, folder: Path, *, seen: bool, because: bool = False) -> Path:
        """Writes a bundle of the model of a finished run.

        Args:
            run: finished.
            folder: of the bundle.
            seen: also ship what each user bought; ConfigError where the task has no users.
            because: also ship what tells which purchases carry an answer; likewise.
        """
        ...
