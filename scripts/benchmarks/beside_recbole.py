"""NeuMF of RecBole and ours at equal settings."""

import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality import Scores, ndcg
from benchmarks.ratios import RatioRow, ratio_table
from benchmarks.rounds import Setup, Side, run

EMBEDDING_DIM = 64
HIDDEN_DIMS = (128, 64)


@dataclass(frozen=True)
class NeuMFSettings:
    """How both sides train; nothing of it differs between them.

    Attributes:
        epochs: of training.
        batch_size: pairs a step, half of them bought and half drawn.
        lr: of Adam, constant, without decay.
        dropout: of the layers.
    """

    epochs: int
    batch_size: int
    lr: float
    dropout: float

    def text(self) -> str:
        """What is equal, and what is not, for people."""
        layers = "-".join(str(width) for width in HIDDEN_DIMS)
        return (
            f"Equal on both sides: NeuMF with {EMBEDDING_DIM} factors and layers of {layers},"
            f" embeddings drawn with a deviation of .01; {self.epochs} epochs of"
            f" {self.batch_size:,} pairs a step, a uniform negative for each purchase; binary"
            f" cross-entropy; Adam at {self.lr:g}, no decay, no schedule; dropout {self.dropout:g};"
            " items bought before are not ranked; a checkpoint an epoch, no validation.\nEach side"
            " its own: how layers begin, the order of purchases, how the loader and the evaluation"
            " work. Evaluation: every metric of ours, NDCG@10 alone of RecBole's."
        )


def beside_recbole(setup: Setup, settings: NeuMFSettings) -> None:
    """Measures and prints."""
    # torch.load of RecBole's time read any pickle
    old_load = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    sides = (
        Side("recsys", Path(sys.executable), "recbole_ours"),
        Side("RecBole", setup.peer_python, "recbole_peer", old_load),
    )
    found: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    with tempfile.TemporaryDirectory() as folder:
        scores = Path(folder) / "scores.npy"
        for number in range(1, setup.rounds + 1):
            for side, results in zip(sides, found, strict=True):
                setup.console.print(f"round {number} of {setup.rounds}: {side.name}")
                request = asdict(settings) | {
                    "embedding_dim": EMBEDDING_DIM,
                    "hidden_dims": HIDDEN_DIMS,
                    "split": str(setup.split),
                    "seed": number,
                }
                # the same conventions? looked at once
                request["scores"] = str(scores) if number == 1 else None
                results.append(run(side, request, setup.threads))
        by_ours = ndcg(Scores(np.load(scores)), setup.phase)
    samples = 2 * len(setup.phase.interactions.distinct.values) * settings.epochs
    users = int((setup.phase.truth.lengths() > 0).sum())
    title = f"{setup.title}, NeuMF, {setup.rounds} rounds"
    rows = rows_beside_recbole(*found, samples, users)
    setup.console.print(ratio_table(title, ("recsys", "RecBole"), rows))
    setup.console.print(settings.text())
    setup.console.print(
        f"NDCG@10 of RecBole's scores in round 1: {found[1][0]['ndcg']:.5f} by its evaluator,"
        f" {by_ours:.5f} by ours"
    )


def rows_beside_recbole(
    ours: list[dict[str, Any]], theirs: list[dict[str, Any]], samples: int, users: int
) -> list[RatioRow]:
    """From what the workers answered, a result a round; samples were trained, users asked."""

    def rates(side: list[dict[str, Any]], count: int, key: str) -> list[float]:
        return [count / result[key] for result in side]

    def values(side: list[dict[str, Any]], key: str) -> list[float]:
        return [result[key] for result in side]

    trained, asked = (samples, "train_seconds"), (users, "evaluation_seconds")
    return [
        RatioRow("training, samples/s", rates(ours, *trained), rates(theirs, *trained)),
        RatioRow("full ranking, users/s", rates(ours, *asked), rates(theirs, *asked)),
        RatioRow("NDCG@10", values(ours, "ndcg"), values(theirs, "ndcg"), digits=4),
        RatioRow("peak memory, MB", values(ours, "peak_mb"), values(theirs, "peak_mb")),
    ]
