"""The records of a CSV file with the bytes that they came from, in bounded memory whatever is in it.

RFC 4180, strictly, with the delimiter and the encoding of whoever wrote it; lines may end in CRLF or LF. What cannot be
read is a record too, broken for a reason, and reading goes on behind its first line.
"""

import codecs
import csv
import io
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, BinaryIO, Final

from app.errors import Fault, InvalidFile

PIECE: Final = 1 << 17
"""Bytes that are read at a time, and that a record may have if it goes over several lines."""
MAX_LINE: Final = 1 << 20

_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BEYOND_END: Final = "unexpected end"
_UNREADABLE: Final = {
    _BEYOND_END: "A quote is opened in this line and never closed; close it.",
    "field larger": "A value is far too long, or its quote is never closed; shorten or close it.",
    "new-line": "A carriage return stands within the line; end lines with CRLF or LF.",
}
_MISQUOTED: Final = 'A quote stands within a value; write every quote in it twice, like "19"" rack".'


@dataclass(frozen=True, slots=True)
class Form:
    """How the text of a file is written."""

    delimiter: str = ","
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Block:
    """Some records that follow each other: `rows` are their cells, `starts` the lines of `data` where each begins.

    `line` is the number of the first line in the file; `broken` says of records by their place why they have no cells.
    """

    data: bytes
    line: int
    rows: list[list[str]]
    starts: Sequence[int]
    broken: dict[int, Fault] = field(default_factory=dict)

    @cached_property
    def _lines(self) -> list[bytes]:
        return self.data.removesuffix(b"\n").split(b"\n")

    def line_of(self, place: int) -> int:
        """Return the number of the line at which a record begins."""
        return self.line + self.starts[place]

    def raw(self, place: int) -> bytes:
        """Return a record as it came, without its last line end."""
        end = self.starts[place + 1] if place + 1 < len(self.starts) else len(self._lines)
        return b"\n".join(self._lines[self.starts[place] : end])

    def size_from(self, place: int) -> int:
        """Return how many bytes there are from a record on."""
        return len(self.data) - sum(len(line) + 1 for line in self._lines[: self.starts[place]])


class Lines:
    """A file in blocks of whole lines from `offset` on, up to `size` bytes of it; each line is a record."""

    def __init__(self, content: BinaryIO, *, size: int, offset: int = 0, line: int = 1) -> None:
        self.offset, self.line = offset, line
        """Where the next block begins."""
        self._content, self._left = content, size - offset
        self._rest = b""
        content.seek(offset)

    def read(self) -> Block | None:
        """Return the next block, None behind the last one. Raises InvalidFile."""
        while True:
            data = self._content.read(min(PIECE, self._left))
            self._left -= len(data)
            ended = not data or not self._left
            data = self._without_mark(self._rest + data)
            end = len(data) if ended else data.rfind(b"\n") + 1
            if len(data) - end > MAX_LINE:
                raise InvalidFile(
                    f"Line {self.line + data.count(10):,} has more than {MAX_LINE:,} bytes: this is no file of lines"
                    " that end in CRLF or LF. Nothing of it can be read; save it anew."
                )
            block = self._parse(data[:end], final=ended or end > MAX_LINE)
            self._rest = data[len(block.data) :]
            self.offset += len(block.data)
            self.line += block.data.count(b"\n")
            if block.starts:
                return block
            if ended:
                return None

    def put_back(self, block: Block, place: int) -> None:
        """Let the next block begin with the record at this place of the one that was read last."""
        size = block.size_from(place)
        self._rest = block.data[len(block.data) - size :] + self._rest
        self.offset -= size
        self.line = block.line_of(place)

    @property
    def have_ended(self) -> bool:
        """Whether there is nothing behind the block that was read last."""
        return not self._left and not self._rest

    def _parse(self, data: bytes, *, final: bool) -> Block:  # noqa: ARG002 (a line never goes on)
        lines = data.removesuffix(b"\n").split(b"\n") if data else []
        return Block(data, self.line, [], [place for place, line in enumerate(lines) if line.strip()])

    def _without_mark(self, data: bytes) -> bytes:
        if self.offset or not data.startswith((codecs.BOM_UTF8, *_UTF16_MARKS)):
            return data
        if data.startswith(_UTF16_MARKS):
            raise InvalidFile("The file is UTF-16; save it as UTF-8.")
        self.offset = len(codecs.BOM_UTF8)
        return data.removeprefix(codecs.BOM_UTF8)


class Records(Lines):
    """The same for a CSV file, whose records may go over several lines."""

    def __init__(self, content: BinaryIO, form: Form, *, size: int, offset: int = 0, line: int = 1) -> None:
        super().__init__(content, size=size, offset=offset, line=line)
        self._form = form

    def _parse(self, data: bytes, *, final: bool) -> Block:
        return _parse(data, self.line, self._form, final=final)


def _parse(data: bytes, line: int, form: Form, *, final: bool) -> Block:
    """Return the records of whole lines, without one at their end that goes on unless this is `final`."""
    text = data.decode(form.encoding, "surrogateescape")
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows.extend(_reader(io.StringIO(text, newline="\n"), form))
    if len(rows) == data.count(b"\n") + (not data.endswith(b"\n")) and all(rows):
        return Block(data, line, rows, range(len(rows)))
    return _parse_line_by_line(data, text, line, form, final=final)


def _reader(lines: Iterable[str], form: Form) -> Any:
    return csv.reader(lines, delimiter=form.delimiter, strict=True)


def _parse_line_by_line(data: bytes, text: str, line: int, form: Form, *, final: bool) -> Block:
    lines, place = list(io.StringIO(text, newline="\n")), 0
    block = Block(data, line, [], starts := [])
    while place < len(lines):
        reader, read = _reader(lines[place:], form), 0
        try:
            for row in reader:
                if row:  # a blank line is no record
                    block.rows.append(row)
                    starts.append(place + read)
                read = reader.line_num
            break
        except csv.Error as error:
            place += read
            if not final and _BEYOND_END in str(error):
                end = sum(len(one) + 1 for one in data.split(b"\n")[:place])
                return Block(data[:end], line, block.rows, starts, block.broken)
            block.broken[len(block.rows)] = _about(str(error))
            block.rows.append([])
            starts.append(place)
            place += 1
    return block


def _about(error: str) -> Fault:
    return Fault("QUOTING", next((sentence for part, sentence in _UNREADABLE.items() if part in error), _MISQUOTED))
