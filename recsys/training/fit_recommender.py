"""One call that trains a recommender on one phase."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import nn

from recsys.data.interactions import PhaseData
from recsys.errors import ConfigError, DataError
from recsys.evaluation.ranking import RankingEvaluator
from recsys.models.recommender import Recommender
from recsys.training.fit import FitResult, Validation, fit_module
from recsys.training.objectives import AnyObjective, problem_of
from recsys.training.optimization import Optimization
from recsys.training.training_module import TrainingModule


def fit_recommender(
    model: nn.Module,
    data: PhaseData,
    *,
    objective: AnyObjective,
    optimization: Optimization,
    seed: int,
    folder: Path,
    trainer_options: dict[str, Any],
    validation: Validation | None = None,
    ks: tuple[int, ...] = (10,),
    block_mb: int = 256,
    stop_after: int | None = None,
    loggers: list[Logger] | None = None,
    callbacks: list[pl.Callback] | None = None,
) -> FitResult:
    """Trains in place, as `fit_module` does.

    Args:
        model: a recommender with parameters.
        data: the phase to fit on (and, with validation, to ask about).
        objective, optimization, validation: see there; the monitor is "val/view/metric@k", and its
            view the only one computed while training.
        seed: decides order, negatives and dropout.
        ks: cut-offs to log in validation.
        block_mb: see `RankingEvaluator`.
        stop_after: epochs to train, of the `optimization.max_epochs` that the schedule spans; None:
            all.
        folder, trainer_options, loggers, callbacks: of `fit_module`.

    Raises:
        ConfigError: the monitor is no metric of the data, or the loss does not train the model.
        DataError: nobody can be asked in the validation part.
    """
    assert isinstance(model, Recommender)
    problem = problem_of(model, data.interactions, objective, seed)

    def build(device: torch.device) -> TrainingModule:
        evaluator = None
        if validation is not None:
            evaluator = _evaluator(validation.monitor, data, ks, block_mb, device)
        return TrainingModule(model, problem, optimization, seed, evaluator)

    return fit_module(
        build,
        model,
        max_epochs=stop_after or optimization.max_epochs,
        folder=folder,
        trainer_options=trainer_options,
        validation=validation,
        loggers=loggers,
        callbacks=callbacks,
    )


def _evaluator(
    monitor: str, data: PhaseData, ks: tuple[int, ...], block_mb: int, device: torch.device
) -> RankingEvaluator:
    if monitor.count("/") != 2:
        raise ConfigError(
            f"train.monitor={monitor!r}: write val/VIEW/METRIC@K, for instance val/new/ndcg@10"
        )
    view = monitor.split("/")[1]
    evaluator = RankingEvaluator(data, views=(view,), ks=ks, device=device, block_mb=block_mb)
    if not evaluator.has_questions(view):
        raise DataError(
            f"nobody can be asked in the validation part: no truth for {monitor} (train.monitor) is"
            " left, because its users or items are unknown to the part that is fitted, or there are"
            " no candidates; data_report.json has the counts; hold out more days"
            " (evaluation.split), keep more items (evaluation.min_buyers) or monitor another view"
        )
    known = evaluator.metric_names()
    if monitor not in {f"val/{name}" for name in known}:
        raise ConfigError(
            f"train.monitor={monitor!r} is not among the metrics of this data: "
            + ", ".join(f"val/{name}" for name in known)
        )
    return evaluator
