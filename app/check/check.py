"""What impact.com would refuse in a conversion file of any layout, or in a file of modifications, whoever made it.

Facts: impact.com's FTP and e-mail conversion guide, its conversion reference, and its lists of error reasons and file
submission errors; which of them a rule comes from is said beside its code. Memory does not grow with the file.
"""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO

from app.check.findings import Finding, shown
from app.check.glance import looks_right
from app.check.header import has_a_line_per_order, read_header
from app.check.modification_header import is_modification, read_modification_header
from app.check.modification_rows import ModificationRows
from app.check.records import Records
from app.check.rows import Rows
from app.check.runs import Runs
from app.errors import NotFound

Watch = Callable[[BinaryIO], AbstractContextManager[BinaryIO]]

SHOWN_PER_CODE: Final = 20
"""Findings of one code that a report for people shows."""

_EXTENSION: Final = ".csv"
_RESERVED: Final = ("receipt_", "result_")


class Check:
    """One pass over a file. The counts are complete when `findings` has ended."""

    def __init__(self, name: str, content: BinaryIO, *, now: datetime) -> None:
        self.rows = 0
        self.orders = 0
        self.faults = 0
        self.warnings = 0
        self._name = name
        self._content = content
        self._now = now

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong, from the top down; an order that goes on far below its other lines comes last."""
        for finding in self._all():
            if finding.severity == "fault":
                self.faults += 1
            else:
                self.warnings += 1
            yield finding

    def _all(self) -> Iterator[Finding]:
        yield from _about_name(self._name)
        found: list[Finding] = []
        records = Records(self._content, found)
        blocks = iter(records)
        header = next(blocks).records
        if not header and not found:
            yield Finding("CHECK_FILE_EMPTY", 1, None, None, "The file is empty; it needs a header line and rows.")
        if header and is_modification(header[0]):
            corrections = read_modification_header(header[0], found)
            runs = Runs(corrections.order_column)
            rows: Rows | ModificationRows = ModificationRows(corrections, len(header[0]), runs, found)
        elif columns := read_header(header[0], found) if header else {}:
            runs = Runs(one_line=has_a_line_per_order(columns))
            rows = Rows(columns, len(header[0]), self._now, runs, found)
        else:
            yield from _drained(found)
            return
        with closing(runs):
            for block in blocks:
                rows.read(block, records.misread)
                yield from _drained(found)
            yield from rows.about_count()
            yield from runs.late()
        self.rows, self.orders = rows.count, runs.orders


def _drained(found: list[Finding]) -> list[Finding]:
    """Return what was found, from the top down, and forget it."""
    findings = sorted(found, key=attrgetter("line"))
    found.clear()
    return findings


def _about_name(name: str) -> Iterator[Finding]:
    if not name.lower().endswith(_EXTENSION):
        yield Finding("RECORDS_ZERO", 1, None, None, f"{shown(name)} would be read as empty; end its name in .csv.")
    if name.lower().startswith(_RESERVED):
        yield Finding("CHECK_FILE_NAME", 1, None, None, f"{shown(name)} would be ignored; begin its name otherwise.")


def faults_of(name: str, content: bytes, *, now: datetime) -> list[Finding]:
    """Return what impact.com would refuse in a file that is all there."""
    if not any(_about_name(name)) and looks_right(content, now=now):
        return []
    return [one for one in Check(name, io.BytesIO(content), now=now).findings() if one.severity == "fault"]


# The report of the console command ------------------------------------------------------------------------------


def report(path: Path, *, now: datetime, as_json: bool, out: TextIO, watched: Watch = nullcontext) -> bool:
    """Write what is wrong with the file to `out`, and say whether there are faults. Raises Failure.

    `watched` may wrap the open file to show how far it has been read.
    """
    try:
        content = path.open("rb")
    except OSError as exc:
        raise NotFound(f"{shown(str(path))} cannot be read: {exc.strerror}.", code="FILE_UNREADABLE") from exc
    with content, watched(content) as reading:
        check = Check(path.name, reading, now=now)
        if as_json:
            _write_json(check, path.name, out)
        else:
            _write_text(check, path.name, out)
    return check.faults > 0


def _write_json(check: Check, name: str, out: TextIO) -> None:
    """Write one JSON document, the findings as they come and the counts, which are known last, at its end."""
    out.write(f'{{"file": {json.dumps(name)},\n "findings": [')
    separator = "\n  "
    for finding in check.findings():
        out.write(separator + json.dumps(_as_json(finding)))
        separator = ",\n  "
    counts = {"rows": check.rows, "orders": check.orders, "faults": check.faults, "warnings": check.warnings}
    out.write(f"],\n {json.dumps(counts)[1:]}\n")


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "line": finding.line,
        "column": finding.column,
        "order_id": finding.order_id,
        "detail": finding.detail,
    }


def _write_text(check: Check, name: str, out: TextIO) -> None:
    seen: Counter[str] = Counter()
    for finding in check.findings():
        seen[finding.code] += 1
        if seen[finding.code] <= SHOWN_PER_CODE:
            out.write(_sentence(finding))
    for code, number in seen.items():
        if number > SHOWN_PER_CODE:
            out.write(f"and {number - SHOWN_PER_CODE:,} more {code}\n")
    out.write(_summary(check, name))


def _sentence(finding: Finding) -> str:
    order = "" if finding.order_id is None else f", order {shown(finding.order_id)}"
    column = "" if finding.column is None else f", {shown(finding.column)[1:-1]}"
    return f"line {finding.line}{column}{order}: {finding.severity} {finding.code}: {finding.detail}\n"


def _summary(check: Check, name: str) -> str:
    size = f"{_counted(check.rows, 'row')} of {_counted(check.orders, 'order')}"
    name = shown(name)[1:-1]
    warnings = f", {_counted(check.warnings, 'warning')}" if check.warnings else ""
    if check.faults:
        return f"{name}: {_counted(check.faults, 'fault')}{warnings} in {size}; correct the file before you send it.\n"
    return f"{name}: no faults{warnings} in {size}; it can be sent.\n"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
