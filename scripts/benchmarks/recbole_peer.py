"""RecBole's NeuMF as its users run it: its loaders, its trainer, its evaluator.

Runs in RecBole's environment: `python -m benchmarks.recbole_peer request.json`.
"""

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender import NeuMF
from recbole.trainer import Trainer
from recbole.utils import init_seed

from benchmarks.split import PairSplit
from benchmarks.worker import peak_mb, serve

NAME = "pairs"


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Seconds of the training epochs and of full-ranking evaluation, after an epoch of warming
    up.
    """
    torch.set_num_threads(request["threads"])
    split = PairSplit.load(request["split"])
    _write_dataset(split, Path(NAME))
    config = Config(model="NeuMF", dataset=NAME, config_dict=_settings(request))
    logging.disable(logging.INFO)
    init_seed(config["seed"], config["reproducibility"])
    train, _, test = data_preparation(config, create_dataset(config))
    _train(config, train, epochs=1)
    trainer, train_seconds = _train(config, train, request["epochs"])
    start = time.perf_counter()
    found = trainer.evaluate(test, load_best_model=False, show_progress=False)
    evaluation_seconds = time.perf_counter() - start
    result = {
        "train_seconds": train_seconds,
        "evaluation_seconds": evaluation_seconds,
        "ndcg": float(found["ndcg@10"]),
        "peak_mb": peak_mb(),
    }
    if request["scores"]:
        np.save(request["scores"], _scores(trainer, train.dataset, split))
    return result


def _settings(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "data_path": str(Path.cwd()),
        "benchmark_filename": ["train", "none", "test"],
        "load_col": {"inter": ["user_id", "item_id"]},
        "mf_embedding_size": request["embedding_dim"],
        "mlp_embedding_size": request["embedding_dim"],
        "mlp_hidden_size": request["hidden_dims"],
        "train_neg_sample_args": {
            "distribution": "uniform",
            "sample_num": 1,
            "alpha": 1.0,
            "dynamic": False,
            "candidate_num": 0,
        },
        "dropout_prob": request["dropout"],
        "learner": "adam",
        "learning_rate": request["lr"],
        "weight_decay": 0.0,
        "train_batch_size": request["batch_size"],
        "eval_args": {"group_by": "user", "order": "RO", "mode": "full"},
        "metrics": ["NDCG"],
        "topk": [10],
        "valid_metric": "NDCG@10",
        "metric_decimal_place": 7,
        "use_gpu": False,
        "show_progress": False,
        "seed": request["seed"],
    }


def _train(config: Config, train: Any, epochs: int) -> tuple[Trainer, float]:
    """A new model after some epochs, and their seconds: no validation, a checkpoint an epoch."""
    config["epochs"] = epochs
    init_seed(config["seed"], config["reproducibility"])
    trainer = Trainer(config, NeuMF(config, train.dataset).to(config["device"]))
    start = time.perf_counter()
    trainer.fit(train, valid_data=None, saved=True, show_progress=False)
    return trainer, time.perf_counter() - start


def _write_dataset(split: PairSplit, folder: Path) -> None:
    """RecBole's atomic files; what is asked for between training and test is one pair of train,
    which changes nothing, as no part may be empty.
    """
    folder.mkdir()
    train = np.stack([split.train_user, split.train_item], axis=1)
    test = np.stack([split.test_user, split.test_item], axis=1)
    for name, pairs in (("train", train), ("none", train[:1]), ("test", test)):
        file = folder / f"{NAME}.{name}.inter"
        np.savetxt(file, pairs, "%d", "\t", header="user_id:token\titem_id:token", comments="")


def _scores(trainer: Trainer, dataset: Any, split: PairSplit) -> np.ndarray:
    """Probabilities of every pair, float32 (U, I), by our indices."""
    model = trainer.model.eval()
    users = torch.as_tensor(dataset.token2id("user_id", np.arange(split.num_users).astype(str)))
    items = torch.as_tensor(dataset.token2id("item_id", np.arange(split.num_items).astype(str)))
    scores = np.empty((split.num_users, split.num_items), dtype=np.float32)
    with torch.inference_mode():
        for row, user in enumerate(users):
            pairs = {"user_id": user.expand(len(items)), "item_id": items}
            scores[row] = model.predict(pairs).numpy()
    return scores


if __name__ == "__main__":
    serve(measure)
