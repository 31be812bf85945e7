"""A batch's file as a spreadsheet may open it: no cell is run as a formula, and nobody takes it for the file itself."""

import csv
import io
import re
from typing import Final

PREFIX: Final = "NOT-FOR-UPLOAD_"
FIRST_LINE: Final = (
    "NOT FOR UPLOAD: an apostrophe stands before whatever a spreadsheet would run as a formula."
    " impact.com takes the exact file alone."
)
BOM: Final = "\ufeff"
"""Without it, Excel takes the bytes for another encoding."""
_BEGINS: Final = r"[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]"
_FORMULA: Final = re.compile(rf'^(?=[ "]*{_BEGINS})|[;\t\r\n](?=[ "]*(?:{_BEGINS}|\Z))')
"""Where a formula might begin. Where a semicolon is what separates cells, a spreadsheet cuts at those within a cell,
and takes the quote at its end for one that begins another, with the end of the line in it.
"""


def sheet_name(filename: str) -> str:
    """Return the name under which a file is saved for a spreadsheet."""
    return f"{PREFIX}{filename}"


def sheet_of(content: bytes) -> bytes:
    """Return a batch's file for a spreadsheet."""
    told = io.StringIO(newline="")
    writer = csv.writer(told, quoting=csv.QUOTE_ALL)
    writer.writerow([FIRST_LINE])
    writer.writerows(map(harmless, row) for row in csv.reader(io.StringIO(content.decode("utf-8"), newline="")))
    return f"{BOM}{told.getvalue()}".encode()


def harmless(cell: str) -> str:
    """Return the text of a cell with an apostrophe before whatever would be run as a formula."""
    return _FORMULA.sub(r"\g<0>'", cell)
