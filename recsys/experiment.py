"""The composition root: a configuration in, a run folder out. The only module that knows Hydra."""

import difflib
import gc
import math
import os
import random
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import nn

from recsys.data.ids import Vocabulary
from recsys.data.interactions import Interactions, PhaseData, index_phase
from recsys.data.transactions import Transactions, fingerprint
from recsys.errors import ConfigError, UserError
from recsys.evaluation.examples import example_customers
from recsys.evaluation.ranking import RankingResult, evaluate
from recsys.export import write_recommender_bundle
from recsys.reports.console import print_data_report, print_leaderboard, say
from recsys.reports.html import write_report
from recsys.runs import RunFolder, record
from recsys.training.fit import FitResult, Validation, fit_model
from recsys.training.ranking_module import Objective, Optimization

# errors that a sentence explains; any other is the code's fault and shows where
EXPLAINED = (UserError, HydraException, OmegaConfBaseException, MisconfigurationException)
ALLOWED_TARGETS = ("recsys.", "torch.nn.", "torch.optim.", "pytorch_lightning.")
_PACKAGE = Path(__file__).parent
# beside the package in a checkout, inside it in a wheel
CONF = next(folder for folder in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if (folder / "config.yaml").exists())


def main(arguments: list[str] | None = None) -> None:
    """The command line of scripts/train.py; the run folder is the last line it prints."""
    arguments = sys.argv[1:] if arguments is None else arguments
    resume = [argument for argument in arguments if argument.startswith("train.resume=")]
    # so that errors reach us and not a traceback printer
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        if resume:
            folder = resume_run(resume[0].partition("=")[2], [a for a in arguments if a not in resume])
            print(folder)
        else:
            sys.argv[1:] = arguments
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(_hydra_job)()
    except EXPLAINED as error:
        _leave(explain(error))
    except KeyboardInterrupt:
        _leave("interrupted; the last whole epoch is kept: continue with train.resume=RUN_FOLDER", 130)


def _hydra_job(config: DictConfig) -> None:
    try:
        plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        print(run_experiment(plain, Path(HydraConfig.get().runtime.output_dir)))
    except EXPLAINED as error:
        # Hydra would first repeat the whole command line, with whatever password stands in it; a sweep goes on
        if HydraConfig.get().mode == RunMode.RUN:
            _leave(explain(error))
        raise


def _leave(sentence: str, code: int = 2) -> None:
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(code)


def compose(overrides: list[str]) -> dict[str, Any]:
    """The plain configuration that a command line of these overrides would run.

    Raises:
        ConfigError: an override names what does not exist.
    """
    with hydra.initialize_config_dir(str(CONF.absolute()), version_base="1.3"):
        try:
            config = hydra.compose("config", overrides, return_hydra_config=True)
            HydraConfig.instance().set_config(config)
            OmegaConf.set_struct(config, False)
            del config["hydra"]
            return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[return-value]
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(explain(error)) from error


def explain(error: Exception) -> str:
    """One sentence for an error of ours, Hydra, OmegaConf or Lightning, with the closest name that exists."""
    text = " ".join(str(error).split())
    if isinstance(error, UserError):
        return text
    if isinstance(error, MisconfigurationException):
        return f"trainer: {text}"
    if isinstance(error, MissingConfigException) and error.options is not None and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return f"{group}={name} does not exist; {_closest(name, error.options)}"
    cause = error.__cause__
    if isinstance(error, ConfigCompositionException) and cause is not None and "is not in struct" in str(cause):
        key = str(getattr(cause, "full_key", "")) or str(error).partition("'")[2].partition("'")[0]
        section, _, name = key.rpartition(".")
        known = getattr(cause, "parent_node", None)
        return f"{key} is not a setting; {_closest(name, [str(k) for k in known] if known is not None else [])}"
    if isinstance(error, OverrideParseException):
        text = text.partition(" See https://")[0]
        return f"{text}; write key=value, and a value with spaces, brackets or other special characters needs quotes: 'data.path=\"data (1).csv\"'"
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} has no value: set {error.full_key}=… on the command line"
    return text


def _closest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return (f"did you mean {close[0]}? It" if close else "it") + f" is one of: {', '.join(sorted(known))}"


def instantiate(config: dict[str, Any], **arguments: Any) -> Any:  # noqa: ANN401
    """Builds what a `_target_` names, if it comes from where our configurations may point.

    Raises:
        ConfigError: another target, or arguments that it does not take.
    """
    for target in _targets(config):
        if not target.startswith(ALLOWED_TARGETS):
            raise ConfigError(f"_target_={target} is not allowed; targets start with {', '.join(ALLOWED_TARGETS)}")
    try:
        return hydra.utils.instantiate(config, **arguments, _convert_="all")
    except hydra.errors.InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, TypeError):
            raise ConfigError(f"{config['_target_']}: {error.__cause__}") from error
        if str(error).startswith("Error locating target"):
            raise ConfigError(f"_target_={config['_target_']} does not exist: correct the module or the name in it") from error
        raise error.__cause__ or error from None


def _targets(config: Any) -> Iterator[str]:  # noqa: ANN401
    if isinstance(config, dict):
        if "_target_" in config:
            yield str(config["_target_"])
        for value in config.values():
            yield from _targets(value)
    elif isinstance(config, list):
        for value in config:
            yield from _targets(value)


def run_experiment(config: dict[str, Any], folder: Path) -> Path:
    """Reads, splits, trains, refits, judges and reports.

    Args:
        config: plain, as `compose` returns it.
        folder: of the run; continued where it holds one with the same configuration.

    Returns:
        The folder.
    """
    run = RunFolder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "config.yaml").exists() and run.read_config() != config:
        raise ConfigError(f"{folder} already holds a run with another configuration; choose another hydra.run.dir")
    run.write_config(config)
    seed = int(config["seed"])
    timings = {"data": 0.0, "train": 0.0, "evaluation": 0.0}
    start = time.perf_counter()
    transactions: Transactions = instantiate(config["data"])
    evaluation = config["evaluation"]
    phases = instantiate(evaluation["split"])(transactions, seed)
    filters = {"min_buyers": evaluation["min_buyers"], "k_core": evaluation["k_core"]}
    timings["data"] += time.perf_counter() - start

    metrics: dict[str, float] = {}
    epochs: int | None = None
    for name, phase in phases.items():
        start = time.perf_counter()
        data = index_phase(transactions, name, phase, **filters, seed=seed)
        transactions.report.phases[name] = data.counts
        timings["data"] += time.perf_counter() - start
        if name == next(iter(phases)):
            print_data_report(transactions.report)
            run.write_json("data_report.json", transactions.report.to_json())
        model, fitted = _fit(config, data, run, epochs)
        run.write_weights(name, model)
        if fitted is not None:
            timings["train"] += fitted.seconds
            metrics["train/samples_per_second"] = fitted.samples_per_second
            epochs = fitted.epochs
            say(f"{name}: epoch {fitted.epochs} in {fitted.seconds:.1f} s" + _found(fitted, config))
        if evaluation["views"] and name != "ship":
            result = _evaluate(config, model, data)
            timings["evaluation"] += result.metrics.pop("seconds")
            metrics |= {f"{name}/{key}": value for key, value in result.metrics.items()}
            if name == "test":
                run.write_table("per_user.parquet", _with_user_ids(result, data.vocabulary))
                metrics |= _baselines(config, data)
                run.write_json("examples.json", example_customers(model, data, transactions.item_names))
    if epochs is not None:
        metrics["train/epochs"] = epochs
    report = transactions.report
    metrics |= {f"{part}/seconds": seconds for part, seconds in timings.items()}
    metrics |= {f"data/{key}": float(getattr(report, key)) for key in ("rows_in", "rows", "users", "items", "density")}
    metrics |= {f"data/dropped/{reason}": float(count) for reason, count in report.dropped.items()}

    run.write_json("data_report.json", report.to_json())
    run.write_vocabulary(data.vocabulary)
    run.write_history(data.interactions.history)
    known = set(data.vocabulary.item_ids)
    run.write_json("items.json", {item: label for item, label in transactions.item_names.items() if item in known})
    split_rows = [rows for phase in phases.values() for rows in (phase.fit, phase.truth)]
    run.write_json("run.json", record(config, report.fingerprint, fingerprint(*split_rows)))
    run.write_json("metrics.json", metrics)
    print_leaderboard(metrics, str(config["choices"]["model"]), evaluation["ks"])
    write_report(run)
    gc.collect()  # Lightning leaves reference cycles, which would pile up over a multirun
    return folder


def resume_run(folder: str, others: list[str]) -> Path:
    """Continues a run with its own configuration.

    Raises:
        ConfigError: the folder is no run, or other settings were given.
    """
    if others:
        raise ConfigError(f"train.resume continues a run as it was configured and takes no other setting (found {' '.join(others)})")
    run = RunFolder.open(folder)
    if (run.path / "metrics.json").exists():
        raise ConfigError(f"{folder} has finished; there is nothing to resume")
    return run_experiment(run.read_config(), run.path)


def load_run(folder: str | Path) -> tuple[nn.Module, RunFolder]:
    """The trained model of a finished run, on the CPU and in evaluation mode, and the run."""
    run = RunFolder.open(folder)
    run.require_finished()
    vocabulary = run.read_vocabulary()
    model = _build(run.read_config()["model"], vocabulary)
    model.load_state_dict(run.read_weights())
    return model.eval(), run


def export_run(folder: str | Path, bundle: Path, include_seen: bool = False) -> Path:
    """Exports the model of a finished run.

    Args:
        folder: of the run.
        bundle: folder to write; its name is the bundle's.
        include_seen: also ship what each user bought, so that it can be excluded or read as history.

    Returns:
        The bundle.
    """
    model, run = load_run(folder)
    vocabulary, history = run.read_vocabulary(), run.read_history()
    record, report = run.read_json("run.json"), run.read_json("data_report.json")
    return write_recommender_bundle(
        bundle,
        model=model,  # type: ignore[arg-type]
        user_ids=vocabulary.user_ids,
        item_ids=vocabulary.item_ids,
        popularity=Interactions(history, vocabulary.num_items).buyers.numpy(),
        history_indptr=history.indptr.numpy(),
        history_items=history.values.numpy(),
        include_seen=include_seen,
        item_names=run.read_json("items.json") or None,
        provenance={
            "model": record["model"],
            "metrics": run.read_json("metrics.json"),
            "data": {key: value for key, value in report.items() if key != "phases"} | {"name": record["data"]},
            "split": record["split"],
            "seed": record["seed"],
            "config": _without_passwords(run.read_config()),
            "versions": record["versions"],
            "git_commit": record["git_commit"],
        },
    )


def _without_passwords(config: Any) -> Any:  # noqa: ANN401
    """The configuration with the user and password of every URL cut out: a bundle travels further than a run."""
    if isinstance(config, dict):
        return {key: _without_passwords(value) for key, value in config.items()}
    if isinstance(config, list):
        return [_without_passwords(value) for value in config]
    return re.sub(r"://[^/@]*@", "://", config) if isinstance(config, str) else config


def _build(config: dict[str, Any], vocabulary: Vocabulary) -> nn.Module:
    return instantiate(config, num_users=vocabulary.num_users, num_items=vocabulary.num_items)


def _fit(config: dict[str, Any], data: PhaseData, run: RunFolder, epochs: int | None) -> tuple[nn.Module, FitResult | None]:
    """Fits a fresh model: closed-form at once, else trained with validation, or for the epochs that it chose."""
    seed, train, evaluation = int(config["seed"]), config["train"], config["evaluation"]
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    model = _build(config["model"], data.vocabulary)
    if hasattr(model, "fit"):
        model.fit(data.interactions)
        return model, None
    if any(train["pretrained"][half] for half in ("gmf", "mlp")):
        _load_pretrained(model, train["pretrained"], data)
    trainer = {key: value for key, value in config["trainer"].items() if value is not None}
    trainer["gradient_clip_val"] = train["gradient_clip"]
    validation = None
    if data.name == "val":
        validation = Validation(
            train["monitor"], tuple(evaluation["ks"]), train["patience"], train["validate_every"], evaluation["block_mb"]
        )
    attempts = len(list((run.path / "logs" / data.name).glob("*")))
    loggers = [
        instantiate(logger, save_dir=str(run.path / "logs"), name=data.name, version=str(attempts))
        for logger in config["logger"].values()
    ]
    fitted = fit_model(
        model,
        data,
        objective=Objective(**config["loss"]),
        optimization=Optimization(train["max_epochs"], train["lr"], train["weight_decay"], train["schedule"]),
        seed=seed,
        folder=run.path / "checkpoints" / data.name,
        trainer_options=trainer,
        validation=validation,
        stop_after=epochs,
        loggers=loggers,
    )
    return model, fitted


def _load_pretrained(model: nn.Module, pretrained: dict[str, Any], data: PhaseData) -> None:
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
            raise ConfigError(f"train.pretrained.{half}={pretrained[half]} was trained on other data or another split")
    try:
        model.load_pretrained(states["gmf"], states["mlp"], pretrained["alpha"])
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ConfigError(f"train.pretrained does not fit model=neumf: {reason}") from error


def _evaluate(config: dict[str, Any], model: nn.Module, data: PhaseData) -> RankingResult:
    evaluation = config["evaluation"]
    device = "cuda" if config["trainer"]["accelerator"] in ("gpu", "auto") and torch.cuda.is_available() else "cpu"
    start = time.perf_counter()
    result = evaluate(
        model,
        data,
        views=tuple(evaluation["views"]),
        ks=tuple(evaluation["ks"]),
        device=device,
        block_mb=evaluation["block_mb"],
    )
    result.metrics["seconds"] = time.perf_counter() - start
    return result


def _baselines(config: dict[str, Any], data: PhaseData) -> dict[str, float]:
    """Rows beside the model: closed-form models, fitted and judged on the same phase."""
    metrics = {}
    for name in config["evaluation"]["baselines"]:
        known = [file.stem for file in (CONF / "model").glob("*.yaml")]
        if name not in known:
            raise ConfigError(f"evaluation.baselines: {name} does not exist; {_closest(name, known)}")
        settings = OmegaConf.to_container(OmegaConf.load(CONF / "model" / f"{name}.yaml"))
        model = _build(settings, data.vocabulary)  # type: ignore[arg-type]
        if not hasattr(model, "fit"):
            raise ConfigError(f"evaluation.baselines: {name} needs training of its own; run it with model={name}")
        model.fit(data.interactions)
        found = _evaluate(config, model, data).metrics
        metrics |= {f"test/baselines/{name}/{key}": value for key, value in found.items() if key != "seconds"}
    return metrics


def _with_user_ids(result: RankingResult, vocabulary: Vocabulary) -> Any:  # noqa: ANN401
    table = result.per_user
    table.insert(0, "user_id", vocabulary.user_ids[table.pop("user").to_numpy()])
    return table


def _found(fitted: FitResult, config: dict[str, Any]) -> str:
    return "" if math.isnan(fitted.value) else f", {config['train']['monitor']} {fitted.value:.4f}"
