"""Our side beside RecBole: NeuMF through `fit_recommender` and `evaluate`."""

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from recsys.training.fit_recommender import fit_recommender
from recsys.training.optimization import Optimization
from recsys.training.ranking_problem import Objective

from benchmarks.prepared import phase_of
from benchmarks.split import PairSplit
from benchmarks.worker import serve
from recsys.data.interactions import PhaseData
from recsys.evaluation.ranking import evaluate
from recsys.models.recommenders.neumf import NeuMF


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
        fitted = fit_recommender(
            model,
            data,
            objective=Objective("bce", request["batch_size"] // 2, num_negatives=1),
            optimization=Optimization(epochs, request["lr"]),
            seed=request["seed"],
            folder=Path(folder),
            trainer_options={"accelerator": "cpu", "enable_progress_bar": False},
        )
    return model, fitted.seconds


if __name__ == "__main__":
    serve(measure)
