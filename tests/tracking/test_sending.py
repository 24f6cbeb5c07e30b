"""Finished runs and bundles go to the trackers that their configuration names."""

import csv
from pathlib import Path
from typing import Any

import pytest

from recsys.composition import compose
from recsys.errors import ConfigError
from recsys.runs import RunFolder
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
    run.write_config(compose(["data=movielens_100k", "model=gmf", "seed=3", DATA, *overrides]))
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
    assert content.params["model.embedding_dim"] == 32
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


def test_a_package_that_is_missing_is_said_before_training(monkeypatch):
    config = compose(["logger=mlflow"])
    assert set(config["logger"]) == {"csv", "tensorboard", "mlflow"}
    monkeypatch.setattr("recsys.tracking.mlflow.find_spec", lambda package: None)
    with pytest.raises(ConfigError, match="logger=mlflow needs the package mlflow: pip install"):
        trackers_of(config)


def test_the_default_loggers_are_no_trackers():
    assert trackers_of(compose([])) == {}


def bundle_of(folder: Path) -> Path:
    bundle = folder / "my-shop"
    bundle.mkdir()
    (bundle / "manifest.json").write_text("{}")
    return bundle


@pytest.mark.trackers
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
    assert kept.data.params["model.embedding_dim"] == "32"
    assert kept.data.metrics["test/new/ndcg_at_10"] == 0.25
    history = client.get_metric_history(sent, "curves/val/train/loss")
    assert [(each.step, each.value) for each in history] == [(1, 0.75), (2, 0.5)]
    files = {file.path for file in client.list_artifacts(sent)}
    assert files >= {"report.html", "metrics.json", "bundles"}
    (manifest,) = client.list_artifacts(sent, "bundles/my-shop")
    assert manifest.path == "bundles/my-shop/manifest.json"
