"""Our side beside RecBole: NeuMF through `fit` and `evaluate`."""

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from benchmarks.prepared import phase_of
from benchmarks.split import PairSplit
from benchmarks.worker import serve
from recsys.data.interactions import PhaseData
from recsys.evaluation.ranking import evaluate
from recsys.models.recommenders.neumf import NeuMF
from recsys.training.fit import fit
from recsys.training.losses.bce import BCE
from recsys.training.settings import FitSettings


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Seconds of training, start-up and checkpoints included, and of full-ranking evaluation with
    every metric we have, after an epoch of warming up.
    """
    torch.set_num_threads(request["threads"])
    data = phase_of(PairSplit.load(request["split"]))
    _train(data, request, epochs=1)
    model, train_seconds = _train(data, request, request["epochs"])
    start = time.perf_counter()
    result = evaluate(model, data, views=("new",))
    return {
        "train_seconds": train_seconds,
        "evaluation_seconds": time.perf_counter() - start,
        "ndcg": result.metrics["new/ndcg@10"],
    }


def _train(data: PhaseData, request: dict[str, Any], epochs: int) -> tuple[NeuMF, float]:
    torch.manual_seed(request["seed"])
    model = NeuMF(
        data.vocabulary.num_users,
        data.vocabulary.num_items,
        request["embedding_dim"],
        request["hidden_dims"],
        dropout=request["dropout"],
    )
    with tempfile.TemporaryDirectory() as folder:
        loss, seed = BCE(request["batch_size"] // 2, num_negatives=1), request["seed"]
        settings = FitSettings(
            max_epochs=epochs,
            seed=seed,
            optimizer=partial(torch.optim.AdamW, lr=request["lr"], weight_decay=0.0),
            trainer=partial(pl.Trainer, accelerator="cpu", enable_progress_bar=False),
        )
        objective = loss.objective(model, data.interactions, seed=seed)
        fitted = fit(model, objective, settings, Path(folder))
    return model, fitted.seconds


if __name__ == "__main__":
    serve(measure)
