"""MLflow: a local SQLite file, or a server."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recsys.errors import ConfigError
from recsys.tracking.sending import Content


class MLflowTracker:
    """Keeps runs in MLflow.

    Args:
        tracking_uri: of a server, or of a database.
        experiment: in which runs are kept.

    Raises:
        ConfigError: mlflow is not installed.
    """

    def __init__(
        self, tracking_uri: str = "sqlite:///mlflow.db", experiment: str = "recsys"
    ) -> None:
        if find_spec("mlflow") is None:
            raise ConfigError("logger=mlflow needs the package mlflow: pip install '.[mlflow]'")
        self._tracking_uri, self._experiment = tracking_uri, experiment

    def send(self, content: Content) -> dict[str, str]:
        """Keeps a run; returns its id."""
        from mlflow.entities import Metric, Param

        client = self._client()
        found = client.get_experiment_by_name(self._experiment)
        experiment = found.experiment_id if found else client.create_experiment(self._experiment)
        run = client.create_run(experiment, run_name=content.name).info.run_id
        params = [Param(key, str(value)) for key, value in content.params.items()]
        at = client.get_run(run).info.start_time
        metrics = [Metric(_name(key), value, at, 0) for key, value in content.metrics.items()]
        for phase, epochs in content.curves.items():
            metrics += [
                Metric(_name(f"curves/{phase}/{key}"), value, at, epoch)
                for epoch, values in epochs
                for key, value in values.items()
            ]
        # what MLflow takes at once
        for start in range(0, len(params), 100):
            client.log_batch(run, params=params[start : start + 100])
        for start in range(0, len(metrics), 1000):
            client.log_batch(run, metrics=metrics[start : start + 1000])
        for file in content.files:
            client.log_artifact(run, str(file))
        client.set_terminated(run)
        return {"run_id": run}

    def send_bundle(self, sent: dict[str, str], bundle: Path) -> None:
        """Adds the files of a bundle."""
        self._client().log_artifacts(sent["run_id"], str(bundle), f"bundles/{bundle.name}")

    def _client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self._tracking_uri)


def _name(metric: str) -> str:
    """MLflow allows no @: ndcg@10 becomes ndcg_at_10."""
    return metric.replace("@", "_at_")
