"""What an import leaves behind: the lines that it could not take, and while it is under way, a note of how far it is.

The lines gather in `<name>.part`, the note is `<name>.progress`; it is written after the commit that it speaks of and
after the lines that it counts, so that whoever goes on by it leaves nothing out. A finished import has neither: the
lines lie under their name, if there are any.
"""

import csv
import fcntl
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, Self

from app.conversions.csv_records import Form
from app.conversions.order_file import REJECTED, Entry
from app.conversions.table import NOTES, Table
from app.errors import Conflict, NotFound


class Writer(Protocol):
    """How rejected lines are written in the format of the file that they come from."""

    def head(self) -> bytes:
        """Return what stands above them."""

    def lines(self, entry: Entry, code: str, reason: str) -> bytes:
        """Return the lines of an entry, each with the reason."""


class CsvWriter:
    """The same columns, and behind them the line's number, the code and the reason."""

    def __init__(self, table: Table, form: Form) -> None:
        self._table, self._form = table, form

    def head(self) -> bytes:
        """Return the header."""
        return self._row([*self._table.header[: self._table.notes_from], *NOTES])

    def lines(self, entry: Entry, code: str, reason: str) -> bytes:
        """Return the lines as they came; what is no record of the file's width is one cell, and keeps its place so."""
        return b"".join(self._line(entry, place, code, reason) for place in range(entry.first, entry.end))

    def _line(self, entry: Entry, place: int, code: str, reason: str) -> bytes:
        block, table = entry.block, self._table
        told = reason.encode(self._form.encoding, "replace").decode(self._form.encoding)
        notes, cells = [str(block.line_of(place)), code, told], block.rows[place]
        if len(cells) == table.width and table.notes_from is None:
            return block.raw(place).rstrip(b"\r\n") + self._form.delimiter.encode() + self._row(notes)
        if len(cells) != table.width:
            text = block.raw(place).decode(self._form.encoding, "surrogateescape").rstrip("\r\n")
            cells = [text, *[""] * (table.width - 1)]
        return self._row([*cells[: table.notes_from], *notes])

    def _row(self, cells: Sequence[str]) -> bytes:
        out = io.StringIO(newline="")
        csv.writer(out, delimiter=self._form.delimiter, lineterminator="\r\n").writerow(cells)
        return out.getvalue().encode(self._form.encoding, "surrogateescape")


class NdjsonWriter:
    """The same bodies with a member more, or the line as a text where it is no JSON object."""

    def head(self) -> bytes:
        """Return nothing: bodies need no header."""
        return b""

    def lines(self, entry: Entry, code: str, reason: str) -> bytes:
        """Return the line with its number, the code and the reason."""
        raw, notes = entry.block.raw(entry.first).strip(), {"code": code, "reason": reason}
        told: dict[str, Any] = {"line": entry.block.line_of(entry.first), **notes}
        body = _object(raw)
        if body:
            members = {key: value for key, value in body.items() if key != REJECTED}
            if REJECTED in body:  # of an import before; a number with a fraction is a text now, which means the same
                raw = json.dumps(members, ensure_ascii=False).encode()
            return raw[:-1] + (b", " if members else b"") + json.dumps({REJECTED: told}).encode()[1:] + b"\n"
        return json.dumps({REJECTED: told | {"text": raw.decode(errors="replace")}}).encode() + b"\n"


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(raw, parse_float=str)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class NoRejects:
    """Keeps nothing, for an import that only tries."""

    note: Final[Mapping[str, Any]] = {}

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""

    def add(self, lines: bytes) -> None:
        """Forget lines."""

    def take_note(self, facts: Mapping[str, Any]) -> None:
        """Forget how far it is."""

    def finish(self, *, any_lines: bool) -> None:
        """Leave nothing."""


class Rejects:
    """The rejected lines of one import at a time, and its note."""

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path, self._identity = path, dict(identity)
        self._part = path.with_name(f"{path.name}.part")
        self._progress = path.with_name(f"{path.name}.progress")

    def __enter__(self) -> Self:
        """Be the only import that writes here. Raises Conflict, NotFound."""
        try:
            self._file = self._part.open("ab")
        except OSError as error:
            raise NotFound(
                f"Rejected lines cannot be written to {self._part}: {error.strerror}; name another place by --rejects.",
                code="FILE_UNWRITABLE",
            ) from error
        try:
            self._claim()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Leave everything as it is, for whoever goes on."""
        self._file.close()

    def _claim(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"Another import writes to {self._part}; wait for its end.") from None
        if self.path.exists():
            if not self._progress.exists() and not self._part.stat().st_size:
                self._part.unlink()
            raise Conflict(
                f"{self.path} holds the rejected lines of an import before; move it away, or name another file by"
                " --rejects."
            )
        self.note = self._read_note()
        """What was noted last by an import that did not end; empty if none is under way."""
        self._file.truncate(self.note.get("size", 0))

    def _read_note(self) -> dict[str, Any]:
        try:
            noted: dict[str, Any] = json.loads(self._progress.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError:
            noted = {}
        if noted.get("identity") != self._identity or self._part.stat().st_size < noted["size"]:
            raise Conflict(
                f"{self._progress} is of an import that did not end, of another file, of what this file was before, or"
                " with other options. End that one by the same command, or delete this note and begin anew: orders that"
                " are recorded stay and are not doubled."
            )
        return noted

    def add(self, lines: bytes) -> None:
        """Append lines."""
        self._file.write(lines)

    def take_note(self, facts: Mapping[str, Any]) -> None:
        """Make the lines so far durable, and then what is known of them."""
        self._file.flush()
        os.fsync(self._file.fileno())
        written = self._progress.with_name(f"{self._progress.name}.part")
        with written.open("wb") as file:
            file.write(json.dumps({"identity": self._identity, "size": self._file.tell(), **facts}).encode())
            file.flush()
            os.fsync(file.fileno())
        written.replace(self._progress)
        self._sync_folder()

    def finish(self, *, any_lines: bool) -> None:
        """End the import: the lines get their name, unless there are none."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._progress.unlink(missing_ok=True)
        if any_lines:
            self._part.replace(self.path)
        else:
            self._part.unlink()
        self._sync_folder()

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
