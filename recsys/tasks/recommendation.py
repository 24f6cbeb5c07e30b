"""From transactions to a judged recommender, and from its run to a bundle."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from recsys.config.composition import closest, instantiate, takes
from recsys.data.dataset import Dataset
from recsys.data.fingerprint import fingerprint
from recsys.data.ids import Vocabulary
from recsys.data.interactions import Interactions, PhaseData, index_phase
from recsys.data.splits.phase import Phase
from recsys.errors import ConfigError
from recsys.evaluation.examples import example_customers
from recsys.evaluation.ranking import RankingResult, evaluate
from recsys.models.recommenders.popularity import Popularity
from recsys.reports.console import print_data_report, print_leaderboard
from recsys.reports.html import write_report
from recsys.runs.folder import RunFolder, record
from recsys.tasks.setup import (
    add_seconds,
    evaluation_device,
    make_loggers,
    model_settings,
    note_training,
    optimization,
    optimizer_used,
    provenance,
    require_validation,
    seed_everything,
    trainer_options,
)
from recsys.training.objectives import objective_of

if TYPE_CHECKING:
    # Lightning, which only a training waits for
    import pytorch_lightning as pl

    from recsys.training.fit import FitResult


def run_recommender(
    config: dict[str, Any],
    transactions: Dataset,
    run: RunFolder,
    metrics: dict[str, float],
) -> None:
    """Splits, trains, refits, judges and reports.

    Args:
        config: plain.
        transactions: what `config["data"]` names.
        run: folder to write to.
        metrics: what is already known, such as the seconds of reading.
    """
    start = time.perf_counter()
    phases = instantiate(config["evaluation"]["split"])(transactions, config["seed"])
    add_seconds(metrics, "data/seconds", time.perf_counter() - start)
    epochs: int | None = None
    for name, phase in phases.items():
        data = _index(config, transactions, name, phase, metrics)
        if name == next(iter(phases)):
            print_data_report(transactions.report)
            run.write_json("data_report.json", transactions.report.to_json())
        start = time.perf_counter()
        model, fitted = _fit(config, data, run, epochs)
        run.write_weights(name, model)
        if fitted is None:
            add_seconds(metrics, "train/seconds", time.perf_counter() - start)
        else:
            epochs = fitted.epochs
            note_training(metrics, name, fitted, config["train"]["monitor"])
        if config["evaluation"]["views"] and name != "full_data":
            _judge(config, model, data, transactions, run, metrics)
    _finish(config, run, transactions, phases, data, metrics, fitted)


def validate_recommender(
    config: dict[str, Any],
    transactions: Dataset,
    run: RunFolder,
    metrics: dict[str, float],
    callbacks: "list[pl.Callback]",
) -> "FitResult | None":
    """The validation phase alone: trains or fits, judges, and never looks at the test part.

    Args:
        config, transactions, run, metrics: of `run_recommender`.
        callbacks: of the training.

    Returns:
        How the training went; None for a closed-form model, whose values are in `metrics`.

    Raises:
        ConfigError: the split has no validation part.
    """
    phases = instantiate(config["evaluation"]["split"])(transactions, config["seed"])
    require_validation(config, "val" in phases)
    data = _index(config, transactions, "val", phases["val"], metrics)
    model, fitted = _fit(config, data, run, None, callbacks)
    if fitted is None:
        found = _evaluate(config, model, data).metrics
        metrics |= {f"val/{key}": value for key, value in found.items()}
    return fitted


def _index(
    config: dict[str, Any],
    transactions: Dataset,
    name: str,
    phase: Phase,
    metrics: dict[str, float],
) -> PhaseData:
    start = time.perf_counter()
    evaluation = config["evaluation"]
    data = index_phase(
        transactions,
        name,
        phase,
        min_buyers=evaluation["min_buyers"],
        k_core=evaluation["k_core"],
        seed=config["seed"],
        max_users=evaluation.get("max_users"),
    )
    transactions.report.phases[name] = data.counts
    add_seconds(metrics, "data/seconds", time.perf_counter() - start)
    return data


def _judge(
    config: dict[str, Any],
    model: Any,
    data: PhaseData,
    transactions: Dataset,
    run: RunFolder,
    metrics: dict[str, float],
) -> None:
    start = time.perf_counter()
    result = _evaluate(config, model, data, by_popularity=data.name == "test")
    add_seconds(metrics, "evaluation/seconds", time.perf_counter() - start)
    metrics |= {f"{data.name}/{key}": value for key, value in result.metrics.items()}
    if data.name == "test":
        table = result.per_user
        table.insert(0, "user_id", data.vocabulary.user_ids[table.pop("user").to_numpy(dtype=int)])
        run.write_table("per_user.parquet", table)
        metrics |= _baselines(config, data)
        run.write_json("examples.json", example_customers(model, data, transactions.item_names))


def _finish(
    config: dict[str, Any],
    run: RunFolder,
    transactions: Dataset,
    phases: dict[str, Phase],
    data: PhaseData,
    metrics: dict[str, float],
    fitted: "FitResult | None",
) -> None:
    """Writes what the run leaves, metrics.json last of the data: a run that has it has finished."""
    if not run.writes:
        return  # the first process does
    report = transactions.report
    for key in ("rows_in", "rows", "users", "items", "density"):
        metrics[f"data/{key}"] = float(getattr(report, key))
    metrics |= {f"data/dropped/{reason}": float(count) for reason, count in report.dropped.items()}
    run.write_json("data_report.json", report.to_json())
    run.write_vocabulary(data.vocabulary)
    run.write_history(data.histories.history, data.ages)
    known = set(data.vocabulary.item_ids)
    names = {item: name for item, name in transactions.item_names.items() if item in known}
    run.write_json("items.json", names)
    split = fingerprint(*(rows for phase in phases.values() for rows in (phase.fit, phase.truth)))
    about = record(run, "recommender", config, report.fingerprint, split)
    run.write_json("run.json", about | {"optimizer": optimizer_used(fitted)})
    run.write_json("metrics.json", metrics)
    print_leaderboard(metrics, str(config["choices"]["model"]), config["evaluation"]["ks"])
    write_report(run)


def load_recommender(run: RunFolder) -> nn.Module:
    """The trained model of a finished run, on the CPU and in evaluation mode."""
    model = _build(run.read_config()["model"], run.read_vocabulary())
    model.load_state_dict(run.read_weights())
    return model.eval()


def export_recommender(run: RunFolder, bundle: Path, include_seen: bool) -> Path:
    """Exports the model of a finished run; see `recsys.tasks.lifecycle.export_run`."""
    from recsys.export import write_recommender_bundle

    vocabulary, history = run.read_vocabulary(), run.read_history()
    return write_recommender_bundle(
        bundle,
        model=load_recommender(run),  # type: ignore[arg-type]
        user_ids=vocabulary.user_ids,
        item_ids=vocabulary.item_ids,
        popularity=Interactions(history, vocabulary.num_items).buyers.numpy(),
        history_indptr=history.indptr.numpy(),
        history_items=history.values.numpy(),
        history_age=run.read_ages(),
        include_seen=include_seen,
        item_names=run.read_json("items.json") or None,
        provenance=provenance(run),
    )


def _build(config: dict[str, Any], vocabulary: Vocabulary) -> nn.Module:
    if takes(config, "num_series") or takes(config, "season_length"):
        raise ConfigError(
            f"{config['_target_'].rpartition('.')[2]} forecasts sales, and the data are"
            " transactions of customers: choose a recommender, such as model=gmf, or data=…_sales"
        )
    return instantiate(config, num_users=vocabulary.num_users, num_items=vocabulary.num_items)


def _fit(
    config: dict[str, Any],
    data: PhaseData,
    run: RunFolder,
    epochs: int | None,
    callbacks: "list[pl.Callback] | None" = None,
) -> "tuple[nn.Module, FitResult | None]":
    """Fits a fresh model: closed-form at once, else trained with validation, or for the epochs that
    it chose.
    """
    seed, train, evaluation = config["seed"], config["train"], config["evaluation"]
    seed_everything(seed)
    model: Any = _build(config["model"], data.vocabulary)
    _require_known_users(model, data)
    if hasattr(model, "fit"):
        model.fit(data.interactions)
        return model, None
    if hasattr(model, "observe"):
        model.observe(data.interactions)
    if any(train["pretrained"][half] for half in ("gmf", "mlp")):
        _load_pretrained(model, train["pretrained"], data)
    # Lightning takes as long to load as a closed form to fit
    from recsys.training.fit import Validation
    from recsys.training.fit_recommender import fit_recommender

    validation = None
    if data.name == "val":
        validation = Validation(train["monitor"], train["patience"], train["validate_every"])
    fitted = fit_recommender(
        model,
        data,
        objective=objective_of(config["loss"]),
        optimization=optimization(config),
        seed=seed,
        folder=run.path / "checkpoints" / data.name,
        trainer_options=trainer_options(config),
        validation=validation,
        ks=tuple(evaluation["ks"]),
        block_mb=evaluation["block_mb"],
        stop_after=epochs,
        loggers=make_loggers(config, run, data.name),
        callbacks=callbacks,
    )
    return model, fitted


def _require_known_users(model: Any, data: PhaseData) -> None:
    """Refuses a model of user ids where some of them were never fitted."""
    unknown = data.counts.get("users_not_fitted", 0)
    if unknown and not model.reads_history and not isinstance(model, Popularity):
        raise ConfigError(
            f"{type(model).__name__} knows users by their ids, and evaluation=unseen_users asks"
            f" about {unknown:,} whom it was not fitted on; choose a model that reads histories,"
            " such as model=autoencoder, next_purchase or ease"
        )


def _load_pretrained(model: Any, pretrained: dict[str, Any], data: PhaseData) -> None:
    if not hasattr(model, "load_pretrained"):
        raise ConfigError("train.pretrained is for model=neumf only")
    states = {}
    for half in ("gmf", "mlp"):
        if pretrained[half] is None:
            raise ConfigError(f"train.pretrained.{half} is missing: both halves come from a run")
        run = RunFolder.open(pretrained[half])
        run.require_finished()
        states[half] = run.read_weights(data.name)
        vocabulary = run.read_vocabulary()
        if data.name != "val" and not (
            np.array_equal(vocabulary.user_ids, data.vocabulary.user_ids)
            and np.array_equal(vocabulary.item_ids, data.vocabulary.item_ids)
        ):
            raise ConfigError(
                f"train.pretrained.{half}={pretrained[half]} was trained on other data or another"
                " split"
            )
    try:
        model.load_pretrained(states["gmf"], states["mlp"], pretrained["alpha"])
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ConfigError(f"train.pretrained does not fit model=neumf: {reason}") from error


def _evaluate(
    config: dict[str, Any], model: nn.Module, data: PhaseData, by_popularity: bool = False
) -> RankingResult:
    evaluation = config["evaluation"]
    return evaluate(
        model,
        data,
        views=tuple(evaluation["views"]),
        ks=tuple(evaluation["ks"]),
        device=evaluation_device(config),
        block_mb=evaluation["block_mb"],
        by_popularity=by_popularity,
    )


def _baselines(config: dict[str, Any], data: PhaseData) -> dict[str, float]:
    """Rows beside the model: closed-form models, fitted and judged on the same phase."""
    metrics: dict[str, float] = {}
    settings = model_settings()
    for name in config["evaluation"]["baselines"]:
        if name not in settings:
            raise ConfigError(
                f"evaluation.baselines: {name} does not exist; {closest(name, list(settings))}"
            )
        model: Any = _build(settings[name], data.vocabulary)
        if not hasattr(model, "fit"):
            raise ConfigError(
                f"evaluation.baselines: {name} needs training of its own; run it with model={name}"
            )
        _require_known_users(model, data)
        model.fit(data.interactions)
        found = _evaluate(config, model, data).metrics
        metrics |= {f"test/baselines/{name}/{key}": value for key, value in found.items()}
    return metrics
