"""Many runs of one command: the threads of each, which of them failed, and which can go on."""

from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recsys.errors import ConfigError

# of hydra/launcher=NAME
_PLUGINS = {"joblib": "hydra_joblib_launcher", "ray": "hydra_ray_launcher"}
# in the folder of a run: why it has ended early
_FAILED = "failed.txt"


def require_launcher(arguments: Sequence[str]) -> None:
    """Raises ConfigError where a launcher is chosen whose package is missing."""
    for name, plugin in _PLUGINS.items():
        chosen = f"hydra/launcher={name}" in arguments
        if chosen and not (find_spec("hydra_plugins") and find_spec(f"hydra_plugins.{plugin}")):
            raise ConfigError(
                f"hydra/launcher={name} needs the package {plugin.replace('_', '-')}: pip install"
                " '.[launchers]'"
            )


def threads_of_a_run(launcher: Mapping[str, Any], threads: int) -> int | None:
    """Threads of one of the runs that a launcher has going at the same time; None where it has one.

    Args:
        launcher: its configuration.
        threads: that this machine offers; Ray counts the cores of its cluster itself.
    """
    if "ray" in launcher:
        return max(1, int(launcher["ray"]["remote"].get("num_cpus", 1)))
    if "n_jobs" in launcher:
        jobs = launcher["n_jobs"]
        return max(1, threads // jobs) if jobs > 0 else 1
    return None


def begin_again(folder: Path) -> None:
    """Forgets that an earlier attempt at a run failed."""
    (folder / _FAILED).unlink(missing_ok=True)


def fail(folder: Path, chosen: Sequence[str], sentence: str) -> str:
    """Keeps in the folder of a run why it has ended early; returns that with its name.

    Args:
        folder: of the run.
        chosen: overrides that tell it from the others.
        sentence: why.
    """
    name = f"run {folder.name} ({', '.join(chosen)})" if chosen else f"run {folder.name}"
    folder.mkdir(parents=True, exist_ok=True)  # what is refused leaves none
    (folder / _FAILED).write_text(f"{name}: {sentence}\n", encoding="utf-8")
    return f"{name}: {sentence}"


def failures(folder: Path) -> str:
    """What to say of the runs of a multirun that failed; empty where none did."""
    files = sorted(folder.glob(f"*/{_FAILED}"), key=lambda file: _number(file.parent))
    if not files:
        return ""
    runs = sum(each.is_dir() for each in folder.iterdir())
    reasons = "; ".join(file.read_text(encoding="utf-8").strip() for file in files)
    return f"{len(files)} of {runs} runs in {folder} failed: {reasons}"


def cut_short(folder: Path) -> str:
    """How to go on after a multirun whose launcher gave up."""
    begun = [file.parent for file in folder.glob("*/config.yaml")]
    left = [each for each in begun if not (each / "metrics.json").exists()]
    words = f"the multirun in {folder} was cut short"
    if left:
        names: Collection[str] = [str(each) for each in sorted(left, key=_number)]
        words += f"; continue a run that was going on with train.resume={' or '.join(names)}"
    said = failures(folder)
    return f"{words}; {said}" if said else words


def _number(folder: Path) -> tuple[int, str]:
    """Run 10 comes after run 9."""
    return int(folder.name) if folder.name.isdigit() else -1, folder.name
