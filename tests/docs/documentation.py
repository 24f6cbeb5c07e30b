"""Code blocks of the documentation, and what their marks say."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
_MARK = re.compile(r"<!-- test: (run|compose|none)(?:, (.*?))? -->")
_TESTED = ("python", "sh", "yaml")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: after the fence.
        text: without the fences.
        line: of the opening fence, from 1.
        mark: run, compose or none; None where there is none.
        note: the rest of the mark: why it is not tested.
    """

    language: str
    text: str
    line: int
    mark: str | None
    note: str

    @property
    def file(self) -> str | None:
        """The file that the block shows, by its first line `# folder/name.py`."""
        found = re.match(r"# (\S+\.(?:py|yaml))\n", self.text)
        return found[1] if found else None

    def commands(self) -> list[list[str]]:
        """Command lines as words: continued lines joined, comments left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        found = [shlex.split(line, comments=True) for line in lines]
        single: list[list[str]] = []
        for words in filter(None, found):
            single.append([])
            for word in words:
                if word == "&&":
                    single.append([])
                else:
                    single[-1].append(word)
        return single


def blocks_of(page: Path) -> list[Block]:
    """Every block of a page in a language that is tested, in order."""
    found, lines = [], page.read_text(encoding="utf-8").splitlines()
    start = None
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if start is None:
            start = number
            continue
        language = lines[start].removeprefix("```").strip()
        if language in _TESTED:
            mark = _MARK.fullmatch(lines[start - 1].strip())
            text = "\n".join(lines[start + 1 : number]) + "\n"
            kind, note = (mark[1], mark[2] or "") if mark else (None, "")
            found.append(Block(language, text, start + 1, kind, note))
        start = None
    return found


def table_commands(page: Path) -> list[list[str]]:
    """Arguments of `recsys train` in tables whose last heading is "command: `recsys train …`"."""
    found, prefix = [], None
    for line in page.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            prefix = None
            continue
        last = line.strip("|").split("|")[-1]
        if (heading := re.search(r"command: `recsys train (.*)…`", last)) is not None:
            prefix = heading[1].split()
        elif prefix is not None and (cell := re.match(r"\s*`([^`]*=[^`]*)`", last)) is not None:
            found.append([*prefix, *cell[1].split()])
    return found
