"""Weights & Biases: its server, or files that `wandb sync` sends there later."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from recsys.errors import ConfigError
from recsys.tracking.sending import Content

# a user could not answer wandb's question for a key after hours of training
_NO_ACCOUNT = (
    "logger=wandb has no account to send to: run `wandb login` or set WANDB_API_KEY, or keep runs"
    " in files with logger.wandb.mode=offline"
)


class WandbTracker:
    """Keeps runs in Weights & Biases.

    Args:
        project: in which runs are kept.
        entity: user or team; None: the one that is logged in.
        mode: online or offline; None: as WANDB_MODE says, which is online where it is not set.

    Raises:
        ConfigError: wandb is not installed, or is to go online without an account.
    """

    def __init__(
        self,
        project: str = "recsys",
        entity: str | None = None,
        mode: Literal["online", "offline"] | None = None,
    ) -> None:
        if find_spec("wandb") is None:
            raise ConfigError("logger=wandb needs the package wandb: pip install '.[wandb]'")
        if mode not in (None, "online", "offline"):
            raise ConfigError(f"logger.wandb.mode={mode}: write online or offline")
        self._project, self._entity, self._mode = project, entity, mode
        self._require_account()

    def send(self, content: Content) -> dict[str, str]:
        """Keeps a run; returns its id and where its files lie."""
        import wandb

        with self._begin(name=content.name, config=content.params, job_type="train") as run:
            run.define_metric("epoch")
            run.define_metric("curves/*", step_metric="epoch")
            for phase, epochs in content.curves.items():
                for epoch, values in epochs:
                    named = {f"curves/{phase}/{key}": value for key, value in values.items()}
                    run.log({"epoch": epoch} | named)
            run.summary.update(content.metrics)
            artefact = wandb.Artifact(f"run-{run.id}", type="run")
            for file in content.files:
                artefact.add_file(str(file))
            run.log_artifact(artefact)
            return {"run_id": run.id, "folder": str(Path(run.dir).parent)}

    def send_bundle(self, sent: dict[str, str], bundle: Path) -> None:
        """Keeps the files of a bundle, in a run of their own that names the one they come from: a
        file that waits to be synced cannot be continued.
        """
        import wandb

        about = {"run_id": sent["run_id"]}
        with self._begin(name=bundle.name, config=about, job_type="export") as run:
            artefact = wandb.Artifact(f"bundle-{sent['run_id']}", type="bundle")
            artefact.add_dir(str(bundle))
            run.log_artifact(artefact)

    def _require_account(self) -> None:
        import wandb

        settings = wandb.setup().settings
        online = (self._mode or settings.mode) == "online"
        if online and not (settings.api_key or settings.identity_token_file or wandb.api.api_key):
            raise ConfigError(_NO_ACCOUNT)

    def _begin(self, **options: Any) -> Any:
        import wandb

        return wandb.init(
            project=self._project,
            entity=self._entity,
            mode=self._mode,
            # nothing of this machine: neither the command line, which may hold a password, nor what
            # is printed, nor the code
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                disable_code=True,
                disable_job_creation=True,
                x_disable_meta=True,
                x_disable_stats=True,
            ),
            **options,
        )
