"""Finished runs and bundles go to the trackers that their configuration names."""

import csv
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recsys.cli.sweep import sweep_command
from recsys.config.composition import compose
from recsys.errors import ConfigError
from recsys.runs.folder import RunFolder
from recsys.tasks.lifecycle import run_training
from recsys.tracking import sending
from recsys.tracking.sending import send_bundle, send_run, trackers_of

DATA = "data.path='sqlite://me:secret@host/shop'"
METRICS = {"test/new/ndcg@10": 0.25, "val/new/ndcg@10": 0.5, "train/seconds": 2.0}


class Notebook:
    """A tracker that keeps runs in memory, and at first cannot be reached."""

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.kept, self.bundles = failures, [], []

    def send(self, content: Any) -> dict[str, Any]:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no route to host")
        self.kept.append(content)
        return {"run_id": "r1"}

    def send_bundle(self, sent: dict[str, Any], bundle: Path) -> None:
        self.bundles.append((sent["run_id"], bundle.name))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return finished_run(tmp_path / "run", [])


def finished_run(folder: Path, overrides: list[str]) -> RunFolder:
    """What a training leaves, as far as trackers look at it."""
    (folder / "logs" / "val" / "0").mkdir(parents=True)
    run = RunFolder(folder)
    settings = compose(
        ["data=movielens_100k", "model=gmf", "model.embedding_dim=24", "seed=3", DATA, *overrides]
    )
    run.write_config(dict(settings.plain))
    run.write_json("metrics.json", METRICS | {"test/undefined": float("nan")})
    run.write_json("run.json", {"seed": 3})
    run.write_text("report.html", "<p>a report</p>")
    with (folder / "logs" / "val" / "0" / "metrics.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerows([["epoch", "step", "train/loss"], [0, 9, 0.75], [1, 19, 0.5]])
    return run


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    made = Notebook()
    monkeypatch.setattr(sending, "trackers_of", lambda config: {"notebook": made})
    return made


def test_a_finished_run_is_sent_once_with_parameters_curves_metrics_and_files(run, notebook):
    assert send_run(run)
    assert not send_run(run)
    (content,) = notebook.kept
    assert content.name == "movielens_100k/gmf/run"
    assert content.params["seed"] == 3
    assert content.params["model.embedding_dim"] == 24
    assert content.params["choices.model"] == "gmf"
    assert not [key for key in content.params if key.startswith("logger")]
    assert content.metrics == METRICS  # without what is undefined
    assert content.curves == {"val": [(1, {"train/loss": 0.75}), (2, {"train/loss": 0.5})]}
    assert {file.name for file in content.files} >= {"report.html", "metrics.json"}
    # what only this machine should know stays here
    assert content.params["data.path"] == "sqlite://host/shop"
    assert "config.yaml" not in {file.name for file in content.files}


def test_a_tracker_that_cannot_be_reached_costs_a_sentence_and_is_tried_again(
    run, notebook, capsys
):
    notebook.failures = 1
    assert send_run(run)
    said = " ".join(capsys.readouterr().err.split())
    assert "could not be sent to notebook (ConnectionError: no route to host)" in said
    assert "train.resume=" in said
    assert send_run(run)
    assert len(notebook.kept) == 1


def test_a_bundle_goes_to_where_its_run_is(run, notebook, tmp_path):
    (tmp_path / "my-shop").mkdir()
    send_bundle(run, tmp_path / "my-shop")
    assert notebook.bundles == []
    send_run(run)
    send_bundle(run, tmp_path / "my-shop")
    assert notebook.bundles == [("r1", "my-shop")]


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_package_that_is_missing_is_said_before_anything_is_read(monkeypatch, tmp_path, name):
    config = compose([f"logger={name}", "data=transactions", "data.path=nowhere.csv"])
    assert set(config.logger) == {"csv", "tensorboard", name}
    monkeypatch.setattr(f"recsys.tracking.{name}.find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=f"logger={name} needs the package {name}: pip install"):
        run_training(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_sweep_says_before_its_trials_that_a_package_is_missing(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("recsys.tracking.mlflow.find_spec", lambda package: None)
    assert sweep_command(["sweep=gmf", "logger=mlflow", "output=out"], "sweep.py") == 2
    assert "logger=mlflow needs the package mlflow" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_default_loggers_are_no_trackers():
    assert trackers_of(compose([]).logger) == {}


def bundle_of(folder: Path) -> Path:
    bundle = folder / "my-shop"
    bundle.mkdir()
    (bundle / "manifest.json").write_text("{}")
    return bundle


@pytest.mark.extras
def test_mlflow_keeps_a_run_and_its_bundle_in_sqlite(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="mlflow is not installed: make test-trackers")
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    run = finished_run(tmp_path / "run", ["logger=mlflow"])
    assert send_run(run)
    send_bundle(run, bundle_of(tmp_path))
    sent = run.read_json("trackers.json")["mlflow"]["run_id"]
    client = MlflowClient("sqlite:///mlflow.db")
    kept = client.get_run(sent)
    assert kept.info.status == "FINISHED"
    assert kept.data.params["model.embedding_dim"] == "24"
    assert kept.data.metrics["test/new/ndcg_at_10"] == 0.25
    history = client.get_metric_history(sent, "curves/val/train/loss")
    assert [(each.step, each.value) for each in history] == [(1, 0.75), (2, 0.5)]
    files = {file.path for file in client.list_artifacts(sent)}
    assert files >= {"report.html", "metrics.json", "bundles"}
    (manifest,) = client.list_artifacts(sent, "bundles/my-shop")
    assert manifest.path == "bundles/my-shop/manifest.json"


def records_of(file: Path) -> Iterator[Any]:
    """What a .wandb file holds: the log format of LevelDB behind seven bytes; wandb 0.31 has no
    reader of its own in Python any more.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    raw, at, content = file.read_bytes(), 7, b""
    while at + 7 <= len(raw):
        if (left := 32768 - at % 32768) < 7:  # the rest of a block is padding
            at += left
            continue
        _, size, part = struct.unpack_from("<IHB", raw, at)
        at += 7 + size
        chunk = raw[at - size : at]
        content = chunk if part in (1, 2) else content + chunk  # whole, first, middle, last
        if part in (1, 4):
            record = Record()
            record.ParseFromString(content)
            yield record


def items(update: Any) -> dict[str, Any]:
    """Names and values; a name is in `key`, or in parts in `nested_key`."""
    return {each.key or ".".join(each.nested_key): json.loads(each.value_json) for each in update}


def wandb_writes_everything() -> None:
    """Ends wandb's own process, as the end of ours does: it keeps records back until then."""
    import wandb

    wandb.teardown()


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which we are, and out of which wandb does not look."""
    pytest.importorskip("wandb", reason="wandb is not installed: make test-trackers")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    for folder in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{folder}_DIR", str(tmp_path / folder.lower()))
    yield tmp_path
    wandb_writes_everything()  # and looks at the environment anew


@pytest.mark.extras
def test_the_offline_file_of_wandb_holds_the_run_and_another_one_its_bundle(offline):
    run = finished_run(offline / "run", ["logger=wandb"])
    assert send_run(run)
    sent = run.read_json("trackers.json")["wandb"]
    send_bundle(run, bundle_of(offline))
    wandb_writes_everything()
    trained, exported = sorted((offline / "wandb").glob("offline-run-*/*.wandb"))
    if sent["run_id"] not in trained.name:
        trained, exported = exported, trained
    assert trained.parent == Path(sent["folder"])

    records = list(records_of(trained))
    (begun,) = [each.run for each in records if each.HasField("run")]
    params = items(begun.config.update)
    assert (begun.project, begun.display_name) == ("recsys", "movielens_100k/gmf/run")
    assert (params["seed"], params["model.embedding_dim"]) == (3, 24)
    assert params["data.path"] == "sqlite://host/shop"
    curves = [items(each.history.item) for each in records if each.HasField("history")]
    assert [(row["epoch"], row["curves/val/train/loss"]) for row in curves] == [(1, 0.75), (2, 0.5)]
    summary = {}
    for record in records:
        summary |= items(record.summary.update)
    assert {key: summary[key] for key in METRICS} == METRICS
    (artefact,) = [each.artifact for each in records if each.HasField("artifact")]
    kept = {each.path: Path(each.local_path) for each in artefact.manifest.contents}
    assert set(kept) >= {"report.html", "metrics.json"}
    assert kept["report.html"].read_text() == "<p>a report</p>"

    (bundle,) = [each.artifact for each in records_of(exported) if each.HasField("artifact")]
    assert (bundle.type, bundle.name) == ("bundle", f"bundle-{sent['run_id']}")
    assert [each.path for each in bundle.manifest.contents] == ["manifest.json"]


@pytest.mark.extras
def test_wandb_is_told_nothing_of_the_command_line(offline, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py", "data.path=sqlite://me:secret@host/shop"])
    assert send_run(finished_run(offline / "run", ["logger=wandb"]))
    wandb_writes_everything()
    files = [file for file in (offline / "wandb").rglob("*") if file.is_file()]
    assert [file for file in files if file.suffix == ".wandb"]
    assert not [file for file in files if b"secret" in file.read_bytes()]


@pytest.mark.extras
def test_wandb_without_an_account_is_said_before_anything_is_read(offline, monkeypatch):
    monkeypatch.setenv("NETRC", str(offline / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    config = compose(["logger=wandb", "logger.wandb.mode=online"])
    with pytest.raises(ConfigError, match="no account to send to: run `wandb login`"):
        trackers_of(config.logger)


@pytest.mark.extras
def test_a_mode_that_wandb_does_not_know_is_refused(offline):
    with pytest.raises(ConfigError, match="logger.wandb.mode=on: write online or offline"):
        trackers_of(compose(["logger=wandb", "logger.wandb.mode=on"]).logger)
