"""run.json: what was run, by which code, on what, and what it may be compared with."""

import shlex
import time
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from recsys.config.settings import Settings
from recsys.environment import environment, peak_memory
from recsys.runs.folder import RunFolder


@dataclass(frozen=True)
class RunRecord:
    """What a run says of itself.

    Attributes:
        task: name of the task; empty until the data has been read.
        model, data, split: names that were chosen (split: of the evaluation).
        seed, monitor, command: as configured.
        started, finished: 2026-03-01T12:30:59Z; `finished` is None until then.
        resumed: when the run was continued.
        rerun_of: folder of the run that this one repeats.
        versions, git_commit, git_dirty, git_changes, hardware, threads: of `environment`.
        data_fingerprint, split_fingerprint: of the rows, and of which are fitted and evaluated.
        column_fingerprints: of quantities and context ("events") and of attributes ("users",
            "items").
        optimizer: what updated the parameters; None where nothing was trained.
        peak_memory_mb, peak_gpu_memory_mb: highest memory of the process.
    """

    model: str = "model"
    data: str = "unnamed data"
    split: str = ""
    seed: int | None = None
    monitor: str = ""
    command: str = ""
    started: str | None = None
    task: str = ""
    finished: str | None = None
    resumed: list[str] = field(default_factory=list)
    rerun_of: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    git_commit: str | None = None
    git_dirty: bool | None = None
    git_changes: str | None = None
    hardware: dict[str, Any] = field(default_factory=dict)
    threads: int | None = None
    data_fingerprint: str = ""
    split_fingerprint: str = ""
    column_fingerprints: dict[str, str] = field(default_factory=dict)
    optimizer: dict[str, Any] | None = None
    peak_memory_mb: float | None = None
    peak_gpu_memory_mb: float | None = None

    @classmethod
    def begin(
        cls, settings: Settings, earlier: "RunRecord | None", rerun_of: str | None
    ) -> "RunRecord":
        """The record of a run that begins now.

        Args:
            settings: of the run.
            earlier: record of the attempt that is resumed; its start stays.
            rerun_of: folder of the run that is repeated.
        """
        now = utc_now()
        choices = settings.choices
        return cls(
            model=choices.model,
            data=choices.data,
            split=choices.evaluation,
            seed=settings.seed,
            monitor=settings.train.monitor,
            command=shlex.join(["recsys", "train", *choices.overrides]),
            started=earlier.started if earlier else now,
            resumed=[*earlier.resumed, now] if earlier else [],
            rerun_of=earlier.rerun_of if earlier else rerun_of,
            **environment(),
        )

    @classmethod
    def read(cls, run: RunFolder) -> "RunRecord | None":
        """The record in a run folder, None where there is none; unknown keys are ignored, so that
        runs of other versions can be listed.
        """
        stored = run.read_json("run.json")
        if stored is None:
            return None
        known = {each.name for each in fields(cls)}
        return cls(**{key: value for key, value in stored.items() if key in known})

    def write(self, run: RunFolder) -> None:
        """Writes run.json."""
        run.write_json("run.json", asdict(self))


def utc_now() -> str:
    """2026-03-01T12:30:59Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def finished_now() -> dict[str, Any]:
    """What a record says at the end: the time and the highest memory."""
    return {"finished": utc_now(), **peak_memory()}
