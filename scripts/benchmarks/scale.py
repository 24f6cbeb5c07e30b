"""How time and memory grow from half a million purchases to fifty million."""

import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.generated import write_transactions
from recsys.arguments import setting
from recsys.data.interactions import PhaseData, index_phase
from recsys.data.sources.transactions import transactions
from recsys.data.splits.global_time import GlobalTime
from recsys.errors import TrainingError
from recsys.evaluation.ranking import evaluate
from recsys.models.recommenders.matrix_factorization import MatrixFactorization
from recsys.training.fit import fit
from recsys.training.losses.bpr import BPR
from recsys.training.settings import FitSettings

COLUMNS = {name: name for name in ("user_id", "item_id", "timestamp", "quantity")}
STAGES = ("data preparation", "one epoch", "evaluation")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class ScaleArguments:
    """Reads, trains (BPR-MF) and judges generated shops of three sizes, each in a process of its
    own.
    """

    rows: int = setting(
        "purchases of the largest; the others are a tenth and a hundredth of it",
        default=50_000_000,
        minimum=100_000,
    )
    rows_a_user: int = setting("purchases a customer", default=50, minimum=1)
    rows_an_item: int = setting("purchases an item", default=500, minimum=1)
    embedding_dim: int = setting("embedding_dim of the model", default=64, minimum=1)
    batch_size: int = setting("positives a batch", default=16_384, minimum=1)
    judged: int = setting("customers who are judged", default=10_000, minimum=1)
    threads: int = setting("threads of torch", default=2, minimum=1)
    folder: Path | None = setting("where generated tables are kept", default=None)
    output: Path | None = setting("JSON file to write", default=None)


def scale(arguments: ScaleArguments) -> None:
    """Measures and prints."""
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for rows in (arguments.rows // 100, arguments.rows // 10, arguments.rows):
            users, items = rows // arguments.rows_a_user, rows // arguments.rows_an_item
            path = folder / f"{rows}-{users}-{items}.parquet"
            if not path.exists():
                _alone(write_transactions, path, rows, users, items, 1)
            found.append(_alone(measure, path, arguments))
            print(json.dumps(found[-1]), file=sys.stderr)
    _print(found, arguments)
    if arguments.output is not None:
        about = {key: str(value) for key, value in asdict(arguments).items()}
        content = {"settings": about, "sizes": found}
        arguments.output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _alone(work: Callable[..., Result], *arguments: Any) -> Result:
    """What `work` returns, from a fresh process: nothing of another size is in its memory."""
    fresh = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, mp_context=fresh) as pool:
            return pool.submit(work, *arguments).result()
    except BrokenProcessPool as error:
        raise TrainingError(
            "the process was ended from outside, most likely for lack of memory; lower rows"
        ) from error


def measure(path: Path, arguments: ScaleArguments) -> dict[str, Any]:
    """Seconds, CPU seconds and the highest memory so far (GB) of every stage on one table."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    found: dict[str, Any] = {}

    def stage(name: str, work: Callable[[], Result]) -> Result:
        start, cpu = time.perf_counter(), time.process_time()
        result = work()
        found[name] = {
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - cpu,
            # kilobytes, on macOS bytes
            "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            / (2**30 if sys.platform == "darwin" else 2**20),
        }
        return result

    data = stage("data preparation", lambda: _prepare(path, arguments.judged))
    sizes = data.vocabulary.num_users, data.vocabulary.num_items
    # the time of batches and updates, not that of random numbers
    model = MatrixFactorization(*sizes, arguments.embedding_dim, dropout=0.0)
    row_wise = stage("one epoch", lambda: _epoch(model, data, arguments))
    judged = stage("evaluation", lambda: evaluate(model, data, views=("new", "all"), ks=(10,)))
    return {
        "rows": data.counts["fit_rows"] + data.counts["truth_rows"],
        "users": data.vocabulary.num_users,
        "items": data.vocabulary.num_items,
        "positives": data.counts["positives"],
        "row_wise": row_wise,
        "new/ndcg@10": judged.metrics["new/ndcg@10"],
        **found,
    }


def _prepare(path: Path, judged: int) -> PhaseData:
    table = transactions(str(path), COLUMNS)
    phase = GlobalTime()(table, seed=1)["test"]
    return index_phase(table, "test", phase, min_buyers=10, max_users=judged)


def _epoch(model: MatrixFactorization, data: PhaseData, arguments: ScaleArguments) -> list[str]:
    """`fit` as users call it, checkpoint included; which tables updated row by row."""
    with tempfile.TemporaryDirectory() as folder:
        settings = FitSettings(
            max_epochs=1,
            seed=1,
            optimizer=partial(torch.optim.AdamW, lr=0.01, weight_decay=0.0),
            trainer=partial(pl.Trainer, accelerator="cpu", enable_progress_bar=False),
        )
        loss = BPR(arguments.batch_size, num_negatives=1)
        objective = loss.objective(model, data.interactions, seed=1)
        fitted = fit(model, objective, settings, Path(folder))
    return list(fitted.row_wise)


def _print(found: list[dict[str, Any]], arguments: ScaleArguments) -> None:
    table = Table(
        title=f"BPR-MF, {arguments.embedding_dim} factors, {arguments.batch_size:,} positives a"
        f" batch, {arguments.judged:,} customers judged, {arguments.threads} threads",
        title_justify="left",
    )
    table.add_column("")
    for size in found:
        table.add_column(f"{size['rows']:,} purchases", justify="right")
    table.add_row("customers x items", *(f"{s['users']:,} x {s['items']:,}" for s in found))
    for stage in STAGES:
        for key, unit in (("seconds", "s"), ("cpu_seconds", "s of CPU"), ("peak_gb", "GB at most")):
            values = [size[stage][key] for size in found]
            growth = ["", *(f" (x {b / a:.1f})" for a, b in zip(values, values[1:], strict=False))]
            cells = (f"{value:.1f}{more}" for value, more in zip(values, growth, strict=True))
            table.add_row(f"{stage}, {unit}", *cells)
    table.add_row("tables updated row by row", *(", ".join(s["row_wise"]) or "-" for s in found))
    Console(width=None if sys.stdout.isatty() else 130).print(table)
