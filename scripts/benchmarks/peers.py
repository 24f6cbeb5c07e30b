"""Ours beside peers: the same data, split and threads, in turn, each side in a process of its
own.
"""

import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from rich.console import Console

from benchmarks.beside_implicit import beside_implicit
from benchmarks.beside_recbole import NeuMFSettings, beside_recbole
from benchmarks.environments import FOLDER, PEERS, chosen, python_of
from benchmarks.prepared import asked_phase, pairs_of, phase_of
from benchmarks.rounds import Setup
from recsys.arguments import setting


@dataclass(frozen=True, kw_only=True)
class PeersArguments:
    """Ours beside RecBole (NeuMF at equal settings: training, full ranking) and beside implicit
    (seconds an epoch, seconds to its best NDCG@10).
    """

    data: Literal["movielens_100k", "movielens_1m", "generated"] = setting(
        "what to fit and ask about, in the folder RECSYS_DATA or generated",
        default="movielens_100k",
    )
    peers: str = setting("comma-separated peers", default=",".join(PEERS))
    rounds: int = setting("times that both sides are measured, in turn", default=3, minimum=1)
    epochs: int = setting("epochs of NeuMF", default=10, minimum=1)
    batch_size: int = setting("pairs a step of NeuMF, half of them bought", default=2048, minimum=2)
    lr: float = setting("learning rate of NeuMF", default=0.001)
    dropout: float = setting(
        "of NeuMF; RecBole drops what a layer reads, ours what it gives", default=0.0
    )
    factors: int = setting("factors beside implicit", default=64, minimum=1)
    threads: int = setting("threads of either side", default=2, minimum=1)
    environments: Path = setting("folder of the peers' environments", default=FOLDER)


def peers(arguments: PeersArguments) -> None:
    """Measures and prints."""
    # before anything is measured
    pythons = {peer: python_of(peer, arguments.environments) for peer in chosen(arguments.peers)}
    split = pairs_of(asked_phase(arguments.data))
    console = Console(highlight=False)
    console.print(
        f"{arguments.data}: {split.num_users:,} users, {split.num_items:,} items,"
        f" {len(split.train_user):,} pairs to fit on, {len(split.test_user):,} to predict;"
        f" {arguments.rounds} rounds with {arguments.threads} threads"
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "split.npz"
        split.save(file)
        for peer, python in pythons.items():
            setup = Setup(
                arguments.data,
                file,
                phase_of(split),
                arguments.rounds,
                arguments.threads,
                python,
                console,
            )
            if peer == "recbole":
                names = [entry.name for entry in fields(NeuMFSettings)]
                settings = NeuMFSettings(**{name: getattr(arguments, name) for name in names})
                beside_recbole(setup, settings)
            else:
                beside_implicit(setup, arguments.factors)
