"""Reading a CSV file record by record, in bounded memory whatever is in it.

RFC 4180, strictly: what cannot be read as such is reported with its line, and reading goes on behind it. Lines may end
in CRLF or LF, since impact.com's documents name neither.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import BinaryIO, Final, NamedTuple

from app.check.findings import Finding, Severity
from app.errors import NotFound

MAX_LINE: Final = 1 << 18
"""Bytes of a line, or of a record over several lines. All columns at their greatest length are about half of this."""

_CHUNK: Final = 1 << 16
_BLOCK: Final = 256
"""Records of a block."""
_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NO_ASCII_CONTROLS: Final = b"\n\r" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))
_C1_CONTROL = re.compile(rb"\xc2[\x80-\x9f]")
_CONTROL = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n|\Z)")
_STRAY_QUOTE = re.compile(r'"(?<!\A")(?<![,\n"]")(?![,\r\n"]|\Z)')
"""A quote between other text: it neither opens nor closes a cell, nor is it one of a doubled pair."""


class Block(NamedTuple):
    """Some records that follow each other, and the line at which each of them begins."""

    lines: Sequence[int]
    records: list[list[str]]

    @property
    def is_plain(self) -> bool:
        """Whether every record is one line, so that no cell has a line break."""
        return isinstance(self.lines, range)


class Records:
    """The records of a file in blocks, the header alone first; what is wrong with the text goes into `found`."""

    def __init__(self, content: BinaryIO, found: list[Finding]) -> None:
        self._content = content
        self._found = found
        self._records: list[list[str]] = []  # the block that is being read
        self._start = 1  # where it begins
        self._next_line = 1  # the first line that the CSV reader has not been given
        self.misread: set[int] = set()
        """The lines of the block that were misread, and reported already."""

    def __iter__(self) -> Iterator[Block]:
        reader = csv.reader(chain.from_iterable(self._texts()), strict=True)
        size, goes_on = 1, True
        while goes_on:
            unreadable = None
            self._records = []
            try:
                self._records.extend(islice(reader, size))  # what precedes an exception is kept
                goes_on = len(self._records) == size
            except csv.Error as exc:
                unreadable = str(exc)
            block = self._block(reader.line_num)
            if unreadable:
                self._note_unreadable(reader.line_num, unreadable)
            yield block
            size = _BLOCK

    def _block(self, last_line: int) -> Block:
        """Return the records that were read, and go on to the line behind them."""
        first, records = self._start, self._records
        if last_line == first + len(records) - 1:
            self._start = last_line + 1
            return Block(range(first, self._start), records)
        lines = []
        for record in records:
            lines.append(self._start)
            if breaks := sum(cell.count("\n") for cell in record):
                self._note(self._start, "CHECK_LINE_BREAK", "A value has a line break; take it out.", "warning")
            self._start += 1 + breaks
        return Block(lines, records)

    def _note(self, line: int, code: str, detail: str, severity: Severity = "fault") -> None:
        if code in _MISREAD:
            self.misread.add(line)
        self._found.append(Finding(code, line, None, None, detail, severity))

    def _note_unreadable(self, last_line: int, message: str) -> None:
        """Say why the lines from the beginning of the record could not be read, and go on behind them."""
        if self.misread.isdisjoint(range(self._start, last_line + 1)):
            sentence = next((text for part, text in _UNREADABLE.items() if part in message), _MISQUOTED)
            self._note(self._start, "CHECK_QUOTING", sentence)
        self._start = last_line + 1

    # From bytes to text -----------------------------------------------------------------------------------------

    def _texts(self) -> Iterator[io.StringIO]:
        """Yield the file in pieces of whole lines, looking for what no text may have."""
        reached, size = (0, 0), 0  # what had been read when the last piece was asked for, and bytes since then
        for data in self._pieces():
            if reached != (self._start, len(self._records)):
                reached, size = (self._start, len(self._records)), 0
            elif size > MAX_LINE:
                raise csv.Error(_ENDLESS)
            size += len(data)
            self.misread = {line for line in self.misread if line >= self._start}
            text = self._decode(data)
            if _has_control(data):
                self._note_lines(text, _CONTROL, "CHECK_CONTROL_CHARACTER", _CONTROLS)
            if '"' in text and _STRAY_QUOTE.search(text):
                self._note_lines(text, _STRAY_QUOTE, "CHECK_QUOTING", _MISQUOTED)
            self._next_line += data.count(b"\n")
            yield io.StringIO(text, newline="\n")

    def _decode(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            text = data.decode(errors="surrogateescape")
            self._note_lines(text, _UNDECODED, "CHECK_NOT_UTF8", "The line is not UTF-8; save the file as UTF-8.")
            return data.decode(errors="replace")

    def _note_lines(self, text: str, pattern: re.Pattern[str], code: str, detail: str) -> None:
        for number, line in enumerate(io.StringIO(text, newline="\n"), self._next_line):
            if pattern.search(line):
                self._note(number, code, detail)

    def _pieces(self) -> Iterator[bytes]:
        """Yield the file in pieces of whole lines; an empty line stands for one that is too long."""
        rest, skipping = b"", False
        for block in self._blocks():
            data = rest + (block if not skipping else block[block.find(b"\n") :] if b"\n" in block else b"")
            skipping = skipping and not data
            length = data.find(b"\n")
            if length > MAX_LINE or (length < 0 and len(data) > MAX_LINE):
                self._note(self._next_line, "CHECK_LINE_TOO_LONG", _TOO_LONG)
                skipping = length < 0
                data = b"" if skipping else data[length:]
            end = data.rfind(b"\n") + 1
            if end:
                yield data[:end]
            rest = data[end:]
        if rest:
            yield rest

    def _blocks(self) -> Iterator[bytes]:
        data = self._read()
        if data.startswith(_UTF16_MARKS):
            self._note(1, "CHECK_NOT_UTF8", "The file is UTF-16; save it as UTF-8, nothing else was checked.")
            return
        if data.startswith(codecs.BOM_UTF8):
            self._note(1, "CHECK_BYTE_ORDER_MARK", "The file begins with a byte order mark; save it as UTF-8 without.")
            data = data.removeprefix(codecs.BOM_UTF8) or self._read()
        while data:
            yield data
            data = self._read()

    def _read(self) -> bytes:
        try:
            return self._content.read(_CHUNK)
        except OSError as exc:
            raise NotFound(f"The file cannot be read: {exc.strerror}.", code="FILE_UNREADABLE") from exc


def _has_control(data: bytes) -> bool:
    """Say whether a control character may be there beside the line ends."""
    if data.translate(None, _NO_ASCII_CONTROLS) or data.count(b"\r") != data.count(b"\r\n"):
        return True
    return not data.isascii() and _C1_CONTROL.search(data) is not None


_MISREAD = frozenset({"CHECK_LINE_TOO_LONG", "CHECK_QUOTING"})
_UNDECODED = re.compile("[\udc80-\udcff]")
_CONTROLS = "The line has a control character, such as a tab, NUL or lone carriage return; take it out."
_MISQUOTED = 'A quote stands within a cell; put the cell in quotes and write every quote in it twice, like "19"" rack".'
_ENDLESS = "endless record"
_TOO_LONG = f"The line has more than {MAX_LINE:,} bytes and was not read; shorten it."
_UNREADABLE: Final = {
    _ENDLESS: "A record begins here that does not end; close its quotes, what follows was not checked.",
    "unexpected end": "A quote is opened in this record and never closed; close it.",
    "field larger": "A value is far too long, or its quote is never closed; shorten or close it.",
    "new-line": "A carriage return stands within the line; end lines with CRLF or LF.",
}
"""What the CSV reader says, and what we say."""
