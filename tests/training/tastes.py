"""Purchases whose pattern popularity cannot know."""

import warnings
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from recsys.data.dataset import Dataset
from recsys.data.interactions import PhaseData, index_phase
from recsys.data.report import DataReport
from recsys.data.splits.leave_last_out import LeaveLastOut
from recsys.evaluation.ranking import RankingEvaluator
from recsys.training.settings import FitSettings, Validation

QUIET = {"accelerator": "cpu", "enable_progress_bar": False}


def settings(
    max_epochs: int,
    lr: float,
    weight_decay: float = 0.0,
    schedule: str = "constant",
    trainer: dict[str, Any] | None = None,
    **others: Any,
) -> FitSettings:
    """AdamW on the CPU, with or without a one-cycle schedule."""
    return FitSettings(
        max_epochs=max_epochs,
        seed=others.pop("seed", 1),
        optimizer=partial(AdamW, lr=lr, weight_decay=weight_decay),
        schedule=partial(OneCycleLR, max_lr=lr) if schedule == "one_cycle" else None,
        trainer=partial(pl.Trainer, **(QUIET | (trainer or {}))),
        **others,
    )


def new_items(data: PhaseData, monitor: str = "val/new/ndcg@10", patience: int = 5) -> Validation:
    """Validation on items that the user never bought."""

    def evaluator(device: torch.device) -> RankingEvaluator:
        return RankingEvaluator(data, views=("new",), ks=(10,), device=device)

    return Validation(evaluator, monitor, patience)


def two_tastes(num_users: int = 60, num_items: int = 40) -> Dataset:
    """Even users buy even items, odd users odd ones: popularity cannot know."""
    generator = np.random.default_rng(0)
    user = np.repeat(np.arange(num_users), 10)
    item = 2 * generator.integers(num_items // 2, size=len(user)) + user % 2
    ids = [np.arange(size).astype(str).astype(object) for size in (num_users, num_items)]
    report = DataReport("two tastes", users=num_users, items=num_items)
    time = np.arange(len(user), dtype=np.int64) * 86_400
    return Dataset(
        user.astype(np.int32),
        item.astype(np.int32),
        time,
        (time // 86_400).astype(np.int32),
        *ids,
        report,
    )


def validation_part(transactions: Dataset) -> PhaseData:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="leave-last-out leaks time")
        phases = LeaveLastOut()(transactions, seed=0)
    return index_phase(transactions, "val", phases["val"])
