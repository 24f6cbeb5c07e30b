"""implicit's ALS and BPR, in steps: the factors after every epoch and the seconds until then.

Runs in implicit's environment: `python -m benchmarks.implicit_peer request.json`.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from scipy.sparse import csr_matrix

from benchmarks.split import PairSplit
from benchmarks.worker import serve

MODELS: dict[str, Callable[..., Any]] = {
    "als": AlternatingLeastSquares,
    "bpr": BayesianPersonalizedRanking,
}


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Trains one of them, after an epoch of warming up, and writes the factors of each epoch."""
    split = PairSplit.load(request["split"])
    ones = np.ones(len(split.train_user), dtype=np.float32)
    shape = (split.num_users, split.num_items)
    purchases = csr_matrix((ones, (split.train_user, split.train_item)), shape=shape)
    _model(request, iterations=1).fit(purchases, show_progress=False)
    model = _model(request, iterations=request["epochs"])
    seconds: list[float] = []
    spent = 0.0
    start = time.perf_counter()

    def keep(epoch: int, *_: Any) -> None:
        nonlocal spent, start
        spent += time.perf_counter() - start
        seconds.append(spent)
        file = Path(request["factors"]) / f"{epoch}.npz"
        np.savez(file, user=np.array(model.user_factors), item=np.array(model.item_factors))
        start = time.perf_counter()  # what was written is not counted

    model.fit(purchases, show_progress=False, callback=keep)
    return {"seconds": seconds}


def _model(request: dict[str, Any], iterations: int) -> Any:
    return MODELS[request["model"]](
        factors=request["embedding_dim"],
        iterations=iterations,
        num_threads=request["threads"],
        random_state=request["seed"],
        **request["settings"],
    )


if __name__ == "__main__":
    serve(measure)
