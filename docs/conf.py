"""How `make docs` turns these pages into a site: by MyST and Sphinx, with nothing fetched from anywhere."""

import re
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
html_static_path = ["static"]
html_css_files = ["site.css"]

HERE: Final = Path(__file__).parent
PLAIN: Final = ("caddyfile", "crontab", "csv", "pam", "sshd")
"""Languages of samples that Pygments does not know."""


def add_menu(_app: Sphinx, page: str, source: list[str]) -> None:
    """Append the site's menu to a front page: what it links to, in that order, and whatever else lies beside it.

    It is not in the page itself, since GitHub would show it there.
    """
    if Path(page).name == "index":
        linked = re.findall(r"\]\(([\w/-]+)\.md\)", source[0])
        beside = sorted(one.stem for one in (HERE / page).parent.glob("*.md") if one.stem != "index")
        source[0] += "\n".join(["", "```{toctree}", ":hidden:", "", *dict.fromkeys([*linked, *beside]), "```", ""])


def setup(app: Sphinx) -> None:
    """Have the menus added, and the plain languages known."""
    app.connect("source-read", add_menu)
    for language in PLAIN:
        app.add_lexer(language, TextLexer)
