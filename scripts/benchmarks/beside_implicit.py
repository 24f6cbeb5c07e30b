"""implicit's models and ours with as many factors: seconds of training to a quality."""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

from benchmarks.quality import ndcg_by_epoch
from benchmarks.ratios import ratios, reached, spread
from benchmarks.rounds import Setup, Side, run

POINTS_OF_A_CURVE = 8
BEST = "seconds an epoch", "best NDCG@10", "seconds to it", "peak MB"


@dataclass(frozen=True, eq=False)
class Contender:
    """A model of either side.

    Attributes:
        name: for people.
        model: what the worker calls it.
        epochs: to train; the best of them counts.
        settings: beside the number of factors.
        is_peer: implicit's, else ours.
    """

    name: str
    model: str
    epochs: int
    settings: dict[str, Any] = field(default_factory=dict)
    is_peer: bool = False


def contenders(data: str) -> tuple[Contender, ...]:
    """Who is measured on these data, the peer's first; what is tuned was chosen on validation, that
    of MovieLens-1M for either MovieLens.
    """
    if data == "generated":
        # alternating least squares alone: its catalogue is long for what samples or ranks all of it
        return (
            Contender("implicit ALS, its defaults", "als", 8, is_peer=True),
            Contender(
                "implicit ALS, tuned", "als", 8, {"alpha": 8.0, "regularization": 100.0}, True
            ),
            Contender("recsys iALS, its defaults", "ials", 4),
            Contender("recsys iALS, tuned", "ials", 6, {"regularization": 0.04}),
        )
    return (
        Contender("implicit ALS, its defaults", "als", 15, is_peer=True),
        Contender("implicit ALS, tuned", "als", 15, {"alpha": 2.0, "regularization": 30.0}, True),
        Contender("implicit BPR, its defaults", "bpr", 100, is_peer=True),
        Contender("recsys iALS, its defaults", "ials", 4),
        Contender(
            "recsys iALS, tuned", "ials", 10, {"regularization": 0.004, "unobserved_weight": 0.6}
        ),
        Contender(
            "recsys matrix factorisation, full softmax",
            "mf",
            30,
            {"dropout": 0.5, "batch_size": 256, "lr": 0.02, "weight_decay": 0.3},
        ),
    )


class Curve(NamedTuple):
    """Quality over time of one training.

    Attributes:
        seconds: of training until the end of each epoch.
        ndcg: NDCG@10 there.
        peak_mb: of the process.
    """

    seconds: Sequence[float]
    ndcg: Sequence[float]
    peak_mb: float

    @property
    def best(self) -> float:
        """The highest NDCG@10."""
        return max(self.ndcg)

    @property
    def an_epoch(self) -> float:
        """Seconds of one epoch; what a model does before its first is left out."""
        later = len(self.seconds) - 1
        return (self.seconds[-1] - self.seconds[0]) / later if later else self.seconds[0]

    def seconds_to(self, target: float) -> float:
        """Seconds until it was that good, infinite where it never was."""
        return reached(self.seconds, self.ndcg, target)


def beside_implicit(setup: Setup, factors: int) -> None:
    """Measures and prints."""
    curves: dict[Contender, list[Curve]] = {each: [] for each in contenders(setup.title)}
    for number in range(1, setup.rounds + 1):
        for contender, measured in curves.items():
            setup.console.print(f"round {number} of {setup.rounds}: {contender.name}")
            measured.append(_curve(setup, contender, factors, number))
    title = f"{setup.title}, {factors} factors, {setup.rounds} rounds"
    theirs = {c.name: measured for c, measured in curves.items() if c.is_peer}
    ours = {c.name: measured for c, measured in curves.items() if not c.is_peer}
    for table in (
        best_table(title, theirs | ours),
        time_table(title, theirs, ours),
        curve_table(title, theirs | ours),
    ):
        setup.console.print(table)


def _curve(setup: Setup, contender: Contender, factors: int, seed: int) -> Curve:
    side = (
        # what implicit itself asks for: its own threads and those of BLAS hinder each other
        Side("implicit", setup.peer_python, "implicit_peer", {"OPENBLAS_NUM_THREADS": "1"})
        if contender.is_peer
        else Side("recsys", Path(sys.executable), "implicit_ours")
    )
    with tempfile.TemporaryDirectory() as folder:
        request = {
            "split": str(setup.split),
            "model": contender.model,
            "settings": contender.settings,
            "embedding_dim": factors,
            "epochs": contender.epochs,
            "seed": seed,
            "factors": folder,
        }
        result = run(side, request, setup.threads)
        seconds = result["seconds"]
        quality = list(ndcg_by_epoch(Path(folder), len(seconds), setup.phase))
    return Curve(seconds, quality, result["peak_mb"])


def best_table(title: str, curves: dict[str, list[Curve]]) -> Table:
    """The best of each model and what it took, with the spread of the rounds."""
    table = _table(f"{title}: the best of each", *BEST)
    for name, rounds in curves.items():
        table.add_row(
            name,
            spread([curve.an_epoch for curve in rounds]).text(3),
            spread([curve.best for curve in rounds]).text(4),
            spread([curve.seconds_to(curve.best) for curve in rounds]).text(2),
            spread([curve.peak_mb for curve in rounds]).text(0),
        )
    return table


def time_table(title: str, theirs: dict[str, list[Curve]], ours: dict[str, list[Curve]]) -> Table:
    """Seconds that ours take to the best of each of theirs in the same round, over the seconds
    that it took itself.
    """
    table = _table(f"{title}: to the best NDCG@10 of …", "its seconds", *ours)
    for name, rounds in theirs.items():
        own = [curve.seconds_to(curve.best) for curve in rounds]
        cells = []
        for measured in ours.values():
            seconds = [
                mine.seconds_to(curve.best) for mine, curve in zip(measured, rounds, strict=True)
            ]
            cells.append(f"{spread(seconds).text(2)}\nratio {spread(ratios(seconds, own)).text(2)}")
        table.add_row(name, spread(own).text(2), *cells)
    return table


def curve_table(title: str, curves: dict[str, list[Curve]]) -> Table:
    """NDCG@10 by seconds of training in the last round."""
    columns = ("", *("" for _ in range(POINTS_OF_A_CURVE - 1)))
    table = _table(f"{title}: NDCG@10 by seconds of training, last round", *columns)
    for name, rounds in curves.items():
        curve = rounds[-1]
        table.add_row(
            name, *(f"{curve.seconds[p]:.2f} s\n{curve.ndcg[p]:.4f}" for p in points(curve))
        )
    return table


def points(curve: Curve) -> list[int]:
    """A few epochs, at first densely: the first, the last, and equal ratios between."""
    last = len(curve.seconds)
    steps = range(POINTS_OF_A_CURVE)
    return sorted({round(last ** (step / (POINTS_OF_A_CURVE - 1))) - 1 for step in steps})


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table
