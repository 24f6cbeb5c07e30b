"""Trainings in processes of their own that die as kill -9 lets them die."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tastes import new_items, settings, two_tastes, validation_part

from recsys.models.recommenders.gmf import GMF
from recsys.training.fit import fit
from recsys.training.losses.bce import BCE


def process(target: Callable[..., None], *arguments: Any) -> multiprocessing.Process:
    """A started process, without what the tests have running; imports are made once for all."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["recsys.tasks.lifecycle", "recsys.training.fit"])
    started = context.Process(target=target, args=arguments)
    started.start()
    return started  # type: ignore[return-value]


def die_at(moment: int) -> None:
    """Kills this process just before (even moments) or after (odd ones) a file takes its name."""
    replace, seen = os.replace, 0

    def counted(source: Any, target: Any) -> None:
        nonlocal seen
        if seen == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        if seen + 1 == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 2

    os.replace = counted


def train(folder: Path, moment: int | None) -> None:
    """Two tastes until early stopping, well before the last epoch; killed at the moment."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    if moment is not None:
        die_at(moment)
    data = validation_part(two_tastes())
    model = GMF(data.vocabulary.num_users, data.vocabulary.num_items, 8, dropout=0.1, init_std=0.3)
    fit(
        model,
        BCE(64, 2).objective(model, data.interactions, seed=1),
        settings(12, 0.3),
        folder,
        validation=new_items(data, patience=2),
    )
