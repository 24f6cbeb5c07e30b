"""Whatever is set, and whatever happened to a file: a command ends well or in one sentence, which
names a key, a file or a column; no traceback reaches anybody. Minutes: `make test-slow`.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import fault, limited_memory, run
from damaged_files import COLUMNS, Shelf, remove_all
from random_arguments import commands as commands_on_runs
from random_settings import SECTIONS, commands, write_tables

SEED = 12
SETTINGS, FILES, ARGUMENTS = 2_000, 500, 500
# so that a failure comes early
PARTS = 10
SHELVES = 2

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in; without published data, with a bounded memory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with limited_memory():
        yield tmp_path


@pytest.mark.parametrize("part", range(PARTS))
def test_random_settings_end_in_a_run_or_a_sentence(folder: Path, part: int) -> None:
    write_tables(folder)
    faults, endings = [], set()
    for number, command in enumerate(commands(SETTINGS // PARTS, SEED * PARTS + part)):
        arguments = [*command.arguments, f"hydra.run.dir=run{number}"]
        ending = run(["train", *arguments])
        endings.add(ending.code)
        if found := fault(ending, SECTIONS):
            faults.append(f"recsys train {' '.join(arguments)}\n{found}")
    assert not faults, "\n\n".join(faults)
    assert endings == {0, 2}  # some were valid, and some were not


@pytest.mark.parametrize("part", range(SHELVES))
def test_damaged_files_end_in_a_sentence(folder: Path, part: int) -> None:
    shelf, faults, endings = Shelf(folder), [], set()
    for command in shelf.commands(FILES // SHELVES, SEED + part):
        ending = run(command.arguments)
        endings.add(ending.code)
        if found := fault(ending, [command.file.name, command.file.parts[0], *COLUMNS]):
            words = f"recsys {' '.join(command.arguments)} ({command.file}: {command.damage})"
            faults.append(f"{words}\n{found}")
    assert not faults, "\n\n".join(faults)
    assert endings >= {0, 2}


def test_random_arguments_end_in_a_result_or_a_sentence(folder: Path) -> None:
    Shelf(folder)
    shutil.copytree(folder, whole := folder.with_name("whole"))
    faults, endings = [], set()
    for command in commands_on_runs(ARGUMENTS, SEED):
        ending = run(command.arguments)
        endings.add(ending.code)
        if found := fault(ending, [*command.keys, *COLUMNS]):
            faults.append(f"recsys {' '.join(command.arguments)}\n{found}")
        for file in folder.iterdir():  # what it wrote, perhaps over what was there
            remove_all(file)
        shutil.copytree(whole, folder, dirs_exist_ok=True)
    assert not faults, "\n\n".join(faults)
    assert endings >= {0, 2}


def test_a_traceback_is_a_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        print("Traceback (most recent call last):", file=sys.stderr)
        return 2

    def raises(*_: object) -> int:
        raise KeyError("lost")

    def in_a_process(*_: object) -> int:
        code = "raise KeyError('lost')"
        subprocess.run([sys.executable, "-c", code], check=False)
        print("error: bundle", file=sys.stderr)
        return 2

    for command in (broken, raises, in_a_process):
        monkeypatch.setattr("recsys.inference.commands.verify_command", command)
        assert "Traceback" in str(fault(run(["verify", "bundle"]), ["bundle"]))
