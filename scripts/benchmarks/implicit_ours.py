"""Our side beside implicit: iALS and matrix factorisation, the factors after every epoch and the
seconds until then.
"""

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from benchmarks.prepared import phase_of
from benchmarks.split import PairSplit
from benchmarks.worker import serve
from recsys.data.interactions import PhaseData
from recsys.models.recommenders.ials import IALS
from recsys.models.recommenders.matrix_factorization import MatrixFactorization
from recsys.training.fit import fit
from recsys.training.losses.full_softmax import FullSoftmax
from recsys.training.settings import FitSettings


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Trains one of them, after an epoch of warming up, and writes the factors of each epoch."""
    torch.set_num_threads(request["threads"])
    data = phase_of(PairSplit.load(request["split"]))
    train = {"ials": _train_ials, "mf": _train_mf}[request["model"]]
    with tempfile.TemporaryDirectory() as nowhere:
        train(data, request | {"epochs": 1}, Clock(Path(nowhere)))
    clock = Clock(Path(request["factors"]))
    train(data, request, clock)
    return {"seconds": clock.seconds}


class Clock:
    """Seconds of training until the end of each epoch; what is done there is not counted.

    Args:
        folder: of the factors, a file an epoch.
    """

    def __init__(self, folder: Path) -> None:
        self.seconds: list[float] = []
        self._folder = folder
        self._spent = 0.0
        self._start = time.perf_counter()

    def keep(self, user: Tensor, item: Tensor) -> None:
        """Ends an epoch with these factors, (U, D) and (I, D)."""
        self._spent += time.perf_counter() - self._start
        file = self._folder / f"{len(self.seconds)}.npz"
        np.savez(file, user=user.detach().numpy(), item=item.detach().numpy())
        self.seconds.append(self._spent)
        self._start = time.perf_counter()


class KeepFactors(pl.Callback):
    """Stops the clock after each epoch of matrix factorisation."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds the bias of the items as one more factor."""
        model = pl_module.model
        assert isinstance(model, MatrixFactorization)
        user = torch.cat([model.user.weight, torch.ones(model.num_users, 1)], dim=1)
        item = torch.cat([model.item.weight, model.item_bias.unsqueeze(1)], dim=1)
        self._clock.keep(user, item)


def _train_ials(data: PhaseData, request: dict[str, Any], clock: Clock) -> None:
    torch.manual_seed(request["seed"])
    sizes = data.vocabulary.num_users, data.vocabulary.num_items
    model = IALS(*sizes, request["embedding_dim"], request["epochs"], **request["settings"])
    for _ in model.epochs_of(data.interactions):
        clock.keep(model.user.weight, model.item.weight)


def _train_mf(data: PhaseData, request: dict[str, Any], clock: Clock) -> None:
    torch.manual_seed(request["seed"])
    sizes = data.vocabulary.num_users, data.vocabulary.num_items
    settings = request["settings"]
    model = MatrixFactorization(*sizes, request["embedding_dim"], settings["dropout"])
    with tempfile.TemporaryDirectory() as folder:
        lr, seed = settings["lr"], request["seed"]
        loss = FullSoftmax(settings["batch_size"])
        fit(
            model,
            loss.objective(model, data.interactions, seed=seed),
            FitSettings(
                max_epochs=request["epochs"],
                seed=seed,
                optimizer=partial(AdamW, lr=lr, weight_decay=settings["weight_decay"]),
                schedule=partial(OneCycleLR, max_lr=lr),
                trainer=partial(pl.Trainer, accelerator="cpu", enable_progress_bar=False),
            ),
            Path(folder),
            callbacks=[KeepFactors(clock)],
        )


if __name__ == "__main__":
    serve(measure)
