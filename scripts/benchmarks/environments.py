"""Environments that hold peers, apart from ours: installed only to be measured against."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from recsys.arguments import setting
from recsys.errors import ConfigError, unknown

PEERS = ("recbole", "implicit")
FOLDER = Path(".venv-peers")
REQUIREMENTS = Path(__file__).parent / "requirements"
# written last, so that a failed installation is tried again
READY = ".ready"


@dataclass(frozen=True, kw_only=True)
class EnvironmentArguments:
    """Creates a virtual environment for each peer, from scripts/benchmarks/requirements."""

    peers: str = setting("comma-separated peers to install", default=",".join(PEERS))
    environments: Path = setting("folder of the environments", default=FOLDER)


def environments(arguments: EnvironmentArguments) -> None:
    """Installs the peers whose requirements changed or were never met."""
    for peer in chosen(arguments.peers):
        folder = arguments.environments / peer
        wanted = (REQUIREMENTS / f"{peer}.txt").read_text()
        ready = folder / READY
        if ready.exists() and ready.read_text() == wanted:
            Console().print(f"{folder} is ready")
            continue
        Console().print(f"installing {peer} into {folder}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(_python(folder)), "-m", "pip", "install", "--quiet"]
        requirements = ["--requirement", str(REQUIREMENTS / f"{peer}.txt")]
        failed = subprocess.run([*install, "--disable-pip-version-check", *requirements]).returncode
        if failed:
            raise ConfigError(f"pip could not install {peer}: its last lines above say why")
        ready.write_text(wanted)


def chosen(text: str) -> list[str]:
    """The peers that are named, comma-separated.

    Raises:
        ConfigError: there is no such peer, or none is named.
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in PEERS:
            raise ConfigError(f"peers={text}: {unknown(name, PEERS, 'peer')}")
    if not names:
        raise ConfigError(f"peers= names none: choose from {', '.join(PEERS)}")
    return names


def python_of(peer: str, folder: Path) -> Path:
    """The Python of a peer's environment.

    Raises:
        ConfigError: it was not installed, or not from the requirements as they are now.
    """
    ready = folder / peer / READY
    if not ready.exists():
        raise ConfigError(
            f"{peer} is not installed in {folder / peer}: run {_command(peer, folder)}"
        )
    if ready.read_text() != (REQUIREMENTS / f"{peer}.txt").read_text():
        raise ConfigError(
            f"{folder / peer} was installed from other requirements than"
            f" scripts/benchmarks/requirements/{peer}.txt: run {_command(peer, folder)}"
        )
    return _python(folder / peer)


def _command(peer: str, folder: Path) -> str:
    if folder == FOLDER:
        return "make peers"
    return f"python scripts/benchmark.py environments peers={peer} environments={folder}"


def _python(folder: Path) -> Path:
    # not resolved: the link inside the environment is what selects it
    return Path(os.path.abspath(folder / "bin" / "python"))
