"""A report of impact.com that a person has at hand: errors, a file's counts, or what became of each row.

Neither the layout of its reports nor that of the files `receipt_…` and `result_…` is documented, so that columns are
found by their names, in whatever order and spelling. What is not understood is refused, and nothing is guessed.
"""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.errors import InvalidFile
from app.submissions.submission import ErrorLine, number, reasons_in, text

COLUMNS: Final = {
    "line": ("line", "linenumber", "lineno", "row", "rownumber"),
    "order_id": ("orderid", "oid", "ordernumber", "orderno"),
    "sku": ("sku", "itemsku", "productsku"),
    "category": ("category", "itemcategory"),
    "reason": ("reason", "reasons", "error", "errorreason", "errorcode", "reasoncode", "errormessage"),
    "status": ("status", "errortype", "result"),
    "file_name": ("filename", "file"),
    "total_records": ("totalrecords", "records", "recordcount"),
    "total_errors": ("totalerrors", "errors", "errorcount"),
}
"""How columns may be called, without regard to case, blanks and signs."""
_FIELDS: Final = {name: field for field, names in COLUMNS.items() for name in names}
_GOOD: Final = frozenset({"ok", "success", "successful", "accepted", "complete", "completed", "processed"})
_BAD: Final = frozenset({"validation", "contract error", "error", "failed", "failure", "rejected", "refused"})
_SIGNS: Final = re.compile(r"[^a-z0-9]")
_HINT: Final = (
    "An error report has a column Reason (or Error) and one of Line and OrderId; a summary has TotalErrors and FileName"
    " or TotalRecords; see docs/how-to/results-by-hand.md. Nothing was recorded."
)

Row = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says of one file. Counts are None where it does not tell them."""

    errors: tuple[ErrorLine, ...]
    total_records: int | None = None
    total_errors: int | None = None
    is_through: bool = True


def read_report(content: bytes, filename: str) -> Report:
    """Return what a report says of the file of this name. Raises InvalidFile."""
    rows = _rows(content)
    if not rows:
        raise InvalidFile(
            "The report has no rows. If impact.com shows the file as Complete with 0 errors, say so with --accepted."
            " Nothing was recorded."
        )
    fields = {field for row in rows for field in row}
    if "total_errors" in fields and fields & {"file_name", "total_records"}:
        return _summary(rows, filename)
    if "reason" in fields and fields & {"line", "order_id"}:
        return _of_rows(rows)
    if "status" in fields and fields & {"line", "order_id"}:
        return _of_rows(rows)
    raise InvalidFile(f"The columns of this report are not known. {_HINT}")


def _summary(rows: Sequence[Row], filename: str) -> Report:
    """Read what is said of files as a whole; one row stands for ours even if it names none."""
    mine = [row for row in rows if row.get("file_name") == filename]
    if not mine and len(rows) == 1 and rows[0].get("file_name") is None:
        mine = list(rows)
    if len(mine) != 1:
        raise InvalidFile(f"The report has {len(mine)} rows for {filename}, and it takes one. Nothing was recorded.")
    [row] = mine
    errors = number(row.get("total_errors"))
    if errors is None:
        raise InvalidFile(f"The number of errors of {filename} cannot be read. {_HINT}")
    status = row.get("status")
    return Report((), number(row.get("total_records")), errors, is_through=_is_good(status) or status is None)


def _of_rows(rows: Sequence[Row]) -> Report:
    """Read what is said of lines. Where some are said to be good, all lines are there, and counted."""
    errors, good = [], 0
    for place, row in enumerate(rows, 1):
        reason, status = row.get("reason"), row.get("status")
        if reason is None and _is_good(status):
            good += 1
        elif reason is None and (status is None or status.casefold() not in _BAD):
            raise InvalidFile(
                f"Row {place} of the report tells neither a reason nor a status that is known: {status or 'nothing'}."
                f" {_HINT}"
            )
        elif number(row.get("line")) is None and row.get("order_id") is None and row.get("sku") is None:
            raise InvalidFile(f"Row {place} of the report names no line and no order. {_HINT}")
        else:
            errors.append(_error(row))
    return Report(tuple(errors), len(rows) if good else None, sum(len(one.reasons) for one in errors))


def _error(row: Row) -> ErrorLine:
    status = row.get("status")
    return ErrorLine(
        reasons=reasons_in(row.get("reason")) or (status or "",),
        line=number(row.get("line")),
        order_id=row.get("order_id"),
        sku=row.get("sku"),
        category=row.get("category"),
        error_type=status,
    )


def _is_good(status: str | None) -> bool:
    return status is not None and status.casefold() in _GOOD


# Forms ------------------------------------------------------------------------------------------------------------


def _rows(content: bytes) -> list[Row]:
    """Return the rows of JSON, or of CSV with commas, semicolons or tabs, by our names of their columns."""
    try:
        told = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidFile("The report is not UTF-8; save it as such. Nothing was recorded.") from None
    found = _json_rows(told) if told.lstrip()[:1] in {"{", "["} else _csv_rows(told)
    rows = [_named(row) for row in found]
    return [row for row in rows if any(value is not None for value in row.values())]


def _named(row: Mapping[Any, Any]) -> Row:
    """Return the columns that are known; of two for the same the first that says something."""
    found: dict[str, str | None] = {}
    for name, value in row.items():
        field = _FIELDS.get(_SIGNS.sub("", str(name).casefold()))
        if field is not None and found.get(field) is None:
            found[field] = text(value)
    return found


def _csv_rows(told: str) -> list[dict[Any, Any]]:
    first = told.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        return list(csv.DictReader(io.StringIO(told.lstrip("\r\n"), newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise InvalidFile(f"The report is not CSV: {error}. Nothing was recorded.") from None


def _json_rows(told: str) -> list[Mapping[Any, Any]]:
    """Return the objects of a list, or of the first list in an object, or the object itself."""
    try:
        found: Any = json.loads(told)
    except (ValueError, RecursionError):
        raise InvalidFile("The report is not JSON; fetch it again. Nothing was recorded.") from None
    if isinstance(found, dict):
        found = next((value for value in found.values() if isinstance(value, list)), [found])
    return [row for row in found if isinstance(row, dict)]
