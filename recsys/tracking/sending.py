"""Sends a finished run, and later its bundle, to the trackers that its configuration names."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from recsys.comparison.reading import flat
from recsys.config.targets import Target
from recsys.errors import ConfigError
from recsys.privacy import for_others
from recsys.reports.console import say
from recsys.reports.facts import read_curves
from recsys.runs.folder import RunFolder

# what a run leaves that people look at, beside its numbers
ARTEFACTS = ("report.html", "metrics.json", "data_report.json")
_SENT = "trackers.json"


class Content(NamedTuple):
    """What a tracker is sent of a run.

    Attributes:
        name: of the run: data/model/folder.
        params: configuration by dotted key, without choices and loggers.
        curves: (epoch, metrics) in order, by phase.
        metrics: metrics.json.
        files: to be kept with it.
    """

    name: str
    params: dict[str, object]
    curves: dict[str, list[tuple[int, dict[str, float]]]]
    metrics: dict[str, float]
    files: list[Path]


class Tracker(Protocol):
    """Keeps runs somewhere else."""

    def send(self, content: Content) -> dict[str, str]:
        """Keeps a run; returns what finds it again."""
        ...

    def send_bundle(self, sent: dict[str, str], bundle: Path) -> None:
        """Adds the files of a bundle to a run that `send` has kept."""
        ...


def trackers_of(loggers: Mapping[str, Target]) -> dict[str, Tracker]:
    """The trackers among configured loggers, by name.

    Raises:
        ConfigError: the package of one is not installed.
    """
    return {name: each.build() for name, each in loggers.items() if is_tracker(each)}


def is_tracker(logger: Target) -> bool:
    """Whether a logger is sent the finished run, and not every step."""
    return logger.path.startswith("recsys.tracking.")


def send_run(run: RunFolder) -> bool:
    """Sends a finished run to those of its trackers that do not have it; False where all have.

    Errors of a tracker are reported, not raised.
    """
    missing = {
        name: tracker
        for name, tracker in _trackers(run).items()
        if name not in run.read_json(_SENT, {})
    }
    for name, tracker in missing.items():
        try:
            found = tracker.send(_content(run))
        except Exception as error:  # whatever a server, a network or a client raises
            text = " ".join(str(error).split())[:300]
            say(
                f"the run could not be sent to {name} ({type(error).__name__}: {text}); try again"
                f" with train.resume={run.path}"
            )
            continue
        run.write_json(_SENT, run.read_json(_SENT, {}) | {name: found})
    return bool(missing)


def send_bundle(run: RunFolder, bundle: Path) -> None:
    """Sends a bundle to the trackers that have its run.

    Raises:
        ConfigError: a tracker did not take it; the bundle is written all the same.
    """
    sent = run.read_json(_SENT, {})
    for name, tracker in _trackers(run).items():
        if name not in sent:
            continue
        try:
            tracker.send_bundle(sent[name], bundle)
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            raise ConfigError(f"{bundle} is written, but {name} did not take it: {text}") from error


def _trackers(run: RunFolder) -> dict[str, Tracker]:
    stored = run.read_config().get("logger") or {}
    return trackers_of({name: Target.from_plain("logger", each) for name, each in stored.items()})


def _content(run: RunFolder) -> Content:
    config, metrics = run.read_config(), run.read_json("metrics.json")
    kept = {key: value for key, value in config.items() if key not in ("choices", "logger")}
    params = dict(flat(for_others(kept)))
    names = {key: config["choices"].get(key) for key in ("data", "model", "evaluation", "loss")}
    curves = {}
    for phase, table in read_curves(run).items():
        rows = table.drop(columns=["step"], errors="ignore").to_dict("index")
        curves[phase] = [
            (int(str(epoch)), {str(k): float(v) for k, v in row.items() if v == v})
            for epoch, row in rows.items()
        ]
    return Content(
        "/".join([str(names["data"]), str(names["model"]), run.path.name]),
        {f"choices.{key}": value for key, value in names.items()} | params,
        curves,
        {key: value for key, value in metrics.items() if value == value},
        [run.path / name for name in ARTEFACTS if (run.path / name).is_file()],
    )
