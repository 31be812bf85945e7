"""How `make docs` turns these pages into a site: by MyST and Sphinx, with nothing fetched from anywhere."""

from pathlib import Path
from typing import Final

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "conversion-capture"
project_copyright = "the authors of conversion-capture, Apache-2.0"
html_title = project

extensions = ["myst_parser"]
root_doc = "index"
myst_heading_anchors = 4

html_theme = "furo"
html_show_sphinx = False
html_copy_source = False

PARTS: Final = ("quick-start", "how-to/index", "reference/index", "explanation/index")
BESIDE: Final = sorted(page.stem for page in Path(__file__).parent.glob("*.md") if page.stem not in {"index", *PARTS})
MENUS: Final = {
    "index": (*PARTS, *BESIDE),
    "how-to/index": ("*",),
    "reference/index": ("*",),
    "explanation/index": ("*",),
}
"""The site's menu. It is not in the pages, since GitHub would show it there; those link to all pages of a folder."""
PLAIN: Final = ("caddyfile", "crontab", "csv", "pam", "sshd")
"""Languages of samples that Pygments does not know."""


def add_menu(_app: Sphinx, page: str, source: list[str]) -> None:
    """Append the menu to a page that has one."""
    if page in MENUS:
        source[0] += "\n".join(["", "```{toctree}", ":hidden:", ":glob:", "", *MENUS[page], "```", ""])


def setup(app: Sphinx) -> None:
    """Have the menus added, and the plain languages known."""
    app.connect("source-read", add_menu)
    for language in PLAIN:
        app.add_lexer(language, TextLexer)
