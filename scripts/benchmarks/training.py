"""One NeuMF epoch through Lightning against the same steps in a bare torch loop, alternating."""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.table import Table

from recsys.arguments import setting
from recsys.data.ids import Vocabulary
from recsys.data.interactions import Interactions, PhaseData
from recsys.data.ragged import Ragged
from recsys.data.shards import Shard
from recsys.models.recommender import Query
from recsys.models.recommenders.neumf import NeuMF
from recsys.training.fit import fit
from recsys.training.losses.bce import BCE, bce
from recsys.training.settings import FitSettings


@dataclass(frozen=True, kw_only=True)
class TrainingArguments:
    """Throughput of NeuMF (BCE) on generated purchases, in scored pairs a second."""

    users: int = setting("users", default=6040, minimum=2)
    items: int = setting("items", default=3706, minimum=2)
    purchases: int = setting("purchases", default=1_000_000, minimum=1)
    batch_size: int = setting("positives a batch", default=4096, minimum=1)
    negatives: int = setting("negatives a positive", default=4, minimum=1)
    embedding_dim: int = setting(
        "embedding_dim of NeuMF (hidden_dims are 32, 16)", default=32, minimum=1
    )
    rounds: int = setting("times that both are measured, in turn", default=5, minimum=1)
    threads: int = setting("threads of torch", default=2, minimum=1)


def training(arguments: TrainingArguments) -> None:
    """Measures and prints."""
    torch.set_num_threads(arguments.threads)
    data = _generated(arguments)
    pairs = len(data.interactions.distinct.values) * (1 + arguments.negatives)
    loss = BCE(arguments.batch_size, arguments.negatives)
    runs: dict[str, Callable[[NeuMF], float]] = {
        "bare torch loop": lambda model: _bare_epoch(model, data, loss),
        "recsys through Lightning": lambda model: _lightning_epoch(model, data, loss),
    }
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(arguments.rounds + 1):
        for name, run in runs.items():
            torch.manual_seed(1)
            model = NeuMF(arguments.users, arguments.items, arguments.embedding_dim, (32, 16))
            seconds = run(model)
            if round_number:  # the first round warms up
                rates[name].append(pairs / seconds)
    _print(rates, pairs)


def _generated(arguments: TrainingArguments) -> PhaseData:
    """Purchases whose items follow a power law, as in shops."""
    generator = np.random.default_rng(1)
    weight = 1.0 / np.arange(1, arguments.items + 1) ** 0.8
    item = generator.choice(arguments.items, size=arguments.purchases, p=weight / weight.sum())
    user = np.sort(generator.integers(arguments.users, size=arguments.purchases))
    history = Ragged.from_sorted(user, item, arguments.users)
    users, items = (
        np.arange(size).astype(str).astype(object) for size in (arguments.users, arguments.items)
    )
    nothing = Ragged.from_sorted(user[:0], item[:0], arguments.users)
    return PhaseData(
        "full_data",
        Vocabulary(users, items),
        Interactions(history, arguments.items),
        nothing,
        None,
        {},
    )


def _bare_epoch(model: NeuMF, data: PhaseData, settings: BCE) -> float:
    """The same batches, model, loss and optimizer without a framework; the seconds of one epoch."""
    objective = settings.objective(model, data.interactions, seed=1)
    batches = objective.batches(torch.device("cpu"), lambda: 0, Shard())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.001, fused=True)
    model.train()
    start = time.perf_counter()
    for batch in batches:
        optimizer.zero_grad()
        loss = bce(model(Query(batch.user, batch.user.new_zeros(len(batch.user), 0)), batch.items))
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def _lightning_epoch(model: NeuMF, data: PhaseData, loss: BCE) -> float:
    """`fit` as users call it, start-up and checkpoint included; seconds of an epoch."""
    with tempfile.TemporaryDirectory() as folder:
        settings = FitSettings(
            max_epochs=1,
            seed=1,
            optimizer=partial(torch.optim.AdamW, lr=0.001, weight_decay=0.0),
            trainer=partial(pl.Trainer, accelerator="cpu"),
        )
        objective = loss.objective(model, data.interactions, seed=1)
        fitted = fit(model, objective, settings, Path(folder))
    return fitted.seconds


def _print(rates: dict[str, list[float]], pairs: int) -> None:
    bare, own = rates.values()
    table = Table(title=f"training, {pairs:,} scored pairs an epoch", title_justify="left")
    for column in ("", "median", "lowest", "highest"):
        table.add_column(column, justify="left" if not column else "right")
    for name, values in rates.items():
        figures = (statistics.median(values), min(values), max(values))
        table.add_row(f"{name}, M pairs/s", *(f"{figure / 1e6:.2f}" for figure in figures))
    ratios = [mine / theirs for mine, theirs in zip(own, bare, strict=True)]
    table.add_row(
        "ratio",
        *(f"{figure:.2f}" for figure in (statistics.median(ratios), min(ratios), max(ratios))),
    )
    Console().print(table)
