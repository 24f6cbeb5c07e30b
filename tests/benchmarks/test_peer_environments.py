import json
import os
import subprocess
import sys
from pathlib import Path

import benchmark
import pytest
from benchmarks import environments
from benchmarks.environments import REQUIREMENTS, chosen, python_of
from benchmarks.rounds import Side, run

from recsys.errors import ConfigError, DataError

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def installed(tmp_path):
    folder = tmp_path / "implicit"
    folder.mkdir()
    (folder / ".ready").write_text((REQUIREMENTS / "implicit.txt").read_text())
    return tmp_path


def test_every_peer_has_requirements_with_its_version():
    for peer in environments.PEERS:
        assert f"{peer}==" in (REQUIREMENTS / f"{peer}.txt").read_text()


def test_a_missing_environment_says_how_to_make_it(tmp_path):
    with pytest.raises(ConfigError, match="recbole is not installed in .*: run python scripts/"):
        python_of("recbole", tmp_path)
    with pytest.raises(ConfigError, match=f"peers=recbole environments={tmp_path}"):
        python_of("recbole", tmp_path)


def test_a_missing_environment_in_its_usual_place_is_made_by_make(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="implicit is not installed .*: run make peers"):
        python_of("implicit", environments.FOLDER)


def test_the_python_of_an_environment_is_absolute_and_no_link_is_followed(installed, monkeypatch):
    monkeypatch.chdir(installed)
    (installed / "implicit" / "bin").mkdir()
    (installed / "implicit" / "bin" / "python").symlink_to(sys.executable)
    assert python_of("implicit", Path()) == installed / "implicit" / "bin" / "python"


def test_an_environment_of_other_requirements_is_refused(installed):
    (installed / "implicit" / ".ready").write_text("implicit==0.1\n")
    with pytest.raises(ConfigError, match="installed from other requirements"):
        python_of("implicit", installed)


def test_an_environment_that_is_ready_is_not_installed_again(installed, monkeypatch, capsys):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("installs again"))
    arguments = environments.EnvironmentArguments(peers="implicit", environments=installed)
    environments.environments(arguments)
    assert "is ready" in capsys.readouterr().out


def test_a_failed_installation_is_not_ready(tmp_path, monkeypatch):
    def fails(command, check=False):
        if "pip" in command:
            return subprocess.CompletedProcess(command, 1)
        (tmp_path / "implicit").mkdir()
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", fails)
    arguments = environments.EnvironmentArguments(peers="implicit", environments=tmp_path)
    with pytest.raises(ConfigError, match="pip could not install implicit"):
        environments.environments(arguments)
    with pytest.raises(ConfigError, match="not installed"):
        python_of("implicit", tmp_path)


def test_an_installed_environment_is_ready(tmp_path, monkeypatch):
    def works(command, check=False):
        (tmp_path / "implicit").mkdir(exist_ok=True)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", works)
    arguments = environments.EnvironmentArguments(peers="implicit", environments=tmp_path)
    environments.environments(arguments)
    assert python_of("implicit", tmp_path).parts[-3:] == ("implicit", "bin", "python")


def test_peers_are_named_once_and_known():
    assert chosen("implicit, recbole,implicit") == ["implicit", "recbole"]
    with pytest.raises(ConfigError, match="did you mean recbole"):
        chosen("recbol")
    with pytest.raises(ConfigError, match="names none"):
        chosen(",")


@pytest.fixture
def side(tmp_path):
    """A side whose Python is a shell script."""

    def build(script: str, **environment: str) -> Side:
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        return Side("peer", python, "some_peer", environment)

    return build


def test_a_worker_reads_its_request_and_gets_the_threads_in_a_folder_of_its_own(side, tmp_path):
    # $4 is the request: python -P -m module request
    answers = (
        'echo "{\\"request\\": $(cat $4), \\"module\\": \\"$3\\", \\"omp\\": $OMP_NUM_THREADS,'
        ' \\"blas\\": $OPENBLAS_NUM_THREADS, \\"here\\": \\"$PWD\\",'
        ' \\"path\\": \\"$PYTHONPATH\\"}" > result.json'
    )
    answer = run(side(answers, OPENBLAS_NUM_THREADS="1"), {"epochs": 3}, threads=2)
    assert answer["request"]["epochs"] == 3
    assert answer["request"]["threads"] == 2
    assert answer["module"] == "benchmarks.some_peer"
    assert (answer["omp"], answer["blas"]) == (2, 1)
    assert answer["path"].split(os.pathsep) == [str(SCRIPTS), str(SCRIPTS.parent)]
    assert answer["here"] != str(Path.cwd())
    assert not Path(answer["here"]).exists()


def test_a_worker_that_fails_says_its_last_lines(side):
    with pytest.raises(DataError, match=r"peer failed \(exit code 3\): .*out of luck"):
        run(side("echo out of luck >&2; exit 3"), {}, threads=1)
    with pytest.raises(DataError, match="exit code 0"):
        run(side("true"), {}, threads=1)


def test_the_peak_memory_of_a_worker_is_its_own(tmp_path):
    held = bytearray(300_000_000)
    held[::4096] = b"1" * len(held[::4096])  # touched, so that the parent really holds it
    request = tmp_path / "request.json"
    result = tmp_path / "result.json"
    request.write_text(json.dumps({"result": str(result), "size": 60_000_000}))
    # memory that is reserved and never touched is not held
    worker = (
        "import mmap\n"
        "from benchmarks.worker import serve\n"
        "reserved = mmap.mmap(-1, 10**9)\n"
        "serve(lambda request: {'length': len(b'1' * request['size'])})"
    )
    subprocess.run(
        [sys.executable, "-c", worker, str(request)],
        check=True,
        env={"PYTHONPATH": str(SCRIPTS)},
    )
    answer = json.loads(result.read_text())
    assert answer["length"] == 60_000_000
    assert 60 < answer["peak_mb"] < 200
    del held


def test_peers_say_what_is_missing_before_anything_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "peers", f"environments={tmp_path}"])
    assert benchmark.main() == 2
    assert "error: recbole is not installed" in capsys.readouterr().err


def test_what_can_be_measured_is_named(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "speed"])
    assert benchmark.main() == 2
    assert (
        "benchmark.py training|forecasting|scale|peers|defaults|environments"
        in capsys.readouterr().err
    )


def test_every_measurement_explains_its_settings(monkeypatch, capsys):
    for name in benchmark.MEASUREMENTS:
        monkeypatch.setattr(sys, "argv", ["benchmark.py", name, "help"])
        with pytest.raises(SystemExit) as leaves:
            benchmark.main()
        assert leaves.value.code == 0
        assert f"usage: python scripts/benchmark.py {name}" in capsys.readouterr().out
