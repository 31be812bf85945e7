"""`make reference`: write those parts of the reference pages that the code knows."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from handbook.commands import command_sections
from handbook.endpoints import endpoint_sections, shape_sections
from handbook.page import DOCS, written
from handbook.refusals import attempt_table, refusal_table
from handbook.settings import renewed

REFERENCE: Final = DOCS / "reference"
PAGES: Final[dict[str, Callable[[str], str]]] = {
    "settings.md": renewed,
    "endpoints.md": lambda page: written(page, {"endpoints": endpoint_sections()}),
    "answers.md": lambda page: written(page, {"shapes": shape_sections()}),
    "commands.md": lambda page: written(page, {"commands": command_sections()}),
    "error-codes.md": lambda page: written(page, {"refusals": refusal_table(), "attempts": attempt_table()}),
}
"""How each page becomes what the code says by now."""


def main() -> None:
    """Write every page that is not so yet, and say which."""
    for name, renew in PAGES.items():
        path: Path = REFERENCE / name
        page = path.read_text("utf-8")
        if (now := renew(page)) != page:
            path.write_text(now, "utf-8")
            print(f"wrote docs/reference/{name}")


if __name__ == "__main__":
    main()
