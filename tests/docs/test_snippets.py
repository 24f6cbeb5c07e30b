"""The documentation, word for word.

A mark above a block says what is done with it:

    <!-- test: run -->             it is run in the folder of a small shop, in order
    <!-- test: compose -->         its commands are checked: they need data or minutes
    <!-- test: none, REASON -->    neither

A block that begins with the comment "# NAME.py" or "# NAME.yaml" is that file. RUN_FOLDER stands
for the folder that the last training printed.
"""

import json
import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from documentation import PAGES, ROOT, Block, blocks_of, table_commands

from recsys.arguments import parse_arguments
from recsys.cli.export import ExportArguments
from recsys.cli.main import COMMANDS, main
from recsys.cli.sweep import SweepArguments
from recsys.config.composition import compose
from recsys.config.targets import ALLOW
from recsys.inference.commands import AddArguments, ForecastArguments, RecommendArguments
from recsys.tuning.settings import read_settings

NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
_ARGUMENTS = {
    "export": ExportArguments,
    "recommend": RecommendArguments,
    "forecast": ForecastArguments,
    "add": AddArguments,
}
# so that a training takes a second; what is tested is that the command works
SHORT = ["train.max_epochs=1", "logger=none", "trainer.enable_progress_bar=false"]


@pytest.fixture(autouse=True)
def inside(shop, monkeypatch, own_metrics):
    """Runs in the folder of the shop, and forgets its packages afterwards."""
    monkeypatch.chdir(shop)
    monkeypatch.setenv(ALLOW, "")
    monkeypatch.syspath_prepend(shop)
    yield
    _forget_the_shop()


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_block_says_how_it_is_tested(page):
    silent = [block.line for block in blocks_of(page) if block.mark is None]
    assert not silent, f"{page.name}: blocks in lines {silent} have no <!-- test: … --> above"
    empty = [b.line for b in blocks_of(page) if b.mark == "none" and not b.note]
    assert not empty, f"{page.name}: blocks in lines {empty} are not tested and say not why"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_blocks_of_a_page_run(page, capsys):
    names: dict[str, object] = {"__name__": "__main__"}
    run_folder = ""
    for block in blocks_of(page):
        if block.mark != "run":
            continue
        if block.file is not None:
            _write(block)
        elif block.language == "python":
            code = compile(block.text, f"{page.name}, line {block.line}", "exec")
            exec(code, names)
        else:
            for words in block.commands():
                run_folder = _run(words, run_folder, block, capsys)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_that_are_not_run_are_right(page):
    for block in blocks_of(page):
        if block.file is not None:
            _write(block)
        if block.mark == "compose":
            for words in block.commands():
                _check(words)


def _write(block):
    file = Path(block.file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(block.text, encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_in_tables_compose(page):
    for arguments in table_commands(page):
        compose(arguments)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_and_anchors_exist(page):
    for target in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [each.lower().replace(" ", "-") for each in headings]
            assert anchor in anchors, f"{page.name} links to {target}"


def test_the_notebook_runs_from_top_to_bottom():
    notebook = json.loads((ROOT / "docs" / "tour.ipynb").read_text(encoding="utf-8"))
    names: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"tour.ipynb, cell {number}", "exec"), names)
    left, right = names["item_ids"][0], names["item_ids"][1]
    # the favourite departments of customers 1 and 2
    assert sum(40 <= int(item) < 80 for item in left) >= 3
    assert sum(80 <= int(item) < 120 for item in right) >= 3


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 100
    assert max(map(len, lines)) <= 120


def _forget_the_shop() -> None:
    """As in the new process that a command is."""
    for name in [each for each in sys.modules if each.partition(".")[0] == "myshop"]:
        del sys.modules[name]


def _run(words: list[str], run_folder: str, block: Block, capsys) -> str:
    """Runs `recsys …`; returns the last folder that a training printed."""
    program, command, *arguments = words
    assert program == "recsys", f"line {block.line}: only recsys commands are run"
    arguments = [each.replace("RUN_FOLDER", run_folder) for each in arguments]
    repeats = any(each.startswith(("rerun=", "train.resume=")) for each in arguments)
    if command == "train" and not repeats:
        arguments += SHORT
        if "data=transactions_sales" in arguments and not any(
            a.startswith("model=") for a in arguments
        ):
            arguments += ["loss.batches=2", "model.context_length=8"]
    _forget_the_shop()
    before, sys.argv = sys.argv, ["recsys"]
    try:
        code = main([command, *arguments])
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.argv = before
    printed = capsys.readouterr()
    assert code in (0, None), f"line {block.line}: {' '.join(words)}\n{printed.err}"
    return printed.out.strip().splitlines()[-1] if command == "train" else run_folder


def _check(words: list[str]) -> None:
    """Checks a command line without running it."""
    program, *arguments = words
    if program == "make":
        targets = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert all(re.search(rf"^{name}:", targets, re.M) for name in arguments), words
    elif program == "recsys":
        command, *others = arguments
        assert command in COMMANDS
        if command == "train":
            _compose(others)
        elif command == "sweep":
            _check_sweep(others)
        else:
            parse_arguments(_ARGUMENTS[command], others, command)
    else:
        assert program in ("git", "cd", "source"), words


def _compose(arguments: list[str]) -> None:
    if "--cfg" in arguments:
        arguments = arguments[: arguments.index("--cfg")]
    many = "-m" in arguments
    plain = [each for each in arguments if each != "-m" and not each.startswith("hydra/")]
    compose([each.partition(",")[0] if many else each for each in plain])


def _check_sweep(arguments: list[str]) -> None:
    known = {field.name for field in fields(SweepArguments)}
    own = [each for each in arguments if each.partition("=")[0] in known]
    given = parse_arguments(SweepArguments, own, "recsys sweep")
    others = [each for each in arguments if each not in own]
    assert given.sweep is not None
    read_settings(given.sweep, others, given.sampler, given.pruner)[0].base()
