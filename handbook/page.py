"""Parts of pages that are written from the code, between two comments; what stands around them is written by hand."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- {} -->\n", "<!-- end of {} -->"


def written(page: str, parts: Mapping[str, str]) -> str:
    """Return the page with these parts in their places."""
    for name, text in parts.items():
        before, _, rest = page.partition(BEGIN.format(name))
        _, end, after = rest.partition(END.format(name))
        if not end:
            raise ValueError(f"the page has no place for {name}")
        page = f"{before}{BEGIN.format(name)}\n{text.strip()}\n\n{end}{after}"
    return page


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    columns = list(heads)
    lines = [columns, ["---"] * len(columns), *([cell(one) for one in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Return a text as it may stand in a cell: on one line, its bars and comparisons for what they are."""
    return " ".join(text.split()).replace("|", "\\|")


def code(*names: object) -> str:
    """Return names as they are written, with commas."""
    return ", ".join(f"`{name}`" for name in names)
