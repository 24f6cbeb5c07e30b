"""Text files of cells: how they are written, and whether every line of them is a row."""

import codecs
import csv
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow as pa

from recsys.errors import ConfigError, DataError

_TEXT = (".csv", ".tsv", ".txt")
_COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
# words that need no quotes on a command line
SEPARATORS = {
    "comma": ",",
    "semicolon": ";",
    "pipe": "|",
    "tab": "\t",
    "space": " ",
    "\\t": "\t",
}
_NO_SEPARATORS = ('"', "\n", "\r")
# Bytes read at once.
_BLOCK = 2**24
# first bytes of files that are called text by mistake, and what to do with them
_BEGINNING = 2**12
_NO_TEXT = {
    b"\x1f\x8b": "compressed by gzip: let its name end with .gz",
    b"\x28\xb5\x2f\xfd": "compressed by Zstandard: let its name end with .zst",
    b"BZh9": "compressed by bzip2: let its name end with .bz2",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook: unpack it, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel workbook: save it as CSV",
    b"PAR1": "a Parquet file: let its name end with .parquet",
    b"SQLite format 3": "an SQLite database: name it as sqlite:///FILE",
}


def is_parquet(path: Path) -> bool:
    """Whether a path is of Parquet: a file, or a folder of such."""
    return path.suffix.lower() == ".parquet" or path.is_dir()


def require_ending(path: Path, where: str) -> None:
    """Raises DataError where the ending of a path is that of no table."""
    if not is_parquet(path) and _ending(path) not in _TEXT:
        raise DataError(
            f"{where} has the ending {path.suffix!r}: use {', '.join(_TEXT)} (each also"
            f" {', '.join(_COMPRESSED)}) or .parquet, a folder of .parquet files, or a SQL URL"
            " (scheme://…)"
        )


def compression(path: Path) -> str | None:
    """How a file is compressed, by its ending."""
    return _COMPRESSED.get(path.suffix.lower())


def _ending(path: Path) -> str:
    return (path.with_suffix("") if compression(path) else path).suffix.lower()


@dataclass(frozen=True)
class TextFormat:
    """How a text file is written.

    Attributes:
        separator: one character, or its name: comma, semicolon, pipe, tab or space; None: a comma,
            in .tsv a tab.
        encoding: as Python calls it: utf-8, latin-1, cp1252, utf-16; None: utf-8.
        multiline: cells may hold line breaks.
        section: what stands before the names of these settings in errors.
    """

    separator: str | None = None
    encoding: str | None = None
    multiline: bool = False
    section: str = "data."

    def __post_init__(self) -> None:
        section, separator = self.section, self.separator
        mark = SEPARATORS.get(separator, separator) if separator is not None else ","
        if len(mark) != 1 or not mark.isascii():
            raise ConfigError(
                f"{section}separator={separator!r}: it has to be comma, semicolon, pipe, tab or"
                " space, or another character of ASCII"
            )
        if mark in _NO_SEPARATORS:
            raise ConfigError(
                f"{section}separator={separator!r}: a quote or a line end cannot separate cells;"
                " choose comma, semicolon, pipe, tab or space"
            )
        try:
            encoding = self.encoding or "utf-8"
            cells = "a,b\n".encode(encoding)  # a codec of bytes, as zlib, encodes no text
            codecs.getincrementaldecoder(encoding)("replace").decode(cells)
        except (LookupError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{section}encoding={self.encoding!r} is not known; choose utf-8, latin-1, cp1252"
                " or utf-16"
            ) from error

    def require_idle(self, label: str) -> None:
        """Raises ConfigError where something is set: a table that is no text takes none of it."""
        for name in ("separator", "encoding", "multiline"):
            if value := getattr(self, name):
                raise ConfigError(
                    f"{self.section}{name}={value!r} has no effect on {label}, which is no text"
                    " file; leave it out"
                )

    def delimiter(self, path: Path) -> str:
        """What separates the cells of a file."""
        if self.separator is not None:
            return SEPARATORS.get(self.separator, self.separator)
        return "\t" if _ending(path) == ".tsv" else ","


@dataclass(frozen=True)
class TextFile:
    """A text file of cells.

    Attributes:
        path: of the file.
        format: how it is written.
        where: what errors call it.
    """

    path: Path
    format: TextFormat
    where: str

    @property
    def encoding(self) -> str:
        """Of the file."""
        return self.format.encoding or "utf-8"

    @property
    def delimiter(self) -> str:
        """Between cells."""
        return self.format.delimiter(self.path)

    def binary(self) -> "pa.NativeFile":
        """The bytes of the file, decompressed."""
        return pa.input_stream(str(self.path), compression=compression(self.path))

    def text(self) -> TextIO:
        """The characters of the file, with its line ends as they are."""
        stream = io.TextIOWrapper(
            self.binary(), encoding=self.encoding, errors="replace", newline=""
        )
        csv.field_size_limit(sys.maxsize)
        return stream

    def header(self, encoding: str | None = None) -> str:
        """The first line that is not empty."""
        named = replace(self, format=replace(self.format, encoding=encoding))
        with named.text() as file:
            return next(filter(str.strip, file), "")

    def line(self, row: int) -> int:
        """Last line of a row, the header being row -1; cells may hold line breaks, and blank lines
        are no rows.
        """
        with self.text() as file:
            reader = csv.reader(file, delimiter=self.delimiter)
            next(islice(filter(None, reader), row + 1, None), None)
            return reader.line_num

    def require_encoding(self) -> None:
        """Raises DataError where the file is UTF-16, which nobody said, or no text at all."""
        with self.binary() as file:
            start = file.read(_BEGINNING)
        for begins, what in _NO_TEXT.items():
            if start.startswith(begins):
                raise DataError(f"{self.where} is {what}")
        if self.format.encoding is not None:
            return
        section = self.format.section
        if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise DataError(
                f"{self.where} is UTF-16: set {section}encoding=utf-16, or save it as UTF-8"
            )
        if (at := start.find(b"\0")) < 0:
            return
        if 4 * start.count(b"\0") < len(start):
            line = start[:at].count(b"\n") + 1
            raise DataError(
                f"{self.where}, line {line:,} holds a zero byte, which no UTF-8 text has: take it"
                f" out, or set {section}encoding=utf-16-le if the file is UTF-16"
            )
        likely = "utf-16-le" if at % 2 else "utf-16-be"
        raise DataError(
            f"{self.where} holds zero bytes, which no UTF-8 text has: set"
            f" {section}encoding={likely} if it is UTF-16, or save it as UTF-8"
        )

    def encoding_error(self) -> str:
        """What is wrong with the bytes of the file, and where."""
        choose = (
            f"set {self.format.section}encoding to latin-1, cp1252 or another, or save it as UTF-8"
        )
        decoder = codecs.lookup(self.encoding).incrementaldecoder("strict")
        lines = 1
        with self.binary() as file:
            while True:
                block = file.read(_BLOCK)
                try:
                    lines += decoder.decode(block, final=not block).count("\n")
                except UnicodeError as error:
                    lines += block[: getattr(error, "start", 0)].count(b"\n")
                    return f"{self.where}, line {lines:,} is not {self.encoding} text: {choose}"
                if not block:
                    return f"{self.where} is not {self.encoding} text: {choose}"

    def is_encoded(self, encoding: str) -> bool:
        """Whether the file is text of an encoding."""
        decoder = codecs.lookup(encoding).incrementaldecoder("strict")
        with self.binary() as file:
            try:
                while block := file.read(_BLOCK):
                    decoder.decode(block)
                decoder.decode(b"", final=True)
            except UnicodeError:
                return False
        return True

    def require_lines(self, rows: int) -> None:
        """Raises DataError where a quote is not closed, which makes one cell of all that follows,
        or where the file has more lines than a header and so many rows, unless cells may have
        several.
        """
        if self.format.multiline:
            self._require_closed()
            return
        lines, last = self._lines()
        if lines == rows + 1 and _is_closed(last, self.delimiter):
            return
        with self.text() as file:
            reader, before = csv.reader(file, delimiter=self.delimiter), 0
            for cells in reader:
                if reader.line_num > before + 1:
                    broken = next((cell for cell in cells if "\n" in cell or "\r" in cell), "")
                    raise self._broken(broken, before + 1, f"ends in line {reader.line_num:,}")
                line = before = reader.line_num
        if not _is_closed(last, self.delimiter):
            raise self._broken(cells[-1], line, "is never closed")

    def _broken(self, cell: str, line: int, what: str) -> DataError:
        start = cell.splitlines()[0][:40] if cell.strip() else ""
        return DataError(
            f"{self.where}, line {line:,}: the cell that begins with {start!r} {what}: close its"
            f" quote, or double a quote inside it, or set {self.format.section}multiline=true if"
            " the cell has these lines"
        )

    def _require_closed(self) -> None:
        with self.text() as file:
            reader, line = csv.reader(file, delimiter=self.delimiter, strict=True), 0
            try:
                for _ in reader:
                    line = reader.line_num
            except csv.Error as error:
                raise DataError(
                    f"{self.where}, line {line + 1:,}: a quote that is not closed, or stands inside"
                    f" a cell ({error}): close it, or double a quote inside a cell"
                ) from error

    def _lines(self) -> tuple[int, str]:
        """Lines that are not empty, and the last of them."""
        lines, at_end, last = 0, True, b""
        for block in self._blocks():
            character = np.frombuffer(block, np.uint8)
            if not character.all():
                line = lines + int((character[: character.argmin()] == 10).sum())
                raise DataError(
                    f"{self.where} holds a zero byte near line {max(1, line):,}, which no text has:"
                    " export the table again, or take it out"
                )
            is_end = (character == 10) | (character == 13)
            lines += int((~is_end[1:] & is_end[:-1]).sum()) + int(at_end and not is_end[0])
            at_end = bool(is_end[-1])
            filled = last + block
            begin = filled.rstrip(b"\r\n").replace(b"\r", b"\n").rfind(b"\n") + 1
            last = filled[begin:]
        return lines, last.strip(b"\r\n").decode("utf-8", "replace")

    def _blocks(self) -> Iterator[bytes]:
        """The file as UTF-8."""
        with self.binary() as file:
            is_utf8 = codecs.lookup(self.encoding).name == "utf-8"
            stream = file if is_utf8 else pa.transcoding_input_stream(file, self.encoding, "utf-8")
            while block := stream.read(_BLOCK):
                yield block


def _is_closed(line: str, delimiter: str) -> bool:
    """Whether a line ends outside of quotes."""
    try:
        list(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "unexpected end" not in str(error)
    return True
